"""Laws of optimised speeds: exact lengths, bounds, and the shapes that they keep."""

from __future__ import annotations

import numpy as np
import pytest

from structkit.engines.speednet.curve import confidence, natural_rate, optimised, tolerated, tolerated_at, tridiagonal
from structkit.errors import OptionError

STEP = 1 / 25


def wanted(count, seed=0, held=20):
    """Tolerated speeds from 1 to 8 that change every so many cells."""
    levels = np.random.default_rng(seed).random(count // held + 1) * np.log(8)
    return np.exp(np.repeat(levels, held)[:count])


def speeds_of(values, rate, **options):
    return optimised(values, None, np.full(len(values), STEP), rate, **options)


def quickness(speeds):
    """The greatest change of the logarithm from one cell to the next."""
    return np.abs(np.diff(np.log(speeds))).max()


@pytest.mark.parametrize("rate", [1.0, 1.3, 2.0, 3.0, 6.0, 8.0])
@pytest.mark.parametrize("smooth", [0.0, 100.0, 1e5])
@pytest.mark.parametrize("count", [1, 2, 5, 1800])
def test_the_harmonic_mean_is_the_rate_and_no_speed_leaves_its_bounds(rate, smooth, count):
    speeds = speeds_of(wanted(count), rate, smooth=smooth)
    assert natural_rate(speeds, np.full(count, STEP)) == pytest.approx(rate, rel=1e-9)
    assert speeds.min() >= 1 - 1e-12 and speeds.max() <= 8 + 1e-12


def test_cells_of_any_length_keep_the_rate():
    durations = np.random.default_rng(3).random(500) + 0.01
    speeds = optimised(wanted(500), confidence(np.random.default_rng(4).random(500)), durations, 2.5)
    assert durations.sum() / (durations / speeds).sum() == pytest.approx(2.5, rel=1e-9)


def test_at_a_rate_of_one_nothing_is_faster():
    assert np.array_equal(speeds_of(wanted(300), 1.0), np.ones(300))


def test_what_tolerates_the_same_everywhere_has_one_speed():
    assert np.allclose(speeds_of(np.full(200, 1.7), 3.0), 3.0, rtol=1e-9)


def test_tolerating_more_somewhere_makes_that_place_faster_and_the_others_slower():
    before = wanted(600, 5)
    after = before.copy()
    after[280:320] *= 2
    slow, fast = speeds_of(before, 2.0), speeds_of(after, 2.0)
    assert (fast[285:315] > slow[285:315]).all()
    assert (fast[:200] <= slow[:200] + 1e-12).all() and (fast[400:] <= slow[400:] + 1e-12).all()


def test_a_common_factor_of_what_is_tolerated_changes_nothing():
    values = wanted(400)
    assert np.allclose(speeds_of(values, 2.0), speeds_of(3 * values, 2.0), rtol=1e-9)


def test_a_mirrored_clip_has_the_mirrored_speeds():
    values = wanted(400)
    assert np.allclose(speeds_of(values[::-1], 2.0)[::-1], speeds_of(values, 2.0), rtol=1e-9)


def test_the_same_curve_in_time_whatever_the_rate_of_its_cells():
    values = wanted(400)
    fine = optimised(np.repeat(values, 4), None, np.full(1600, STEP / 4), 2.0).reshape(400, 4)
    assert np.allclose(np.log(fine.mean(1)), np.log(speeds_of(values, 2.0)), atol=0.02)


def test_more_smoothness_is_smoother_and_none_keeps_what_is_tolerated():
    values = wanted(1000)
    changes = [quickness(speeds_of(values, 2.0, smooth=smooth)) for smooth in (0, 10, 100, 1000, 10000)]
    assert changes == sorted(changes, reverse=True) and changes[0] > 10 * changes[3]
    free = speeds_of(values, natural_rate(values, np.ones(1000)), smooth=0, most=8)
    assert np.allclose(free, values, rtol=1e-6)


def test_across_a_cut_the_speed_may_change_at_once():
    values = np.where(np.arange(200) < 100, 1.5, 6.0)
    cuts = np.arange(200) == 100
    whole, cut = speeds_of(values, 2.5), speeds_of(values, 2.5, cuts=cuts)
    assert np.log(cut[100] / cut[99]) > 4 * np.log(whole[100] / whole[99])


def test_what_is_kept_slow_stays_slow_and_the_rest_makes_up_for_it():
    most = np.full(500, 8.0)
    most[200:300] = 1.0
    speeds = speeds_of(wanted(500), 2.0, most=most)
    assert np.allclose(speeds[200:300], 1.0) and natural_rate(speeds, np.ones(500)) == pytest.approx(2, rel=1e-9)
    assert quickness(speeds) < 0.25  # and the speed falls towards it, as smoothly as elsewhere


def test_a_rate_that_needs_the_steepest_ways_has_them():
    most = np.full(500, 8.0)
    most[200:300] = 1.0
    fastest = natural_rate(most, np.ones(500))
    assert np.array_equal(speeds_of(wanted(500), fastest, most=most), most)
    nearly = speeds_of(wanted(500), 0.999 * fastest, most=most)
    assert natural_rate(nearly, np.ones(500)) == pytest.approx(0.999 * fastest, rel=1e-9) and (nearly <= most).all()


def test_what_is_fast_on_purpose_stays_fast_unless_it_is_kept():
    least, most = np.ones(300), np.full(300, 8.0)
    least[100:200], most[150:160] = 4.0, 1.0
    speeds = speeds_of(wanted(300), 2.2, least=least, most=most)
    assert (speeds[100:150] >= 4 - 1e-9).all() and np.allclose(speeds[150:160], 1.0)


@pytest.mark.parametrize("rate", [0.9, 8.1])
def test_a_rate_out_of_reach_is_refused_with_what_can_be_had(rate):
    message = (
        rf"a clip of 4.0 s cannot be made {rate} times as fast: here it can be made 1 to 8 times as fast, 0.5 to 4.0 s"
    )
    with pytest.raises(OptionError, match=message):
        speeds_of(wanted(100), rate)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 37, 1024])
def test_the_fast_solver_is_the_dense_one(count):
    random = np.random.default_rng(count)
    beside = -random.random(count - 1) * 100
    diagonal = random.random(count) + 0.1
    diagonal[:-1] -= beside
    diagonal[1:] -= beside
    right = random.normal(size=count)
    dense = np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
    assert np.allclose(tridiagonal(diagonal, beside, right), np.linalg.solve(dense, right), rtol=1e-9, atol=1e-9)


FACTORS = np.array([1.0, 1.5, 2.0, 3.0, 4.0])


def judged(rows, **options):
    """What is tolerated where each prediction holds for a second."""
    return tolerated(np.repeat(np.array(rows, float), 25, 1), FACTORS, **options)[12::25]


def test_a_cell_tolerates_the_largest_factor_up_to_which_it_is_natural():
    columns = np.array([[0, 0, 0, 1, 1], [0, 1, 1, 1, 1], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]]).T
    assert judged(columns).tolist() == [2, 1, 4, 1]


def test_one_miss_is_tolerated_and_no_second_one():
    columns = np.array([[0, 1, 0, 0, 1], [0, 1, 0, 1, 0], [1, 0, 0, 0, 0]]).T
    assert judged(columns).tolist() == [3, 2, 1]
    assert judged(columns, mode="max").tolist() == [3, 4, 4]


def test_a_factor_that_was_not_judged_is_not_tolerated():
    rows = np.zeros((5, 1))
    rows[3:] = np.nan
    assert judged(rows).tolist() == [2]


def test_a_short_doubt_changes_nothing():
    predictions = np.full((5, 200), 0.1)
    predictions[1:, 100] = 0.9
    assert (tolerated(predictions, FACTORS) == 4).all()
    predictions[1:] = np.where(np.arange(200) < 100, 0.2, 0.8)
    predictions[1:, 150:180] = 0.46  # for longer than predictions are averaged, near the threshold: as its neighbours
    assert set(tolerated(predictions, FACTORS)[110:].tolist()) == {1}


def test_beyond_the_natural_rate_what_looks_least_sped_up_becomes_faster_first():
    doubts = np.linspace(0.6, 0.999, 200)  # sped up everywhere, at every factor, and ever more so
    predictions, durations = np.tile(doubts, (5, 1)), np.full(200, STEP)
    assert (tolerated(predictions, FACTORS) == 1).all()
    for rate in (1.5, 2.0, 3.0):
        found = tolerated_at(predictions, FACTORS, durations, rate)
        assert (np.diff(found) <= 0).all() and found[0] > found[-1]
        assert natural_rate(found, durations) == pytest.approx(rate, rel=0.1)


def test_up_to_the_natural_rate_the_threshold_stays():
    predictions = np.where(np.arange(200) < 100, 0.2, 0.8) * np.ones((5, 1))
    durations = np.full(200, STEP)
    natural = natural_rate(tolerated(predictions, FACTORS), durations)
    found = tolerated_at(predictions, FACTORS, durations, natural)
    assert (found == tolerated(predictions, FACTORS)).all()


def test_what_cannot_be_judged_together_is_refused():
    with pytest.raises(OptionError, match=r"predictions \(2, 3\) of factors \(3,\): expected \(F, N\) and \(F,\)"):
        tolerated(np.zeros((2, 3)), np.ones(3))
    with pytest.raises(OptionError, match="speeds are tolerated by 'mean': choose one of runs, max"):
        tolerated(np.zeros((2, 3)), np.ones(2), mode="mean")


def test_where_all_is_kept_the_message_says_the_one_speed_that_there_is():
    with pytest.raises(
        OptionError, match=r"cannot be made 2 times as fast: here it can only be 1 times as fast, 4\.0 s"
    ):
        optimised(np.ones(100), None, np.full(100, STEP), 2.0, most=1.0)
