"""PatchMatch: approximate nearest patches by spreading good matches to neighbours."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from structkit.errors import OptionError
from structkit.kernels.patches import Nearest, extract, patch_grid


def patchmatch(
    queries: Tensor,
    keys: Tensor,
    *,
    patch: int | Sequence[int],
    weights: Tensor | None = None,
    init: Tensor | None = None,
    iterations: int = 4,
    generator: torch.Generator,
) -> Nearest:
    """Approximate argmin_j weights[j] * mean((query patch i - key patch j)^2) over the patches of two images.

    queries (C, *space), keys (C, *other space); weights (M,) per key patch; init: index (N,) or (*query grid) of a previous
    field, or None for a random one; the result is never worse than it at any position.  Returns flat fields, (N,) each.
    """
    query_grid, key_grid = patch_grid(queries.shape[1:], patch), patch_grid(keys.shape[1:], patch)
    count = math.prod(key_grid)
    rows, table = extract(queries, patch), extract(keys, patch)
    if init is None:
        init = torch.randint(count, (math.prod(query_grid),), generator=generator)
    if init.numel() != len(rows) or int(init.min()) < 0 or int(init.max()) >= count:
        raise OptionError(f"the initial field of a patch search has {init.numel()} entries: expected {len(rows)} indices below {count}")
    index = init.reshape(query_grid).clone()
    at = torch.stack(torch.meshgrid(*(torch.arange(g) for g in query_grid), indexing="ij"))
    limit = torch.tensor(key_grid).reshape(-1, *(1,) * len(query_grid))

    def score(candidate: Tensor) -> Tensor:
        distance = (rows - table[candidate.reshape(-1)]).square().mean(1)
        return (distance if weights is None else distance * weights[candidate.reshape(-1)]).reshape(query_grid)

    best = score(index)

    def propose(position: Tensor) -> None:
        nonlocal best
        position = torch.minimum(position.clamp(min=0), limit - 1)
        candidate = torch.zeros_like(index)
        for axis, side in enumerate(key_grid):
            candidate = candidate * side + position[axis]
        value = score(candidate)
        better = value < best
        index[better] = candidate[better]
        best = torch.where(better, value, best)

    for _ in range(iterations):
        for step in (8, 4, 1):
            for axis in range(len(query_grid)):
                for shift in (step, -step):
                    shifted = torch.stack(torch.unravel_index(index, key_grid)) - at
                    propose(torch.roll(shifted, shift, axis + 1) + at)
        radius = max(key_grid)
        while radius >= 1:
            noise = torch.randint(-radius, radius + 1, at.shape, generator=generator)
            propose(torch.stack(torch.unravel_index(index, key_grid)) + noise)
            radius //= 4
    index = index.reshape(-1)
    return Nearest(index, (rows - table[index]).square().mean(1))


def upscale_field(index: Tensor, *, queries: tuple[Sequence[int], Sequence[int]], keys: tuple[Sequence[int], Sequence[int]]) -> Tensor:
    """A field of a coarse level as the seed of the next finer one.

    index (N,): a position of the coarse key grid per position of the coarse query grid.  queries, keys: (coarse grid, fine grid)
    of the query and the key image.  Returns (N fine,) int64 positions of the fine key grid.  Queries between two coarse ones keep
    their offset, so that a copied block stays a copied block.
    """
    coarse = torch.stack(torch.unravel_index(index.reshape(tuple(queries[0])), tuple(keys[0])))
    near, rest = [], []
    for few, many in zip(*queries, strict=True):
        exact = torch.arange(many, device=index.device) * ((few - 1) / max(1, many - 1))
        near.append(exact.round().long())
        rest.append((exact - near[-1]) * ((many - 1) / max(1, few - 1)))
    picked = coarse[(slice(None), *torch.meshgrid(*near, indexing="ij"))]
    result = torch.zeros_like(picked[0])
    for axis, offset in enumerate(torch.meshgrid(*rest, indexing="ij")):
        few, many = keys[0][axis], keys[1][axis]
        position = picked[axis] * ((many - 1) / max(1, few - 1)) + offset
        result = result * many + position.round().long().clamp(0, many - 1)
    return result.reshape(-1)
