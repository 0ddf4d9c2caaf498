"""The ledger of a run: the outputs that its folders hold already, and which are as they would be made again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from structkit_cli.run.commit import PendingOutput, as_disk_error, commit
from structkit_cli.run.manifest import Manifest, made_from
from structkit_cli.run.plan import Output, Task
from structkit_cli.run.results import OutputKind
from structkit_cli.run.sinks import FileSink


@dataclass(frozen=True)
class Finding:
    """The outputs of a task that are there before it is done.

    sources: hashes of its inputs, by role.
    current: hashes of its outputs that are done, by their places, up to one that is not ours.
    foreign: that one.
    """

    sources: Mapping[str, str]
    current: Mapping[int, str | None] = field(default_factory=dict)
    foreign: Path | None = None


class Ledger:
    """The manifests of all folders that a run writes to, and the rule for outputs that exist."""

    def __init__(self, outputs: Sequence[Output], exists: str, options: Mapping[str, Any], *, many: bool) -> None:
        """exists: error, skip or overwrite.
        options: all that change the outputs' bytes.
        many: true for a batch.
        """
        self.outputs, self.exists, self.options = [output for output in outputs if output.path], exists, options
        roots = sorted({output.root for output in self.outputs})
        self.manifests = {root: Manifest(root, wanted=many or exists == "skip") for root in roots}

    @contextmanager
    def opened(self) -> Iterator[None]:
        """The context in which the run works.

        If one of several manifests cannot be opened, those that were opened are closed.
        """
        with ExitStack() as stack:
            for root, manifest in self.manifests.items():
                with as_disk_error(root):
                    manifest.open({root, *(o.path.parent for o in self.outputs if o.root == root)})
                stack.callback(as_disk_error(root)(manifest.close))
            yield

    def finding(self, task: Task) -> Finding:
        """The outputs of a task that are there.  Raises InputError where an input cannot be read."""
        recorded = any(manifest.kept for manifest in self.manifests.values())
        sources = {role: source.sha256 for role, source in task.inputs.items()} if recorded else {}
        current: dict[int, str | None] = {}
        for i, output in enumerate(task.outputs):
            if self.exists != "skip" or output.path is None:
                continue
            verdict, sha256 = self.manifests[output.root].verdict(output.path, self._made_from(output, sources))
            if verdict == "foreign":
                return Finding(sources, current, output.path)
            if verdict == "current":
                current[i] = sha256
        return Finding(sources, current)

    def pending(self, output: Output, sink: FileSink, sources: Mapping[str, str]) -> PendingOutput:
        """An output whose sink is written, and which waits for its name.

        sources: as of a `Finding`.
        """
        return PendingOutput(output, sink.pending, self._made_from(output, sources), sink.sha256)

    def commit(self, waiting: Sequence[PendingOutput]) -> dict[int, Exception]:
        """Give outputs their names; what went wrong, by their places."""
        return commit(waiting, self.manifests, self.exists)

    def _made_from(self, output: Output, sources: Mapping[str, str]) -> str:
        """The hash that tells whether an output would become the same again; its keys are those of older manifests."""
        own = {"format": output.format, "seed": output.seed, "strip": output.kind is OutputKind.COMPARISON}
        return made_from(sources, {**self.options, **own})
