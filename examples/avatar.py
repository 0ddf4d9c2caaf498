"""A face in the flat style of avatar makers, with glasses: what examples/avatar.png shows, drawn by hand."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

SIDE, FINE = 512, 4  # px of the picture; it is drawn larger by so much, and reduced, which smooths its edges
ZOOM = 1.3
BACKGROUND, SHIRT, COLLAR = (104, 170, 196), (226, 92, 78), (205, 74, 62)
SKIN, SHADE, HAIR = (219, 164, 124), (198, 140, 100), (74, 49, 39)
WHITE, PUPIL, BROW, MOUTH, TONGUE = (255, 255, 255), (72, 66, 66), (92, 62, 44), (110, 44, 40), (255, 79, 109)
FRAME = (37, 85, 124)


def avatar(glasses: bool = True) -> Image.Image:
    """SIDE x SIDE px."""
    scale = SIDE * FINE / 128  # the places below are in px of a small avatar
    sheet = Image.new("RGB", (SIDE * FINE, SIDE * FINE), BACKGROUND)
    draw = ImageDraw.Draw(sheet)

    def box(x: float, y: float, wide: float, high: float) -> list[float]:
        left, top = 64 + ZOOM * (x - wide / 2 - 64), 56 + ZOOM * (y - high / 2 - 60)
        return [scale * v for v in (left, top, left + ZOOM * wide, top + ZOOM * high)]

    def oval(x: float, y: float, wide: float, high: float, fill: tuple[int, ...]) -> None:
        draw.ellipse(box(x, y, wide, high), fill)

    def slab(x: float, y: float, wide: float, high: float, round: float, fill: tuple[int, ...]) -> None:
        draw.rounded_rectangle(box(x, y, wide, high), scale * round, fill)

    slab(64, 49, 47, 56, 23, HAIR)  # behind the head
    slab(64, 124, 80, 50, 26, SHIRT)
    slab(64, 92, 17, 26, 8, SHADE)  # neck
    oval(64, 101, 27, 12, SKIN)
    draw.arc(box(64, 99, 31, 17), 20, 160, COLLAR, width=round(scale * 2.4))
    slab(64, 61, 38, 50, 18, SKIN)  # face
    for x in (44.5, 83.5):
        oval(x, 62, 7, 9, SKIN)
    draw.pieslice(box(64, 46, 46, 44), 180, 360, HAIR)
    draw.pieslice(box(57, 44, 26, 9), 0, 180, HAIR)
    for x in (55.5, 72.5):
        oval(x, 58.6, 8, 8, WHITE)
        oval(x, 59, 3.8, 3.8, PUPIL)
        draw.arc(box(x, 50.5, 10, 5), 200, 340, BROW, width=round(scale * 1.3))
    oval(64, 67.5, 6.5, 3.6, SHADE)
    draw.pieslice(box(64, 74, 14, 13), 0, 180, MOUTH)
    draw.pieslice(box(64, 77.5, 9, 6), 0, 180, TONGUE)
    slab(64, 75, 10, 2.2, 1, WHITE)
    if glasses:
        for x in (54, 74):
            draw.ellipse(box(x, 58.6, 15.5, 15.5), outline=FRAME, width=round(scale * 2.2))
        draw.arc(box(64, 59.5, 7, 5), 200, 340, FRAME, width=round(scale * 2.2))
        for x in (45, 83):
            slab(x, 56.8, 4.5, 2, 1, FRAME)
    return sheet.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def main() -> None:
    avatar().save(Path(__file__).parent / "avatar.png", optimize=True)


if __name__ == "__main__":
    main()
