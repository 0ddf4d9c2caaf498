"""Convolutions are PyTorch's, also where they are done in halves."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from structkit.kernels import convolution as module
from structkit.kernels.convolution import convolution, memory_format_of


@pytest.mark.parametrize("space", [(4, 6, 8), (3, 5, 7), (1, 1, 1), (2, 3, 1), (6, 5)])
@pytest.mark.parametrize(("batch", "padding", "groups"), [(1, 1, 1), (1, 0, 1), (2, 1, 1), (1, 1, 2)])
def test_values_and_slopes_are_pytorchs(space, batch, padding, groups):
    if padding == 0:
        space = tuple(side + 2 for side in space)
    generator = torch.Generator().manual_seed(1)
    given = [(batch, 4, *space), (6, 4 // groups, *[3] * len(space)), (6,)]
    results = []
    for run in (convolution, {2: F.conv2d, 3: F.conv3d}[len(space)]):
        generator.manual_seed(1)
        tensors = [torch.randn(shape, generator=generator, requires_grad=True) for shape in given]
        made = run(*tensors, padding=padding, groups=groups)
        results.append((made, *torch.autograd.grad(made.square().sum(), tensors)))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_only_one_small_clip_goes_in_halves(monkeypatch):
    batches = []

    def spy(images, *others, **how):
        batches.append(len(images))
        return F.conv3d(images, *others, **how)

    monkeypatch.setitem(module.CONVOLUTIONS, 3, spy)
    weight = torch.zeros(1, 64, 3, 3, 3)
    for shape in ((1, 64, 4, 80, 3), (1, 64, 4, 81, 3), (2, 64, 1, 2, 3)):
        assert convolution(torch.zeros(shape), weight, padding=1).shape == (shape[0], 1, *shape[2:])
    assert batches == [2, 1, 2]


@pytest.mark.parametrize(("channels", "order"), [(4, torch.contiguous_format), (8, torch.channels_last)])
def test_few_channels_that_are_strided_stay_in_the_usual_order(channels, order):
    """In the other order their gradients end the program, on a processor with AVX2 alone."""
    network = nn.Sequential(nn.Conv2d(3, channels, 3), nn.Conv2d(channels, 2 * channels, 1, stride=2))
    assert memory_format_of(network) == order
    found = network.to(memory_format=order)(torch.rand(2, 3, 18, 18).contiguous(memory_format=order))
    found.square().sum().backward()
    assert all(weights.grad.isfinite().all() for weights in network.parameters())
