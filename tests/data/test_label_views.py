"""Views of labelled pictures: labels go where pixels go, and colours change alone."""

from __future__ import annotations

import colorsys

import pytest
import torch

from structkit.data.label_views import blurred, coloured, placed


def numbers(*rows: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(rows)


def picture_of(labels: torch.Tensor) -> torch.Tensor:
    """Pictures whose grey says their class."""
    return (labels.float() / 10)[:, None].expand(-1, 3, -1, -1)


def random_labels(count: int = 1, height: int = 12, width: int = 16) -> torch.Tensor:
    return torch.randint(0, 5, (count, height, width), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def test_at_scale_1_a_view_is_the_picture_or_its_mirror_image():
    labels = random_labels(2)
    pictures = picture_of(labels)
    views, seen = placed(pictures, labels, numbers((0.9, 0.5, 0.1, 0.8), (0.1, 0.5, 0.3, 0.7)), (0.5, 1.5))
    torch.testing.assert_close(views, torch.stack([pictures[0], pictures[1].flip(-1)]), atol=1e-5, rtol=0)
    assert torch.equal(seen, torch.stack([labels[0], labels[1].flip(-1)]))


@pytest.mark.parametrize("row", [(0.9, 0.0, 0.3, 0.6), (0.2, 1.0, 0.9, 0.1), (0.7, 0.8, 0.0, 1.0)])
def test_labels_go_where_pixels_go(row):
    labels = torch.arange(5, dtype=torch.uint8).repeat_interleave(8).expand(1, 30, 40).contiguous()
    views, seen = placed(picture_of(labels), labels, numbers(row))
    known = seen != 255
    off = (views[:, 0] * 10 - seen.float()).abs()[known]
    assert off.max() <= 1.01  # between two classes both are there
    assert (off < 0.01).float().mean() > 0.8


def test_beyond_the_edges_pictures_go_on_and_labels_are_not_counted():
    labels = torch.ones(1, 10, 10, dtype=torch.uint8)
    views, seen = placed(picture_of(labels), labels, numbers((0.9, 0.0, 0.0, 0.5)), (0.5, 1.5))
    torch.testing.assert_close(views, torch.full_like(views, 0.1))
    assert 0.2 < (seen == 1).float().mean() < 0.3
    assert set(seen.unique().tolist()) == {1, 255}


def test_uncounted_pixels_stay_uncounted():
    labels = torch.full((1, 6, 6), 255, dtype=torch.uint8)
    labels[:, :3] = 0
    _, seen = placed(picture_of(labels), labels, numbers((0.9, 0.5, 0.5, 0.5)))
    assert torch.equal(seen, labels)


def test_middling_numbers_leave_colours_as_they_are():
    pictures = torch.rand(2, 3, 4, 5)
    torch.testing.assert_close(coloured(pictures, torch.full((2, 4), 0.5), (0.5, 0.5, 0.5, 0.2)), pictures)


def test_each_number_changes_its_own_property():
    pictures = 0.3 + 0.2 * torch.rand(1, 3, 6, 6)
    brighter, flatter, grey, turned = (
        coloured(pictures, torch.full((1, 4), 0.5).index_fill(1, torch.tensor(place), value), (0.5, 0.5, 1.0, 1 / 3))
        for place, value in ((0, 1.0), (1, 0.0), (2, 0.0), (3, 1.0))
    )
    torch.testing.assert_close(brighter, 1.5 * pictures)
    torch.testing.assert_close(flatter.std(), pictures.std() / 2, rtol=0.2, atol=0)
    torch.testing.assert_close(grey, grey[:, :1].expand_as(grey))
    # A third of a turn around the axis of greys exchanges the channels, but for the luminance that is kept.
    hue = [colorsys.rgb_to_hsv(*pixel)[0] for pixel in pictures.flatten(2)[0].T.tolist()]
    new = [colorsys.rgb_to_hsv(*pixel)[0] for pixel in turned.flatten(2)[0].T.tolist()]
    off = [min(abs(b - a - 1 / 3) % 1, 1 - abs(b - a - 1 / 3) % 1) for a, b in zip(hue, new, strict=True)]
    assert sum(off) / len(off) < 0.05


def test_half_of_the_pictures_are_blurred_and_keep_their_mean():
    pictures = torch.rand(2, 3, 20, 20)
    found = blurred(pictures, numbers((0.9, 1.0), (0.1, 1.0)))
    torch.testing.assert_close(found[0], pictures[0])
    assert found[1].std() < pictures[1].std() / 2
    torch.testing.assert_close(found[1].mean(), pictures[1].mean(), atol=0.02, rtol=0)
