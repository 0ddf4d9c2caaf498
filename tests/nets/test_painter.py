"""The painter's network: shapes, colours that are the picture's own, and that it commutes with what it should."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from structkit.nets.painter import PALETTE, Painter


def net(width: int = 4) -> Painter:
    torch.manual_seed(0)
    return Painter(width)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def copying(painter: Painter) -> Painter:
    """The same, which never computes a colour."""
    with torch.no_grad():
        weights, bias = painter.last[-1].parameters()
        weights.view(4 + 1 + PALETTE, 4, *weights.shape[1:])[4] = 0
        bias.view(4 + 1 + PALETTE, 4)[4] = -100
    return painter


@pytest.mark.parametrize("shape", [(32, 32), (64, 64), (32, 96)])
def test_the_size_is_kept_and_colours_are_colours(shape):
    made = net()(noise(2, 3, *shape))
    assert made.shape == (2, 4, *shape) and made[:, 1:].abs().max() <= 1


def test_without_colours_of_its_own_it_paints_a_plain_picture_in_its_colour_and_every_other_within_its_range():
    painter, colours = copying(net().eval()), noise(3, 3, 1, 1)
    torch.testing.assert_close(painter(colours.expand(-1, -1, 32, 32))[:, 1:], colours.expand(-1, -1, 32, 32))
    images = noise(3, 3, 32, 32)
    made, seen = painter(images)[:, 1:], F.avg_pool2d(images, 4)
    assert (made <= seen.amax((2, 3), keepdim=True) + 1e-6).all() and (
        made >= seen.amin((2, 3), keepdim=True) - 1e-6
    ).all()


def test_a_palette_is_of_where_the_network_looks():
    """Told to look at the upper half, whatever it sees, it knows no colour of the lower one."""
    painter, images = (
        copying(net().eval()),
        torch.cat([noise(2, 3, 1, 1), noise(2, 3, 1, 1, seed=1)], 2).repeat_interleave(32, 2).expand(-1, -1, -1, 64),
    )
    above = torch.zeros(1, PALETTE, 16, 16)
    above[:, :, 8:] = -100
    painter.look.forward = lambda quarter: above.expand(len(quarter), -1, -1, -1)
    torch.testing.assert_close(painter(images)[:, 1:], images[:, :, :1, :1].expand(-1, -1, 64, 64))


def test_gradients_reach_every_weight():
    painter = net()
    painter(noise(4, 3, 32, 32)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in painter.parameters())


def test_pictures_do_not_touch_each_other_in_use():
    painter, images = net().eval(), noise(3, 3, 32, 32)
    torch.testing.assert_close(painter(images)[1:2], painter(images[1:2]))


def test_order_in_memory_changes_nothing():
    painter, images = net().eval(), noise(2, 3, 32, 32)
    torch.testing.assert_close(painter(images.contiguous(memory_format=torch.channels_last)), painter(images))
