"""Batches of a folder's squares, drawn at random on the device of the squares."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def signed(pictures: Tensor) -> Tensor:
    """Pictures in [-1, 1], float32, of uint8 ones."""
    return pictures.float().div(127.5).sub(1)


def smaller(pictures: Tensor, side: int) -> Tensor:
    """Means (N, 3, side, side) uint8 of whole pixels of (N, 3, S, S) uint8.  S is a multiple of the side."""
    factor = pictures.shape[-1] // side
    if factor == 1 or not len(pictures):
        return pictures[..., :side, :side]
    return torch.cat([F.avg_pool2d(part.float(), factor).round().to(torch.uint8) for part in pictures.split(64)])


def drawn(count: int, of: int, generator: torch.Generator) -> Tensor:
    """Indices (count,) below `of`, with replacement: folders may differ in length, and be shorter than a batch."""
    return torch.randint(of, (count,), generator=generator, device=generator.device)


def mirrored(images: Tensor, generator: torch.Generator) -> Tensor:
    """Images (B, C, H, W), each of them mirrored, or not, by a coin."""
    coins = torch.rand(len(images), 1, 1, 1, generator=generator, device=generator.device) < 0.5
    return torch.where(coins.to(images.device), images.flip(3), images)


def shifted(images: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Images (B, C, H, W), each of them moved by up to `most` px up or down, left or right; zeros come in."""
    height, width = images.shape[-2:]
    wide = F.pad(images, (most,) * 4)
    top, left = (
        torch.randint(2 * most + 1, (len(images), 2), generator=generator, device=generator.device)
        .to(images.device)
        .unbind(1)
    )
    return wide.unfold(2, height, 1).unfold(3, width, 1)[torch.arange(len(images), device=images.device), :, top, left]
