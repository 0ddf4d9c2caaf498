"""The stage of rendered clips: a camera that pans and shakes, a textured backdrop, and the film they expose.

Lengths are in metres and times in seconds, so that gravity is what it is; only the camera knows pixels.  An actor is
anything with `paint(brush, time)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw
from textures import Array, noise

RATE = 25  # frames a second
FINER = 2  # pictures are painted so much larger and then reduced
GRAVITY = 9.81  # m/s^2

Colour = tuple[int, int, int]


def colour(rng: Generator, low: float = 20, high: float = 235) -> Colour:
    """A random colour, each channel in [low, high]."""
    return tuple(int(channel) for channel in rng.uniform(low, high, 3))


def muted(rng: Generator) -> Colour:
    """A random colour as walls and grounds have, nearer to grey."""
    tint = rng.uniform(20, 235, 3)
    return tuple(int(channel) for channel in tint.mean() + rng.uniform(0.1, 0.7) * (tint - tint.mean()))


def shaded(tint: Colour, light: float) -> Colour:
    """A colour in more or less light: 1 leaves it as it is."""
    return tuple(int(min(255, channel * light)) for channel in tint)


@dataclass(frozen=True)
class Brush:
    """A painter in metres on one picture, whose middle is at `focus` (right, up) and one metre `scale` px."""

    draw: ImageDraw.ImageDraw
    scale: float
    focus: tuple[float, float]
    size: tuple[int, int]

    def pixels(self, points: Array) -> Array:
        """Places (N, 2), metres right and up, in pixels right and down."""
        middle = np.array(self.size) / 2
        return middle + (np.asarray(points, np.float64) - self.focus) * (self.scale, -self.scale)

    def polygon(self, points: Array, tint: Colour) -> None:
        self.draw.polygon([tuple(point) for point in self.pixels(points)], fill=tint)

    def disc(self, middle: Array, radius: float, tint: Colour, flat: float = 1.0) -> None:
        """An ellipse as wide as a disc of that radius, and `flat` times as high."""
        (x, y), r = self.pixels([middle])[0], radius * self.scale
        self.draw.ellipse((x - r, y - r * flat, x + r, y + r * flat), fill=tint)

    def limb(self, start: Array, end: Array, thick: float, thin: float, tint: Colour) -> None:
        """A tapering stroke with round ends, `thick` and `thin` metres across."""
        along = np.subtract(end, start)
        across = np.array([-along[1], along[0]]) / max(np.hypot(*along), 1e-6) / 2
        self.polygon([start + across * thick, end + across * thin, end - across * thin, start - across * thick], tint)
        self.disc(start, thick / 2, tint)
        self.disc(end, thin / 2, tint)


class Camera:
    """A camera with a steady pan, a slow zoom and the shake of a hand, about 1 to 5 Hz.

    across: metres that the picture shows from left to right.  focus: the middle at time 0, m (right, up).  pan: m/s,
    likewise.  shake: 0 to 0.01.  horizon: how high on the picture the ground ends, m.
    """

    def __init__(
        self, rng: Generator, across: float, focus: Array, pan: Array, shake: float, horizon: float = 0.0
    ) -> None:
        self.across, self.focus, self.pan, self.horizon = across, np.asarray(focus), np.asarray(pan), horizon
        self.swell = rng.normal(0, 0.05)
        hertz = rng.uniform(0.4, 5.0, (2, 4))
        self.turns = 2 * np.pi * hertz
        self.phases = rng.uniform(0, 6.3, (2, 4))
        self.sways = shake * across * rng.normal(0, 1, (2, 4)) / hertz

    def aim(self, time: float) -> tuple[Array, float]:
        """The middle of what is seen at a time, (right, up), and how wide that is, m."""
        shake = (self.sways * np.sin(self.turns * time + self.phases)).sum(1)
        return self.focus + self.pan * time + shake, self.across * np.exp(-self.swell * time)

    def brush(self, picture: Image.Image, time: float) -> Brush:
        """A brush for what is seen at a time."""
        middle, across = self.aim(time)
        return Brush(ImageDraw.Draw(picture), picture.width / across, (middle[0], middle[1]), picture.size)

    def before(self, wall: Image.Image, time: float, size: tuple[int, int]) -> Image.Image:
        """What is seen of a backdrop at a time, FINER times `size` px."""
        middle, across = self.aim(time)
        scale = size[0] / self.across
        wide, high = np.minimum((scale * across, scale * across * size[1] / size[0]), (wall.width / 4, wall.height))
        left = (scale * middle[0] - wide / 2) % (wall.width * 3 // 4)
        top = np.clip(wall.height / 2 - scale * (middle[1] - self.horizon) - high / 2, 0, wall.height - high)
        window = (left, top, min(left + wide, wall.width), min(top + high, wall.height))
        return wall.resize((FINER * size[0], FINER * size[1]), Image.Resampling.BILINEAR, box=window)


def backdrop(rng: Generator, size: tuple[int, int]) -> Image.Image:
    """A textured wall over a textured ground, with boxes on them; the ground begins at the middle.

    size: of the picture, px.  The backdrop is four times as large, and then goes on with its first third, so that a
    window of that width that leaves on the right is one that enters on the left.
    """
    side = 256
    tones = np.array([muted(rng), muted(rng)])
    picture = np.empty((side, side, 3), np.float32)
    for part, tone, stretch in ((slice(0, 128), tones[0], (1, 1)), (slice(128, None), tones[1], (2.5, 1))):
        fine = noise(rng, rng.uniform(0.6, 1.8), low=3, stretch=stretch, side=side)[part]
        broad = noise(rng, 2.0, low=1, high=12, side=side)[part]
        picture[part] = tone + rng.uniform(4, 22) * fine[..., None] + rng.uniform(4, 25) * broad[..., None]
    image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(0, 14)):
        x, y, wide, high = rng.uniform(0, side), rng.uniform(60, 160), *rng.uniform(4, 36, 2)
        tint, stripe, step = muted(rng), muted(rng), rng.choice([99.0, rng.uniform(3, 8)])
        for left in (x, x - side):
            draw.rectangle((left, y - high, left + wide, y), fill=tint)
            for row in np.arange(y - high + 2, y - 2, step)[1:]:
                draw.line((left + 1, row, left + wide - 1, row), fill=stripe, width=1)
    once = image.resize((4 * size[0], 4 * size[1]), Image.Resampling.BICUBIC)
    twice = Image.new("RGB", (once.width * 4 // 3, once.height))
    twice.paste(once, (0, 0))
    twice.paste(once, (once.width, 0))
    return twice


class Actor(Protocol):
    """What moves before the backdrop."""

    def paint(self, brush: Brush, time: float) -> None: ...


@dataclass(frozen=True)
class Film:
    """A film stock: the open time of the shutter as a share of a frame, noise, gamma, sharpness and quality.

    sharp: the share of the pixels that the lens resolves, along a side.  crf: of H.264; 40 is that of a poor camera.
    """

    shutter: float
    grain: float
    gamma: float
    sharp: float
    crf: int

    @classmethod
    def random(cls, rng: Generator, worst: int) -> Film:
        """A random film.  worst: the highest crf."""
        shutter = float(rng.choice([0.0, rng.uniform(0.1, 1.0)]))
        sharp = float(rng.choice([1.0, rng.uniform(0.4, 1.0)]))
        return cls(shutter, 8 * rng.random() ** 2, rng.uniform(0.75, 1.3), sharp, int(rng.integers(17, worst + 1)))

    def developed(self, light: Array, rng: Generator) -> Array:
        """A picture (height, width, 3) uint8 of what fell on the film, (height, width, 3) float32, 0 to 255."""
        seen = 255 * np.clip(light / 255, 0, 1) ** self.gamma + rng.normal(0, self.grain, light.shape)
        picture = np.clip(seen, 0, 255).astype(np.uint8)
        if self.sharp == 1:
            return picture
        image = Image.fromarray(picture)
        small = image.resize([max(8, round(self.sharp * side)) for side in image.size], Image.Resampling.BOX)
        return np.asarray(small.resize(image.size, Image.Resampling.BILINEAR))


def exposed(scene: list[Actor], camera: Camera, wall: Image.Image, film: Film, time: float, size) -> Array:
    """The picture of one moment, (height, width, 3) float32, blurred by what moves while the shutter is open."""
    width, height = size
    moments = 1 if film.shutter == 0 else 3
    total = np.zeros((height, width, 3), np.float32)
    for moment in range(moments):
        at = time + film.shutter / RATE * moment / moments
        picture = camera.before(wall, at, size)
        brush = camera.brush(picture, at)
        for actor in scene:
            actor.paint(brush, at)
        total += np.asarray(picture.reduce(FINER), np.float32)
    return total / moments


def shoot(
    path: Path,
    rng: Generator,
    scene: list[Actor],
    camera: Camera,
    size: tuple[int, int],
    frames: int,
    *,
    worst: int = 28,
) -> None:
    """Write a film of a scene as H.264: `frames` pictures of `size` px, 25 a second.  worst: the highest crf."""
    film, wall = Film.random(rng, worst), backdrop(rng, size)
    path.parent.mkdir(parents=True, exist_ok=True)
    # With its tree of macroblocks x264 makes other bytes each time, see `structkit/media/video_writer.py`.
    options = {"crf": str(film.crf), "preset": "veryfast", "g": str(rng.choice([12, 25, 250])), "mbtree": "0"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(RATE), options=options)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.thread_count = 1
        for number in range(frames):
            light = exposed(scene, camera, wall, film, number / RATE, size)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(film.developed(light, rng), format="rgb24")))
        container.mux(stream.encode(None))
