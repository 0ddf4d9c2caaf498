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

import torch
from torch import Tensor

from structkit.errors import OptionError

PART = 1 << 17  # elements that are worked on at a time: 512 KiB of float32
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
    return torch.ops.structkit.restyle(x, *_permuted(x, index, eps, own), eps, detach_content)


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
    return torch.ops.structkit.restyle_backward(slope, x, mean, deviation, style, eps, detach_content)


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
    return torch.ops.structkit.restyle(content, *_given(content, style, eps, own), eps, detach_content)


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
    return torch.ops.structkit.restyle_backward(slope, content, mean, deviation, given, eps, detach_content)


def channel_statistics(x: Tensor, eps: float = 1e-5) -> tuple[Tensor, Tensor]:
    """Mean and deviation (N, C) of each channel of each sample, over space; no gradient goes through them.

    The deviation is sqrt(v + eps), v with n - 1 in its divisor; float32, float64 where x is.
    """
    mean, variance = torch.ops.structkit.channel_moments(x.detach())
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


# The two layouts: channels between samples and space, and channels last.  (N, C, n) views of either hold the same.


def _channels_are_last(x: Tensor) -> bool:
    return not x.is_contiguous() and x.movedim(1, -1).is_contiguous()


def _rows(x: Tensor) -> Tensor:
    """x as (N, C, n), a view where its memory allows one."""
    return x.movedim(1, -1).flatten(1, -2).mT if _channels_are_last(x) else x.contiguous().flatten(2)


def _wide(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def _parts(rows: Tensor) -> range:
    return range(0, len(rows), _step(rows))


def _step(rows: Tensor) -> int:
    return max(1, PART // max(1, rows[0].numel()))


@torch.library.custom_op("structkit::channel_moments", mutates_args=())
def _channel_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    if x.is_cuda:
        from structkit.kernels.adain_triton import moments

        return moments(_rows(x))
    rows = _rows(x)
    mean, variance = (x.new_empty(rows.shape[:2], dtype=_wide(x)) for _ in range(2))
    step, count = _step(rows), rows.shape[2]
    centred = torch.empty_like(rows[:step], dtype=mean.dtype)
    for start in _parts(rows):
        part = rows[start : start + step]
        own, buffer = mean[start : start + step], centred[: len(part)]
        torch.sum(buffer.copy_(part), 2, out=own).div_(count)
        buffer.sub_(own[..., None]).square_()
        torch.sum(buffer, 2, out=variance[start : start + step]).div_(count - 1)
    return mean, variance


@_channel_moments.register_fake
def _(x: Tensor) -> tuple[Tensor, Tensor]:
    return tuple(x.new_empty(x.shape[:2], dtype=_wide(x)) for _ in range(2))


@torch.library.custom_op("structkit::restyle", mutates_args=())
def _restyle(
    x: Tensor,
    mean: Tensor,
    deviation: Tensor,
    style_mean: Tensor,
    style_deviation: Tensor,
    eps: float,
    detach_content: bool,
) -> Tensor:
    """Eq. 8 as a gain and a shift of each channel."""
    gain = style_deviation / (deviation + eps)
    shift = torch.addcmul(style_mean, mean, gain, value=-1)
    result = torch.empty_like(x)
    if x.is_cuda:
        from structkit.kernels.adain_triton import affine

        affine(_rows(x), gain, shift, _rows(result))
    elif _channels_are_last(x):
        rows, out = _rows(x), _rows(result)
        step, low = _step(rows), x.dtype != gain.dtype
        buffer = torch.empty_like(rows[:step], dtype=gain.dtype) if low else None
        for start in _parts(rows):
            part = slice(start, start + step)
            own, by, to = rows[part], gain[part, :, None], shift[part, :, None]
            if low:
                out[part].copy_(torch.addcmul(to, wide := buffer[: len(own)].copy_(own), by, out=wide))
            else:
                torch.addcmul(to, own, by, out=out[part])
    else:
        flat = x.contiguous().view(1, -1, x[0, 0].numel())
        zero, one = torch.zeros_like(gain).flatten(), torch.ones_like(gain).flatten()
        flat = native.native_batch_norm(flat, gain.flatten(), shift.flatten(), zero, one, False, 0.0, 0.0)[0]
        result = flat.view(x.shape)
    return result


@_restyle.register_fake
def _(x: Tensor, *_: object) -> Tensor:
    return torch.empty_like(x)


@torch.library.custom_op("structkit::restyle_backward", mutates_args=())
def _restyle_backward(
    slope: Tensor, x: Tensor, mean: Tensor, deviation: Tensor, style_deviation: Tensor, eps: float, detach: bool
) -> Tensor:
    """dL/dx = (a / s) (g - mean(g) - (x - mu) sum(g (x - mu)) / (s d (n - 1))), with a the style's deviation, d the
    content's, s = d + eps."""
    gain = style_deviation / (deviation + eps)
    bend = 1 / ((deviation + eps) * deviation * (x[0, 0].numel() - 1))
    if detach:
        return (slope * gain.view(*gain.shape, *(1,) * (x.dim() - 2))).to(x.dtype)
    last = _channels_are_last(x)
    slope = slope.to(x.dtype)
    slope = slope.movedim(1, -1).contiguous().movedim(-1, 1) if last else slope.contiguous()
    if x.is_cuda:
        from structkit.kernels.adain_triton import affine_backward

        result = torch.empty_like(slope)
        affine_backward(_rows(slope), _rows(x), mean, gain, bend, _rows(result))
        return result
    if not last:
        flat = x.contiguous().view(1, -1, x[0, 0].numel())
        sharpness = (bend * flat.shape[2]).sqrt_()  # what batch normalisation calls the inverse deviation
        none, weight = (None, None), (gain / sharpness).flatten()
        [result, *_] = native.native_batch_norm_backward(
            slope.view_as(flat),
            flat,
            weight,
            *none,
            mean.flatten(),
            sharpness.flatten(),
            True,
            0.0,
            [True, False, False],
        )
        return result.view(x.shape)
    result = torch.empty_like(slope)
    rows, slopes, out = _rows(x), _rows(slope), _rows(result)
    step, count, wide = _step(rows), rows.shape[2], mean.dtype
    centred, buffer = (torch.empty_like(rows[:step], dtype=wide) for _ in range(2))
    for start in _parts(rows):
        part = slice(start, start + step)
        g, size = slopes[part], len(rows[part])
        c, product = centred[:size].copy_(rows[part]).sub_(mean[part, :, None]), buffer[:size]
        g = g if g.dtype == wide else product.copy_(g).clone()
        level = g.sum(2, keepdim=True).div_(-count)
        tilt = torch.mul(g, c, out=product).sum(2, keepdim=True).mul_(bend[part, :, None]).neg_()
        torch.addcmul(level, c, tilt, out=c).add_(g)
        torch.mul(c, gain[part, :, None], out=c)
        out[part].copy_(c)
    return result


@_restyle_backward.register_fake
def _(slope: Tensor, x: Tensor, *_: object) -> Tensor:
    return torch.empty_like(x)


def _keep(ctx, inputs: tuple, output: Tensor) -> None:
    x, mean, deviation, _, style_deviation, ctx.eps, ctx.detach = inputs
    ctx.save_for_backward(x, mean, deviation, style_deviation)


def _differentiate(ctx, slope: Tensor) -> tuple[Tensor | None, ...]:
    x, mean, deviation, style = ctx.saved_tensors
    if not torch.is_grad_enabled():
        return torch.ops.structkit.restyle_backward(slope, x, mean, deviation, style, ctx.eps, ctx.detach), *(None,) * 6
    space, wide = tuple(range(2, x.dim())), x.to(mean)  # a gradient that is itself differentiated
    style = style.view(*style.shape, *(1,) * len(space))
    if ctx.detach:
        deviation = deviation.view_as(style)
        return (slope * style / (deviation + ctx.eps)).to(x.dtype), *(None,) * 6
    centred = wide - wide.mean(space, keepdim=True)
    deviation = (wide.var(space, keepdim=True) + ctx.eps).sqrt()
    s, product = deviation + ctx.eps, (slope * centred).sum(space, keepdim=True)
    product = product / (s * deviation * (x[0, 0].numel() - 1))
    return (style / s * (slope - slope.mean(space, keepdim=True) - centred * product)).to(x.dtype), *(None,) * 6


_restyle.register_autograd(_differentiate, setup_context=_keep)
