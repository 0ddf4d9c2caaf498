"""Render training material of known speed: people who move, and things that fall, swing and roll.

    python examples/figures.py actions OUT --clips 60     8 classes of actions, OUT/<class>/*.mp4, to classify
    python examples/figures.py physics OUT --clips 200    clips whose natural speed shows, OUT/*.mp4

Stick figures are jointed as people are, and their periods follow from the length of their legs, sqrt(leg / g), as those
of pendulums do.  The camera, the clothes and the ground are random, so speed shows in shape alone and not in pixels a
frame.  A clip has 25 frames a second; `actions` has 48 frames of 96 x 96 px, `physics` S seconds of 128 x 96 px.
The same seed gives the same clips.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.random import Generator
from stage import GRAVITY, RATE, Brush, Camera, colour, shaded, shoot
from textures import Array

FRAMES, SIDE = 48, 96
# Angles in degrees at ten moments of a stride, which begins as the heel comes down; after textbooks of gait analysis.
WALK_HIP, WALK_KNEE = (30, 26, 18, 8, -2, -10, -6, 13, 28, 33), (4, 15, 15, 8, 5, 10, 34, 60, 52, 20)
RUN_HIP, RUN_KNEE = (36, 28, 12, -4, -16, -14, 4, 30, 50, 48), (18, 38, 38, 22, 16, 42, 84, 106, 84, 38)
# Limbs by the numbers of their joints: start, end, thickness at both in lengths of the leg, and what covers them.
HEAD, NECK, PELVIS = 0, 1, 2
LIMBS = (
    (3, 5, 0.125, 0.10, "sleeve"),
    (5, 7, 0.10, 0.075, "skin"),
    (4, 6, 0.125, 0.10, "sleeve"),
    (6, 8, 0.10, 0.075, "skin"),
    (9, 11, 0.19, 0.14, "trousers"),
    (11, 13, 0.14, 0.09, "trousers"),
    (13, 15, 0.10, 0.07, "shoes"),
    (10, 12, 0.19, 0.14, "trousers"),
    (12, 14, 0.14, 0.09, "trousers"),
    (14, 16, 0.10, 0.07, "shoes"),
)


def cycle(values: tuple[float, ...], phase: Array) -> Array:
    """Values at equal steps of a cycle, in between by their trigonometric polynomial; phase 1 is phase 0 again."""
    terms = np.fft.rfft(values) / len(values)
    order = np.arange(len(terms))
    weight = np.where((order == 0) | (2 * order == len(values)), 1, 2)
    return np.real(np.exp(2j * np.pi * phase[..., None] * order) @ (weight * terms))


def bump(phase: Array, sharp: float = 1.0) -> Array:
    """A smooth swell once a cycle: 0 at phase 0, 1 at phase 1/2."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * phase)) ** sharp


class Posture(dict[str, Array]):
    """The angles of a body over time, degrees; "left" and "right" are rows 0 and 1 of limbs.

    hip, knee (2, N): forward, bent.  arm, out (2, N): the upper arm forwards and sideways; fore, aside (2, N): the
    forearm likewise.  lean (N,): the trunk forwards.  lift (N,): of the feet over the ground, in lengths of the leg.
    """

    def __init__(self, count: int) -> None:
        limbs = ("hip", "knee", "spread", "arm", "out", "fore", "aside")
        super().__init__(
            {name: np.zeros((2, count)) for name in limbs} | dict.fromkeys(("lean", "lift"), np.zeros(count))
        )
        self["out"] += 8
        self["fore"] += 15


def gait(phase: Array, hip: tuple[float, ...], knee: tuple[float, ...], swing: float, bend: float) -> Posture:
    """Legs half a stride apart, arms that swing against them."""
    both = np.stack([phase, phase + 0.5])
    body = Posture(phase.size)
    body["hip"], body["knee"] = cycle(hip, both), cycle(knee, both)
    body["arm"] = -swing * np.cos(2 * np.pi * both)
    body["fore"] = body["arm"] + bend
    return body


def walk(phase: Array, _: float) -> Posture:
    return gait(phase, WALK_HIP, WALK_KNEE, 24, 18) | {"lean": np.full(phase.size, 3.0)}


def run(phase: Array, _: float) -> Posture:
    body = gait(phase, RUN_HIP, RUN_KNEE, 38, 80)
    return body | {"lean": np.full(phase.size, 10.0), "lift": 0.09 * bump(2 * phase - 0.22, 1.5)}


def jump(phase: Array, flight: float) -> Posture:
    """Jumps on the spot; `flight`: the share of a cycle that is spent in the air."""
    body, phase = Posture(phase.size), phase % 1
    crouch = np.where(phase > flight, bump((phase - flight) / (1 - flight)), 0)
    air = np.clip(phase / flight, 0, 1)
    body["knee"] += 8 + 85 * crouch
    body["hip"] += 4 + 60 * crouch
    body["lean"] = 30 * crouch
    body["arm"] += 20 + 130 * bump(air, 0.6) - 60 * crouch
    body["fore"] = body["arm"] + 20
    body["lift"] = air * (1 - air)  # in parts of g * (flight)^2 / 2: see `Figure`
    return body


def wave(phase: Array, _: float) -> Posture:
    body = Posture(phase.size)
    body["out"][1], body["arm"][1], body["fore"][1] = 105, 0, 0
    body["aside"][1] = 172 + 38 * np.sin(2 * np.pi * phase)
    return body


def clap(phase: Array, _: float) -> Posture:
    body, near = Posture(phase.size), bump(phase, 1.6)
    body["arm"] += 35
    body["out"] = np.full((2, phase.size), 28.0) - 18 * near
    body["fore"] += 70
    body["aside"] = np.full((2, phase.size), 32.0) - 66 * near
    return body


def box(phase: Array, _: float) -> Posture:
    """Blows of one arm after the other from a guard."""
    reach = bump(np.stack([phase, phase + 0.5]), 3.0)
    body = Posture(phase.size)
    body["arm"] = 30 + 58 * reach
    body["fore"] = 145 - 55 * reach
    body["hip"] = np.stack([np.full(phase.size, 22.0), np.full(phase.size, -14.0)])
    body["knee"] += 18
    body["lean"] = 6 + 7 * reach.sum(0)
    return body


def squat(phase: Array, _: float) -> Posture:
    body, deep = Posture(phase.size), bump(phase)
    body["hip"] += 5 + 95 * deep
    body["knee"] += 6 + 110 * deep
    body["spread"] += 8 + 10 * deep
    body["lean"] = 38 * deep
    body["arm"] += 15 + 70 * deep
    body["fore"] = body["arm"] + 4
    return body


def kick(phase: Array, _: float) -> Posture:
    """A leg that draws back and then swings high."""
    body = Posture(phase.size)
    leg = (0, -14, -28, -22, 20, 80, 96, 72, 36, 10), (8, 36, 68, 84, 62, 14, 4, 22, 30, 16)
    body["hip"][0], body["knee"][0] = cycle(leg[0], phase), cycle(leg[1], phase)
    body["hip"][1], body["knee"][1] = 4, 10
    body["lean"] = -14 * bump(phase - 0.1, 2.0)
    body["arm"] = np.stack([-0.5 * body["hip"][0], 0.5 * body["hip"][0]])
    body["out"] += 22
    body["fore"] = body["arm"] + 30
    return body


# How long a cycle is, in sqrt(leg / g): of a leg of 0.9 m, 0.3 s.
ACTIONS: dict[str, tuple[Callable[[Array, float], Posture], float]] = {
    "walk": (walk, 3.5),
    "run": (run, 2.3),
    "jump": (jump, 0.0),  # its flight and its crouch
    "wave": (wave, 2.4),
    "clap": (clap, 1.7),
    "box": (box, 3.2),
    "squat": (squat, 5.4),
    "kick": (kick, 4.2),
}


class Figure:
    """A person of limbs who acts at one place, or goes along the ground.

    place: metres right, away, where the person is at time 0.  heading: degrees, 0 to the right, 90 away.
    above: degrees from which the eye looks down.
    """

    def __init__(self, rng: Generator, action: str, place: tuple[float, float], heading: float, above: float) -> None:
        self.leg = 0.9 * rng.choice([rng.normal(1, 0.06), rng.uniform(0.55, 1.1)], p=[0.75, 0.25])
        self.above, self.place = np.radians(above), np.array(place, np.float64)
        self.turn = np.radians(heading)
        self.posture, beats = ACTIONS[action]
        beat, hop = np.sqrt(self.leg / GRAVITY), 0.26 * self.leg * rng.uniform(0.6, 1.4)
        air = 2 * np.sqrt(2 * hop / GRAVITY) if action == "jump" else 0.0
        self.period = (air + 1.9 * beat if air else beats * beat) * np.exp(rng.normal(0, 0.07))
        self.flight, self.height = air / self.period, 4 * hop if air else self.leg
        self.start, self.vigour = rng.uniform(0, 1), np.exp(rng.normal(0, 0.1))
        self.girth, self.wobble = np.exp(rng.normal(0, 0.12)), rng.normal(0, 3, (6, 2))
        cloth = colour(rng)
        self.dress = {
            "shirt": cloth,
            "trousers": colour(rng),
            "shoes": colour(rng, 10, 120),
            "hair": colour(rng, 5, 150),
        }
        skin = np.array([236, 188, 150]) * rng.uniform(0.35, 1.05)
        self.dress["skin"] = tuple(int(min(255, channel)) for channel in skin)
        self.dress["sleeve"] = cloth if rng.random() < 0.6 else self.dress["skin"]
        self.pace = self._pace() if action in ("walk", "run") else 0.0

    def _pace(self) -> float:
        """Speed, m/s, at which the foot that stands does not slip: that of the heel against the hip in mid-stance."""
        times = (np.array([0.12, 0.30]) - self.start) * self.period
        heels = self._body(times)[:, 13, 0]
        return float((heels[0] - heels[1]) / (times[1] - times[0]))

    def _body(self, times: Array) -> Array:
        """Joints, (N, 17, 3) metres ahead, left, up: head, neck, pelvis, and left and right of each other one."""
        body = self.posture(times / self.period + self.start, self.flight)
        noise = np.sin(2.1 * times + 6 * self.start)
        side = np.array([[1.0], [-1.0]])

        def ray(name: str, forward: Array, aside: Array, length: float) -> Array:
            f = np.radians(forward)
            a = np.radians(aside)
            return length * self.leg * np.stack([np.sin(f) * np.cos(a), side * np.sin(a), -np.cos(f) * np.cos(a)], -1)

        count, leg, v = times.size, self.leg, self.vigour
        hip = body["hip"] * v + self.wobble[0, 0] * noise
        lean = np.radians(body["lean"] + self.wobble[1, 0] + self.wobble[2, 0] * noise)
        joints = np.zeros((count, 17, 3))
        up = np.stack([np.sin(lean), np.full(count, 0.02) * noise, np.cos(lean)], -1) * leg
        joints[:, NECK], joints[:, HEAD] = 0.60 * up, 0.83 * up
        knees = ray("thigh", hip, body["spread"] + 2, 0.5)
        shins = ray("shin", hip - body["knee"], body["spread"] + 1, 0.46)
        feet = ray("foot", hip - body["knee"] + 78, body["spread"] + 4, 0.21)
        arms = ray("arm", body["arm"] * v + self.wobble[3, 0], body["out"] + abs(self.wobble[4, 0]), 0.34)
        fores = ray("fore", body["fore"] + self.wobble[5, 0], body["aside"], 0.36)
        for row in (0, 1):
            sign = side[row, 0]
            joints[:, 9 + row] = (0, sign * 0.10 * leg, 0)
            joints[:, 11 + row] = joints[:, 9 + row] + knees[row]
            joints[:, 13 + row] = joints[:, 11 + row] + shins[row]
            joints[:, 15 + row] = joints[:, 13 + row] + feet[row]
            joints[:, 3 + row] = 0.56 * up + (0, sign * 0.21 * leg, 0)
            joints[:, 5 + row] = joints[:, 3 + row] + arms[row]
            joints[:, 7 + row] = joints[:, 5 + row] + fores[row]
        ground = joints[:, 13:17, 2].min(1) - body["lift"] * self.height
        joints[:, :, 2] -= ground[:, None]
        return joints

    def seen(self, time: float) -> tuple[Array, Array]:
        """Joints at a time as the eye sees them, (17, 2) metres right and up, and how far away each is, (17,)."""
        joints = self._body(np.array([time]))[0]
        c, s = np.cos(self.turn), np.sin(self.turn)
        ahead = joints[:, 0] + self.pace * time
        right = self.place[0] + c * ahead - s * joints[:, 1]
        away = self.place[1] + s * ahead + c * joints[:, 1]
        up = joints[:, 2] * np.cos(self.above) + away * np.sin(self.above)
        return np.stack([right, up], -1), away * np.cos(self.above) - joints[:, 2] * np.sin(self.above)

    def paint(self, brush: Brush, time: float) -> None:
        places, away = self.seen(time)
        leg, wide, dress = self.leg, self.girth * self.leg, self.dress
        middle = away[PELVIS]
        foot = np.array([places[PELVIS, 0], self._floor(time)])
        brush.disc(foot, 0.32 * leg, (40, 40, 40), max(0.08, np.sin(self.above)))
        parts = [(max(away[a], away[b]), a, b, thick, thin, cover) for a, b, thick, thin, cover in LIMBS]
        parts.append((middle, PELVIS, NECK, 0.0, 0.0, "shirt"))
        for far, a, b, thick, thin, cover in sorted(parts, reverse=True):
            tint = shaded(dress[cover], 0.92 if far > middle + 0.02 * leg else 1.06)
            if cover == "shirt":
                hull = places[[3, 4, 10, 9]]
                brush.polygon(hull, tint)
                brush.limb(places[NECK] * 0.9 + places[PELVIS] * 0.1, places[PELVIS], 0.32 * wide, 0.26 * wide, tint)
            else:
                brush.limb(places[a], places[b], thick * wide, thin * wide, tint)
        brush.limb(places[NECK], places[HEAD], 0.10 * leg, 0.10 * leg, dress["skin"])
        brush.disc(places[HEAD] + (0, 0.03 * leg), 0.135 * leg, dress["hair"])
        face = 0.05 * leg * np.array([np.cos(self.turn), -0.6])
        brush.disc(places[HEAD] + face, 0.115 * leg, dress["skin"] if np.sin(self.turn) < 0.7 else dress["hair"], 1.1)

    def _floor(self, time: float) -> float:
        """Height on the picture of the ground under the person, metres."""
        return (self.place[1] + np.sin(self.turn) * self.pace * time) * np.sin(self.above)


def acting(rng: Generator, action: str) -> tuple[list[Figure], Camera]:
    """One person in the middle of a square picture, whom the camera may follow."""
    heading = rng.uniform(-180, 180) if action not in ("walk", "run") else rng.choice([0, 180]) + rng.normal(0, 30)
    above = rng.uniform(0, 30)
    figure = Figure(rng, action, (0, 0), heading, above)
    motion = figure.pace * np.array([np.cos(figure.turn), np.sin(figure.turn) * np.sin(figure.above)])
    across = 1.95 * figure.leg / rng.uniform(0.42, 0.82)
    middle = FRAMES / RATE / 2
    follow = rng.uniform(0.5, 1.1) if rng.random() < 0.7 or action == "run" else 0.0
    figure.place -= figure.pace * middle * np.array([np.cos(figure.turn), np.sin(figure.turn)])
    pan = motion * follow + rng.normal(0, 0.03, 2) * across
    focus = rng.normal(0, 0.04, 2) * across + (0, 0.95 * figure.leg * np.cos(figure.above)) - pan * middle
    horizon = rng.uniform(0.2, 2) * figure.leg * np.sin(figure.above)
    return [figure], Camera(rng, across, focus, pan, rng.choice([0.0, 0.004]), horizon)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("actions", "physics"))
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for the clips")
    parser.add_argument("--clips", type=int, default=60, help="how many; of `actions`, in each class (default: 60)")
    parser.add_argument("--seconds", type=float, default=4, help="length of a clip of `physics` (default: 4)")
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    import physics  # which needs the figures

    for number in range(wanted.clips):
        if wanted.what == "physics":
            rng = np.random.default_rng((wanted.seed, number))
            name, scene, camera = physics.scene(rng, wanted.seconds)
            path = wanted.out / f"{number:04d}_{name}.mp4"
            shoot(path, rng, scene, camera, (128, 96), round(wanted.seconds * RATE), worst=42)
        else:
            for row, action in enumerate(ACTIONS):
                rng = np.random.default_rng((wanted.seed, number, row))
                shoot(wanted.out / action / f"{number:04d}.mp4", rng, *acting(rng, action), (SIDE, SIDE), FRAMES)


if __name__ == "__main__":
    main()
