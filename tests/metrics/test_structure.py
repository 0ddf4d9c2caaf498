"""Laws of the measures of structure."""

from __future__ import annotations

import pytest
import torch

from structkit.metrics.structure import edge_agreement, explained_structure, patch_distance


@pytest.fixture
def picture() -> torch.Tensor:
    noise = torch.randn(1, 3, 12, 16, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(noise, size=(48, 64), mode="bicubic").clamp(-1, 1)


def other(picture: torch.Tensor) -> torch.Tensor:
    return picture.flip(-1).roll(11, -2)


def test_a_picture_explains_itself_in_any_colours(picture):
    swapped = 0.5 * picture[:, [2, 0, 1]] * torch.tensor([1.0, -1.0, 1.0])[None, :, None, None] + 0.2
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
