"""Files on disk: safe reading, atomic writing, hashes and the natural order of names.

A reader of a path that structkit writes sees the old bytes or the new ones, never a half: the bytes go to a hidden file
in the same folder, reach the disk, and only then take the name.
"""

import errno
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path, PurePath
from typing import BinaryIO

from structkit.errors import InputError, OutputError
from structkit.media.locks import MARKS, TEMP_PREFIX, is_writing, writers

# The whole name of a file that is being written: its writer, a number, and the suffix of the name that it will take.
UNFINISHED = re.compile(rf"{re.escape(TEMP_PREFIX)}([0-9a-f]{{8}})[0-9a-f]{{8}}(\..{{0,15}})?", re.DOTALL)

MOST_IN_MEMORY = 2**31  # bytes of the largest file that is held in memory: what is endless must end somewhere
PIECE = 2**20  # bytes that are read at a time
# The way out for a damaged picture or video.
COPY_OR_TOLERATE = "copy or export it again from the original, or take what is left of it with --tolerant"

Source = str | Path | bytes | BinaryIO


@contextmanager
def open_source(source: Source, name: str | None = None) -> Iterator[tuple[str, BinaryIO]]:
    """Open a path, bytes or a binary stream for reading; yields the name for messages and the stream.

    name: the name of the source in messages; by default the path, or the stream's own name.
    A stream that the caller handed in stays open.
    Raises InputError for a source that cannot be opened or read.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        yield name or "<bytes>", BytesIO(source)
        return
    is_path = isinstance(source, str | os.PathLike)
    label = name or str(source if is_path else getattr(source, "name", "<stream>"))
    try:
        if not is_path:
            yield label, source
        elif os.path.isdir(source):
            raise InputError(f"{label}: a folder, not a file; name the files in it")
        else:
            with open(source, "rb") as stream:
                yield label, stream
    except FileNotFoundError:
        raise InputError(f"{label}: no such file; check the path") from None
    except PermissionError:
        raise InputError(f"{label}: no permission to read; change its mode or owner") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path, a closed stream
        raise InputError(f"{label}: cannot be read ({one_line(error)}); check the path and the disk") from error


def read_pieces(stream: BinaryIO, most: int, head: bytes = b"") -> bytes:
    """The bytes of a stream up to its end, or the first `most` of them.

    head: those that were read before, which count.
    They are read in pieces: asked for `most` at once, a stream would set aside as much memory.
    """
    found = BytesIO()  # which hands out its bytes without another copy
    size = found.write(head)
    while size < most and (piece := stream.read(min(PIECE, most - size))):
        size += found.write(piece)
    return found.getvalue()


def read_once(stream: BinaryIO, name: str, head: bytes = b"") -> bytes:
    """The bytes of a stream that can be read only once, up to its end.

    head: those that were read before.
    Raises InputError for one that is longer than MOST_IN_MEMORY, which an endless one is, and for one that begins with
    nothing but zeros, as a device does that gives no others.
    """
    data = read_pieces(stream, PIECE, head)
    if len(data) >= PIECE and not any(data):
        raise InputError(f"{name}: a megabyte of zeros, which is neither a picture nor a video; check what is sent")
    data = read_pieces(stream, MOST_IN_MEMORY + 1, data)
    if len(data) > MOST_IN_MEMORY:
        fact = f"over {MOST_IN_MEMORY >> 20} MiB, the limit for what can be read only once"
        raise InputError(f"{name}: {fact}; save it as a file, and name that")
    return data


def one_line(fact: object, limit: int = 120) -> str:
    """The text of a fact for one message line.

    White space and control characters become one blank, and `limit` characters are kept.
    """
    text = " ".join("".join(c if c.isprintable() else " " for c in str(fact)).split())
    return text if len(text) <= limit else text[: limit - 3] + "..."


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a hidden path beside `path` to write to; on a clean exit its file takes the name `path`, durably.

    Order: write, fsync, rename, fsync of the folder.  On any failure, Ctrl-C included, the hidden file is removed and
    what `path` held before stays.  The file's mode follows the umask.  A symbolic link is followed, as the shell's `>`
    does.
    Raises OutputError (missing folder, permission, full disk, a folder or device at `path`).
    """
    with _output_errors(path):
        target, temp = _beside(path)
        try:
            yield temp
            _sync(temp)
            os.replace(temp, target)
        except BaseException:
            with suppress(OSError):
                temp.unlink()
            raise
        finally:
            MARKS.leave(target.parent)
        _sync(target.parent)


def write_atomically(path: str | Path, data: bytes) -> None:
    """Write `data` to `path`: a reader, or a crash at any moment, sees the old file or the new one.

    See `atomic_path`.
    """
    with atomic_path(path) as temp:
        temp.write_bytes(data)


class PendingFile:
    """A file that is written and has not its name yet: `atomic_path` in its parts, for many files together.

    For each file: the constructor, `settle`; then `take_name`; then, once for each folder, `sync_folder`.
    hidden: the path of the file until it has its name; before it settles others may write to it, or put another file
    there.
    Raises OutputError as `atomic_path`.
    """

    def __init__(self, path: str | Path, data: bytes) -> None:
        self.path = path
        with _output_errors(path):
            self._target, self.hidden = _beside(path)
            self._is_marked = True
            try:
                self.hidden.write_bytes(data)
            except BaseException:
                self.discard()
                raise

    def settle(self) -> None:
        """Wait until the bytes of the file are on the disk."""
        with _output_errors(self.path):
            _sync(self.hidden)

    def take_name(self) -> Path:
        """Give the file its name: it is what the path holds from now on; returns the folder."""
        with _output_errors(self.path):
            os.replace(self.hidden, self._target)
        self._leave()
        return self._target.parent

    def discard(self) -> None:
        """Remove the file, if it has no name yet."""
        with suppress(OSError):
            self.hidden.unlink()
        self._leave()

    def _leave(self) -> None:
        if self._is_marked:
            self._is_marked = False
            MARKS.leave(self._target.parent)


class SharedFile:
    """A pending file of another process, which this one writes; its name, and its end, are the other's to give.

    hidden: the path of the file, which must be there.
    Raises OutputError as `atomic_path`.
    """

    def __init__(self, path: str | Path, hidden: Path, data: bytes) -> None:
        self.path, self.hidden = path, hidden
        with _output_errors(path), os.fdopen(os.open(hidden, os.O_WRONLY | os.O_TRUNC), "wb") as stream:
            stream.write(data)

    def settle(self) -> None:
        """Wait until the bytes of the file are on the disk."""
        with _output_errors(self.path):
            _sync(self.hidden)

    def discard(self) -> None:
        """Leave the file to the other process."""


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk.  Raises OutputError."""
    with _output_errors(folder):
        _sync(folder)


def _beside(path: str | Path) -> tuple[Path, Path]:
    """The file that a path stands for, through links, and a new hidden file beside it, with the path's suffix.

    The folder is marked as one that this process writes to, until `MARKS.leave`.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not stat.S_ISREG(target.stat().st_mode):
        raise OutputError(f"{path}: exists and is not a regular file; choose another name")
    hidden = target.with_name(f"{TEMP_PREFIX}{MARKS.name}{secrets.token_hex(4)}{Path(path).suffix[:16]}")
    MARKS.enter(target.parent)
    try:
        os.close(os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    except BaseException:
        MARKS.leave(target.parent)
        raise
    return target, hidden


def _sync(path: Path) -> None:
    """Wait until a file's bytes, or a folder's entries, are on the disk."""
    if os.name == "nt" and path.is_dir():  # Windows cannot open a folder; its rename is journalled
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _output_errors(path: str | Path) -> Iterator[None]:
    """Turn the system's errors into an OutputError that says what to do."""
    try:
        yield
    except FileNotFoundError:
        raise OutputError(f"{path}: no such folder {Path(path).parent}; create it first") from None
    except PermissionError:
        raise OutputError(f"{path}: no permission to write in {Path(path).parent}; choose another folder") from None
    except (OSError, ValueError) as error:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        fact = (
            "the disk is full; free some space"
            if full
            else f"cannot be written ({one_line(error)}); choose another path"
        )
        raise OutputError(f"{path}: {fact}") from error


def remove_leftovers(folder: str | Path) -> int:
    """Remove the hidden files that dead processes left in `folder`; returns how many.

    Those of living processes stay, whatever writes them: a command line, a training, a program in Python.
    """
    folder, removed = Path(folder), 0
    unfinished = {
        path: match[1] for path in folder.glob(f"{TEMP_PREFIX}*") if (match := UNFINISHED.fullmatch(path.name))
    }
    # Marks are looked at after the files that they are for.
    living = {writer for writer in set(unfinished.values()) if is_writing(folder, writer)}
    for path, writer in unfinished.items():
        with suppress(OSError):
            if writer not in living and path.is_file():
                path.unlink()
                removed += 1
    for writer in writers(folder):
        is_writing(folder, writer)  # a dead one's mark goes
    return removed


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hex.  Raises InputError."""
    with open_source(path) as (name, stream):
        if stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            return hashlib.file_digest(stream, "sha256").hexdigest()
        return hashlib.sha256(read_once(stream, name)).hexdigest()


def files_below(folder: str | Path, leave_out: Container[Path] = (), _above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """Every file below a folder, in natural order; hidden files are passed over.

    Links to folders are followed, but never in a circle.
    leave_out: folders that are passed over, resolved; `folder` itself is not.
    Raises InputError for a folder that cannot be listed.
    """
    folder = Path(folder)
    real = folder.resolve()
    if real in _above or (_above and real in leave_out):
        return
    try:
        entries = sorted((e for e in folder.iterdir() if not e.name.startswith(".")), key=natural)
    except OSError as error:
        raise InputError(
            f"{folder}: {error.strerror}: it cannot be listed; change its rights, or leave it out"
        ) from error
    for entry in entries:
        if entry.is_dir():
            yield from files_below(entry, leave_out, (*_above, real))
        elif entry.is_file():
            yield entry


def natural(name: str | PurePath) -> tuple:
    """The sort key in which frame2 comes before frame10: folder by folder, case ignored, and no two names are equal.

    Runs of digits compare as numbers of any length (by length without leading zeros, then digit by digit).
    """
    return tuple(_natural_part(part) for part in PurePath(name).parts), str(name)


def _natural_part(part: str) -> tuple:
    pieces = re.split(r"([0-9]+)", part.casefold())  # text and digits in turn, text first: the same kind at each place
    return tuple((len(p.lstrip("0")), p.lstrip("0")) if i % 2 else p for i, p in enumerate(pieces))
