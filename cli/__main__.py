"""The program `structkit`, also `python -m structkit_cli`.  Nothing is imported before Ctrl-C can be answered."""

from __future__ import annotations

import os
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
    try:
        from structkit_cli.signals import Termination
    except KeyboardInterrupt:
        print("structkit: interrupted", file=sys.stderr)
        return 130
    try:
        from structkit_cli.streams import replace_closed

        replace_closed()
        from structkit.device import keep_memory
        from structkit_cli.app import run

        keep_memory()
        code = run(sys.argv[1:] if arguments is None else arguments, alone=alone)
    except (KeyboardInterrupt, Termination) as signal:
        code = 130 if isinstance(signal, KeyboardInterrupt) else 143
        print("structkit: interrupted" if code == 130 else "structkit: terminated", file=sys.stderr)
    if alone:
        from structkit_cli.signals import leave

        leave(code)
    return code


if __name__ == "__main__":
    sys.exit(main())
