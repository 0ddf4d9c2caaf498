"""Who is on a street: cars, vans and buses from all sides, people on foot, and people on bicycles."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from easel import BICYCLIST, CAR, PEDESTRIAN, Easel
from numpy.random import Generator

PAINTS = ((28, 29, 32), (24, 26, 46), (92, 94, 98), (150, 152, 156), (196, 198, 200), (222, 222, 220), (120, 22, 24),
          (30, 58, 110), (36, 66, 48), (90, 74, 52), (158, 132, 50), (60, 62, 66))  # fmt: skip
CLOTHES = ((24, 24, 28), (36, 38, 52), (60, 58, 56), (88, 30, 32), (40, 52, 88), (110, 100, 88), (52, 66, 48),
           (170, 166, 160))  # fmt: skip
SKINS = ((214, 170, 142), (176, 128, 98), (120, 82, 60), (84, 58, 44))
# Outlines from the rear to the front, along in lengths and up in heights; then length, width and height, m.
BODIES = {
    "hatch": ([(0, 0.2), (0.0, 0.62), (0.1, 0.98), (0.5, 1.0), (0.68, 0.62), (0.98, 0.52), (1.0, 0.2)],
              (4.0, 1.7, 1.48)),
    "saloon": ([(0, 0.2), (0.0, 0.62), (0.14, 0.66), (0.27, 1.0), (0.55, 1.0), (0.7, 0.64), (0.98, 0.54), (1.0, 0.2)],
               (4.5, 1.75, 1.42)),
    "van": ([(0, 0.15), (0.0, 1.0), (0.74, 1.0), (0.86, 0.58), (0.99, 0.45), (1.0, 0.15)], (4.9, 1.95, 2.2)),
    "bus": ([(0, 0.1), (0.0, 1.0), (0.99, 1.0), (1.0, 0.1)], (10.5, 2.5, 3.1)),
}  # fmt: skip


def vehicle(easel: Easel, rng: Generator, u: float, z: float, heading: float, light: tuple) -> None:
    """A car, van or bus whose middle is at (u, z); heading 0 drives away; `light` on top, sides and ends."""
    name = rng.choice(list(BODIES), p=[0.47, 0.33, 0.14, 0.06])
    outline, (long, wide, high) = BODIES[name]
    long, wide, high = long * rng.uniform(0.9, 1.1), wide * rng.uniform(0.95, 1.05), high * rng.uniform(0.93, 1.12)
    paint = np.array(PAINTS[rng.integers(len(PAINTS))]) * rng.uniform(0.7, 1.15) + rng.normal(0, 6, 3)
    glass = np.array([34, 40, 46]) * rng.uniform(0.5, 2.2)
    cos, sin = math.cos(heading), math.sin(heading)

    def at(along: float, across: float, up: float) -> tuple[float, float, float]:
        a, b = (along - 0.5) * long, across * wide / 2
        return u + a * sin + b * cos, up * high, z + a * cos - b * sin

    def towards(along: float, across: float, normal: tuple[float, float]) -> bool:
        place = at(along, across, 0)
        eye_u, eye_z = easel.view.aside - place[0], -place[2]
        a, b = normal
        return eye_u * (a * sin + b * cos) + eye_z * (a * cos - b * sin) > 0

    shade = [at(a, b, 0.01) for a, b in ((-0.02, -1.1), (-0.02, 1.1), (1.02, 1.1), (1.02, -1.1))]
    easel.polygon(shade, (10, 10, 12), None, 0.75)

    def far(edge: tuple) -> float:
        place = at((edge[0][0] + edge[1][0]) / 2, 0, 0)
        return math.hypot(place[0] - easel.view.aside, place[2])

    quads = sorted(pairwise(outline), key=far, reverse=True)
    for (a0, h0), (a1, h1) in quads:
        steep = abs(h1 - h0) * high / max(math.hypot((a1 - a0) * long, (h1 - h0) * high), 1e-6)
        front = a0 + a1 > 1
        if steep > 0.5 and not towards((a0 + a1) / 2, 0, (1, 0) if front else (-1, 0)):
            continue
        gain = light[2] * steep + light[0] * (1 - steep)
        easel.polygon([at(a0, -1, h0), at(a0, 1, h0), at(a1, 1, h1), at(a1, -1, h1)], paint * gain, CAR)
        low, top = sorted(((a0, h0), (a1, h1)), key=lambda point: point[1])
        if steep > 0.35 and top[1] > 0.9:  # the windscreen, or the rear window
            lower = max(low[1], 0.56)
            t = [(h - low[1]) / (top[1] - low[1]) for h in (lower + 0.05, top[1] - 0.05)]
            (p, hp), (q, hq) = ((low[0] + s * (top[0] - low[0]), low[1] + s * (top[1] - low[1])) for s in t)
            easel.polygon([at(p, -0.82, hp), at(p, 0.82, hp), at(q, 0.74, hq), at(q, -0.74, hq)], glass * gain, None)
            shine = glass * gain + rng.uniform(0, 70)
            easel.polygon([at(p, -0.82, hp), at(p, 0.1, hp), at(q, -0.4, hq), at(q, -0.74, hq)], shine, None, 0.5)
    for end in (0.0, 1.0):
        if not towards(end, 0, (2 * end - 1, 0)):
            continue
        near = -0.005 if end == 0 else 1.005
        band = [at(near, -0.96, 0.2), at(near, 0.96, 0.2), at(near, 0.96, 0.33), at(near, -0.96, 0.33)]
        easel.polygon(band, np.array([26, 26, 28]) * rng.uniform(0.6, 2.5), None)
        plate = [at(near, -0.3, 0.3), at(near, 0.3, 0.3), at(near, 0.3, 0.38), at(near, -0.3, 0.38)]
        easel.polygon(plate, (200, 190, 110) if end == 0 else (214, 214, 210), None)
        lit = rng.random() < (0.55 if end else 0.4)
        for s in (-1, 1):
            corners = (0.6, 0.42), (0.94, 0.42), (0.94, 0.53), (0.62, 0.53)
            lamp = [at(near, s * b, h) for b, h in corners]
            if lit:
                easel.glow(lamp, (255, 246, 214) if end else (255, 52, 40))
            else:
                easel.polygon(lamp, (168, 170, 172) if end else (120, 24, 22), None)
        for s in (-1, 1):  # tyres below
            tyre = [at(near, s * 0.66, 0), at(near, s * 0.95, 0), at(near, s * 0.95, 0.2), at(near, s * 0.66, 0.2)]
            easel.polygon(tyre, (16, 16, 17), CAR)
    for s in (-1, 1):
        if not towards(0.5, s, (0, s)):
            continue
        easel.polygon([at(a, s, h) for a, h in outline], paint * light[1], CAR)
        easel.polygon([at(a, s, h) for a, h in ((0, 0.2), (1, 0.2), (1, 0.3), (0, 0.3))], paint * light[1] * 0.5, None)
        roof = [a for a, h in outline if h > 0.97]
        start, stop = roof[0] - 0.06, roof[-1] + 0.1
        if name == "van":
            start, stop = 0.62, roof[-1] + 0.02
        pane = [(start, 0.66), (stop, 0.66), (roof[-1] - 0.01, 0.93), (max(roof[0], start) + 0.01, 0.93)]
        if name == "bus":
            pane = [(0.03, 0.5), (0.97, 0.5), (0.97, 0.85), (0.03, 0.85)]
        easel.polygon([at(a, s * 1.005, h) for a, h in pane], glass * light[1], None)
        for post in np.linspace(start, stop, 3 if name != "bus" else 7)[1:-1]:
            bar = ((post, 0.62), (post + 0.02, 0.62), (post + 0.02, 0.95), (post, 0.95))
            easel.polygon([at(a, s * 1.01, h) for a, h in bar], paint * light[1] * 0.9, None)
        radius = 0.33 if name != "bus" else 0.5
        for wheel in (0.19, 0.81):
            ring = [(wheel + radius / long * math.cos(t), (radius + radius * math.sin(t)) / high)
                    for t in np.arange(12) * math.pi / 6]  # fmt: skip
            easel.polygon([at(a, s * 1.01, h) for a, h in ring], (15, 15, 16), CAR)
            hub = [(wheel + 0.55 * (a - wheel), radius / high + 0.55 * (h - radius / high)) for a, h in ring]
            easel.polygon([at(a, s * 1.02, h) for a, h in hub], np.array([120, 120, 122]) * light[1], None)


def limb(easel: Easel, a: tuple, b: tuple, wide: tuple[float, float], tint: np.ndarray, kind: int) -> None:
    """A tapering part of a body, from a to b (u, y, z)."""
    along = b[0] - a[0], b[1] - a[1]
    size = max(math.hypot(*along), 1e-6)
    n = -along[1] / size, along[0] / size
    corners = [(p[0] + s * w / 2 * n[0], p[1] + s * w / 2 * n[1], p[2])
               for p, w, s in ((a, wide[0], 1), (b, wide[1], 1), (b, wide[1], -1), (a, wide[0], -1))]  # fmt: skip
    easel.polygon(corners, tint, kind)


def cloth(rng: Generator, light: float) -> np.ndarray:
    """A colour of clothes; most are dark."""
    return (np.array(CLOTHES[rng.integers(len(CLOTHES))]) * rng.uniform(0.5, 1.4) + rng.normal(0, 6, 3)) * light


def head(easel: Easel, rng: Generator, u: float, y: float, z: float, kind: int, light: float) -> None:
    """A head with its hair, a hat or a helmet."""
    skin = np.array(SKINS[rng.integers(len(SKINS))]) * light
    hair = np.array([(30, 24, 20), (80, 58, 36), (150, 140, 130), (180, 170, 60)][rng.integers(4)]) * light
    easel.disc((u, y, z), 0.105, skin * rng.uniform(0.7, 1.0), kind, flat=1.25)
    if rng.random() < 0.4:  # from behind
        easel.disc((u, y + 0.02, z), 0.1, hair, None, flat=1.2)
    else:
        easel.disc((u, y + 0.07, z), 0.1, hair, kind, flat=0.7)


def walker(easel: Easel, rng: Generator, u: float, z: float, light: float) -> None:
    """Somebody who walks or stands."""
    high = rng.normal(1.7, 0.1) if rng.random() < 0.9 else rng.uniform(1.0, 1.4)
    stride, lean, broad = rng.uniform(0, 0.24), rng.normal(0, 0.02), rng.uniform(0.36, 0.56)
    top, legs = cloth(rng, light), cloth(rng, light) * 0.8
    easel.disc((u, 0.01, z), 0.4, (12, 12, 14), None, alpha=0.45, flat=0.2)
    hip = u, 0.5 * high, z
    for s in (-1, 1):
        knee = u + s * (0.07 + 0.5 * stride), 0.27 * high, z
        limb(easel, hip, knee, (0.19, 0.15), legs * (1.0 if s > 0 else 0.8), PEDESTRIAN)
        limb(easel, knee, (u + s * (0.08 + stride), 0.02, z), (0.15, 0.11), legs * (1.0 if s > 0 else 0.8), PEDESTRIAN)
        limb(easel, (u + s * (0.08 + stride), 0.05, z), (u + s * (0.08 + stride) + 0.12, 0.03, z), (0.1, 0.08),
             np.array([24, 22, 22.0]), PEDESTRIAN)  # fmt: skip
    coat = rng.uniform(0.36, 0.5) * high
    shoulder = u + lean, 0.83 * high, z
    limb(easel, (u, coat, z), shoulder, (broad * 0.9, broad), top, PEDESTRIAN)
    limb(easel, (u - 0.1 * broad, coat, z), (u - 0.2 * broad, 0.82 * high, z), (broad * 0.3, broad * 0.3), top * 0.75,
         PEDESTRIAN)  # fmt: skip
    for s in (-1, 1):
        hand = u + s * (broad * 0.55 + rng.uniform(-0.1, 0.15)), 0.45 * high, z
        limb(easel, (u + lean + s * broad * 0.42, 0.8 * high, z), hand, (0.13, 0.09), top * 0.85, PEDESTRIAN)
    if rng.random() < 0.3:  # a bag
        bag = u + rng.choice([-1, 1]) * 0.3, rng.uniform(0.35, 0.6) * high, z
        easel.disc(bag, rng.uniform(0.12, 0.2), cloth(rng, light), PEDESTRIAN, flat=1.3)
    head(easel, rng, u + 1.3 * lean, 0.93 * high, z, PEDESTRIAN, light)


def wheel(easel: Easel, u: float, z: float, flat: float) -> None:
    """A bicycle's wheel, `flat` times as wide as high."""
    ring = [(u + 0.34 * flat * math.cos(t), 0.34 + 0.34 * math.sin(t), z) for t in np.arange(14) * math.pi / 7]
    easel.polygon(ring, (70, 72, 72), BICYCLIST, 0.35)
    for a, b in zip(ring, ring[1:] + ring[:1], strict=True):
        easel.line(a, b, 0.05, (20, 20, 22), BICYCLIST, 0.5)


def cyclist(easel: Easel, rng: Generator, u: float, z: float, light: float, across: bool) -> None:
    """Somebody on a bicycle, from the side or from behind."""
    top, legs = cloth(rng, light), cloth(rng, light) * 0.8
    if rng.random() < 0.15:
        top = np.array([190, 206, 40.0]) * light
    frame = np.array([(30, 30, 32), (130, 30, 30), (40, 60, 120), (150, 150, 150)][rng.integers(4)]) * light
    way = rng.choice([-1, 1])
    easel.disc((u, 0.01, z), 0.6 if across else 0.3, (12, 12, 14), None, alpha=0.4, flat=0.15)
    if across:
        for s in (-1, 1):
            wheel(easel, u + s * 0.52, z, 1.0)
        pedal, seat, bar = (u, 0.3, z), (u - way * 0.2, 0.95, z), (u + way * 0.42, 1.02, z)
        stem, hubs = (bar[0], 0.85, z), [(u + s * way * 0.52, 0.34, z) for s in (-1, 1)]
        for a, b in ((pedal, seat), (pedal, stem), (seat, stem), (bar, hubs[1]), (pedal, hubs[0])):
            easel.line(a, b, 0.05, frame, BICYCLIST, 0.5)
        shoulder = u + way * rng.uniform(0.05, 0.3), rng.uniform(1.42, 1.55), z
        for foot in (0.15, 0.5):
            knee = u + way * 0.22, 0.68 + 0.3 * (foot - 0.15), z
            limb(easel, seat, knee, (0.19, 0.14), legs, BICYCLIST)
            limb(easel, knee, (u + way * rng.uniform(-0.1, 0.1), foot, z), (0.14, 0.1), legs, BICYCLIST)
        limb(easel, (seat[0], 0.92, z), shoulder, (0.3, 0.36), top, BICYCLIST)
        limb(easel, (shoulder[0], shoulder[1] - 0.1, z), bar, (0.12, 0.08), top * 0.8, BICYCLIST)
        head(easel, rng, shoulder[0] + way * 0.08, shoulder[1] + 0.2, z, BICYCLIST, light)
        return
    flat = rng.uniform(0.1, 0.4)
    wheel(easel, u, z + 0.5, flat)
    wheel(easel, u + rng.normal(0, 0.06), z - 0.5, flat)
    easel.line((u - 0.28, 1.05, z), (u + 0.28, 1.05, z), 0.05, frame, BICYCLIST, 0.5)
    for s, foot in ((-1, rng.uniform(0.1, 0.4)), (1, rng.uniform(0.1, 0.4))):
        knee = u + s * 0.16, foot + 0.42, z
        limb(easel, (u + s * 0.08, 0.98, z), knee, (0.2, 0.15), legs, BICYCLIST)
        limb(easel, knee, (u + s * 0.12, foot, z), (0.15, 0.12), legs, BICYCLIST)
    broad, tall = rng.uniform(0.38, 0.52), rng.uniform(1.45, 1.58)
    limb(easel, (u, 0.88, z), (u, tall, z), (0.34, broad), top, BICYCLIST)
    for s in (-1, 1):
        limb(easel, (u + s * 0.42 * broad, tall - 0.08, z), (u + s * 0.3, 1.08, z), (0.13, 0.09), top * 0.85, BICYCLIST)
    head(easel, rng, u, tall + 0.17, z, BICYCLIST, light)
