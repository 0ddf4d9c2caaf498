"""The program `structkit`, also `python -m structkit_cli`.  Signals wait until they can be answered."""

from __future__ import annotations

import os
import signal
import sys


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code.

    arguments: without the program's name; None: those of the process, which is left with the exit code.
    """
    alone = arguments is None
    if "OMP_WAIT_POLICY" not in os.environ:
        # torch's threads spin while they wait for each other.  As long as is usual, that starves them where the cores
        # are shared: two runs at once on 2 cores took over 60 s each, and 7 s so; one alone took 3 s either way.
        os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    if can_wait := hasattr(signal, "pthread_sigmask"):  # not on Windows
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    from structkit_cli import signals
    from structkit_cli.streams import replace_closed

    replace_closed()
    try:
        with signals.SignalAnswers(alone=alone):
            if can_wait:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            from structkit.device import keep_memory
            from structkit_cli.app import run

            keep_memory()
            code = run(sys.argv[1:] if arguments is None else arguments)
    except (KeyboardInterrupt, signals.Termination) as ending:
        code = signals.told(ending)
    if alone:
        signals.leave(code)
    return code


if __name__ == "__main__":
    sys.exit(main())
