"""Plants by the thousand: firs in misty layers, and grass blade by blade, back to front."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw
from textures import SIDE, Array, grid, mix, noise, rgb, rise


def conifers(
    draw: ImageDraw.ImageDraw, rng: Generator, line: Array, count: int, tall: float, dark: Array, light: Array
) -> None:
    """Fir trees on the line (SIDE,) of rows; `dark` and `light` are the sRGB colours, 0-255, of boughs in shade and in
    sun.
    """
    columns = rng.uniform(-20, SIDE + 20, count)
    feet = line[np.clip(columns, 0, SIDE - 1).astype(int)] + rng.uniform(-0.35, 0.30, count) * tall
    for column, foot in sorted(zip(columns, feet, strict=True), key=lambda tree: tree[1]):
        high = tall * np.clip(rng.lognormal(-0.15, 0.28), 0.35, 1.5)
        plump, tone = rng.uniform(0.20, 0.32), rng.uniform(0.65, 1.25)
        for share in np.linspace(1, 0.02, max(8, int(high / 4))):  # from the lowest whorl of boughs up to the tip
            top = foot - high * (1 - share) - 0.02 * high
            for _ in range(2 + int(high / 28)):  # the sun is on the left, and boughs are darker underneath and inside
                aside = rng.uniform(-1, 1)
                reach = aside * plump * high * share**0.85 * rng.uniform(0.75, 1.2)
                drop = high * 0.045 * rng.uniform(0.7, 1.5) + 0.30 * abs(reach)
                hue = dark + (light - dark) * np.clip(0.45 - 0.6 * aside + rng.normal(0, 0.45), 0, 1)
                colour = tuple(int(v) for v in np.clip(hue * tone * (1.15 - 0.4 * share), 0, 255))
                inner, thick = column + 0.4 * reach, high * 0.012 + 1
                draw.polygon(
                    [
                        (inner, top + 0.2 * drop),
                        (column + reach, top + drop),
                        (column + 0.6 * reach, top + drop + thick),
                        (inner, top + drop),
                    ],
                    fill=colour,
                )


def forest(picture: Array, rng: Generator, layers: list[tuple[float, float, float, int, float]], mist: Array) -> Array:
    """Layers of firs, farthest first, with mist between; a layer is (row, roughness, tree height, trees, mist in [0,
    1]).
    """
    y, _ = grid()
    wave, fog = noise(rng, 2.0, low=1, high=30), noise(rng, 2.0, low=2, stretch=(1, 3))
    for index, (row, rough, tall, count, thick) in enumerate(layers):
        line = row + 26 * rough * wave[index * 97 % SIDE]
        shade, lit = (mix(rgb(code), mist, thick) ** (1 / 2.2) * 255 for code in ("#0c160f", "#3c4d31"))
        sheet = Image.new("RGBA", (SIDE, SIDE), (*(int(v) for v in shade), 0))
        draw = ImageDraw.Draw(sheet)
        conifers(draw, rng, line, count, tall, shade, lit)
        draw.polygon([(0, SIDE), *enumerate(line), (SIDE, SIDE)], fill=(*(int(v) for v in shade), 255))
        pixels = np.asarray(sheet, np.float32) / 255
        picture = mix(picture, pixels[..., :3] ** 2.2, pixels[..., 3])
        low = rise(-0.3 * tall, 1.5 * tall, y - line[None]) * np.clip(0.75 + 0.35 * fog, 0, 1) * thick
        picture = mix(picture, mist, low)
    return picture


BLADES = ("#2d4719", "#405f22", "#54742b", "#6b893a", "#86994c", "#a8a566")  # the last is dry


def grass(
    picture: Array,
    rng: Generator,
    edge: Array,
    count: int,
    length: tuple[float, float],
    flowers: float = 0.0,
    shadow: Array | None = None,
    things: list[tuple[float, Image.Image]] | None = None,
) -> Array:
    """Grass over the picture (SIDE, SIDE, 3), rooted below the rows `edge` (SIDE,).

    length: of the farthest and the nearest blades, px.  flowers: share of stalks with one.  shadow (SIDE, SIDE) in [0,
    1]
    darkens the roots.  things: (row of the foot, RGBA picture), set among the blades at their depth.
    """
    canvas = Image.fromarray((np.clip(picture, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8))
    draw = ImageDraw.Draw(canvas)
    waiting = sorted(things or [], key=lambda thing: thing[0])
    columns = rng.uniform(-30, SIDE + 30, count)
    first = edge[np.clip(columns, 0, SIDE - 1).astype(int)]
    roots = first + (SIDE + 0.6 * length[1] - first) * rng.uniform(0, 1, count) ** 0.9
    order = np.argsort(roots)
    patch = noise(rng, 1.8, low=2)
    hues = np.stack([rgb(code) ** (1 / 2.2) * 255 for code in BLADES])
    for column, root in zip(columns[order], roots[order], strict=True):
        while waiting and waiting[0][0] < root:
            canvas.paste(waiting[0][1], (0, 0), waiting[0][1])
            waiting.pop(0)
        near = np.clip((root - edge.min()) / (SIDE - edge.min()), 0, 1)
        tall = (length[0] + (length[1] - length[0]) * near) * rng.uniform(0.45, 1.15)
        at = int(np.clip(root, 0, SIDE - 1)), int(np.clip(column, 0, SIDE - 1))
        lush = patch[at]
        pick = np.clip(2.0 + 0.8 * lush + rng.normal(0, 1.0), 0, 4.0) if rng.random() > 0.06 else 5.0
        hue = hues[int(pick)] * rng.uniform(0.8, 1.15) * (1 - (0.68 * shadow[at] if shadow is not None else 0))
        lean, bend, width = (
            rng.normal(0, 0.22) * tall,
            rng.normal(0.05, 0.30) * tall,
            (0.9 + 1.6 * near) * rng.uniform(0.7, 1.3),
        )
        middle = column + 0.45 * lean, root - 0.55 * tall
        tip = column + lean + bend, root - tall * rng.uniform(0.8, 1.0)
        dark, bright = (tuple(int(v) for v in np.clip(hue * gain, 0, 255)) for gain in (0.55, rng.uniform(0.9, 1.25)))
        draw.polygon(
            [
                (column - width, root),
                (column + width, root),
                (middle[0] + width * 0.8, middle[1]),
                (middle[0] - width * 0.8, middle[1]),
            ],
            fill=dark,
        )
        draw.polygon([(middle[0] - width * 0.8, middle[1]), (middle[0] + width * 0.8, middle[1]), tip], fill=bright)
        if rng.random() < flowers * (1 + np.clip(lush, -1, 1)):
            size, petal = 1.5 + 3.2 * near, ("#f4f1e6", "#f2cf3c", "#f4f1e6", "#c878b4")[rng.integers(4)]
            draw.ellipse([tip[0] - size, tip[1] - 0.8 * size, tip[0] + size, tip[1] + 0.8 * size], fill=petal)
            draw.ellipse([tip[0] - size / 3, tip[1] - size / 3, tip[0] + size / 3, tip[1] + size / 3], fill="#c9962a")
    return (np.asarray(canvas, np.float32) / 255) ** 2.2
