"""Outputs that take their names together: a disk takes longest to say that it has something for good.

Order: the files are written under hidden names and reach the disk; their records reach the manifests; they take their
names; the folders reach the disk.  So a run may be killed at any moment: each name stands for a whole file, and a
record without its file is void.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from structkit.errors import OutputError
from structkit.media.files import PendingFile, sync_folder
from structkit_cli.run.manifest import Manifest, Origin
from structkit_cli.run.plan import Output

TOGETHER = 32  # outputs at most, where they come fast
AT_LEAST_EVERY = 0.5  # seconds
THREADS = 8  # that wait for the disk

T = TypeVar("T")


class DiskError(OutputError):
    """A refusal of the disk; other output errors are about one output."""


@dataclass(frozen=True)
class PendingOutput:
    """An output whose file is written.

    origin, sha256: for the manifest.
    """

    output: Output
    file: PendingFile
    origin: Origin
    sha256: str


@dataclass(frozen=True)
class Settlement:
    """The outcome of a commit, by the indices of outputs that did not take their names.

    errors: those that went wrong.
    current: SHA-256 of the files that another run has made of the same meanwhile, and that stay.
    """

    errors: dict[int, Exception] = field(default_factory=dict)
    current: dict[int, str | None] = field(default_factory=dict)


def commit(waiting: Sequence[PendingOutput], manifests: Mapping[Path, Manifest], exists: str) -> Settlement:
    """Give the outputs their names.

    exists: what to do where a name has been taken meanwhile: error, skip or overwrite.
    """
    from concurrent.futures import ThreadPoolExecutor

    errors: dict[int, Exception] = {}
    current: dict[int, str | None] = {}

    def attempt(which: Sequence[int], act: Callable[[], object]) -> None:
        try:
            act()
        except Exception as error:
            errors.update(dict.fromkeys(which, error))

    def good(where: Path | None = None) -> list[int]:
        those = (i for i in range(len(waiting)) if i not in errors and i not in current)
        return [i for i in those if where in (None, waiting[i].output.root)]

    def check(i: int) -> None:
        is_current, sha256 = _found(waiting[i], manifests, exists)
        if is_current:
            current[i] = sha256

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(lambda i: attempt([i], partial(_on_disk, waiting[i], waiting[i].file.settle)), good()))
    for i in good():
        attempt([i], partial(check, i))
    for root in {one.output.root for one in waiting}:
        if manifests[root].kept and (part := good(root)):
            records = [(waiting[i].output.path, waiting[i].origin, waiting[i].sha256) for i in part]
            attempt(part, partial(_on_disk, waiting[part[0]], partial(manifests[root].note, *records)))
    folders: dict[Path, list[int]] = {}
    for i in good():
        attempt([i], lambda i=i: folders.setdefault(_on_disk(waiting[i], waiting[i].file.take_name), []).append(i))
    for folder, part in folders.items():
        attempt(part, partial(_on_disk, waiting[part[0]], partial(sync_folder, folder)))
    for i in (*errors, *current):
        waiting[i].file.discard()
    return Settlement(errors, current)


def _found(one: PendingOutput, manifests: Mapping[Path, Manifest], exists: str) -> tuple[bool, str | None]:
    """Whether another run has made the output meanwhile, the same, and then its hash.

    Raises OutputError where something else has appeared under its name that must stay.
    """
    path = one.output.path
    if exists == "error" and os.path.lexists(path):
        raise OutputError(f"{path} exists by now: move it away, or say --exists overwrite")
    if exists != "skip":
        return False, None
    verdict = manifests[one.output.root].verdict(path, one.origin)
    if verdict.word == "kept":
        raise OutputError(f"{path} {verdict.reason}")
    return verdict.word == "current", verdict.sha256


def _on_disk(one: PendingOutput, act: Callable[[], T]) -> T:
    with as_disk_error(one.output.path):
        return act()


@contextmanager
def as_disk_error(path: Path) -> Iterator[None]:
    """A context in which the disk's refusals become a DiskError."""
    try:
        yield
    except OutputError as error:
        raise DiskError(str(error)) from error.__cause__
    except OSError as error:
        raise DiskError(
            f"{path}: cannot be written ({error.strerror or error}); name another place with --output"
        ) from error
