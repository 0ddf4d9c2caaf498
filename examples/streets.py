"""Street scenes with exact labels, as a driver sees them: for training a segmenter without a photograph.

    python examples/streets.py out/streets --count 60 [--first N] [--seed S] [--dusk X] [--size 480x360]

writes images/00000.png ... and labels/00000.png ..., whose pixels are the classes 0 to 10: sky, building, pole, road,
pavement, tree, sign, fence, car, pedestrian, bicyclist.  --dusk, 0 to 1, takes the daylight away and lights the lamps;
labels stay as they are.  A scene takes about 0.25 CPU seconds, and depends on the seed and its number alone; files of
its name are overwritten.  Learn from them with: structkit train segmenter --source out/streets/images
out/streets/labels --labels camvid
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from easel import BRIGHTEST, FINE, PAVEMENT, ROAD, SKY, TREE, Easel, View
from facades import facade, house
from numpy.random import Generator
from PIL import Image, ImageFilter
from roadside import barrier, conifer, crossing_barrier, hedge, lamp_post, post, sign_post, traffic_light, tree
from textures import Array
from traffic import cyclist, vehicle, walker

DEEP = 130.0  # m, as far as things stand
WALL, FRONT, TOP, ASIDE = range(4)  # directions of light: on the left and right walls, on what faces the camera, on top


@dataclass(frozen=True)
class Layout:
    """A street: half its road's width, pavements' widths left and right, m, and what stands behind them."""

    road: float
    pavements: tuple[float, float]
    housed: tuple[float, float]  # share of the length with houses, left and right
    storeys: float
    green: float  # share of trees and hedges
    verge: tuple[bool, bool]  # grass instead of paving behind the kerb
    crossings: tuple[float, ...]  # z of the side streets' middles
    parked: float
    people: float
    season: float  # below 0.5 trees are bare

    def wall(self, side: int) -> float:
        """Distance of the house fronts from the middle of the road."""
        return self.road + self.pavements[side > 0]


def planned(rng: Generator) -> Layout:
    """A street of a town, a suburb, or one with few houses."""
    town = rng.choice([0, 1, 2], p=[0.6, 0.28, 0.12])
    wide = rng.uniform(1.4, 6.5, 2) if town < 2 else rng.uniform(2, 12, 2)
    crossings = tuple(rng.uniform(8, 90, rng.integers(0, 3))) if rng.random() < 0.6 else ()
    return Layout(
        road=rng.uniform(2.8, 6.5) if rng.random() < 0.85 else rng.uniform(6, 12),
        pavements=(float(wide[0]), float(wide[1])),
        housed=tuple(rng.uniform(*((0.75, 1.0), (0.4, 0.9), (0.0, 0.5))[town], 2)),
        storeys=float(rng.uniform(*((2.5, 7.0), (1.8, 4.0), (1.0, 4.5))[town])),
        green=float(rng.uniform(*((0.05, 0.5), (0.4, 1.0), (0.5, 1.3))[town])),
        verge=tuple(bool(v) for v in rng.random(2) < (0.04, 0.15, 0.6)[town]),
        crossings=crossings,
        parked=float(rng.choice([0.0, 0.15, 0.4, 0.9])),
        people=float(rng.gamma(2.0, 0.6)),
        season=float(rng.random()),
    )


def waves(rng: Generator, side: int = 256) -> Array:
    """A tile (side, side) of noise of all sizes, standard deviation 1."""
    total = np.zeros((side, side), np.float32)
    for cells, gain in ((4, 1.0), (16, 0.8), (64, 0.6), (side, 0.45)):
        coarse = rng.normal(0, gain, (cells, cells)).astype(np.float32)
        total += np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))
    return (total / total.std()).astype(np.float32)


def paved(easel: Easel, rng: Generator, plan: Layout, light: Array, noon: float) -> None:
    """The ground with its markings, and the shadows of the houses on the sunless side."""
    u, z, ahead = easel.view.ground()
    rows = slice(int(np.argmax(np.isfinite(ahead).any(1))), None)
    u, z, ahead = u[rows], z[rows], ahead[rows]
    tile = waves(rng)

    def field(per_metre: float, stretch: float = 1.0) -> Array:
        shift = rng.integers(0, 256, 2)
        a = (u * per_metre).astype(np.int32) + shift[0]
        return tile[a & 255, ((z * per_metre * stretch).astype(np.int32) + shift[1]) & 255]

    coarse, fine = field(3), field(24, 0.4)
    kinds = np.full(u.shape, PAVEMENT, np.uint8)
    tone = rng.normal(110, 22)
    stone = tone * np.ones(3) + rng.normal(0, 7, 3)
    colour = stone.astype(np.float32) + (6 * coarse + np.float32(rng.uniform(2, 9)) * fine)[..., None]
    if rng.random() < 0.6:  # slabs
        size = rng.uniform(0.5, 1.0)
        joint = (np.mod(u, size) < 0.05) | (np.mod(z, size) < 0.06)
        colour[joint & (ahead < 30)] -= rng.uniform(8, 30)
    grass = np.array([88, 104, 52]) * rng.uniform(0.55, 1.2) + rng.normal(0, 6, 3)
    lawn = grass.astype(np.float32) + (10 * coarse + 12 * fine)[..., None]
    for side in (-1, 1):
        behind = (side * u > plan.road + (2.0 if plan.verge[side > 0] else plan.pavements[side > 0])) & (
            plan.verge[side > 0] or plan.housed[side > 0] < 0.6
        )
        colour[behind], kinds[behind] = lawn[behind], TREE
    onto = abs(u) < plan.road
    for middle in plan.crossings:
        onto |= abs(z - middle) < 0.8 * plan.road + 1
    tar = np.clip(rng.normal(86, 18), 45, 135) * np.ones(3) + rng.normal(0, 4, 3)
    patches = (field(0.6, 0.3) > rng.uniform(0.8, 2.0)) * np.float32(rng.uniform(-22, 14))
    wheels = np.float32(rng.uniform(-7, 7)) * np.cos(np.float32(4 * np.pi / plan.road) * u)
    cracks = abs(field(5)) < 0.03
    surface = 5 * coarse + np.float32(rng.uniform(2, 8)) * fine + patches + wheels - 16 * cracks.astype(np.float32)
    colour[onto], kinds[onto] = tar.astype(np.float32) + surface[onto][:, None], ROAD
    kerb = (abs(abs(u) - plan.road) < 0.11) & ~(onto & (abs(u) > plan.road + 0.2))
    colour[kerb] = stone * rng.uniform(0.8, 1.5)
    white = np.full(3, rng.uniform(165, 225)) * rng.uniform(0.75, 1.0)
    marks = np.zeros(u.shape, bool)
    dash, gap = rng.uniform(1, 5), rng.uniform(1.5, 6)
    if rng.random() < 0.75:
        marks |= (abs(u - rng.choice([0, 0, plan.road / 3])) < 0.07) & (np.mod(z, dash + gap) < dash)
    if rng.random() < 0.4:
        for side in (-1, 1):
            marks |= abs(side * u - plan.road + 0.35) < 0.06
    if rng.random() < 0.3:  # arrows and words
        for _ in range(3):
            x, y = rng.uniform(-0.7, 0.7) * plan.road, rng.uniform(5, 30)
            marks |= (abs(u - x) < 0.1) & (abs(z - y) < 1.6)
            marks |= (abs(u - x) < 0.45 * (y + 2.6 - z)) & (z > y + 1.2) & (z < y + 2.6)
    if rng.random() < 0.15:  # a box of diagonals
        y = rng.uniform(5, 25)
        marks |= (abs(z - y) < 4) & ((abs(np.mod(u + z, 2.4)) < 0.14) | (abs(np.mod(u - z, 2.4)) < 0.14))
    if rng.random() < 0.25:  # a zebra crossing or a stop line
        y = rng.uniform(6, 30)
        marks |= (abs(z - y) < 1.4) & (np.mod(u, 1.2) < 0.6) if rng.random() < 0.5 else abs(z - y) < 0.2
    marks &= onto & (abs(u) < plan.road - 0.15) & (fine < rng.uniform(0.8, 2.5))
    colour[marks] = 0.25 * colour[marks] + 0.75 * white
    if rng.random() < 0.3:  # yellow lines at the kerb
        yellow = np.array([190, 160, 60]) * rng.uniform(0.6, 1.1)
        edge = onto & ((abs(abs(u) - plan.road + 0.3) < 0.05) | (abs(abs(u) - plan.road + 0.5) < 0.05))
        colour[edge] = 0.4 * colour[edge] + 0.6 * yellow
    light_here = np.full(u.shape, light[TOP], np.float32)
    if noon < 1:
        side = 1 if light[WALL] < light[ASIDE] else -1
        reach = plan.wall(side) - np.repeat(rng.uniform(0.3, 2.2, 64) * plan.road, 4)[np.mod(z * 0.5, 256).astype(int)]
        light_here[side * u > reach.astype(np.float32) + 0.3 * coarse] *= noon
        if rng.random() < 0.4:
            light_here[field(0.8) + 0.6 * fine > 0.9] *= 0.5 + 0.5 * noon
    colour *= light_here[..., None]
    share = np.exp(-np.minimum(ahead, 1e4) / np.float32(easel.clear))[..., None]
    colour = np.clip(share * colour + (1 - share) * np.asarray(easel.haze, np.float32), 0, BRIGHTEST)
    picture, classes = np.array(easel.picture), np.array(easel.classes)
    seen = np.isfinite(ahead)
    picture[rows][seen], classes[rows][seen] = colour[seen].astype(np.uint8), kinds[seen]
    easel.picture, easel.classes = Image.fromarray(picture), Image.fromarray(classes)
    easel.ready()


def sky(easel: Easel, rng: Generator) -> None:
    """Blue, white or grey above, bright near the horizon, with clouds."""
    rows, columns = easel.view.shape
    shape = rows // FINE, columns // FINE
    high = np.array(((96, 150, 214), (228, 236, 238), (176, 186, 196), (238, 238, 234))[rng.integers(4)], np.float32)
    low = np.array([238, 240, 238], np.float32) * np.float32(rng.uniform(0.85, 1.0))
    part = np.clip(np.arange(shape[0]) * FINE / max(easel.view.horizon, 1), 0, 1)[:, None, None] ** rng.uniform(0.5, 2)
    part = part.astype(np.float32)
    tile = Image.fromarray(waves(rng, 128)).crop((0, 20, 128, 84))
    clouds = np.asarray(tile.resize(shape[::-1], Image.Resampling.BILINEAR))
    colour = high * (1 - part) + low * part
    cover = np.clip(0.5 + rng.uniform(0.2, 0.8) * clouds + rng.uniform(-0.6, 0.6), 0, 1)[..., None] * rng.uniform(0, 1)
    colour = colour * (1 - cover) + np.array([226, 228, 230]) * cover * rng.uniform(0.8, 1.05)
    cloudy = Image.fromarray(np.clip(colour + rng.uniform(0, 6) * clouds[..., None], 0, 255).astype(np.uint8))
    easel.picture = cloudy.resize((columns, rows), Image.Resampling.NEAREST)
    easel.ready()


def furnished(easel: Easel, rng: Generator, plan: Layout, light: Array) -> None:
    """Everything that stands or moves on the ground, from far to near."""
    fronts = [facade(np.random.default_rng(rng.integers(2**32)), 9, rng.uniform(6, 14), easel.dusk) for _ in range(5)]
    hue = np.array([(92, 110, 56), (110, 106, 66), (70, 92, 48), (104, 84, 50)][rng.integers(4)])
    hue = hue * rng.uniform(0.6, 1.2)
    bare_share = 0.85 if plan.season < 0.5 else 0.1
    behind, things = [], []

    def free(z: float, margin: float = 1.5) -> bool:
        return all(abs(z - middle) > 0.8 * plan.road + 1 + margin for middle in plan.crossings)

    def grown(u: float, z: float) -> tuple:
        if rng.random() < 0.2:
            return z, conifer, (u, z, rng.uniform(0.5, 1.1))
        settings = {"bare": rng.random() < bare_share, "light": rng.uniform(0.5, 1.1), "hue": hue}
        return z, lambda e, r, u, z: tree(e, r, u, z, **settings), (u, z)

    for side in (-1, 1):
        wall, lit = plan.wall(side), (light[WALL if side < 0 else ASIDE], light[FRONT])
        z = rng.uniform(-4, 4)
        while z < DEEP:
            long = rng.uniform(5, 20)
            z1 = z + long
            if not (free(z) and free(z1) and free((z + z1) / 2, 0)):
                z += 2.0
                continue
            if rng.random() < plan.housed[side > 0]:
                back = rng.choice([0.0, 0.0, rng.uniform(0, 6)])
                high = max(2.8, plan.storeys * rng.uniform(0.6, 1.35) * 3.1)
                behind.append((z1, house, (fronts, side, wall + back, (z, z1), high, lit)))
                if back > 1.5 and rng.random() < 0.7:
                    things.append((z1, barrier, (side * wall, (z, z1), lit[0], rng.integers(3))))
            else:
                for _ in range(int(rng.poisson(1.0 + 3 * plan.green))):
                    behind.append(grown(side * (wall + rng.uniform(1, 14)), rng.uniform(z, z1)))
                if rng.random() < 0.65:
                    things.append((z1, barrier, (side * (wall - 0.2), (z, z1), lit[0], rng.integers(3))))
                elif rng.random() < 0.5:
                    things.append((z1, hedge, (side * (wall + 0.8), (z, z1), lit[0], hue)))
            z = z1 + rng.choice([0.0, 0.0, rng.uniform(0, 6)])
        pavement = plan.pavements[side > 0]
        kerb = plan.road + 0.35
        for z in np.cumsum(rng.exponential(13, 12)) + 3:
            if plan.green > rng.uniform(0.1, 1.2) and free(z):
                things.append(grown(side * (kerb + rng.uniform(0.3, 0.7) * pavement), z))
        for z in np.cumsum(rng.exponential(7, 18)) + 3:
            make = (lamp_post, sign_post, traffic_light, post)[rng.choice(4, p=[0.3, 0.3, 0.18, 0.22])]
            size = (rng.uniform(0.8, 1.1), 0.2) if rng.random() < 0.6 else (rng.uniform(3, 8), 0.14)
            extra = size if make is post else ()
            things.append((z, make, (side * (kerb + rng.uniform(0, 0.5) * min(pavement, 3)), z, light[FRONT], *extra)))
        if rng.random() < 0.3:  # railings at the kerb
            z = rng.uniform(4, 40)
            things.append((z + 8, barrier, (side * kerb, (z, z + rng.uniform(4, 20)), light[FRONT], 2)))
        for z in np.cumsum(rng.exponential(9 / max(plan.people, 0.1), 14)) + rng.uniform(4, 9):
            u = side * (kerb + rng.uniform(0.1, 0.95) * min(pavement, 5))
            for mate in range(1 if rng.random() < 0.6 else int(rng.integers(2, 4))):
                things.append((z + 0.1 * mate, walker, (u + 0.6 * mate, z, light[FRONT] * rng.uniform(0.5, 1.1))))
        light_of_cars = light[TOP], light[WALL if side > 0 else ASIDE], light[FRONT]
        z = rng.uniform(5, 14)
        while z < 80:
            if rng.random() < plan.parked and free(z, 0) and plan.road > 3.4:
                u, turn = side * (plan.road - 1.1), rng.choice([0, np.pi]) + rng.normal(0, 0.03)
                things.append((z, vehicle, (u, z, turn, light_of_cars)))
            z += rng.uniform(5.2, 9)
        z = rng.uniform(9, 60)
        while z < 100:
            u = side * plan.road * rng.uniform(0.25, 0.55)
            things.append((z, vehicle, (u, z, (0.0 if side < 0 else np.pi) + rng.normal(0, 0.06), light_of_cars)))
            z += rng.uniform(7, 14) if rng.random() < 0.4 else rng.uniform(12, 60)
        for z in np.cumsum(rng.exponential(22, 5)) + 5:
            if rng.random() < 0.7:
                u = side * plan.road * rng.uniform(0.45, 0.95)
                things.append((z, cyclist, (u, z, light[FRONT] * rng.uniform(0.5, 1.1), rng.random() < 0.25)))
    for middle in plan.crossings:
        for _ in range(int(rng.integers(0, 3))):
            u, turn = rng.uniform(-16, 16), rng.choice([-1, 1]) * np.pi / 2 + rng.normal(0, 0.2)
            glow = light[TOP], light[FRONT], light[WALL]
            things.append((middle, vehicle, (u, middle + rng.uniform(-2, 2), turn, glow)))
    for _ in range(int(rng.poisson(0.7))):  # people who cross the road
        z = rng.uniform(7, 40)
        things.append((z, walker, (rng.uniform(-0.9, 0.9) * plan.road, z, light[FRONT] * rng.uniform(0.5, 1.1))))
    if rng.random() < 0.8:  # what closes the view
        u = -40.0
        while rng.random() < 0.95 and u < 40:
            high, z = max(2.8, plan.storeys * rng.uniform(0.5, 1.3) * 3.1), rng.uniform(0.75, 1.0) * DEEP
            behind.append((z + 9, house, (fronts, 1, u, (z, z + 9), high, (light[WALL], light[FRONT]))))
            u += rng.uniform(8, 16)
        for _ in range(int(rng.integers(4, 16))):
            behind.append(grown(rng.uniform(-40, 40), rng.uniform(0.7, 1.1) * DEEP))
        if rng.random() < 0.4:
            z = rng.uniform(40, 90)
            behind.append((z, crossing_barrier, ((-40.0, -plan.road), z, light[FRONT])))
    for group in (behind, things):
        for _, paint, facts in sorted(group, key=lambda thing: -thing[0]):
            paint(easel, rng, *facts)


def exposed(easel: Easel, rng: Generator, size: tuple[int, int]) -> tuple[Array, Array]:
    """The picture (h, w, 3) and the classes (h, w), uint8, of what was painted: the lens, the light and the sensor."""
    kinds = np.asarray(easel.classes)[FINE // 2 :: FINE, FINE // 2 :: FINE]
    full = np.asarray(easel.picture)
    dusk = easel.dusk
    if dusk:
        shines = (full.max(2) > BRIGHTEST) & (np.asarray(easel.classes) != SKY)
        bulbs = Image.fromarray(full * shines[..., None]).resize(size, Image.Resampling.BOX)
        lamps = np.asarray(bulbs, np.float32)
        for reach, gain in ((2, 0.5), (9, 0.6)):
            lamps = lamps + gain * np.asarray(bulbs.filter(ImageFilter.GaussianBlur(reach)), np.float32)
    soft = easel.picture.resize(size, Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(rng.gamma(2.0, 0.25)))
    a = np.asarray(soft, np.float32)
    grain = np.where(kinds == TREE, 0.16, 0.05)[..., None] * rng.uniform(0.3, 1.5)
    a = a * (1 + grain * rng.standard_normal((size[1], size[0], 1), np.float32))
    gain, bright, tint = rng.uniform(0.75, 1.25), rng.uniform(0.65, 1.35), rng.normal(1, 0.03, 3)
    grey = a.mean(2, keepdims=True)
    a = grey + (a - grey) * rng.uniform(0.35, 1.15)
    a = (255 * np.clip(a / 255, 0, 1) ** gain * bright * tint).astype(np.float32)
    if rng.random() < 0.5:  # the sky is too bright for the film
        a = np.where((kinds == SKY)[..., None], 255 - (255 - np.clip(a, 0, 255)) * rng.uniform(0, 0.5), a)
    pivot, contrast = rng.uniform(60, 130), rng.uniform(0.85, 1.5)
    a = pivot + (a - pivot) * contrast
    if dusk:
        above = (kinds == SKY)[..., None]
        grey = a.mean(2, keepdims=True)
        a = grey + (a - grey) * (1 - 0.5 * dusk)
        dim = np.where(above, 1 - rng.uniform(0.15, 0.5) * dusk, 1 - rng.uniform(0.55, 0.8) * dusk)
        a = np.clip(a, 0, 255) * dim * np.array([1 - 0.1 * dusk, 1.0, 1 + 0.04 * dusk])
        a = a + lamps * 0.8 * min(1.0, 2 * dusk)
    y, x = np.mgrid[-1 : 1 : size[1] * 1j, -1 : 1 : size[0] * 1j].astype(np.float32)
    a = a * (1 - rng.uniform(0, 0.18) * (x * x + y * y))[..., None]
    a = a + rng.uniform(0.5, 4) * rng.standard_normal(a.shape, np.float32)
    return np.clip(a, 0, 255).astype(np.uint8), np.ascontiguousarray(kinds)


def scene(seed: int, number: int = 0, size: tuple[int, int] = (480, 360), dusk: float = 0.0) -> tuple[Array, Array]:
    """A picture (h, w, 3) and its classes (h, w), both uint8; `size` is (width, height) in px, `dusk` in [0, 1]."""
    rng = np.random.default_rng([seed, number])
    wide, tall = size[0] * FINE, size[1] * FINE
    plan = planned(rng)
    aside = rng.uniform(-0.75, 0.2) * plan.road if rng.random() < 0.9 else rng.uniform(-1, 1) * plan.road
    yaw = rng.normal(0, 0.07) if rng.random() < 0.85 else rng.normal(0, 0.35)
    bend = rng.normal(0, 6e-4) if rng.random() < 0.7 else rng.normal(0, 3e-3)
    view = View(
        (tall, wide),
        wide * rng.uniform(0.75, 1.3),
        wide * rng.normal(0.5, 0.04),
        tall * rng.normal(0.52, 0.06),
        rng.uniform(1.15, 2.0),
        aside,
        yaw,
        rng.normal(0, 0.015),
        bend,
    )
    sun = rng.uniform(0.45, 1.15, 4)
    sun[TOP] = rng.uniform(0.75, 1.1)
    noon = 1.0 if rng.random() < 0.35 else rng.uniform(0.3, 0.8)
    haze = np.array([196, 202, 208]) * rng.uniform(0.75, 1.1)
    easel = Easel(view, tuple(haze), float(np.exp(rng.uniform(np.log(90), np.log(900)))), dusk)
    sky(easel, rng)
    paved(easel, rng, plan, sun, noon)
    furnished(easel, rng, plan, sun)
    return exposed(easel, np.random.default_rng([seed, number, 1]), size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--first", type=int, default=0, help="number of the first scene")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dusk", type=float, default=0.0, help="0 is day, 1 the last light")
    parser.add_argument("--size", default="480x360", help="width x height in px")
    asked = parser.parse_args()
    sides = asked.size.split("x")
    if len(sides) != 2 or not all(side.isdecimal() and int(side) for side in sides):
        parser.error(f"--size is {asked.size}: it must be a width and a height, such as 480x360")
    if not (asked.count > 0 <= min(asked.first, asked.seed) and 0 <= asked.dusk <= 1):
        parser.error("--count must be 1 or more, --first and --seed 0 or more, and --dusk 0 to 1")
    size = int(sides[0]), int(sides[1])
    for folder in ("images", "labels"):
        (asked.out / folder).mkdir(parents=True, exist_ok=True)
    for number in range(asked.first, asked.first + asked.count):
        picture, kinds = scene(asked.seed, number, size, asked.dusk)
        Image.fromarray(picture).save(asked.out / "images" / f"{number:05d}.png")
        Image.fromarray(kinds).save(asked.out / "labels" / f"{number:05d}.png")


if __name__ == "__main__":
    main()
