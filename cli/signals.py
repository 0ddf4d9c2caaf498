"""Ctrl-C and SIGTERM: the first ends the work by an exception, and no later one can leave a traceback.

An exception cannot end all waits: a thread that opens a pipe which nobody writes is waited for at the end of a process.
So the process leaves without its threads where the work has not ended in time.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from types import FrameType
from typing import Any

INTERRUPTED, TERMINATED = 130, 143  # exit codes
CODES = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}
WORDS = {INTERRUPTED: "interrupted", TERMINATED: "terminated"}
IN_TIME = 5.0  # seconds in which the work ends after the first signal
SOON = 1.0  # seconds after a second one


class Termination(BaseException):
    """The end of the program, asked for by SIGTERM."""


class SignalAnswers:
    """The answers of a command to signals: a context.

    The first SIGINT raises KeyboardInterrupt, the first SIGTERM Termination.  A later one raises nothing: what is being
    cleaned up is cleaned up, for a second at most.  SIGINT stays ignored where it is, as in the background of a shell.
    Outside the main thread, where Python delivers no signals, nothing is changed.
    code: the exit code of the first signal; None while there was none.
    """

    def __init__(self, *, alone: bool) -> None:
        """alone: the process is the command's, and may be left at any time."""
        self.alone, self.code = alone, None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> SignalAnswers:
        if threading.current_thread() is threading.main_thread():
            for number in CODES:
                if number != signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN:
                    self._previous[number] = signal.signal(number, self._answer)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            # What is done and told is not taken back by a signal that comes a moment later.
            signal.signal(number, signal.SIG_IGN if self.alone else handler)

    def _answer(self, number: int, frame: FrameType | None) -> None:
        first, self.code = self.code is None, self.code or CODES[signal.Signals(number)]
        if self.alone:
            timer = threading.Timer(IN_TIME if first else SOON, self._leave_late)
            timer.daemon = True
            timer.start()
        if first:
            raise KeyboardInterrupt if self.code == INTERRUPTED else Termination

    def _leave_late(self) -> None:
        """Leave a process whose work does not end."""
        with suppress(OSError):
            os.write(2, f"structkit: {WORDS[self.code]}\n".encode())  # sys.stderr may be held by the main thread
        os._exit(self.code)


def leave(code: int) -> None:
    """End the process at once: all is done and told, and neither threads nor signals can hold it up or spoil it."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
