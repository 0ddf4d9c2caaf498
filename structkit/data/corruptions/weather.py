"""Weather: snow, frost, fog, brightness.

Pictures are (N, h, w, 3) uint8, results float levels before they are clipped; `draws` holds a generator for each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from structkit.data.corruptions.blurs import moved
from structkit.data.corruptions.filters import between, clipped_zoom
from structkit.data.corruptions.frosted import PHOTOS, SIDE, photo
from structkit.data.corruptions.tables import SMALL

GREY = np.array([0.299, 0.587, 0.114], np.float32)  # shares of red, green and blue in a grey level
WIBBLE = 100.0  # of the coarsest level of a fog


def snow(
    x: np.ndarray,
    draws: Sequence[Generator],
    *,
    mean: float,
    spread: float,
    zoom: float,
    threshold: float,
    radius: int,
    sigma: float,
    kept: float,
) -> np.ndarray:
    """Pictures in falling snow: enlarged noise above a threshold, smeared along its way, twice."""
    shape = x.shape[1:3]
    flakes = np.empty((len(x), *shape, 1), np.float32)
    for one, draw in zip(flakes, draws, strict=True):
        draw.standard_normal(dtype=np.float32, out=one)
    flakes = clipped_zoom(np.float32(mean) + np.float32(spread) * flakes, max(zoom, 1.0))
    flakes[flakes < threshold] = 0
    flakes = np.floor(flakes.clip(0, 1) * 255)
    flakes = moved(flakes, [draw.uniform(-135, -45) for draw in draws], radius=radius, sigma=sigma)
    x = x.astype(np.float32)
    grey = (x * GREY).sum(-1, keepdims=True) * np.float32(1.5) + np.float32(127.5)
    made = np.float32(kept) * x + np.float32(1 - kept) * np.maximum(x, grey)
    made += flakes
    made += flakes[:, ::-1, ::-1]
    return made


def frost(x: np.ndarray, draws: Sequence[Generator], *, kept: float, weight: float, scale: float) -> np.ndarray:
    """Pictures behind a frozen pane: a part of one of the photographs of frost is laid over each.

    The published photographs are not ours to give: these are drawn by `frosted.photo`.
    """
    made = np.float32(kept) * x
    for one, draw in zip(made, draws, strict=True):
        layer = photo(int(draw.integers(PHOTOS)))
        for axis, count in enumerate(x.shape[1:3]):
            at = draw.integers(SIDE) + (np.arange(count) + 0.5) / scale - 0.5
            first = np.floor(at).astype(np.int64)
            layer = between(layer, first % SIDE, (first + 1) % SIDE, (at - first).astype(np.float32), axis)
        one += np.float32(weight) * layer
    return made


def fog(x: np.ndarray, draws: Sequence[Generator], *, strength: float, decay: float) -> np.ndarray:
    """Pictures in fog: a cloud of plasma is added, and the sum is brought back to the picture's brightest level."""
    cloud = np.float32(255 * strength) * plasma(x.shape[1:3], draws, decay)[..., None]
    brightest = x.max((1, 2, 3)).astype(np.float32)[:, None, None, None]
    return (x + cloud) * (brightest / (brightest + np.float32(255 * strength)))


def plasma(shape: tuple[int, int], draws: Sequence[Generator], decay: float) -> np.ndarray:
    """Clouds (N, h, w) float32 in [0, 1]: diamonds and squares on a torus, each level rougher than the one before.

    A cell of the coarsest level is a power of two near 8/7 of the short side: 32 px for 32, 256 for 224.  Where one
    does not cover the picture, there are several.
    decay: of the amplitude, from level to level.
    """
    cell = 2 ** round(np.log2(max(min(shape), SMALL) * 8 / 7))
    cells = [-(-side // cell) for side in shape]
    grid = np.zeros((len(draws), *cells), np.float32)
    wibble = WIBBLE
    while grid.shape[1] < cells[0] * cell:
        grid = _finer(grid, draws, np.float32(wibble * wibble))
        wibble /= decay
    grid -= grid.min((1, 2), keepdims=True)
    grid /= grid.max((1, 2), keepdims=True)
    return grid[:, : shape[0], : shape[1]]


def _finer(grid: np.ndarray, draws: Sequence[Generator], amplitude: np.float32) -> np.ndarray:
    """The torus with twice as many points a side: each new one is the mean of four neighbours and a random step."""
    count, rows, columns = grid.shape
    steps = np.empty((count, 3, rows, columns), np.float32)
    for one, draw in zip(steps, draws, strict=True):
        draw.random(dtype=np.float32, out=one)
    steps *= 2 * amplitude
    steps -= amplitude
    along = grid + np.roll(grid, -1, 2)
    down = grid + np.roll(grid, -1, 1)
    middle = (along + np.roll(along, -1, 1)) / 4 + steps[:, 0]
    finer = np.empty((count, 2 * rows, 2 * columns), np.float32)
    finer[:, ::2, ::2] = grid
    finer[:, 1::2, 1::2] = middle
    finer[:, ::2, 1::2] = (along + middle + np.roll(middle, 1, 1)) / 4 + steps[:, 1]
    finer[:, 1::2, ::2] = (down + middle + np.roll(middle, 1, 2)) / 4 + steps[:, 2]
    return finer


def brightness(x: np.ndarray, draws: Sequence[Generator], *, added: float) -> np.ndarray:
    """Brighter pictures: so much is added to the value of HSV; hue and saturation stay."""
    value = x.max(-1, keepdims=True).astype(float)
    brighter = np.minimum(value + 255 * added, 255)
    return np.where(value > 0, x * brighter / np.maximum(value, 1), brighter)
