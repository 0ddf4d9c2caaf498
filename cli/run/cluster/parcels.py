"""Parcels: what goes between a run and its workers, tasks and makers one way, events the other, as bytes.

Paths of models that ship with structkit stand for the worker's own files; files that are sent along stand for where the
worker has put them.  An error travels as its class by name, its text and the number of the system's refusal.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import structkit_weights
from structkit.errors import (
    CheckpointError,
    DeviceError,
    InputError,
    OptionError,
    OutputError,
    StructkitError,
)
from structkit_cli.run.cluster.freight import Freight
from structkit_cli.run.cluster.wire import pack, unpack
from structkit_cli.run.commit import DiskError
from structkit_cli.run.inputs import InputFile
from structkit_cli.run.plan import Task

SHIPPED, SENT, PLACED, COMMON, OWN = "shipped", "sent", "placed", "common", "own"  # files that stand for others
CLASSES = (DiskError, InputError, OptionError, CheckpointError, DeviceError, OutputError, StructkitError)


class Job(NamedTuple):
    """A task as a worker gets it.

    number: of the task in the run.
    missing: the places, among the task's outputs, of those that are to be made.
    files: for each of them the hidden file to write it to; None where its bytes come back, or nothing is written.
    """

    number: int
    task: Task
    missing: tuple[int, ...]
    files: tuple[Path | None, ...]


class WorkOrder(NamedTuple):
    """All that a worker needs to know of a run, once.

    maker: the plan's, as `load` makes it.
    device: as it was asked for.
    folder: the working directory of the run; the worker's too, where there is such a folder.
    models: the names of those that come along, by the words for them.
    common: the message of the inputs of all tasks, with their bytes.
    is_terminal: true if stderr of the run is one.
    ship: true where the run and its workers share no disk.
    """

    maker: bytes
    device: str
    quality: int | None
    folder: str
    models: Mapping[str, str]
    common: bytes
    is_terminal: bool
    ship: bool


class ProgressEvent(NamedTuple):
    """The share of a task that is done, 0 to 1, and a note."""

    number: int
    fraction: float
    note: str


class OutputEvent(NamedTuple):
    """An output that is made.

    place: among the task's outputs.
    sha256: None where nothing was written.
    data: its bytes, where they come back.
    """

    number: int
    place: int
    sha256: str | None
    facts: Mapping[str, Any]
    data: bytes | None


class EndEvent(NamedTuple):
    """The end of a task.

    failure: what it failed with, None for one that is done.
    unseen: a path that the worker cannot see, if there is one.
    """

    number: int
    failure: ErrorRecord | None = None
    unseen: Path | None = None


class LineEvent(NamedTuple):
    """A line that the work has told on stderr."""

    text: str


@dataclass(frozen=True)
class ErrorRecord:
    """An error as a value.

    kind: the name of its class.
    errno: of the refusal of the system that caused it, if one did.
    trace: where it was raised.
    """

    kind: str
    text: str
    errno: int | None
    trace: str

    @classmethod
    def of(cls, error: BaseException) -> ErrorRecord:
        kind = next((one for one in CLASSES if isinstance(error, one)), type(error))
        errno, trace = getattr(error.__cause__, "errno", None), "".join(traceback.format_exception(error))
        return cls(kind.__name__, str(error), errno, trace)

    def error(self) -> Exception:
        """The error, as the runner judges and tells it."""
        kind = {one.__name__: one for one in CLASSES}.get(self.kind) or type(self.kind, (Exception,), {})
        error = kind(self.text)
        if self.errno is not None:
            error.__cause__ = OSError(self.errno, self.text)
        error.add_note(f"on the worker:\n{self.trace}")
        return error


def load(value: Any, freight: Freight | None = None) -> bytes:
    """The message of a value, with the files that it needs.

    freight: the files that go to workers; inputs that are none of these go with the value itself.  None: workers see
    all files.
    Raises InputError for an input that cannot be read, TypeError for a value that cannot be sent.
    """
    own: dict[InputFile, int] = {}
    message = pack(value, partial(_word, freight, own))
    return pack(([given.held() for given in own], message))


def unload(data: bytes, models: Mapping[str, Path] | None = None, common: Sequence[InputFile] = ()) -> Any:
    """The value of bytes that `load` made.

    models: the places of those that were sent, by the words for them.
    common: the inputs that were sent before.
    """
    own, message = unpack(data)
    return unpack(message, partial(_file, {SENT: models or {}, COMMON: common, OWN: own}))


def _word(freight: Freight | None, own: dict[InputFile, int], value: Any) -> list[Any] | None:
    """The word for a file that stands for another where it arrives.  own: inputs that go with the value."""
    if isinstance(value, Path):
        if value.parent == structkit_weights.FOLDER:
            return [SHIPPED, value.name]
        return [SENT, freight.keys[value]] if freight and value in freight.keys else None
    if not isinstance(value, InputFile):
        return None
    if value.path is not None and (place := _word(freight, own, value.path)):
        return [PLACED, place, str(value.relative)]
    if value.path is None or freight is None:
        value.source  # noqa: B018 (what can be read only once is read here)
        return None
    if value in freight.common:
        return [COMMON, freight.common.index(value)]
    return [OWN, own.setdefault(value, len(own))]


def _file(sent: Mapping[str, Any], word: Sequence[Any]) -> Path | InputFile:
    """The file that a word stands for here.  sent: files that came along, by their kinds."""
    kind, which, *place = word
    if kind == PLACED:
        return InputFile(_file(sent, which), *place)  # type: ignore[arg-type]
    return structkit_weights.FOLDER / which if kind == SHIPPED else sent[kind][which]
