"""What stands beside a road: trees, hedges, walls, railings, lamp posts, signs and traffic lights.

Classes cover the outline of a thing: the sky between the boughs of a tree counts as the tree, as hands label it.
"""

from __future__ import annotations

import numpy as np
from easel import FENCE, POLE, SIGN, TREE, Easel
from numpy.random import Generator

SIGNS = ((196, 30, 34), (30, 62, 150), (226, 196, 50), (24, 104, 64), (232, 232, 228), (40, 40, 44))


def tree(easel: Easel, rng: Generator, u: float, z: float, *, bare: bool, light: float, hue: np.ndarray) -> None:
    """A tree with leaves, or a bare one: boughs in a haze of twigs."""
    high = rng.uniform(4, 13)
    crown, stem = high * rng.uniform(0.25, 0.45), high * rng.uniform(0.15, 0.4)
    bark = np.array([66, 58, 48]) * rng.uniform(0.5, 1.2) * light
    easel.line((u, 0, z), (u, high * 0.7, z), rng.uniform(0.15, 0.5), bark, TREE)
    blobs = [(u + rng.normal(0, 0.45) * crown, stem + (high - stem) * rng.beta(2, 2), rng.uniform(0.22, 0.5) * crown)
             for _ in range(int(rng.integers(9, 18)))]  # fmt: skip
    if bare:
        thick = rng.uniform(0.15, 0.55)
        for x, y, r in blobs:
            easel.disc((x, y, z), r, bark * rng.uniform(1.0, 2.0), TREE, alpha=0.4 * thick)
            easel.disc((x, y, z), 0.6 * r, bark * rng.uniform(1.0, 2.0), None, alpha=0.5 * thick)
        for x, y, r in blobs:
            fork = u + rng.normal(0, 0.1), rng.uniform(0.25, 0.8) * y, z
            easel.line(fork, (x, y, z), 0.12, bark, TREE, 0.5)
            for _ in range(12):
                angle, far = rng.uniform(0, 6.3), rng.uniform(0.5, 1.4) * r
                tip = x + far * np.cos(angle), y + far * np.sin(angle), z
                easel.line((x, y, z), tip, 0.03, bark * rng.uniform(0.7, 1.6), TREE, 0.5)
        return
    for x, y, r in sorted(blobs, key=lambda blob: blob[1]):
        shade = 0.55 + 0.6 * (y - stem) / (high - stem)
        easel.disc((x, y, z), r, hue * shade * light * rng.uniform(0.7, 1.2), TREE)
        for _ in range(18):
            angle, far = rng.uniform(0, 6.3), r * rng.uniform(0.1, 1.1)
            spot = x + far * np.cos(angle), y + far * np.sin(angle), z
            easel.disc(spot, r * rng.uniform(0.06, 0.22), hue * shade * light * rng.uniform(0.35, 1.6), TREE)


def conifer(easel: Easel, rng: Generator, u: float, z: float, light: float) -> None:
    """A fir or a cypress: a dark, ragged cone."""
    high, wide = rng.uniform(5, 15), rng.uniform(0.8, 2.4)
    green = np.array([42, 52, 36]) * rng.uniform(0.4, 1.3) * light
    for share in np.linspace(0, 0.94, 13):
        reach, y = wide * (1 - share) * rng.uniform(0.8, 1.2), high * (0.06 + 0.9 * share)
        tint = green * rng.uniform(0.6, 1.5)
        easel.polygon([(u - reach, y, z), (u + reach, y, z), (u + 0.2 * reach, y + 0.16 * high, z),
                       (u - 0.2 * reach, y + 0.16 * high, z)], tint, TREE)  # fmt: skip


def hedge(easel: Easel, rng: Generator, u: float, z: tuple[float, float], light: float, hue: np.ndarray) -> None:
    """Bushes in a row along the road."""
    high = rng.uniform(0.7, 3.0)
    for at in np.arange(z[1], z[0], -0.7):
        for _ in range(3):
            spot = u + rng.normal(0, 0.3), rng.uniform(0.2, 0.9) * high, at
            easel.disc(spot, 0.35 * high + 0.2, hue * light * rng.uniform(0.4, 1.3), TREE)


def barrier(easel: Easel, rng: Generator, u: float, z: tuple[float, float], light: float, kind: int) -> None:
    """A fence or a wall along the road: of stone or brick (0), of boards (1), or railings (2)."""
    near, far = z
    high = rng.uniform(0.8, 2.0)
    tint = np.array([(112, 104, 94), (120, 74, 60), (148, 140, 128), (60, 62, 60)][rng.integers(4)]) * light
    tint = tint * rng.uniform(0.5, 1.2)
    ends = [(u, 0, near), (u, 0, far), (u, high, far), (u, high, near)]
    if kind == 0:
        easel.polygon(ends, tint, FENCE)
        for y in np.arange(0.2, high, 0.25):
            easel.line((u, y, near), (u, y, far), 0.02, tint * rng.uniform(0.6, 0.95), None, 0.5)
        top = [(u, high, near), (u, high, far), (u + 0.3 * np.sign(u), high, far), (u + 0.3 * np.sign(u), high, near)]
        easel.polygon(top, tint * 1.3, FENCE)
        return
    easel.polygon(ends, tint * 0.6, FENCE, 1.0 if kind == 1 else rng.uniform(0.15, 0.5))
    paint = tint * (1.0 if kind == 1 else rng.uniform(0.3, 1.6))
    wide, step = (0.12, 0.18) if kind == 1 else (0.03, rng.uniform(0.12, 0.3))
    for at in np.arange(far, near, -step * max(1, round((far + near) / 30))):
        easel.line((u, 0, at), (u, high, at), wide, paint * rng.uniform(0.8, 1.2), FENCE, 0.5)
    for y in (0.15 * high, 0.95 * high):
        easel.line((u, y, near), (u, y, far), 0.06, paint, FENCE, 0.5)


def crossing_barrier(easel: Easel, rng: Generator, u: tuple[float, float], z: float, light: float) -> None:
    """A fence or a wall across, as beside a front garden or at the end of a street."""
    high = rng.uniform(0.8, 1.9)
    tint = np.array([(112, 104, 94), (120, 74, 60), (60, 62, 60)][rng.integers(3)]) * light * rng.uniform(0.5, 1.2)
    easel.polygon([(u[0], 0, z), (u[1], 0, z), (u[1], high, z), (u[0], high, z)], tint, FENCE)
    for at in np.arange(u[0], u[1], 0.3):
        easel.line((at, 0, z), (at, high, z), 0.05, tint * rng.uniform(0.6, 1.3), FENCE, 0.5)


def post(easel: Easel, rng: Generator, u: float, z: float, light: float, high: float, wide: float) -> None:
    """A straight post."""
    tint = np.full(3, rng.choice([50, 90, 130, 165]), float) * light + rng.normal(0, 5, 3)
    easel.line((u, 0, z), (u, high, z), wide, tint, POLE)
    easel.line((u + 0.25 * wide, 0, z), (u + 0.25 * wide, high, z), 0.3 * wide, tint * 1.3, None, 0.3)


def lamp_post(easel: Easel, rng: Generator, u: float, z: float, light: float) -> None:
    """A street lamp that reaches out over the road."""
    high, arm = rng.uniform(5, 10), -np.sign(u) * rng.uniform(0.4, 2.0)
    post(easel, rng, u, z, light, high, rng.uniform(0.1, 0.18))
    tint = np.full(3, 100) * light
    knee = u + 0.6 * arm, high + 0.5, z
    easel.line((u, high, z), knee, 0.1, tint, POLE)
    easel.line(knee, (u + arm, high + 0.55, z), 0.1, tint, POLE)
    head = [(u + arm - 0.3, high + 0.5, z), (u + arm + 0.3, high + 0.5, z), (u + arm + 0.3, high + 0.66, z),
            (u + arm - 0.3, high + 0.66, z)]  # fmt: skip
    easel.polygon(head, tint * 1.2, POLE)
    if rng.random() < 0.6 and easel.dusk > 0.25:
        easel.glow(head, (255, 214, 140))


def board(easel: Easel, rng: Generator, u: float, y: float, z: float, light: float) -> None:
    """A sign that faces the camera: a disc, a triangle or a board."""
    tint = np.array(SIGNS[rng.integers(len(SIGNS))]) * light * rng.uniform(0.5, 1.1)
    inner = np.array([(228, 228, 224), (40, 42, 46), (30, 62, 150), (226, 196, 50)][rng.integers(4)]) * light
    r, form = rng.uniform(0.28, 0.5), rng.integers(4)
    if form == 0:
        easel.disc((u, y, z), r, tint, SIGN)
        easel.disc((u, y, z), 0.7 * r, inner, None)
    elif form == 1:
        easel.polygon([(u - r, y - r, z), (u + r, y - r, z), (u, y + 0.8 * r, z)], tint, SIGN)
        low = y - 0.75 * r
        easel.polygon([(u - 0.6 * r, low, z), (u + 0.6 * r, low, z), (u, y + 0.4 * r, z)], inner, None)
    else:
        wide, tall = r * rng.uniform(0.6, 2.0), r * rng.uniform(0.6, 1.7)
        box = [(u - wide, y - tall), (u + wide, y - tall), (u + wide, y + tall), (u - wide, y + tall)]
        easel.polygon([(x, v, z) for x, v in box], tint, SIGN)
        for line in range(int(rng.integers(0, 4))):
            v = y + tall * (0.6 - 0.4 * line)
            easel.line((u - 0.8 * wide, v, z), (u + rng.uniform(0, 0.8) * wide, v, z), 0.08, inner, None, 0.3)


def sign_post(easel: Easel, rng: Generator, u: float, z: float, light: float) -> None:
    """A post with a sign or two."""
    high = rng.uniform(2.2, 3.4)
    post(easel, rng, u, z, light, high + 0.2, 0.08)
    board(easel, rng, u, high - 0.1, z, light)
    if rng.random() < 0.35:
        board(easel, rng, u, high - 1.0, z, light)


def traffic_light(easel: Easel, rng: Generator, u: float, z: float, light: float) -> None:
    """A dark box with three lamps on a post; one of them shines."""
    high = rng.uniform(2.6, 3.6)
    post(easel, rng, u, z, light, high, 0.12)
    aside = u + rng.choice([-0.22, 0.0, 0.22])
    w, h = rng.uniform(0.17, 0.3), rng.uniform(0.9, 1.2)
    dark = np.array([30, 30, 32]) * rng.uniform(0.5, 1.5)
    edges = [(aside - w, high - 0.2), (aside + w, high - 0.2), (aside + w, high - 0.2 + h), (aside - w, high - 0.2 + h)]
    easel.polygon([(x, y, z) for x, y in edges], dark, SIGN)
    on, back = rng.integers(3), rng.random() < 0.35
    for lamp, (tint, dull) in enumerate((((60, 255, 150), (26, 60, 44)), ((255, 190, 60), (70, 56, 26)),
                                         ((255, 60, 50), (70, 24, 24)))):  # fmt: skip
        if back:
            break
        y, r = high - 0.2 + h * (0.18 + 0.32 * lamp), 0.1
        ring = [(aside + r * np.cos(a), y + r * np.sin(a), z) for a in np.arange(6) * np.pi / 3]
        if lamp == on:
            easel.glow(ring, tint)
        else:
            easel.polygon(ring, np.array(dull), None)
