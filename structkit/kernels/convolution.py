"""Convolutions of pictures and clips, as fast for one small clip as for several.

Law: the result is that of `F.conv2d` or `F.conv3d`, up to rounding.
On a CPU, PyTorch (2.11 to 2.14) takes a slow path for a float32 convolution of one small clip, where channels x frames
x height is at most 20,480: half to a quarter of oneDNN's speed.  Two clips never go there: so one that is small goes as
its upper and its lower half, with a row of the other beside.  Measured (64 channels, forward and backward, AVX2): of
(4, 18, 33) 46 GFLOP/s as one and 95 as halves; of (5, 36, 65) 27 and 92.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOW = 20_480  # elements but for the last axis, at most which PyTorch's own loops are taken
CONVOLUTIONS = {2: F.conv2d, 3: F.conv3d}


def convolution(images: Tensor, weight: Tensor, bias: Tensor | None = None, *, padding: int, groups: int = 1) -> Tensor:
    """Convolution of stride 1: (B, C, *space) -> (B, O, *space), space being H, W or T, H, W.

    weight: (O, C / groups, *kernel).  bias: (O,).  padding: zeros around each axis.
    """
    run = CONVOLUTIONS[images.dim() - 2]
    if not _is_slow(images, weight, padding, groups):
        return run(images, weight, bias, padding=padding, groups=groups)
    height = images.shape[-2]
    half = (height + 1) // 2
    framed = F.pad(images, (0, 0, 1, 1))
    halves = torch.cat([framed[..., : half + 2, :], framed[..., -half - 2 :, :]])
    upper, lower = run(halves, weight, bias, padding=(1, 0, 1)).chunk(2)
    return torch.cat([upper, lower[..., 2 * half - height :, :]], -2)  # of an odd height both have the middle


def _is_slow(images: Tensor, weight: Tensor, padding: int, groups: int) -> bool:
    """True for one small clip that PyTorch would convolve slowly, with a kernel of 3 as `convolution` splits it."""
    on_cpu = images.device.type == "cpu" and images.dtype == torch.float32
    is_clip = images.dim() == 5 and weight.shape[2:] == (3, 3, 3) and padding == 1 and groups == 1
    return on_cpu and is_clip and len(images) == 1 and images.shape[1:4].numel() <= SLOW


def memory_format_of(network: nn.Module) -> torch.memory_format:
    """The order in memory in which a network's 2-D convolutions are fast: channels last, where that is safe.

    oneDNN's gradients for AVX2 write beyond their memory where a strided 1 x 1 convolution has less than 8 channels in
    that order (oneDNN of PyTorch 2.14): such a network stays in PyTorch's usual order.
    """
    convolutions = (module for module in network.modules() if isinstance(module, nn.Conv2d))
    strided = (module for module in convolutions if module.kernel_size == (1, 1) and module.stride != (1, 1))
    unsafe = any(module.in_channels < 8 for module in strided)
    return torch.contiguous_format if unsafe else torch.channels_last
