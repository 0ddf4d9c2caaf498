"""Voting by gathers beside folding a table of patches.

python tests/benchmarks/bench_vote.py [--threads 2]
"""

from __future__ import annotations

import math

import torch
from measure import natural_picture, options, record, timed

from structkit.kernels.patches import patch_grid
from structkit.kernels.vote import vote, vote_reference


def main() -> None:
    chosen = options(__doc__)
    rows = []
    for side in (64, 256, 512):
        values, grid = natural_picture(side, side, seed=1), patch_grid((side, side), 7)
        index = torch.randint(math.prod(grid), (math.prod(grid),), generator=torch.Generator().manual_seed(0))
        for name, path in (("structkit", vote), ("fold", vote_reference)):
            numbers = timed(lambda p=path, v=values, i=index, n=grid: p(v, i, n, patch=7), chosen.repeat)
            rows.append({"case": f"{side} x {side}, patch 7, uniform", "path": name} | numbers)
    record(__file__, rows)


if __name__ == "__main__":
    main()
