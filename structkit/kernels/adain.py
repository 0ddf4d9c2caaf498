"""Adaptive instance normalisation: the channel statistics of one picture, given to another.

What: AdaIN (Huang and Belongie, ICCV 2017, eq. 8) and its permuted form (Nuriel, Benaim and Wolf, "Permuted AdaIN",
CVPR 2021), in which each sample of a batch takes the statistics of another one.
Laws: mean and deviation of the result are the style's; the result knows its content only up to a gain and a shift of
each channel; batch normalisation behind a permuted batch sees the statistics of the batch as it was.  The style's
statistics are constants of the gradient, the content's are not.
How: the permuted form gathers N x C statistics, never maps; the gradient is in closed form, from x alone.  Statistics
are float32 at least.  The processor is given parts that stay in its cache, and batch normalisation's own loops where
the channels are not last.
Measured: tests/benchmarks/adain.csv.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from structkit.errors import OptionError

PART = 1 << 18  # elements that are worked on at a time: 1 MiB of float32
SAMPLE = 1 << 15  # elements of a sample from which on a call for each costs less than it saves
ONLY_INPUT = [True, False, False]
native = torch.ops.aten


def permuted_adain(
    x: Tensor, index: Tensor, *, eps: float = 1e-5, own: Tensor | None = None, detach_content: bool = False
) -> Tensor:
    """x with the channel statistics of x[index]: a tensor like x, in its shape, dtype and memory format.

    x (N, C, *space), any number of axes of space; index (N,) int64: whose statistics each sample takes.
    own (N,) in [0, 1]: the share of its own statistics that a sample keeps, MixStyle's lambda; None: nothing.
    detach_content: the content's statistics are constants of the gradient too, as in MixStyle.
    Fewer than two samples, or maps of one pixel: x itself.
    Raises OptionError for an index or shares that are not one for each sample.
    """
    _check(x)
    if index.shape != x.shape[:1] or (own is not None and own.shape != x.shape[:1]):
        raise OptionError(f"a batch of {len(x)} needs {len(x)} indices, and as many shares where there are any")
    if len(x) < 2 or x[0, 0].numel() < 2:
        return x
    return _restyled(x, *_permuted(x, index, eps, own), eps, detach_content)


def permuted_adain_backward(
    slope: Tensor,
    x: Tensor,
    index: Tensor,
    *,
    eps: float = 1e-5,
    own: Tensor | None = None,
    detach_content: bool = False,
) -> Tensor:
    """The gradient at x of `permuted_adain`, from that at its result: for graphs that do not differentiate it
    themselves."""
    if len(x) < 2 or x[0, 0].numel() < 2:
        return slope
    mean, deviation, _, style = _permuted(x, index, eps, own)
    return _slope(slope, x, mean, deviation, style, eps, detach_content)


def adain(
    content: Tensor, style: Tensor, eps: float = 1e-5, *, own: Tensor | None = None, detach_content: bool = False
) -> Tensor:
    """The content with the channel statistics of the style, sample by sample: a tensor like the content.

    content (N, C, *space) and style (N, C, *space): the axes of space may differ.
    own (N,) and detach_content: as `permuted_adain` has them.
    Maps of one pixel, in either: the content itself.
    Raises OptionError where numbers of samples or of channels differ.
    """
    _check(content)
    if content.shape[:2] != style.shape[:2]:
        raise OptionError(
            f"a content of {tuple(content.shape[:2])} samples and channels, a style of {tuple(style.shape[:2])}"
        )
    if not len(content) or min(content[0, 0].numel(), style[0, 0].numel()) < 2:
        return content
    return _restyled(content, *_given(content, style, eps, own), eps, detach_content)


def adain_backward(
    slope: Tensor,
    content: Tensor,
    style: Tensor,
    eps: float = 1e-5,
    *,
    own: Tensor | None = None,
    detach_content: bool = False,
) -> Tensor:
    """The gradient at the content of `adain`, from that at its result."""
    if not len(content) or min(content[0, 0].numel(), style[0, 0].numel()) < 2:
        return slope
    mean, deviation, _, given = _given(content, style, eps, own)
    return _slope(slope, content, mean, deviation, given, eps, detach_content)


def channel_statistics(x: Tensor, eps: float = 1e-5) -> tuple[Tensor, Tensor]:
    """Mean and deviation (N, C) of each channel of each sample, over space; no gradient goes through them.

    The deviation is sqrt(v + eps), v with n - 1 in its divisor; float32, float64 where x is.
    """
    compiled = torch.compiler.is_compiling()
    mean, variance = (torch.ops.structkit.channel_moments if compiled else _moments)(x.detach())
    return mean, (variance + eps).sqrt_()


def permuted_adain_reference(
    x: Tensor, index: Tensor, *, eps: float = 1e-5, own: Tensor | None = None, detach_content: bool = False
) -> Tensor:
    """The oracle of `permuted_adain`: the published form, which gathers whole maps, in the dtype of x."""
    space, share = tuple(range(2, x.dim())), 0 if own is None else own.to(x).view(-1, *(1,) * (x.dim() - 1))

    def moments(maps: Tensor) -> tuple[Tensor, Tensor]:
        return maps.mean(space, keepdim=True), (maps.var(space, keepdim=True) + eps).sqrt()

    mean, deviation = moments(x.detach() if detach_content else x)
    style_mean, style_deviation = (
        share * kept + (1 - share) * taken
        for kept, taken in zip(moments(x.detach()), moments(x.detach()[index]), strict=True)
    )
    return style_deviation * (x - mean) / (deviation + eps) + style_mean


def _check(x: Tensor) -> None:
    if x.dim() < 3 or not x.is_floating_point():
        raise OptionError(
            f"maps of shape {tuple(x.shape)} and {x.dtype}: expected (samples, channels, space...), floating-point"
        )


def _restyled(x: Tensor, *rest: Any) -> Tensor:
    return (torch.ops.structkit.restyle if torch.compiler.is_compiling() else Restyling.apply)(x, *rest)


def _permuted(x: Tensor, index: Tensor, eps: float, own: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    mean, deviation = channel_statistics(x, eps)
    index = index.to(x.device)
    return mean, deviation, *_shared(mean, deviation, mean[index], deviation[index], own)


def _given(content: Tensor, style: Tensor, eps: float, own: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    mean, deviation = channel_statistics(content, eps)
    return mean, deviation, *_shared(mean, deviation, *(of.to(mean) for of in channel_statistics(style, eps)), own)


def _shared(
    mean: Tensor, deviation: Tensor, style_mean: Tensor, style_deviation: Tensor, own: Tensor | None
) -> tuple[Tensor, Tensor]:
    if own is None:
        return style_mean, style_deviation
    share = own.to(mean)[:, None]
    return style_mean.lerp(mean, share), style_deviation.lerp(deviation, share)


class Restyling(torch.autograd.Function):
    """AdaIN as a function of the content alone, with its gradient in closed form."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        mean: Tensor,
        deviation: Tensor,
        style_mean: Tensor,
        style_deviation: Tensor,
        eps: float,
        detach_content: bool,
    ) -> Tensor:
        ctx.save_for_backward(x, mean, deviation, style_deviation)
        ctx.eps, ctx.detach = eps, detach_content
        gain = style_deviation / (deviation + eps)
        return _affine(x, gain, torch.addcmul(style_mean, mean, gain, value=-1))

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        again = torch.is_grad_enabled()  # the gradient is itself differentiated
        return (_slope_in_operations if again else _slope)(slope, *ctx.saved_tensors, ctx.eps, ctx.detach), *(None,) * 6


def _slope(
    slope: Tensor, x: Tensor, mean: Tensor, deviation: Tensor, style: Tensor, eps: float, detach: bool
) -> Tensor:
    """dL/dx = (a / s) (g - mean(g) - (x - mu) sum(g (x - mu)) / (s d (n - 1))), with a the style's deviation, d the
    content's, s = d + eps."""
    gain = style / (deviation + eps)
    if detach:
        return _affine(slope.to(x.dtype), gain, torch.zeros_like(gain))
    bend = 1 / ((deviation + eps) * deviation * (x[0, 0].numel() - 1))
    slope = torch.empty_like(x).copy_(slope) if slope.stride() != x.stride() else slope.to(x.dtype)
    return _bent(slope, x, mean, gain, bend)


def _slope_in_operations(
    slope: Tensor, x: Tensor, mean: Tensor, deviation: Tensor, style: Tensor, eps: float, detach: bool
) -> Tensor:
    """`_slope` in operations that can be differentiated, from the content's statistics as functions of it."""
    space = tuple(range(2, x.dim()))
    style, deviation = (of.view(*of.shape, *(1,) * len(space)) for of in (style, deviation))
    if detach:
        return (slope * style / (deviation + eps)).to(x.dtype)
    wide = x.to(style.dtype)
    centred, deviation = wide - wide.mean(space, keepdim=True), (wide.var(space, keepdim=True) + eps).sqrt()
    tilt = (slope * centred).sum(space, keepdim=True) / ((deviation + eps) * deviation * (x[0, 0].numel() - 1))
    return (style / (deviation + eps) * (slope - slope.mean(space, keepdim=True) - centred * tilt)).to(x.dtype)


# The loops, for two layouts: channels between samples and space, and channels last.  `_rows` are (N, C, n) in both.


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and unbiased variance (N, C)."""
    rows, wide = _rows(x), torch.promote_types(x.dtype, torch.float32)
    if _by_triton(x):
        from structkit.kernels.adain_triton import moments

        return moments(rows)
    mean, variance = (x.new_empty(rows.shape[:2], dtype=wide) for _ in range(2))
    count = rows.shape[2]
    if (x.dtype != wide or _channels_are_last(x)) and (groups := _groups(x)):
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


def _affine(x: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
    """x gain + shift, with a gain and a shift (N, C) for each channel."""
    result = torch.empty_like(x)
    if _by_triton(x):
        from structkit.kernels.adain_triton import affine

        affine(_rows(x), gain, shift, _rows(result))
        return result
    if (x.dtype != gain.dtype or not _channels_are_last(x)) and (groups := _groups(x)):
        zero, one = (make(gain.numel() // len(groups)) for make in (gain.new_zeros, gain.new_ones))
        none = gain.new_empty(0)
        for view, by, to, out in zip(groups, *_split(groups, gain, shift), _groups(result), strict=True):
            native.native_batch_norm.out(
                view, by, to, zero, one, False, 0.0, 0.0, out=out, save_mean=none, save_invstd=none
            )
        return result
    rows, out = _rows(x), _rows(result)
    step = _step(rows)
    buffer = torch.empty_like(rows[:step], dtype=gain.dtype) if x.dtype != gain.dtype else None
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        own, by, to = rows[part], gain[part, :, None], shift[part, :, None]
        if buffer is None:
            torch.addcmul(to, own, by, out=out[part])
        else:
            wide = buffer[: len(own)].copy_(own)
            out[part].copy_(torch.addcmul(to, wide, by, out=wide))
    return result


def _bent(slope: Tensor, x: Tensor, mean: Tensor, gain: Tensor, bend: Tensor) -> Tensor:
    """gain (g - mean(g) - c bend sum(g c)), with g the slope and c = x - mean; slope in the layout of x."""
    result = torch.empty_like(slope)
    if _by_triton(x):
        from structkit.kernels.adain_triton import affine_backward

        affine_backward(_rows(slope), _rows(x), mean, gain, bend, _rows(result))
        return result
    if (x.dtype != mean.dtype or not _channels_are_last(x)) and (
        groups := _groups(x)
    ):  # batch normalisation's own gradient, with a deviation that makes it ours
        sharpness = (bend * x[0, 0].numel()).sqrt_()
        constants = _split(groups, gain / sharpness, mean, sharpness)
        for view, g, out, weight, *saved in zip(groups, _groups(slope), _groups(result), *constants, strict=True):
            found = native.native_batch_norm_backward(g, view, weight, None, None, *saved, True, 0.0, ONLY_INPUT)[0]
            if len(groups) == 1:
                return found.view_as(x)
            out.copy_(found)
        return result
    rows, slopes, out = _rows(x), _rows(slope), _rows(result)
    step, wide = _step(rows), mean.dtype
    centred, product = (torch.empty_like(rows[:step], dtype=wide) for _ in range(2))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        g, own, by, c = slopes[part].to(wide), rows[part], gain[part, :, None], centred[: len(rows[part])]
        torch.sub(own if own.dtype == wide else c.copy_(own), mean[part, :, None], out=c)
        tilt = torch.mul(g, c, out=product[: len(g)]).sum(2, keepdim=True).mul_(bend[part, :, None]).mul_(by).neg_()
        level = g.sum(2, keepdim=True).mul_(by).div_(-rows.shape[2])
        to = out[part] if own.dtype == wide else c
        torch.addcmul(level, c, tilt, out=to).addcmul_(g, by)
        if to is c:
            out[part].copy_(c)
    return result


def _by_triton(x: Tensor) -> bool:
    return x.is_cuda


def _channels_are_last(x: Tensor) -> bool:
    return not x.is_contiguous() and x.movedim(1, -1).is_contiguous()


def _rows(x: Tensor) -> Tensor:
    """x as (N, C, n), a view where its memory allows one."""
    return x.movedim(1, -1).flatten(1, -2).mT if _channels_are_last(x) else x.contiguous().flatten(2)


def _step(rows: Tensor) -> int:
    """Samples that are worked on at a time."""
    return max(1, PART // max(1, rows[0].numel()))


def _groups(x: Tensor) -> Sequence[Tensor]:
    """Views (1, channels, ...) of x for batch normalisation's own loops: all channels of the batch, or each sample.

    None for many small samples with channels last, for which a call each would cost more than the loops save.
    """
    if not _channels_are_last(x):
        return [x.contiguous().view(1, -1, x[0, 0].numel())]
    return x.split(1) if x.dim() in (4, 5) and x[0].numel() >= SAMPLE else []


def _split(groups: Sequence[Tensor], *statistics: Tensor) -> list[Sequence[Tensor]]:
    """Statistics (N, C), each as one vector for each group."""
    return [of.view(len(groups), -1).unbind() for of in statistics]


# The same as operations that a compiled graph holds as they are.


@torch.library.custom_op("structkit::channel_moments", mutates_args=())
def _compiled_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    return _moments(x)


@_compiled_moments.register_fake
def _(x: Tensor) -> tuple[Tensor, Tensor]:
    return tuple(x.new_empty(x.shape[:2], dtype=torch.promote_types(x.dtype, torch.float32)) for _ in range(2))


@torch.library.custom_op("structkit::restyle", mutates_args=())
def _compiled_restyle(
    x: Tensor,
    mean: Tensor,
    deviation: Tensor,
    style_mean: Tensor,
    style_deviation: Tensor,
    eps: float,
    detach_content: bool,
) -> Tensor:
    gain = style_deviation / (deviation + eps)
    return _affine(x, gain, torch.addcmul(style_mean, mean, gain, value=-1))


@_compiled_restyle.register_fake
def _(x: Tensor, *_: object) -> Tensor:
    return torch.empty_like(x)


@torch.library.custom_op("structkit::restyle_backward", mutates_args=())
def _compiled_slope(
    slope: Tensor, x: Tensor, mean: Tensor, deviation: Tensor, style: Tensor, eps: float, detach: bool
) -> Tensor:
    return _slope(slope, x, mean, deviation, style, eps, detach)


@_compiled_slope.register_fake
def _(slope: Tensor, x: Tensor, *_: object) -> Tensor:
    return torch.empty_like(x)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, mean, deviation, _, style_deviation, ctx.eps, ctx.detach = inputs
    ctx.save_for_backward(x, mean, deviation, style_deviation)


def _differentiate(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
    return torch.ops.structkit.restyle_backward(slope, *ctx.saved_tensors, ctx.eps, ctx.detach), *(None,) * 6


_compiled_restyle.register_autograd(_differentiate, setup_context=_keep)
