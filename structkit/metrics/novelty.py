"""Novelty: where in the real clip each patch of a sample comes from, and how orderly these places are.

What: the nearest-neighbour field of SinFusion (Nikankin et al., ICML 2023, sec. 7.2).  For each patch of 3 x 3 x 3 of
the sample the field holds how far from its own place the nearest patch of the real clip lies.  A sample that repeats
large pieces of the real clip has a field of large constant areas, which is compressed well.
Expect: 0 for a copy; 0.4 to 0.6 for clips that were generated from patches or by networks.  The figure depends on how
well the nearest patches are found, and is to be compared with others of the same program alone.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from structkit.kernels.patches import patch_grid
from structkit.kernels.patchmatch import KeyPatches, patchmatch
from structkit.metrics.clips import check_patch, narrowed

PATCH = (3, 3, 3)  # frames, px, px
WIDTH = 256  # px, to which frames are reduced
WINDOW = 2**21  # pixels of a sample, of all its frames, that are searched for at a time: 1 GB
ITERATIONS = 4  # of PatchMatch; 16 lower the mean distance by 4 to 8 % on published samples of 13 x 144 x 256
FULL = 255  # of the levels of a picture
PALEST = 40  # the saturation of the shortest way that is not none
DARKEST = 110  # the value of the furthest frame


@dataclass(frozen=True, eq=False)
class SourceField:
    """The field of a sample's nearest patches in the real clip.

    offsets: (3, T', H', W') int64, how far the nearest patch lies in frames, px down and px right, for each patch of
    the sample, of which there are T' x H' x W'.
    distance: (T', H', W') float32, the mean squared difference of the values of the two patches.
    """

    offsets: Tensor
    distance: Tensor

    @property
    def diversity(self) -> float:
        """NNFDIV: the size of the offsets, each as one byte (modulo 256), compressed by zlib over uncompressed."""
        levels = self.offsets.remainder(256).to(torch.uint8).contiguous().numpy().tobytes()
        return len(zlib.compress(levels)) / len(levels)

    @property
    def mean_distance(self) -> float:
        """NNFDIST: the mean squared difference, averaged over patches; the sum over a patch's values is 81 times it."""
        return float(self.distance.mean(dtype=torch.float64))

    @property
    def copied(self) -> float:
        """The share of patches whose offset is that of all their neighbours before, behind, and at the four sides."""
        alike = torch.ones(self.offsets.shape[1:], dtype=torch.bool)
        for axis, side in enumerate(alike.shape):
            one, other = (self.offsets.narrow(axis + 1, start, side - 1) for start in (0, 1))
            same = (one == other).all(0)
            for start in (0, 1):
                alike.narrow(axis, start, side - 1).logical_and_(same)
        return float(alike.double().mean())

    def picture(self) -> np.ndarray:
        """The field as a picture, (H, W, 3) uint8, its frames in rows.

        The hue is the direction in which the nearest patch lies, the paler the nearer, and the darker the further off
        in time.  White: it lies at the same place and time.  Areas of one colour are copied.
        """
        time, down, right = self.offsets.double()
        length = torch.hypot(down, right)
        hue = (torch.atan2(down, right) / (2 * torch.pi)).remainder(1) * FULL
        pale = torch.where(length > 0, PALEST + (FULL - PALEST) * length / length.amax().clamp_min(1), 0.0)
        light = FULL - (FULL - DARKEST) * time.abs() / time.abs().amax().clamp_min(1)
        frames = torch.stack([hue, pale, light], -1).round().to(torch.uint8).numpy()
        count, height, width = frames.shape[:3]
        columns = max(1, min(count, round((count * height / width) ** 0.5)))
        rows = -(-count // columns)
        blank = np.zeros((rows * columns - count, height, width, 3), np.uint8)
        sheet = np.concatenate([frames, blank]).reshape(rows, columns, height, width, 3).swapaxes(1, 2)
        return np.array(Image.fromarray(sheet.reshape(rows * height, columns * width, 3), "HSV").convert("RGB"))


def source_field(real: Tensor, sample: Tensor, *, generator: torch.Generator) -> SourceField:
    """The field of the sample's nearest patches in the real clip, by PatchMatch: see `kernels.patchmatch`.

    real, sample: (1, 3, T, H, W) in [-1, 1], of any two sizes and lengths.  Frames are reduced to 256 px of width.
    A long sample is searched for some frames at a time, and memory grows with the real clip alone.
    Where the patch at the same place and time is as near as the one that was found, the offset is none: a copy has no
    offsets at all, not even on areas of one colour.
    Raises InputError for a clip that is smaller than a patch.
    """
    for clip, name in ((real, "the real clip"), (sample, "the sample")):
        check_patch(clip, PATCH, name)
    real, sample = narrowed(real, WIDTH), narrowed(sample, WIDTH)
    grid, theirs = (patch_grid(clip.shape[2:], PATCH) for clip in (sample, real))
    keys, span = KeyPatches(real[0], PATCH), max(1, WINDOW // math.prod(sample.shape[3:]))
    found = [
        patchmatch(
            sample[0, :, start : start + span + PATCH[0] - 1],
            keys,
            patch=PATCH,
            iterations=ITERATIONS,
            generator=generator,
        )
        for start in range(0, grid[0], span)
    ]
    index, distance = (torch.cat(parts).reshape(grid) for parts in zip(*found, strict=True))
    own = torch.stack(torch.meshgrid(*(torch.arange(side) for side in grid), indexing="ij"))
    offsets = torch.stack(torch.unravel_index(index, theirs)) - own
    shared = tuple(slice(min(sides)) for sides in zip(grid, theirs, strict=True))
    here = _distance_in_place(real, sample)
    stays = here <= distance[shared]
    offsets[(slice(None), *shared)].masked_fill_(stays, 0)
    distance[shared] = torch.where(stays, here, distance[shared])
    return SourceField(offsets, distance)


def _distance_in_place(real: Tensor, sample: Tensor) -> Tensor:
    """The mean squared differences of patches at equal places, (T', H', W'), as far as both clips go."""
    both = tuple(slice(min(sides)) for sides in zip(real.shape[2:], sample.shape[2:], strict=True))
    apart = (real[(..., *both)] - sample[(..., *both)]).square().mean(1, keepdim=True)
    return F.avg_pool3d(apart, PATCH, 1)[0, 0]
