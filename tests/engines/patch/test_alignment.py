"""Laws of the alignment of colours and of contrast."""

from __future__ import annotations

import pytest
import torch

from structkit.engines.patch.alignment import (
    match_contrast,
    match_moments,
    shared_colours,
    transport_colours,
    transport_luminance,
)
from structkit.kernels.pyramid import resize

from ..pictures import dark_spots_on_light, grain, red_spots_on_green


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_the_colours_become_those_of_the_target_whatever_the_sizes():
    source, target = dark_spots_on_light(40, 56), red_spots_on_green(48, 32)
    moved = transport_colours(source, target, generator=generator())
    assert moved.shape == source.shape
    for direction in torch.randn(8, 3, generator=generator()):
        mine, theirs = (
            torch.einsum("bchw,c->bhw", x, direction).flatten().quantile(torch.linspace(0.02, 0.98, 20))
            for x in (moved, target)
        )
        assert (mine - theirs).abs().mean() < 0.1


def test_a_picture_in_its_own_colours_stays():
    picture = red_spots_on_green()
    assert torch.allclose(transport_colours(picture, picture, generator=generator()), picture, atol=1e-4)


def test_positions_do_not_matter():
    source, target = dark_spots_on_light(), red_spots_on_green()
    moved = transport_colours(source, target, generator=generator())
    shuffled = target.flatten(2)[..., torch.randperm(48 * 48, generator=generator())].reshape(target.shape)
    assert torch.allclose(transport_colours(source, shuffled, generator=generator()), moved, atol=1e-5)
    assert torch.allclose(transport_colours(source.flip(-1), target, generator=generator()).flip(-1), moved, atol=0.2)


def test_luminance_takes_the_darkest_to_the_darkest():
    source, target = dark_spots_on_light(), red_spots_on_green()
    moved = transport_luminance(source, target)
    dark, light = source.mean(1) < source.mean(1).quantile(0.05), source.mean(1) > source.mean(1).quantile(0.95)
    assert moved.mean(1)[dark].mean() < moved.mean(1)[light].mean()
    assert abs(float(moved.mean() - target.mean())) < 0.02


def moments(picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    colours = picture.flatten(2)[0].double()
    return colours.mean(1), torch.cov(colours)


def calm_sky_over(ground: torch.Tensor) -> torch.Tensor:
    """The picture under a sky of one colour, which takes its upper half."""
    picture = ground.clone()
    picture[..., : picture.shape[2] // 2, :] = torch.tensor([0.1, 0.3, 0.6])[None, :, None, None]
    return picture


def test_moments_become_those_of_the_target_whatever_the_sizes():
    drawn = torch.randn(1, 3, 5, 7, generator=generator())  # of all colours: what has none cannot be given any
    source, target = resize(0.3 * drawn, (40, 56)), 0.4 * red_spots_on_green(48, 32)  # nothing is near the limits
    moved = match_moments(source, target)
    assert moved.shape == source.shape
    for mine, wanted in zip(moments(moved), moments(target), strict=True):
        assert torch.allclose(mine, wanted, atol=2e-3)


def test_a_picture_given_its_own_moments_stays():
    picture = red_spots_on_green()
    assert torch.allclose(match_moments(picture, picture), picture, atol=1e-3)


def test_a_calm_area_stays_calm_in_the_moments_of_a_busy_target():
    source, target = calm_sky_over(grain(32, 40, (0.2, -0.2, 0.0), 0.2, 1)), grain(32, 32, (0.0, 0.2, -0.3), 0.3, 2)
    sky = match_moments(source, target)[..., :16, :].flatten(2)
    assert float(sky.std(2).max()) < 1e-5
    transported = transport_colours(source, target, generator=generator())[..., :16, :].flatten(2)
    assert float(transported.std(2).max()) > 0.05  # as much of each colour as the target has: the sky is torn


def test_a_flat_picture_takes_the_mean_colour_of_the_target():
    target = red_spots_on_green()
    flat = match_moments(torch.full((1, 3, 8, 9), 0.5), target)
    assert torch.allclose(flat, target.mean((2, 3), keepdim=True).expand_as(flat), atol=1e-3)


@pytest.mark.parametrize("ends", [((0.5, -0.5, 0.1), (-0.5, 0.5, 0.1)), ((0.5, 0.3, 0.1), (-0.5, -0.2, 0.1))])
def test_the_sign_that_a_library_gives_an_axis_changes_nothing(monkeypatch, ends):
    """Also where both ends are as light, and as frequent."""
    left = torch.arange(16) < 8
    target = torch.stack([torch.where(left, *pair) for pair in zip(*ends, strict=True)])[None, :, None].repeat(
        1, 1, 9, 1
    )
    source = torch.linspace(-0.6, 0.6, 16).expand(1, 3, 9, 16)
    expected, eigh = match_moments(source, target), torch.linalg.eigh
    monkeypatch.setattr(torch.linalg, "eigh", lambda matrix: (lambda pair: (pair[0], -pair[1]))(eigh(matrix)))
    assert torch.equal(match_moments(source, target), expected)


def test_colours_are_shared_where_the_target_has_them_too():
    target = red_spots_on_green()
    source = target.flip(-1).clone()
    source[..., :24, :] = torch.tensor([0.9, 0.9, 0.9])[None, :, None, None]  # which is nowhere in the target
    shared = shared_colours(source, target)
    assert shared.shape == (1, 1, 48, 48) and 0 <= float(shared.min()) <= float(shared.max()) <= 1
    assert float(shared[..., :22, :].max()) < 0.05
    assert float(shared[..., 26:, :].median()) > 0.9


def octave(picture: torch.Tensor) -> float:
    """The spread of what a picture has beyond its half size."""
    *axes, height, width = picture.shape[2:]
    half = resize(picture, (*axes, height // 2, width // 2))
    return float((picture - resize(half, picture.shape[2:])).square().mean().sqrt())


@pytest.fixture
def crisp() -> torch.Tensor:
    return 0.5 * red_spots_on_green(32, 40)


def blurred(picture: torch.Tensor, amount: float) -> torch.Tensor:
    """Where amount is 1, of half the detail."""
    *axes, height, width = picture.shape[2:]
    half = resize(picture, (*axes, height // 2, width // 2))
    return torch.lerp(picture, resize(half, picture.shape[2:]), amount)


def test_a_picture_given_its_own_contrast_stays(crisp):
    assert torch.allclose(match_contrast(crisp, crisp, amount=1.0), crisp, atol=1e-5)


def test_no_contrast_is_given_where_none_is_asked_for(crisp):
    fog = blurred(crisp, 0.5)
    assert torch.allclose(match_contrast(fog, crisp, amount=0.0), fog, atol=1e-5)


def test_contrast_is_never_taken_away(crisp):
    assert torch.allclose(match_contrast(crisp, blurred(crisp, 0.9), amount=1.0), crisp, atol=1e-5)


def test_a_blurred_picture_gets_its_contrast_back_and_half_of_it_where_half_is_asked_for(crisp):
    fog = blurred(crisp, 0.5)
    missing = octave(crisp) - octave(fog)
    for amount in (0.5, 1.0):
        given = octave(match_contrast(fog, crisp, amount=amount)) - octave(fog)
        assert abs(given / missing - amount) < 0.15


def test_a_coarser_octave_gets_its_contrast_back_too(crisp):
    coarse = resize(crisp, (16, 20))
    fog = crisp + resize(blurred(coarse, 0.5) - coarse, (32, 40))  # its finest octave is as it was
    near, far = (
        (resize(match_contrast(fog, crisp, amount=1.0, octaves=octaves), (16, 20)) - coarse).square().mean()
        for octaves in (2, 1)
    )
    assert float(near) < 0.2 * float(far)


@pytest.mark.parametrize("most", [1.5, 2.5])
def test_contrast_is_never_raised_more_than_most_times(crisp, most):
    fog = blurred(crisp, 0.9)
    raised = octave(match_contrast(fog, crisp, amount=1.0, most=most)) / octave(fog)
    assert 0.7 * most < raised < 1.1 * most


@pytest.mark.parametrize("frames", [1, 5])
def test_a_still_clip_gets_the_contrast_that_its_frame_gets(crisp, frames):
    fog = blurred(crisp, 0.5)
    fogs, crisps = (picture[:, :, None].expand(-1, -1, frames, -1, -1).contiguous() for picture in (fog, crisp))
    alone = match_contrast(fog, crisp, amount=1.0)
    assert not torch.allclose(alone, fog, atol=1e-2)
    made = match_contrast(fogs, crisps, amount=1.0)
    assert torch.allclose(made, alone[:, :, None].expand_as(made), atol=1e-4)
