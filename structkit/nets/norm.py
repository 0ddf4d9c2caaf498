"""Instance norm with an affine map, in the memory order that convolutions are fastest in."""

from __future__ import annotations

import torch
from torch import Tensor

EPSILON = 1e-5


def instance_norm(images: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
    """Instance norm: gain * (images - mean) / sqrt(variance + 1e-5) + shift, with the (biased) moments of each sample
    and channel over its space.

    images: (B, C, *space); gain, shift: (C,).  At batch size 1 this is BatchNorm in training; at any other samples
    never mix.  Images that are channels_last stay so.  Plain sums over pixels: differentiable any number of times,
    and in that order several times faster on CPU than `torch.var_mean`, and than `F.instance_norm`, which leaves
    channels_last.
    """
    batch, channels, *space = images.shape
    pixels = images.movedim(1, -1).reshape(batch, -1, channels)
    count = pixels.shape[1]
    centred = pixels - pixels.sum(1, keepdim=True) / count
    variance = (centred * centred).sum(1, keepdim=True) / count
    normed = torch.addcmul(shift, centred, gain * (variance + EPSILON).rsqrt())
    return normed.reshape(batch, *space, channels).movedim(-1, 1)
