"""The painter's network: shapes, reach, and that it commutes with what it should."""

from __future__ import annotations

import pytest
import torch

from structkit.nets.unet import UNet


def net(width: int = 4, outputs: int = 4) -> UNet:
    torch.manual_seed(0)
    return UNet(width, outputs)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(32, 32), (64, 64), (32, 96)])
@pytest.mark.parametrize("outputs", [1, 4])
def test_the_size_is_kept(shape, outputs):
    assert net(outputs=outputs)(noise(2, 3, *shape)).shape == (2, outputs, *shape)


@pytest.mark.parametrize("side", [16, 48, 33])
def test_other_sizes_do_not_pass(side):
    with pytest.raises(RuntimeError):
        net().eval()(noise(1, 3, side, side))


def test_gradients_reach_every_weight():
    unet = net()
    unet(noise(4, 3, 32, 32)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in unet.parameters())


def test_pictures_do_not_touch_each_other_in_use():
    unet, images = net().eval(), noise(3, 3, 32, 32)
    torch.testing.assert_close(unet(images)[1:2], unet(images[1:2]))


def test_every_pixel_is_seen_by_the_middle_and_its_own_neighbours_by_each():
    """The way down sees all of the picture; the way across keeps what is fine."""
    unet, images = net().eval(), noise(1, 3, 32, 32).requires_grad_()
    unet(images)[0, 0, 16, 16].backward()
    reach = images.grad.abs().sum((0, 1))
    assert (reach > 0).float().mean() > 0.9
    assert reach[15:18, 15:18].mean() > 3 * reach.mean()


def test_order_in_memory_changes_nothing():
    unet, images = net().eval(), noise(2, 3, 32, 32)
    torch.testing.assert_close(unet(images.contiguous(memory_format=torch.channels_last)), unet(images))
