"""Charts of speed curves: one layout, drawn as SVG or as PNG."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from structkit.media.charts import FAINT, GRID, INK, ChartArea, ChartLine, ChartText, png_of, svg_of
from structkit.media.files import one_line
from structkit.media.moments import clock

if TYPE_CHECKING:
    from structkit.media.speed_curve import SpeedCurve

WIDTH, HEIGHT = 1200, 400
LEFT, RIGHT, TOP, BOTTOM = 58, 1176, 74, 352  # of the plot
SPEED, TOLERATED, MEAN = "#2563eb", "#b6bcc6", "#d97706"
AREA = ChartArea(SPEED, TOP, BOTTOM, (0.42, 0.06))
MOST_POINTS = 560  # of a line: two pixels each
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800)  # s, of time ticks
MOST_TICKS = 11
JUMP, SMOOTH_CELL = 0.2, 0.2  # of a value's logarithm, and s: beyond these a line is drawn as steps


def svg_chart(curve: SpeedCurve) -> str:
    """The chart of a curve as the text of an SVG file: speeds over the input's time, on a scale of doublings."""
    return svg_of(_layout(curve), (WIDTH, HEIGHT), _summary(curve), AREA)


def png_chart(curve: SpeedCurve) -> bytes:
    """The same chart as the bytes of a PNG file."""
    return png_of(_layout(curve), (WIDTH, HEIGHT), AREA)


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


def _number(value: float) -> str:
    """A speed in few digits: 2, 1.5, 0.25."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if value < 10 else f"{value:.3g}"
