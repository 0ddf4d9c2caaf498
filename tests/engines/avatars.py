"""Faces of arithmetic whose truth is known to the pixel.  Each factor is drawn alone: nothing else of a face tells of
its glasses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

SIZE = 32  # px


def eight_bits(images: Tensor) -> Tensor:
    """Images in [-1, 1] as uint8, the nearest: the way back of `structkit.data.batches.signed`."""
    return images.clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)


@dataclass(frozen=True)
class Glasses:
    """Of N faces: colours (N, 1, 1, 3) in [0, 1]; the others (N, 1, 1)."""

    colour: np.ndarray
    dark: np.ndarray  # how much the lenses hide
    square: np.ndarray  # 0 round, 1 square
    radius: np.ndarray  # of a lens, px
    thickness: np.ndarray  # of the frame, px


@dataclass(frozen=True)
class Faces:
    """N faces.  Colours (N, 1, 1, 3) in [0, 1]; the others (N, 1, 1), px."""

    ground: np.ndarray
    shirt: np.ndarray
    skin: np.ndarray
    hair: np.ndarray
    row: np.ndarray  # of the eyes
    column: np.ndarray
    wide: np.ndarray  # radius of the head
    fringe: np.ndarray  # how far the hair comes down

    def painted(self, glasses: Glasses | None = None) -> Tensor:
        """(N, 3, 32, 32) uint8"""
        y, x = self._grid()
        images = np.broadcast_to(self.ground, (*x.shape, 3))
        head = np.hypot(x, (y - 1.5) / 1.2) - self.wide
        layers = [
            (np.maximum(np.abs(x) - self.wide, 11 - y), self.shirt),
            (np.hypot(x, (y + 0.5) / 1.2) - self.wide - 1.5, self.hair),
            (np.maximum(head, -y - 7 + self.fringe), self.skin),
            (np.hypot(np.abs(x) - 3.5, y) - 0.8, np.full(3, 0.1)),
            (np.maximum(np.abs(x) - 2.5, np.abs(y - 7) - 0.5), np.array([0.6, 0.2, 0.2])),
        ]
        for distance, colour in layers:
            images = images + _covered(distance)[..., None] * (colour - images)
        if glasses:
            images = images + self.covered(glasses)[..., None] * (glasses.colour - images)
        return torch.from_numpy(np.rint(255 * images).astype(np.uint8)).permute(0, 3, 1, 2).contiguous()

    def covered(self, glasses: Glasses) -> np.ndarray:
        """(N, 32, 32) in [0, 1]: how much of each pixel the glasses hide."""
        y, x = self._grid()
        x = np.abs(x) - 3.9
        lens = np.where(glasses.square, np.maximum(np.abs(x), np.abs(y) * 1.2), np.hypot(x, y)) - glasses.radius
        bar = np.maximum(np.abs(y + 0.5), np.maximum(-x - 3.9, np.abs(x) - self.wide + 3.9)) - 0.5
        frame = np.minimum(np.abs(lens) - glasses.thickness / 2, np.maximum(bar, -lens))
        return np.maximum(_covered(frame), glasses.dark * _covered(lens))

    def _grid(self) -> tuple[np.ndarray, np.ndarray]:
        """Of each face, (N, 32, 32), px from the point between its eyes."""
        places = np.arange(SIZE) + 0.5
        y, x = places[:, None] - self.row, places[None, :] - self.column
        return np.broadcast_to(y, (len(x), SIZE, SIZE)), np.broadcast_to(x, (len(x), SIZE, SIZE))


def faces(count: int, seed: int) -> Faces:
    draw = np.random.default_rng(seed)
    colours = draw.uniform(0, 1, (3, count, 1, 1, 3))
    tone = draw.uniform(0.45, 1, (count, 1, 1, 1))
    skin = tone * np.array([1.0, 0.82, 0.7])
    low, high = np.array([13.5, 14.5, 8.0, 0.5]), np.array([16.5, 17.5, 9.0, 3.5])
    return Faces(*colours[:2], skin, colours[2], *draw.uniform(low, high, (count, 1, 1, 4)).transpose(3, 0, 1, 2))


def glasses(count: int, seed: int) -> Glasses:
    draw = np.random.default_rng(seed)
    dark, square = draw.random((2, count, 1, 1)) < 0.5
    radius, thickness = draw.uniform([2.6, 1.0], [3.4, 1.8], (count, 1, 1, 2)).transpose(3, 0, 1, 2)
    return Glasses(draw.uniform(0, 1, (count, 1, 1, 3)), 0.9 * dark, square, radius, thickness)


def reduced(pictures: Tensor, size: int) -> Tensor:
    """(N, C, 32, 32) -> (N, C, size, size), the mean of blocks."""
    return F.avg_pool2d(pictures, pictures.shape[-1] // size)


def errors(made: Tensor, wanted: Tensor, canvas: Tensor) -> tuple[float, float]:
    """Inside, over the pixels that must change, in units of leaving the canvas as it is; and outside, in [-1, 1]."""
    changed = ((wanted - canvas).abs().amax(1, keepdim=True) > 0.05).expand_as(wanted)
    inside = (made - wanted)[changed].abs().mean() / (canvas - wanted)[changed].abs().mean()
    return float(inside), float((made - wanted)[~changed].abs().mean())


def _covered(distance: np.ndarray) -> np.ndarray:
    """What a shape hides of the pixels, by their distance from its edge, px, inside below 0."""
    return np.clip(0.5 - distance, 0, 1)
