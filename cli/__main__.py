"""`structkit`, also `python -m structkit_cli`.  Nothing is imported before Ctrl-C can be answered."""

from __future__ import annotations

import sys


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code.  arguments: without the program's name; by default those of the process."""
    try:
        from structkit_cli.app import run

        return run(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        print("structkit: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
