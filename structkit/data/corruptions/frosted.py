"""Photographs of frost, drawn: crystals on a cold pane, in the colours of the published ones."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.random import Generator, Philox

SIDE = 512  # px; a photograph continues on its other side
PHOTOS = 5
TINTS = ((78, 149, 166), (201, 205, 214), (138, 153, 165), (112, 123, 135), (71, 95, 105))  # means of the published
SPREADS = (38, 30, 34, 40, 36)  # deviations of a channel, levels


@cache
def photo(number: int) -> np.ndarray:
    """A photograph of frost, (SIDE, SIDE, 3) float32 levels; number: 0 to PHOTOS - 1."""
    draw = Generator(Philox(key=np.array([number, 0], np.uint64)))
    down, along = np.fft.fftfreq(SIDE)[:, None] * SIDE, np.fft.rfftfreq(SIDE)[None] * SIDE
    far = np.hypot(down, along)
    far[0, 0] = 1
    relief = _field(draw, far**-1.1)
    for _ in range(5):
        angle = draw.uniform(0, np.pi)
        across = -np.sin(angle) * along + np.cos(angle) * down
        onwards = np.cos(angle) * along + np.sin(angle) * down
        ridges = 1 - np.abs(_field(draw, np.exp(-((onwards / 8) ** 2)) / (6 + np.abs(across))))
        where = _field(draw, np.exp(-((far / 3) ** 2)))
        relief += 1.2 * np.maximum(ridges, 0) ** 3 * np.maximum(where, 0)
    relief = (relief - relief.mean()) / relief.std()
    return (np.array(TINTS[number]) + SPREADS[number] * relief[..., None]).clip(0, 255).astype(np.float32)


def _field(draw: Generator, spectrum: np.ndarray) -> np.ndarray:
    """Periodic noise of this spectrum, with mean 0 and deviation 1."""
    noise = np.fft.rfft2(draw.standard_normal((SIDE, SIDE))) * spectrum
    noise[0, 0] = 0
    made = np.fft.irfft2(noise)
    return made / made.std()
