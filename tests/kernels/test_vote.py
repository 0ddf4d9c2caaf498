"""Voting is a mean: of nothing but what covers the pixel, and of all of it."""

import math

import pytest
import torch

from structkit.errors import OptionError
from structkit.kernels.patches import patch_grid
from structkit.kernels.vote import profile, vote, vote_reference

CASES = [
    ((9, 12), (11, 8), 7),
    ((7, 7), (20, 7), 7),
    ((5, 8), (3, 4), 1),
    ((6, 9), (9, 9), (2, 5)),
    ((4, 6, 7), (5, 6, 9), (3, 5, 4)),
    ((8,), (30,), 3),
]
cases = pytest.mark.parametrize(("source", "target", "patch"), CASES)
windows = pytest.mark.parametrize("window", [None, "gaussian"])


def field(source, target, patch, seed=0):
    """A random image of sides `source`, and a random choice of its patches for each position of an image of sides
    `target`.
    """
    g = torch.Generator().manual_seed(seed)
    grid = patch_grid(target, patch)
    index = torch.randint(math.prod(patch_grid(source, patch)), (math.prod(grid),), generator=g)
    return torch.rand(3, *source, generator=g) * 2 - 1, index, grid


@windows
@pytest.mark.parametrize(
    ("source", "target", "patch"), [case for case in CASES if len(case[0]) == 2 and isinstance(case[2], int)]
)
def test_it_equals_folding_a_table_of_patches(source, target, patch, window):
    values, index, grid = field(source, target, patch)
    expected = vote_reference(values, index, grid, patch=patch, window=window)
    assert torch.equal(vote(values, index, grid, patch=patch, window=window), expected)


@windows
@cases
def test_an_images_own_patches_vote_for_it_exactly(source, target, patch, window):
    values, _, _ = field(source, target, patch)
    grid = patch_grid(source, patch)
    assert torch.equal(vote(values, torch.arange(math.prod(grid)), grid, patch=patch, window=window), values)


@windows
@cases
def test_the_result_lies_among_the_values_and_a_constant_stays(source, target, patch, window):
    values, index, grid = field(source, target, patch)
    result = vote(values, index, grid, patch=patch, window=window)
    assert result.shape == (3, *target) and result.is_contiguous()
    assert (result.amin(tuple(range(1, result.dim()))) >= values.flatten(1).amin(1)).all()
    assert (result.amax(tuple(range(1, result.dim()))) <= values.flatten(1).amax(1)).all()
    constant = torch.full_like(values, 0.3)
    assert torch.equal(vote(constant, index, grid, patch=patch, window=window), torch.full((3, *target), 0.3))


def test_it_is_linear_in_the_values_and_keeps_channels_apart():
    values, index, grid = field((9, 12), (11, 8), 7)
    other = field((9, 12), (11, 8), 7, seed=1)[0]
    mix = vote(values * 0.25 + other, index, grid, patch=7)
    torch.testing.assert_close(mix, vote(values, index, grid, patch=7) * 0.25 + vote(other, index, grid, patch=7))
    assert torch.equal(vote(values[1:2], index, grid, patch=7)[0], vote(values, index, grid, patch=7)[1])


def test_patches_of_one_pixel_copy_the_chosen_pixels():
    values, index, grid = field((5, 8), (3, 4), 1)
    assert torch.equal(vote(values, index, grid, patch=1), values.flatten(1)[:, index].reshape(3, 3, 4))


def test_the_gaussian_window_falls_to_0_84_at_the_edge():
    line = profile(7, "gaussian", torch.device("cpu"))
    torch.testing.assert_close(
        line[[0, 3, 6]], torch.tensor([0.8411, 1.0, 0.8411], dtype=torch.float64), atol=1e-4, rtol=0
    )
    assert profile(7, None, torch.device("cpu")).tolist() == [1.0] * 7


def test_errors_name_the_fact():
    values, index, grid = field((9, 12), (11, 8), 7)
    with pytest.raises(OptionError, match=r"9 indices for a grid of \(5, 2\) patches: expected one per patch"):
        vote(values, index[:9], grid, patch=7)
    with pytest.raises(OptionError, match="vote window is 'median': choose None or 'gaussian'"):
        vote(values, index, grid, patch=7, window="median")
    with pytest.raises(OptionError, match="a vote with patch 99 of an image that has 18"):
        vote(values, index * 0 + 99, grid, patch=7)
