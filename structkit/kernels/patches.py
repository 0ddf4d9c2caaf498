"""Patches of a picture as rows of a table, and the grid of positions they come from.

Images are (C, *space): (C, H, W) for pictures, (C, T, H, W) for clips.  A patch has `patch` pixels per axis (an int, or one
number per axis) and lies wholly inside, so that positions form a grid of `space - patch + 1`; row i is position i in row-major
order, and holds D = C * prod(patch) values in the order channel, then space.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from structkit.errors import OptionError


class Nearest(NamedTuple):
    """For each query, its nearest key: index (N,) int64 and mean squared distance (N,) float32, not weighted."""

    index: Tensor
    distance: Tensor


def patch_sides(patch: int | Sequence[int], axes: int) -> tuple[int, ...]:
    """`patch` as one side per axis."""
    sides = (patch,) * axes if isinstance(patch, int) else tuple(patch)
    if len(sides) != axes or min(sides) < 1:
        raise OptionError(f"patch is {patch}: it must be a positive side, or {axes} of them")
    return sides


def patch_grid(space: Sequence[int], patch: int | Sequence[int]) -> tuple[int, ...]:
    """Number of patch positions along each axis of an image whose sides are `space`."""
    grid = tuple(side - p + 1 for side, p in zip(space, patch_sides(patch, len(space)), strict=True))
    if min(grid) < 1:
        raise OptionError(f"an image of {tuple(space)} px is smaller than one patch of {patch} px: use a larger image or a smaller patch")
    return grid


def extract(image: Tensor, patch: int | Sequence[int]) -> Tensor:
    """All overlapping patches of image (C, *space): (N, D), row-major positions."""
    axes = image.dim() - 1
    sides = patch_sides(patch, axes)
    grid = patch_grid(image.shape[1:], sides)
    for axis, side in enumerate(sides, start=1):
        image = image.unfold(axis, side, 1)
    order = (*range(1, axes + 1), 0, *range(axes + 1, 2 * axes + 1))
    return image.permute(order).reshape(math.prod(grid), -1)
