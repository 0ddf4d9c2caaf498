"""House fronts drawn flat, and houses that wear them: windows, doors, shops, bands, roofs and chimneys."""

from __future__ import annotations

import numpy as np
from easel import BUILDING, SIGN, Easel
from numpy.random import Generator
from PIL import Image, ImageDraw

PER_METRE = 14  # px
WALLS = ((150, 105, 85), (196, 184, 160), (120, 118, 116), (205, 192, 158), (140, 82, 66), (222, 218, 208),
         (92, 86, 80), (172, 150, 120), (110, 100, 96), (168, 164, 158))  # fmt: skip
SHOPS = ((130, 26, 28), (24, 52, 96), (28, 70, 44), (40, 36, 34), (170, 132, 40), (210, 206, 196), (74, 44, 84))


def tuple_of(tint: np.ndarray | list | tuple) -> tuple[int, int, int]:
    """A colour for Pillow."""
    return tuple(int(v) for v in np.clip(tint, 0, 238))


def facade(rng: Generator, wide: float, high: float, dusk: float) -> list[Image.Image]:
    """A front, `wide` x `high` m, in four sizes."""
    k = PER_METRE
    w, h = max(int(wide * k), 8), max(int(high * k), 8)
    wall = np.array(WALLS[rng.integers(len(WALLS))]) * rng.uniform(0.6, 1.15) + rng.normal(0, 8, 3)
    coarse = rng.normal(0, 1, (h // 16 + 2, w // 16 + 2)).astype(np.float32)
    dirt = np.asarray(Image.fromarray(coarse).resize((w, h), Image.Resampling.BICUBIC))
    grain = dirt * rng.uniform(2, 12) + rng.normal(0, rng.uniform(2, 9), (h, w)).astype(np.float32)
    if rng.random() < 0.5:  # courses of stones or bricks
        grain[:: int(rng.integers(3, 9))] -= rng.uniform(4, 18)
    sheet = Image.fromarray(np.clip(wall + grain[..., None], 0, 238).astype(np.uint8))
    draw = ImageDraw.Draw(sheet)
    storey = rng.uniform(2.7, 3.8) * k
    ground = h - rng.uniform(3.0, 4.2) * k  # top of the ground floor
    shop, modern = rng.random() < 0.5, rng.random() < 0.3
    frame = tuple_of(np.full(3, rng.choice([215, 60, 150])) + rng.normal(0, 10, 3))
    pane = np.array([44, 50, 58]) * rng.uniform(0.5, 2.2)
    pitch, open_ = rng.uniform(1.6, 3.4) * k, rng.uniform(0.35, 0.7 if not modern else 0.92)
    tall = rng.uniform(0.4, 0.65)
    top, share_lit = ground - storey, rng.choice([0.0, 0.05, 0.15, 0.35])
    while top > -0.5 * storey:
        left = 0.5 * (1 - open_) * pitch
        sill = top + storey * (0.15 + tall)
        if rng.random() < 0.25:
            draw.rectangle([0, top + storey - 0.14 * k, w, top + storey], fill=tuple_of(wall * rng.uniform(0.7, 1.3)))
        while left + open_ * pitch < w:
            box = [left, top + 0.15 * storey, left + open_ * pitch, sill]
            lit = rng.random() < share_lit
            glass = tuple_of(pane * rng.uniform(0.6, 1.5) + rng.normal(0, 6, 3))
            if lit and dusk > 0.25:
                glass = (255, int(rng.uniform(190, 235)), int(rng.uniform(110, 180)))
            draw.rectangle([box[0] - 1.5, box[1] - 1.5, box[2] + 1.5, box[3] + 1.5], fill=frame)
            draw.rectangle(box, fill=glass)
            if rng.random() < 0.4:  # the sky in it
                shine = tuple_of(np.array(glass) + rng.uniform(20, 110))
                draw.rectangle([box[0], box[1], box[2], box[1] + rng.uniform(0.2, 0.8) * (box[3] - box[1])], fill=shine)
            middle = (box[0] + box[2]) / 2
            draw.line([middle, box[1], middle, box[3]], fill=frame, width=1)
            draw.line([box[0], (box[1] + box[3]) / 2, box[2], (box[1] + box[3]) / 2], fill=frame, width=1)
            left += pitch
        top -= storey
    if shop:
        paint = np.array(SHOPS[rng.integers(len(SHOPS))]) * rng.uniform(0.7, 1.3)
        draw.rectangle([0, ground, w, h], fill=tuple_of(paint * 0.7))
        draw.rectangle([0, ground + 0.15 * k, w, ground + 0.85 * k], fill=tuple_of(paint))
        letters = tuple_of(np.full(3, 230) if paint.mean() < 130 else np.full(3, 40))
        x = rng.uniform(0.5, 2) * k
        while x < w - k:
            step = rng.uniform(0.15, 0.5) * k
            draw.rectangle([x, ground + 0.35 * k, x + step, ground + 0.65 * k], fill=letters)
            x += step + (rng.uniform(0.08, 0.2) if rng.random() < 0.85 else 2.0) * k
        x = 0.3 * k
        while x < w - k:
            step = rng.uniform(1.2, 3.2) * k
            glass = pane * rng.uniform(0.5, 1.4)
            if dusk > 0.25 and rng.random() < 0.4:
                glass = np.array([255, 225, 165])
                draw.rectangle([x, ground + 1.1 * k, x + step, h - 0.4 * k], fill=tuple(int(v) for v in glass))
            else:
                draw.rectangle([x, ground + 1.1 * k, x + step, h - 0.4 * k], fill=tuple_of(glass))
            for _ in range(4):  # goods behind the glass
                px, py = x + rng.uniform(0, 0.8) * step, rng.uniform(ground + 1.8 * k, h - 0.6 * k)
                goods = tuple_of(rng.uniform(20, 190) + rng.normal(0, 22, 3))
                draw.rectangle([px, py, px + rng.uniform(0.1, 0.5) * k, py + rng.uniform(0.1, 0.6) * k], fill=goods)
            x += step + 0.25 * k
    else:
        x = rng.uniform(0.5, 2.0) * k
        while x < w - 1.5 * k:
            if rng.random() < 0.35:
                door = tuple_of(np.array(SHOPS[rng.integers(len(SHOPS))]) * 0.8)
                draw.rectangle([x, h - 2.2 * k, x + 1.0 * k, h], fill=door, outline=frame)
            else:
                draw.rectangle([x, h - 2.3 * k, x + open_ * pitch, h - 0.9 * k], fill=tuple_of(pane), outline=frame)
            x += pitch
    return [sheet] + [sheet.reduce(2**step) for step in (1, 2, 3)]


def house(easel: Easel, rng: Generator, fronts: list, side: int, wall: float, z: tuple[float, float], high: float,
          lit: tuple[float, float]) -> None:  # fmt: skip
    """A house whose front stands along the road at u = side * wall, from z[0] to z[1]; `lit`: light on front and
    gable.
    """
    front, gable = (fronts[rng.integers(len(fronts))] for _ in range(2))
    deep = rng.uniform(7, 14)
    gain = rng.uniform(0.75, 1.2)
    near, far = z
    inner, outer = side * wall, side * (wall + deep)
    pitched, roof = rng.random() < 0.55, rng.uniform(2, 4.5)
    slate = np.array([70, 64, 66]) * rng.uniform(0.6, 1.5) + (rng.uniform(0, 45), 0, 0)
    eaves = [(inner, high, far), (inner, high, near)]
    if pitched and rng.random() < 0.6:  # the ridge runs along the road
        ridge = [((inner + outer) / 2, high + roof, near), ((inner + outer) / 2, high + roof, far)]
        easel.polygon([*eaves, *ridge], slate * lit[0], BUILDING)
        plain = np.array(WALLS[2]) * lit[1] * gain
        easel.polygon([(inner, high, near), ridge[0], (outer, high, near)], plain, BUILDING)
    elif pitched:
        middle = (near + far) / 2
        easel.polygon([*eaves, (inner, high + roof, middle)], np.array(WALLS[1]) * lit[0] * gain, BUILDING)
        tip = [(inner, high + roof, middle), (outer, high + roof, middle), (outer, high, near), (inner, high, near)]
        easel.polygon(tip, slate * lit[1], BUILDING)
    for _ in range(int(rng.integers(0, 3)) if pitched else 0):
        at, thick = rng.uniform(near, far), rng.uniform(0.3, 0.6)
        base = high + 0.5 * roof
        u = (inner + outer) / 2
        easel.polygon([(u - thick, base, at), (u + thick, base, at), (u + thick, high + roof + 1.2, at),
                       (u - thick, high + roof + 1.2, at)], slate * 0.9, BUILDING)  # fmt: skip
    ends = [(inner, high), (outer, high)] if side > 0 else [(outer, high), (inner, high)]
    (a, _), (b, _) = ends
    easel.hang(gable, [(a, high, near), (b, high, near), (b, 0, near), (a, 0, near)], lit[1] * gain, BUILDING)
    pieces = max(1, round((far - near) / (7 if near > 8 else 3.5)))
    for part in reversed(range(pieces)):
        z0, z1 = (near + (far - near) * (part + step) / pieces for step in (0, 1))
        left, right = (z0, z1) if side < 0 else (z1, z0)
        corners = [(inner, high, left), (inner, high, right), (inner, 0, right), (inner, 0, left)]
        easel.hang(front, corners, lit[0] * gain, BUILDING)
        if rng.random() < 0.15:  # an awning, or a board that sticks out over the pavement
            paint = np.array(SHOPS[rng.integers(len(SHOPS))]) * rng.uniform(0.8, 1.5)
            out = inner - side * rng.uniform(0.8, 1.6)
            easel.polygon([(inner, 3.2, z0 + 1), (inner, 3.2, z1 - 1), (out, 2.5, z1 - 1), (out, 2.5, z0 + 1)], paint,
                          BUILDING)  # fmt: skip
        if rng.random() < 0.22:
            paint = np.array(SHOPS[rng.integers(len(SHOPS))]) * rng.uniform(0.8, 1.7)
            low, out, at = rng.uniform(2.6, 5), inner - side * rng.uniform(0.6, 1.3), rng.uniform(z0, z1)
            tall = rng.uniform(0.5, 1.4)
            top = low + tall
            easel.polygon([(inner, low, at), (out, low, at), (out, top, at), (inner, top, at)], paint, SIGN)
