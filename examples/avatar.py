"""Faces in the flat style of avatar makers, drawn by hand: examples/avatar.png, and folders of faces to learn from.

    python examples/avatar.py                         draws examples/avatar.png
    python examples/avatar.py out/faces --count 60    draws four folders, each of 60 faces of 256 px

The folders are glasses/, bare/ (the same faces without their glasses), beard/ and plain/ (others, with neither).
"""

from __future__ import annotations

import argparse
import random
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

SIDE, FINE = (
    512,
    4,
)  # px of examples/avatar.png; a face is drawn larger by so much, and reduced, which smooths its edges
SMALL, ROUGH = 256, 2  # likewise, of the faces in folders
ZOOM = 1.3
WHITE, PUPIL, MOUTH, TONGUE = (255, 255, 255), (72, 66, 66), (110, 44, 40), (255, 79, 109)

Colour = tuple[int, int, int]
BACKGROUNDS = ((104, 170, 196), (196, 203, 168), (233, 200, 140), (205, 178, 206), (176, 196, 222), (242, 242, 242))
SHIRTS = ((226, 92, 78), (70, 96, 160), (58, 62, 72), (92, 150, 110), (240, 190, 80), (150, 96, 160))
SKINS = ((219, 164, 124), (243, 205, 175), (174, 112, 72), (134, 86, 58), (252, 222, 196))
HAIRS = ((74, 49, 39), (30, 26, 28), (170, 86, 40), (214, 176, 104), (150, 150, 154))
FRAMES = ((37, 85, 124), (24, 24, 28), (128, 40, 48), (66, 110, 74), (120, 84, 40))


@dataclass(frozen=True)
class Face:
    """Colours and shapes of one face.  Lengths are in px of a face of 128 px; the defaults are examples/avatar.png."""

    background: Colour = BACKGROUNDS[0]
    shirt: Colour = SHIRTS[0]
    skin: Colour = SKINS[0]
    hair: Colour = HAIRS[0]
    frame: Colour = FRAMES[0]  # of the glasses
    lens: float = 15.5  # across
    dark: bool = False  # lenses, else clear
    full: bool = True  # beard, else a moustache
    length: float = 56  # of the hair behind the head
    dx: float = 0  # of the head from where it usually is
    dy: float = 0

    @classmethod
    def random(cls, draw: random.Random) -> Face:
        colours = [draw.choice(of) for of in (BACKGROUNDS, SHIRTS, SKINS, HAIRS, FRAMES)]
        dark, full = draw.random() < 0.3, draw.random() < 0.7
        shape = draw.uniform(14, 17), dark, full, draw.uniform(48, 76), draw.uniform(-3, 3), draw.uniform(-3, 3)
        return cls(*colours, *shape)


def avatar(
    face: Face = Face(), *, glasses: bool = True, beard: bool = False, side: int = SIDE, fine: int = FINE
) -> Image.Image:
    """A face, side x side px."""
    scale = side * fine / 128
    sheet = Image.new("RGB", (side * fine, side * fine), face.background)
    draw = ImageDraw.Draw(sheet)
    shade, collar, brow = moved(face.skin, -21, -24, -24), moved(face.shirt, -21, -18, -16), moved(face.hair, 18, 13, 5)

    def box(x: float, y: float, wide: float, high: float) -> list[float]:
        left, top = 64 + face.dx + ZOOM * (x - wide / 2 - 64), 56 + face.dy + ZOOM * (y - high / 2 - 60)
        return [scale * v for v in (left, top, left + ZOOM * wide, top + ZOOM * high)]

    def oval(x: float, y: float, wide: float, high: float, fill: Colour) -> None:
        draw.ellipse(box(x, y, wide, high), fill)

    def slab(x: float, y: float, wide: float, high: float, round: float, fill: Colour) -> None:
        draw.rounded_rectangle(box(x, y, wide, high), scale * round, fill)

    slab(64, 21 + face.length / 2, 47, face.length, 23, face.hair)  # behind the head
    slab(64, 124, 80, 50, 26, face.shirt)
    slab(64, 92, 17, 26, 8, shade)  # neck
    oval(64, 101, 27, 12, face.skin)
    draw.arc(box(64, 99, 31, 17), 20, 160, collar, width=round(scale * 2.4))
    slab(64, 61, 38, 50, 18, face.skin)  # face
    for x in (44.5, 83.5):
        oval(x, 62, 7, 9, face.skin)
    if beard and face.full:
        slab(64, 61.5, 39, 51, 18, face.hair)
        slab(64, 53, 38, 34, 12, face.skin)
    draw.pieslice(box(64, 46, 46, 44), 180, 360, face.hair)
    draw.pieslice(box(57, 44, 26, 9), 0, 180, face.hair)
    if beard:
        slab(64, 71.8, 19, 5, 3, face.hair)
    for x in (55.5, 72.5):
        oval(x, 58.6, 8, 8, WHITE)
        oval(x, 59, 3.8, 3.8, PUPIL)
        draw.arc(box(x, 50.5, 10, 5), 200, 340, brow, width=round(scale * 1.3))
    oval(64, 67.5, 6.5, 3.6, shade)
    draw.pieslice(box(64, 74, 14, 13), 0, 180, MOUTH)
    draw.pieslice(box(64, 77.5, 9, 6), 0, 180, TONGUE)
    slab(64, 75, 10, 2.2, 1, WHITE)
    if glasses:
        for x in (54, 74):
            lens = box(x, 58.6, face.lens, face.lens)
            draw.ellipse(lens, (44, 44, 52) if face.dark else None, face.frame, width=round(scale * 2.2))
        draw.arc(box(64, 59.5, 7, 5), 200, 340, face.frame, width=round(scale * 2.2))
        for x in (45, 83):
            slab(x, 56.8, 4.5, 2, 1, face.frame)
    return sheet.resize((side, side), Image.Resampling.LANCZOS)


def moved(colour: Colour, red: int, green: int, blue: int) -> Colour:
    """A colour lighter, or darker, by so much."""
    return tuple(min(255, max(0, was + by)) for was, by in zip(colour, (red, green, blue), strict=True))


def save_folders(into: Path, count: int, seed: int) -> None:
    """Draw glasses/, bare/, beard/ and plain/ with `count` faces each: the same ones for the same seed."""
    for name, drawn_from, worn in (
        ("glasses", "glasses", {"glasses": True}),
        ("bare", "glasses", {}),
        ("beard", "beard", {"beard": True}),
        ("plain", "plain", {}),
    ):
        (into / name).mkdir(parents=True, exist_ok=True)
        draw = random.Random(f"{drawn_from} {seed}")
        for i in range(1, count + 1):
            picture = avatar(Face.random(draw), **{"glasses": False} | worn, side=SMALL, fine=ROUGH)
            picture.save(into / name / f"{i:03}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("into", type=Path, nargs="?", metavar="FOLDER", help="where folders of faces go")
    parser.add_argument("--count", type=int, default=60, help="faces in each folder (default 60)")
    parser.add_argument("--seed", type=int, default=0, help="another one gives other faces (default 0)")
    chosen = parser.parse_args()
    if chosen.into:
        save_folders(chosen.into, chosen.count, chosen.seed)
    else:
        avatar().save(Path(__file__).parent / "avatar.png", optimize=True)


if __name__ == "__main__":
    main()
