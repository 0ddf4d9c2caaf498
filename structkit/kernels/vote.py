"""Voting: a picture from chosen patches, each pixel the mean of all patch values that cover it.

What: GPNN's aggregation (Granot et al., CVPR 2022, sec. 3.2), uniform or with a Gaussian window over the patch.
Laws: an image's own patches vote for that image exactly; the mean lies between the values that cover the pixel; folding
a table of patches gives the same.  Sums are in float64, so that the first law holds to the last bit and the order of
addition cannot show. How: one gather of pixels per offset within the patch, added in place; the (N, D) table of patches
never exists.
Measured: tests/benchmarks/vote.csv.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from structkit.errors import OptionError
from structkit.kernels.patches import Patch, PatchTable, extract

Window = Literal["gaussian"] | None


@torch.no_grad()
def vote(values: Tensor, index: Tensor, query_grid: Sequence[int], *, patch: Patch, window: Window = None) -> Tensor:
    """The image whose patch at each position of `query_grid` is patch `index` of `values`, averaged where patches
    overlap.

    values (C, *space) float32; index (N,) int64 into the patch grid of `values`, one per position of query_grid,
    row-major.
    window: None for the plain mean, "gaussian" to let a patch's centre count more (see `profile`).
    Returns (C, *(query_grid + patch - 1)) float32; not differentiable.
    """
    table = PatchTable(values, patch)
    grid = tuple(query_grid)
    if index.numel() != math.prod(grid) or len(grid) != len(table.grid):
        raise OptionError(f"{index.numel()} indices for a grid of {grid} patches: expected one per patch")
    for extreme in (int(index.min()), int(index.max())):
        if not 0 <= extreme < len(table.corner):
            raise OptionError(f"a vote with patch {extreme} of an image that has {len(table.corner)}, counted from 0")
    corner = table.corner[index.reshape(-1)]
    profiles = [profile(side, window, values.device) for side in table.sides]
    if values.is_cuda:
        from structkit.kernels.vote_triton import gather_votes

        return gather_votes(table.pixels, table.space, corner, grid, profiles)
    return _gather(table, corner, grid, profiles)


def vote_reference(
    values: Tensor, index: Tensor, query_grid: Sequence[int], *, patch: int, window: Window = None
) -> Tensor:
    """The same for pictures: fold the (N, D) table of chosen patches, and divide by the folded window."""
    size = [g + patch - 1 for g in query_grid]
    line = profile(patch, window, values.device)
    weights = torch.outer(line, line).reshape(-1, 1).expand(-1, index.numel())
    rows = extract(values.double(), patch)[index.reshape(-1)].T * weights.repeat(len(values), 1)
    return (F.fold(rows, size, patch) / F.fold(weights, size, patch)).to(values)


def profile(side: int, window: Window, device: torch.device) -> Tensor:
    """(side,) float64 weights of a patch's pixels along one axis: 1, or a Gaussian of sigma 1.7 half-sides (0.84 at the
    edge).
    """
    if window not in (None, "gaussian"):
        raise OptionError(f"vote window is {window!r}: choose None or 'gaussian'")
    at = (torch.arange(side, dtype=torch.float64, device=device) - (side - 1) / 2) / max(1, side - 1) * 2
    return torch.exp(-0.5 * (at / 1.7) ** 2) if window else torch.ones_like(at)


def _gather(table: PatchTable, corner: Tensor, grid: tuple[int, ...], profiles: list[Tensor]) -> Tensor:
    pixels = table.pixels.double()
    picked, at = pixels.new_empty(len(corner), pixels.shape[1]), torch.empty_like(corner)
    total = pixels.new_zeros(*(g + p - 1 for g, p in zip(grid, table.sides, strict=True)), pixels.shape[1])
    for offset, flat in table.offsets():
        torch.index_select(pixels, 0, torch.add(corner, flat, out=at), out=picked)
        weight = math.prod(float(line[o]) for line, o in zip(profiles, offset, strict=True))
        total[tuple(slice(o, o + g) for o, g in zip(offset, grid, strict=True))].add_(
            picked.view(*grid, -1), alpha=weight
        )
    total = total.movedim(-1, 0)
    for axis, (line, g) in enumerate(zip(profiles, grid, strict=True), start=1):
        total /= _coverage(line, g).reshape(-1, *(1,) * (len(grid) - axis))
    return total.to(table.pixels.dtype, memory_format=torch.contiguous_format)


def _coverage(line: Tensor, positions: int) -> Tensor:
    """(positions + side - 1,) sum of the weights that cover each pixel of one axis."""
    total = line.new_zeros(positions + len(line) - 1)
    for offset, weight in enumerate(line):
        total[offset : offset + positions] += weight
    return total
