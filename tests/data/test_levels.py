"""The levels of structural analogy's pyramids."""

from __future__ import annotations

import pytest
import torch

from structkit.data.levels import level_shapes, level_sides, levels, rise

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
