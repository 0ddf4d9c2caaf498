"""The laws of time maps: never backwards, exact at every knot, and composed and inverted as functions are."""

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as some

from structkit.media.timing import IDENTITY, TimeMap

TIMES = some.fractions(-20, 20, max_denominator=96)
STEPS = some.fractions(Fraction(1, 90), 5, max_denominator=90)
SPEEDS = some.fractions(Fraction(1, 4), 8, max_denominator=12)
TICKS = some.sampled_from([Fraction(1, 1000), Fraction(1, 90_000), Fraction(1, 48_000), Fraction(1, 24)])


@some.composite
def curves(draw) -> tuple[list[Fraction], list[Fraction]]:
    """Times and the speeds between them."""
    times = [draw(TIMES)]
    for step in draw(some.lists(STEPS, min_size=1, max_size=4)):
        times.append(times[-1] + step)
    return times, draw(some.lists(SPEEDS, min_size=len(times) - 1, max_size=len(times) - 1))


@some.composite
def maps(draw, least_slope: Fraction = Fraction(0)) -> TimeMap:
    """Any map of a few pieces."""
    slopes = some.fractions(least_slope, 3, max_denominator=12)
    time, shown = draw(TIMES), draw(TIMES)
    knots = [(time, shown)]
    for step in draw(some.lists(STEPS, max_size=3)):
        time, shown = time + step, shown + step * draw(slopes)
        knots.append((time, shown))
    return TimeMap(tuple(knots), draw(slopes), draw(slopes))


invertible = maps(Fraction(1, 12))


@given(maps(), TIMES, TIMES)
def test_a_map_never_goes_backwards(timing, one, other):
    earlier, later = sorted((one, other))
    assert timing.at(earlier) <= timing.at(later)


@given(invertible, TIMES, STEPS)
def test_a_map_of_slopes_above_zero_goes_on(timing, time, step):
    assert timing.at(time) < timing.at(time + step)


@given(curves())
def test_a_curve_is_exact_at_its_ends_and_at_its_knots(curve):
    times, speeds = curve
    timing = TimeMap.of_speeds(times, speeds)
    shown = [timing.at(time) for time in times]
    assert shown[0] == 0
    assert [b - a for a, b in pairwise(shown)] == [
        (b - a) / s for (a, b), s in zip(pairwise(times), speeds, strict=True)
    ]
    assert timing.at(times[0] - 1) == -1 / speeds[0] and timing.at(times[-1] + 1) - shown[-1] == 1 / speeds[-1]


@given(invertible, TIMES)
def test_an_inverse_takes_back(timing, time):
    assert timing.inverse().at(timing.at(time)) == time == timing.at(timing.inverse().at(time))
    assert timing.then(timing.inverse()) == IDENTITY == timing.inverse().then(timing)
    assert timing.inverse().inverse() == timing


@given(maps(), maps(), TIMES)
def test_a_composition_is_one_map_after_the_other(one, other, time):
    assert one.then(other).at(time) == other.at(one.at(time))


@given(maps(), maps(), maps())
def test_composition_is_associative_and_the_identity_changes_nothing(one, other, third):
    assert one.then(other).then(third) == one.then(other.then(third))
    assert one.then(IDENTITY) == one == IDENTITY.then(one)


@given(TIMES, TIMES, TIMES)
def test_a_shift_is_a_shift(by, further, time):
    timing = TimeMap.shifted(by)
    assert timing.at(time) == time + by and timing.shift == by
    assert timing.then(TimeMap.shifted(further)) == TimeMap.shifted(by + further)
    assert timing.inverse() == TimeMap.shifted(-by)


@given(maps(), TIMES)
def test_a_map_that_tells_a_shift_is_that_shift_everywhere(timing, time):
    assert timing.shift is None or timing.at(time) == time + timing.shift
    assert TimeMap.shifted(time).then(timing).shift is None or timing.shift is not None


@given(TIMES, some.integers(-9999, 9999), TICKS, some.fractions(0, 9, max_denominator=7))
def test_a_shift_moves_every_tick_by_as_many(by, tick, base, origin):
    timing = TimeMap.shifted(by)
    moved = timing.tick(tick, base, origin)
    assert moved - tick == timing.tick(0, base, origin)
    assert abs(moved * base - timing.at(tick * base - origin)) <= base / 2


@given(maps(), some.integers(-9999, 9999), some.integers(0, 3), TICKS, some.fractions(0, 9, max_denominator=7))
def test_a_tick_lands_on_the_nearest_and_never_before_an_earlier_one(timing, tick, further, base, origin):
    landed = timing.tick(tick, base, origin)
    assert abs(landed * base - timing.at(tick * base - origin)) <= base / 2
    assert landed <= timing.tick(tick + further, base, origin)


def test_knots_on_a_line_are_dropped():
    assert TimeMap(((2, 1), (4, 2), (5, 3)), Fraction(1, 2)) == TimeMap(((4, 2),), Fraction(1, 2))
    assert TimeMap(((7, 10), (8, 11))) == TimeMap.shifted(Fraction(3))


@pytest.mark.parametrize(
    ("knots", "slopes"),
    [((), (1, 1)), (((0, 0), (0, 1)), (1, 1)), (((0, 1), (1, 0)), (1, 1)), (((0, 0),), (-1, 1)), (((0, 0),), (1, -1))],
)
def test_what_goes_backwards_is_no_map(knots, slopes):
    with pytest.raises(ValueError, match="of a time map must"):
        TimeMap(knots, *slopes)


@pytest.mark.parametrize(("times", "speeds"), [((0,), ()), ((0, 1), (0,)), ((0, 1, 2), (1,)), ((0, 1), (-1,))])
def test_a_curve_without_a_speed_for_each_step_is_none(times, speeds):
    with pytest.raises(ValueError, match="one speed above zero"):
        TimeMap.of_speeds(times, speeds)


@pytest.mark.parametrize("timing", [TimeMap(((0, 0), (1, 0))), TimeMap(((0, 0),), 0), TimeMap(((0, 0),), 1, 0)])
def test_a_map_that_stands_still_has_no_inverse(timing):
    with pytest.raises(ValueError, match="no inverse"):
        timing.inverse()
