"""Patch generators and patch critics: short stacks of 3-wide convolutions, over pictures or clips, for several domains
in one call.

Structural analogy (Benaim et al., CGF 2020) and HP-VAE-GAN (Gur et al., NeurIPS 2020), both after SinGAN (Shaham et
al., ICCV 2019).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from structkit.nets.norm import instance_norm

SLOPE = 0.2
CONVOLUTIONS = {2: F.conv2d, 3: F.conv3d}


@dataclass(frozen=True)
class PatchStack:
    """What a generator and a critic have in common; they differ in `outputs` and `padded`."""

    width: int  # channels of the layers in between
    outputs: int = 3  # 3 for a generator, 1 for a critic
    padded: bool = True  # zeros around each layer's input: the result is as large as the input, and can sense borders
    layers: int = 5
    inputs: int = 3
    domains: int = 1  # networks side by side, with weights of their own
    axes: int = 2  # 2 for pictures, 3 for clips

    @property
    def field(self) -> int:
        """Side of the patch that one output sees, px; an unpadded result is smaller by one less."""
        return 2 * self.layers + 1


class PatchNet(nn.Module):
    """(B, domains * inputs, *space) -> (B, domains * outputs, *space), the domains beside each other in the channels.

    Convolution, affine instance norm and LeakyReLU 0.2, but for the last layer, which has only the convolution.  The
    published networks have a bias in front of each norm, too: the norm takes it away again, so there is none here.
    The domains share each call (a grouped convolution), and no more than that: one domain's result depends on its own
    channels only.
    """

    def __init__(self, stack: PatchStack, generator: torch.Generator | None = None):
        super().__init__()
        self.stack = stack
        widths = [stack.inputs, *[stack.width] * (stack.layers - 1), stack.outputs]
        shapes = [(stack.domains * after, before, *[3] * stack.axes) for before, after in itertools.pairwise(widths)]
        device = generator.device if generator else None

        def normal(mean: float, *shape: int) -> Tensor:
            return torch.empty(shape, device=device).normal_(mean, 0.02, generator=generator)

        self.order = torch.channels_last if stack.axes == 2 else torch.channels_last_3d
        self.weights = nn.ParameterList(
            [nn.Parameter(normal(0, *shape).to(memory_format=self.order)) for shape in shapes]
        )
        self.gains = nn.ParameterList([nn.Parameter(normal(1, shape[0])) for shape in shapes[:-1]])
        self.shifts = nn.ParameterList([nn.Parameter(torch.zeros(shape[0], device=device)) for shape in shapes[:-1]])
        bound = 1 / math.sqrt(math.prod(shapes[-1][1:]))
        self.bias = nn.Parameter(torch.empty(shapes[-1][0], device=device).uniform_(-bound, bound, generator=generator))

    def forward(self, images: Tensor, domain: int | None = None) -> Tensor:
        """domain: of all the domains only this one, (B, inputs, *space) -> (B, outputs, *space).

        The arithmetic is in the dtype of `images`.
        """
        stack = self.stack
        convolution, padding = CONVOLUTIONS[stack.axes], int(stack.padded)
        groups = stack.domains if domain is None else 1

        def own(parameter: Tensor) -> Tensor:
            mine = parameter if domain is None else parameter.chunk(stack.domains)[domain]
            return mine.to(images.dtype)

        x = images.contiguous(memory_format=self.order)
        for weight, gain, shift in zip(self.weights, self.gains, self.shifts, strict=False):
            x = convolution(x, own(weight), padding=padding, groups=groups)
            x = F.leaky_relu(instance_norm(x, own(gain), own(shift)), SLOPE)
        return convolution(x, own(self.weights[-1]), own(self.bias), padding=padding, groups=groups)
