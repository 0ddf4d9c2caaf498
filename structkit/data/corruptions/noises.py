"""Noises: Gaussian, shot, impulse, speckle.

Pictures are (N, h, w, 3) uint8, results float32 levels before they are clipped; `draws` holds a generator for each.
Noise is drawn for each grain of a picture: a pixel, and of pictures above 224 px a cell of several.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.random import Generator

from structkit.data.corruptions.grains import GrainGrid


def gaussian_noise(x: np.ndarray, draws: Sequence[Generator], *, sigma: float) -> np.ndarray:
    """Pictures with normal noise added: sigma is its deviation, in parts of the full range."""
    return x + np.float32(255 * sigma) * _drawn(x, draws, _normal)


def speckle_noise(x: np.ndarray, draws: Sequence[Generator], *, sigma: float) -> np.ndarray:
    """Pictures with normal noise that grows with the level: sigma is its deviation, in parts of the level."""
    return x * (1 + np.float32(sigma) * _drawn(x, draws, _normal))


def shot_noise(x: np.ndarray, draws: Sequence[Generator], *, photons: float) -> np.ndarray:
    """Pictures of photons that are counted: so many on average where the level is full.

    What a grain of several pixels has more or less than its mean, all of them get.
    """
    grid = GrainGrid.of(x.shape[1:3])
    mean = grid.means(x)
    counted = np.empty(mean.shape, np.float32)
    for one, level, draw in zip(counted, mean, draws, strict=True):
        one[:] = draw.poisson(level * (photons / 255))
    counted *= np.float32(255 / photons)
    return counted if grid.is_fine else x + grid.spread(counted - mean)


def impulse_noise(x: np.ndarray, draws: Sequence[Generator], *, amount: float) -> np.ndarray:
    """Pictures with a share of their values, each by itself, made black or full, half of them either."""
    made, chance = x.copy(), _drawn(x, draws, lambda draw, out: draw.random(dtype=np.float32, out=out))
    made[chance < amount] = 255
    made[chance < amount / 2] = 0
    return made


def _normal(draw: Generator, out: np.ndarray) -> None:
    draw.standard_normal(dtype=np.float32, out=out)


def _drawn(x: np.ndarray, draws: Sequence[Generator], fill: Callable[[Generator, np.ndarray], object]) -> np.ndarray:
    """Random numbers for each value of the pictures, (N, h, w, 3) float32: the same within a grain."""
    grid = GrainGrid.of(x.shape[1:3])
    made = np.empty((len(draws), *grid.shape, x.shape[3]), np.float32)
    for one, draw in zip(made, draws, strict=True):
        fill(draw, one)
    return grid.spread(made)
