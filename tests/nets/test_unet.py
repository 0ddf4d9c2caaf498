"""The painter's trunk: shapes, reach, and that it commutes with what it should."""

from __future__ import annotations

import pytest
import torch

from structkit.nets.unet import UNet


def net(width: int = 4) -> UNet:
    torch.manual_seed(0)
    return UNet(width)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 64), (32, 96)])
def test_it_sees_at_half_the_size_and_at_a_quarter(height, width):
    half, quarter = net()(noise(2, 3, height, width))
    assert half.shape == (2, 4, height // 2, width // 2) and quarter.shape == (2, 8, height // 4, width // 4)


@pytest.mark.parametrize("side", [16, 48, 33])
def test_other_sizes_do_not_pass(side):
    with pytest.raises(RuntimeError):
        net().eval()(noise(1, 3, side, side))


def test_every_pixel_is_seen_by_the_middle_and_its_own_neighbours_by_each():
    """The way down sees all of the picture; the way across keeps what is fine."""
    unet, images = net().eval(), noise(1, 3, 32, 32).requires_grad_()
    unet(images)[0][0, 0, 8, 8].backward()
    reach = images.grad.abs().sum((0, 1))
    assert (reach > 0).float().mean() > 0.9
    assert reach[15:18, 15:18].mean() > 3 * reach.mean()
