"""A small U-Net (Ronneberger et al., MICCAI 2015) that reads a picture."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FACTORS = (1, 2, 3, 4, 4)  # channels at each depth, in units of the width
SLOPE = 0.1


def block(before: int, after: int, *, halve: bool = False) -> nn.Sequential:
    """Convolution, 3 wide or, to halve the size, 4; batch norm; LeakyReLU 0.1."""
    convolution = nn.Conv2d(before, after, 4 if halve else 3, 2 if halve else 1, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(after), nn.LeakyReLU(SLOPE))


class UNet(nn.Module):
    """U-Net (B, 3, S, S) -> features at half the size and at a quarter; S a multiple of 32.

    Shapes: (B, width, S/2, S/2) and (B, 2 width, S/4, S/4).

    The first layer works at half the size, on blocks of 2 x 2 pixels: at the full size a convolution costs four times
    as much, and finds no more.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        widths = [width * factor for factor in FACTORS]
        pairs = list(itertools.pairwise(widths))
        self.first = block(12, width)
        self.down = nn.ModuleList(
            [nn.Sequential(block(before, after, halve=True), block(after, after)) for before, after in pairs]
        )
        self.up = nn.ModuleList([block(above + below, above) for above, below in pairs])

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = self.first(F.pixel_unshuffle(images, 2).contiguous(memory_format=torch.channels_last))
        seen = []
        for down in self.down:
            seen.append(x)
            x = down(x)
        for up, beside in zip(reversed(self.up), reversed(seen), strict=True):
            quarter, x = x, up(torch.cat([F.interpolate(x, scale_factor=2), beside], 1))
        return x, quarter
