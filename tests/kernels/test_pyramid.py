"""Resampling states its laws: what it preserves, what it commutes with, and whom it agrees with."""

import pytest
import torch
import torch.nn.functional as F

from structkit.errors import OptionError
from structkit.kernels.pyramid import axis_weights, pyramid_shapes, resize, resize_reference

SIZES = [(31, 47), (20, 50), (5, 7), (64, 13), (1, 1), (47, 31), (30, 47)]
paths = pytest.mark.parametrize("path", [resize, resize_reference])
sizes = pytest.mark.parametrize("size", SIZES)


def picture(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@paths
@sizes
def test_the_size_is_exact_and_constants_stay(path, size):
    result = path(torch.full((2, 3, 31, 47), 0.7), size)
    assert result.shape == (2, 3, *size)
    torch.testing.assert_close(result, torch.full_like(result, 0.7), atol=1e-6, rtol=0)


@paths
def test_the_same_size_is_the_identity(path):
    images = picture(2, 3, 31, 47)
    assert torch.equal(path(images, (31, 47)), images)


@paths
@pytest.mark.parametrize("target", [20, 24, 36, 53, 96])
def test_ramps_stay_ramps_away_from_the_borders(path, target):
    ramp = torch.linspace(-1, 1, 48).expand(1, 1, 5, 48)
    centres = (torch.arange(target) + 0.5) * 48 / target - 0.5
    expected, margin = (
        centres / 47 * 2 - 1,
        -(-target // 16) + 2,
    )  # two pixels of support, source or target, and one of rounding
    result = path(ramp, (5, target))[0, 0, 2]
    # The kernel is sampled, so that shrinking by a factor that is no integer bends a ramp by a fraction of a grey
    # level.
    torch.testing.assert_close(result[margin:-margin], expected[margin:-margin], atol=2e-3, rtol=0)


@paths
@sizes
def test_it_commutes_with_mirroring(path, size):
    images = picture(1, 3, 31, 47)
    for axis in (-1, -2):
        torch.testing.assert_close(path(images.flip(axis), size), path(images, size).flip(axis), atol=1e-5, rtol=0)


@paths
@sizes
def test_axes_are_resampled_one_by_one(path, size):
    images = picture(1, 3, 31, 47)
    torch.testing.assert_close(path(path(images, (size[0], 47)), size), path(images, size), atol=1e-5, rtol=0)


@paths
@sizes
def test_it_is_pytorchs_antialiased_cubic(path, size):
    images = picture(1, 3, 31, 47)
    torch.testing.assert_close(
        path(images, size), F.interpolate(images, size, mode="bicubic", antialias=True), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("size", [(3, 20, 50), (9, 31, 47), (6, 40, 12)])
def test_time_is_one_more_axis(size):
    clip = picture(2, 3, 6, 31, 47)
    torch.testing.assert_close(resize(clip, size), resize_reference(clip, size), atol=1e-5, rtol=0)
    swapped = resize(clip.transpose(2, 3).contiguous(), (size[1], size[0], size[2])).transpose(2, 3)
    torch.testing.assert_close(resize(clip, size), swapped, atol=1e-5, rtol=0)


@paths
@sizes
def test_a_clip_of_one_frame_gives_the_pictures_bits(path, size):
    images = picture(2, 3, 31, 47)
    assert torch.equal(path(images[:, :, None], (1, *size))[:, :, 0], path(images, size))


@paths
def test_shrinking_keeps_the_mean(path):
    images = picture(1, 3, 48, 64)
    torch.testing.assert_close(path(images, (24, 32)).mean(), images.mean(), atol=5e-3, rtol=0)


def test_each_row_of_weights_is_the_mirror_of_its_opposite():
    for length, target in [(47, 20), (20, 47), (7, 1), (1, 7)]:
        weights = axis_weights(length, target)
        assert weights.dtype == torch.float64 and weights.shape == (target, length)
        torch.testing.assert_close(weights, weights.flip(0, 1), atol=1e-14, rtol=0)
        torch.testing.assert_close(weights.sum(1), torch.ones(target, dtype=torch.float64))


@paths
@pytest.mark.parametrize("size", [(4, 9), (9, 5), (7, 6)])
def test_gradients(path, size):
    images = picture(1, 2, 7, 6).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: path(x, size), images)


def test_levels_run_from_the_coarsest_to_the_full_size():
    assert pyramid_shapes((188, 250), ratio=0.75, coarsest=28)[0] == (25, 33)
    sizes = pyramid_shapes((180, 250), ratio=0.75, coarsest=24)
    assert sizes[-1] == (180, 250)
    assert sizes == [(round(180 * 0.75**n), round(250 * 0.75**n)) for n in range(len(sizes) - 1, -1, -1)]


@pytest.mark.parametrize("coarsest", [1, 2, 9, 14, 28, 63, 97])
@pytest.mark.parametrize("ratio", [0.5, 0.75, 0.9])
def test_no_other_number_of_levels_comes_nearer_to_the_coarsest_side(coarsest, ratio):
    short = [100 * ratio**n for n in range(60)]
    levels = pyramid_shapes((100, 130), ratio=ratio, coarsest=coarsest)
    assert abs(short[len(levels) - 1] - coarsest) == min(abs(side - coarsest) for side in short)
    assert min(min(size) for size in levels) >= 1


def test_a_picture_no_larger_than_the_coarsest_level_has_one_level():
    assert pyramid_shapes((20, 90), ratio=0.75, coarsest=28) == [(20, 90)]
    assert pyramid_shapes((28, 90), ratio=0.75, coarsest=28) == [(28, 90)]
    assert pyramid_shapes((1, 1), ratio=0.5, coarsest=1) == [(1, 1)]


def test_errors_name_the_fact_and_the_limit():
    with pytest.raises(OptionError, match="ratio between pyramid levels is 1: it must lie between 0 and 1"):
        pyramid_shapes((10, 10), ratio=1.0, coarsest=4)
    with pytest.raises(OptionError, match="every side must be at least 1 px"):
        pyramid_shapes((10, 10), ratio=0.5, coarsest=0)
    with pytest.raises(OptionError, match=r"cannot resize \(1, 3, 4, 4\) to \(0, 4\): every side must be at least 1"):
        resize(torch.zeros(1, 3, 4, 4), (0, 4))
    with pytest.raises(OptionError, match="as many sides as space has axes"):
        resize(torch.zeros(1, 3, 4, 4), (4, 4, 4))
