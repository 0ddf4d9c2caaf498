"""The order of a clip's axes in which its convolutions are fastest.

Law: a convolution of turned images with turned weights is the turned convolution.
On a CPU, PyTorch (2.11 to 2.14) takes a slow path for a float32 convolution of one small clip, where samples x channels
x (first axis of space) x (second axis) is at most 20,480: half to a quarter of oneDNN's speed.  So the axes of a small
clip are turned until the product is larger.  Measured: 64 channels, (4, 18, 33), 47 GFLOP/s as it is, 115 turned.
"""

from __future__ import annotations

import torch
from torch import Tensor

SLOW = 20_480  # elements but for the last axis, at most which PyTorch's own loops are taken
ORDERS = (
    (0, 1, 2),
    (2, 0, 1),
    (1, 2, 0),
)  # of (frames, height, width): as it is, then those that keep a long axis last


def fast_order(images: Tensor, channels: int) -> tuple[int, ...]:
    """The order of the axes of space, (0, 1, 2) for the one that is there.

    images: (B, C, *space), the input of a stack.  channels: of its widest layers.
    """
    axes = images.dim() - 2
    small = axes == 3 and len(images) == 1 and images.device.type == "cpu" and images.dtype == torch.float32
    for order in ORDERS if small else ():
        first, second, _ = (images.shape[2 + axis] for axis in order)
        if channels * first * second > SLOW:
            return order
    return tuple(range(axes))


def turned(tensor: Tensor, order: tuple[int, ...]) -> Tensor:
    """Images (B, C, *space) or weights (O, I, *space) with their axes of space in another order: a view."""
    return tensor.permute(0, 1, *(2 + axis for axis in order))


def turned_back(tensor: Tensor, order: tuple[int, ...]) -> Tensor:
    """The inverse of `turned`."""
    return turned(tensor, tuple(order.index(axis) for axis in range(len(order))))
