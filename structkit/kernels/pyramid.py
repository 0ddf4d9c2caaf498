"""Antialiased resampling to exact shapes, and the shapes of a pyramid.

What: separable cubic filter (Keys, a = -0.5), widened by the scale factor when it shrinks (antialias), its weights
renormalised at the borders; shapes are exact, whatever the factor.  Any number of axes: (H, W) for pictures, (T, H, W)
for clips.
Laws: constants, linear ramps away from the borders and the own shape are preserved; mirroring and permuting the axes
commute; a clip of one frame gives the picture's bits; on pictures the result equals
`F.interpolate(mode="bicubic", antialias=True)`, which is the fast path on CPU.
Measured: tests/benchmarks/pyramid.csv.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from structkit.errors import OptionError

Shape = tuple[int, ...]  # height, width of a picture, px; frames, height, width of a clip


def pyramid_shapes(shape: Sequence[int], *, ratio: float, coarsest: int) -> list[Shape]:
    """The shapes of a pyramid's levels: level 0 is the coarsest, the last is `shape`.

    shape: (H, W), px.  ratio: of one level to the next finer, in (0, 1).  coarsest: wanted short side of level 0, px;
    the number of levels is the one that comes nearest to it.  Each level is computed from the full shape (rounded,
    never below 1), so that errors do not add up.  A picture whose short side is at most `coarsest` has one level.
    Raises OptionError for a ratio or a side out of range.
    """
    if not 0 < ratio < 1:
        raise OptionError(f"the ratio between pyramid levels is {ratio:g}: it must lie between 0 and 1")
    if coarsest < 1 or min(shape) < 1:
        raise OptionError(f"a pyramid from {coarsest} px to {tuple(shape)} px: every side must be at least 1 px")
    exact = max(0.0, math.log(coarsest / min(shape)) / math.log(ratio))
    steps = min((math.floor(exact), math.ceil(exact)), key=lambda n: abs(min(shape) * ratio**n - coarsest))
    return [tuple(max(1, round(side * ratio**n)) for side in shape) for n in range(steps, -1, -1)]


def resize(images: Tensor, shape: Sequence[int]) -> Tensor:
    """Resampled images: (B, C, *space) float32 -> (B, C, *shape), differentiable.

    Space is H, W or T, H, W; any shape, up or down.  Ringing may leave the input's range by a few percent at sharp
    edges.  Raises OptionError for a shape with other axes, or an empty one.
    """
    shape = _checked(images, shape)
    # Measured on CPU: 2x (256 px) to 10x (1080p) faster than the products; elsewhere its antialiasing is limited or
    # missing.
    return _resize_interpolate(images, shape) if images.device.type == "cpu" else resize_reference(images, shape)


def resize_reference(images: Tensor, shape: Sequence[int]) -> Tensor:
    """The oracle of `resize`: one small matrix product per axis."""
    for axis, length in enumerate(_checked(images, shape), start=2):
        if length != images.shape[axis]:
            weights = axis_weights(images.shape[axis], length).to(images)
            images = (images.movedim(axis, -1) @ weights.T).movedim(-1, axis)
    return images


def axis_weights(length: int, target: int) -> Tensor:
    """Matrix (target, length) float64 that resamples one axis; its rows sum to 1."""
    scale = length / target
    centres = (torch.arange(target, dtype=torch.float64) + 0.5) * scale - 0.5
    offsets = (torch.arange(length, dtype=torch.float64) - centres[:, None]) / max(1.0, scale)
    weights = _cubic(offsets)
    return weights / weights.sum(1, keepdim=True)


def _cubic(x: Tensor, a: float = -0.5) -> Tensor:
    """Keys' cubic convolution kernel (1981, eq. 4), support [-2, 2]."""
    x = x.abs()
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * (x**3 - 5 * x**2 + 8 * x - 4)
    return torch.where(x <= 1, near, torch.where(x < 2, far, torch.zeros_like(x)))


def _resize_interpolate(images: Tensor, target: Shape) -> Tensor:
    """Resampling by PyTorch, two axes at a time: rows and columns together, then each further axis alone beside the
    others flattened.
    """
    batch, channels, *space = images.shape
    *leading, height, width = space
    if target[-2:] != (height, width):
        planes = images.reshape(batch, -1, height, width)
        images = _interpolate(planes, target[-2:]).reshape(batch, channels, *leading, *target[-2:])
    for axis, length in enumerate(target[:-2], start=2):
        if length != images.shape[axis]:
            shape = images.shape
            columns = images.reshape(batch, math.prod(shape[1:axis]), shape[axis], -1)
            images = _interpolate(columns, (length, columns.shape[-1])).reshape(
                *shape[:axis], length, *shape[axis + 1 :]
            )
    return images


def _interpolate(planes: Tensor, shape: Sequence[int]) -> Tensor:
    return F.interpolate(planes, size=tuple(shape), mode="bicubic", antialias=True)


def _checked(images: Tensor, shape: Sequence[int]) -> Shape:
    shape = tuple(int(side) for side in shape)
    if images.dim() != len(shape) + 2 or len(shape) < 2:
        raise OptionError(
            f"cannot resize {tuple(images.shape)} to {shape}: expected (B, C, *space) and as many sides as space has "
            "axes"
        )
    if min(shape) < 1 or min(images.shape) < 1:
        raise OptionError(f"cannot resize {tuple(images.shape)} to {shape}: every side must be at least 1")
    return shape
