"""Patches of a picture, as rows of a table or read in place, and the grid of positions they come from.

Images are (C, *space): (C, H, W) for pictures, (C, T, H, W) for clips.  A patch has `patch` pixels per axis (an int, or
one number per axis) and lies wholly inside, so that positions form a grid of `space - patch + 1`; position i is the
i-th in row-major order.  As a row a patch holds D = C * prod(patch) values in the order channel, then space.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from structkit.errors import OptionError

Patch = int | Sequence[int]


class Nearest(NamedTuple):
    """Nearest key of each query: index (N,) int64 and mean squared distance (N,) float32, not weighted."""

    index: Tensor
    distance: Tensor


def patch_sides(patch: Patch, axes: int) -> tuple[int, ...]:
    """Sides of a patch, one per axis.  Raises OptionError for a side below 1, and for too few or too many."""
    sides = (patch,) * axes if isinstance(patch, int) else tuple(patch)
    if len(sides) != axes or min(sides) < 1:
        raise OptionError(f"patch is {patch}: it must be a positive side, or {axes} of them")
    return sides


def patch_grid(space: Sequence[int], patch: Patch) -> tuple[int, ...]:
    """Number of patch positions along each axis of an image whose sides are `space`.

    Raises OptionError for an image that is smaller than one patch.
    """
    sides = patch_sides(patch, len(space))
    grid = tuple(side - p + 1 for side, p in zip(space, sides, strict=True))
    if min(grid) < 1:
        image, one = (" x ".join(map(str, lengths)) for lengths in (space, sides))
        raise OptionError(
            f"an image of {image} px is smaller than one patch of {one} px: use a larger image or a smaller patch"
        )
    return grid


def extract(image: Tensor, patch: Patch) -> Tensor:
    """Table (N, D) of all overlapping patches of image (C, *space), row-major positions."""
    axes = image.dim() - 1
    sides = patch_sides(patch, axes)
    grid = patch_grid(image.shape[1:], sides)
    for axis, side in enumerate(sides, start=1):
        image = image.unfold(axis, side, 1)
    order = (*range(1, axes + 1), 0, *range(axes + 1, 2 * axes + 1))
    return image.permute(order).reshape(math.prod(grid), -1)


def finite(values: Tensor) -> bool:
    """Whether all values are: one sum tells it, unless it overflows."""
    return bool(values.sum().isfinite()) or bool(values.isfinite().all())


class PatchTable:
    """Patches read in place: row i of `pixels` is pixel i with all its channels, next to each other in memory.

    corner (grid positions,) is the pixel at which a patch starts, and offsets() walks over the pixels of a patch, so
    that pixel `offset` of patch i is `pixels[corner[i] + flat]`.  The cost is the image once, where the rows of all
    patches cost it D / C times.
    """

    def __init__(self, image: Tensor, patch: Patch) -> None:
        channels, *space = image.shape
        self.space, self.sides = tuple(space), patch_sides(patch, len(space))
        self.grid = patch_grid(space, self.sides)
        self.pixels = image.reshape(channels, -1).T.contiguous()
        flat = torch.arange(math.prod(space), device=image.device).reshape(space)
        self.corner = flat[tuple(slice(g) for g in self.grid)].reshape(-1)
        self._strides = [math.prod(space[axis + 1 :]) for axis in range(len(space))]

    def offsets(self) -> Iterator[tuple[tuple[int, ...], int]]:
        """Pixels of a patch: their coordinates in it, and how far each lies from the corner in `pixels`."""
        for offset in itertools.product(*(range(side) for side in self.sides)):
            yield offset, sum(o * stride for o, stride in zip(offset, self._strides, strict=True))

    def strips(self) -> tuple[Tensor, list[int]]:
        """Patches as lines of pixels along the last axis: (lines, side * C), read in place, one line for each pixel
        that it may start at; and how far the lines of a patch lie from its corner.
        """
        channels, side = self.pixels.shape[1], self.sides[-1]
        lines = self.pixels.flatten().as_strided((len(self.pixels) - side + 1, side * channels), (channels, 1))
        return lines, [flat for offset, flat in self.offsets() if offset[-1] == 0]

    def rows(self, index: Tensor) -> Tensor:
        """Table (N, D) of the patches at positions index (N,), as `extract` orders them."""
        flat = torch.tensor([flat for _, flat in self.offsets()], device=index.device)
        return self.pixels[self.corner[index][:, None] + flat].transpose(1, 2).reshape(len(index), -1)
