"""Measures of clips that were made after one real clip: how lively they are, how they differ, what they are made of.

Clips are (1, 3, T, H, W) in [-1, 1].  No measure needs a network.
Patches of 3 frames x 7 x 7 px tell what a clip is made of (coherence), and what of another one is missing
(completeness): the two halves of bidirectional similarity (Simakov et al., CVPR 2008).  For them frames are reduced to
128 px of width.
Where in the real clip each patch of 3 x 3 x 3 comes from tells how new a clip is: see `novelty`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from structkit.configs.score import CLIP_KEYS, CLIP_QUERIES, CLIP_WIDTH
from structkit.errors import InputError
from structkit.kernels.nearest_patches import nearest_patches
from structkit.kernels.patches import PatchTable

PATCH = (3, 7, 7)  # frames, px, px
NEAR = 2  # px, and frames, within which two patches lie at the same place
ROWS = 25_000  # patches of either clip that are compared at a time: 44 MB
GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601


class SpreadTally:
    """The spread of samples, voxel by voxel, as they come in one after another; no sample is kept.

    The mean and the sum of squared differences from it are kept, as in Welford (Technometrics 1962).
    """

    def __init__(self, real: Tensor) -> None:
        """real: (1, 3, T, H, W) in [-1, 1]."""
        self.count = 0  # number of samples
        self._real = grey(real)
        self._scale = self._real.std(correction=0).double()
        self._mean, self._squares = torch.zeros_like(self._real), torch.zeros_like(self._real)

    def add(self, sample: Tensor) -> float:
        """Take in one more sample; returns how far it is from the real clip.

        This is the root mean squared difference of their grey levels over the standard deviation of the real clip's:
        0 for a copy, about 1.4 for a clip that has nothing to do with it.
        Raises InputError for another shape than the real clip's.
        """
        if sample.shape[2:] != (shape := self._real.shape):
            fact = f"{size_words(sample.shape[2:])}, and the real clip has {size_words(shape)}"
            raise InputError(f"{fact}: the spread is measured voxel by voxel; use samples of the real clip's size")
        levels = grey(sample)
        self.count += 1
        step = levels - self._mean
        self._mean += step / self.count
        self._squares += step * (levels - self._mean)
        return _ratio((levels - self._real).square().mean().sqrt().double(), self._scale)

    @property
    def diversity(self) -> float:
        """The spread of the samples over that of the real clip's voxels; 0 where all samples are the same.

        The standard deviation over the samples of each voxel's grey level, averaged over voxels, over the standard
        deviation of all voxels of the real clip: SinGAN's index (Shaham et al., ICCV 2019) for clips.
        Where the real clip has one colour, 0 if the samples are all the same and else infinity.
        Raises InputError for fewer than 2 samples.
        """
        if self.count < 2:
            have = "none" if self.count == 0 else "1"
            fact = f"diversity: 2 samples or more of the real clip's size are needed, and there is {have}"
            raise InputError(f"{fact}; make more, from other seeds")
        return _ratio((self._squares / self.count).clamp_min(0).sqrt().mean().double(), self._scale)


def diversity(real: Tensor, samples: Iterable[Tensor]) -> float:
    """The diversity of samples, two or more; see `SpreadTally`."""
    tally = SpreadTally(real)
    for sample in samples:
        tally.add(sample)
    return tally.diversity


def motion(real: Tensor, sample: Tensor) -> float:
    """The mean absolute difference of the sample's consecutive frames over that of the real clip's.

    1 is as lively as the real clip, 0 stands still.
    Sizes and lengths may differ.  Where the real clip stands still: 1 if the sample does too, else infinity.
    Raises InputError for a clip of one frame.
    """
    moves = []
    for clip, name in ((sample, "sample"), (real, "real clip")):
        if clip.shape[2] < 2:
            raise InputError(f"motion: the {name} has 1 frame; it is measured from one frame to the next")
        moves.append((clip[:, :, 1:] - clip[:, :, :-1]).abs().mean(dtype=torch.float64))
    return 1.0 if not (moves[0] or moves[1]) else _ratio(*moves)


class Resemblance(NamedTuple):
    """The likeness of one clip's patches to the nearest ones of another clip.

    distance: the mean squared difference of their values, averaged over patches; 0 for a clip that is made of the
    other one.
    in_place: the share of patches whose nearest lies at the same place and time, within 2 px and 2 frames.
    """

    distance: float
    in_place: float


def resemblance(one: Tensor, other: Tensor, *, generator: torch.Generator | None = None) -> Resemblance:
    """The resemblance of one clip to another.

    Of a sample to the real clip its distance is called coherence; of the real clip to a sample, completeness.
    generator: draws 400 patches of the one clip, and 25,000 of the other, in which each is looked for.  None takes all
    patches of both: the distance is then exact, takes minutes, and is smaller, down to a third where patches are
    copied: what a patch was copied from is seldom among those that are drawn.
    Both clips are reduced to 128 px of width, each frame by itself; sizes and lengths may differ.
    Memory: that of 50,000 patches, whatever the size.
    Raises InputError for a clip that is smaller than a patch.
    """
    mine, theirs = (_table(narrowed(clip), name) for clip, name in ((one, "one"), (other, "the other")))
    # The draws come in the order and by the function that published figures of other programs were made with.
    queries = _drawn(len(mine.corner), CLIP_QUERIES, generator, whole=False)
    keys = _drawn(len(theirs.corner), CLIP_KEYS, generator, whole=True)
    distance = torch.full((len(queries),), math.inf)
    nearest = torch.zeros(len(queries), dtype=torch.int64)
    for some_keys in keys.split(ROWS):
        offered = theirs.rows(some_keys)
        for rows in torch.arange(len(queries)).split(ROWS):
            found = nearest_patches(mine.rows(queries[rows]), offered)
            better = found.distance < distance[rows]
            distance[rows] = torch.where(better, found.distance, distance[rows])
            nearest[rows] = torch.where(better, some_keys[found.index], nearest[rows])
    here, there = _places(queries, mine.grid), _places(nearest, theirs.grid)
    in_place = ((here - there).abs().amax(0) <= NEAR).double().mean()
    return Resemblance(float(distance.mean(dtype=torch.float64)), float(in_place))


def grey(clip: Tensor) -> Tensor:
    """The grey levels of a clip, (T, H, W) in [-1, 1]."""
    return torch.einsum("c,cthw->thw", torch.tensor(GREY, device=clip.device), clip[0])


def narrowed(clip: Tensor, most: int = CLIP_WIDTH) -> Tensor:
    """The clip at `most` px of width, its height in proportion; a narrower one as it is.

    A pixel is the mean of those that it covers, whole ones.
    """
    height, width = clip.shape[3:]
    if width <= most:
        return clip
    size = (max(1, round(height * most / width)), most)
    return torch.stack([F.interpolate(frame, size=size, mode="area") for frame in clip.unbind(2)], 2)


def size_words(shape: Iterable[int]) -> str:
    """The words for a shape (T, H, W): 13 frames of 256 x 144 px."""
    frames, height, width = shape
    return f"{frames} frame{'' if frames == 1 else 's'} of {width} x {height} px"


def check_patch(clip: Tensor, patch: tuple[int, int, int], name: str) -> None:
    """Refuse a clip that is smaller than a patch.  Raises InputError."""
    if any(side < least for side, least in zip(clip.shape[2:], patch, strict=True)):
        fact = f"{name} has {size_words(clip.shape[2:])}, less than a patch of {size_words(patch)}"
        raise InputError(f"{fact}; use a longer or a larger clip")


def _table(clip: Tensor, name: str) -> PatchTable:
    check_patch(clip, PATCH, f"{name} of two clips")
    return PatchTable(clip[0], PATCH)


def _drawn(count: int, most: int, generator: torch.Generator | None, *, whole: bool) -> Tensor:
    """The numbers of patches that are drawn, `most` at most.

    whole: nothing is drawn where there are no more than that.
    """
    if generator is None or (whole and count <= most):
        return torch.arange(count)
    return torch.randperm(count, generator=generator)[:most]


def _places(index: Tensor, grid: tuple[int, ...]) -> Tensor:
    """The coordinates, (3, N), of positions in a grid."""
    return torch.stack(torch.unravel_index(index, grid))


def _ratio(part: Tensor, whole: Tensor) -> float:
    """The ratio; of nothing to nothing it is 0, and of anything else to nothing infinity."""
    if whole == 0:
        return 0.0 if part == 0 else math.inf
    return float(part / whole)
