"""Measures of a detector: intervals, the area under the curve, the threshold, the temperature."""

from __future__ import annotations

import pytest
import torch

from structkit.metrics.detection import area_under_curve, temperature, threshold, wilson


def normal(count: int, mean: float, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, generator=torch.Generator().manual_seed(seed)) + mean


def test_an_interval_holds_the_share_and_shrinks_with_more_cases():
    low, high = wilson(60, 100)
    assert (low, high) == pytest.approx((0.5020, 0.6906), abs=1e-4)  # as in tables
    assert low < 0.6 < high and wilson(600, 1000)[0] > low
    assert wilson(0, 0) == (0.0, 1.0) and wilson(10, 10)[1] == pytest.approx(1.0)


def test_the_area_is_the_chance_that_one_is_above_another():
    assert area_under_curve(torch.tensor([2.0, 3.0]), torch.tensor([0.0, 1.0])) == 1
    assert area_under_curve(torch.tensor([1.0, 1.0]), torch.tensor([1.0])) == 0.5
    one, other = normal(200, 0.5), normal(100, 0.0, 1)
    assert area_under_curve(one, other) == pytest.approx(1 - area_under_curve(other, one))
    assert area_under_curve(one, torch.zeros(0)) == 0.5


def test_the_threshold_parts_what_can_be_parted():
    assert 1 < threshold(torch.tensor([2.0, 3.0]), torch.tensor([0.0, 1.0])) < 2
    assert threshold(torch.tensor([0.0, 3.0, 3.1]), torch.tensor([0.1, 0.2])) == pytest.approx(1.6)


@pytest.mark.parametrize("true", [0.5, 2.0])
def test_logits_that_are_too_sure_by_a_factor_have_that_temperature(true):
    generator = torch.Generator().manual_seed(1)
    logits = 2 * torch.randn(20_000, generator=generator)
    is_fast = torch.rand(20_000, generator=generator) < torch.sigmoid(logits)
    assert temperature(true * logits[is_fast], true * logits[~is_fast]) == pytest.approx(true, rel=0.1)


def test_logits_that_are_never_wrong_have_the_least_temperature():
    assert temperature(torch.tensor([1.0]), torch.tensor([-1.0])) == pytest.approx(0.05, rel=1e-3)
