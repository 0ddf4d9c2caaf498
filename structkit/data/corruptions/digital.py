"""Digital changes: contrast, elastic transform, pixelate, JPEG, saturation.

Pictures are (N, h, w, 3) uint8, results float levels before they are clipped; `draws` holds a generator for each.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from PIL import Image

from structkit.data.corruptions.filters import gaussian, warp


def contrast(x: np.ndarray, draws: Sequence[Generator], *, factor: float) -> np.ndarray:
    """Paler pictures: each level lies so much nearer to the mean of its channel."""
    height, width = x.shape[1:3]
    mean = x.sum((1, 2), dtype=np.int64, keepdims=True) / (height * width)
    return (x - mean) * factor + mean


def elastic_transform(
    x: np.ndarray, draws: Sequence[Generator], *, alpha: float, sigma: float, jitter: float
) -> np.ndarray:
    """Pictures on rubber: an affine map of three points that are moved by up to `jitter` px, then small waves.

    alpha: of the waves, px; sigma: of the Gaussian that smooths them, px.
    """
    count, height, width, _ = x.shape
    row, column = np.mgrid[:height, :width].astype(np.float32)
    affine = np.stack([_affine((height, width), draw, jitter) for draw in draws])[:, :, :, None, None]
    columns, rows = (affine[:, i, 0] * column + affine[:, i, 1] * row + affine[:, i, 2] for i in (0, 1))
    made = warp(x.astype(np.float32), rows.astype(np.float32), columns.astype(np.float32), "reflect")
    waves = np.empty((count, height, width, 2), np.float32)
    for one, draw in zip(waves, draws, strict=True):
        draw.random(dtype=np.float32, out=one)
    if alpha == 0:
        return made
    waves = gaussian(2 * waves - 1, sigma, truncate=3.0, border="symmetric") * np.float32(alpha)
    return warp(made, row + waves[..., 0], column + waves[..., 1], "symmetric")


def _affine(shape: tuple[int, int], draw: Generator, jitter: float) -> np.ndarray:
    """The map (2, 3) from places (x, y) of the result to those of the picture; three of them are moved."""
    centre, side = np.array([shape[1] // 2, shape[0] // 2], float), min(shape) // 3
    points = np.stack([centre + side, centre + np.array([side, -side]), centre - side])
    jittered = points + draw.uniform(-jitter, jitter, points.shape)
    if side == 0 or abs(np.linalg.det(np.c_[jittered, np.ones(3)])) < 1:  # no place for a map, or a fold
        return np.eye(2, 3)
    return np.linalg.solve(np.c_[jittered, np.ones(3)], points).T


def pixelate(x: np.ndarray, draws: Sequence[Generator], *, block: float) -> np.ndarray:
    """Pictures of coarse blocks, of so many px a side on average."""
    height, width = x.shape[1:3]
    smaller = tuple(min(side, max(1, int(side / block + 1e-9))) for side in (width, height))
    made = np.empty_like(x)
    for one, picture in zip(made, x, strict=True):
        coarse = Image.fromarray(picture).resize(smaller, Image.Resampling.BOX)
        one[:] = coarse.resize((width, height), Image.Resampling.BOX)
    return made


def jpeg_compression(x: np.ndarray, draws: Sequence[Generator], *, quality: int) -> np.ndarray:
    """Pictures that were kept as JPEG, 1 to 100, with colours at half the resolution."""
    made = np.empty_like(x)
    for one, picture in zip(made, x, strict=True):
        Image.fromarray(picture).save(kept := io.BytesIO(), "JPEG", quality=quality)
        with Image.open(kept) as image:
            one[:] = image
    return made


def saturate(x: np.ndarray, draws: Sequence[Generator], *, factor: float, added: float) -> np.ndarray:
    """Pictures of stronger or weaker colours: the saturation of HSV times a factor, and more; grey counts as red."""
    value, least = x.max(-1, keepdims=True).astype(float), x.min(-1, keepdims=True)
    span = value - least
    saturation = span / np.maximum(value, 1)
    wanted = (saturation * factor + added).clip(0, 1) * value
    away = np.where(span > 0, (value - x) / np.maximum(span, 1), np.array([0.0, 1.0, 1.0]))  # from the value, 0 to 1
    return value - away * wanted
