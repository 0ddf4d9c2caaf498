"""The command line as `python -m structkit`, the same as `structkit`."""

import sys

from structkit_cli.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
