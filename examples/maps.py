"""Maps for `structkit analogy --guide`: what is where in examples/lake.jpg, and a plan of another place.

    python examples/maps.py

Draws examples/lake-map.png and examples/river-map.png, palette pictures without smoothed edges: each colour is a label.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

SIDE = 512
SKY, CLOUD, ROCK, FOREST, WATER, MEADOW = range(6)
COLOURS = ("#7fb4e3", "#f4f6f8", "#6d7480", "#23402a", "#3f6f9f", "#5c8a34")

Points = list[tuple[int, int]]


def lake(draw: ImageDraw.ImageDraw) -> None:
    """The parts of examples/lake.jpg."""
    for cloud in (
        [(0, 0), (75, 0), (78, 22), (60, 45), (30, 42), (0, 28)],
        [(300, 0), (372, 0), (374, 16), (350, 26), (318, 16)],
        [(0, 88), (50, 82), (110, 86), (180, 106), (184, 128), (120, 128), (60, 128), (0, 130)],
        [(150, 150), (200, 142), (245, 148), (240, 158), (170, 158)],
        [(360, 110), (400, 90), (470, 92), (512, 104), (512, 146), (440, 148), (390, 130)],
    ):
        draw.polygon(cloud, CLOUD)
    left = [(0, 150), (34, 132), (56, 190), (62, 190), (70, 152), (100, 136), (135, 138), (180, 192), (200, 172)]
    right = [(270, 140), (300, 112), (342, 84), (382, 126), (430, 140), (446, 172), (462, 146), (512, 176)]
    draw.polygon([*left, *right, (512, 280), (0, 280)], ROCK)
    draw.polygon(
        [(0, 236), (150, 232), (270, 228), (300, 212), (360, 216), (420, 232), (512, 238), (512, 272), (0, 272)], FOREST
    )
    draw.polygon([(0, 272), (512, 272), (512, 365), (390, 374), (300, 388), (180, 406), (0, 400)], WATER)
    draw.polygon([(0, 398), (180, 404), (300, 386), (390, 372), (512, 360), (512, 512), (0, 512)], MEADOW)


def river(draw: ImageDraw.ImageDraw) -> None:
    """A river that comes down from a mountain, through a forest and a meadow."""
    draw.ellipse((330, 40, 430, 76), CLOUD)
    draw.ellipse((380, 52, 490, 90), CLOUD)
    ridge = [(0, 250), (60, 180), (150, 60), (180, 90), (240, 170), (300, 215), (380, 190), (450, 225), (512, 240)]
    draw.polygon([*ridge, (512, 300), (0, 300)], ROCK)
    trees = [(0, 250), (90, 238), (200, 262), (330, 252), (420, 236), (512, 230)]
    draw.polygon([*trees, (512, 290), (0, 296)], FOREST)
    draw.rectangle((0, 288, SIDE, SIDE), MEADOW)
    right = [(252, 288), (300, 288), (318, 304), (300, 322), (240, 344), (220, 366), (262, 396), (380, 430)]
    left = [(228, 486), (150, 440), (110, 400), (120, 352), (190, 322), (258, 304)]
    draw.polygon([*right, (450, 470), (470, 512), (230, 512), *left], WATER)


def main() -> None:
    for name, drawn in {"lake": lake, "river": river}.items():
        sheet = Image.new("P", (SIDE, SIDE), SKY)
        sheet.putpalette([int(code[i : i + 2], 16) for code in COLOURS for i in (1, 3, 5)])
        drawn(ImageDraw.Draw(sheet))
        sheet.save(Path(__file__).parent / f"{name}-map.png", optimize=True)


if __name__ == "__main__":
    main()
