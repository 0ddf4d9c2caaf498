"""Outputs that take their names together: a disk takes longest to say that it has something for good.

Order: the files are written under hidden names and reach the disk; their records reach the manifests; they take their
names; the folders reach the disk.  So a run may be killed at any moment: each name stands for a whole file, and a
record without its file is void.

The last check of what exists, the records and the names are under the lock of each folder: of two runs that make the
same output the second finds what the first has made.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from structkit.errors import OutputError
from structkit.media.files import PendingFile, sync_folder
from structkit.media.locks import GATE, held
from structkit_cli.run.manifest import Manifest
from structkit_cli.run.plan import Output
from structkit_cli.run.verdicts import Entry, Origin, OutputState, Verdict

TOGETHER = 32  # outputs at most, where they come fast
AT_LEAST_EVERY = 0.5  # seconds
THREADS = 8  # that wait for the disk

T = TypeVar("T")


class DiskError(OutputError):
    """A refusal of the disk; other output errors are about one output."""


@dataclass(frozen=True)
class PendingOutput:
    """An output whose file is written.

    origin, sha256, facts: for the manifest.
    """

    output: Output
    file: PendingFile
    origin: Origin
    sha256: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Settlement:
    """The outcome of a commit, by the indices of outputs that did not take their names.

    errors: those that went wrong.
    current: the verdicts on the files that another run has made of the same meanwhile, and that stay.
    """

    errors: dict[int, Exception] = field(default_factory=dict)
    current: dict[int, Verdict] = field(default_factory=dict)


def commit(waiting: Sequence[PendingOutput], manifests: Mapping[Path, Manifest], exists: str) -> Settlement:
    """Give the outputs their names.

    exists: what to do where a name has been taken meanwhile: error, skip or overwrite.
    """
    if not waiting:
        return Settlement()
    from concurrent.futures import ThreadPoolExecutor

    errors: dict[int, Exception] = {}
    current: dict[int, Verdict] = {}

    def attempt(which: Sequence[int], act: Callable[[], object]) -> None:
        try:
            act()
        except Exception as error:
            errors.update(dict.fromkeys(which, error))

    def good(where: Path | None = None) -> list[int]:
        those = (i for i in range(len(waiting)) if i not in errors and i not in current)
        return [i for i in those if where in (None, waiting[i].output.root)]

    def check(i: int) -> None:
        verdict = _found(waiting[i], manifests, exists)
        if verdict.state is OutputState.CURRENT:
            current[i] = verdict

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(lambda i: attempt([i], partial(_on_disk, waiting[i], waiting[i].file.settle)), good()))
    folders: dict[Path, list[int]] = {}
    with _gates(one.output.root for one in waiting):
        for i in good():
            attempt([i], partial(check, i))
        for root in {one.output.root for one in waiting}:
            if manifests[root].kept and (part := good(root)):
                entries = [Entry(o.output.path, o.origin, o.sha256, o.facts) for o in (waiting[i] for i in part)]
                attempt(part, partial(_on_disk, waiting[part[0]], partial(manifests[root].note, *entries)))
        for i in good():
            attempt([i], lambda i=i: folders.setdefault(_on_disk(waiting[i], waiting[i].file.take_name), []).append(i))
    for folder, part in folders.items():
        attempt(part, partial(_on_disk, waiting[part[0]], partial(sync_folder, folder)))
    for i in (*errors, *current):
        waiting[i].file.discard()
    return Settlement(errors, current)


@contextmanager
def _gates(roots: Iterable[Path]) -> Iterator[None]:
    """A context in which no other run gives names in these folders, nor comes to them or leaves."""
    with ExitStack() as stack:
        # A folder may have two names; and two runs that waited for each other's folder would wait for ever.
        for folder in sorted({os.path.realpath(root) for root in roots}):
            stack.enter_context(held(Path(folder, GATE), blocking=True))
        yield


def _found(one: PendingOutput, manifests: Mapping[Path, Manifest], exists: str) -> Verdict:
    """The state of the output by now: another run may have made it meanwhile.

    Raises OutputError where something else has appeared under its name that must stay.
    """
    path = one.output.path
    if exists == "error" and os.path.lexists(path):
        raise OutputError(f"{path} exists by now: move it away, or say --exists overwrite")
    if exists != "skip":
        return Verdict(OutputState.MISSING)  # whatever is there is to be replaced
    verdict = manifests[one.output.root].verdict(path, one.origin)
    if verdict.refusal:
        raise verdict.refusal.of(one.output.flag)
    return verdict


def _on_disk(one: PendingOutput, act: Callable[[], T]) -> T:
    with as_disk_error(one.output.path, one.output.flag):
        return act()


@contextmanager
def as_disk_error(path: Path, flag: str = "--output") -> Iterator[None]:
    """A context in which the disk's refusals become a DiskError.  flag: the option that names the place."""
    try:
        yield
    except OutputError as error:
        raise DiskError(str(error)) from error.__cause__
    except OSError as error:
        fact = f"cannot be written ({error.strerror or error})"
        raise DiskError(f"{path}: {fact}; name another place with {flag}") from error
