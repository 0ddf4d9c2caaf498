"""The levels of a single picture's pyramid, as SinGAN's descendants cut it."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor

from structkit.kernels.pyramid import resize

FACTOR = 0.75  # wanted between levels; the real one makes level 0 `coarsest` px
LARGEST = 250  # px: a larger picture has no more levels than one of this size, and so a smaller factor

Shape = tuple[int, int]  # height, width


def level_sides(size: int, coarsest: int) -> list[int]:
    """Sides of the levels of a square, px, coarsest first (structural analogy's code: 220, 18 -> 19, 24, 30 .. 220)."""
    wanted = math.ceil(math.log(coarsest / size, FACTOR)) + 1
    skipped = math.ceil(math.log(min(LARGEST, size) / size, FACTOR))
    steps = max(wanted - skipped, 1)
    ratio = (coarsest / size) ** (1 / steps)
    # The authors' own rounding: the power may come out a hair above 18, and then gives 19.
    return [math.ceil(ratio**n * size) for n in range(steps, -1, -1)]


def level_shapes(size: int, coarsest: int, aspect: float) -> list[Shape]:
    """The same for a rectangle of the square's area; aspect: width / height.  A square's are `level_sides`."""
    return [
        (max(1, round(side / math.sqrt(aspect))), max(1, round(side * math.sqrt(aspect))))
        for side in level_sides(size, coarsest)
    ]


def levels(picture: Tensor, shapes: list[Shape]) -> list[Tensor]:
    """picture (B, C, H, W) at each of `shapes`, always from the original; bilinear with antialias, as published."""
    return [F.interpolate(picture, size=shape, mode="bilinear", antialias=True) for shape in shapes]


def rise(images: Tensor, shape: Shape) -> Tensor:
    """images (B, C, h, w) -> (B, C, *shape), the next level, bicubic, in [-1, 1].

    Published: rounded to 8 bits below, scaled by the levels' mean ratio and then cropped, all on the CPU.  Here: no
    rounding, and each level's exact size, so that nothing drifts.
    """
    return resize(images.clamp(-1, 1), shape).clamp(-1, 1)
