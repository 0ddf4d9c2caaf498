"""The ledger of a run: the outputs that exist before it, and which of these would become the same again."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from structkit_cli.run.commit import PendingOutput, Settlement, as_disk_error, commit
from structkit_cli.run.journal import text_of
from structkit_cli.run.manifest import Manifest, hash_of, made_from
from structkit_cli.run.plan import Output, Task
from structkit_cli.run.shards import Shard
from structkit_cli.run.sinks import FileSink
from structkit_cli.run.verdicts import Origin, OutputRefusal, OutputState, Verdict


@dataclass(frozen=True)
class Finding:
    """The outputs that a run finds of a task before it does the task.

    sources: SHA-256 of the inputs, by role; empty where no manifest is kept.
    current: the verdict on each output that would become the same again, by its index in `task.outputs`.
    refusal: why the first output that must stay does, if there is one; those after it were not looked at.
    Under --exists error and overwrite nothing is looked for: `current` is empty, and `refusal` None.
    """

    sources: Mapping[str, str]
    current: Mapping[int, Verdict] = field(default_factory=dict)
    refusal: OutputRefusal | None = None


class Ledger:
    """The manifests of all folders that a run writes to, and the rule for outputs that exist.

    outputs: of all tasks; those to standard output, and those of a dry run, have no place in it.
    exists: the rule: error, skip or overwrite.
    options: all that change the outputs' bytes, among them `verb` and `quality`.
    many: true for a batch.  A batch begins a manifest in a folder that has none; so does a run that skips.
    shard: the outputs are its share.
    whole: the outputs of all shares.
    """

    def __init__(
        self,
        outputs: Sequence[Output],
        exists: str,
        options: Mapping[str, Any],
        *,
        many: bool,
        shard: Shard | None = None,
        whole: Sequence[Output] | None = None,
    ) -> None:
        self.outputs = [output for output in outputs if output.name and not output.dry]
        self.exists, self.options, self.shard, self.many = exists, options, shard, many
        self.folders: dict[Path, set[str]] = {}  # of outputs, by the root that knows of them
        for output in self.outputs:
            self.folders.setdefault(output.root, set()).add(os.path.dirname(output.name))
        self._share = Counter(output.root for output in self.outputs)
        every = self.outputs if whole is None else whole
        self._whole = Counter(output.root for output in every if output.name and not output.dry)
        for root in self._whole if shard and many else ():
            self.folders.setdefault(root, set())  # a worker without a share tells that too
        self._done: Counter[Path] = Counter()  # outputs that are there
        self._is_over = False
        wanted = many or exists == "skip"
        self.manifests = {root: Manifest(root, wanted=wanted, shard=shard) for root in sorted(self.folders)}
        self._texts: dict[tuple, tuple[str, str, str]] = {}  # of options, see `_options`

    @property
    def blind(self) -> list[Path]:
        """The folders in which the locks of other workers cannot be seen."""
        return [root for root, manifest in self.manifests.items() if not manifest.sees_locks]

    @contextmanager
    def opened(self) -> Iterator[None]:
        """A context in which all manifests are open.

        If one of them cannot be opened, those that were are closed.
        """
        with ExitStack() as stack:
            for root, manifest in self.manifests.items():
                with as_disk_error(root):
                    folders = {root, *map(Path, self.folders[root])}
                    manifest.open(folders, self._batch(root) if self.many else None)
                stack.callback(self._close, root, manifest)
            yield

    def _batch(self, root: Path) -> dict[str, Any]:
        """The facts of the batch in a folder, for its manifest."""
        share = {"shard": str(self.shard), "share": self._share[root]} if self.shard else {}
        return {"verb": self.options["verb"], "outputs": self._whole[root], **share}

    def _close(self, root: Path, manifest: Manifest) -> None:
        with as_disk_error(root):
            manifest.close(self._done[root] if self._is_over else None)

    def finish(self) -> None:
        """Hear that all tasks had their turn, if there are any."""
        self._is_over = True

    def finding(self, task: Task) -> Finding:
        """The outputs of a task that exist.  Raises InputError where an input cannot be read."""
        # Only manifests need the hashes of inputs, which take time.
        is_kept = any(manifest.kept for manifest in self.manifests.values())
        sources = {role: source.sha256 for role, source in task.inputs.items()} if is_kept else {}
        current: dict[int, Verdict] = {}
        for i, output in enumerate(task.outputs):
            if self.exists != "skip" or output.name is None or output.dry:
                continue
            verdict = self.manifests[output.root].verdict(output.name, self._origin(task, output, sources))
            if verdict.refusal:
                return Finding(sources, current, verdict.refusal.of(output.flag))
            if verdict.state is OutputState.CURRENT:
                current[i] = verdict
                self._done[output.root] += 1
        return Finding(sources, current)

    def pending(
        self, task: Task, output: Output, sink: FileSink, sources: Mapping[str, str], facts: Mapping[str, Any]
    ) -> PendingOutput:
        """The output as it waits for its name, once its sink is written.

        sources: those of the `Finding` of its task.
        facts: those of its record, beside the hash.
        """
        return PendingOutput(output, sink.pending, self._origin(task, output, sources), sink.sha256, facts)

    def commit(self, waiting: Sequence[PendingOutput]) -> Settlement:
        """Give outputs their names."""
        settled = commit(waiting, self.manifests, self.exists)
        self._done.update(one.output.root for i, one in enumerate(waiting) if i not in settled.errors)
        return settled

    def _origin(self, task: Task, output: Output, sources: Mapping[str, str]) -> Origin:
        """All that an output is made from; as good as empty where no manifest is kept."""
        if not sources:
            return Origin("")
        manifest = self.manifests[output.root]
        places = {role: manifest.place_of(source.lasting) for role, source in task.inputs.items()}
        options, chosen, verb = self._options(output)
        return Origin(made_from(sources, options), places, chosen, verb)

    def _options(self, output: Output) -> tuple[str, str, str]:
        """The text of all options that change the bytes of an output, the hash of the chosen ones, and the verb.

        Most outputs of a run have the same.
        """
        alike = output.format, output.seed, output.kind, *output.chosen.items()
        if alike not in self._texts:
            # The keys must stay, since the hashes in older manifests have them.
            of_output = {"format": output.format, "seed": output.seed, "strip": output.kind.compares}
            options = {**self.options, **output.chosen, **of_output}
            chosen = {name: value for name, value in options.items() if self._is_chosen(name, output)}
            chosen["quality"] = output.kind.encoded_quality(output.format, options["quality"])
            self._texts[alike] = text_of(options), hash_of(chosen), options["verb"]
        return self._texts[alike]

    def _is_chosen(self, name: str, output: Output) -> bool:
        """True for an option that makes another result, not the same one anew.

        The number of samples is one of the strips that show them.
        """
        return name != "version" and (name != "samples" or output.kind.compares)
