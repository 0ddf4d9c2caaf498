"""structkit: manipulate structure in pictures and clips."""

from structkit._version import __version__

__all__ = ["__version__"]
