"""Outputs that take their names together: a disk takes longest to say that it has something for good.

Order: the files are written under hidden names and reach the disk; their records reach the manifests; they take their
names; the folders reach the disk.  So a run may be killed at any moment: each name stands for a whole file, and a
record without its file is void.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from structkit.errors import OutputError
from structkit.media.files import PendingFile, sync_folder
from structkit_cli.run.manifest import Manifest
from structkit_cli.run.plan import Output

TOGETHER = 32  # outputs at most, where they come fast
AT_LEAST_EVERY = 0.5  # seconds
NOT_OURS = "exists and is not as structkit wrote it: move it away, or say --exists overwrite"
THREADS = 8  # that wait for the disk

T = TypeVar("T")


class DiskError(OutputError):
    """A refusal of the disk; other output errors are about one output."""


@dataclass(frozen=True)
class PendingOutput:
    """An output whose file is written.

    made_from, sha256: for the manifest.
    """

    output: Output
    file: PendingFile
    made_from: str
    sha256: str


def commit(waiting: Sequence[PendingOutput], manifests: Mapping[Path, Manifest], exists: str) -> dict[int, Exception]:
    """Give the outputs their names; returns what went wrong, by their places.

    exists: what to do where a name has been taken meanwhile: error, skip or overwrite.
    """
    from concurrent.futures import ThreadPoolExecutor

    errors: dict[int, Exception] = {}

    def attempt(which: Sequence[int], act: Callable[[], object]) -> None:
        try:
            act()
        except Exception as error:
            errors.update(dict.fromkeys(which, error))

    def good(where: Path | None = None) -> list[int]:
        return [i for i, one in enumerate(waiting) if i not in errors and where in (None, one.output.root)]

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(lambda i: attempt([i], partial(_on_disk, waiting[i], waiting[i].file.settle)), good()))
    for i in good():
        attempt([i], partial(_check, waiting[i], manifests, exists))
    for root in {one.output.root for one in waiting}:
        if manifests[root].kept and (part := good(root)):
            records = [(waiting[i].output.path, waiting[i].made_from, waiting[i].sha256) for i in part]
            attempt(part, partial(_on_disk, waiting[part[0]], partial(manifests[root].note, *records)))
    folders: dict[Path, list[int]] = {}
    for i in good():
        attempt([i], lambda i=i: folders.setdefault(_on_disk(waiting[i], waiting[i].file.take_name), []).append(i))
    for folder, part in folders.items():
        attempt(part, partial(_on_disk, waiting[part[0]], partial(sync_folder, folder)))
    for i in errors:
        waiting[i].file.discard()
    return errors


def _check(one: PendingOutput, manifests: Mapping[Path, Manifest], exists: str) -> None:
    """Raises OutputError where what has appeared under the output's name, while we were at work, must stay."""
    path, manifest = one.output.path, manifests[one.output.root]
    appeared = exists == "error" and os.path.lexists(path)
    if appeared or (exists == "skip" and manifest.verdict(path, one.made_from)[0] == "foreign"):
        raise OutputError(f"{path} {NOT_OURS}")


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
