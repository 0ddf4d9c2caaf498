"""Locks between processes: of one file, of a folder in which several runs work at once, and of unfinished files.

The system gives a lock back when its process ends, in whatever way; a file that a killed process left is none.
Every lock is on a hidden file beside what it guards, and the process that has the lock removes its file.  Nobody is
misled by that: a lock counts only if its file still is the one at the path.  A lock on a file that was removed
meanwhile is given up and taken anew.
`filelock` does the locking, on Windows too; its own FileLock leaves the file where it is.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TEMP_PREFIX = ".structkit-"  # begins the name of a file that is being written, or is a lock; no listing shows it
WRITER = f"{TEMP_PREFIX}{{}}.writer"
GATE = f"{TEMP_PREFIX}runs.gate"
MARK = f"{TEMP_PREFIX}run-{{}}.mark"


@contextmanager
def held(path: Path, *, blocking: bool = False) -> Iterator[bool]:
    """The lock of the file `path`, for the time of a block; yields true if it is ours.

    blocking: true to wait for the lock.
    The file is made for this and removed at the end.  Where no lock can be had, in a folder that cannot be written in
    or on a file system without them, all get it.
    """
    try:
        descriptor = _locked(path, blocking=blocking)
    except BlockingIOError:
        yield False
        return
    try:
        yield True
    finally:
        _give_back(path, descriptor)


class FolderLock:
    """A lock of a folder that many runs share: each has a mark in it, a hidden file that it keeps locked.

    A mark that is not locked is a dead run's, and the next run removes it.  Runs come and go one at a time, through a
    gate; a run that passes it alone may do in the folder what would disturb others.  A run that cannot lock its mark
    never counts as alone.
    """

    def __init__(self, folder: Path, name: str = "") -> None:
        """name: of the run, for `runs_at_work`."""
        self._folder = folder
        token = secrets.token_hex(8)
        self._mark = folder / MARK.format(f"{name}-{token}" if name else token)
        self._descriptor: int | None = None

    @contextmanager
    def entering(self) -> Iterator[bool]:
        """The time of coming in, while no other run comes or goes; yields true if no other one is there.

        An error inside the context makes the run leave.
        """
        with held(self._folder / GATE, blocking=True):
            self._descriptor = _locked(self._mark)
            try:
                yield self._is_alone()
            except BaseException:
                self._leave()
                raise

    @contextmanager
    def leaving(self) -> Iterator[bool]:
        """The time of going out, while no other run comes or goes; yields true if no other one is there."""
        with held(self._folder / GATE, blocking=True):
            try:
                yield self._is_alone()
            finally:
                self._leave()

    def _leave(self) -> None:
        _give_back(self._mark, self._descriptor)
        self._descriptor = None

    def _is_alone(self) -> bool:
        others = [self._folder / name for name in _names(self._folder, MARK) if name != self._mark.name]
        return self._descriptor is not None and all([_is_dead(path) for path in others])


def runs_at_work(folder: Path) -> set[str]:
    """The names of the runs that have the lock of the folder, see `FolderLock`; a dead one's mark is removed."""
    with held(folder / GATE, blocking=True):  # else a mark could be looked at that its run is about to lock
        names = [name for name in _names(folder, MARK) if not _is_dead(folder / name)]
    return {name.removeprefix(MARK.split("{}")[0]).rpartition("-")[0] for name in names}


class WriterMarks:
    """The marks of a process in the folders where it has unfinished files: hidden files that it keeps locked.

    A mark is there before the first of these files, and goes after the last: an unfinished file whose writer has no
    locked mark beside it is a dead process's.  A process has one mark in a folder, however many files it writes there.
    name: of the writer; the names of its unfinished files begin with it.
    """

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self.name = secrets.token_hex(4)
        self._lock = threading.Lock()
        self._descriptors: dict[Path, int | None] = {}  # of the marks, by their folders
        self._counts: dict[Path, int] = {}  # of unfinished files

    def enter(self, folder: Path) -> None:
        """Mark the folder for one more file."""
        with self._lock:
            if folder not in self._counts:
                self._descriptors[folder] = _locked(self._mark(folder), blocking=True)
            self._counts[folder] = self._counts.get(folder, 0) + 1

    def leave(self, folder: Path) -> None:
        """Count a file as finished, or as given up."""
        with self._lock:
            if folder not in self._counts:  # entered before a fork, by the parent
                return
            self._counts[folder] -= 1
            if not self._counts[folder]:
                del self._counts[folder]
                if (descriptor := self._descriptors.pop(folder)) is not None:
                    _give_back(self._mark(folder), descriptor)
                else:  # a file system without locks
                    with suppress(OSError):
                        self._mark(folder).unlink()

    def renew(self) -> None:
        """Begin as another writer, in the child of a fork: the marks stay the parent's."""
        for descriptor in self._descriptors.values():
            if descriptor is not None:
                os.close(descriptor)
        self._begin()

    def _mark(self, folder: Path) -> Path:
        return folder / WRITER.format(self.name)


MARKS = WriterMarks()  # of this process
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=MARKS.renew)


def is_writing(folder: Path, writer: str) -> bool:
    """True if the writer of this name lives and has unfinished files in the folder; a dead one's mark is removed.

    Where there are no locks a writer lives as long as its mark is there.
    """
    mark = folder / WRITER.format(writer)
    return mark.exists() and not _is_dead(mark)


def writers(folder: Path) -> list[str]:
    """The names of the writers that have marks in the folder, dead ones too."""
    before, after = WRITER.split("{}")
    return [name.removeprefix(before).removesuffix(after) for name in _names(folder, WRITER)]


def _names(folder: Path, pattern: str) -> list[str]:
    """The names of files of a pattern in a folder, which may have millions of others."""
    before, after = pattern.split("{}")
    return [name for name in os.listdir(folder) if name.startswith(before) and name.endswith(after)]


def _is_dead(mark: Path) -> bool:
    """True for the mark of a dead process, which is then removed."""
    try:
        descriptor = _locked(mark)
    except BlockingIOError:
        return False
    _give_back(mark, descriptor)
    return descriptor is not None


def _locked(path: Path, *, blocking: bool = False) -> int | None:
    """The descriptor that holds the lock, or None where there are no locks.

    Raises BlockingIOError if another process holds it.
    """
    import filelock  # a tenth of the command line's start, and most commands take no lock

    while True:
        try:
            descriptor = _opened(path)
        except OSError:
            return None
        try:
            if not filelock.lock_descriptor(descriptor, blocking=blocking):
                raise BlockingIOError
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise
        except FileNotFoundError:  # the file was removed between the two
            pass
        except OSError:  # a file system without locks
            os.close(descriptor)
            return None
        except BaseException:  # Ctrl-C, while it waits
            os.close(descriptor)
            raise
        os.close(descriptor)


def _opened(path: Path) -> int:
    """A descriptor of the file, which is made if need be; another user's may be no more than readable."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:
        return os.open(path, os.O_RDONLY)


def _give_back(path: Path, descriptor: int | None) -> None:
    """Remove the file of a lock, then give the lock back: whoever has the file open sees that it is gone."""
    if descriptor is None:
        return
    try:
        with suppress(OSError):
            path.unlink()
    finally:
        os.close(descriptor)
        if os.name == "nt":  # Windows removes no file that is open, so that one removed now is nobody's
            with suppress(OSError):
                path.unlink()
