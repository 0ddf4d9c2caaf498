"""Squares: what the way there and the way back preserve."""

from __future__ import annotations

import math

import pytest
import torch

from structkit.data import squares
from structkit.data.squares import FITS, LargeFields, from_square, strips, to_square, to_square_by_rows, window
from structkit.errors import OptionError
from structkit.kernels.pyramid import resize

SHAPES = [(32, 32), (40, 32), (32, 41), (7, 5), (1, 1), (1, 2), (33, 90)]
fits = pytest.mark.parametrize("fit", FITS)
shapes = pytest.mark.parametrize("shape", SHAPES)


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def smooth(height: int, width: int) -> torch.Tensor:
    """(1, 3, height, width): half a wave along each axis."""
    y, x = torch.meshgrid(*(torch.linspace(0, math.pi, n) for n in (height, width)), indexing="ij")
    return torch.stack([y.cos(), x.cos(), y.sin() * x.sin()])[None]


@fits
@shapes
@pytest.mark.parametrize("size", [16, 32, 50])
def test_a_constant_stays_constant(fit, shape, size):
    square = to_square(torch.full((2, 3, *shape), 0.3), size, fit)
    assert square.shape == (2, 3, size, size)
    torch.testing.assert_close(square, torch.full_like(square, 0.3), atol=1e-6, rtol=0)


@fits
@shapes
def test_mirroring_commutes_both_ways(fit, shape):
    images, fields = noise(1, 3, *shape), noise(1, 4, 16, 16)
    for axis in (-1, -2):
        torch.testing.assert_close(
            to_square(images.flip(axis), 16, fit), to_square(images, 16, fit).flip(axis), atol=1e-5, rtol=0
        )
        torch.testing.assert_close(
            from_square(fields.flip(axis), shape, fit), from_square(fields, shape, fit).flip(axis), atol=1e-5, rtol=0
        )


@fits
@pytest.mark.parametrize("shape", [(64, 64), (80, 64), (64, 99), (300, 200)])
def test_what_is_smooth_comes_back(fit, shape):
    picture = smooth(*shape)
    back = from_square(to_square(picture, 64, fit), shape, fit)
    top, left, height, width = window(shape, fit)
    seen = (..., slice(top, top + height), slice(left, left + width))
    torch.testing.assert_close(back[seen], picture[seen], atol=0.02, rtol=0)


@fits
def test_a_square_of_the_same_size_is_itself(fit):
    images = noise(2, 3, 16, 16)
    assert torch.equal(to_square(images, 16, fit), images) and torch.equal(from_square(images, (16, 16), fit), images)


@pytest.mark.parametrize("side", [5, 32, 77])
def test_the_crop_of_a_square_is_its_squash(side):
    images, fields = noise(1, 3, side, side), noise(1, 1, 16, 16)
    assert torch.equal(to_square(images, 16, "crop"), to_square(images, 16, "squash"))
    assert torch.equal(from_square(fields, (side, side), "crop"), from_square(fields, (side, side), "squash"))


@shapes
def test_the_crop_is_the_largest_square_in_the_middle(shape):
    top, left, height, width = window(shape, "crop")
    assert 2 * top + height == shape[0] and 2 * left + width == shape[1]
    assert min(height, width) == min(shape) and max(height, width) <= min(shape) + 1
    assert window(shape, "squash") == (0, 0, *shape)


@shapes
def test_outside_the_crop_there_is_nothing(shape):
    images = noise(1, 3, *shape)
    top, left, height, width = window(shape, "crop")
    inside = torch.zeros(shape, dtype=torch.bool)
    inside[top : top + height, left : left + width] = True
    assert torch.equal(from_square(torch.ones(1, 2, 8, 8), shape, "crop") != 0, inside.expand(1, 2, *shape))
    assert torch.equal(to_square(torch.where(inside, images, 0), 8, "crop"), to_square(images, 8, "crop"))


def test_ringing_never_leaves_the_range_on_the_way_there():
    steps = torch.where(torch.arange(9) < 4, -1.0, 1.0).expand(1, 3, 9, 9)
    assert resize(steps, (20, 20)).max() > 1
    assert to_square(steps, 20, "squash").abs().max() == 1


@fits
def test_gradients_flow_both_ways(fit):
    images = noise(1, 1, 5, 8).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: from_square(to_square(x / 2, 4, fit), (5, 8), fit), images)


LARGE = [(97, 61), (61, 97), (16, 16), (300, 3), (3, 300), (1, 90), (90, 1), (1, 91), (16, 99), (99, 16)]


@fits
@pytest.mark.parametrize("shape", LARGE)
@pytest.mark.parametrize("size", [8, 16])
@pytest.mark.parametrize(("pixels", "columns"), [(50, 1), (333, 5), (2000, 16)])
def test_by_strips_every_bit_is_the_same(monkeypatch, fit, shape, size, pixels, columns):
    monkeypatch.setattr(squares, "STRIP", pixels)
    monkeypatch.setattr(squares, "LEAST_COLUMNS", columns)
    picture, fields = noise(1, 3, *shape), noise(1, 4, size, size)
    assert torch.equal(
        to_square_by_rows(lambda rows: picture[..., rows, :], shape, size, fit), to_square(picture, size, fit)
    )
    large, whole = LargeFields(fields, shape, fit), from_square(fields, shape, fit)
    assert torch.equal(torch.cat([large.columns(part) for part in large.strips], 3), whole)
    for part in large.strips:
        assert torch.equal(large.columns(part, slice(0, 1)), whole[:, :1, :, part])


@pytest.mark.parametrize(("length", "most"), [(1, 1), (7, 3), (8, 4), (9, 100), (100, 7)])
def test_strips_are_the_whole_in_its_order_and_none_is_empty_or_over_the_limit(length, most):
    parts = strips(length, most)
    assert [i for part in parts for i in range(length)[part]] == list(range(length))
    assert all(1 <= part.stop - part.start <= most for part in parts) and len(parts) == math.ceil(length / most)


def test_an_unknown_fit_is_an_error_that_names_the_choices():
    for call in (lambda: to_square(noise(1, 3, 4, 4), 4, "pad"), lambda: from_square(noise(1, 3, 4, 4), (4, 4), "pad")):
        with pytest.raises(OptionError, match=r"^--fit is 'pad': choose one of squash, crop$"):
            call()
