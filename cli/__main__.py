"""`structkit`, also `python -m structkit_cli`.  Nothing is imported before Ctrl-C can be answered."""

from __future__ import annotations

import os
import sys


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code.  arguments: without the program's name; by default those of the process."""
    for name in ("stdin", "stdout", "stderr"):  # one that the shell closed (>&-) is None
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r+"))  # noqa: SIM115
    try:
        from structkit_cli.app import run

        return run(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        print("structkit: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
