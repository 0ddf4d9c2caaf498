"""The gradient penalty of Wasserstein critics."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def gradient_penalty(critic: Callable[[Tensor], Tensor], images: Tensor, *, domains: int = 1) -> Tensor:
    """Penalties (B, domains): mean over pixels of (||d sum(critic) / d pixel||_2 - 1)^2, the norm over the channels of
    one domain.

    images: (B, domains * C, *space), between real and made ones; the domains beside each other in the channels, each
    judged by its own part of the critic.  Per pixel, as SinGAN (Shaham et al., ICCV 2019) has it, not over the whole
    image as WGAN-GP.  Differentiable with respect to the critic's parameters (a double backward).
    """
    images = images.detach().requires_grad_()
    [slope] = torch.autograd.grad(critic(images).sum(), images, create_graph=True)
    norms = torch.linalg.vector_norm(slope.unflatten(1, (domains, -1)), dim=2)
    return (norms - 1).square().flatten(2).mean(2)
