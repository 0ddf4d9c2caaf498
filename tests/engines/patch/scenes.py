"""Small clips that move, (1, 3, T, H, W) in [-1, 1]."""

from __future__ import annotations

import torch
from torch import Tensor

from structkit.kernels.pyramid import resize


def pan(frames: int, height: int = 24, width: int = 32, *, step: int = 1) -> Tensor:
    """A camera that goes to the right by `step` px a frame."""
    coarse = torch.rand(1, 3, height // 4, (width + frames * step) // 4 + 1, generator=torch.Generator().manual_seed(3))
    wide = (resize(coarse, (height, width + frames * step)) * 2 - 1).clamp(-1, 1)
    return torch.stack([wide[..., i * step : i * step + width] for i in range(frames)], 2)


def swing(frames: int, period: int, height: int = 24, width: int = 32) -> Tensor:
    """A spot that swings to and fro in front of a still scene."""
    scene = pan(1, height, width)[:, :, 0] * 0.3
    down, across = torch.arange(height)[:, None], torch.arange(width)
    films = []
    for i in range(frames):
        middle = width / 2 + width / 4 * torch.sin(torch.tensor(2 * torch.pi * i / period))
        films.append(torch.where((down - height / 2) ** 2 + (across - middle) ** 2 < 30, 0.9, scene))
    return torch.stack(films, 2)


def steps(clip: Tensor) -> Tensor:
    """Mean change (T - 1,) from each frame to the next."""
    return clip.diff(dim=2).abs().mean((0, 1, 3, 4))
