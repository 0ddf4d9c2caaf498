"""Laws of the Fréchet distance of features."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from structkit.errors import InputError
from structkit.metrics.frechet import frechet_distance


def draws(seed: int, rows: int = 200, values: int = 6) -> Tensor:
    return torch.randn(rows, values, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def of_moments(mean: Tensor, deviations: Tensor) -> Tensor:
    """Rows that have exactly this mean, and these standard deviations along the axes."""
    count = 2 * len(mean)
    axes = torch.diag(deviations) * ((count - 1) / 2) ** 0.5
    return mean + torch.cat([axes, -axes])


def by_eigenvalues(one: Tensor, other: Tensor) -> float:
    """The definition with the covariances themselves."""
    means, spreads = [rows.mean(0) for rows in (one, other)], [torch.cov(rows.T) for rows in (one, other)]
    root = torch.linalg.eigvals(spreads[0] @ spreads[1]).real.clamp_min(0).sqrt().sum()
    return float((means[0] - means[1]).square().sum() + sum(spread.trace() for spread in spreads) - 2 * root)


def test_equal_sets_have_none_in_any_order():
    for seed in range(9):
        rows = draws(seed)
        assert frechet_distance(rows, rows) == frechet_distance(rows, rows.flip(0)) == 0
    assert frechet_distance(rows, rows + 1e-3) > 5e-6


def test_features_of_any_scale_are_measured_and_a_distance_beyond_all_numbers_is_refused():
    one, other = draws(0), 2 * draws(1) + 1
    expected = frechet_distance(one, other)
    for scale in (1e-150, 1e100, 1e150):
        assert frechet_distance(scale * one, scale * other) == pytest.approx(scale * scale * expected)
    for scale in (1e200, 1e307):
        with pytest.raises(InputError, match=r"features as large as .*: divide them by that"):
            frechet_distance(scale * one, scale * other)


@pytest.mark.parametrize(("count", "fact"), [(0, "0 feature vectors"), (1, "1 feature vector;")])
def test_features_that_are_too_few_are_counted(count, fact):
    with pytest.raises(InputError, match=fact):
        frechet_distance(draws(0, count), draws(1))


def test_it_is_the_closed_form_of_normal_distributions():
    means, deviations = draws(0, 2, 5), draws(1, 2, 5).abs()
    expected = (means[0] - means[1]).square().sum() + (deviations[0] - deviations[1]).square().sum()
    found = frechet_distance(*(of_moments(mean, spread) for mean, spread in zip(means, deviations, strict=True)))
    assert found == pytest.approx(float(expected), rel=1e-9)


def test_draws_of_normal_distributions_come_near_the_closed_form():
    assert frechet_distance(draws(0, 20_000, 3), 2 * draws(1, 20_000, 3) + 1) == pytest.approx(3 + 3, rel=0.05)


@pytest.mark.parametrize(("rows", "more"), [(200, 150), (3, 200), (2, 2), (7, 6)])
def test_it_is_the_definition_for_many_rows_and_for_few(rows, more):
    one, other = draws(0, rows), draws(1, more) @ draws(2, 6) + 1
    assert frechet_distance(one, other) == pytest.approx(by_eigenvalues(one, other), rel=1e-6)


def test_it_asks_neither_which_is_first_nor_where_and_how_the_axes_lie():
    one, other = draws(0), 2 * draws(1, 150) + 1
    expected = frechet_distance(one, other)
    turn = torch.linalg.qr(draws(3, 6)).Q
    assert frechet_distance(other, one) == pytest.approx(expected)
    assert frechet_distance(one @ turn + 5, other @ turn + 5) == pytest.approx(expected)
    assert frechet_distance(3 * one, 3 * other) == pytest.approx(9 * expected)


def test_float32_will_do():
    one, other = draws(0), draws(1) + 1
    assert frechet_distance(one.float(), other.float()) == pytest.approx(frechet_distance(one, other), rel=1e-5)


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        (draws(0), draws(0)[:, :4], r"features of shapes \(200, 6\) and \(200, 4\); expected \(N, D\) and \(M, D\)"),
        (draws(0), draws(0)[0], r"features of shapes \(200, 6\) and \(6,\)"),
        (draws(0)[:, :0], draws(0)[:, :0], r"features of shapes \(200, 0\)"),
        (draws(0), draws(0)[:1], "1 feature vector; a covariance takes 2"),
        (draws(0), draws(0) / 0, "features that are not finite"),
    ],
)
def test_what_is_refused(one, other, message):
    with pytest.raises(InputError, match=message):
        frechet_distance(one, other)
