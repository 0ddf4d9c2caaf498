"""Charts of speed curves: one layout, drawn as SVG or as PNG."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from structkit.media.files import one_line
from structkit.media.moments import clock

if TYPE_CHECKING:
    from structkit.media.speed_curve import SpeedCurve

WIDTH, HEIGHT = 1200, 400
LEFT, RIGHT, TOP, BOTTOM = 58, 1176, 74, 352  # of the plot
PAPER, INK, FAINT, GRID = "#ffffff", "#1f2937", "#6b7280", "#e5e7eb"
SPEED, TOLERATED, MEAN = "#2563eb", "#b6bcc6", "#d97706"
SHADES = (0.42, 0.06)  # opacity of the area, from the top of the plot to its foot
MOST_POINTS = 560  # of a line: two pixels each
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800)  # s, of time ticks
MOST_TICKS = 11
JUMP, SMOOTH_CELL = 0.2, 0.2  # of a value's logarithm, and s: beyond these a line is drawn as steps
PIXELS, FINER = 2, 2  # of a PNG: its pixels for one of the layout, and as many times finer that it is drawn


@dataclass(frozen=True)
class ChartText:
    """A text of a chart: its place, its size, px, its colour, and the side that it stands at.

    anchor: start, middle or end.
    halo: true for one that stands over lines, and keeps them at a distance.
    """

    x: float
    y: float
    text: str
    size: int = 15
    colour: str = FAINT
    anchor: str = "start"
    bold: bool = False
    halo: bool = False


@dataclass(frozen=True)
class ChartLine:
    """A line of a chart through points (n, 2), px.

    dashes: the lengths of a dash and of a gap, px; filled: with the area beneath it.
    """

    points: np.ndarray
    colour: str
    width: float = 1.0
    dashes: tuple[float, float] | None = None
    filled: bool = False


def svg_chart(curve: SpeedCurve) -> str:
    """The chart of a curve as the text of an SVG file: speeds over the input's time, on a scale of doublings."""
    first, last = SHADES
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'role="img" font-family="system-ui, Segoe UI, Helvetica, Arial, sans-serif">',
        f"<title>{escape(_summary(curve))}</title>",
        f'<defs><linearGradient id="area" gradientUnits="userSpaceOnUse" x1="0" y1="{TOP}" x2="0" y2="{BOTTOM}">'
        f'<stop stop-color="{SPEED}" stop-opacity="{first}"/>'
        f'<stop offset="1" stop-color="{SPEED}" stop-opacity="{last}"/></linearGradient></defs>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="10" fill="{PAPER}"/>',
    ]
    for shape in _layout(curve):
        if isinstance(shape, ChartText):
            weight = ' font-weight="600"' if shape.bold else ""
            halo = f' stroke="{PAPER}" stroke-width="4" stroke-opacity="0.8" paint-order="stroke"' if shape.halo else ""
            parts.append(
                f'<text x="{shape.x:.1f}" y="{shape.y:.1f}" font-size="{shape.size}" fill="{shape.colour}" '
                f'text-anchor="{shape.anchor}"{weight}{halo}>{escape(shape.text)}</text>'
            )
            continue
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in shape.points.tolist())
        if shape.filled:
            foot = f"{shape.points[-1, 0]:.1f},{BOTTOM} {shape.points[0, 0]:.1f},{BOTTOM}"
            parts.append(f'<polygon points="{path} {foot}" fill="url(#area)"/>')
        dashes = f' stroke-dasharray="{shape.dashes[0]:g} {shape.dashes[1]:g}"' if shape.dashes else ""
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{shape.colour}" stroke-width="{shape.width:g}" '
            f'stroke-linejoin="round"{dashes}/>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def png_chart(curve: SpeedCurve) -> bytes:
    """The same chart as the bytes of a PNG file."""
    scale = PIXELS * FINER
    size = WIDTH * scale, HEIGHT * scale
    image = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(image)
    texts = []
    for shape in _layout(curve):
        if isinstance(shape, ChartText):
            texts.append(shape)
            continue
        points = shape.points * scale
        if shape.filled:
            corners = [*map(tuple, points.tolist()), (points[-1, 0], BOTTOM * scale), (points[0, 0], BOTTOM * scale)]
            image.paste(Image.new("RGB", size, shape.colour), mask=_shade(corners, size, scale))
        for piece in _dashed(points, shape.dashes, scale):
            draw.line([*map(tuple, piece.tolist())], shape.colour, max(1, round(shape.width * scale)), "curve")
    image = image.resize((WIDTH * PIXELS, HEIGHT * PIXELS), Image.Resampling.BOX)
    draw = ImageDraw.Draw(image)
    for text in texts:
        font = ImageFont.load_default(text.size * PIXELS)
        anchor = {"start": "ls", "middle": "ms", "end": "rs"}[text.anchor]
        place = text.x * PIXELS, text.y * PIXELS
        stroke = (2 * PIXELS, PAPER) if text.halo else (0.3 * PIXELS if text.bold else 0, text.colour)
        draw.text(place, text.text, text.colour, font, anchor, stroke_width=stroke[0], stroke_fill=stroke[1])
    found = BytesIO()
    image.save(found, "PNG", optimize=False)
    return found.getvalue()


def _summary(curve: SpeedCurve) -> str:
    """The lengths in and out, and the rate: 3:12 becomes 1:36, 2 times as fast."""
    digits = 1 if curve.seconds < 60 else 0
    lengths = f"{clock(curve.seconds, digits)} becomes {clock(curve.duration, digits)}"
    return f"{lengths}, {_number(curve.rate)} times as fast"


def _layout(curve: SpeedCurve) -> Iterator[ChartText | ChartLine]:
    """The parts of a chart, from the back to the front."""
    shown = curve.speeds if curve.tolerated is None else np.concatenate([curve.speeds, curve.tolerated])
    low = min(0.0, np.floor(np.log2(shown.min() * 1.001)))
    high = max(low + 1, np.ceil(4 * np.log2(shown.max() * 1.001)) / 4)
    start, seconds = float(curve.times[0]), curve.seconds

    def across(times: np.ndarray) -> np.ndarray:
        return LEFT + (times - start) / seconds * (RIGHT - LEFT)

    def up(speeds: np.ndarray | float) -> np.ndarray:
        return BOTTOM - (np.log2(speeds) - low) / (high - low) * (BOTTOM - TOP)

    apart = max(1, int(np.ceil((high - low) / 6)))
    for power in range(int(low), int(np.floor(high)) + 1, apart):
        y = float(up(2.0**power))
        yield ChartLine(np.array([[LEFT, y], [RIGHT, y]]), GRID)
        yield ChartText(LEFT - 10, y + 5, f"{_number(2.0**power)}x", anchor="end")
    step = next((step for step in STEPS if seconds / step < MOST_TICKS), STEPS[-1])
    for tick in np.arange(0, seconds + step / 1e6, step).tolist():
        x = LEFT + tick / seconds * (RIGHT - LEFT)
        yield ChartLine(np.array([[x, BOTTOM], [x, BOTTOM + 5]]), TOLERATED)
        yield ChartText(x, BOTTOM + 24, clock(tick, 1 if step < 1 else 0), anchor="middle" if x < RIGHT - 20 else "end")
    times, speeds = _drawn(curve, curve.speeds)
    if curve.tolerated is not None:
        points = _drawn(curve, curve.tolerated)
        yield ChartLine(_course(across(points[0]), up(points[1]), _stepped(*points)), TOLERATED, 1.4)
    yield ChartLine(_course(across(times), up(speeds), _stepped(times, speeds)), SPEED, 2.4, filled=True)
    y = float(up(curve.rate))
    yield ChartLine(np.array([[LEFT, y], [RIGHT, y]]), MEAN, 1.4, (7, 5))
    yield ChartText(RIGHT, y - 7, f"{_number(curve.rate)}x on the whole", 13, MEAN, "end", halo=True)
    yield ChartText(LEFT, 34, _summary(curve), 20, INK, bold=True)
    yield ChartText(LEFT, 58, f"speed, from {_number(speeds.min())}x to {_number(speeds.max())}x", 14, SPEED)
    if curve.tolerated is not None:
        yield ChartText(LEFT + 210, 58, "tolerated", 14, "#8b93a1")
    if method := curve.facts.get("method"):
        yield ChartText(RIGHT, 34, f"by {one_line(method, 40)}", 14, FAINT, "end")
    yield ChartText(RIGHT, BOTTOM + 42, "time in the clip", 12, FAINT, "end")


def _drawn(curve: SpeedCurve, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Times (n + 1,) and values (n,) to draw: where cells are finer than what is seen, their geometric means."""
    count = len(values)
    if count <= MOST_POINTS:
        return curve.times, values
    edges = np.linspace(0, count, MOST_POINTS + 1).astype(int)
    weights = curve.durations
    means = np.add.reduceat(np.log(values) * weights, edges[:-1]) / np.add.reduceat(weights, edges[:-1])
    return curve.times[edges], np.exp(means)


def _stepped(times: np.ndarray, values: np.ndarray) -> np.ndarray:
    """True (n - 1,) at the edges where values (n,) jump, and beside cells that are too long to be of a smooth curve."""
    lengths = np.diff(times)
    long = np.maximum(lengths[1:], lengths[:-1]) > max(SMOOTH_CELL, (times[-1] - times[0]) / MOST_POINTS * 1.5)
    return long | (np.abs(np.diff(np.log(values))) > JUMP)


def _course(x: np.ndarray, y: np.ndarray, stepped: np.ndarray) -> np.ndarray:
    """The points (n, 2) of a line through the middles of cells: x (N + 1,) their edges, y (N,).

    stepped (N - 1,) bool: the edges at which the line goes straight up or down.
    """
    middles, edges = (x[1:] + x[:-1]) / 2, x[1:-1][stepped]
    places = np.concatenate([x[:1], middles, edges, edges, x[-1:]])
    heights = np.concatenate([y[:1], y, y[:-1][stepped], y[1:][stepped], y[-1:]])
    return np.stack([places, heights], 1)[np.argsort(places, kind="stable")]


def _shade(corners: list[tuple[float, float]], size: tuple[int, int], scale: int) -> Image.Image:
    """The mask of an area, from strong at the top of the plot to faint at its foot."""
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).polygon(corners, 255)
    place = np.clip((np.arange(size[1]) / scale - TOP) / (BOTTOM - TOP), 0, 1)
    levels = np.round(255 * (SHADES[0] + (SHADES[1] - SHADES[0]) * place)).astype(np.uint8)
    return Image.fromarray(np.minimum(np.asarray(mask), levels[:, None]))


def _dashed(points: np.ndarray, dashes: tuple[float, float] | None, scale: int) -> Iterator[np.ndarray]:
    """The pieces of a line; dashes are for level ones alone."""
    if dashes is None:
        yield points
        return
    on, off = (scale * length for length in dashes)
    for start in np.arange(points[0, 0], points[-1, 0], on + off).tolist():
        yield np.array([[start, points[0, 1]], [min(start + on, points[-1, 0]), points[0, 1]]])


def _number(value: float) -> str:
    """A speed in few digits: 2, 1.5, 0.25."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if value < 10 else f"{value:.3g}"
