"""The levels of structural analogy's pyramids."""

from __future__ import annotations

import pytest
import torch

from structkit.data.levels import in_time, level_frames, level_shapes, level_sides, levels, rise
from structkit.errors import OptionError

PUBLISHED = {
    (220, 18): [19, 24, 30, 39, 49, 63, 81, 104, 134, 172, 220],
    (220, 25): [25, 32, 41, 52, 66, 84, 107, 136, 173, 220],
    (220, 22): [22, 28, 35, 44, 56, 70, 88, 111, 139, 175, 220],
    (220, 12): [12, 16, 20, 25, 32, 41, 52, 66, 84, 107, 136, 173, 220],
    (256, 18): [18, 24, 31, 40, 53, 68, 89, 116, 151, 197, 256],
    (128, 18): [18, 24, 30, 38, 48, 62, 79, 101, 128],
    (96, 18): [18, 23, 30, 37, 47, 60, 76, 96],
    (400, 18): [19, 25, 34, 46, 63, 85, 116, 158, 216, 294, 400],
}


@pytest.mark.parametrize(("size", "coarsest"), PUBLISHED)
def test_the_sides_are_the_authors(size, coarsest):
    assert level_sides(size, coarsest) == PUBLISHED[size, coarsest]


@pytest.mark.parametrize("aspect", [0.25, 1.0, 1.7, 4.0])
def test_a_rectangle_has_the_squares_area_at_every_level(aspect):
    for (height, width), side in zip(level_shapes(220, 40, aspect), level_sides(220, 40), strict=True):
        assert height * width == pytest.approx(side**2, rel=0.04)
        assert width / height == pytest.approx(aspect, rel=0.04)


def test_widths_heights_and_frames_of_a_clip_are_the_authors():
    """HP-VAE-GAN's defaults: 13 frames of 256 x 144 px, from 32 px on, every 4th, 3rd, 2nd frame and all."""
    frames = level_frames(13, (4, 3, 2, 1), 10)
    assert frames == [4, 4, 4, 5, 5, 5, 7, 7, 7, 13]
    heights, widths = [18, 23, 28, 36, 45, 57, 72, 91, 114, 144], [33, 41, 51, 65, 81, 102, 129, 162, 204, 256]
    shapes = level_shapes(256, 32, 256 / 144, largest=256, by="width", frames=frames)
    assert shapes == list(zip(frames, heights, widths, strict=True))
    assert level_sides(64, 16, largest=64) == [17, 21, 26, 33, 41, 51, 64]
    assert [(13 - 1) // (t - 1) for t in level_frames(13, (4, 3, 2, 1), 7)] == [4, 4, 3, 3, 2, 2, 1]


def test_a_clip_of_one_frame_has_the_pictures_shapes():
    frames = level_frames(1, (4, 3, 2, 1), len(level_sides(220, 40)))
    assert level_shapes(220, 40, 1.7, frames=frames) == [(1, *shape) for shape in level_shapes(220, 40, 1.7)]


@pytest.mark.parametrize(("count", "last"), [(1, None), (5, None), (9, 3), (4, 0)])
def test_frames_never_fall_and_all_are_shown_from_the_last_level_on(count, last):
    frames = level_frames(25, (4, 2, 1), count, last=last)
    assert frames == sorted(frames) and len(frames) == count
    assert set(frames[count - 1 if last is None else last :]) == {25}


def test_a_picture_no_larger_than_the_coarsest_level_still_has_two():
    assert level_sides(24, 24) == [24, 24]


def test_every_level_is_made_from_the_original_and_a_constant_stays_one():
    picture = torch.rand(1, 3, 30, 40)
    small, same = levels(picture, [(7, 9), (30, 40)])
    assert small.shape == (1, 3, 7, 9) and torch.equal(same, picture)
    assert torch.allclose(levels(torch.full((1, 3, 30, 40), 0.3), [(7, 9)])[0], torch.tensor(0.3))


def test_rising_clamps_before_and_after():
    steep = torch.where(torch.arange(12) < 6, -3.0, 3.0).expand(1, 1, 12, 12)
    risen = rise(steep, (20, 17))
    assert risen.shape == (1, 1, 20, 17) and risen.min() == -1 and risen.max() == 1
    torch.testing.assert_close(risen, rise(steep.clamp(-1, 1), (20, 17)))


def clip(frames: int, height: int, width: int) -> torch.Tensor:
    return torch.rand(2, 3, frames, height, width, generator=torch.Generator().manual_seed(0)) * 2.4 - 1.2


@pytest.mark.parametrize("shape", [(7, 9), (30, 40), (41, 33)])
def test_a_clip_of_one_frame_gives_the_pictures_bits(shape):
    one = clip(1, 30, 40)
    assert torch.equal(levels(one, [(1, *shape)])[0][:, :, 0], levels(one[:, :, 0], [shape])[0])
    assert torch.equal(rise(one, (1, *shape))[:, :, 0], rise(one[:, :, 0], shape))


def test_each_frame_of_a_level_is_that_of_the_picture_and_the_first_and_last_stay():
    long = clip(13, 12, 16)
    for every, count in ((4, 4), (3, 5), (2, 7), (1, 13)):
        [level] = levels(long, [(count, 6, 9)])
        assert torch.equal(level[:, :, -1], levels(long[:, :, -1], [(6, 9)])[0])
        assert torch.equal(level, torch.stack([levels(one, [(6, 9)])[0] for one in long[:, :, ::every].unbind(2)], 2))


def test_levels_of_a_constant_or_even_motion_stay_so_in_time():
    even = torch.arange(5.0).view(1, 1, 5, 1, 1).expand(1, 2, 5, 4, 4) / 5
    for frames in (1, 2, 3, 4, 5, 9, 14):
        expected = torch.linspace(0, 4 / 5, frames).view(1, 1, frames, 1, 1).expand(1, 2, frames, 4, 4)
        torch.testing.assert_close(in_time(even, frames), expected)
    assert torch.equal(in_time(in_time(even, 9), 5), even)


def test_a_risen_clip_passes_through_the_frames_that_it_rose_from():
    low = clip(7, 8, 9)
    risen = rise(low, (13, 11, 10))
    assert risen.shape == (2, 3, 13, 11, 10) and risen.abs().max() <= 1
    assert torch.equal(risen[:, :, ::2], torch.stack([rise(one, (11, 10)) for one in low.unbind(2)], 2))
    torch.testing.assert_close(rise(low.flip(2), (13, 11, 10)), risen.flip(2))


def test_errors_name_the_fact_and_the_way_out():
    with pytest.raises(OptionError, match="12 frames cannot be cut into steps of 4, 3, 2, 1: take 1, 13, 25 or more"):
        level_frames(12, (4, 3, 2, 1), 10)
    with pytest.raises(OptionError, match="frames of 3 levels for a pyramid of 7: give one number per level"):
        level_shapes(64, 16, 1.0, largest=64, frames=(1, 2, 3))
