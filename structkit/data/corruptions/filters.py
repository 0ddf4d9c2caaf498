"""Filters of pictures in NumPy: correlation, Gaussian blur, zoom, warp.

Pictures are (N, h, w, C) float32.  A picture comes out the same whatever the others of its batch are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np

Border = Literal["edge", "reflect", "symmetric"]  # as `numpy.pad` names them
Taps = Mapping[tuple[int, int], float]  # weights by their offset (rows, columns) from the pixel
MOST_TAPS = 90  # more are faster by a Fourier transform
MOST_RADIUS = 24  # of a line of weights, likewise
MIDDLE = 128  # level that is taken off before a Fourier transform, for its accuracy


def bordered(count: int, before: int, after: int, border: Border) -> np.ndarray:
    """Indices into a line of `count` px of the line that is continued by so many px on either side."""
    at = np.arange(-before, count + after)
    if border == "edge":
        return at.clip(0, count - 1)
    if border == "symmetric":
        at %= 2 * count
        return np.minimum(at, 2 * count - 1 - at)
    if count == 1:
        return np.zeros_like(at)
    at %= 2 * count - 2
    return np.minimum(at, 2 * count - 2 - at)


def correlate(x: np.ndarray, taps: Taps, border: Border) -> np.ndarray:
    """The sum of the shifted pictures (N, h, w, C), each times its weight: y(p) = sum of w(d) x(p + d)."""
    height, width = x.shape[1:3]
    rows, columns = zip(*taps, strict=True)
    top, bottom = max(0, -min(rows)), max(0, *rows, 0)
    left, right = max(0, -min(columns)), max(0, *columns, 0)
    x = x[:, bordered(height, top, bottom, border)][:, :, bordered(width, left, right, border)]
    if len(taps) > MOST_TAPS:
        return _by_fourier(x, {(row + top, column + left): w for (row, column), w in taps.items()}, (height, width))
    made, part = np.zeros((len(x), height, width, x.shape[3]), np.float32), None
    for (row, column), weight in taps.items():
        shifted = x[:, top + row : top + row + height, left + column : left + column + width]
        part = np.multiply(shifted, np.float32(weight), out=part)
        made += part
    return made


def _by_fourier(x: np.ndarray, taps: Taps, shape: tuple[int, int]) -> np.ndarray:
    """The same sum, of offsets that are 0 or more, of the picture with its border."""
    sides = [fast_length(side) for side in x.shape[1:3]]
    kernel = np.zeros(sides)
    for offset, weight in taps.items():
        kernel[offset] = weight
    of_kernel = np.fft.rfft2(kernel).conj().astype(np.complex64)[None, :, :, None]
    spectrum = np.fft.rfft2(x - np.float32(MIDDLE), sides, axes=(1, 2))
    spectrum *= of_kernel
    made = np.fft.irfft2(spectrum, sides, axes=(1, 2))[:, : shape[0], : shape[1]]
    return (made + np.float32(MIDDLE * sum(taps.values()))).astype(np.float32, copy=False)


def fast_length(count: int) -> int:
    """The least number that is at least this one and has no prime factor but 2, 3 and 5."""
    best = 1 << (count - 1).bit_length()
    fives = 1
    while fives < best:
        threes = fives
        while threes < best:
            best = min(best, threes << max(0, (-(-count // threes) - 1).bit_length()))
            threes *= 3
        fives *= 5
    return best


def gaussian_weights(sigma: float, truncate: float = 4.0) -> list[float]:
    """The weights of a Gaussian from its middle outwards, as SciPy cuts it; with their mirror they add up to 1."""
    radius = int(truncate * sigma + 0.5)
    weights = [math.exp(-0.5 * (i / sigma) ** 2) for i in range(radius + 1)] if radius else [1.0]
    total = weights[0] + 2 * sum(weights[1:])
    return [weight / total for weight in weights]


def gaussian(x: np.ndarray, sigma: float, *, truncate: float = 4.0, border: Border = "edge") -> np.ndarray:
    """The pictures (N, h, w, C), blurred by a Gaussian of `sigma` px that is cut at `truncate` times that."""
    weights = gaussian_weights(sigma, truncate)
    if len(weights) == 1:
        return x
    for axis in (1, 2):
        if len(weights) <= MOST_RADIUS + 1:
            x = _line(x, weights, axis, border)
        elif border == "symmetric":
            x = _mirrored_line(x, weights, axis)
        else:
            x = _long_line(x, weights, axis, border)
    return x


def _line(x: np.ndarray, weights: list[float], axis: int, border: Border) -> np.ndarray:
    """The correlation along one axis, tap by tap."""
    count, radius = x.shape[axis], len(weights) - 1
    x = x.take(bordered(count, radius, radius, border), axis)

    def shifted(by: int) -> np.ndarray:
        return x[:, radius + by : radius + by + count] if axis == 1 else x[:, :, radius + by : radius + by + count]

    made, part = shifted(0) * np.float32(weights[0]), None
    for i, weight in enumerate(weights[1:], 1):
        part = np.add(shifted(-i), shifted(i), out=part)
        part *= np.float32(weight)
        made += part
    return made


def _long_line(x: np.ndarray, weights: list[float], axis: int, border: Border) -> np.ndarray:
    """The same by a Fourier transform."""
    count, radius = x.shape[axis], len(weights) - 1
    x = x.take(bordered(count, radius, radius, border), axis) - np.float32(MIDDLE)
    length = fast_length(x.shape[axis])
    kernel = np.zeros(length)
    kernel[: radius + 1] = weights
    kernel[length - radius :] = weights[:0:-1]
    made = _filtered(x, np.fft.rfft(kernel).real, axis, length)
    return made.take(np.arange(radius, radius + count), axis) + np.float32(MIDDLE)


def _mirrored_line(x: np.ndarray, weights: list[float], axis: int) -> np.ndarray:
    """The same of a line that is continued by its mirror for ever, which has a period of twice its length."""
    count = x.shape[axis]
    kernel = np.zeros(2 * count)
    np.add.at(kernel, np.arange(len(weights)) % (2 * count), weights)
    np.add.at(kernel, -np.arange(1, len(weights)) % (2 * count), weights[1:])
    mirrored = np.concatenate([x, np.flip(x, axis)], axis)
    return _filtered(mirrored, np.fft.rfft(kernel).real, axis, 2 * count).take(np.arange(count), axis)


def _filtered(x: np.ndarray, response: np.ndarray, axis: int, length: int) -> np.ndarray:
    spectrum = np.fft.rfft(x, length, axis)
    spectrum *= response.astype(np.float32).reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    return np.fft.irfft(spectrum, length, axis)


def clipped_zoom(x: np.ndarray, factor: float) -> np.ndarray:
    """The middle of each picture (N, h, w, C), enlarged bilinearly to the size of the whole; factor: 1 or more."""
    for axis in (1, 2):
        first, second, share = _zoomed_line(x.shape[axis], factor)
        x = between(x, first, second, share, axis)
    return x


def _zoomed_line(count: int, factor: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The two neighbours of each pixel of an enlarged line, and how far it lies from the first to the second."""
    cut = math.ceil(count / factor)
    enlarged = round(cut * factor)
    at = (np.arange(count) + (enlarged - count) // 2) * ((cut - 1) / max(enlarged - 1, 1))
    first = np.floor(at).astype(np.int64).clip(0, cut - 1)
    start = (count - cut) // 2
    return start + first, start + np.minimum(first + 1, cut - 1), (at - first).astype(np.float32)


def between(x: np.ndarray, first: np.ndarray, second: np.ndarray, share: np.ndarray, axis: int) -> np.ndarray:
    """The values between two neighbours along an axis: x[first] (1 - share) + x[second] share."""
    one = x.take(first, axis)
    other = x.take(second, axis)
    other -= one
    other *= share.reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    one += other
    return one


def warp(x: np.ndarray, rows: np.ndarray, columns: np.ndarray, border: Border) -> np.ndarray:
    """The pictures (N, h, w, C), read bilinearly at these places, (N, h, w) float32 px each."""
    count, height, width, channels = x.shape
    flat = x.reshape(-1, channels)
    row, column = np.floor(rows), np.floor(columns)
    down, along = (rows - row)[..., None], (columns - column)[..., None]
    row, column = row.astype(np.int64), column.astype(np.int64)
    start = (np.arange(count) * height)[:, None, None]
    made = None
    for step in (0, 1):
        line = (start + _folded(row + step, height, border)) * width
        one = flat.take(line + _folded(column, width, border), 0)
        other = flat.take(line + _folded(column + 1, width, border), 0)
        other -= one
        other *= along
        one += other
        if made is None:
            made = one
        else:
            one -= made
            one *= down
            made += one
    return made


def _folded(at: np.ndarray, count: int, border: Border) -> np.ndarray:
    """Indices brought back into a line of `count` px."""
    low, high = int(at.min()), int(at.max())
    return bordered(count, max(0, -low), max(0, high + 1 - count), border)[at + max(0, -low)]
