"""One training at a time for one output: a lock that the system itself gives back when its process ends, in whatever
way.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


@contextmanager
def held(path: Path) -> Iterator[bool]:
    """Hold the lock on the file `path`, which is made for this and removed at the end; yields whether it is ours.

    A file that a killed process left is no lock.  Where none can be had, on Windows or in a folder that cannot be
    written in, all get it.
    """
    try:
        descriptor = _locked(path)
    except BlockingIOError:
        yield False
        return
    try:
        yield True
    finally:
        if descriptor is not None:
            try:
                with suppress(OSError):
                    path.unlink()  # before it is given back: whoever then has it open sees that it is gone
            finally:
                os.close(descriptor)


def _locked(path: Path) -> int | None:
    """The descriptor that holds the lock, or None where there are none.  Raises BlockingIOError if another one holds
    it.
    """
    while fcntl is not None:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise
        except FileNotFoundError:  # it was removed between the two
            pass
        except OSError:  # a file system without locks
            os.close(descriptor)
            return None
        os.close(descriptor)
    return None
