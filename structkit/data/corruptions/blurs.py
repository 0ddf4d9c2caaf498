"""Blurs: defocus, glass, motion, zoom, Gaussian.

Pictures are (N, h, w, 3) uint8, results float32 levels before they are clipped; `draws` holds a generator for each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from structkit.data.corruptions.filters import Taps, bordered, clipped_zoom, correlate, gaussian
from structkit.data.corruptions.grains import GrainGrid
from structkit.data.corruptions.levels import truncated

WIDE = 8  # px: the radius of a disk up to which its own blur takes 3 px; of a larger one 5


def gaussian_blur(x: np.ndarray, draws: Sequence[Generator], *, sigma: float) -> np.ndarray:
    """Pictures blurred by a Gaussian of `sigma` px."""
    return gaussian(x.astype(np.float32), sigma)


def defocus_blur(x: np.ndarray, draws: Sequence[Generator], *, radius: float, alias: float) -> np.ndarray:
    """Pictures of a lens out of focus: the mean of a disk whose edge is softened by a Gaussian of `alias` px."""
    return correlate(x.astype(np.float32), disk(radius, alias), "reflect")


def disk(radius: float, alias: float) -> Taps:
    """The weights of a disk, softened, on a grid of 17 px or more.

    The published disks of 8 and 10 px touch the end of their grid, where the softening is mirrored: they add up to
    1.013 and 1.011.  A radius that is no whole number has a grid with room for all, and adds up to 1.
    """
    soft = 1 if radius <= WIDE else 2
    reach = max(WIDE, math.ceil(radius)) + (0 if radius == int(radius) else soft)
    side = np.arange(-reach, reach + 1)
    weights = (side[:, None] ** 2 + side[None] ** 2 <= radius**2).astype(float)
    weights /= weights.sum()
    line = [math.exp(-0.5 * (i / alias) ** 2) for i in range(-soft, soft + 1)]
    around = bordered(len(side), soft, soft, "reflect")
    for axis in (0, 1):
        wider = weights.take(around, axis)
        weights = sum(weight / sum(line) * wider.take(np.arange(len(side)) + i, axis) for i, weight in enumerate(line))
    return {(int(r) - reach, int(c) - reach): float(weights[r, c]) for r, c in zip(*np.nonzero(weights), strict=True)}


def glass_blur(x: np.ndarray, draws: Sequence[Generator], *, sigma: float, reach: int, rounds: int) -> np.ndarray:
    """Pictures behind frosted glass: blurred, then each grain replaced by one near it, then blurred again.

    The published loop goes from the last pixel to the first and means to exchange two of them.  In NumPy its exchange
    of two views copies the second onto the first, and is reproduced as such.
    """
    made = truncated(gaussian(x.astype(np.float32), sigma))
    grid = GrainGrid.of(x.shape[1:3])
    reach = max(1, round(reach / grid.size))
    inner = [max(0, side - 2 * reach) for side in grid.shape]
    batch = np.arange(len(x))[:, None, None]
    for _ in range(rounds):
        steps = np.stack([draw.integers(-reach, reach, (*inner, 2)) for draw in draws])
        made = made[batch, *grid.moved(sources(steps, grid.shape, reach))]
    return gaussian(made.astype(np.float32), sigma)


def sources(steps: np.ndarray, shape: tuple[int, int], reach: int) -> np.ndarray:
    """The pixel (or grain) that each one comes from, after one round of copies from the last to the first.

    steps: (N, h', w', 2) how far to the right and down each inner pixel looks, in raster order.
    shape: of the pictures, (h, w).
    Returns (N, h, w), counted in raster order, of each picture anew.
    A pixel that looks at one that was replaced before gets what that one has got: chains, which are followed by
    doubling.
    """
    count, (height, width) = len(steps), shape
    pixel = np.arange(count * height * width).reshape(count, height, width)
    seen, follows = pixel.copy(), np.zeros(pixel.shape, bool)
    inner = np.s_[:, reach + 1 : height - reach + 1, reach + 1 : width - reach + 1]
    at = pixel[inner]
    right, down = (steps[:, : at.shape[1], : at.shape[2], i] for i in (0, 1))
    seen[inner] = at + down * width + right
    replaced = np.zeros((height, width), bool)
    replaced[inner[1:]] = True
    follows[inner] = (seen[inner] > at) & replaced.reshape(-1)[seen[inner] % (height * width)]
    seen, follows = seen.reshape(-1), follows.reshape(-1)
    waiting = np.flatnonzero(follows)
    while len(waiting):
        through = seen[waiting]
        goes_on = follows[through]
        seen[waiting] = seen[through]
        follows[waiting] = goes_on
        waiting = waiting[goes_on]
    return seen.reshape(pixel.shape) - pixel[:, :1, :1]


def motion_blur(x: np.ndarray, draws: Sequence[Generator], *, radius: int, sigma: float) -> np.ndarray:
    """Pictures of something that moved, each in a direction of its own, within 45 degrees of the horizontal."""
    angles = [draw.uniform(-45, 45) for draw in draws]
    return moved(x.astype(np.float32), angles, radius=radius, sigma=sigma)


def moved(x: np.ndarray, angles: Sequence[float], *, radius: int, sigma: float) -> np.ndarray:
    """The pictures (N, h, w, C) float32, smeared to one side, each at its angle in degrees, as ImageMagick does."""
    made = np.empty_like(x)
    for i, angle in enumerate(angles):
        made[i] = correlate(x[i : i + 1], trail(radius, sigma, angle, x.shape[1:3]), "edge")[0]
    return made


def trail(radius: int, sigma: float, angle: float, shape: tuple[int, int]) -> Taps:
    """The weights along one direction: half a Gaussian, as far as the picture reaches."""
    weights = [math.exp(-0.5 * (i / sigma) ** 2) for i in range(2 * radius + 1)]
    down, right = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    taps: dict[tuple[int, int], float] = {}
    for i, weight in enumerate(weights):
        offset = math.ceil(i * down - 0.5), math.ceil(i * right - 0.5)
        if abs(offset[0]) >= shape[0] or abs(offset[1]) >= shape[1]:
            break
        taps[offset] = taps.get(offset, 0) + weight / sum(weights)
    return taps


def zoom_blur(x: np.ndarray, draws: Sequence[Generator], *, step: float, count: int) -> np.ndarray:
    """Pictures of a camera that moves ahead: the mean of a picture and its `count` enlargements, from 1 on."""
    x = x.astype(np.float32)
    made = 2 * x  # itself, and the enlargement by 1
    for i in range(1, count):
        made += clipped_zoom(x, 1 + i * ((1 + step) - 1))  # as NumPy's `arange` rounds it, which decides on a cut
    made *= np.float32(1 / (count + 1))
    return made
