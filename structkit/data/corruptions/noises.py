"""Noises: Gaussian, shot, impulse, speckle.

Pictures are (N, h, w, 3) uint8, results float32 levels before they are clipped; `draws` holds a generator for each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator


def gaussian_noise(x: np.ndarray, draws: Sequence[Generator], *, sigma: float) -> np.ndarray:
    """Pictures with normal noise added: sigma is its deviation, in parts of the full range."""
    return x + np.float32(255 * sigma) * _normal(x.shape[1:], draws)


def speckle_noise(x: np.ndarray, draws: Sequence[Generator], *, sigma: float) -> np.ndarray:
    """Pictures with normal noise that grows with the level: sigma is its deviation, in parts of the level."""
    return x * (1 + np.float32(sigma) * _normal(x.shape[1:], draws))


def shot_noise(x: np.ndarray, draws: Sequence[Generator], *, photons: float) -> np.ndarray:
    """Pictures of photons that are counted: so many on average where the level is full."""
    made = np.empty(x.shape, np.float32)
    expected = np.arange(256) * (photons / 255)
    for one, picture, draw in zip(made, x, draws, strict=True):
        one[:] = draw.poisson(expected[picture])
    made *= np.float32(255 / photons)
    return made


def impulse_noise(x: np.ndarray, draws: Sequence[Generator], *, amount: float) -> np.ndarray:
    """Pictures with a share of their values, each by itself, made black or full, half of them either."""
    made = x.copy()
    for one, draw in zip(made, draws, strict=True):
        chance = draw.random(one.shape, dtype=np.float32)
        one[chance < amount] = 255
        one[chance < amount / 2] = 0
    return made


def _normal(shape: tuple[int, ...], draws: Sequence[Generator]) -> np.ndarray:
    made = np.empty((len(draws), *shape), np.float32)
    for one, draw in zip(made, draws, strict=True):
        draw.standard_normal(dtype=np.float32, out=one)
    return made
