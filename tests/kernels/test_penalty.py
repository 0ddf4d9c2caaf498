"""The gradient penalty of critics."""

from __future__ import annotations

import torch

from structkit.kernels.penalty import gradient_penalty


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
