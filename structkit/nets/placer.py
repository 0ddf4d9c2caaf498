"""Frames: where something lies in a square, how large it is and how it is turned; and a network that reads them from a
picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from structkit.nets.codes import LATENT, Encoder

# Of a frame: x, y, the logarithm of its spread, and its direction twice turned, (cos 2t, sin 2t) times its length.
NUMBERS = 5
LARGEST, WIDEST = 1.5, math.pi / 4  # scale, and turn, between two frames at most: more is a mistake of theirs
CLEAR = 0.3  # how long a direction is from which on it is trusted
LEAST = 1e-4  # spread, squared


class Placer(nn.Module):
    """Network (B, 3, S, S) -> frames (B, 5), S = 2 * 2 ** len(widths)."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.encoder = Encoder(widths)
        self.last = nn.Linear(widths[-1] * LATENT**2, NUMBERS)

    def forward(self, squares: Tensor) -> Tensor:
        return self.last(self.encoder(squares).flatten(1))


def frames(masks: Tensor) -> Tensor:
    """Frames (B, 5) of masks (B, 1, S, S) in [0, 1], none of them empty: moments, in the coordinates of
    `F.grid_sample`.
    """
    side = masks.shape[-1]
    axis = (torch.arange(side, device=masks.device) * 2 + 1) / side - 1
    weights = masks[:, 0] / masks.sum((1, 2, 3))[:, None, None].clamp_min(LEAST)
    columns, rows = weights.sum(1), weights.sum(2)
    x, y = columns @ axis, rows @ axis
    dx, dy = axis - x[:, None], axis - y[:, None]
    xx, yy = (columns * dx**2).sum(1), (rows * dy**2).sum(1)
    xy = torch.einsum("brc,br,bc->b", weights, dy, dx)
    spread = (xx + yy).clamp_min(LEAST)
    return torch.stack([x, y, spread.log() / 2, (xx - yy) / spread, 2 * xy / spread], 1)


def between(source: Tensor, target: Tensor) -> Tensor:
    """Similarities (B, 2, 3) that bring what lies in `source` frames to `target` frames, both (B, 5), for
    `F.affine_grid`, which asks for each place of the target where it comes from.
    """
    scale = (source[:, 2] - target[:, 2]).exp().clamp(1 / LARGEST, LARGEST)
    turns = [torch.atan2(frame[:, 4], frame[:, 3]) / 2 for frame in (source, target)]
    known = (source[:, 3:].norm(dim=1) * target[:, 3:].norm(dim=1) / CLEAR**2).clamp(
        max=1
    )  # what is round has no direction
    turn = known * (
        (turns[0] - turns[1] + math.pi / 2).remainder(math.pi) - math.pi / 2
    )  # a direction has no front: the shorter way round
    return similarity(scale, turn.clamp(-WIDEST, WIDEST), target[:, :2], source[:, :2])


def similarity(scale: Tensor, turn: Tensor, centre: Tensor, goes_to: Tensor) -> Tensor:
    """Similarities (B, 2, 3): p -> goes_to + scale * rotation(turn) (p - centre).

    scale, turn (B,); centre, goes_to (B, 2).
    """
    cos, sin = scale * turn.cos(), scale * turn.sin()
    rotation = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
    return torch.cat([rotation, goes_to[:, :, None] - rotation @ centre[:, :, None]], 2)


def warped(fields: Tensor, similarities: Tensor, *, beyond: str = "zeros") -> Tensor:
    """Fields (B, C, S, S), each at the places that its similarity (B, 2, 3) names.  beyond: "zeros" or "border"."""
    grid = F.affine_grid(similarities, list(fields.shape), align_corners=False)
    return F.grid_sample(fields, grid, padding_mode=beyond, align_corners=False)
