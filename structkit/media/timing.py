"""Time maps: from the time of a moment in an input to its time in the output.

Pictures, sound, subtitles and chapters of a video go through one map, so that all of them stay together.  A map is
exact: its times and slopes are fractions, and nothing is rounded before a container's tick.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import accumulate, pairwise
from math import floor

Knot = tuple[Fraction, Fraction]  # s of the input, s of the output


@dataclass(frozen=True)
class TimeMap:
    """A map of times: piecewise linear, without jumps, and never backwards.

    knots: the input's and the output's time, s, of each point where the slope changes; at least one, in order.
    before, after: the slope, output seconds for an input second, in front of the first knot and behind the last.
    A slope of 1 keeps the speed, one of 1/2 doubles it, and at 0 the input passes while the output stands still.
    Knots where the slope does not change are dropped, and a map of one slope has its knot at zero: maps that are alike
    everywhere are equal.
    Raises ValueError for knots that are not in order, and for slopes below zero.
    """

    knots: tuple[Knot, ...]
    before: Fraction = Fraction(1)
    after: Fraction = Fraction(1)

    def __post_init__(self) -> None:
        knots = tuple((Fraction(start), Fraction(end)) for start, end in self.knots)
        if not knots or any(a[0] >= b[0] or a[1] > b[1] for a, b in pairwise(knots)):
            raise ValueError("the knots of a time map must be in order, and at least one")
        if min(self.before, self.after) < 0:
            raise ValueError("the slopes of a time map must not be below zero")
        between = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in pairwise(knots)]
        slopes = (Fraction(self.before), *between, Fraction(self.after))
        kept = tuple(knot for knot, (a, b) in zip(knots, pairwise(slopes), strict=True) if a != b)
        alike = (Fraction(0), knots[0][1] - slopes[0] * knots[0][0])
        for name, value in {"knots": kept or (alike,), "before": slopes[0], "after": slopes[-1]}.items():
            object.__setattr__(self, name, value)

    @classmethod
    def shifted(cls, by: Fraction) -> TimeMap:
        """The map of a shift: everything is shown `by` s later."""
        return cls(((Fraction(0), by),))

    @classmethod
    def of_speeds(cls, times: Sequence[Fraction], speeds: Sequence[Fraction]) -> TimeMap:
        """The map of a curve of speeds, from the first time, which is shown at zero.

        times: s of the input, at least two, increasing.
        speeds: above 0, one from each time to the next; the first holds in front of them too, and the last behind them.
        Raises ValueError.
        """
        if len(times) != len(speeds) + 1 or not speeds or min(speeds) <= 0:
            raise ValueError("a curve has one speed above zero between each time and the next")
        slopes = [1 / Fraction(speed) for speed in speeds]
        lengths = (slope * (b - a) for slope, (a, b) in zip(slopes, pairwise(map(Fraction, times)), strict=True))
        shown = accumulate(lengths, initial=Fraction(0))
        return cls(tuple(zip(map(Fraction, times), shown, strict=True)), slopes[0], slopes[-1])

    @cached_property
    def shift(self) -> Fraction | None:
        """The shift that the map is, s; None for a map that changes the speed anywhere."""
        (time, shown), *others = self.knots
        return shown - time if self.before == self.after == 1 and not others else None

    def at(self, time: Fraction) -> Fraction:
        """The output's time, s, of an input's time, s."""
        if self.shift is not None:
            return time + self.shift
        piece = bisect_right(self.knots, time, key=lambda knot: knot[0])
        start, shown = self.knots[max(0, piece - 1)]
        return shown + self._slope(piece) * (time - start)

    def inverse(self) -> TimeMap:
        """The map from the output's times to the input's.  Raises ValueError where the output stands still."""
        if any(self._slope(piece) == 0 for piece in range(len(self.knots) + 1)):
            raise ValueError("a time map that stands still has no inverse")
        return TimeMap(tuple((shown, time) for time, shown in self.knots), 1 / self.before, 1 / self.after)

    def then(self, other: TimeMap) -> TimeMap:
        """The map that is this one, followed by the other one."""
        ours = {time for time, _ in self.knots}
        theirs = {time for shown, _ in other.knots if (time := self._arrival(shown)) is not None}
        times = sorted(ours | theirs)
        first, last = times[0] - 1, times[-1] + 1
        knots = tuple((time, other.at(self.at(time))) for time in times)
        before = knots[0][1] - other.at(self.at(first))
        return TimeMap(knots, before, other.at(self.at(last)) - knots[-1][1])

    def tick(self, tick: int, base: Fraction, origin: Fraction = Fraction(0)) -> int:
        """The output's tick for an input's, to the nearest; under a shift all are moved by the same number of them.

        base: of both, s.
        origin: the time, s, on the clock of the input's ticks that is zero for the map.
        """
        if self.shift is not None:
            return tick + round((self.shift - origin) / base)
        return floor(self.at(tick * base - origin) / base + Fraction(1, 2))

    def _slope(self, piece: int) -> Fraction:
        """The slope of a piece: 0 is in front of the first knot, and each other begins at a knot."""
        if piece in (0, len(self.knots)):
            return self.after if piece else self.before
        (start, shown), (end, shown_at_end) = self.knots[piece - 1 : piece + 1]
        return (shown_at_end - shown) / (end - start)

    def _arrival(self, shown: Fraction) -> Fraction | None:
        """The input's time of an output's; None where there is none, or more than one."""
        piece = bisect_right(self.knots, shown, key=lambda knot: knot[1])
        start, at_start = self.knots[max(0, piece - 1)]
        slope = self._slope(piece)
        return start + (shown - at_start) / slope if slope else None


IDENTITY = TimeMap.shifted(Fraction(0))
