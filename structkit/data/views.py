"""Views of pictures that a classifier learns from: a part, perhaps mirrored, turned, or mixed with changes to itself.

The chance of a view comes from the seed of its sample alone: views are the same one by one, in a batch, and in any
worker process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from structkit.data.augmix import AugMix, unit
from structkit.data.pixmix import PixMix
from structkit.errors import OptionError

CROPS = ("pad", "resized", "none")
PAD = 4  # pixels of black around a picture of 32 px (published), in proportion around others
AREA, RATIO, TRIES = (0.08, 1.0), (3 / 4, 4 / 3), 10  # of a resized part: share of the picture, width by height, draws
TOP, LEFT, FLIP, TURN, PART = range(5)  # what each uniform number of a sample decides; parts take four numbers a try


@dataclass(frozen=True)
class Views:
    """A maker of the views of a picture, side x side px.

    crop: pad: the picture moved by up to an eighth of its side, black coming in (published for CIFAR); resized: a part
    of 8 to 100 % of it, resized (ImageNet); none: its middle.
    flip: whether half of the views are mirrored.
    rotation: degrees up to which a view is turned either way, about its middle; black comes in.
    mixing: what a view is mixed with; None: nothing.
    views: of a picture: with several the first one is clean, and the others are mixed.
    Raises OptionError.
    """

    side: int
    crop: str = "pad"
    flip: bool = True
    rotation: float = 0.0
    mixing: AugMix | PixMix | None = None
    views: int = 1

    def __post_init__(self) -> None:
        if self.crop not in CROPS:
            raise OptionError(f"a crop of {self.crop!r}: choose {', '.join(CROPS[:-1])} or {CROPS[-1]}")
        if self.side < 1 or self.views < 1 or not 0 <= self.rotation <= 180:
            raise OptionError(
                f"a side of {self.side} px, {self.views} views, a rotation by {self.rotation}:"
                " sides and views are at least 1, rotations are from 0 to 180"
            )
        if self.views > 1 and self.mixing is None:
            raise OptionError(f"{self.views} views of each picture without mixing would be the same: choose one")

    def __call__(self, pixels: np.ndarray, seed: int) -> Tensor:
        """The views (V, 3, side, side) float32 in [0, 1] of a picture (h, w, 3) uint8."""
        return self.batch([pixels], [seed])[:, 0]

    def batch(self, pictures: Sequence[np.ndarray] | np.ndarray, seeds: Sequence[int] | np.ndarray) -> Tensor:
        """The views (V, B, 3, side, side) float32 in [0, 1] of pictures (h, w, 3) uint8, each with its seed.

        Memory holds the channels of a pixel together (torch.channels_last of each view's batch).
        """
        return as_views(self.arrays(pictures, seeds))

    def arrays(self, pictures: Sequence[np.ndarray] | np.ndarray, seeds: Sequence[int] | np.ndarray) -> np.ndarray:
        """The views (V, B, side, side, 3): uint8 where nothing is mixed, else float32 in [0, 1]."""
        seeds = np.asarray(seeds)
        parts = self.parts(pictures, seeds)
        if self.mixing is None:
            return parts[None]
        clean = int(self.views > 1)
        views = np.empty((self.views, *parts.shape), np.float32)
        if clean:
            views[0] = unit(parts)
        for i, (part, seed) in enumerate(zip(parts, seeds.tolist(), strict=True)):
            generator = np.random.Generator(np.random.Philox(key=seed % 2**64))
            for view in range(clean, self.views):
                views[view, i] = self.mixing(part, generator)
        return views

    def parts(self, pictures: Sequence[np.ndarray] | np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """The part of each picture that is shown, mirrored and turned, (B, side, side, 3) uint8."""
        draws = uniform(seeds, PART + 4 * TRIES if self.crop == "resized" else PART)
        if self.crop == "resized":
            parts = np.stack([resized(p, self.side, draw[PART:]) for p, draw in zip(pictures, draws, strict=True)])
        else:
            parts = np.stack([central(picture, self.side) for picture in pictures])
            if self.crop == "pad":
                parts = _moved(parts, max(1, round(self.side * PAD / 32)), draws[:, TOP], draws[:, LEFT])
        if self.flip:
            mirrored = draws[:, FLIP] < 0.5
            parts[mirrored] = parts[mirrored, :, ::-1]
        if self.rotation:
            parts = np.stack([_turned(p, angle) for p, angle in zip(parts, self._angles(draws[:, TURN]), strict=True)])
        return parts

    def _angles(self, draws: np.ndarray) -> np.ndarray:
        return (2 * draws - 1) * self.rotation


def as_views(arrays: np.ndarray) -> Tensor:
    """Views (V, B, 3, side, side) float32 in [0, 1] of the arrays of `Views.arrays`."""
    return torch.from_numpy(arrays if arrays.dtype == np.float32 else unit(arrays)).permute(0, 1, 4, 2, 3)


def uniform(seeds: np.ndarray, count: int) -> np.ndarray:
    """Numbers (B, count) float64 in [0, 1) that look drawn, of whole numbers (B,); each row of its seed alone.

    SplitMix64 (Steele et al., 2014), whose counter starts at the seed's own hash.
    """
    with np.errstate(over="ignore"):
        start = _hashed(np.asarray(seeds).astype(np.int64).astype(np.uint64))
        steps = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        return (_hashed(start[:, None] + steps) >> np.uint64(11)).astype(np.float64) / 2**53


def central(pixels: np.ndarray, side: int, margin: float = 1.0) -> np.ndarray:
    """The middle (side, side, 3) of a picture whose shorter side is resized to `side` times `margin`.

    margin: 256 / 224 for ImageNet's published evaluation.
    """
    height, width = pixels.shape[:2]
    shorter = round(side * margin)
    if min(height, width) != shorter:
        size = tuple(max(shorter, round(extent * shorter / min(height, width))) for extent in (width, height))
        pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
        height, width = pixels.shape[:2]
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[top : top + side, left : left + side]


def resized(pixels: np.ndarray, side: int, draws: np.ndarray) -> np.ndarray:
    """A part (side, side, 3) of random area and ratio, resized; the middle one if ten draws do not fit the picture.

    draws: (40,) numbers in [0, 1).  torchvision's RandomResizedCrop, which ImageNet's recipes use.
    """
    height, width = pixels.shape[:2]
    for area, ratio, down, right in draws.reshape(TRIES, 4):
        share = height * width * (AREA[0] + (AREA[1] - AREA[0]) * area)
        shape = np.exp(np.log(RATIO[0]) + np.log(RATIO[1] / RATIO[0]) * ratio)
        wide, high = round(np.sqrt(share * shape)), round(np.sqrt(share / shape))
        if 0 < wide <= width and 0 < high <= height:
            top, left = int(down * (height - high + 1)), int(right * (width - wide + 1))
            break
    else:
        wide, high = min(width, round(height * RATIO[1])), min(height, round(width / RATIO[0]))
        top, left = (height - high) // 2, (width - wide) // 2
    part = Image.fromarray(pixels[top : top + high, left : left + wide])
    return np.asarray(part.resize((side, side), Image.Resampling.BILINEAR))


def _moved(parts: np.ndarray, most: int, down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Pictures (B, side, side, 3) moved by up to `most` px each way; black comes in."""
    count, side = parts.shape[:2]
    wide = np.zeros((count, side + 2 * most, side + 2 * most, 3), parts.dtype)
    wide[:, most:-most, most:-most] = parts
    tops, lefts = ((draws * (2 * most + 1)).astype(np.int64).tolist() for draws in (down, right))
    return np.stack([w[t : t + side, m : m + side] for w, t, m in zip(wide, tops, lefts, strict=True)])


def _turned(pixels: np.ndarray, degrees: float) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).rotate(degrees))


def _hashed(numbers: np.ndarray) -> np.ndarray:
    """SplitMix64's mixture of the bits of uint64 numbers."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))
