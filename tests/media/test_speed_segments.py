"""Pieces of curves: what a person is told of them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from structkit.media.speed_curve import SpeedCurve
from structkit.media.speed_segments import segments


def curve(speeds: np.ndarray, start: float = 0.0) -> SpeedCurve:
    return SpeedCurve(start + np.arange(len(speeds) + 1) / 25, speeds)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("most", [200, 6, 1])
def test_pieces_lie_side_by_side_and_last_as_long_as_the_curve(seed, most):
    random = np.random.default_rng(seed)
    made = curve(np.exp(np.cumsum(random.normal(0, 0.15, 400)).clip(0, 2)), start=0.4)
    found = segments(made, most=most)
    assert len(found) <= most
    assert (found[0].start, found[-1].end) == (made.times[0], made.times[-1])
    assert all(before.end == after.start for before, after in pairwise(found))
    assert sum((piece.end - piece.start) / piece.speed for piece in found) == pytest.approx(made.duration)


def test_a_steady_curve_is_one_piece_and_a_step_is_two():
    assert len(segments(curve(np.full(100, 3.0)))) == 1
    slow, fast = segments(curve(np.repeat([1.2, 4.0], 50)))
    assert (slow.speed, fast.speed, slow.end) == pytest.approx((1.2, 4.0, 2.0))


def test_a_short_blip_is_no_piece_of_its_own():
    speeds = np.full(200, 2.0)
    speeds[100:104] = 6.0
    assert all(piece.end - piece.start >= 0.5 for piece in segments(curve(speeds)))


def test_a_clip_of_one_cell_is_one_piece():
    [only] = segments(curve(np.array([2.0])))
    assert only.words == "0:00.0 to 0:00.0: 2.00 times as fast"
    assert only.record == {"start": 0.0, "end": 0.04, "speed": 2.0}


def test_an_hour_is_told_in_few_pieces():
    wild = np.exp(1 + np.sin(np.arange(90_000) / 60))
    assert 100 < len(segments(curve(wild))) <= 200
