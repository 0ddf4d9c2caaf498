"""Standard output and error: what is written there arrives, or its loss is an error in words."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import UnsupportedOperation
from pathlib import Path
from typing import Any

from structkit.errors import OutputError

CLOSED = "standard output is closed: send it to a file, a pipe or /dev/null"


class ClosedPipe(Exception):
    """The end of whoever read our stdout: the program ends quietly."""


def printable(text: str) -> str:
    """The text on one line, without characters that could move the cursor of a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def tell(text: str) -> None:
    """Print one line on stderr.  A closed stderr is nobody's loss."""
    try:
        print(f"structkit: {printable(text)}", file=sys.stderr, flush=True)
    except OSError:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


class PlainOutput:
    """Standard output for whoever prints plainly, such as the library of the command line: a loss is an error in words.

    A context, in which it is `sys.stdout`.  Its writes raise as `emit`.
    """

    def __enter__(self) -> PlainOutput:
        self._stream = sys.stdout
        sys.stdout = self  # type: ignore[assignment]
        return self

    def __exit__(self, *_: object) -> None:
        sys.stdout = self._stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        if text == "":  # a question, of which kind the stream is: a full device would already refuse it
            return 0
        with _arriving():
            return self._stream.write(text)

    def flush(self) -> None:
        with _arriving():
            self._stream.flush()


def emit(data: bytes) -> None:
    """Write bytes to stdout, at once.  Raises ClosedPipe, or OutputError for a full disk behind it."""
    with _arriving():
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def emit_path(path: str | Path) -> None:
    """Write the path of what is done to stdout, as a line.  One that the shell has closed (>&-) is nobody's loss.

    Raises as `emit`.
    """
    if not _is_closed():
        emit(os.fsencode(path) + b"\n")


def check_stdout() -> None:
    """Refuse a stdout that the shell has closed, before what belongs there is made for nothing.  Raises OutputError."""
    if _is_closed():
        raise OutputError(CLOSED)


def _is_closed() -> bool:
    try:
        os.write(sys.stdout.fileno(), b"")
    except (AttributeError, ValueError):  # a stream of Python's own has no number (io.UnsupportedOperation)
        return False
    except OSError as error:
        return error.errno == errno.EBADF
    return False


def replace_closed() -> None:
    """Put streams in the place of those that the shell closed (<&- >&- 2>&-), so that no file gets their numbers.

    Nothing is read from such a stdin, and nothing can be written to such a stdout; what goes to such a stderr is lost.
    """
    for name, how, mode in (("stdin", os.O_WRONLY, "r"), ("stdout", os.O_RDONLY, "w"), ("stderr", os.O_WRONLY, "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, how), mode))


@contextmanager
def _arriving() -> Iterator[None]:
    """A context of writes to stdout; after one that fails all others go nowhere."""
    try:
        yield
    except UnsupportedOperation:
        raise
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else the interpreter fails once more when it flushes at its end
        if isinstance(error, BrokenPipeError):
            raise ClosedPipe from error
        lost = f"standard output: {error.strerror or error}"
        raise OutputError(CLOSED if error.errno == errno.EBADF else lost) from error
