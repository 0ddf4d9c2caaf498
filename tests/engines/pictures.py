"""Small pictures with structure and texture, made of arithmetic."""

from __future__ import annotations

import torch
from torch import Tensor


def discs(height: int, width: int, spots: list[tuple[float, float, float]], figure: Tensor, ground: Tensor) -> Tensor:
    """(1, 3, H, W): `figure` inside of discs (row, column, radius, as shares of the height), `ground` outside."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    inside = torch.zeros(height, width, dtype=torch.bool)
    for row, column, radius in spots:
        inside |= (y - row * height).square() + (x - column * height).square() < (radius * height) ** 2
    return torch.where(inside, figure, ground)


def grain(height: int, width: int, colour: tuple[float, float, float], strength: float, seed: int) -> Tensor:
    """(1, 3, H, W): a colour with grey noise."""
    noise = torch.randn(1, 1, height, width, generator=torch.Generator().manual_seed(seed))
    return (torch.tensor(colour)[None, :, None, None] + strength * noise).clamp(-1, 1)


def dark_spots_on_light(height: int = 48, width: int = 48) -> Tensor:
    figure, ground = grain(height, width, (-0.8, -0.8, -0.7), 0.05, 1), grain(height, width, (0.7, 0.7, 0.6), 0.05, 2)
    return discs(height, width, [(0.3, 0.3, 0.18), (0.7, 0.4, 0.12)], figure, ground)


def red_spots_on_green(height: int = 48, width: int = 48) -> Tensor:
    figure, ground = grain(height, width, (0.8, -0.5, -0.6), 0.1, 3), grain(height, width, (-0.4, 0.4, -0.5), 0.1, 4)
    return discs(height, width, [(0.6, 0.7, 0.2), (0.2, 0.2, 0.15)], figure, ground)
