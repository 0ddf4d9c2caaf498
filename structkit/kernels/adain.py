"""Adaptive instance normalisation: the channel statistics of one picture, given to another.

What: AdaIN (Huang and Belongie, ICCV 2017, eq. 8) and its permuted form (Nuriel, Benaim and Wolf, "Permuted AdaIN",
CVPR 2021), in which each sample of a batch takes the statistics of another one.
Laws: mean and deviation of the result are the style's; the result knows its content only up to a gain and a shift of
each channel; batch normalisation behind a permuted batch sees the statistics of the batch as it was.  The style's
statistics are constants of the gradient, the content's are not.
How: the permuted form gathers N x C statistics, never maps; the gradient is in closed form, from x alone.  Statistics
are float32 at least.  The loops are in `adain_loops` for the processor, in `adain_triton` for CUDA.
Measured: tests/benchmarks/adain.csv.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from structkit.errors import OptionError
from structkit.kernels import adain_loops


def permuted_adain(
    x: Tensor, index: Tensor, *, eps: float = 1e-5, own: Tensor | None = None, detach_content: bool = False
) -> Tensor:
    """x with the channel statistics of x[index]: a tensor of its shape, dtype and memory format.

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
    x = _dense(x)
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
    x = _dense(x)
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
    content = _dense(content)
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
    content = _dense(content)
    mean, deviation, _, given = _given(content, style, eps, own)
    return _slope(slope, content, mean, deviation, given, eps, detach_content)


def channel_statistics(x: Tensor, eps: float = 1e-5) -> tuple[Tensor, Tensor]:
    """Mean and deviation (N, C) of each channel of each sample, over space; no gradient goes through them.

    The deviation is sqrt(v + eps), v with n - 1 in its divisor; float32, float64 where x is.
    """
    compiled = torch.compiler.is_compiling()
    mean, variance = (torch.ops.structkit.channel_moments if compiled else _moments)(_dense(x.detach()))
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
        return _affine(_dense(slope.to(x.dtype)), gain, torch.zeros_like(gain))
    bend = 1 / ((deviation + eps) * deviation * (x[0, 0].numel() - 1))
    slope = torch.empty_like(x).copy_(slope) if slope.stride() != x.stride() else slope.to(x.dtype)
    return _path(x).affine_backward(slope.flatten(2), x.flatten(2), mean, gain, bend).view(x.shape)


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


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    return _path(x).moments(x.flatten(2))


def _affine(x: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
    return _path(x).affine(x.flatten(2), gain, shift).view(x.shape)


def _path(x: Tensor) -> ModuleType:
    if x.is_cuda:
        from structkit.kernels import adain_triton

        return adain_triton
    return adain_loops


def _dense(x: Tensor) -> Tensor:
    """x with its channels between samples and space, or last: what the loops know."""
    return x if x.movedim(1, -1).is_contiguous() else x.contiguous()


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
