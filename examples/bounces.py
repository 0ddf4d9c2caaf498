"""Render the example clip with sound: a jetty before misty hills, where nothing moves, or balls bounce by, or a balloon
rises.

    python examples/bounces.py out/bounces.mp4

16 s of 320 x 180 px, 25 frames a second: still parts, fast ones and a slow one.  Each bounce knocks on the wood at the
moment that it is seen, so that the ear tells whether sound and picture are together.  The clip beside this file is what
it makes, and is free for all use (CC0).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from balloons import HIGH, Balloon, backdrop, sky
from numpy.random import Generator
from PIL import Image
from textures import SIDE, Array, develop, grid, mix, noise, rgb, rise

SECONDS, RATE, WIDTH, HEIGHT = 16, 25, 320, 180
SOUND = 44100  # samples a second
FLOOR = 528  # row of the jetty that balls touch
GRAVITY = 2600.0  # px / s2
KEPT = 0.86  # of the speed, at a bounce
PLANK = 46  # px


@dataclass(frozen=True)
class Ball:
    """A ball that crosses the picture in bounces.

    start: when it enters, s.  speed: px/s, to the right.  height: of its first fall, px.  radius: px.
    colours: of its halves.  pitch: of its knocks, Hz.
    """

    start: float
    speed: float
    height: float
    radius: float
    colours: tuple[str, str]
    pitch: float

    @property
    def knocks(self) -> list[float]:
        """The moments at which it touches the wood, s from its start."""
        fall, moments = (2 * self.height / GRAVITY) ** 0.5, []
        at, up = fall, GRAVITY * fall * KEPT
        while at < self.length and 2 * up / GRAVITY > 0.08:
            moments.append(at)
            at, up = at + 2 * up / GRAVITY, up * KEPT
        return moments

    @property
    def length(self) -> float:
        """The time that it takes to cross the picture, s."""
        return (SIDE + 2 * self.radius) / abs(self.speed)

    def place(self, time: float) -> tuple[float, float] | None:
        """Its row and column, px; None while it is not there."""
        since = time - self.start
        if not 0 <= since <= self.length:
            return None
        column = -self.radius + self.speed * since if self.speed > 0 else SIDE + self.radius + self.speed * since
        before = [moment for moment in self.knocks if moment <= since]
        if not before:
            return FLOOR - self.radius - self.height + GRAVITY * since**2 / 2, column
        up = GRAVITY * (2 * self.height / GRAVITY) ** 0.5 * KEPT ** len(before)
        flown = since - before[-1]
        return FLOOR - self.radius - max(0.0, up * flown - GRAVITY * flown**2 / 2), column

    def paint(self, picture: Array, time: float) -> Array:
        """The picture with the ball and its shadow as they are at a time, s."""
        place = self.place(time)
        if place is None:
            return picture
        row, column = place
        y, x = grid(HIGH, SIDE)
        far = 1 + (FLOOR - row - self.radius) / 160
        shadow = np.hypot((x - column) / (self.radius * far), (y - FLOOR) / (0.22 * self.radius * far))
        picture = mix(picture, rgb("#1a1410"), 0.65 / far * rise(1.15, 0.55, shadow))
        v, u = (y - row) / self.radius, (x - column) / self.radius
        inside = rise(1 + 1.5 / self.radius, 1 - 1.5 / self.radius, np.hypot(v, u))
        turn = self.speed / self.radius * (time - self.start)
        stripe = np.cos(3 * (np.arctan2(v, u) - turn)) > 0
        colour = np.where(stripe[..., None], rgb(self.colours[0]), rgb(self.colours[1]))
        light = 0.3 + 0.9 * np.clip(-0.45 * u - 0.6 * v + 0.55 * np.sqrt(np.clip(1 - u * u - v * v, 0, 1)), 0, 1)
        return mix(picture, colour * light[..., None], inside)


BALLS = (
    Ball(3.2, 520, 330, 34, ("#c8322a", "#f2e7d0"), 420),
    Ball(3.9, 640, 250, 26, ("#2f5ea8", "#f0d24a"), 560),
    Ball(4.9, 470, 380, 40, ("#3f8f6a", "#f4efe0"), 340),
    Ball(11.6, -560, 300, 30, ("#e0792c", "#f3d9a0"), 500),
    Ball(12.3, -480, 360, 38, ("#7a3f8f", "#f2a7b8"), 380),
)
BALLOON, RISES = Balloon(430, 660, 0, 0, 52, 0, 2.6), (6.4, 11.2)  # s: when it begins, and when it has come to rest


def jetty(rng: Generator) -> tuple[Array, Array]:
    """The planks, (HIGH, SIDE, 3), and where they are, (HIGH, SIDE)."""
    y, x = grid(HIGH, SIDE)
    grain = noise(rng, 1.6, low=3, stretch=(6, 1))[:HIGH]
    far = np.clip((y - 486) / (HIGH - 486), 0, 1)
    across = (x - SIDE / 2) / (0.75 + 0.5 * far) / PLANK
    tone = np.sin(7.3 * np.floor(across)) * 0.12
    seam = rise(0.06, 0.02, np.abs(across - np.round(across)))
    wood = mix(
        np.broadcast_to(rgb("#7d6248"), (HIGH, SIDE, 3)), rgb("#b08d66"), np.clip(0.5 + 0.2 * grain + tone, 0, 1)
    )
    wood = mix(wood, rgb("#2a1d14"), np.maximum(seam * 0.8, rise(492, 486, y) * 0.6))
    return wood * (0.75 + 0.35 * far)[..., None], rise(484, 486, y)


def frames(seed: int = 5) -> Iterator[Array]:
    """The frames of the clip, (180, 320, 3) uint8 each."""
    rng = np.random.default_rng(seed)
    air, broad, _ = sky(rng)
    y, _ = grid(HIGH, SIDE)
    clouds = rise(0.2, 1.8, broad[:HIGH]) * rise(400, 120, y)
    air = mix(air, rgb("#fff3e2"), 0.7 * clouds)
    hills, hidden = backdrop(rng)
    wood, covered = jetty(rng)

    def scene(risen: float) -> Array:
        """The scene without balls.  risen: how far the balloon is on its way, 0 to 1."""
        seen = air if risen == 0 else Balloon(430 - 260 * risen, 660 - 60 * risen, 0, 0, 52, 0, 2.6).paint(air, 0)
        return mix(mix(seen, hills, hidden), wood, covered)

    last, backing = -1.0, scene(0)
    for number in range(SECONDS * RATE):
        time = number / RATE
        risen = float(rise(*RISES, np.float32(time)))
        if risen != last:
            last, backing = risen, scene(risen)
        picture = backing
        for ball in BALLS:
            picture = ball.paint(picture, time)
        half = develop(picture, np.random.default_rng(0), 1.05, vignette=0.15, grain=0.0)
        yield np.asarray(half.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS))


def sound(seed: int = 1) -> Array:
    """The samples of the sound, (SECONDS * SOUND,) float32: a knock at each bounce, over a faint wind."""
    count = SECONDS * SOUND
    rng = np.random.default_rng(seed)
    wind = np.convolve(rng.normal(size=count), np.ones(90) / 90, "same")
    made = 0.02 * wind * (1 + 0.6 * np.sin(np.arange(count) / SOUND * 0.9))
    since = np.arange(int(0.12 * SOUND)) / SOUND
    for ball in BALLS:
        for number, moment in enumerate(ball.knocks):
            knock = np.exp(-since * 38) * np.sin(2 * np.pi * ball.pitch * since * (1 - 0.4 * since))
            knock += 0.5 * np.exp(-since * 90) * np.sin(2 * np.pi * 2.7 * ball.pitch * since)
            first = round((ball.start + moment) * SOUND)
            length = min(len(knock), count - first)
            made[first : first + length] += 0.45 * KEPT**number * knock[:length]
    return np.clip(made, -1, 1).astype(np.float32)


def main(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options={"movflags": "+faststart", "fflags": "+bitexact"}) as container:
        pictures = container.add_stream("libx264", rate=RATE, options={"crf": "24", "threads": "2"})
        pictures.width, pictures.height, pictures.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        voice = container.add_stream("aac", rate=SOUND, layout="mono", options={"b": "64000"})
        for pixels in frames():
            container.mux(pictures.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(pictures.encode(None))
        samples = sound()
        for first in range(0, len(samples), 1024):
            piece = av.AudioFrame.from_ndarray(samples[None, first : first + 1024], format="fltp", layout="mono")
            piece.sample_rate, piece.pts, piece.time_base = SOUND, first, Fraction(1, SOUND)
            container.mux(voice.encode(piece))
        container.mux(voice.encode(None))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
