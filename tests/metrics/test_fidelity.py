"""Laws of PSNR and SSIM, and SSIM beside its formula written out."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from structkit.errors import InputError
from structkit.metrics.fidelity import Pool, decibel, psnr, similarity, squared_error, ssim


def picture(height: int = 20, width: int = 17, seed: int = 0) -> Tensor:
    return torch.randint(256, (3, height, width), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def ssim_at(x: Tensor, y: Tensor) -> float:
    """One window of one channel, 11 x 11: eq. 13 of Wang et al. 2004, sums as they stand there."""
    square = torch.arange(-5, 6, dtype=torch.float64) ** 2
    weight = torch.exp(-(square[:, None] + square[None, :]) / (2 * 1.5**2))
    w, x, y = weight / weight.sum(), x.double(), y.double()
    mu_x, mu_y = (w * x).sum(), (w * y).sum()
    var_x, var_y, cov = (w * (x - mu_x) ** 2).sum(), (w * (y - mu_y) ** 2).sum(), (w * (x - mu_x) * (y - mu_y)).sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return float((2 * mu_x * mu_y + c1) * (2 * cov + c2) / ((mu_x**2 + mu_y**2 + c1) * (var_x + var_y + c2)))


def test_psnr_of_a_known_error():
    truth = torch.zeros(3, 4, 5)
    assert psnr(truth + 255, truth) == pytest.approx(0) and psnr(truth + 25.5, truth) == pytest.approx(20)
    assert psnr(truth + 0.2, truth, span=2) == pytest.approx(20)


def test_equal_pictures_have_the_highest_of_all():
    assert psnr(picture(), picture()) == pytest.approx(138.13, abs=0.01) == decibel(0, span=2)
    assert ssim(picture(), picture()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("measure", [psnr, ssim])
def test_both_are_symmetric_and_mirrors_change_nothing(measure):
    x, y = picture(), picture(seed=1)
    assert measure(x, y) == pytest.approx(measure(y, x)) == pytest.approx(measure(x.flip(-1), y.flip(-1)))


@pytest.mark.parametrize("measure", [psnr, ssim])
def test_more_noise_is_worse(measure):
    x, noise = picture().double(), torch.randn(3, 20, 17, generator=torch.Generator().manual_seed(2))
    assert measure(x, x + noise) > measure(x, x + 10 * noise) > measure(x, x + 50 * noise)


@pytest.mark.parametrize("measure", [psnr, ssim])
def test_a_mask_of_everything_is_none_and_one_of_nothing_says_nothing(measure):
    x, y, every = picture(), picture(seed=1), torch.ones(20, 17, dtype=torch.bool)
    assert measure(x, y, every) == pytest.approx(measure(x, y))
    assert math.isnan(measure(x, y, ~every))


def test_within_a_mask_what_is_outside_does_not_count():
    x, inside = picture(), torch.zeros(20, 17, dtype=torch.bool)
    inside[6:9, 5:9] = True
    y = torch.where(inside, x, 255 - x)
    assert psnr(x, y, inside) > 130 > 20 > psnr(x, y)
    y = x.clone()
    y[:, 6:9, 5:9] = 0
    assert psnr(x, y, inside) == pytest.approx(decibel(float(x[:, 6:9, 5:9].double().square().mean())))


def test_ssim_is_its_formula_in_each_window():
    x, y = picture(12, 13), picture(12, 13, seed=1)
    windows = [(i, j, c) for i in range(2) for j in range(3) for c in range(3)]
    expected = sum(ssim_at(x[c, i : i + 11, j : j + 11], y[c, i : i + 11, j : j + 11]) for i, j, c in windows) / len(
        windows
    )
    assert ssim(x, y) == pytest.approx(expected, abs=1e-12)
    one = torch.zeros(12, 13, dtype=torch.bool)
    one[5, 6] = True  # the window around it begins in row 0, column 1
    assert ssim(x, y, one) == pytest.approx(
        sum(ssim_at(x[c, :11, 1:12], y[c, :11, 1:12]) for c in range(3)) / 3, abs=1e-12
    )


def test_a_change_of_colour_alone_is_seen():
    red = torch.zeros(3, 16, 16)
    red[0] = 100
    assert ssim(red, red.roll(1, 0)) < 0.5


def test_pools_of_pictures_add_up_to_the_pool_of_their_pixels():
    x, y = picture(40), picture(40, seed=1)
    assert squared_error(x[:, :15], y[:, :15]) + squared_error(x[:, 15:], y[:, 15:]) == squared_error(x, y)
    assert sum((Pool(1, 2), Pool(3, 4)), Pool()) == Pool(4, 6) and math.isnan(Pool().mean)
    assert similarity(x, y).count == 30 * 7


def test_what_cannot_be_compared():
    with pytest.raises(InputError, match="pictures of 17 x 20 and 17 x 21 px; they must be of one size"):
        psnr(picture(), picture(21))
    with pytest.raises(InputError, match="pictures of 9 x 9 and 17 x 20 px"):
        ssim(picture(), picture(), torch.ones(9, 9, dtype=torch.bool))
    with pytest.raises(InputError, match="a picture of 17 x 10 px; SSIM needs 11 px a side, its window: use PSNR"):
        ssim(picture(10), picture(10))
