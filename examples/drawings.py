"""Pictures made by hand: a brush letter on paper, a fish in stone mosaic, and a painter's sketch of a landscape."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw
from textures import (
    SIDE,
    SKYLIGHT,
    SUNLIGHT,
    Array,
    blur,
    develop,
    grid,
    mix,
    nearest_seed,
    noise,
    ramp,
    relief,
    rgb,
    rise,
    shine,
)


def curve(points: list[tuple[float, float]], count: int) -> Array:
    """Catmull-Rom spline through points in [0, 1]: (count, 2) in pixels."""
    p = np.array([points[0], *points, points[-1]], np.float64) * SIDE
    at = np.linspace(0, len(points) - 1 - 1e-9, count)
    i = at.astype(int)
    t = (at - i)[:, None]
    a, b, c, d = p[i], p[i + 1], p[i + 2], p[i + 3]
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)


def paper(rng: Generator) -> Array:
    """Height in pixels of handmade paper: felted fibres on a cloudy sheet."""
    sheet = Image.new("L", (SIDE, SIDE), 128)
    draw = ImageDraw.Draw(sheet)
    for _ in range(5000):
        place, turn, bend = rng.uniform(-0.05, 1.05, 2) * SIDE, rng.uniform(0, 6.3), rng.normal(0, 0.35)
        steps = turn + bend * np.arange(6)
        path = place + np.cumsum(np.stack([np.cos(steps), np.sin(steps)], 1) * rng.uniform(6, 16), 0)
        draw.line([tuple(point) for point in path], fill=int(128 + rng.normal(20, 30)), width=int(rng.integers(1, 4)))
    fibres = (np.asarray(sheet, np.float32) - 128) / 40
    return blur(fibres, 1) * 1.1 + 0.35 * noise(rng, 1.0, low=30) + 1.2 * noise(rng, 1.8, low=4)


def letter(rng: Generator) -> Image.Image:
    """A bold S written with a broad wet brush on fibrous paper."""
    path = curve(
        [
            (0.74, 0.25),
            (0.62, 0.145),
            (0.44, 0.14),
            (0.31, 0.25),
            (0.36, 0.40),
            (0.53, 0.50),
            (0.68, 0.62),
            (0.67, 0.78),
            (0.51, 0.87),
            (0.34, 0.84),
            (0.235, 0.72),
        ],
        420,
    )
    tangent = np.gradient(path, axis=0)
    across = np.stack([-tangent[:, 1], tangent[:, 0]], 1) / np.linalg.norm(tangent, axis=1, keepdims=True)
    t = np.linspace(0, 1, len(path))
    half = 78 * (0.72 + 0.34 * np.sin(np.pi * np.clip(t * 1.05, 0, 1)) ** 0.8) * rise(-0.04, 0.05, t)
    sheet = Image.new("L", (SIDE, SIDE), 0)
    draw = ImageDraw.Draw(sheet)
    for hair in rng.permutation(np.linspace(-1, 1, 150)):
        load = rng.uniform(0.75, 1.25)  # how far the ink of this hair lasts
        start, end = rng.uniform(0, 0.012) + 0.012 * abs(hair), 1 - rng.uniform(0, 0.05) * (0.5 + abs(hair))
        wobble = np.interp(t, np.linspace(0, 1, 14), rng.normal(0, 0.02, 14))
        line = path + across * (half * (hair + wobble))[:, None]
        for k in range(int(start * 420), int(end * 420) - 2, 2):
            dry = rise(0.70, 1.05, t[k] / load) + 0.25 * rise(0.9, 1.0, abs(hair))
            if rng.random() > 0.55 * dry:
                draw.line(
                    [tuple(line[k]), tuple(line[k + 2])],
                    fill=int(255 - 50 * rng.random()),
                    width=int(rng.integers(2, 5)),
                )
    height = paper(rng)
    ink = rise(0.30, 0.72, blur(np.asarray(sheet, np.float32) / 255, 2) + 0.06 * height)
    _, lit, open_ = relief(height * 0.6, (-0.6, -0.55, 0.6), reach=12)
    tint = ramp(np.clip(0.55 + 0.1 * noise(rng, 1.9), 0, 1), "#e4ded0", "#efeadf", "#f6f3ec")
    black = rgb("#0c0c0f") * (1 + 0.5 * np.clip(noise(rng, 1.2, low=6), -1, 2))[..., None]
    light = mix(tint, black, 0.993 * ink) * (1.05 * lit + 0.38 * open_)[..., None]
    return develop(light, rng, 1.0, vignette=0.12, grain=0).convert("L")


def fish() -> Array:
    """A fish as a mask (SIDE, SIDE) in [0, 1]."""
    sheet = Image.new("L", (SIDE, SIDE), 0)
    draw = ImageDraw.Draw(sheet)
    back = [
        (0.08, 0.50),
        (0.16, 0.405),
        (0.30, 0.34),
        (0.46, 0.335),
        (0.60, 0.385),
        (0.71, 0.455),
        (0.77, 0.47),
        (0.84, 0.37),
        (0.94, 0.27),
    ]
    belly = [
        (0.90, 0.50),
        (0.95, 0.76),
        (0.84, 0.64),
        (0.77, 0.545),
        (0.70, 0.575),
        (0.58, 0.645),
        (0.44, 0.68),
        (0.28, 0.66),
        (0.15, 0.59),
        (0.08, 0.50),
    ]
    fins = [
        [(0.28, 0.35), (0.36, 0.23), (0.47, 0.20), (0.50, 0.26), (0.62, 0.40)],
        [(0.36, 0.66), (0.43, 0.81), (0.50, 0.80), (0.52, 0.66)],
    ]
    fins += [[(0.60, 0.63), (0.67, 0.71), (0.70, 0.69), (0.68, 0.58)]]
    for outline in (back + belly, *fins):
        draw.polygon([tuple(point) for point in curve(outline, 300)], fill=255)
    return np.asarray(sheet, np.float32) / 255


def courses(figure: Array, rng: Generator, pitch: float, rounds: int = 8) -> tuple[Array, Array]:
    """Centres (N, 2) in pixels and the stone of each pixel (SIDE, SIDE) for square stones that follow a figure's
    outline.

    After A. Hausner, Simulating decorative mosaics (SIGGRAPH 2001): Lloyd's iterations under a metric that turns with
    the
    direction to the outline, with the outline itself counted out so that no stone lies across it.  Settled at half
    size.
    """
    side, pitch = SIDE // 2, pitch / 2
    soft = blur(figure, 2)[::2, ::2]
    outline = np.argwhere((soft > 0.3) & (soft < 0.7)).astype(np.float32)
    near = nearest_seed(outline, side)
    y, x = grid(side, side)
    dy, dx = y - outline[near, 0], x - outline[near, 1]
    turn = np.arctan2(dy, dx)
    free = (np.hypot(dy, dx) > 1.3).astype(np.float64).ravel()
    start = np.arange(pitch / 2, side, pitch)
    seeds = np.stack(np.meshgrid(start, start, indexing="ij"), -1).reshape(-1, 2) + rng.uniform(
        -3, 3, (len(start) ** 2, 2)
    )
    for _ in range(rounds):
        at = np.clip(seeds, 0, side - 1).astype(int)
        stone = nearest_seed(seeds.astype(np.float32), side, turn[at[:, 0], at[:, 1]], spacing=16).ravel()
        weight = np.maximum(np.bincount(stone, free, len(seeds)), 1e-3)
        seeds = np.stack([np.bincount(stone, free * v.ravel(), len(seeds)) / weight for v in (y, x)], 1)
    at = np.clip(seeds, 0, side - 1).astype(int)
    seeds = (2 * seeds + 0.5).astype(np.float32)
    return seeds, nearest_seed(seeds, SIDE, turn[at[:, 0], at[:, 1]], spacing=32)


def mosaic(rng: Generator) -> Image.Image:
    """A dark fish on a light ground, in stone tesserae laid in courses that follow its outline."""
    figure = fish()
    seeds, stone = courses(figure, rng, pitch=22)
    row, column = np.clip(seeds, 0, SIDE - 1).astype(int).T
    inside = figure[row, column] > 0.5
    count = len(seeds)
    pale = ramp(np.clip(rng.normal(0.5, 0.22, count), 0, 1), "#a8916d", "#cdb993", "#ddcfb0", "#e9dfc8", "#d6c3b4")
    dark = ramp(np.clip(rng.normal(0.45, 0.22, count), 0, 1), "#0f1216", "#1c2530", "#25394a", "#34566a", "#2a2430")
    u, v = column / SIDE, row / SIDE
    belly = rise(0.50, 0.60, v + 0.02 * rng.normal(size=count)) * (u < 0.74)
    tiles = mix(pale, mix(dark, ramp(rng.uniform(0, 1, count), "#4d5a5e", "#6a7472", "#80613f"), 0.6 * belly), inside)
    gill = np.abs(np.hypot(u - 0.10, v - 0.50) - 0.20) < 0.011
    tiles = mix(tiles, rgb("#a9622c") * rng.uniform(0.7, 1.2, (count, 1)), inside & gill)
    eye = np.hypot(u - 0.205, v - 0.455)
    tiles = mix(mix(tiles, rgb("#e4cf9a"), eye < 0.030), rgb("#0b0b0c"), eye < 0.011)
    edge = np.zeros((SIDE, SIDE), np.float32)
    for axis in (0, 1):
        edge = np.maximum(edge, stone != np.roll(stone, 1, axis))
    grit, cloud = noise(rng, 0.8, low=30), noise(rng, 1.6, low=8)
    grout = rise(0.10, 0.24, blur(edge, 2) + 0.015 * cloud + 0.01 * grit)
    y, x = grid()
    tilt = rng.normal(0, 0.035, (count, 2))[stone]
    level = (
        tilt[..., 0] * (y - seeds[stone, 0]) + tilt[..., 1] * (x - seeds[stone, 1]) + rng.normal(0, 0.4, count)[stone]
    )
    height = (1 - grout) * (4 + level + 0.10 * grit) + 0.25 * grout * grit
    colour = tiles[stone] * np.clip(1 + 0.10 * grit + 0.08 * cloud, 0.3, 2)[..., None]
    colour = mix(colour, rgb("#6f6456") * np.clip(0.7 + 0.16 * grit, 0.3, 2)[..., None], grout)
    sun = (-0.6, -0.6, 0.65)
    normal, lit, open_ = relief(height.astype(np.float32), sun, reach=24)
    light = colour * (1.2 * lit[..., None] * SUNLIGHT + 0.45 * open_[..., None] * SKYLIGHT)
    light += (0.06 * shine(normal, sun, 30) * (1 - grout))[..., None]
    return develop(light, rng, 1.1)


def paint(rng: Generator) -> Image.Image:
    """A crude sketch by a user with a big brush: sky, mountain, water and meadow in a few flat colours."""
    sheet = Image.new("RGB", (SIDE, SIDE), "#7fb4e3")
    draw = ImageDraw.Draw(sheet)

    def daub(colour: str, width: float, *strokes: list[tuple[float, float]]) -> None:
        for points in strokes:
            path = curve(points, 160) + np.cumsum(rng.normal(0, 0.9, (160, 2)), 0)
            for column, row in path:
                half = width / 2 * rng.uniform(0.97, 1.03)
                draw.ellipse([column - half, row - half, column + half, row + half], fill=colour)

    daub("#f4f6f8", 70, [(0.58, 0.13), (0.70, 0.10), (0.84, 0.13)], [(0.66, 0.16), (0.92, 0.16)])
    daub(
        "#6d7480",
        96,
        [(0.02, 0.56), (0.16, 0.43), (0.30, 0.29), (0.41, 0.40), (0.56, 0.56)],
        [(0.12, 0.54), (0.30, 0.38), (0.46, 0.54)],
        [(0.10, 0.53), (0.5, 0.53)],
        [(0.24, 0.46), (0.36, 0.46)],
    )
    daub(
        "#6d7480",
        84,
        [(0.52, 0.56), (0.72, 0.42), (0.84, 0.46), (1.02, 0.58)],
        [(0.60, 0.57), (0.78, 0.50), (1.0, 0.58)],
        [(0.66, 0.54), (0.92, 0.55)],
        [(0.64, 0.49), (0.74, 0.47), (0.88, 0.50)],
    )
    daub("#f4f6f8", 58, [(0.23, 0.335), (0.30, 0.26), (0.37, 0.335)], [(0.29, 0.30), (0.31, 0.34)])
    daub("#f4f6f8", 38, [(0.67, 0.44), (0.73, 0.40), (0.79, 0.425)])
    daub("#23402a", 60, [(-0.05, 0.585), (0.3, 0.575), (0.6, 0.59), (1.05, 0.58)])
    daub("#3f6f9f", 100, *[[(-0.1, row), (0.4, row + 0.012), (1.1, row)] for row in (0.63, 0.69, 0.75, 0.80)])
    daub(
        "#5c8a34",
        110,
        [(-0.1, 0.86), (0.25, 0.84), (0.6, 0.89), (1.1, 0.85)],
        [(-0.1, 0.92), (1.1, 0.93)],
        [(-0.1, 0.99), (1.1, 0.99)],
    )
    return sheet.resize((SIDE // 2, SIDE // 2), Image.Resampling.LANCZOS)
