"""The warnings of decoders, told apart by threads.

`warnings.catch_warnings` changes the whole process: of two threads inside it at once one would hear the other's
warnings, and whichever leaves last would put back what the other had changed.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

_lock = threading.Lock()
_changed = ExitStack()  # the state that the last thread which leaves puts back
_inside = 0  # number of threads inside
_heard = threading.local()


@contextmanager
def warnings_of_this_thread() -> Iterator[list[str]]:
    """A list that gets every warning which this thread raises inside, and which is then printed nowhere.

    Warnings of other threads go their way.
    """
    global _inside
    with _lock:
        if not _inside:
            _changed.enter_context(warnings.catch_warnings())
            warnings.simplefilter("always")
            warnings.showwarning = _sorted(warnings.showwarning)
        _inside += 1
    outer, _heard.messages = getattr(_heard, "messages", None), []
    try:
        yield _heard.messages
    finally:
        _heard.messages = outer
        with _lock:
            _inside -= 1
            if not _inside:
                _changed.close()


def _sorted(show: Any) -> Any:
    """The stand-in for `warnings.showwarning`: the list of a thread that has one, else as before."""

    def hear(message: Warning | str, *where: Any) -> None:
        messages = getattr(_heard, "messages", None)
        if messages is None:
            show(message, *where)
        else:
            messages.append(str(message))

    return hear
