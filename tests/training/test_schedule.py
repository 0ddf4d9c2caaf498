"""The laws of falling learning rates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from structkit.training.schedule import LAST, falling

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
