"""The rank of this process among those that torchrun started.

Free of torch: the command line asks before it says anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from structkit.errors import OptionError

_apart = False  # whether this process works apart from the others now


@contextmanager
def apart() -> Iterator[None]:
    """A context in which this process works apart from the others: what it trains, it trains alone.

    So do those that share a batch: each has other inputs, and would wait for the others for ever.
    """
    global _apart
    before, _apart = _apart, True
    try:
        yield
    finally:
        _apart = before


def rank_and_size() -> tuple[int, int]:
    """The rank of this process and the number of processes; 0 and 1 without torchrun, which sets both variables.

    In a process that works `apart` these are 0 and 1 too.
    Raises OptionError for values that torchrun would not set.
    """
    if _apart or "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return 0, 1
    rank, size = os.environ["RANK"], os.environ["WORLD_SIZE"]
    if not (rank.isdecimal() and size.isdecimal() and int(rank) < int(size)):
        raise OptionError(
            f"RANK is {rank!r} and WORLD_SIZE is {size!r} in the environment: let torchrun set both, or remove them"
        )
    return int(rank), int(size)
