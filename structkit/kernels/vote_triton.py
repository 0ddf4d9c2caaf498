"""Voting on CUDA: each output value gathers what covers it, so that nothing is added twice or in an uncertain order."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

PIXELS = 256  # outputs per program


def gather_votes(
    pixels: Tensor,
    space: Sequence[int],
    corner: Tensor,
    grid: Sequence[int],
    sides: Sequence[int],
    weights: Tensor | None = None,
) -> Tensor:
    """Image of the patches chosen, (C, *(grid + sides - 1)), the dtype of pixels: the vote of `structkit.kernels.vote`.

    pixels (source pixels, C) of an image with sides `space`; corner (N,): the first source pixel of the patch chosen at
    each position of `grid`; sides: of a patch.  At most three axes; fewer are led by axes of length 1.
    weights (N,): of the patches; None: all the same.
    """
    lead = 3 - len(grid)
    space, grid, sides = ((1,) * lead + tuple(lengths) for lengths in (space, grid, sides))
    shape = [g + side - 1 for g, side in zip(grid, sides, strict=True)]
    count, channels = math.prod(shape), pixels.shape[1]
    result = torch.empty(channels, *shape[lead:], dtype=pixels.dtype, device=pixels.device)
    launch = (triton.cdiv(count, PIXELS), channels)
    own = corner if weights is None else weights.double().contiguous()  # none: a pointer that is not followed
    of = *grid, *shape[1:], *space[1:], channels, *sides
    _gather[launch](pixels, corner, own, result, count, *of, WEIGHTED=weights is not None, PIXELS=PIXELS)
    return result


@triton.jit
def _gather(
    pixels, corner, weights, result,
    COUNT, GT, GH, GW, H, W, SOURCE_H, SOURCE_W, CHANNELS, PT, PH, PW, WEIGHTED: tl.constexpr, PIXELS: tl.constexpr,
):  # fmt: skip
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    channel = tl.program_id(1)
    t, h, w = pixel // (H * W), pixel // W % H, pixel % W
    total = tl.zeros((PIXELS,), tl.float64)
    norm = tl.zeros((PIXELS,), tl.float64)
    for dt in range(PT):
        for dh in range(PH):
            for dw in range(PW):
                gt, gh, gw = t - dt, h - dh, w - dw  # the patch that covers this pixel with its pixel (dt, dh, dw)
                inside = (gt >= 0) & (gt < GT) & (gh >= 0) & (gh < GH) & (gw >= 0) & (gw < GW) & (pixel < COUNT)
                patch = (gt * GH + gh) * GW + gw
                source = tl.load(corner + patch, mask=inside, other=0)
                source += (dt * SOURCE_H + dh) * SOURCE_W + dw
                value = tl.load(pixels + source * CHANNELS + channel, mask=inside, other=0.0)
                if WEIGHTED:
                    weight = tl.load(weights + patch, mask=inside, other=0.0)
                    total += weight * value.to(tl.float64)
                    norm += weight
                else:
                    total += value.to(tl.float64)
                    norm += tl.where(inside, 1.0, 0.0)
    value = (total / tl.where(pixel < COUNT, norm, 1.0)).to(result.dtype.element_ty)
    tl.store(result + channel.to(tl.int64) * COUNT + pixel, value, mask=pixel < COUNT)
