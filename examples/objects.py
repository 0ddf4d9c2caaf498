"""Things on a ground in sunlight: pebbles on weathered boards, and marbled balls in grass."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from PIL import Image
from plants import grass
from textures import SIDE, SKYLIGHT, SUNLIGHT, Array, develop, grid, mix, noise, ramp, relief, rgb, rise, sample, shine


def planks(rng: Generator) -> tuple[Array, Array]:
    """Weathered boards: colour (SIDE, SIDE, 3) and height in pixels.

    The grain is the stream function of a flow around the knots, which is how fibres do run around them.
    """
    y, x = grid()
    tilt = np.deg2rad(-3.0)
    along, across = x * np.cos(tilt) + y * np.sin(tilt), y * np.cos(tilt) - x * np.sin(tilt) + 120
    width = 214.0
    board = np.floor(across / width).astype(int)
    inside = across - board * width
    shift = rng.uniform(0, 1, (8, 2))[board]
    wave = noise(rng, 2.2, high=24, stretch=(1, 5))
    grain = across + 26 * sample(wave, across / SIDE + shift[..., 0], along / SIDE + shift[..., 1])
    knot = np.zeros_like(x)
    for index in range(7):
        middle, place, radius = (index % 5 + rng.uniform(0.25, 0.75)) * width, rng.uniform(0, SIDE), rng.uniform(9, 20)
        dx, dy = (along - place) / 1.5, grain - middle
        far = np.maximum(dx * dx + dy * dy, 1.0)
        near = (board == int(middle // width)) * np.exp(-far / (radius * 7) ** 2)
        grain = grain - near * dy * np.minimum(radius**2 / far, 1.0) + near * np.sqrt(far) * (far < radius**2) * 2.0
        knot = np.maximum(knot, (board == int(middle // width)) * rise(1.25, 0.75, np.sqrt(far) / radius))
    tone = rng.uniform(-0.14, 0.14, 8)[board]
    late = sum(
        a * sample(noise(rng, 0.9, stretch=(1, 900), side=512), grain / f + shift[..., 0], 0 * along)
        for f, a in ((900, 0.75), (310, 0.4))
    )
    fibre = sample(noise(rng, 0.5, low=30, stretch=(1, 24)), grain / SIDE + shift[..., 1], along / SIDE + shift[..., 0])
    crack = rise(
        1.5,
        2.6,
        sample(noise(rng, 0.7, low=20, stretch=(1, 45)), grain / SIDE + shift[..., 0], along / SIDE + shift[..., 1]),
    )
    stain = noise(rng, 1.8, stretch=(1, 3))
    tint = 0.5 + tone + 0.1 * late + 0.075 * fibre + 0.05 * stain
    colour = ramp(np.clip(tint, 0, 1), "#3f3228", "#6e5c4b", "#98866f", "#b5a58e", "#cfc3ae")
    colour = mix(colour, rgb("#8f8f8a") * (0.55 + 0.9 * tint[..., None]), np.clip(0.42 + 0.22 * stain, 0, 0.85))
    colour = mix(colour, rgb("#3a2517"), 0.75 * knot)
    colour = mix(colour, rgb("#1d1713"), 0.8 * crack)
    edge = np.minimum(inside, width - inside) + 1.5 * fibre
    height = 2.0 * late + 0.55 * fibre - 3.5 * crack - 16 * rise(7, 2.5, edge) - 4 * rise(16, 5, edge) ** 2 + 2 * knot
    return colour, height.astype(np.float32)


def pebbles(rng: Generator) -> Image.Image:
    """Rounded stones on old boards, seen from above."""
    colour, height = planks(rng)
    y, x = grid()
    sun = (-0.62, -0.55, 0.75)
    gloss = np.zeros_like(x)
    mottle, speck, vein = noise(rng, 1.7), noise(rng, 0.6, low=60), np.abs(noise(rng, 2.7, low=2))
    warp = noise(rng, 2.0, low=3)
    # row, column, half length, flatness, turn, colours
    stones = [
        (300, 290, 168, 0.80, 0.4, ("#4b4c4e", "#77787a", "#a3a29e")),
        (250, 700, 128, 0.74, -0.5, ("#5d4231", "#8c6a4f", "#b9977a")),
        (690, 420, 146, 0.86, 1.2, ("#6a6660", "#969088", "#c3bdb2")),
        (640, 800, 158, 0.70, 0.9, ("#2f3134", "#4d5053", "#75777a")),
        (860, 170, 104, 0.82, -0.2, ("#5f4535", "#8d6d55", "#b99c82")),
        (900, 640, 84, 0.88, 0.3, ("#7d7b78", "#aaa8a3", "#d2cfc8")),
        (480, 590, 66, 0.84, -1.0, ("#503a2e", "#7d5c48", "#a88a72")),
        (560, 120, 74, 0.78, 0.8, ("#55585a", "#828587", "#afb1b0")),
    ]
    for index, (row, column, half, flat, turn, codes) in enumerate(stones):
        dy, dx = y - row, x - column
        a, b = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
        bearing = np.arctan2(b / flat, a)
        bumps = sum(rng.normal(0, 0.055 / k) * np.cos(k * bearing + rng.uniform(0, 6.3)) for k in (1, 2, 3, 4))
        radius = np.hypot(a, b / flat) / (half * (1 + bumps))
        stone = rise(1.0, 0.985, radius)
        dome = half * flat * 0.72 * np.clip(1 - radius**2.3, 0, 1) ** 0.56
        offset = rng.uniform(0, 1, 2)
        at = (b / SIDE * 1.3 + offset[0], a / SIDE * 1.3 + offset[1])
        cloudy, gritty, lines = sample(mottle, *at), sample(speck, *at), sample(vein, *at)
        layered = np.sin(b / 9 + 3 * sample(warp, *at)) if index in (1, 3, 4) else 0
        tint = 0.5 + 0.12 * cloudy + 0.085 * gritty + 0.06 * layered
        skin = ramp(np.clip(tint, 0, 1), *codes)
        if index in (0, 2, 3):
            skin = mix(skin, rgb("#d9d4c8"), 0.75 * rise(0.05 if index else 0.09, 0.0, lines + 0.02 * gritty))
        skin = mix(skin, rgb("#191817"), 0.5 * rise(1.9, 2.7, gritty))
        colour = mix(colour, skin, stone)
        bumpy = dome + 1.5 * sample(warp, *at) * np.sqrt(np.clip(dome, 0, 40) / 40) + 0.3 * gritty
        height = height * (1 - stone) + stone * (half * 0.20 + bumpy)
        gloss = gloss * (1 - stone) + stone * (0.10 if index in (0, 3) else 0.05)
    normal, sunlight, open_ = relief(height.astype(np.float32), sun, softness=0.2, reach=260)
    light = colour * (
        sunlight[..., None] * SUNLIGHT * 1.15 + (open_ * (0.5 + 0.5 * normal[..., 2]))[..., None] * SKYLIGHT * 0.36
    )
    light += (gloss * shine(normal, sun, 22) * (sunlight > 0.05))[..., None]
    return develop(light, rng, 1.25)


def ball(
    rng: Generator, row: float, column: float, radius: float, tiles: tuple[Array, Array], codes: tuple[str, ...]
) -> Image.Image:
    """A polished, marbled ball that mirrors sky and grass: RGBA, (SIDE, SIDE), sRGB."""
    y, x = grid()
    dx, dy = (x - column) / radius, (y - row) / radius
    far = np.hypot(dx, dy)
    inside = np.clip((1 - far) * radius + 0.5, 0, 1)
    nz = np.sqrt(np.clip(1 - far**2, 0.0004, 1))
    normal = np.stack([dx, dy, nz], -1)
    arc = np.arcsin(np.clip(far, 0, 1)) / np.maximum(far, 1e-3)  # the pattern crowds towards the rim, as on a sphere
    shift = rng.uniform(0, 1, 2)
    swirl, speck = tiles
    v, u = dy * arc * 0.11 + shift[0], dx * arc * 0.11 + shift[1]
    warped = sample(
        swirl, v + 0.05 * sample(swirl, v * 0.7 + 0.3, u * 0.7), u + 0.05 * sample(swirl, v * 0.7, u * 0.7 + 0.6)
    )
    grit = sample(speck, v * 2, u * 2)
    skin = ramp(np.clip(0.5 + 0.26 * warped + 0.05 * grit, 0, 1), *codes)
    sun = np.array([-0.55, -0.68, 0.50], np.float32)
    lambert = rise(-0.05, 1.0, normal @ (sun / np.linalg.norm(sun)))
    up = 0.5 - 0.5 * normal[..., 1]
    ambient = (
        mix(rgb("#31461a") * 0.7, SKYLIGHT * 0.42, rise(0.15, 0.9, up)) * (0.35 + 0.65 * rise(0.0, 0.5, up))[..., None]
    )
    light = skin * (1.15 * lambert[..., None] * SUNLIGHT + ambient)
    mirrored = 2 * nz * dy + 0.02 * grit  # downward part of the ray that the eye sees in the ball
    around = ramp(np.clip(0.5 - 0.5 * mirrored, 0, 1), "#16240b", "#2b4412", "#8fb0c8", "#c9dcec", "#86b4dc")
    light = mix(light, around, 0.045 + 0.6 * (1 - nz) ** 4)
    light += 0.9 * (shine(normal, tuple(sun), 160) + 0.12 * shine(normal, tuple(sun), 18))[..., None]
    pixels = np.concatenate([np.clip(light, 0, 1) ** (1 / 2.2), inside[..., None]], -1)
    return Image.fromarray((pixels * 255 + 0.5).astype(np.uint8))


def balls(rng: Generator) -> Image.Image:
    """Marbled balls lying in grass."""
    y, x = grid()
    tiles = noise(rng, 1.9, low=2), noise(rng, 0.8, low=40)
    # row and column of the centre, radius, colours
    scattered = [
        (230, 560, 96, ("#0b0c10", "#15171d", "#2b2f3a", "#0e0f14", "#6d6f7a")),
        (300, 190, 108, ("#5c0a12", "#9c1620", "#c4303a", "#7a0d17", "#e58a7c")),
        (400, 850, 120, ("#0c1f4d", "#163a86", "#2b5cb4", "#102a66", "#8fb2e0")),
        (610, 430, 146, ("#0d0b12", "#1b1524", "#38264a", "#120f19", "#8a6fa8")),
        (780, 130, 112, ("#b06a10", "#db911f", "#f0b545", "#c77a12", "#f8dfa0")),
        (800, 770, 138, ("#08251f", "#0e4238", "#1c6a58", "#0a2f27", "#7fc0a8")),
    ]
    shadow = np.zeros_like(x)
    for row, column, radius, _ in scattered:
        foot = row + 0.86 * radius
        cast = np.hypot((x - column - 0.62 * radius) / (1.25 * radius), (y - foot - 0.10 * radius) / (0.46 * radius))
        contact = np.hypot((x - column) / (0.95 * radius), (y - foot) / (0.34 * radius))
        shadow = np.maximum(shadow, np.maximum(0.85 * rise(1.1, 0.8, cast), rise(1.25, 0.5, contact)))
    soil = ramp(np.clip(0.5 + 0.18 * tiles[1], 0, 1), "#131a09", "#26330f", "#3d4a1a") * (1 - 0.7 * shadow[..., None])
    things = [
        (row + 0.84 * radius, ball(rng, row, column, radius, tiles, codes)) for row, column, radius, codes in scattered
    ]
    field = grass(
        soil, rng, np.full(SIDE, -10.0), count=30000, length=(30, 62), flowers=0.004, shadow=shadow, things=things
    )
    return develop(field, rng, 1.15)
