"""Adaptive instance normalisation on the processor: parts that stay in its cache, or batch normalisation's own loops.

Tensors are (N, C, n), n the pixels, with the channels between samples and pixels or last.  `adain_triton` has the same
three functions for CUDA.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

PART = 1 << 18  # elements that are worked on at a time: 1 MiB of float32
SAMPLE = 1 << 15  # elements of a sample from which on a call for each costs less than it saves
PIXELS = 256  # pixels of a map from which on batch normalisation's gradient is fast in bfloat16
ONLY_INPUT = [True, False, False]
native = torch.ops.aten


def moments(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance (N, C), with n - 1 in its divisor, over the pixels of rows (N, C, n); float32 at least."""
    wide, count = torch.promote_types(rows.dtype, torch.float32), rows.shape[2]
    mean, variance = (rows.new_empty(rows.shape[:2], dtype=wide) for _ in range(2))
    if not rows.is_contiguous() and (groups := _groups(rows)):
        for view, *out in zip(groups, *_split(groups, mean, variance), strict=True):
            for to, found in zip(out, native.batch_norm_update_stats(view, None, None, 0.0), strict=True):
                to.copy_(found)
        return mean, variance.mul_(count / (count - 1))
    step = _step(rows)
    centred = torch.empty_like(rows[:step], dtype=wide)
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        own, buffer = rows[part], centred[: len(rows[part])]
        own = own if own.dtype == wide else buffer.copy_(own)
        torch.sum(own, 2, out=mean[part]).div_(count)
        torch.sub(own, mean[part, :, None], out=buffer).square_()
        torch.sum(buffer, 2, out=variance[part]).div_(count - 1)
    return mean, variance


def affine(rows: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
    """rows * gain + shift, with a gain and a shift (N, C) for each channel."""
    result = torch.empty_like(rows)
    if (rows.dtype != gain.dtype or rows.is_contiguous()) and (groups := _groups(rows)):
        zero, one = (make(gain.numel() // len(groups)) for make in (gain.new_zeros, gain.new_ones))
        none = gain.new_empty(0)
        for view, by, to, out in zip(groups, *_split(groups, gain, shift), _groups(result), strict=True):
            native.native_batch_norm.out(
                view, by, to, zero, one, False, 0.0, 0.0, out=out, save_mean=none, save_invstd=none
            )
        return result
    step = _step(rows)
    buffer = torch.empty_like(rows[:step], dtype=gain.dtype) if rows.dtype != gain.dtype else None
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        own, by, to = rows[part], gain[part, :, None], shift[part, :, None]
        if buffer is None:
            torch.addcmul(to, own, by, out=result[part])
        else:
            wide = buffer[: len(own)].copy_(own)
            result[part].copy_(torch.addcmul(to, wide, by, out=wide))
    return result


def affine_backward(slope: Tensor, rows: Tensor, mean: Tensor, gain: Tensor, bend: Tensor) -> Tensor:
    """gain (g - mean(g) - c bend sum(g c)), with g = slope, in the layout of rows, and c = rows - mean; mean, gain and
    bend are (N, C)."""
    wide, count = mean.dtype, rows.shape[2]
    fast = rows.dtype == wide or count >= PIXELS if rows.is_contiguous() else rows.dtype != wide
    if fast and (groups := _groups(rows)):
        sharpness = (bend * count).sqrt_()  # as the inverse of a deviation, the gradient of batch normalisation is ours
        result = None if len(groups) == 1 else torch.empty_like(rows)
        outs = [rows] if result is None else _groups(result)
        constants = _split(groups, gain / sharpness, mean, sharpness)
        for view, g, out, weight, *saved in zip(groups, _groups(slope), outs, *constants, strict=True):
            found = native.native_batch_norm_backward(g, view, weight, None, None, *saved, True, 0.0, ONLY_INPUT)[0]
            if result is None:
                return found.view(rows.shape)
            out.copy_(found)
        return result
    result, step = torch.empty_like(rows), _step(rows)
    centred, product = (torch.empty_like(rows[:step], dtype=wide) for _ in range(2))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        g, own, by, c = slope[part].to(wide), rows[part], gain[part, :, None], centred[: len(rows[part])]
        torch.sub(own if own.dtype == wide else c.copy_(own), mean[part, :, None], out=c)
        tilt = torch.mul(g, c, out=product[: len(g)]).sum(2, keepdim=True).mul_(bend[part, :, None]).mul_(by).neg_()
        level = g.sum(2, keepdim=True).mul_(by).div_(-count)
        to = result[part] if own.dtype == wide else c
        torch.addcmul(level, c, tilt, out=to).addcmul_(g, by)
        if to is c:
            result[part].copy_(c)
    return result


def _step(rows: Tensor) -> int:
    """Samples that are worked on at a time."""
    return max(1, PART // rows[0].numel())


def _groups(rows: Tensor) -> Sequence[Tensor]:
    """Views (1, channels, ...) for batch normalisation's own loops: all channels of the batch, or each sample.

    None for many small samples with channels last, for which a call each would cost more than the loops save.
    """
    if rows.is_contiguous():
        return [rows.view(1, -1, rows.shape[2])]
    return rows[:, :, None].split(1) if rows[0].numel() >= SAMPLE else []


def _split(groups: Sequence[Tensor], *statistics: Tensor) -> list[Sequence[Tensor]]:
    """Statistics (N, C), each as one vector for each group."""
    return [of.view(len(groups), -1).unbind() for of in statistics]
