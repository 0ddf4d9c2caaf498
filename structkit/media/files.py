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
import time
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path, PurePath
from typing import BinaryIO

from structkit.errors import InputError, OutputError
from structkit.media.locks import MARKS, TEMP_PREFIX, is_writing, writers
from structkit.media.mounts import locks_hold

# The whole name of a file that is being written: its writer, a number, and the suffix of the name that it will take.
UNFINISHED = re.compile(rf"{re.escape(TEMP_PREFIX)}([0-9a-f]{{8}})[0-9a-f]{{8}}(\..{{0,15}})?", re.DOTALL)

MOST_IN_MEMORY = 2**31  # bytes of the largest file that is held in memory: what is endless must end somewhere
PIECE = 2**20  # bytes that are read at a time
LEFT_AFTER = 24 * 3600  # seconds without a change, after which an unfinished file of another machine counts as left
_DIGITS = re.compile(r"([0-9]+)")
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

    Those of living processes stay, whatever writes them: a command line, a training, a program in Python.  On a disk
    that does not show whether a process of another machine lives, those stay that are younger than LEFT_AFTER.
    """
    folder = Path(folder)
    try:
        hidden = [name for name in os.listdir(folder) if name.startswith(TEMP_PREFIX)]
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return 0
    unfinished = {folder / name: match[1] for name in hidden if (match := UNFINISHED.fullmatch(name))}
    if not locks_hold(folder):
        latest = time.time() - LEFT_AFTER
        return sum(_remove_if(path, lambda status: status.st_mtime < latest) for path in unfinished)
    # Marks are looked at after the files that they are for.
    living = {writer for writer in set(unfinished.values()) if is_writing(folder, writer)}
    removed = sum(_remove_if(path) for path, writer in unfinished.items() if writer not in living)
    for writer in writers(folder) if hidden else ():
        is_writing(folder, writer)  # a dead one's mark goes
    return removed


def _remove_if(path: Path, condition: Callable[[os.stat_result], bool] = lambda status: True) -> bool:
    """Remove a regular file of which the condition holds; true if it is gone by that."""
    with suppress(OSError):
        status = path.stat()
        if stat.S_ISREG(status.st_mode) and condition(status):
            path.unlink()
            return True
    return False


def sha256_file(path: str | Path, size: int | None = None) -> str:
    """SHA-256 of a file's bytes, in hex.  Raises InputError.

    size: the bytes that a regular file had when somebody looked, which saves looking again.
    """
    if (found := _sha256_at_once(path, size)) is not None:
        return found
    with open_source(path) as (name, stream):
        if stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            return hashlib.file_digest(stream, "sha256").hexdigest()
        return hashlib.sha256(read_once(stream, name)).hexdigest()


def _sha256_at_once(path: str | Path, size: int | None) -> str | None:
    """The hash of a small file, by as few calls of the system as can be; None for another, or where one of them fails.

    A file that has another size by now is another too.
    """
    try:
        if size is None:
            status = os.stat(path)
            size = status.st_size if stat.S_ISREG(status.st_mode) else PIECE  # a pipe opened twice loses its writer
        if size >= PIECE:
            return None
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError):
        return None
    try:
        data = os.read(descriptor, size + 1)
        return hashlib.sha256(data).hexdigest() if len(data) == size else None
    except OSError:
        return None
    finally:
        os.close(descriptor)


def files_below(folder: str | Path, leave_out: Container[Path] = ()) -> Iterator[Path]:
    """Every file below a folder, in natural order; hidden files are passed over.

    Links to folders are followed, but never in a circle.
    leave_out: folders that are passed over, resolved; `folder` itself is not.
    Raises InputError for a folder that cannot be listed.
    """
    return map(Path, names_below(folder, leave_out))


def names_below(folder: str | Path, leave_out: Container[Path] = (), _above: tuple[Path, ...] = ()) -> Iterator[str]:
    """The same as text, for a million of them: a Path takes as long as all else, and ten times the memory."""
    real = Path(folder).resolve()
    if real in _above or (_above and real in leave_out):
        return
    start = "" if Path(folder) == Path() else os.path.join(Path(folder), "")
    names, special = [], set()  # the special are folders and links
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith("."):
                    names.append(entry.name)
                    if not entry.is_file(follow_symlinks=False):
                        special.add(entry.name)
    except OSError as error:
        raise InputError(
            f"{Path(folder)}: {error.strerror}: it cannot be listed; change its rights, or leave it out"
        ) from error
    names.sort()  # those that are alike to `_natural_part`
    names.sort(key=_natural_part)
    for name in names:
        path = start + name
        if name not in special:
            yield path
        elif Path(path).is_dir():
            yield from names_below(path, leave_out, (*_above, real))
        elif Path(path).is_file():
            yield path


def natural(name: str | PurePath) -> tuple:
    """The sort key in which frame2 comes before frame10: folder by folder, case ignored, and no two names are equal.

    Runs of digits compare as numbers of any length (by length without leading zeros, then digit by digit).
    """
    return tuple(map(_natural_part, PurePath(name).parts)), str(name)


def _natural_part(part: str) -> str:
    """The key of one part: a text in which a number is its length and its digits, after a sign that ends the text
    before it and is less than all others.
    """
    pieces = _DIGITS.split(part.casefold())  # text and digits in turn, text first
    for i in range(1, len(pieces), 2):
        digits = pieces[i].lstrip("0")
        pieces[i] = f"\0{chr(len(digits))}{digits}"
    return "".join(pieces)
