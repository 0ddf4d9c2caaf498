"""Patch networks: sizes, fields, counts, and that domains and samples never mix."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from structkit.nets.norm import instance_norm
from structkit.nets.patch import PatchNet, PatchStack


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def net(**how) -> PatchNet:
    return PatchNet(PatchStack(**how), torch.Generator().manual_seed(1)).double()


@pytest.mark.parametrize("shape", [(1, 3, 5, 4), (3, 8, 1, 7), (2, 4, 3, 5, 6)])
@pytest.mark.parametrize("shift", [0.0, 1e4])
def test_instance_norm_is_torchs_in_values_and_in_first_and_second_gradients(shape, shift):
    channels = shape[1]
    given = [noise(*shape) + shift, noise(channels, seed=1), noise(channels, seed=2)]
    results = []
    for norm in (instance_norm, lambda x, gain, bias: F.instance_norm(x, None, None, gain, bias)):
        x, gain, bias = (t.clone().requires_grad_() for t in given)
        y = norm(x, gain, bias)
        first = torch.autograd.grad((y**3).sum(), (x, gain, bias), create_graph=True)
        results.append((y, *first, *torch.autograd.grad(first[0].square().sum(), (x, gain))))
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-6)


def test_at_batch_one_it_is_batch_norm_in_training():
    x, gain, shift = noise(1, 6, 5, 7), noise(6, seed=1), noise(6, seed=2)
    torch.testing.assert_close(instance_norm(x, gain, shift), F.batch_norm(x, None, None, gain, shift, training=True))


@pytest.mark.parametrize(
    ("shape", "order"), [((2, 4, 5, 6), torch.channels_last), ((2, 4, 3, 5, 6), torch.channels_last_3d)]
)
def test_the_order_in_memory_is_kept(shape, order):
    for images in (noise(*shape).to(memory_format=order), noise(*shape)):
        normed = instance_norm(images, noise(4), noise(4))
        assert normed.is_contiguous(memory_format=order) == images.is_contiguous(memory_format=order)


@pytest.mark.parametrize(
    ("width", "generator", "critic"), [(32, 29_763, 29_185), (64, 114_819, 113_665), (128, 450_819, 448_513)]
)
def test_the_parameters_are_the_published_ones_but_for_the_biases_that_a_norm_takes_away(width, generator, critic):
    for stack, count in ((PatchStack(width), generator), (PatchStack(width, outputs=1, padded=False), critic)):
        assert sum(p.numel() for p in PatchNet(stack).parameters()) + 4 * width == count


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("layers", [2, 5])
def test_a_generator_keeps_the_size_and_a_critic_scores_each_patch_of_its_field(axes, layers):
    space = (13, 12, 14)[:axes]
    assert net(width=4, axes=axes, layers=layers)(noise(1, 3, *space)).shape == (1, 3, *space)
    critic = net(width=4, outputs=1, padded=False, axes=axes, layers=layers)
    assert critic(noise(1, 3, *space)).shape == (1, 1, *(n - critic.stack.field + 1 for n in space))


def test_what_lies_outside_the_field_changes_no_score_but_through_the_norm():
    critic = net(width=4, outputs=1, padded=False, layers=2)
    x = noise(1, 3, 12, 12).requires_grad_()
    [slope] = torch.autograd.grad(critic(x)[0, 0, 0, 0], x)
    assert critic.stack.field == 5
    assert slope[0, :, :5, :5].abs().max() > 10 * slope[0, :, 6:, 6:].abs().max()


def test_a_domains_result_depends_on_its_own_channels_only_and_is_that_of_its_part_alone():
    both = net(width=4, domains=2)
    x = noise(2, 6, 12, 12)
    y = both(x)
    other = torch.cat([x[:, :3], noise(2, 3, 12, 12, seed=5)], 1)
    assert torch.equal(both(other)[:, :3], y[:, :3]) and not torch.equal(both(other)[:, 3:], y[:, 3:])
    for i in range(2):
        torch.testing.assert_close(both(x[:, 3 * i : 3 * i + 3], domain=i), y[:, 3 * i : 3 * i + 3])


def test_samples_of_a_batch_never_mix():
    generator, x = net(width=4), noise(3, 3, 12, 12)
    torch.testing.assert_close(generator(x), torch.cat([generator(one[None]) for one in x]))


def test_the_same_generator_state_makes_the_same_network():
    one, other = (net(width=4).state_dict() for _ in range(2))
    assert all(torch.equal(value, other[name]) for name, value in one.items())
