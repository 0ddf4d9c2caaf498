"""The gradient penalty of critics."""

from __future__ import annotations

import pytest
import torch

from structkit.kernels.penalty import gradient_penalty, stack_penalty
from structkit.nets.patch import PatchNet, PatchStack


def test_a_critic_of_slope_one_at_every_pixel_has_none_and_another_the_square_of_the_difference():
    for slope in (1.0, 3.0):
        direction = torch.tensor([0.0, 0.6, 0.8])[:, None, None] * slope
        found = gradient_penalty(lambda x, d=direction: (x * d).sum(1, keepdim=True), torch.randn(2, 3, 4, 5))
        torch.testing.assert_close(found, torch.full((2, 1), (slope - 1) ** 2))


def test_each_domain_is_judged_by_its_own_channels():
    def critic(x):
        return torch.cat([x[:, :1], 3 * x[:, 3:4]], 1)

    torch.testing.assert_close(gradient_penalty(critic, torch.randn(1, 6, 4, 5), domains=2), torch.tensor([[0.0, 4.0]]))


def test_it_teaches_the_critic():
    weight = torch.full((1, 3, 1, 1), 2.0, requires_grad=True)
    gradient_penalty(lambda x: (weight * x).sum(1, keepdim=True), torch.randn(1, 3, 4, 5)).sum().backward()
    norm = weight.detach().norm()
    torch.testing.assert_close(weight.grad, 2 * (norm - 1) * weight.detach() / norm)


@pytest.mark.parametrize("space", [(9, 8), (3, 6, 5), (1, 9, 8)])
@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("norm", ["spectral", "none"])
def test_the_closed_form_is_autograds_in_values_and_in_the_gradients_of_all_weights(space, padded, norm):
    if not padded and min(space) < 5:
        space = tuple(side + 6 for side in space)
    stack = PatchStack(5, outputs=1, padded=padded, layers=3, axes=len(space), norm=norm, init="uniform")
    critic = PatchNet(stack, torch.Generator().manual_seed(1)).double().eval()
    images = torch.randn(2, 3, *space, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found = []
    for penalty in (
        gradient_penalty(critic, images).squeeze(1),
        stack_penalty(critic.layers(), images, padding=int(padded)),
    ):
        found.append((penalty, torch.autograd.grad(penalty.sum(), list(critic.weights))))
    (wanted, wanted_slopes), (closed, slopes) = found
    torch.testing.assert_close(closed, wanted, rtol=1e-12, atol=1e-12)
    assert all(slope.abs().max() > 0 for slope in wanted_slopes)
    for one, other in zip(slopes, wanted_slopes, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_the_closed_form_of_one_small_clip_is_that_of_two():
    critic = PatchNet(PatchStack(64, outputs=1, layers=2, axes=3, norm="none", init="uniform"))
    images = torch.randn(1, 3, 4, 18, 20)
    torch.testing.assert_close(
        stack_penalty(critic.layers(), images), stack_penalty(critic.layers(), images.repeat(2, 1, 1, 1, 1))[:1]
    )
