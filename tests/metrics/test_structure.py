"""Laws of the measures of structure."""

from __future__ import annotations

import pytest
import torch

from structkit.metrics.structure import (
    contrast_agreement,
    edge_agreement,
    explained_structure,
    patch_distance,
)


@pytest.fixture
def picture() -> torch.Tensor:
    noise = torch.randn(1, 3, 12, 16, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(noise, size=(48, 64), mode="bicubic").clamp(-1, 1)


def other(picture: torch.Tensor) -> torch.Tensor:
    return picture.flip(-1).roll(11, -2)


def recoloured(picture: torch.Tensor) -> torch.Tensor:
    return 0.5 * picture[:, [2, 0, 1]] * torch.tensor([1.0, -1.0, 1.0])[None, :, None, None] + 0.2


def test_a_picture_explains_itself_in_any_colours(picture):
    swapped = recoloured(picture)
    assert explained_structure(picture, picture) > 0.99
    assert explained_structure(picture, swapped) > 0.99
    assert explained_structure(picture, other(picture)) < 0.4


def test_a_flat_result_explains_nothing(picture):
    assert abs(explained_structure(picture, torch.zeros_like(picture))) < 1e-3


def test_edges_agree_with_themselves_and_their_negative(picture):
    assert edge_agreement(picture, picture) == pytest.approx(1, abs=1e-5)
    assert edge_agreement(picture, -picture) == pytest.approx(1, abs=1e-5)
    assert edge_agreement(picture, picture.transpose(-1, -2)[..., :48, :].new_zeros(picture.shape)) == 0


def test_edges_at_a_right_angle_disagree():
    stripes = torch.sin(torch.arange(64) / 3).expand(1, 3, 64, 64)
    assert edge_agreement(stripes, stripes.transpose(-1, -2)) == pytest.approx(-1, abs=1e-4)


def test_patches_of_the_target_are_at_no_distance(picture):
    assert patch_distance(picture[..., 5:30, 7:40], picture) == 0
    assert patch_distance(other(picture), picture) > 0.05


def areas(height: int = 40, width: int = 48, *, seed: int = 0) -> torch.Tensor:
    """Three areas of one colour each, side by side, and a little noise."""
    colours = torch.tensor([[0.7, -0.6, 0.0], [-0.2, 0.8, -0.7], [0.1, 0.0, 0.9]]).T
    flat = colours.repeat_interleave(width // 3, 1)[None, :, None].expand(1, 3, height, width)
    return flat + 0.03 * torch.randn(flat.shape, generator=torch.Generator().manual_seed(seed))


def with_dot(picture: torch.Tensor, row: int, column: int, side: int = 3) -> torch.Tensor:
    dotted = picture.clone()
    dotted[..., row : row + side, column : column + side] = 1.0
    return dotted


def test_contrast_agrees_whatever_the_colours_are(picture):
    dotted = with_dot(picture, 10, 12)
    assert contrast_agreement(dotted, dotted) == pytest.approx(1, abs=1e-5)
    assert contrast_agreement(dotted, -dotted) == pytest.approx(1, abs=1e-5)
    assert contrast_agreement(dotted, 0.5 * dotted[:, [2, 0, 1]] + 0.2) == pytest.approx(1, abs=1e-4)


def test_a_small_dot_that_is_lost_or_elsewhere_is_missed():
    face = with_dot(with_dot(areas(40, 48), 14, 22), 14, 28)
    lost, moved = with_dot(areas(40, 48), 14, 22), with_dot(with_dot(areas(40, 48), 14, 22), 28, 28)
    assert contrast_agreement(face, face) > contrast_agreement(face, lost) + 0.03
    assert contrast_agreement(face, lost) > contrast_agreement(face, moved)
    # Where all else is the same, explained structure hardly misses it.
    assert explained_structure(face, lost) > 0.9


def test_contrast_of_flat_pictures_agrees_with_nothing():
    flat = torch.full((1, 3, 40, 48), 0.3)
    assert 0 <= contrast_agreement(flat, flat) < 0.1 and 0 <= contrast_agreement(with_dot(flat, 9, 9), flat) < 0.1
