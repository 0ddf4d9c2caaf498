"""Patch generators and patch critics: short stacks of 3-wide convolutions, over pictures or clips, for several domains
in one call.

Structural analogy (Benaim et al., CGF 2020) and HP-VAE-GAN (Gur et al., NeurIPS 2020), both after SinGAN (Shaham et
al., ICCV 2019).
Laws: a padded stack over one frame is the stack over pictures whose weights are the middle ones in time, but for a
spectral norm, which counts all weights; without a norm, or with a spectral one, a stack whose other weights in time are
0 paints frame by frame.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from structkit.kernels.convolution import convolution
from structkit.nets.norm import instance_norm

SLOPE = 0.2
NORMS = ("instance", "spectral", "none")
INITS = ("normal", "uniform")
TURNS = 15  # of the power iteration on new weights: so that the first step is not a wild one (torch's takes as many)


@dataclass(frozen=True)
class PatchStack:
    """Layers that a generator and a critic have in common; they differ in `outputs` and `padded`.

    norm: of all layers but the last.  "instance" is affine; "spectral" divides a layer's weights by their largest
    singular value (Miyato et al., ICLR 2018), HP-VAE-GAN's for encoder and critics; "none".
    init: "normal", SinGAN's, of deviation 0.02, gains around 1; "uniform", torch's own, gains 1, HP-VAE-GAN's.
    Raises ValueError for another norm or init.
    """

    width: int  # channels of the layers in between
    outputs: int = 3  # 3 for a generator, 1 for a critic
    padded: bool = True  # zeros around each layer's input: the result is as large as the input, and can sense borders
    layers: int = 5
    inputs: int = 3
    domains: int = 1  # networks side by side, with weights of their own
    axes: int = 2  # 2 for pictures, 3 for clips
    norm: str = "instance"
    init: str = "normal"

    def __post_init__(self) -> None:
        if self.norm not in NORMS or self.init not in INITS:
            raise ValueError(f"norm is {self.norm!r}, init {self.init!r}: choose from {NORMS} and {INITS}")

    @property
    def field(self) -> int:
        """Side of the patch that one output sees, px; an unpadded result is smaller by one less."""
        return 2 * self.layers + 1


class PatchNet(nn.Module):
    """Network (B, domains * inputs, *space) -> (B, domains * outputs, *space), the domains beside each other in the
    channels.

    Convolution, norm and LeakyReLU 0.2, but for the last layer, which has only the convolution.  Every convolution has
    a bias but those in front of an instance norm: the published ones do, and the norm takes it away again.
    The domains share each call (a grouped convolution), and no more than that: one domain's result depends on its own
    channels only.
    """

    def __init__(self, stack: PatchStack, generator: torch.Generator | None = None):
        super().__init__()
        self.stack = stack
        widths = [stack.inputs, *[stack.width] * (stack.layers - 1), stack.outputs]
        shapes = [(stack.domains * after, before, *[3] * stack.axes) for before, after in itertools.pairwise(widths)]
        device = generator.device if generator else None
        bounds = [1 / math.sqrt(math.prod(shape[1:])) for shape in shapes]

        def normal(mean: float, *shape: int) -> Tensor:
            return torch.empty(shape, device=device).normal_(mean, 0.02, generator=generator)

        def uniform(bound: float, *shape: int) -> Tensor:
            return torch.empty(shape, device=device).uniform_(-bound, bound, generator=generator)

        drawn = [
            normal(0, *shape) if stack.init == "normal" else uniform(bound, *shape)
            for shape, bound in zip(shapes, bounds, strict=True)
        ]
        self.order = torch.channels_last if stack.axes == 2 else torch.channels_last_3d
        self.weights = nn.ParameterList([nn.Parameter(weight.to(memory_format=self.order)) for weight in drawn])
        if stack.norm == "instance":
            gains = [
                normal(1, shape[0]) if stack.init == "normal" else torch.ones(shape[0], device=device)
                for shape in shapes[:-1]
            ]
            self.gains = nn.ParameterList([nn.Parameter(gain) for gain in gains])
        # The second vector of a layer: what a norm adds, or its bias.
        moved = [
            torch.zeros(shape[0], device=device) if stack.norm == "instance" else uniform(bound, shape[0])
            for shape, bound in zip(shapes[:-1], bounds, strict=False)
        ]
        self.shifts = nn.ParameterList([nn.Parameter(shift) for shift in moved])
        self.bias = nn.Parameter(uniform(bounds[-1], shapes[-1][0]))
        if stack.norm == "spectral":
            for layer, weight in enumerate(self.weights[:-1]):
                start = torch.randn(stack.domains, weight.shape[0] // stack.domains, generator=generator, device=device)
                self.register_buffer(f"direction{layer}", _turned(_matrices(weight, stack.domains), start, TURNS)[0])

    def forward(self, images: Tensor, domain: int | None = None) -> Tensor:
        """Outputs of all domains, or of one: (B, inputs, *space) -> (B, outputs, *space).

        The arithmetic is in the dtype of `images`.  With a spectral norm each call in training turns its directions by
        one power iteration (all domains').
        """
        stack = self.stack
        how = {"padding": int(stack.padded), "groups": stack.domains if domain is None else 1}

        def own(parameter: Tensor) -> Tensor:
            mine = parameter if domain is None else parameter.chunk(stack.domains)[domain]
            return mine.to(images.dtype)

        x = images.contiguous(memory_format=self.order)
        for layer, (weight, shift) in enumerate(zip(self.weights, self.shifts, strict=False)):
            if stack.norm == "instance":
                x = convolution(x, own(weight), **how)
                x = instance_norm(x, own(self.gains[layer]), own(shift))
            else:
                weight = self._normed(layer) if stack.norm == "spectral" else weight
                x = convolution(x, own(weight), own(shift), **how)
            x = F.leaky_relu_(x, SLOPE)  # in place: a third less memory for a training
        return convolution(x, own(self.weights[-1]), own(self.bias), **how)

    def layers(self) -> list[tuple[Tensor, Tensor]]:
        """The weights and the biases of each convolution, as a stack without instance norm applies them.

        As `forward`, a call in training turns the directions of a spectral norm.
        """
        normed = self.stack.norm == "spectral"
        inner = [self._normed(i) if normed else self.weights[i] for i in range(len(self.shifts))]
        return list(zip([*inner, self.weights[-1]], [*self.shifts, self.bias], strict=True))

    def _normed(self, layer: int) -> Tensor:
        """Weights of a layer, over their largest singular value, each domain's own.

        Plain, where torch has a parametrization: that one would take the domains of a grouped convolution for one
        matrix, rename `weights.0`, and keep two vectors where one tells the other.  The new direction replaces the old
        in place but is not the tensor that gradients need: so several calls may come before one backward.
        """
        weight, direction = self.weights[layer], getattr(self, f"direction{layer}")
        matrices = _matrices(weight, self.stack.domains)
        with torch.no_grad():
            left, right = _turned(matrices, direction, int(self.training))
            if self.training:
                direction.copy_(left)
        largest = torch.einsum("do,doi,di->d", left, matrices, right)
        return weight / largest.repeat_interleave(matrices.shape[1]).view(-1, *[1] * (weight.dim() - 1))


def _matrices(weight: Tensor, domains: int) -> Tensor:
    """Weights of a convolution as matrices (domains, outputs, inputs * space)."""
    return weight.reshape(domains, weight.shape[0] // domains, -1)


@torch.no_grad()
def _turned(matrices: Tensor, left: Tensor, turns: int) -> tuple[Tensor, Tensor]:
    """Unit vectors (domains, outputs) and (domains, inputs * space) near the leading singular ones, by power iterations
    from `left`.
    """
    left = F.normalize(left, dim=1)
    for _ in range(turns):
        right = F.normalize(torch.einsum("doi,do->di", matrices, left), dim=1)
        left = F.normalize(torch.einsum("doi,di->do", matrices, right), dim=1)
    return left, F.normalize(torch.einsum("doi,do->di", matrices, left), dim=1)
