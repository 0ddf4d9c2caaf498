"""Pieces of a speed curve in which the speed is much the same: what a person is told of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from structkit.media.moments import clock
from structkit.media.speed_curve import SpeedCurve

ALIKE = 0.3  # of the logarithm of the speed, by which two pieces may differ and be one
LEAST = 0.5  # s of the clip, of a piece
MOST = 200  # pieces


@dataclass(frozen=True)
class SpeedSegment:
    """A piece of a clip.  start, end: s of the clip.  speed: its length over the time that it is shown."""

    start: float
    end: float
    speed: float

    @property
    def record(self) -> dict[str, Any]:
        """The segment for records."""
        return {"start": round(self.start, 3), "end": round(self.end, 3), "speed": round(self.speed, 3)}

    @property
    def words(self) -> str:
        """The segment in a line."""
        return f"{clock(self.start)} to {clock(self.end)}: {self.speed:.2f} times as fast"


def segments(curve: SpeedCurve, *, most: int = MOST) -> list[SpeedSegment]:
    """The pieces of a curve, in order, at most so many: neighbours that are most alike are one."""
    level = np.log(curve.speeds)
    edges = _edges(level, curve.times)
    lengths = np.add.reduceat(curve.durations, edges)
    shown = np.add.reduceat(curve.durations / curve.speeds, edges)
    starts, ends = curve.times[edges], np.append(curve.times[edges[1:]], curve.times[-1])
    pieces = [*zip(starts.tolist(), ends.tolist(), lengths.tolist(), shown.tolist(), strict=True)]
    while len(pieces) > 1:
        speeds = np.log([length / out for _, _, length, out in pieces])
        apart = np.abs(np.diff(speeds))
        short = np.array([length < LEAST for _, _, length, _ in pieces])
        cost = np.where(short[1:] | short[:-1], apart - 100, apart)
        least = int(cost.argmin())
        if cost[least] >= ALIKE and len(pieces) <= most:
            break
        (start, _, length, out), (_, end, more, further) = pieces[least : least + 2]
        pieces[least : least + 2] = [(start, end, length + more, out + further)]
    return [SpeedSegment(start, end, length / out) for start, end, length, out in pieces]


def _edges(level: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The first cells of pieces: cells of one step of the logarithm of the speed, in boxes that grow with the clip."""
    box = max(LEAST / 2, (times[-1] - times[0]) / 1000)
    class_of = np.round(level / (ALIKE / 2)).astype(int)
    place = ((times[:-1] - times[0]) / box).astype(int)
    first = np.flatnonzero(np.diff(class_of)) + 1
    kept = [0]
    for edge in first.tolist():
        if place[edge] != place[kept[-1]]:
            kept.append(edge)
    return np.array(kept)
