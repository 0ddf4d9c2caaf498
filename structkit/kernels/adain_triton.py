"""Adaptive instance normalisation on CUDA: statistics in one read, the result in one read and one write.

Tensors are (N, C, n), n the pixels, in any strides: channels last or not.  A program takes some channels of one sample,
a tile of their pixels at a time; statistics of tiles are merged (Chan et al. 1979), so that no mean is large beside its
deviation.  Arithmetic is in the dtype of the statistics.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

TILE = 1024  # values that a program has at a time


def moments(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance (N, C), with n - 1 in its divisor, over the pixels of rows (N, C, n); float32 at least."""
    wide = torch.promote_types(rows.dtype, torch.float32)
    mean, variance = (torch.empty(rows.shape[:2], dtype=wide, device=rows.device) for _ in range(2))
    tile = _tile(rows)
    launch = (len(rows) * triton.cdiv(rows.shape[1], tile["CHANNELS"]),)
    _moments[launch](rows, mean, variance, *rows.shape[1:], *rows.stride(), **tile)
    return mean, variance


def affine(rows: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
    """rows * gain + shift, with a gain and a shift (N, C) for each channel."""
    tile, result = _tile(rows), torch.empty_like(rows)
    launch = (len(rows) * triton.cdiv(rows.shape[1], tile["CHANNELS"]) * triton.cdiv(rows.shape[2], tile["PIXELS"]),)
    _affine[launch](rows, gain, shift, result, *rows.shape[1:], *rows.stride(), *result.stride(), **tile)
    return result


def affine_backward(slope: Tensor, rows: Tensor, mean: Tensor, gain: Tensor, bend: Tensor) -> Tensor:
    """gain (g - mean(g) - c bend sum(g c)), with g = slope and c = rows - mean; mean, gain and bend are (N, C)."""
    tile, result = _tile(rows), torch.empty_like(rows)
    launch = (len(rows) * triton.cdiv(rows.shape[1], tile["CHANNELS"]),)
    strides = *slope.stride(), *rows.stride(), *result.stride()
    _affine_backward[launch](slope, rows, mean, gain, bend, result, *rows.shape[1:], *strides, **tile)
    return result


def _tile(rows: Tensor) -> dict[str, int]:
    """The shape of a tile: broad where the memory is."""
    if rows.stride(1) == 1:
        channels = min(64, triton.next_power_of_2(rows.shape[1]))
        return {"CHANNELS": channels, "PIXELS": TILE // channels}
    return {"CHANNELS": 1, "PIXELS": min(TILE, triton.next_power_of_2(rows.shape[2]))}


@triton.jit
def _moments(
    rows, mean, variance, C, COUNT, SN, SC, SP, CHANNELS: tl.constexpr, PIXELS: tl.constexpr
):  # fmt: skip
    wide: tl.constexpr = mean.dtype.element_ty
    blocks = tl.cdiv(C, CHANNELS)
    sample = (tl.program_id(0) // blocks).to(tl.int64)
    channel = tl.program_id(0) % blocks * CHANNELS + tl.arange(0, CHANNELS)
    pixel = tl.arange(0, PIXELS)
    known = tl.zeros((CHANNELS,), wide)
    squares = tl.zeros((CHANNELS,), wide)
    for start in range(0, COUNT, PIXELS):
        inside = (start + pixel < COUNT)[:, None] & (channel < C)[None, :]
        at = (start + pixel).to(tl.int64)[:, None] * SP + channel.to(tl.int64)[None, :] * SC
        value = tl.load(rows + sample * SN + at, mask=inside, other=0.0).to(wide)
        size = tl.minimum(PIXELS, COUNT - start).to(wide)
        own = tl.sum(value, 0) / size
        off = tl.where(inside, value - own[None, :], 0.0)
        before = start + size * 0  # pixels that `known` is the mean of
        step = own - known
        known += step * (size / (before + size))
        squares += tl.sum(off * off, 0) + step * step * (before * size / (before + size))
    tl.store(mean + sample * C + channel, known, mask=channel < C)
    tl.store(variance + sample * C + channel, squares / (COUNT - 1), mask=channel < C)


@triton.jit
def _affine(
    rows, gain, shift, result, C, COUNT, SN, SC, SP, RN, RC, RP, CHANNELS: tl.constexpr, PIXELS: tl.constexpr
):  # fmt: skip
    tiles, blocks = tl.cdiv(COUNT, PIXELS), tl.cdiv(C, CHANNELS)
    sample = (tl.program_id(0) // (tiles * blocks)).to(tl.int64)
    channel = tl.program_id(0) // tiles % blocks * CHANNELS + tl.arange(0, CHANNELS)
    pixel = tl.program_id(0) % tiles * PIXELS + tl.arange(0, PIXELS)
    inside = (pixel < COUNT)[:, None] & (channel < C)[None, :]
    by = tl.load(gain + sample * C + channel, mask=channel < C, other=0.0)
    to = tl.load(shift + sample * C + channel, mask=channel < C, other=0.0)
    p, c = pixel.to(tl.int64)[:, None], channel.to(tl.int64)[None, :]
    value = tl.load(rows + sample * SN + c * SC + p * SP, mask=inside, other=0.0).to(by.dtype)
    value = value * by[None, :] + to[None, :]
    tl.store(result + sample * RN + c * RC + p * RP, value.to(result.dtype.element_ty), mask=inside)


@triton.jit
def _affine_backward(
    slope, rows, mean, gain, bend, result,
    C, COUNT, GN, GC, GP, SN, SC, SP, RN, RC, RP, CHANNELS: tl.constexpr, PIXELS: tl.constexpr,
):  # fmt: skip
    wide: tl.constexpr = mean.dtype.element_ty
    blocks = tl.cdiv(C, CHANNELS)
    sample = (tl.program_id(0) // blocks).to(tl.int64)
    channel = tl.program_id(0) % blocks * CHANNELS + tl.arange(0, CHANNELS)
    c = channel.to(tl.int64)[None, :]
    level = tl.load(mean + sample * C + channel, mask=channel < C, other=0.0)
    total = tl.zeros((CHANNELS,), wide)
    product = tl.zeros((CHANNELS,), wide)
    for start in range(0, COUNT, PIXELS):
        pixel = start + tl.arange(0, PIXELS)
        inside, p = (pixel < COUNT)[:, None] & (channel < C)[None, :], pixel.to(tl.int64)[:, None]
        g = tl.load(slope + sample * GN + c * GC + p * GP, mask=inside, other=0.0).to(wide)
        x = tl.load(rows + sample * SN + c * SC + p * SP, mask=inside, other=0.0).to(wide)
        total += tl.sum(g, 0)
        product += tl.sum(g * (x - level[None, :]), 0)
    total /= COUNT
    product *= tl.load(bend + sample * C + channel, mask=channel < C, other=0.0)
    by = tl.load(gain + sample * C + channel, mask=channel < C, other=0.0)
    for start in range(0, COUNT, PIXELS):  # what was just read is still near
        pixel = start + tl.arange(0, PIXELS)
        inside, p = (pixel < COUNT)[:, None] & (channel < C)[None, :], pixel.to(tl.int64)[:, None]
        g = tl.load(slope + sample * GN + c * GC + p * GP, mask=inside, other=0.0).to(wide)
        x = tl.load(rows + sample * SN + c * SC + p * SP, mask=inside, other=0.0).to(wide)
        value = by[None, :] * (g - total[None, :] - (x - level[None, :]) * product[None, :])
        tl.store(result + sample * RN + c * RC + p * RP, value.to(result.dtype.element_ty), mask=inside)
