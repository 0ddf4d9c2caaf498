"""Things whose natural speed shows in their shape: balls, pendulums, wheels, leaves, water, and people in a crowd.

Each kind of thing has about one size in metres, so that gravity can be told from a picture of any scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from figures import ACTIONS, Figure
from numpy.random import Generator
from stage import GRAVITY, Actor, Brush, Camera, Colour, colour, shaded
from textures import Array

BALL, BOB, WHEEL, LEAF = 0.11, 0.09, 0.33, 0.05  # radii, m
STEP = 1 / 200  # of simulations, s


@dataclass(frozen=True)
class Ball:
    """A ball with a patch that turns: its path (N, 2), m, and its turn (N,), one row a STEP."""

    path: Array
    turn: Array
    radius: float
    tints: tuple[Colour, Colour]

    def paint(self, brush: Brush, time: float) -> None:
        row = min(int(time / STEP), len(self.path) - 1)
        middle, angle = self.path[row], self.turn[row]
        brush.disc(middle, self.radius, self.tints[0])
        for part in (0.0, 2.1, 4.2):
            patch = 0.55 * self.radius * np.array([np.cos(angle + part), np.sin(angle + part)])
            brush.disc(middle + patch, 0.3 * self.radius, self.tints[1])


def bouncing(rng: Generator, seconds: float, wide: float, high: float) -> Ball:
    """A ball that falls, bounces and rolls on between two walls that are `wide` m apart."""
    radius = BALL * np.exp(rng.normal(0, 0.08))
    place = np.array([rng.uniform(-0.4, 0.4) * wide, radius + rng.uniform(0.2, 0.9) * high])
    speed = np.array([rng.normal(0, 1.2), rng.normal(0, 1.0)])
    spin, lively = rng.normal(0, 4), rng.uniform(0.65, 0.9)
    path, turn, angle = [], [], 0.0
    for _ in range(int(seconds / STEP) + 40):
        speed[1] -= GRAVITY * STEP
        place = place + speed * STEP
        angle += spin * STEP
        if place[1] < radius:
            place[1], speed[1] = radius, lively * abs(speed[1])
            speed[0] = (2 * speed[0] - spin * radius) / 3  # a solid ball that does not slip
            spin = -speed[0] / radius
            if speed[1] < 0.35:  # thrown up again
                speed[1] = np.sqrt(2 * GRAVITY * high * rng.uniform(0.2, 0.8))
        if abs(place[0]) > wide / 2:
            place[0], speed[0] = np.sign(place[0]) * wide / 2, -0.8 * speed[0]
        path.append(place)
        turn.append(angle)
    return Ball(np.array(path), np.array(turn), radius, (colour(rng), colour(rng)))


def juggled(rng: Generator, seconds: float, place: float, high: float) -> Ball:
    """A small ball that is thrown up again whenever it comes down."""
    times = np.arange(int(seconds / STEP) + 40) * STEP
    top = high * rng.uniform(0.6, 1.0)
    flight = 2 * np.sqrt(2 * top / GRAVITY)
    part = (times / flight + rng.uniform(0, 1)) % 2
    air = np.where(part < 1, part, part - 1)
    along = np.where(part < 1, air, 1 - air) - 0.5
    path = np.stack([place + 0.35 * along, 0.9 + 4 * top * air * (1 - air)], 1)
    return Ball(path, 9 * times, 0.4 * BALL, (colour(rng, 90), colour(rng)))


@dataclass(frozen=True)
class Pendulum:
    """A bob on a rod; its period follows from the length, m, and the widest angle, radians."""

    pivot: tuple[float, float]
    length: float
    widest: float
    start: float
    tints: tuple[Colour, Colour]

    def paint(self, brush: Brush, time: float) -> None:
        rate = np.sqrt(GRAVITY / self.length) * (1 - self.widest**2 / 16)
        angle = self.widest * np.cos(rate * time + self.start)
        bob = np.array(self.pivot) + self.length * np.array([np.sin(angle), -np.cos(angle)])
        brush.limb(np.array(self.pivot), bob, 0.25 * BOB, 0.25 * BOB, self.tints[1])
        brush.disc(bob, BOB, self.tints[0])
        brush.disc(bob + 0.3 * BOB, 0.35 * BOB, shaded(self.tints[0], 1.5))


@dataclass(frozen=True)
class Wheel:
    """A spoked wheel that rolls without slip on a slope, radians, faster as it goes down."""

    place: float
    speed: float
    slope: float
    radius: float
    spokes: int
    tints: tuple[Colour, Colour, Colour]

    def paint(self, brush: Brush, time: float) -> None:
        gone = self.speed * time + 0.25 * GRAVITY * np.sin(self.slope) * time**2
        down = np.array([np.cos(self.slope), -np.sin(self.slope)])
        ground, normal = (self.place + gone) * down, np.array([-down[1], down[0]])
        far = 60 * down
        brush.polygon([ground - far, ground + far, ground + far - (0, 0.08), ground - far - (0, 0.08)], self.tints[2])
        hub = ground + self.radius * normal
        brush.disc(hub, self.radius, self.tints[0])
        brush.disc(hub, 0.82 * self.radius, self.tints[1])
        angle = -gone / self.radius
        for spoke in angle + np.arange(self.spokes) * 2 * np.pi / self.spokes:
            tip = hub + 0.85 * self.radius * np.array([np.cos(spoke), np.sin(spoke)])
            brush.limb(hub, tip, 0.09 * self.radius, 0.06 * self.radius, self.tints[0])


@dataclass(frozen=True)
class Leaf:
    """A leaf that sinks at 1 m/s or so, sways and turns over."""

    place: tuple[float, float]
    sink: float
    beat: float
    phase: float
    high: float
    tint: Colour

    def paint(self, brush: Brush, time: float) -> None:
        turn = 2 * np.pi * self.beat * time + self.phase
        x = self.place[0] + 0.16 * np.sin(turn)
        y = (self.place[1] - self.sink * time - 0.03 * np.cos(2 * turn)) % self.high
        tilt = 0.9 * np.cos(turn)
        along = LEAF * np.array([np.cos(tilt), np.sin(tilt)])
        across = 0.5 * LEAF * np.sin(turn + 0.7) * np.array([-np.sin(tilt), np.cos(tilt)])
        middle = np.array([x, y])
        tint = shaded(self.tint, 0.9 + 0.25 * np.sin(turn + 0.7))
        brush.polygon([middle - along, middle + across, middle + along, middle - across], tint)


class Water:
    """Deep water under waves of a few lengths, omega^2 = g k, and balls that float on it."""

    def __init__(self, rng: Generator, wide: float) -> None:
        length = np.exp(rng.uniform(np.log(0.5), np.log(3.0), 5))
        self.k = 2 * np.pi / length * rng.choice([-1, 1], 5, p=[0.2, 0.8])
        self.omega, self.phase = np.sqrt(GRAVITY * abs(self.k)), rng.uniform(0, 6.3, 5)
        self.swing = 0.02 * length * rng.uniform(0.3, 1.2, 5)
        self.wide, self.tint = wide, colour(rng, 20, 190)
        self.balls = [(rng.uniform(-0.5, 0.5) * wide, colour(rng)) for _ in range(rng.integers(1, 4))]

    def height(self, x: Array, time: float) -> Array:
        turns = self.k * np.asarray(x)[..., None] - self.omega * time + self.phase
        return (self.swing * np.cos(turns)).sum(-1)

    def paint(self, brush: Brush, time: float) -> None:
        x = brush.focus[0] + np.linspace(-0.8, 0.8, 80) * self.wide
        for place, tint in self.balls:
            brush.disc(np.array([place, self.height(place, time) + 0.05]), BALL, tint)
        for depth, light in ((0.0, 1.0), (0.12, 0.86), (0.3, 0.75)):
            line = np.stack([x, (1 - depth) * self.height(x - 0.8 * depth, time) - depth], 1)
            brush.polygon([*line, (x[-1], -9), (x[0], -9)], shaded(self.tint, light))


def crowd(rng: Generator, seconds: float) -> tuple[list[Actor], Camera]:
    """People near and far, of whom the camera follows one, or none."""
    above, count = rng.uniform(2, 40), rng.integers(1, 6)
    people, spread = [], rng.uniform(1.0, 2.5)
    for _ in range(count):
        action = rng.choice(list(ACTIONS), p=[0.4, 0.2, 0.06, 0.06, 0.06, 0.1, 0.06, 0.06])
        where = rng.normal(0, spread), rng.normal(0, spread)
        people.append(Figure(rng, action, where, rng.uniform(-180, 180), above))
    people.sort(key=lambda person: -person.place[1])
    across = 1.9 * 0.9 * 128 / 96 / rng.uniform(0.2, 0.95)
    lead = people[rng.integers(count)]
    lead.place[:] = rng.normal(0, 0.15, 2) * across
    motion = lead.pace * np.array([np.cos(lead.turn), np.sin(lead.turn) * np.sin(lead.above)])
    follow = rng.choice([0.0, 1.0, rng.uniform(0, 1.2)])
    lead.place -= (1 - follow) * lead.pace * seconds / 2 * np.array([np.cos(lead.turn), np.sin(lead.turn)])
    focus = rng.normal(0, 0.05, 2) * across + (0, 0.9 * np.cos(lead.above))
    pan = motion * follow + rng.choice([0.0, 0.04]) * across * rng.normal(0, 1, 2)
    return people, Camera(rng, across, focus, pan, rng.choice([0.0, 0.003, 0.008]), 2 * spread * np.sin(lead.above))


def scene(rng: Generator, seconds: float) -> tuple[str, list[Actor], Camera]:
    """The name of a kind of scene, its actors and the camera before them."""
    kind = str(
        rng.choice(["people", "balls", "juggling", "pendulums", "wheel", "leaves", "water"], p=[0.52] + [0.08] * 6)
    )
    if kind == "people":
        return kind, *crowd(rng, seconds)
    across = {"wheel": WHEEL, "leaves": LEAF}.get(kind, BALL) * 128 / rng.uniform(4, 15)
    across *= {"wheel": 0.33, "leaves": 1.2}.get(kind, 1.0)
    high = 0.75 * across
    focus, pan = np.array([0, 0.42 * high]), rng.choice([0.0, 0.05]) * across * rng.normal(0, 1, 2)
    actors: list[Actor] = []
    if kind == "balls":
        actors = [bouncing(rng, seconds, across, 0.9 * high) for _ in range(rng.integers(1, 5))]
    elif kind == "juggling":
        actors = [
            juggled(rng, seconds, rng.uniform(-0.4, 0.4), rng.uniform(0.3, 1.0)) for _ in range(rng.integers(2, 6))
        ]
        across, focus = rng.uniform(1.1, 2.4), np.array([0, 1.3])
    elif kind == "pendulums":
        for _ in range(rng.integers(1, 5)):
            pivot = rng.uniform(-0.45, 0.45) * across, high * rng.uniform(0.6, 1.0)
            length, widest = high * rng.uniform(0.25, 0.8), rng.uniform(0.2, 0.9)
            actors.append(Pendulum(pivot, length, widest, rng.uniform(0, 6.3), (colour(rng), colour(rng))))
    elif kind == "wheel":
        slope, way = rng.uniform(-0.2, 0.25), rng.choice([-1, 1])
        speed, radius = rng.uniform(0.8, 4.5) * way, WHEEL * np.exp(rng.normal(0, 0.08))
        tints = colour(rng, 5, 120), colour(rng), colour(rng)
        actors = [Wheel(-speed * seconds / 2, speed, slope, radius, int(rng.integers(3, 13)), tints)]
        follow = rng.choice([0.0, rng.uniform(0.6, 1.1)])
        focus = np.array([-speed * seconds / 2 * follow, 0.4 + speed * seconds / 2 * np.sin(slope) * follow])
        pan = pan + follow * speed * np.array([1, -np.sin(slope)])
    elif kind == "leaves":
        for _ in range(rng.integers(5, 50)):
            place = rng.uniform(-0.8, 0.8) * across, rng.uniform(0, 2) * high
            sink, beat = rng.uniform(0.6, 1.4), rng.uniform(1.2, 2.2)
            actors.append(Leaf(place, sink, beat, rng.uniform(0, 6.3), 2 * high, colour(rng)))
    else:
        actors, focus = [Water(rng, across)], np.array([0, 0.15 * high])
    return kind, actors, Camera(rng, across, focus, pan, rng.choice([0.0, 0.003, 0.008]))
