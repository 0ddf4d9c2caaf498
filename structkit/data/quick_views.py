"""Training views of a whole batch of small pictures at once: crops, mirror images and turns, by tensor operations."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

DRAWN = 4  # numbers that decide on a view: where its crop is (2), whether it is mirrored, how far it is turned


def quick_views(
    pictures: Tensor, drawn: Tensor, *, padding: int = 0, flip: bool = True, rotation: float = 0.0
) -> Tensor:
    """A view of each picture, (B, 3, h, w) float32 in [0, 1], its channels last in memory.

    pictures: (B, 3, h, w) uint8.  drawn: (B, 4) numbers in [0, 1) that decide on all that is chosen.
    padding: black pixels on each side, out of which a crop of the picture's size is cut.
    flip: half of the pictures are mirrored.
    rotation: largest turn, degrees, bilinear, with black corners.
    """
    count, _, height, width = pictures.shape
    padded = F.pad(pictures, (padding,) * 4).permute(0, 2, 3, 1)
    top, left = ((drawn[:, i] * (2 * padding + 1)).long()[:, None] for i in (0, 1))
    rows = top + torch.arange(height, device=pictures.device)
    columns = torch.arange(width, device=pictures.device).expand(count, width)
    if flip:
        columns = torch.where(drawn[:, 2, None] < 0.5, width - 1 - columns, columns)
    each = torch.arange(count, device=pictures.device)[:, None, None]
    views = padded[each, rows[:, :, None], (left + columns)[:, None]].permute(0, 3, 1, 2).float() / 255
    return turned(views, (2 * drawn[:, 3] - 1) * rotation) if rotation else views


def turned(pictures: Tensor, degrees: Tensor) -> Tensor:
    """Pictures (B, 3, h, w), turned about their middles, each by so many degrees (B,); corners become black."""
    height, width = pictures.shape[2:]
    angle = degrees * (math.pi / 180)
    cos, sin, none = angle.cos(), angle.sin(), torch.zeros_like(angle)
    rows = [cos, -sin * height / width, none], [sin * width / height, cos, none]
    matrix = torch.stack([torch.stack(row, 1) for row in rows], 1)
    grid = F.affine_grid(matrix, list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
