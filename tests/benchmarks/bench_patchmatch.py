"""PatchMatch from seeds of different quality: time, and mean distance over the exact one.

    python tests/benchmarks/bench_patchmatch.py [--threads 2] [--pictures A.png B.png]

Seeds: the exact field with a fifth of its entries random; the exact field of the picture before one vote (an iteration
of the engine); the field of a level of 3/4 the size; none.  `exact` is `nearest_patches` in the same run.
"""

from __future__ import annotations

import functools

import torch
from measure import options, picture_pair, record, timed

from structkit.kernels.nearest_patches import nearest_patches
from structkit.kernels.patches import extract, patch_grid
from structkit.kernels.patchmatch import patchmatch, upscale_field
from structkit.kernels.pyramid import resize
from structkit.kernels.vote import vote

SIZE, PATCH = (256, 256), 7


def main() -> None:
    chosen = options(__doc__)
    name, query, key = picture_pair(chosen.pictures, SIZE)
    grid = patch_grid(SIZE, PATCH)
    g = torch.Generator().manual_seed(0)
    keys = extract(key, PATCH)
    exact = nearest_patches(extract(query, PATCH), keys)
    voted = vote(key, exact.index, grid, patch=PATCH)
    exact_of_voted = nearest_patches(extract(voted, PATCH), keys)

    off = torch.rand(len(exact.index), generator=g) < 0.2
    fifth = torch.where(off, torch.randint(len(keys), off.shape, generator=g), exact.index)
    small = [resize(image[None], (192, 192))[0] for image in (query, key)]
    coarse_grid = patch_grid((192, 192), PATCH)
    coarse = nearest_patches(*(extract(image, PATCH) for image in small)).index
    level = upscale_field(coarse, queries=(coarse_grid, grid), keys=(coarse_grid, grid))

    rows = []
    seeds = [("a fifth off", query, fifth, exact), ("one vote before", voted, exact.index, exact_of_voted)]
    seeds += [("coarser level", query, level, exact), ("none", query, None, exact)]
    for label, picture, seed, best in seeds:
        for iterations in (1, 2, 4, 8):
            how = {"patch": PATCH, "init": seed, "iterations": iterations, "generator": g}
            call = functools.partial(patchmatch, picture, key, **how)
            row = {
                "case": f"{len(keys)} x {len(keys)} x {keys.shape[1]}, seed {label}, {name}",
                "path": f"{iterations} iterations",
            }
            rows.append(
                row | timed(call, chosen.repeat) | {"ratio": f"{call().distance.mean() / best.distance.mean():.4f}"}
            )
    row = {"case": rows[0]["case"], "path": "exact"}
    rows.append(row | timed(lambda: nearest_patches(extract(query, PATCH), keys), 1) | {"ratio": "1.0000"})
    record(__file__, rows)


if __name__ == "__main__":
    main()
