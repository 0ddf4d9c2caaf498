"""Laws of the alignment of colours."""

from __future__ import annotations

import torch

from structkit.engines.patch.alignment import transport_colours, transport_luminance

from ..pictures import dark_spots_on_light, red_spots_on_green


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
