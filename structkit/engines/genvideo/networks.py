"""The networks of HP-VAE-GAN and of the two baselines that it was published beside.

Each variant has a network for every level, and a critic that is the same for all.  The level's network sees what the
levels below have made, risen to its size, and adds to it:
* HP-VAE-GAN: an encoder of the clip's coarsest level and a decoder of its codes, then blocks from picture to picture,
  with zeros around each layer's input.
* SinGAN over clips: blocks from picture to picture, the first from noise, with a margin around the first layer's input
  alone: zeros, or in random mode the picture itself, stretched over it.
* ConSinGAN over clips: likewise, but from features to features; a head makes features of noise, a tail pictures of
  features.

The published convolutions in front of an instance norm have biases, which the norm takes away again: ours have none.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from structkit.configs import GenvideoConfig
from structkit.nets.norm import instance_norm
from structkit.nets.patch import SLOPE, PatchNet, PatchStack

HEAD = 1  # convolutions of ConSinGAN's head and of its tail


class FeatureNet(nn.Module):
    """Convolutions, each with its norm and LeakyReLU, from features to features: (B, inputs, *space) -> (B, outputs,
    *space).
    """

    def __init__(self, stack: PatchStack, generator: torch.Generator | None = None):
        super().__init__()
        self.net = PatchNet(stack, generator)
        device = generator.device if generator else None
        gain = torch.empty(stack.outputs, device=device).normal_(1, 0.02, generator=generator)
        self.gain, self.shift = nn.Parameter(gain), nn.Parameter(torch.zeros(stack.outputs, device=device))

    def forward(self, images: Tensor) -> Tensor:
        x = self.net(images)
        return F.leaky_relu_(instance_norm(x, self.gain.to(x.dtype), self.shift.to(x.dtype)), SLOPE)


def encoder(c: GenvideoConfig, axes: int, generator: torch.Generator | None = None) -> PatchNet:
    """The encoder: (B, 3, *space) -> (B, 2 * latent, *space), means and log variances of the codes."""
    stack = PatchStack(c.width, 2 * c.latent, layers=c.encoder_layers, axes=axes, norm="spectral", init="uniform")
    return PatchNet(stack, generator)


def critic(c: GenvideoConfig, axes: int, generator: torch.Generator | None = None) -> PatchNet:
    """The critic of a level: (B, 3, *space) -> (B, 1, *space), scores of patches."""
    init = "normal" if c.is_baseline else "uniform"
    return PatchNet(PatchStack(c.width, 1, layers=c.layers, axes=axes, norm="spectral", init=init), generator)


def level_network(c: GenvideoConfig, level: int, axes: int, generator: torch.Generator | None = None) -> nn.Module:
    """The network of a level: of the coarsest from a code or from noise, of the others from what was made below."""
    if c.variant == "hpvaegan":
        inputs = 3 if level else c.latent
        return PatchNet(PatchStack(c.width, layers=c.layers, inputs=inputs, axes=axes, init="uniform"), generator)
    if c.variant == "singan3d":
        return PatchNet(PatchStack(c.width, layers=c.layers, padded=False, axes=axes), generator)
    width, layers = c.width, c.layers - 2 * HEAD
    body = FeatureNet(PatchStack(width, width, False, layers=layers, inputs=width, axes=axes), generator)
    if level:
        return body
    return nn.Sequential(FeatureNet(PatchStack(width, width, False, layers=HEAD, axes=axes), generator), body)


def tail(c: GenvideoConfig, axes: int, generator: torch.Generator | None = None) -> PatchNet:
    """ConSinGAN's tail: (B, width, *space) -> (B, 3, *space)."""
    return PatchNet(PatchStack(c.width, layers=HEAD, inputs=c.width, axes=axes), generator)


def margin(c: GenvideoConfig, level: int) -> int:
    """The margin around the input of a level's network, px and frames: what its convolutions take away."""
    if c.variant == "hpvaegan":
        return 0
    return c.layers if c.variant == "singan3d" else c.layers - 2 * HEAD + (0 if level else HEAD)


def inherited(c: GenvideoConfig, level: int, below: nn.Module) -> nn.Module | None:
    """The network whose weights a level begins with: that of the level below; None where it begins anew."""
    if level > 1:
        return below
    if level == 0 or c.variant == "hpvaegan":  # a decoder has another input than a block
        return None
    return below[1] if isinstance(below, nn.Sequential) else below
