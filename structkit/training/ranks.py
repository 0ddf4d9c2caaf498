"""The rank of this process among those that torchrun started.

Free of torch: the command line asks before it says anything.
"""

from __future__ import annotations

import os

from structkit.errors import OptionError


def rank_and_size() -> tuple[int, int]:
    """The rank of this process and the number of processes; 0 and 1 without torchrun, which sets both variables.

    Raises OptionError for values that torchrun would not set.
    """
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return 0, 1
    rank, size = os.environ["RANK"], os.environ["WORLD_SIZE"]
    if not (rank.isdecimal() and size.isdecimal() and int(rank) < int(size)):
        raise OptionError(
            f"RANK is {rank!r} and WORLD_SIZE is {size!r} in the environment: let torchrun set both, or remove them"
        )
    return int(rank), int(size)
