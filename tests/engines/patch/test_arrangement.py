"""Laws of arrangements: samples, other shapes, pictures redrawn."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from structkit import read_picture
from structkit.configs import RefineConfig, RetargetConfig, SampleConfig
from structkit.engines.patch import arrangement as patch
from structkit.kernels.pyramid import resize
from structkit.media.tensors import to_tensor
from structkit.metrics.novelty import source_field
from structkit.metrics.structure import explained_structure, patch_distance

from ..pictures import grain, red_spots_on_green

FAST = {"rounds": 2}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def example(name: str, side: int) -> torch.Tensor:
    """(1, 3, side, side): one of the project's own pictures, reduced."""
    picture = to_tensor(read_picture(Path(__file__).parents[3] / "examples" / name))
    return resize(picture, (side, side)).clamp(-1, 1)


def detail(picture: torch.Tensor) -> float:
    """Variance of the Laplacian."""
    kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])
    return float(F.conv2d(picture.mean(1, keepdim=True), kernel[None, None]).var())


def copied(picture: torch.Tensor, result: torch.Tensor) -> float:
    """Share of the result's patches that lie in the picture as they do here."""
    still = (one[:, :, None].expand(-1, -1, 3, -1, -1) for one in (picture, result))
    return source_field(*still, generator=generator()).copied


def sample(picture: torch.Tensor, seed: int = 0, **options) -> torch.Tensor:
    return patch.sample(picture, SampleConfig(**options), shape=picture.shape[2:], generator=generator(seed))


def retarget(picture: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    return patch.retarget(picture, RetargetConfig(), shape=shape, generator=generator())


def refine(picture: torch.Tensor, other: torch.Tensor, **options) -> torch.Tensor:
    return patch.refine(picture, other, RefineConfig(**options), shape=picture.shape[2:], generator=generator())


@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_above_stays_above_in_samples(seed):
    picture = example("lake.jpg", 64)  # blue and white above, green below
    green = (made := sample(picture, seed, variety=1.0))[:, 1] > made[:, 2]
    assert green[:, :10].float().mean() < 0.02 and green[:, -10:].float().mean() > 0.98


def test_variety_is_a_dial_of_what_is_copied():
    picture = example("pebbles.jpg", 80)
    shares = [copied(picture, sample(picture, variety=variety)) for variety in (0.0, 0.25, 0.5, 1.0)]
    assert shares == sorted(shares, reverse=True) and shares[0] > 0.95 and shares[-1] < 0.5


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


def test_a_wider_picture_has_no_hole():
    picture = example("lake.jpg", 128)
    result = retarget(picture, (128, 256))
    # Every strip from top to bottom looks like one of the picture: sky, mountains, shore, water, grass.
    mine, theirs = (torch.stack([part.mean((0, 1, 3)) for part in one.split(16, 3)]) for one in (result, picture))
    apart = (mine[:, None] - theirs).abs().mean(2).amin(1)
    assert apart.amax() < 0.08


def test_a_picture_refined_with_its_own_patches_stays_as_it_is():
    picture = grain(144, 144, (0.1, 0.2, -0.3), 0.3, 5) + 0.4 * red_spots_on_green(144, 144)
    for strength in (0.2, 1.0):
        result = refine(picture, picture, strength=strength)
        assert detail(result) == pytest.approx(detail(picture), rel=0.1)
        assert (result - picture).abs().mean() < 0.02


@pytest.mark.slow
def test_a_large_picture_refined_with_its_own_patches_stays_as_it_is():
    picture = example("mountains.jpg", 512)
    assert detail(refine(picture, picture)) == pytest.approx(detail(picture), rel=0.1)


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_a_blurred_picture_comes_out_as_crisp_as_the_patches(strength):
    crisp = example("balls.jpg", 128)
    blurred = resize(resize(crisp, (32, 32)), (128, 128)).clamp(-1, 1)
    result = refine(blurred, crisp, strength=strength)
    assert detail(result) > 0.8 * detail(crisp) > 8 * detail(blurred)


def test_more_strength_keeps_more_of_what_is_refined():
    picture, other = example("mountains.jpg", 96), example("lake.jpg", 96)
    apart = [(refine(picture, other, strength=s) - picture).abs().mean() for s in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert apart == sorted(apart, reverse=True) and apart[0] > 1.5 * apart[-1]


def test_refining_keeps_the_layout_and_takes_over_the_patches():
    sharp = red_spots_on_green()
    blurred = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(sharp, (3,) * 4, mode="replicate"), 7, 1)
    result = patch.refine(blurred, sharp, RefineConfig(), shape=(48, 48), generator=generator())
    assert explained_structure(sharp, result) > 0.8
    assert patch_distance(result, sharp) < 0.5 * patch_distance(blurred, sharp)
