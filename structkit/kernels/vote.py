"""Voting: an image from chosen patches, each pixel the mean of all patch values that cover it.

What: GPNN's aggregation (Granot et al., CVPR 2022, sec. 3.2), uniform over the patch; pictures and clips.  Patches may
have weights: where those that fit badly count for less, what they disagree on stays sharp.
Laws: an image's own patches vote for that image exactly; the mean lies between the values that cover the pixel; folding
a table of patches gives the same; a clip of one frame gives the picture's bits.  Sums are in float64, so that the first
law holds to the last bit and the order of addition cannot show.
How: one gather of pixels per offset within the patch, added in place; the (N, D) table of patches never exists.
Measured: tests/benchmarks/vote.csv.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from structkit.errors import OptionError
from structkit.kernels.patches import Patch, PatchTable, extract, patch_sides


@torch.no_grad()
def vote(
    values: Tensor, index: Tensor, query_grid: Sequence[int], *, patch: Patch, weights: Tensor | None = None
) -> Tensor:
    """Image whose patch at each position of `query_grid` is patch `index` of `values`, averaged where patches
    overlap.

    values (C, *space) float32; index (N,) int64 into the patch grid of `values`, one per position of query_grid,
    row-major.  weights (N,): of these patches, above 0; None: all the same.
    Returns (C, *(query_grid + patch - 1)) float32; not differentiable.
    Raises OptionError for an index that does not fit, and for weights that do not.
    """
    table = PatchTable(values, patch)
    grid = tuple(query_grid)
    if index.numel() != math.prod(grid) or len(grid) != len(table.grid):
        raise OptionError(f"{index.numel()} indices for a grid of {grid} patches: expected one per patch")
    for extreme in (int(index.min()), int(index.max())):
        if not 0 <= extreme < len(table.corner):
            raise OptionError(f"a vote with patch {extreme} of an image that has {len(table.corner)}, counted from 0")
    if weights is not None and (weights.shape != (index.numel(),) or not bool((weights > 0).all())):
        raise OptionError(
            f"{tuple(weights.shape)} weights for {index.numel()} patches: expected one per patch, above 0"
        )
    corner = table.corner[index.reshape(-1)]
    if values.is_cuda:
        from structkit.kernels.vote_triton import gather_votes

        return gather_votes(table.pixels, table.space, corner, grid, table.sides, weights)
    return _gather(table, corner, grid) if weights is None else _gather_weighted(table, corner, grid, weights)


def vote_reference(
    values: Tensor, index: Tensor, query_grid: Sequence[int], *, patch: Patch, weights: Tensor | None = None
) -> Tensor:
    """The oracle of `vote`, for pictures: fold the (N, D) table of chosen patches, and divide by the folded ones."""
    sides = patch_sides(patch, 2)
    shape = [g + side - 1 for g, side in zip(query_grid, sides, strict=True)]
    rows = extract(values.double(), sides)[index.reshape(-1)].T
    ones = rows.new_ones(math.prod(sides), index.numel())
    if weights is not None:
        rows, ones = rows * weights, ones * weights
    return (F.fold(rows, shape, sides) / F.fold(ones, shape, sides)).to(values)


def _gather_weighted(table: PatchTable, corner: Tensor, grid: tuple[int, ...], weights: Tensor) -> Tensor:
    """The weighted mean: the weights are voted for as a channel more, which is 1 everywhere."""
    pixels = torch.cat([table.pixels, torch.ones_like(table.pixels[:, :1])], 1).double()
    picked, weights = pixels.new_empty(len(corner), pixels.shape[1]), weights[:, None].double()
    total = pixels.new_zeros(*(g + side - 1 for g, side in zip(grid, table.sides, strict=True)), pixels.shape[1])
    for offset, flat in table.offsets():
        torch.index_select(pixels, 0, corner + flat, out=picked)
        total[_part(offset, grid)].add_(picked.mul_(weights).view(*grid, -1))
    return (
        (total[..., :-1] / total[..., -1:]).movedim(-1, 0).to(table.pixels.dtype, memory_format=torch.contiguous_format)
    )


def _part(offset: tuple[int, ...], grid: tuple[int, ...]) -> tuple[slice, ...]:
    """The part of an image that the pixels `offset` of all patches cover."""
    return tuple(slice(o, o + g) for o, g in zip(offset, grid, strict=True))


def _gather(table: PatchTable, corner: Tensor, grid: tuple[int, ...]) -> Tensor:
    pixels = table.pixels.double()
    picked, at = pixels.new_empty(len(corner), pixels.shape[1]), torch.empty_like(corner)
    total = pixels.new_zeros(*(g + side - 1 for g, side in zip(grid, table.sides, strict=True)), pixels.shape[1])
    for offset, flat in table.offsets():
        torch.index_select(pixels, 0, torch.add(corner, flat, out=at), out=picked)
        total[_part(offset, grid)].add_(picked.view(*grid, -1))
    total = total.movedim(-1, 0)
    for axis, (side, g) in enumerate(zip(table.sides, grid, strict=True), start=1):
        total /= _coverage(side, g, total).reshape(-1, *(1,) * (len(grid) - axis))
    return total.to(table.pixels.dtype, memory_format=torch.contiguous_format)


def _coverage(side: int, positions: int, like: Tensor) -> Tensor:
    """Number (positions + side - 1,) of patches that cover each pixel of one axis."""
    total = like.new_zeros(positions + side - 1)
    for offset in range(side):
        total[offset : offset + positions] += 1
    return total
