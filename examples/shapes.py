"""Small pictures of six bright shapes before dark stripes: classes to learn from.

    python examples/shapes.py out/shapes --count 200    draws train/ and test/, with a folder of each shape

A picture has 64 px.  In train/ there are `count` of each shape, in test/ a quarter of that.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SIDE, FINE = 64, 4  # px of a picture; it is drawn larger by so much, and reduced, which smooths its edges
TEST = 4  # there is one picture to test with for so many to learn from

Points = list[tuple[float, float]]
SHAPES = {  # radius at an angle, in turns, of a shape whose largest radius is 1
    "circle": lambda turn: 1.0,
    "triangle": lambda turn: polygon(turn, 3),
    "square": lambda turn: polygon(turn, 4),
    "star": lambda turn: star(turn, 5, 0.4),
    "flower": lambda turn: 0.72 + 0.28 * math.cos(12 * math.pi * turn),
    "cross": lambda turn: min(1.0, 0.36 / max(0.36, abs(math.sin(4 * math.pi * turn)))),
}


def polygon(turn: float, corners: int) -> float:
    """The radius of a regular polygon at an angle, in turns."""
    return math.cos(math.pi / corners) / math.cos(math.pi / corners * (2 * (corners * turn % 1) - 1))


def star(turn: float, tips: int, inner: float) -> float:
    """The radius of a star whose edges are straight, at an angle, in turns.  inner: radius between two tips."""
    half = math.pi / tips
    from_tip = half * abs(2 * ((tips * turn + 0.5) % 1) - 1)
    return inner * math.sin(half) / (math.sin(from_tip) + inner * math.sin(half - from_tip))


def outline(name: str, radius: float, middle: tuple[float, float], turned: float) -> Points:
    """The outline of a shape, px."""
    turns = np.linspace(0, 1, 240, endpoint=False)
    reach = radius * np.array([SHAPES[name](turn) for turn in turns])
    angles = 2 * np.pi * (turns + turned)
    return [*zip(middle[0] + reach * np.cos(angles), middle[1] + reach * np.sin(angles), strict=True)]


def background(rng: np.random.Generator) -> Image.Image:
    """Stripes of two colours, in any direction, that run into one another."""
    rows, columns = np.mgrid[: SIDE * FINE, : SIDE * FINE] / (SIDE * FINE)
    angle, waves, start = rng.uniform(0, np.pi), rng.uniform(0.4, 5), rng.uniform(0, 2 * np.pi)
    along = np.sin(2 * np.pi * waves * (columns * np.cos(angle) + rows * np.sin(angle)) + start)
    one, other = rng.integers(0, 120, (2, 3))
    pixels = one + (other - one) * (0.5 + 0.5 * along)[..., None]
    return Image.fromarray(pixels.astype(np.uint8))


def picture(name: str, rng: np.random.Generator) -> Image.Image:
    """A bright shape before dark stripes."""
    drawn = background(rng)
    radius = SIDE * FINE * rng.uniform(0.26, 0.42)
    middle = tuple(rng.uniform(radius, SIDE * FINE - radius, 2))
    colour = rng.integers(110, 256, 3)
    points = outline(name, radius, middle, rng.uniform(0, 1))
    ImageDraw.Draw(drawn).polygon(points, fill=tuple(int(value) for value in colour))
    return drawn.resize((SIDE, SIDE), Image.Resampling.BOX)


def pictures(part: str, name: str, count: int, seed: int) -> Iterator[Image.Image]:
    """The pictures of a shape: the same ones for the same seed."""
    rng = np.random.default_rng([seed, part == "test", list(SHAPES).index(name)])
    return (picture(name, rng) for _ in range(count))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("into", type=Path, metavar="FOLDER", help="where the folders go")
    parser.add_argument("--count", type=int, default=200, help="of each shape in train/ (default 200)")
    parser.add_argument("--seed", type=int, default=0, help="another one gives other pictures (default 0)")
    chosen = parser.parse_args()
    for part, count in (("train", chosen.count), ("test", max(1, chosen.count // TEST))):
        for name in SHAPES:
            folder = chosen.into / part / name
            folder.mkdir(parents=True, exist_ok=True)
            for i, made in enumerate(pictures(part, name, count, chosen.seed), 1):
                made.save(folder / f"{i:03}.png")


if __name__ == "__main__":
    main()
