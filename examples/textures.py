"""Noise, patterns and light: what `render.py` builds its pictures from.  numpy and Pillow only.

Everything random takes a `numpy.random.Generator`, so a seed fixes every pixel.  Colours are linear light, float32,
shape (..., 3); `develop` turns them into an 8-bit sRGB picture.  Lengths are in pixels unless said otherwise.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from PIL import Image

SIDE = 1024  # pictures are rendered at twice their final side and reduced: that is the antialiasing
SKYLIGHT = np.array([0.62, 0.74, 0.95], np.float32)
SUNLIGHT = np.array([1.0, 0.93, 0.82], np.float32)
Array = np.ndarray


def grid(height: int = SIDE, width: int = SIDE) -> tuple[Array, Array]:
    """Row and column coordinates of every pixel, each (height, width) float32."""
    y, x = np.mgrid[:height, :width]
    return y.astype(np.float32), x.astype(np.float32)


def rgb(code: str) -> Array:
    """Linear colour (3,) of an sRGB hex code such as "#8a7f70"."""
    return (np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)], np.float32) / 255) ** 2.2


def mix(a: Array, b: Array, t: Array | float) -> Array:
    """From colour `a` to colour `b` by `t` in [0, 1]; t has the shape of the picture, without channels."""
    return a + (b - a) * np.asarray(t, np.float32)[..., None]


def ramp(t: Array, *codes: str) -> Array:
    """Colours (..., 3) along equally spaced hex stops; t in [0, 1]."""
    stops = np.stack([rgb(code) for code in codes])
    at = np.linspace(0, 1, len(codes))
    return np.stack([np.interp(t, at, stops[:, i]) for i in range(3)], -1).astype(np.float32)


def rise(low: float | Array, high: float | Array, x: Array) -> Array:
    """Smooth step: 0 below `low`, 1 above `high`."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def noise(
    rng: Generator, slope: float = 2.0, low: float = 1, high: float = 1e9, stretch=(1.0, 1.0), side: int = SIDE
) -> Array:
    """Fractal noise of zero mean and unit variance that tiles: (side, side) float32.

    The amplitude falls as frequency ** -slope (2 is cloudy, 1 is gritty) between `low` and `high` cycles per tile.
    stretch (down, across) lengthens the features along an axis.
    """
    down = np.fft.fftfreq(side, 1 / side)[:, None] * stretch[0]
    across = np.fft.rfftfreq(side, 1 / side)[None] * stretch[1]
    frequency = np.hypot(down, across)
    band = np.where((frequency >= low) & (frequency <= high), np.maximum(frequency, 1) ** -slope, 0)
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((side, side))) * band, s=(side, side))
    return ((field - field.mean()) / field.std()).astype(np.float32)


def ridges(rng: Generator, octaves: int = 7, low: float = 2, gain: float = 0.5, side: int = SIDE) -> Array:
    """Ridged multifractal that tiles, about [0, 1]: sharp crests, and detail that grows towards them.

    After F. K. Musgrave, in Texturing and Modeling (3rd ed., ch. 16): each octave is weighted by the one before.
    """
    total, weight = np.zeros((side, side), np.float32), np.ones((side, side), np.float32)
    for octave in range(octaves):
        frequency = low * 2**octave
        crest = np.clip(1 - np.abs(noise(rng, 1.0, frequency * 0.6, frequency * 1.3, side=side)) * 0.75, 0, 1) ** 2
        total += gain**octave * weight * crest
        weight = np.clip(weight * crest * 1.6, 0, 1)
    return total / total.max()


def sample(tile: Array, v: Array, u: Array) -> Array:
    """Bilinear look-up in a tile that repeats; v down, u across, in tiles."""
    rows, columns = tile.shape[:2]
    v, u = np.asarray(v) * rows, np.asarray(u) * columns
    top, left = np.floor(v), np.floor(u)
    fv, fu = (v - top).astype(np.float32), (u - left).astype(np.float32)
    if tile.ndim == 3:
        fv, fu = fv[..., None], fu[..., None]
    r0, c0 = top.astype(np.int64) % rows, left.astype(np.int64) % columns
    r1, c1 = (r0 + 1) % rows, (c0 + 1) % columns
    upper = tile[r0, c0] * (1 - fu) + tile[r0, c1] * fu
    lower = tile[r1, c0] * (1 - fu) + tile[r1, c1] * fu
    return upper * (1 - fv) + lower * fv


def blur(field: Array, radius: float) -> Array:
    """Nearly Gaussian blur of standard deviation `radius`: three box means along each of the first two axes."""
    reach = max(1, round(radius))
    for axis in (0, 1) * 3:
        field = np.moveaxis(field, axis, 0)
        padded = np.concatenate([field[:1].repeat(reach + 1, 0), field, field[-1:].repeat(reach, 0)])
        total = np.cumsum(padded, 0, dtype=np.float64)
        field = np.moveaxis(
            ((total[2 * reach + 1 :] - total[: -2 * reach - 1]) / (2 * reach + 1)).astype(np.float32), 0, axis
        )
    return field


def nearest_seed(seeds: Array, side: int, angle: Array | None = None, spacing: int = 512) -> Array:
    """Index (side, side) of the seed that is nearest to each pixel, by jump flooding (Rong and Tan, 2006).

    seeds (N, 2) are rows and columns.  With `angle` (N,), a seed measures max(|a|, |b|) along its own turned axes,
    which
    makes the cells square and aligned (Hausner, 2001); without, the distance is Euclidean.  spacing: a power of two
    that
    no pixel is farther than from a seed; a small one saves passes.
    """
    y, x = grid(side, side)
    label = np.full((side, side), -1, np.int64)
    at = np.clip(seeds.astype(int), 0, side - 1)
    label[at[:, 0], at[:, 1]] = np.arange(len(seeds))

    if angle is not None:
        cosine, sine = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)

    def distance(index: Array) -> Array:
        dy, dx = y - seeds[index, 0], x - seeds[index, 1]
        if angle is None:
            far = dy * dy + dx * dx
        else:
            c, s = cosine[index], sine[index]
            far = np.maximum(np.abs(c * dx + s * dy), np.abs(c * dy - s * dx))
        return np.where(index < 0, np.inf, far)

    best = distance(label)
    jumps = [2**k for k in range(int(np.log2(spacing)), -1, -1)]
    for jump in [*jumps, 1]:
        padded = np.pad(label, jump, constant_values=-1)
        for dy in (0, jump, 2 * jump):
            for dx in (0, jump, 2 * jump):
                other = padded[dy : dy + side, dx : dx + side]
                far = distance(other)
                closer = far < best
                label, best = np.where(closer, other, label), np.where(closer, far, best)
    return label


def relief(
    height: Array, sun: tuple[float, float, float], softness: float = 0.25, reach: int = 160
) -> tuple[Array, Array, Array]:
    """Light on a height field seen from above: (normal (H, W, 3), sunlight (H, W), openness (H, W)), the last two in
    [0, 1].

    sun (right, down, towards the eye) points to the sun.  Sunlight is the cosine times a cast shadow whose edge widens
    with the distance to what casts it; openness is ambient occlusion, from how far the surroundings stand above a
    pixel.
    """
    down, across = np.gradient(height)
    normal = np.stack([-across, -down, np.ones_like(height)], -1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    sx, sy, sz = np.array(sun) / np.linalg.norm(sun)
    level = np.hypot(sx, sy)
    padded = np.pad(height, reach, mode="edge")
    rows, columns = height.shape
    shadow = np.zeros_like(height)
    step = 2.0
    while (
        step < reach
    ):  # march towards the sun, in growing strides; the edge of a shadow softens with the distance marched
        dy, dx = reach + round(step * sy / level), reach + round(step * sx / level)
        above = padded[dy : dy + rows, dx : dx + columns] - height - step * sz / level
        np.maximum(shadow, above / (softness * step + 1) + 0.5 * (above > 0), out=shadow)
        step *= 1.02
        step += 0.8
    lit = np.clip(normal @ np.array([sx, sy, sz], np.float32), 0, 1) * (1 - rise(0, 1, shadow))
    closed = sum(np.clip((blur(height, r) - height) / r, 0, 1.5) for r in (3, 10, 30))
    return normal, lit, np.exp(-1.1 * closed)


def shine(normal: Array, sun: tuple[float, float, float], sharpness: float) -> Array:
    """Blinn-Phong highlight for an eye straight above; `normal` (..., 3)."""
    half = np.array(sun) / np.linalg.norm(sun) + np.array([0, 0, 1])
    half = (half / np.linalg.norm(half)).astype(np.float32)
    return np.clip(normal @ half, 0, 1) ** sharpness


def develop(
    light: Array, rng: Generator, exposure: float = 1.0, vignette: float = 0.25, grain: float = 0.008
) -> Image.Image:
    """A finished picture, half the size: reduction, corner fall-off, a soft shoulder, sRGB and film grain."""
    rows, columns = light.shape[0] // 2, light.shape[1] // 2
    small = light.reshape(rows, 2, columns, 2, 3).mean((1, 3)) * exposure
    y, x = np.linspace(-1, 1, rows)[:, None], np.linspace(-1, 1, columns)[None]
    small = np.maximum(small * (1 - vignette * (x * x + y * y) / 2)[..., None], 0)
    small = np.where(small > 0.6, 0.6 + 0.4 * np.tanh((small - 0.6) / 0.4), small)
    encoded = small ** (1 / 2.2) + grain * rng.standard_normal((rows, columns, 1))
    return Image.fromarray((np.clip(encoded, 0, 1) * 255 + 0.5).astype(np.uint8))
