"""A camera on a street, and an easel on which each thing is painted twice: its colour, and its class.

Street coordinates are metres: u to the right of the road's middle line, which may bend; y up; z ahead of the camera.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw
from textures import Array

SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST = range(11)
FINE = 2  # pixels of the easel along one of the picture
NEAR, FAR = 0.6, 160.0  # m
BRIGHTEST = 238  # of things that do not shine by themselves; what is brighter is a lamp, which dusk does not darken

Point = tuple[float, float, float]
Tint = Sequence[float]  # sRGB, 0-255


@dataclass(frozen=True)
class View:
    """A camera at u = `aside`, `height` above the road; focal length, middle and horizon in px of the easel."""

    shape: tuple[int, int]
    focal: float
    middle: float
    horizon: float
    height: float
    aside: float
    yaw: float
    roll: float
    bend: float  # of the road, 1/m

    def seen(self, point: Point) -> Point:
        """Metres to the right, down and ahead of the camera."""
        u, y, z = point
        x = u - self.aside + self.bend * min(abs(z), 90.0) * z
        cos, sin = math.cos(self.yaw), math.sin(self.yaw)
        return x * cos - z * sin, self.height - y, x * sin + z * cos

    def place(self, seen: Point) -> tuple[float, float]:
        """Pixel of what is seen."""
        x, y = self.focal * seen[0] / seen[2], self.focal * seen[1] / seen[2]
        return self.middle + x - self.roll * y, self.horizon + y + self.roll * x

    def outline(self, points: Sequence[Point]) -> list[tuple[float, float]]:
        """Pixels of a polygon, cut off where it comes too near; fewer than 3 where nothing is left."""
        seen = [self.seen(point) for point in points]
        if min(p[2] for p in seen) < NEAR:
            cut = []
            for a, b in zip(seen, seen[1:] + seen[:1], strict=True):
                if a[2] >= NEAR:
                    cut.append(a)
                if (a[2] < NEAR) != (b[2] < NEAR):
                    t = (NEAR - a[2]) / (b[2] - a[2])
                    cut.append((a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1]), NEAR))
            seen = cut
        return [self.place(p) for p in seen]

    def ground(self) -> tuple[Array, Array, Array]:
        """u, z and the distance (rows, columns) of each pixel's place on the ground; distances above are infinite."""
        rows, columns = np.mgrid[: self.shape[0], : self.shape[1]].astype(np.float32)
        x, y = columns - self.middle, rows - self.horizon
        x, y = x + self.roll * y, y - self.roll * x
        ahead = np.where(y > 0.5, self.focal * self.height / np.maximum(y, 0.5), np.inf).astype(np.float32)
        near = np.minimum(ahead, 400)
        right = x * near / self.focal
        cos, sin = math.cos(self.yaw), math.sin(self.yaw)
        z = near * cos - right * sin
        return right * cos + near * sin + self.aside - self.bend * np.minimum(abs(z), 90) * z, z, ahead


class Easel:
    """A picture and its classes, painted from far to near; what is far fades into the haze."""

    def __init__(self, view: View, haze: Tint, clear: float, dusk: float) -> None:
        self.view, self.haze, self.clear, self.dusk = view, haze, clear, dusk
        rows, columns = view.shape
        self.picture = Image.new("RGB", (columns, rows))
        self.classes = Image.new("L", (columns, rows), SKY)
        self.ready()

    def ready(self) -> None:
        """Brushes for the picture and the classes, after these were replaced."""
        self._paint, self._mark = ImageDraw.Draw(self.picture, "RGBA"), ImageDraw.Draw(self.classes)

    def faded(self, tint: Tint, ahead: float) -> tuple[int, int, int]:
        """The colour of a thing at a distance."""
        share = math.exp(-max(ahead, 0) / self.clear)
        (r, g, b), (x, y, z), rest = tint, self.haze, 1 - share
        red, green, blue = int(share * r + rest * x), int(share * g + rest * y), int(share * b + rest * z)
        return min(max(red, 0), BRIGHTEST), min(max(green, 0), BRIGHTEST), min(max(blue, 0), BRIGHTEST)

    def lamp(self, tint: Tint) -> tuple[int, int, int]:
        """The colour of what shines: dull by day, brighter than all else at dusk."""
        gain = 1.0 if self.dusk > 0.25 else 0.72
        return tuple(int(gain * v) for v in tint)

    def shape(self, pixels: list[tuple[float, float]], tint: Tint, kind: int | None, alpha: float = 1.0) -> None:
        """A polygon in pixels; without a class it is paint on what is there."""
        if len(pixels) < 3:
            return
        self._paint.polygon(pixels, fill=(*(int(v) for v in tint), int(255 * alpha)))
        if kind is not None:
            self._mark.polygon(pixels, fill=kind)

    def polygon(self, points: Sequence[Point], tint: Tint, kind: int | None, alpha: float = 1.0) -> None:
        """A polygon on the street."""
        middle = points[0]
        self.shape(self.view.outline(points), self.faded(tint, self.view.seen(middle)[2]), kind, alpha)

    def glow(self, points: Sequence[Point], tint: Tint) -> None:
        """A lamp on a thing that has been painted."""
        self.shape(self.view.outline(points), self.lamp(tint), None)

    def disc(self, point: Point, radius: float, tint: Tint, kind: int | None, *, alpha=1.0, flat=1.0) -> None:
        """A disc that faces the camera; `flat` is its height to its width."""
        seen = self.view.seen(point)
        if seen[2] < NEAR:
            return
        (x, y), r = self.view.place(seen), self.view.focal * radius / seen[2]
        box = [x - r, y - r * flat, x + r, y + r * flat]
        self._paint.ellipse(box, fill=(*self.faded(tint, seen[2]), int(255 * alpha)))
        if kind is not None:
            self._mark.ellipse(box, fill=kind)

    def line(self, a: Point, b: Point, wide: float, tint: Tint, kind: int | None, least: float = 1.0) -> None:
        """A straight line, `wide` m, at least `least` px of the picture."""
        ends = self.view.seen(a), self.view.seen(b)
        if min(ends[0][2], ends[1][2]) < NEAR:
            return
        width = max(round(self.view.focal * wide / ends[0][2]), round(least * FINE), 1)
        pixels = [self.view.place(end) for end in ends]
        self._paint.line(pixels, fill=(*self.faded(tint, ends[0][2]), 255), width=width)
        if kind is not None:
            self._mark.line(pixels, fill=kind, width=width)

    def hang(self, front: list[Image.Image], corners: Sequence[Point], gain: float, kind: int) -> None:
        """A picture upon a wall; `front` in sizes, each half the one before; corners: top left, right, bottom right,
        left.
        """
        seen = [self.view.seen(corner) for corner in corners]
        if min(p[2] for p in seen) < NEAR:
            return
        pixels = np.array([self.view.place(p) for p in seen])
        low = np.maximum(np.floor(pixels.min(0)), 0).astype(int)
        high = np.minimum(np.ceil(pixels.max(0)) + 1, (self.view.shape[1], self.view.shape[0])).astype(int)
        if (high - low < 1).any():
            return
        spans = np.hypot(*(pixels[1] - pixels[0])), np.hypot(*(pixels[3] - pixels[0]))
        ratio = max(front[0].width / max(spans[0], 1), front[0].height / max(spans[1], 1))
        sheet = front[int(np.clip(math.log2(max(ratio, 1)), 0, len(front) - 1))]
        wide, tall = sheet.size
        rows = []
        left, top = min(2, wide / 4), min(2, tall / 4)  # the rim is left for pixels that the outline only touches
        ends = ((left, top), (wide - left, top), (wide - left, tall - top), (left, tall - top))
        for (x, y), (s, t) in zip(pixels - low, ends, strict=True):
            rows += [[x, y, 1, 0, 0, 0, -s * x, -s * y, s], [0, 0, 0, x, y, 1, -t * x, -t * y, t]]
        system = np.array(rows)
        try:
            plan = np.linalg.solve(system[:, :8], system[:, 8])
        except np.linalg.LinAlgError:  # seen from the edge
            return
        size = tuple(int(v) for v in high - low)
        piece = sheet.transform(size, Image.Transform.PERSPECTIVE, plan, Image.Resampling.BILINEAR)
        share = math.exp(-seen[0][2] / self.clear)
        haze = (1 - share) * np.asarray(self.haze)
        table = [min(int(gain * share * v + h), BRIGHTEST) if v <= BRIGHTEST else v for h in haze for v in range(256)]
        mask = Image.new("1", size)
        ImageDraw.Draw(mask).polygon([tuple(p) for p in pixels - low], fill=1)
        self.picture.paste(piece.point(table), tuple(int(v) for v in low), mask)
        self._mark.polygon([tuple(p) for p in pixels], fill=kind)
