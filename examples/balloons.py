"""Render the example clip: balloons that drift over misty hills, and birds.

    python examples/balloons.py out/balloons.mp4

13 frames of 256 x 144 px, ten a second, painted from noise and light alone (`textures.py`, `plants.py`).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw
from plants import forest
from textures import SIDE, Array, develop, grid, mix, noise, ramp, rgb, rise, sample

from structkit.media.moving_pictures import Clip, write_clip

FRAMES, RATE = 13, 10
HIGH = SIDE * 9 // 16  # rows of the working picture, four times as large as the clip
SPEED = 1.5
MIST = "#e9c9a8"
STRIPES = [  # of the envelopes
    ("#c8322a", "#f2e7d0", "#c8322a", "#f0b63c"),
    ("#2f5ea8", "#f0d24a"),
    ("#e0792c", "#8c2f4a", "#f3d9a0"),
    ("#3f8f6a", "#f4efe0", "#2b5f86"),
    ("#7a3f8f", "#f2a7b8", "#f7ead0"),
    ("#d8b23a", "#b23a2e"),
]


@dataclass(frozen=True)
class Balloon:
    """A balloon: its middle in the first frame, px, its speed, SPEED px a frame, and its radius, px."""

    row: float
    column: float
    down: float
    right: float
    radius: float
    stripes: int
    turn: float

    def paint(self, picture: Array, time: float) -> Array:
        """The picture with the balloon as it is at a time, frames."""
        y, x = grid(HIGH, SIDE)
        row = self.row + SPEED * self.down * time + 1.5 * np.sin(0.5 * time + self.turn)
        v, u = (y - row) / self.radius, (x - self.column - SPEED * self.right * time) / self.radius
        below = np.clip(v, 0, 1.35)
        half = np.where(v < 0, np.sqrt(np.clip(1 - v * v, 0, 1)), np.cos(np.clip(below / 1.35, 0, 1) ** 1.25 * 1.36))
        inside = rise(1.5 / self.radius, -1.5 / self.radius, np.abs(u) - half) * (np.abs(v - 0.17) < 1.19)
        across = np.clip(u / np.maximum(half, 1e-3), -1, 1)
        codes = STRIPES[self.stripes]
        gore = np.floor((np.arcsin(across) / np.pi + self.turn + 0.02 * time) * 12).astype(int) % len(codes)
        colour = np.stack([rgb(code) for code in codes])[gore]
        colour = mix(
            colour, rgb(codes[0]) * 0.7, rise(0.04, 0.02, np.abs(v - 0.3)) + rise(0.05, 0.03, np.abs(v + 0.45))
        )
        light = 0.34 + 0.85 * np.clip(-0.55 * across - 0.5 * v + 0.35 * np.sqrt(1 - across**2), 0, 1)
        picture = mix(picture, mix(colour * light[..., None], rgb(MIST), 0.18 * rise(45, 18, self.radius)), inside)
        ropes = rise(0.045, 0.015, np.abs(np.abs(u) - 0.12)) * (v > 1.3) * (v < 1.58)
        basket = rise(0.20, 0.15, np.abs(u)) * (v > 1.55) * (v < 1.82)
        return mix(picture, rgb("#2a1a10"), np.clip(0.8 * ropes + basket, 0, 1))


BALLOONS = (  # farthest first
    Balloon(205, 150, -0.6, 2.2, 15, 1, 0.4),
    Balloon(238, 640, -0.8, 2.4, 17, 3, 2.0),
    Balloon(150, 905, -0.4, 2.1, 16, 5, 1.1),
    Balloon(120, 395, -1.4, 3.4, 27, 4, 3.0),
    Balloon(268, 850, -1.8, 3.6, 29, 0, 0.9),
    Balloon(288, 285, -2.2, 4.2, 38, 2, 5.0),
    Balloon(120, 660, -1.6, 5.2, 50, 0, 2.6),
    Balloon(190, 60, -2.0, 5.6, 56, 1, 4.1),
    Balloon(232, 470, -2.8, 6.4, 64, 3, 1.7),
)


def backdrop(rng: Generator) -> tuple[Array, Array]:
    """The hills, (HIGH, SIDE, 3), and how far they hide the sky, (HIGH, SIDE)."""
    y, _ = grid(HIGH, SIDE)
    picture, hidden = np.zeros((HIGH, SIDE, 3), np.float32), np.zeros((HIGH, SIDE), np.float32)
    wave, rough = noise(rng, 2.1, low=1, high=60), noise(rng, 1.2, low=4)
    for number, (row, high, code) in enumerate(((335, 22, "#c79f95"), (372, 30, "#9a8088"), (410, 26, "#6c6a72"))):
        line = row + high * wave[number * 211] + 5 * rough[number * 57]
        shown = rise(-1, 1, y - line[None])
        tint = rgb(code) * (1 + 0.08 * rough[:HIGH, ..., None] + 0.06 * wave[-HIGH:, ..., None])
        picture = mix(picture, mix(tint, rgb(MIST), 0.75 * rise(10, 75, y - line[None])), shown)
        hidden = np.maximum(hidden, shown)
    field = np.concatenate([picture, np.broadcast_to(rgb(MIST), (SIDE - HIGH, SIDE, 3))])
    layers = [(455, 0.9, 34, 420, 0.45), (500, 0.8, 52, 300, 0.22), (556, 0.7, 80, 190, 0.04)]
    trees = forest(field, rng, layers, rgb(MIST))[:HIGH]
    return trees, np.maximum(hidden, rise(430, 436, y))


def sky(rng: Generator) -> tuple[Array, Array, Array]:
    """The graded sky, (HIGH, SIDE, 3), and two tiles of noise, of which clouds are made."""
    up = np.linspace(1, 0, HIGH)
    graded = ramp(np.clip(up - 0.28, 0, 1) / 0.72, "#f6d3a6", "#edc3a9", "#b9bcc9", "#7ea4cb", "#4f83bd")
    return np.broadcast_to(graded[:, None], (HIGH, SIDE, 3)), noise(rng, 1.9, low=2), noise(rng, 1.5, low=5)


def birds(picture: Array, time: float) -> Array:
    """The picture with a flock that crosses it from the right, wings up and down."""
    sheet = Image.new("L", (SIDE, HIGH))
    draw = ImageDraw.Draw(sheet)
    for number, (down, right) in enumerate(((0, 0), (14, 34), (-17, 40), (32, 72), (-34, 84))):
        x, y = 760 + right - 11 * time, 92 + down - 0.8 * time + 2 * np.sin(time + number)
        lift = 9 * np.sin(1.5 * time + 1.9 * number)
        for side in (-1, 1):
            draw.line([(x, y), (x + side * 9, y - lift - 3), (x + side * 19, y - 0.5 * lift)], fill=255, width=5)
    return mix(picture, rgb("#2b2730"), 0.85 * np.asarray(sheet, np.float32) / 255)


def frames(seed: int = 3) -> Array:
    """The frames of the clip, (FRAMES, 144, 256, 3) uint8."""
    rng = np.random.default_rng(seed)
    air, broad, fine = sky(rng)
    hills, hidden = backdrop(rng)
    y, x = grid(HIGH, SIDE)
    near = 1 / (0.35 + 0.65 * np.clip(1 - y / 380, 0, 1))
    made = []
    for time in range(FRAMES):
        v, u = y * near / SIDE, (x - SIDE / 2) * near / SIDE
        deck = sample(broad, 1.3 * v, 0.55 * u - 0.004 * time) + 0.5 * sample(fine, 1.6 * v, 0.8 * u - 0.007 * time)
        lit = 0.92 + 0.10 * (deck - sample(broad, 1.3 * v + 0.02, 0.55 * u - 0.02 - 0.004 * time))
        picture = mix(air, rgb("#fff3e2") * lit[..., None], 0.8 * rise(0.1, 1.6, deck) * rise(400, 240, y))
        picture = mix(picture, hills, hidden)
        for balloon in BALLOONS:
            picture = balloon.paint(picture, time)
        half = develop(birds(picture, time), rng, 1.05, vignette=0.15, grain=0.0)
        made.append(np.asarray(half.resize((256, 144), Image.Resampling.BOX)))
    return np.stack(made)


def main(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_clip(Clip(frames(), Fraction(RATE)), path, quality=75)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
