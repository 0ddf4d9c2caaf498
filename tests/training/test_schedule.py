"""The laws of learning rates that fall, and that rise before."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as some

from structkit.training.schedule import LAST, falling, rising_and_falling

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
