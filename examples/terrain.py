"""Landscapes: a height function seen in perspective, with sun, cast shadows, haze and clouds.

World axes: x right, y up, z away from the eye, which stands at x = z = 0 and looks along z.  The unit is free.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from textures import SIDE, Array, blur, mix, rise, sample

Ground = Callable[[Array, Array], Array]  # heights y at (x, z)


@dataclass(frozen=True)
class Eye:
    height: float  # y of the eye
    horizon: float  # row of the horizon, as a share of the picture's height
    zoom: float  # focal length, in picture widths
    near: float
    far: float

    def rays(self) -> tuple[Array, Array]:
        """How far the rays of each row rise, and those of each column drift right, per unit of depth; (SIDE,) each."""
        centre = np.arange(SIDE) + 0.5
        return (self.horizon - centre / SIDE) / self.zoom, (centre / SIDE - 0.5) / self.zoom


@dataclass(frozen=True)
class View:
    """What the eye sees of the ground.  N pixels, in the order of `picture[mask]`."""

    mask: Array  # (rows, columns), True on ground
    x: Array  # (N,)
    y: Array
    z: Array
    normal: Array  # (N, 3), x y z
    sunlight: Array  # (N,) in [0, 1]: cosine times cast shadow
    openness: Array  # (N,) in [0, 1]: 1 on crests, small in hollows

    def shade(self, albedo: Array, sun: Array, sky: Array) -> Array:
        """Colours (N, 3) under a sun and a sky of the given colours, with some light bounced up from the ground."""
        up = self.normal[:, 1] * 0.5 + 0.5
        ambient = (up * self.openness)[:, None] * sky + ((1 - up) * 0.12 * self.openness)[:, None] * sun
        return albedo * (self.sunlight[:, None] * sun + ambient)

    def over(self, sky: Array, colour: Array) -> Array:
        """The picture (rows, columns, 3): ground of the given colours (N, 3) before the sky."""
        picture = sky.copy()
        picture[self.mask] = colour
        return picture


def look(ground: Ground, eye: Eye, sun: tuple[float, float, float], samples: int = 700) -> View:
    """Cast a ray through every pixel.

    The running maximum of the slopes along a column is monotone, so a binary search finds where each row meets the
    ground; bisection between two samples then sharpens the hit.
    """
    rise_per_depth, drift = eye.rays()
    depth = np.geomspace(eye.near, eye.far, samples)
    slope = (ground(drift[:, None] * depth, np.broadcast_to(depth, (SIDE, samples))) - eye.height) / depth
    horizon = np.maximum.accumulate(slope, axis=1)
    first = np.stack([np.searchsorted(column, rise_per_depth) for column in horizon], axis=1)
    mask = first < samples
    row, column = np.nonzero(mask)
    first = first[mask]
    ray, side = rise_per_depth[row], drift[column]
    front, back = depth[np.maximum(first - 1, 0)], depth[first]
    for _ in range(5):
        middle = (front + back) / 2
        inside = ground(middle * side, middle) >= eye.height + middle * ray
        front, back = np.where(inside, front, middle), np.where(inside, middle, back)
    x, y, z = back * side, eye.height + back * ray, back
    step = z / (eye.zoom * SIDE) * 1.5
    here = ground(x, z)
    normal = np.stack(
        [(here - ground(x + step, z)) / step, np.ones_like(here), (here - ground(x, z + step)) / step], -1
    )
    normal = (normal / np.linalg.norm(normal, axis=1, keepdims=True)).astype(np.float32)
    direction = np.array(sun) / np.linalg.norm(sun)
    shade, openness = _shadows(ground, eye, direction, x, y, z)
    return View(mask, x, y, z, normal, np.clip(normal @ direction, 0, 1) * shade, openness)


def _shadows(
    ground: Ground, eye: Eye, sun: Array, x: Array, y: Array, z: Array, side: int = 1024
) -> tuple[Array, Array]:
    """Share of the sun's disc and of the sky that each point sees, from a height map whose rows run away from the
    sun.
    """
    level = np.hypot(sun[0], sun[2])
    dx, dz, climb = sun[0] / level, sun[2] / level, sun[1] / level
    half = 0.75 * float(z.max())
    centre = half / 1.5
    along = np.linspace(half, -half, side)[:, None]  # towards the sun first
    across = np.linspace(-half, half, side)[None]
    height = ground(along * dx - across * dz, centre + along * dz + across * dx)
    cell = 2 * half / side
    drop = np.arange(side)[:, None] * cell * climb
    ceiling = np.maximum.accumulate(height + drop, axis=0) - drop

    def at(field: Array, lead: float) -> Array:
        a, b = x * dx + (z - centre) * dz + lead * cell, -x * dz + (z - centre) * dx
        v, u = np.clip((half - a) / cell, 0, side - 2) / side, np.clip((b + half) / cell, 0, side - 2) / side
        return sample(field, v, u)

    shade = rise(-1.2 * cell, 0.4 * cell, y - at(ceiling.astype(np.float32), 1.5))
    closed = sum(np.clip((at(blur(height, r), 0) - y) / (r * cell), 0, 1.5) for r in (3, 10, 30))
    return shade, np.exp(-0.9 * closed)


def haze(colour: Array, air: Array, depth: Array, length: float) -> Array:
    """Aerial perspective: colours (N, 3) fade towards `air` with the depth (N,)."""
    return mix(colour, air, 1 - np.exp(-depth / length))


def clouds(tile: Array, eye: Eye, cover: float) -> tuple[Array, Array]:
    """Opacity and brightness (SIDE, SIDE) of a cloud deck in perspective.

    tile: noise of unit variance.  cover: about the share of the sky that is clouded.
    """
    up, across = eye.rays()
    near = 1 / np.maximum(up + 0.12, 0.02)[:, None]  # the offset keeps the horizon from aliasing
    u, v = across[None] * near * 0.16, np.broadcast_to(near * 0.2, (SIDE, SIDE))
    density = sample(tile, v, u) + 0.45 * sample(tile, v * 3.1 + 0.3, u * 3.1 + 0.7)
    lit = density - (sample(tile, v + 0.012, u - 0.012) + 0.45 * sample(tile, v * 3.1 + 0.33, u * 3.1 + 0.66))
    opacity = rise(0, 1.1, density - (1 - 2 * cover)) * rise(-0.02, 0.1, up)[:, None]
    return opacity, np.clip(0.82 + 0.35 * lit - 0.12 * np.maximum(density - 1, 0), 0.45, 1.1)
