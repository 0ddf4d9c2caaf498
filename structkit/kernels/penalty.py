"""The gradient penalty of Wasserstein critics."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from structkit.kernels.convolution import convolution

ORDERS = {2: torch.channels_last, 3: torch.channels_last_3d}


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


def stack_penalty(
    layers: Sequence[tuple[Tensor, Tensor]], images: Tensor, *, slope: float = 0.2, padding: int = 1
) -> Tensor:
    """Penalties (B,) of a critic that is a stack of convolutions with LeakyReLU between: `gradient_penalty` in closed
    form.

    layers: the weights and the biases of each convolution, as they are applied.
    images: (B, C, *space), in whose dtype the arithmetic is.
    The critic is linear but for the signs of what its layers give: its slope is a chain of transposed convolutions,
    masked by these.  So nothing is differentiated twice, and the signs need no graph: 4 passes of the stack where
    autograd takes 6.  Differentiable with respect to the weights, as which autograd's gradients are the same; biases
    move signs only, and get none.
    """
    weights = [weight.to(images.dtype) for weight, _ in layers]
    with torch.no_grad():
        x = images.contiguous(memory_format=ORDERS[images.dim() - 2])
        masks = []
        for weight, (_, bias) in zip(weights[:-1], layers, strict=False):
            x = F.leaky_relu_(convolution(x, weight, bias.to(x.dtype), padding=padding), slope)
            masks.append(x > 0)
        scores = convolution(x, weights[-1], padding=padding)
    chain = torch.ones_like(scores)
    for weight, mask in zip(reversed(weights[1:]), reversed(masks), strict=True):
        chain = _back(chain, weight, padding)
        chain = torch.where(mask, chain, slope * chain)
    chain = _back(chain, weights[0], padding)
    norms = torch.linalg.vector_norm(chain.float() if chain.dtype == torch.bfloat16 else chain, dim=1)
    return (norms - 1).square().flatten(1).mean(1)


def _back(slopes: Tensor, weight: Tensor, padding: int) -> Tensor:
    """The slopes before a convolution from those behind it: its transpose, as a convolution of mirrored weights."""
    space = tuple(range(2, weight.dim()))
    return convolution(slopes, weight.flip(space).transpose(0, 1), padding=weight.shape[-1] - 1 - padding)
