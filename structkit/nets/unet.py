"""A small U-Net (Ronneberger et al., MICCAI 2015) that reads a picture and paints over it: a mask and colours."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FACTORS = (1, 2, 3, 4, 4)  # channels at each depth, in units of the width
SLOPE = 0.1


def _block(before: int, after: int, *, halve: bool = False) -> nn.Sequential:
    convolution = nn.Conv2d(before, after, 4 if halve else 3, 2 if halve else 1, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(after), nn.LeakyReLU(SLOPE))


class UNet(nn.Module):
    """(B, 3, S, S) -> (B, outputs, S, S), S a multiple of 32; no activation at the end.

    It works at half the size, on blocks of 2 x 2 pixels (Shi et al., CVPR 2016, for the way back): at the full size a convolution costs
    four times as much, and finds no more.
    """

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        widths = [width * factor for factor in FACTORS]
        pairs = list(itertools.pairwise(widths))
        self.first = _block(12, width)
        self.down = nn.ModuleList([nn.Sequential(_block(before, after, halve=True), _block(after, after)) for before, after in pairs])
        self.up = nn.ModuleList([_block(above + below, above) for above, below in pairs])
        self.last = nn.Sequential(_block(width, width), nn.Conv2d(width, 4 * outputs, 3, padding=1))

    def forward(self, images: Tensor) -> Tensor:
        x = self.first(F.pixel_unshuffle(images, 2).contiguous(memory_format=torch.channels_last))
        seen = []
        for down in self.down:
            seen.append(x)
            x = down(x)
        for up, beside in zip(reversed(self.up), reversed(seen), strict=True):
            x = up(torch.cat([F.interpolate(x, scale_factor=2), beside], 1))
        return F.pixel_shuffle(self.last(x), 2)
