"""Sinks: the places that results write themselves into, a hidden file beside the output's name or standard output."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Protocol

from structkit.errors import OutputError, StructkitError
from structkit.media.files import PendingFile, SharedFile, sha256_file
from structkit_cli.run.commit import DiskError, as_disk_error
from structkit_cli.streams import emit


class Sink(Protocol):
    """A place for one result, which is put there at once, or streamed.

    name: its name in messages.
    format, quality: those that the result is to be encoded with.
    sha256: of its bytes, in hex, when it is written.
    """

    name: str
    format: str
    quality: int | None
    sha256: str | None

    def put(self, data: bytes) -> None:
        """Write the whole result."""
        ...

    @contextmanager
    def streamed(self) -> Iterator[Path | BinaryIO]:
        """A path, or a stream, to write the result to; at the end of the context it is written."""
        ...


@dataclass
class FileSink:
    """The file of an output, under a hidden name.

    flag: the option that names its place.
    pending: the file that then waits for its own name.
    Raises DiskError for what the disk refuses.
    """

    path: Path
    format: str
    quality: int | None
    flag: str = "--output"
    sha256: str | None = field(default=None, init=False)
    pending: PendingFile | None = field(default=None, init=False)

    @property
    def name(self) -> str:
        return str(self.path)

    def put(self, data: bytes) -> None:
        self.pending, self.sha256 = self._file(data), hashlib.sha256(data).hexdigest()

    @contextmanager
    def streamed(self) -> Iterator[Path]:
        file = self._file(b"")
        try:
            yield file.hidden
            self.pending, self.sha256 = file, sha256_file(file.hidden)
        except StructkitError as error:  # its message names the hidden file
            text = str(error).replace(str(file.hidden), self.name)
            if isinstance(error, OutputError):
                raise DiskError(text) from error.__cause__
            error.args = (text,)  # the same error: who knows of what its class is made
            raise
        finally:
            if self.pending is None:
                file.discard()

    def adopt(self, file: PendingFile, sha256: str) -> None:
        """Take a file that is written already, and its hash."""
        self.pending, self.sha256 = file, sha256

    def _file(self, data: bytes) -> PendingFile:
        with as_disk_error(self.path, self.flag):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return PendingFile(self.path, data)


@dataclass
class SharedSink(FileSink):
    """The sink of an output whose hidden file another process has made, and is to give its name.

    hidden: the path of that file.
    """

    hidden: Path = field(kw_only=True)

    def settle(self) -> None:
        """Wait until the bytes are on the disk."""
        with as_disk_error(self.path, self.flag):
            self.pending.settle()

    def _file(self, data: bytes) -> SharedFile:  # type: ignore[override]
        with as_disk_error(self.path, self.flag):
            return SharedFile(self.path, self.hidden, data)


@dataclass
class StdoutSink:
    """The sink of standard output.  Raises ClosedPipe, and OutputError for a full disk behind it."""

    format: str
    quality: int | None
    sha256: str | None = field(default=None, init=False)
    name = "standard output"
    pending = None  # nothing waits for a name

    def put(self, data: bytes) -> None:
        emit(data)
        self.sha256 = hashlib.sha256(data).hexdigest()

    @contextmanager
    def streamed(self) -> Iterator[BinaryIO]:
        yield (stream := BytesIO())  # nothing goes out of a result that fails
        self.put(stream.getvalue())
