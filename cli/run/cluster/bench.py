"""The bench of a worker: the plan's maker in a process of a cluster, which writes what it makes into hidden files.

Results become files, or bytes, here; the run that sent the tasks gives the files their names.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from io import BytesIO, TextIOBase
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

from structkit.device import keep_memory
from structkit.errors import OutputError, StructkitError
from structkit_cli.run.cluster.parcels import (
    EndEvent,
    ErrorRecord,
    Job,
    LineEvent,
    OutputEvent,
    ProgressEvent,
    WorkOrder,
    unload,
)
from structkit_cli.run.cluster.wire import pack, unpack
from structkit_cli.run.plan import Maker, Output
from structkit_cli.run.sinks import SharedSink

THREADS = 8  # that wait for the disk


class WorkBench:
    """The maker of one worker, and the events that its run has not heard of yet.

    device: that the work is done on.
    Raises DeviceError where the device that was asked for is absent.
    """

    def __init__(self, order: WorkOrder, models: Sequence[bytes]) -> None:
        """models: the bytes of those that came along, in the order of `order.models`."""
        with suppress(OSError):
            os.chdir("/")  # where no relative path leads to a file of the same name
            os.chdir(order.folder)
        keep_memory()
        self.order, self._files = order, [_NamelessFile(data) for data in models]
        self._places = {key: file.path for key, file in zip(order.models, self._files, strict=True)}
        self._names = {str(self._places[key]): name for key, name in order.models.items()}
        self._events: list[Any] = []
        self._lock = Lock()
        self._disk = ThreadPoolExecutor(THREADS, "disk")
        self._common = unpack(order.common) if order.common else []
        self.maker: Maker = unload(order.maker, self._places, self._common)
        self.device = self.maker.device(order.device)
        self.maker.__enter__()
        sys.stderr = _Lines(self._note, is_terminal=order.is_terminal)  # type: ignore[assignment]

    def work(self, parcel: bytes) -> bytes:
        """Do the jobs of a parcel; returns the events that were not heard yet, packed."""
        jobs: list[Job] = []
        for job in (unload(job, self._places, self._common) for job in unpack(parcel)):
            try:
                _check_files(job)
            except OutputError as error:
                self._note_failure(job, error)
            else:  # what is expected must be made
                self.maker.expect(job.task, _missing(job))
                jobs.append(job)
        for job in jobs:
            try:
                self._do(job)
                self._note(EndEvent(job.number))
            except Exception as error:
                self._note_failure(job, error)
        return self.heard(wait=True)

    def heard(self, *, wait: bool = False) -> bytes:
        """The events since the last call, packed.  wait: until all files have reached the disk."""
        told: list[Any] = []
        with self._lock:
            while self._events:
                event = self._events[0]
                if isinstance(event, Future):
                    if not wait and not event.done():
                        break
                    event = event.result()
                told.append(event)
                del self._events[0]
        return pack(told) if told else b""

    def _do(self, job: Job) -> None:
        files = dict(zip(job.missing, job.files, strict=True))
        made = self.maker.make(job.task, _missing(job), self.device, partial(self._progress, job.number))
        with closing(iter(made)) as results:  # type: ignore[type-var]
            for output, result in results:
                place = job.task.outputs.index(output)
                sink = self._sink(output, files[place])
                facts = result.write(sink)
                self._note_output(job, place, sink, self._told(facts))

    def _sink(self, output: Output, file: Path | None) -> SharedSink | BytesSink:
        encoding = output.format, output.kind.quality(self.order.quality)
        if file is not None:
            return SharedSink(output.path, *encoding, output.flag, hidden=file)
        return BytesSink(output.path, *encoding)

    def _note_output(self, job: Job, place: int, sink: SharedSink | BytesSink, facts: dict[str, Any]) -> None:
        data = sink.data if isinstance(sink, BytesSink) else None
        event = OutputEvent(job.number, place, sink.sha256, facts, data)
        if isinstance(sink, SharedSink) and sink.pending:
            self._note(self._disk.submit(_settled, sink, event))
        else:
            self._note(event)

    def _note_failure(self, job: Job, error: Exception) -> None:
        record = ErrorRecord.of(error)
        named = replace(record, text=self._told(record.text))
        self._note(EndEvent(job.number, named, None if self.order.ship else _unseen(job)))

    def _note(self, event: Any) -> None:
        with self._lock:
            self._events.append(event)

    def _progress(self, number: int, fraction: float, note: str = "") -> None:
        with self._lock:
            if self._events and isinstance(self._events[-1], ProgressEvent):
                del self._events[-1]  # nobody has heard of it, and it is past
            self._events.append(ProgressEvent(number, float(fraction), note))

    def _told(self, value: Any) -> Any:
        """Facts of a record, in which files that came along have their own names."""
        if isinstance(value, str):
            for place, name in self._names.items():
                value = value.replace(place, name)
            return value
        if isinstance(value, Mapping):
            return {key: self._told(one) for key, one in value.items()}
        return [self._told(one) for one in value] if isinstance(value, list | tuple) else value


@dataclass
class BytesSink:
    """The sink of a result that goes back as bytes.

    path: of the output; None is standard output.
    """

    path: Path | None
    format: str
    quality: int | None
    sha256: str | None = field(default=None, init=False)
    data: bytes | None = field(default=None, init=False)

    @property
    def name(self) -> str:
        return "standard output" if self.path is None else str(self.path)

    def put(self, data: bytes) -> None:
        self.data, self.sha256 = data, hashlib.sha256(data).hexdigest()

    @contextmanager
    def streamed(self) -> Iterator[Path | BinaryIO]:
        if self.path is None:
            yield (stream := BytesIO())
            self.put(stream.getvalue())
            return
        with tempfile.TemporaryDirectory(prefix="structkit-") as folder:
            place = Path(folder, self.path.name)
            try:
                yield place
                self.put(place.read_bytes())
            except StructkitError as error:  # its message names the place
                error.args = (str(error).replace(str(place), self.name),)
                raise


class _NamelessFile:
    """A file for the time of the process, which leaves nothing behind, however that ends."""

    def __init__(self, data: bytes) -> None:
        if hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"):
            self._stream = os.fdopen(os.memfd_create("structkit"), "wb")
            self.path = Path(f"/proc/self/fd/{self._stream.fileno()}")
        else:
            self._stream = tempfile.NamedTemporaryFile(prefix="structkit-", suffix=".safetensors")  # noqa: SIM115
            self.path = Path(self._stream.name)
        self._stream.write(data)
        self._stream.flush()


class _Lines(TextIOBase):
    """A stream whose lines become events."""

    def __init__(self, note: Callable[[LineEvent], None], *, is_terminal: bool) -> None:
        self._tell, self._is_terminal, self._rest = note, is_terminal, ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._tell(LineEvent(line))
        return len(text)

    def isatty(self) -> bool:
        return self._is_terminal


def _settled(sink: SharedSink, event: OutputEvent) -> OutputEvent | EndEvent:
    """The event of an output whose bytes are on the disk; that of a failed task where the disk refuses them."""
    try:
        sink.settle()
    except Exception as error:
        return EndEvent(event.number, ErrorRecord.of(error))
    return event


def _missing(job: Job) -> list[Output]:
    return [job.task.outputs[place] for place in job.missing]


def _check_files(job: Job) -> None:
    """Refuse a job whose results have no place.  Raises OutputError."""
    for output, file in zip(_missing(job), job.files, strict=True):
        if file is not None and not file.exists():
            lacks = "its unfinished file is gone" if file.parent.exists() else f"no such folder {output.path.parent}"
            raise OutputError(f"{output.path}: {lacks}; start the same command again")


def _unseen(job: Job) -> Path | None:
    """The first file of a job that is not to be seen here."""
    for file in job.files:
        if file is not None and not file.exists():
            return file
    sources = (given.source for given in job.task.inputs.values())
    return next((source for source in sources if isinstance(source, Path) and not source.exists()), None)
