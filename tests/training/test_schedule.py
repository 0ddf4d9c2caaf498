"""The laws of learning rates that fall, and that rise before."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as some

from structkit.training.schedule import LAST, cosine, falling, rising_and_falling, stepped, straight

SHARES = some.floats(0.01, 1)


@given(some.floats(0, 1), SHARES)
def test_it_is_one_until_the_fall_begins_and_never_below_the_last(done, share):
    rate = falling(done, share)
    assert LAST - 1e-12 <= rate <= 1
    if done <= 1 - share:
        assert rate == 1


@given(some.floats(0, 1), some.floats(0, 1), SHARES)
def test_it_never_rises(one, other, share):
    earlier, later = sorted((one, other))
    assert falling(later, share) <= falling(earlier, share) + 1e-12


@given(SHARES)
def test_its_end_is_a_tenth_and_its_middle_lies_halfway(share):
    assert falling(1, share) == pytest.approx(LAST)
    assert falling(1 - share / 2, share) == pytest.approx((1 + LAST) / 2)


@given(some.floats(0, 1))
def test_without_a_share_it_stays(done):
    assert falling(done, 0) == 1


@given(some.floats(0.001, 1), some.floats(0.01, 0.9))
def test_a_rate_with_a_warm_up_rises_evenly_to_one_and_falls_to_nothing(done, rise):
    rate = rising_and_falling(done, rise)
    assert 0 <= rate <= 1
    if done < rise:
        assert rate == pytest.approx(done / rise)
    assert rising_and_falling(rise, rise) == pytest.approx(1) and rising_and_falling(1, rise) == pytest.approx(0)
    assert rising_and_falling(done, 0.0) == pytest.approx((1 + math.cos(math.pi * done)) / 2)
    assert rising_and_falling(1.0, 1.0) == 1


@given(some.floats(0, 1), some.floats(0, 0.5))
def test_a_cosine_falls_from_one_to_its_least(done, least):
    assert cosine(0, least) == pytest.approx(1) and cosine(1, least) == pytest.approx(least)
    assert cosine(0.5, least) == pytest.approx((1 + least) / 2)
    assert least - 1e-12 <= cosine(done, least) <= 1


@given(some.floats(0, 1))
def test_steps_fall_by_a_factor_at_each_turn(done):
    turns = [0.3, 0.6, 0.8]
    assert stepped(done, turns, 0.2) == pytest.approx(0.2 ** sum(done >= turn for turn in turns))
    assert stepped(done, [], 0.2) == 1


@given(some.floats(0, 1), some.floats(0, 0.9))
def test_a_straight_fall_begins_after_the_rise_and_ends_in_nothing(done, rise):
    rate = straight(done, rise)
    assert rate == (pytest.approx((1 - done) / (1 - rise)) if done > rise else pytest.approx(1))
    assert straight(1, rise) == 0 and straight(done, 1.0) == 1
