"""Statistics of one picture given to another, so that patches can be compared where the colours differ.

Structure is where the colours change, not which they are: before source and target are compared, the source is given
the target's colours.  By optimal transport it gets all of their distribution, and neighbours stay neighbours (what was
the lighter of two regions mostly stays so); by its moments, mean and covariance alone, and calm areas stay calm.
What is shared may keep its colours.  And a picture in the making is given the contrast that the target has.
"""

from __future__ import annotations

import torch
from torch import Tensor

from structkit.kernels.pyramid import Shape, resize

EXACT = 2**16  # steps in 1 that moments and shares are rounded to, so that they are the same on any processor
LEAST_VARIANCE = 1e-4  # added to both covariances: a picture in shades of grey has directions without any
FAINT = 0.3  # share of the target's variance, below which a linear map leaves little to see
SKEWED = 0.2  # skewness from which on some colours are few and far
NEAR, SHARED = 12, 0.25  # target colours, of a grid of 32 x 32, and how near they are, of 2, where a colour is shared


def transport_colours(source: Tensor, target: Tensor, *, rounds: int = 20, generator: torch.Generator) -> Tensor:
    """Source (1, C, H, W) with the colour distribution of target (1, C, h, w): sliced optimal transport.

    Each round matches the sorted values along C random orthogonal directions (Pitie et al., ICCV 2005; Bonneel et al.,
    JMIV 2015).
    """
    moving, wanted = (picture.flatten(2)[0].T for picture in (source, target))
    channels = moving.shape[1]
    for _ in range(rounds):
        drawn = torch.randn(channels, channels, generator=generator, device=generator.device)
        turn = torch.linalg.qr(drawn.double()).Q.to(moving)
        mine, theirs = _turned(moving, turn), _turned(wanted, turn).sort(dim=0).values
        order = mine.argsort(dim=0, stable=True)
        mine = mine.scatter(0, order, _stretch(theirs, len(mine)))
        moving = _turned(mine, turn.T)
    return moving.T.reshape(source.shape)


def _turned(colours: Tensor, turn: Tensor) -> Tensor:
    """Product of colours (N, C) and turn (C, C), one channel after the other.

    A library's product adds in an order of the processor's.
    """
    result = colours[:, :1] * turn[0]
    for channel in range(1, len(turn)):
        result += colours[:, channel, None] * turn[channel]
    return result


def _stretch(rows: Tensor, length: int) -> Tensor:
    """Sorted rows (N, C) read at `length` equally spaced quantiles."""
    position = ((torch.arange(length, device=rows.device) + 0.5) * (len(rows) / length) - 0.5).clamp_(0, len(rows) - 1)
    low = position.floor().long()
    part = (position - low)[:, None].to(rows)
    return rows[low] * (1 - part) + rows[(low + 1).clamp_(max=len(rows) - 1)] * part


def transport_luminance(source: Tensor, target: Tensor) -> Tensor:
    """Source (1, 3, H, W) with each pixel in the mean colour that target (1, 3, h, w) has at the same rank of
    luminance.

    For textures, whose colours say nothing of layout (texture transfer by luminance: Efros and Freeman, SIGGRAPH 2001).
    """
    mine, theirs = (picture.mean(1).flatten() for picture in (source, target))
    colours = target.flatten(2)[0].T[theirs.argsort(stable=True)]
    bins = min(256, len(colours))
    palette = torch.stack([part.mean(0) for part in colours.tensor_split(bins)])
    result = torch.empty_like(source.flatten(2)[0].T)
    result[mine.argsort(stable=True)] = _stretch(palette, len(mine))
    return result.T.reshape(source.shape)


def match_moments(source: Tensor, target: Tensor) -> Tensor:
    """Source (1, C, H, W) with the mean and the covariance of the colours of target (1, C, h, w).

    The linear map of least change (Pitie and Kokaram, CVMP 2007).  Full transport makes as much of each colour as the
    target has, and tears a calm area of the source into several; a linear map leaves it calm.  Where that map would
    leave little to see, as from shades of grey to reds and greens of equal lightness, the axis along which the source's
    colours vary most becomes the target's, and what stands out on it what stands out there.
    """
    mine, theirs = (picture.flatten(2)[0].double() for picture in (source, target))
    means = [colours.mean(1, keepdim=True) for colours in (mine, theirs)]
    least = LEAST_VARIANCE * torch.eye(len(mine), dtype=torch.float64, device=source.device)
    one, other = (
        (colours - mean) @ (colours - mean).T / colours.shape[1]
        for colours, mean in zip((mine, theirs), means, strict=True)
    )
    root, back = _power(one + least, 0.5), _power(one + least, -0.5)
    turn = back @ _power(root @ (other + least) @ root, 0.5) @ back
    if (turn @ one @ turn).trace() < FAINT * other.trace() and one.trace() > LEAST_VARIANCE:
        near, far = (_axis(*told) for told in ((mine - means[0], one), (theirs - means[1], other)))
        turn = far.mT @ near / near.square().sum()
    shift = means[1] - turn @ means[0]
    turn, shift = ((part * EXACT).round().div(EXACT).to(source) for part in (turn, shift))
    return (_turned(source.flatten(2)[0].T, turn.T).T + shift).view_as(source).clamp(-1, 1)


def _axis(colours: Tensor, covariance: Tensor) -> Tensor:
    """The axis (1, C) of the largest variance of colours (C, N) around their mean, as long as its deviation, towards
    those that are few and far, else towards the light; of ends as light, towards the first of its largest
    channels.
    """
    values, vectors = torch.linalg.eigh(covariance)
    axis = vectors[:, -1:].T * values[-1].clamp_min(0).sqrt()
    along = axis @ colours
    skewness = along.pow(3).mean() / along.square().mean().clamp_min(1e-12) ** 1.5
    # Which sign a library gives the axis, and what is left of a sum of nothing, is not the same on any processor.
    lightness, parts = (axis.sum() * EXACT).round(), (axis[0] * EXACT).round()
    end = skewness if skewness.abs() > SKEWED else lightness if lightness else parts[parts.abs().argmax()]
    return -axis if end < 0 else axis


def _power(matrix: Tensor, exponent: float) -> Tensor:
    """A power of a symmetric matrix without negative eigenvalues."""
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ torch.diag(values.clamp_min(1e-9) ** exponent) @ vectors.T


def shared_colours(source: Tensor, target: Tensor) -> Tensor:
    """How far target (1, C, h, w) has the colours around each place of source (1, C, H, W): (1, 1, H, W) in [0, 1]."""
    seen = resize(resize(source, _halved(source.shape[2:])), source.shape[2:]).flatten(2)[0]
    known = resize(target, (32, 32)).flatten(2)[0]
    apart = sum((mine[:, None] - theirs).square() for mine, theirs in zip(seen, known, strict=True))
    nearest = apart.sqrt().topk(NEAR, dim=1, largest=False).values.mean(1)
    share = torch.exp(-(nearest.double() / SHARED).square())
    return (share * EXACT).round().div(EXACT).to(source).view(1, 1, *source.shape[2:])


def match_contrast(picture: Tensor, target: Tensor, *, amount: float, octaves: int = 2, most: float = 2.5) -> Tensor:
    """Picture (1, C, *space) whose finest octaves have the contrast that target (1, C, *other space) has in them.

    amount: how much of what is missing is given, 0 to 1.  Contrast is never taken away, nor raised more than `most`
    times.  The mean of patches that disagree is fog, and the patch nearest to fog is fog again: given the contrast that
    belongs there, a picture finds what it began to show.
    """
    if not octaves or min(picture.shape[-2:]) < 4 or min(target.shape[-2:]) < 4:  # a clip may have one frame
        return picture
    (coarse, fine), (other, wanted) = (_octave(one) for one in (picture, target))
    gain = (_spread(wanted) / max(_spread(fine), 1e-4)).clamp(1, most)
    gain = float(1 + amount * (gain * EXACT).round().div(EXACT) - amount)
    coarse = match_contrast(coarse, other, amount=amount, octaves=octaves - 1, most=most)
    return (resize(coarse, picture.shape[2:]) + gain * fine).clamp(-1, 1)


def _octave(picture: Tensor) -> tuple[Tensor, Tensor]:
    """The picture at half its sides, and what it has beyond that."""
    half = resize(picture, _halved(picture.shape[2:]))
    return half, picture - resize(half, picture.shape[2:])


def _halved(shape: Shape) -> Shape:
    return (*shape[:-2], *(max(2, side // 2) for side in shape[-2:]))


def _spread(detail: Tensor) -> Tensor:
    """The root mean square, as float64."""
    return detail.double().square().mean().sqrt()
