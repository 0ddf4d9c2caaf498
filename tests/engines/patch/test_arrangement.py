"""Laws of arrangements: samples, other shapes, pictures redrawn."""

from __future__ import annotations

import torch

from structkit.configs import RefineConfig, RetargetConfig, SampleConfig
from structkit.engines.patch import arrangement as patch
from structkit.metrics.structure import explained_structure, patch_distance

from ..pictures import red_spots_on_green

FAST = {"rounds": 2}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_samples_differ_from_the_picture_and_from_each_other_but_are_made_of_it():
    picture = red_spots_on_green(48, 64)
    one, two = (patch.sample(picture, SampleConfig(), shape=(48, 64), generator=generator(seed)) for seed in (0, 1))
    assert one.shape == picture.shape
    assert (one - two).abs().mean() > 0.05 and (one - picture).abs().mean() > 0.05
    assert patch_distance(one, picture) < 0.2


def test_variety_leads_away_from_the_picture():
    picture = red_spots_on_green(48, 64)
    near, far = (
        patch.sample(picture, SampleConfig(variety=v), shape=(48, 64), generator=generator()) for v in (0.0, 1.0)
    )
    assert (near - picture).abs().mean() < (far - picture).abs().mean()


def test_alpha_is_part_of_a_samples_patches():
    picture = red_spots_on_green()
    alpha = torch.where(picture[:, :1] > 0, 1.0, -1.0)  # the red is opaque
    result = patch.sample(torch.cat([picture, alpha], 1), SampleConfig(**FAST), shape=(48, 48), generator=generator())
    assert result.shape == (1, 4, 48, 48)
    assert (result[:, 3].sign() == result[:, 0].sign()).float().mean() > 0.85


def test_retargeting_repeats_what_is_there_instead_of_stretching_it():
    picture = red_spots_on_green()
    result = patch.retarget(picture, RetargetConfig(), shape=(48, 84), generator=generator())
    assert result.shape == (1, 3, 48, 84)
    stretched = torch.nn.functional.interpolate(picture, size=(48, 84), mode="bicubic")
    assert patch_distance(result, picture) < patch_distance(stretched, picture)


def test_refining_keeps_the_layout_and_takes_over_the_patches():
    sharp = red_spots_on_green()
    blurred = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(sharp, (3,) * 4, mode="replicate"), 7, 1)
    result = patch.refine(blurred, sharp, RefineConfig(), shape=(48, 48), generator=generator())
    assert explained_structure(sharp, result) > 0.8
    assert patch_distance(result, sharp) < 0.5 * patch_distance(blurred, sharp)
