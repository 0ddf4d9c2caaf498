"""The program `structkit`, also `python -m structkit_cli`.  Nothing is imported before Ctrl-C can be answered."""

from __future__ import annotations

import os
import sys


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code.

    arguments: without the program's name; None: those of the process.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        # torch's threads spin while they wait for each other.  As long as is usual, that starves them where the cores
        # are shared: two runs at once on 2 cores took over 60 s each, and 7 s so; one alone took 3 s either way.
        os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    for name in ("stdin", "stdout", "stderr"):  # one that the shell closed (>&-) is None
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r+"))  # noqa: SIM115
    try:
        from structkit.device import keep_memory
        from structkit_cli.app import run

        keep_memory()
        return run(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        print("structkit: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
