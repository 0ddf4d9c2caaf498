"""Laws of novelty: the field of nearest patches, and what it says of copies."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from structkit.errors import InputError
from structkit.metrics import novelty
from structkit.metrics.novelty import SourceField, source_field


def noise(seed: int, frames: int = 6, height: int = 20, width: int = 24) -> torch.Tensor:
    return torch.rand(1, 3, frames, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def field(real: torch.Tensor, sample: torch.Tensor, seed: int = 0) -> SourceField:
    return source_field(real, sample, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def real() -> torch.Tensor:
    """Noise, and an area of one colour, whose patches are alike."""
    clip = noise(0)
    clip[..., :10, :10] = 0.25
    return clip


def test_a_copy_has_no_offsets_not_even_on_an_area_of_one_colour(real):
    found = field(real, real.clone())
    assert not found.offsets.any() and found.offsets.shape == (3, 4, 18, 22)
    assert (found.copied, found.mean_distance) == (1, 0)
    assert found.diversity < 0.01
    assert (found.picture() == 255).all()


def test_a_part_of_a_clip_is_copied_from_where_it_was_cut():
    clip = noise(0)
    found = field(clip, clip[:, :, 1:, 2:, 5:])
    at_place = (found.offsets == torch.tensor([1, 2, 5])[:, None, None, None]).all(0).double().mean()
    assert at_place > 0.97 and found.copied > 0.8 and found.diversity < 0.1
    assert found.mean_distance < 0.01


def test_two_noises_share_nothing():
    found = field(noise(0), noise(1))
    assert found.copied < 0.02 and found.diversity > 0.3 and found.mean_distance > 0.1


def test_the_figures_are_those_of_the_offsets():
    offsets = torch.zeros(3, 2, 4, 6, dtype=torch.int64)
    offsets[2, :, :, 3:] = -7
    half = SourceField(offsets, torch.ones(2, 4, 6))
    assert half.copied == pytest.approx(4 / 6)  # all but the two columns beside the seam
    offsets[:] = torch.from_numpy(np.random.default_rng(0).integers(-300, 300, offsets.shape))
    assert SourceField(offsets, torch.ones(2, 4, 6)).copied == 0
    assert SourceField(offsets + 256, torch.ones(2, 4, 6)).diversity == half.diversity  # a byte each


def test_the_distance_is_that_of_the_patches_at_the_offsets():
    real, sample = noise(0), noise(1, 5, 16, 18)
    found = field(real, sample)
    for place in [(0, 0, 0), (2, 5, 7), (2, 13, 15)]:
        source = [int(at + way) for at, way in zip(place, found.offsets[(slice(None), *place)], strict=True)]
        (t, y, x), (s, v, u) = place, source
        here, there = sample[..., t : t + 3, y : y + 3, x : x + 3], real[..., s : s + 3, v : v + 3, u : u + 3]
        assert found.distance[place] == pytest.approx(float((here - there).square().mean()), rel=1e-4)


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_a_sample_that_is_searched_for_in_parts_has_the_same_laws(monkeypatch, frames):
    monkeypatch.setattr(novelty, "WINDOW", frames * 20 * 24)
    clip = noise(0)
    assert not field(clip, clip.clone()).offsets.any()
    found = field(clip, clip[:, :, 1:, 2:, 5:])
    at_place = (found.offsets == torch.tensor([1, 2, 5])[:, None, None, None]).all(0).double().mean()
    assert found.offsets.shape == (3, 3, 16, 17) and at_place > 0.95


def test_frames_are_reduced_before_their_patches_are_searched_for(monkeypatch):
    monkeypatch.setattr(novelty, "WIDTH", 12)
    assert field(noise(0), noise(1)).offsets.shape == (3, 4, 8, 10)


def test_one_seed_has_one_field(real):
    sample = noise(1)
    assert torch.equal(field(real, sample).offsets, field(real, sample).offsets)


def test_a_picture_shows_the_frames_of_the_field_in_rows_and_copied_areas_in_one_colour():
    offsets = torch.zeros(3, 4, 5, 6, dtype=torch.int64)
    offsets[2, 1], offsets[1, 2], offsets[0, 3] = 4, 4, 2
    picture = SourceField(offsets, torch.zeros(4, 5, 6)).picture()
    assert picture.shape == (10, 12, 3) and picture.dtype == np.uint8
    frames = [picture[:5, :6], picture[:5, 6:], picture[5:, :6], picture[5:, 6:]]
    colours = [{tuple(pixel) for pixel in frame.reshape(-1, 3).tolist()} for frame in frames]
    assert all(len(colour) == 1 for colour in colours) and len(set.union(*colours)) == 4
    assert colours[0] == {(255, 255, 255)}


def test_a_clip_smaller_than_a_patch_is_refused(real):
    said = "the sample has 2 frames of 24 x 20 px, less than a patch of 3 frames of 3 x 3 px; use a longer or a larger"
    with pytest.raises(InputError, match=said):
        field(real, noise(1, frames=2))
