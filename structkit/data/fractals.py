"""Fractals: pictures with structure at every scale, rendered from seeds.

A fractal is the attractor of an iterated function system, a few contracting affine maps that are drawn at random, found
by the chaos game: points jump by one of the maps after another, and each pixel counts its visits (Barnsley, 1988).
The maps are drawn by their singular values, whose weighted sum decides whether an attractor is dust or fills the plane
(Anderson and Farrell, WACV 2022).  Each map has a colour; a point takes on half of it at every jump.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

MAPS = (2, 5)  # maps of a system, least and most
LAYERS = (1, 3)  # attractors of a picture, least and most
POINTS, SETTLING = 512, 20  # points that jump at once; jumps before they are on the attractor
VISITS = 6  # of a pixel, on average
LARGEST = 384  # side of a rendered fractal, px, which takes 0.4 MB


@lru_cache(maxsize=512)
def fractal(index: int, side: int, seed: int = 0) -> np.ndarray:
    """A fractal (side, side, 3) uint8 of one to three layers; the same for the same index, side and seed.

    Takes 7 ms for 48 px and 0.3 s for 336 px; those that were rendered last are kept.
    """
    rng = np.random.default_rng([seed, index])
    picture = np.broadcast_to(rng.random(3) * rng.random(), (side * side, 3))
    for _ in range(rng.integers(LAYERS[0], LAYERS[1] + 1)):
        colours, cover = _layer(side, rng)
        picture = picture + (colours - picture) * cover
    rendered = (255 * picture + 0.5).astype(np.uint8).reshape(side, side, 3)
    rendered.setflags(write=False)
    return rendered


def _layer(side: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The colours of an attractor in the pixels of a square (side * side, 3), and how far it covers each of them, 0 to
    1.
    """
    while True:
        places, colours = _orbit(*_system(rng), side, rng)
        if not np.isfinite(places).all():
            continue
        low, high = np.quantile(places[:, ::7], (0.01, 0.99), axis=1)
        if (high - low).min() > 0.1 * (high - low).max() > 0:
            break
    # The shorter extent fills most of the square, or the longer one: something in between.
    extent = (high - low).min() ** (share := rng.random()) * (high - low).max() ** (1 - share)
    column, row = np.floor(((places - (low + high)[:, None] / 2) / extent * 0.95 + 0.5) * side).astype(np.int64)
    inside = (column >= 0) & (column < side) & (row >= 0) & (row < side)
    index, colours = (row * side + column)[inside], colours[:, inside]
    visits = np.bincount(index, minlength=side * side)
    sums = np.stack([np.bincount(index, weights=channel, minlength=side * side) for channel in colours], 1)
    dense = max(float(visits.max()) / 4, 1.0)
    cover = np.minimum(np.log1p(visits) / np.log1p(dense), 1)
    return sums / np.maximum(visits, 1)[:, None], cover[:, None] ** 0.5


def _system(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Maps x -> A x + b of a system, A (n, 2, 2), b (n, 2), and the colour of each (n, 3)."""
    count = int(rng.integers(MAPS[0], MAPS[1] + 1))
    values = np.sort(rng.uniform(0.2, 0.95, (count, 2)), 1)[:, ::-1]
    wanted = rng.uniform(5 + count, 6 + count) / 2  # the sum of the larger and twice the smaller singular values
    values = np.minimum(values * wanted / (values @ [1.0, 2.0]).sum(), 0.97)
    first, second = rng.uniform(0, 2 * np.pi, (2, count))
    signs = rng.choice([-1.0, 1.0], (count, 2))
    maps = _turn(first) * (values * signs)[:, None, :] @ _turn(second)
    return maps, rng.uniform(-1, 1, (count, 2)), rng.random((count, 3)) ** 0.7


def _turn(angles: np.ndarray) -> np.ndarray:
    """Rotations (n, 2, 2) by angles (n,)."""
    cos, sin = np.cos(angles), np.sin(angles)
    return np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)


def _orbit(
    maps: np.ndarray, shifts: np.ndarray, colours: np.ndarray, side: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Places (2, n) that the points visit, and the colour of each (3, n)."""
    jumps = max(16, VISITS * side * side // POINTS)
    areas = np.abs(np.linalg.det(maps)) + 0.02  # a map that shrinks less gets more of the points
    choice = rng.choice(len(maps), (SETTLING + jumps, POINTS), p=areas / areas.sum())
    matrix, shift, tint = np.moveaxis(maps, 0, -1), shifts.T, colours.T
    place, colour = np.zeros((2, POINTS)), np.full((3, POINTS), 0.5)
    places, shades = np.empty((2, jumps, POINTS)), np.empty((3, jumps, POINTS))
    for jump, which in enumerate(choice):
        place = np.einsum("ijn,jn->in", matrix[:, :, which], place) + shift[:, which]
        colour = (colour + tint[:, which]) / 2
        if jump >= SETTLING:
            places[:, jump - SETTLING], shades[:, jump - SETTLING] = place, colour
    return places.reshape(2, -1), shades.reshape(3, -1)
