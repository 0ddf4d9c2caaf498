"""Ctrl-C and SIGTERM: the first ends the work by an exception, and no later one can leave a traceback.

An exception cannot end all waits: a thread that opens a pipe which nobody writes is waited for at the end of a process.
So the process leaves without its threads where the work has not ended in time.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
from contextlib import suppress
from types import FrameType
from typing import Any, ClassVar

from structkit_cli.streams import tell

INTERRUPTED, TERMINATED = 130, 143  # exit codes
CODES = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}
WORDS = {INTERRUPTED: "interrupted", TERMINATED: "terminated"}
IN_TIME = 5.0  # seconds in which the work ends after the exception of the first signal
LOADED_IN_TIME = 30.0  # seconds in which an import ends that the first signal has come into
SOON = 1.0  # seconds after a second one


class Termination(BaseException):
    """The end of the program, asked for by SIGTERM."""


class SignalAnswers:
    """The answers of a command to signals: a context.

    The first SIGINT raises KeyboardInterrupt, the first SIGTERM Termination.  During an import the exception waits for
    the import's end: libraries drop what is raised while they load, are broken by it, or abort the process.
    A later signal raises nothing: what is being cleaned up is cleaned up, for a second at most.
    SIGINT stays ignored where it is, as in the background of a shell.
    Outside the main thread, where Python delivers no signals, nothing is changed.
    code: the exit code of the first signal; None while there was none.
    present: the answers of the command that runs; None where none runs.
    """

    present: ClassVar[SignalAnswers | None] = None

    def __init__(self, *, alone: bool) -> None:
        """alone: the process is the command's, and may be left at any time."""
        self.alone, self.code = alone, None
        self._previous: dict[int, Any] = {}
        self._outer: SignalAnswers | None = None
        self._caller: FrameType | None = None

    def __enter__(self) -> SignalAnswers:
        self._outer, SignalAnswers.present = SignalAnswers.present, self
        self._caller = sys._getframe(1)
        if threading.current_thread() is threading.main_thread():
            for number in CODES:
                if number != signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN:
                    self._previous[number] = signal.signal(number, self._answer)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            # What is done and told is not taken back by a signal that comes a moment later.
            signal.signal(number, signal.SIG_IGN if self.alone else handler)
        SignalAnswers.present, self._caller = self._outer, None

    def raise_swallowed(self) -> None:
        """Raise the exception of the first signal anew, if there was one: somebody may have caught it.

        For the main thread, between pieces of work.
        """
        if self.code is not None:
            raise KeyboardInterrupt if self.code == INTERRUPTED else Termination

    def _answer(self, number: int, frame: FrameType | None) -> None:
        if self.code is not None:
            self._leave_after(SOON)
            return
        self.code = CODES[signal.Signals(number)]
        if load := self._outermost_import(frame):
            self._leave_after(LOADED_IN_TIME)
            sys.setprofile(functools.partial(self._raise_after, load))
        else:
            self._leave_after(IN_TIME)
            self.raise_swallowed()

    def _outermost_import(self, frame: FrameType | None) -> FrameType | None:
        """The frame of the first of the imports that are under way in the command; None where there is none."""
        found = None
        while frame is not None and frame is not self._caller:
            if frame.f_code.co_filename.startswith("<frozen importlib."):
                found = frame
            frame = frame.f_back
        return found

    def _raise_after(self, load: FrameType, frame: FrameType, event: str, _: object) -> None:
        """Raise the exception of the first signal at the end of an import.  Called by Python at each call and return.

        load: the frame of the import.
        """
        if frame is load and event == "return":
            sys.setprofile(None)
            self._leave_after(IN_TIME)
            self.raise_swallowed()

    def _leave_after(self, seconds: float) -> None:
        """Leave the process, if it is the command's and has not ended by then."""
        if self.alone:
            timer = threading.Timer(seconds, self._leave_late)
            timer.daemon = True
            timer.start()

    def _leave_late(self) -> None:
        """Leave a process whose work does not end."""
        with suppress(OSError):
            os.write(2, f"structkit: {WORDS[self.code]}\n".encode())  # sys.stderr may be held by the main thread
        os._exit(self.code)


def raise_swallowed() -> None:
    """Raise the exception of the present command's first signal anew: see SignalAnswers."""
    if SignalAnswers.present is not None:
        SignalAnswers.present.raise_swallowed()


def code_of(ending: BaseException) -> int:
    """The exit code of a command that KeyboardInterrupt or Termination has ended."""
    return TERMINATED if isinstance(ending, Termination) else INTERRUPTED


def told(ending: BaseException) -> int:
    """The exit code of a command that KeyboardInterrupt or Termination has ended; the line about it is told."""
    tell(WORDS[code_of(ending)])
    return code_of(ending)


def leave(code: int) -> None:
    """End the process at once: all is done and told, and neither threads nor signals can hold it up or spoil it."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
