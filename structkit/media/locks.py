"""Locks between processes: of one file, and of a folder in which several runs work at once.

The system gives a lock back when its process ends, in whatever way; a file that a killed process left is none.
Every lock is on a hidden file beside what it guards, and the process that has the lock removes its file.  Nobody is
misled by that: a lock counts only if its file still is the one at the path.  A lock on a file that was removed
meanwhile is given up and taken anew.
`filelock` does the locking, on Windows too; its own FileLock leaves the file where it is.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from structkit.media.files import TEMP_PREFIX

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

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mark = folder / MARK.format(secrets.token_hex(8))
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
        others = [path for path in self._folder.glob(MARK.format("*")) if path != self._mark]
        return self._descriptor is not None and all([_is_dead(path) for path in others])


def _is_dead(mark: Path) -> bool:
    """True for the mark of a dead run, which is then removed."""
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
