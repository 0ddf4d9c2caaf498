"""Statistics of one picture given to another, so that patches can be compared where the colours differ.

Structure is where the colours change, not which they are: before source and target are compared, the source is given
the target's distribution of colours by optimal transport, which keeps neighbours neighbours (what was the lighter of
two regions mostly stays so).
"""

from __future__ import annotations

import torch
from torch import Tensor


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
