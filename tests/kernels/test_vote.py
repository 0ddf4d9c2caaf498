"""Voting is a mean: of nothing but what covers the pixel, and of all of it."""

import math

import pytest
import torch

from structkit.errors import OptionError
from structkit.kernels.patches import extract, patch_grid
from structkit.kernels.vote import vote, vote_reference

CASES = [
    ((9, 12), (11, 8), 7),
    ((7, 7), (20, 7), 7),
    ((5, 8), (3, 4), 1),
    ((6, 9), (9, 9), (2, 5)),
    ((4, 6, 7), (5, 6, 9), (3, 5, 4)),
    ((8,), (30,), 3),
]
cases = pytest.mark.parametrize(("source", "target", "patch"), CASES)


def field(source, target, patch, seed=0):
    """A random image of sides `source`, and a random choice of its patches for each position of an image of sides
    `target`.
    """
    g = torch.Generator().manual_seed(seed)
    grid = patch_grid(target, patch)
    index = torch.randint(math.prod(patch_grid(source, patch)), (math.prod(grid),), generator=g)
    return torch.rand(3, *source, generator=g) * 2 - 1, index, grid


@pytest.mark.parametrize(("source", "target", "patch"), [case for case in CASES if len(case[0]) == 2])
def test_it_equals_folding_a_table_of_patches(source, target, patch):
    values, index, grid = field(source, target, patch)
    expected = vote_reference(values, index, grid, patch=patch)
    assert torch.equal(vote(values, index, grid, patch=patch), expected)


@pytest.mark.parametrize(("source", "target", "patch"), [case for case in CASES if len(case[0]) == 2])
def test_weighted_it_equals_folding_a_weighted_table(source, target, patch):
    values, index, grid = field(source, target, patch)
    weights = torch.rand(index.numel(), generator=torch.Generator().manual_seed(1)) + 0.01
    expected = vote_reference(values, index, grid, patch=patch, weights=weights)
    torch.testing.assert_close(vote(values, index, grid, patch=patch, weights=weights), expected, rtol=0, atol=1e-7)


@cases
def test_equal_weights_give_the_mean_and_own_patches_the_image(source, target, patch):
    values, index, grid = field(source, target, patch)
    alike = torch.full((index.numel(),), 0.7)
    plain = vote(values, index, grid, patch=patch)
    torch.testing.assert_close(vote(values, index, grid, patch=patch, weights=alike), plain, rtol=0, atol=1e-7)
    own = patch_grid(source, patch)
    weights = torch.rand(math.prod(own)) + 0.01
    assert torch.equal(vote(values, torch.arange(math.prod(own)), own, patch=patch, weights=weights), values)


def test_a_patch_of_far_greater_weight_is_seen_as_it_is():
    values, index, grid = field((9, 12), (11, 8), 7)
    weights = torch.full((index.numel(),), 1e-9)
    weights[0] = 1
    made = vote(values, index, grid, patch=7, weights=weights)
    chosen = extract(values, 7)[index[0]].view(3, 7, 7)
    torch.testing.assert_close(made[:, :7, :7], chosen, rtol=0, atol=1e-6)


@cases
def test_an_images_own_patches_vote_for_it_exactly(source, target, patch):
    values, _, _ = field(source, target, patch)
    grid = patch_grid(source, patch)
    assert torch.equal(vote(values, torch.arange(math.prod(grid)), grid, patch=patch), values)


@cases
def test_the_result_lies_among_the_values_and_a_constant_stays(source, target, patch):
    values, index, grid = field(source, target, patch)
    result = vote(values, index, grid, patch=patch)
    assert result.shape == (3, *target) and result.is_contiguous()
    assert (result.amin(tuple(range(1, result.dim()))) >= values.flatten(1).amin(1)).all()
    assert (result.amax(tuple(range(1, result.dim()))) <= values.flatten(1).amax(1)).all()
    constant = torch.full_like(values, 0.3)
    assert torch.equal(vote(constant, index, grid, patch=patch), torch.full((3, *target), 0.3))


def test_it_is_linear_in_the_values_and_keeps_channels_apart():
    values, index, grid = field((9, 12), (11, 8), 7)
    other = field((9, 12), (11, 8), 7, seed=1)[0]
    mix = vote(values * 0.25 + other, index, grid, patch=7)
    torch.testing.assert_close(mix, vote(values, index, grid, patch=7) * 0.25 + vote(other, index, grid, patch=7))
    assert torch.equal(vote(values[1:2], index, grid, patch=7)[0], vote(values, index, grid, patch=7)[1])


def test_patches_of_one_pixel_copy_the_chosen_pixels():
    values, index, grid = field((5, 8), (3, 4), 1)
    assert torch.equal(vote(values, index, grid, patch=1), values.flatten(1)[:, index].reshape(3, 3, 4))


@pytest.mark.parametrize("patch", [3, (2, 5)])
def test_a_clip_of_one_frame_gives_the_pictures_bits(patch):
    values, index, grid = field((9, 12), (11, 8), patch)
    deep = (1, patch, patch) if isinstance(patch, int) else (1, *patch)
    assert torch.equal(
        vote(values[:, None], index, (1, *grid), patch=deep)[:, 0], vote(values, index, grid, patch=patch)
    )


def test_errors_name_the_fact():
    values, index, grid = field((9, 12), (11, 8), 7)
    with pytest.raises(OptionError, match=r"9 indices for a grid of \(5, 2\) patches: expected one per patch"):
        vote(values, index[:9], grid, patch=7)
    with pytest.raises(OptionError, match="a vote with patch 99 of an image that has 18"):
        vote(values, index * 0 + 99, grid, patch=7)
