"""Encoders to small codes, decoders from them, and the critic that tells domains apart by their codes.

Press et al. (ICLR 2019), DID (Benaim et al., ICCV 2019) and MBU (Mokady et al., ICLR 2020) use the same stack: 4-wide
convolutions of stride 2 down to 2 x 2 pixels, and transposed ones up again.  The published convolutions have a bias in
front of each norm, too: the norm takes it away again, so there is none here.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from structkit.configs.base import check_halvings

LATENT = 2  # side of a code, px
SLOPE = 0.2


def stage_widths(size: int, width: int, widest: int) -> list[int]:
    """Channels after each halving from `size` px to a code: `width`, doubled each time up to `widest`.  128, 32, 512:
    32 .. 256 512 512.

    Raises OptionError for a size that halving does not bring to 2 px.
    """
    check_halvings(size)
    stages = round(math.log2(size / LATENT))
    return [min(width * 2**i, widest) for i in range(stages)]


def _norm(name: str, channels: int) -> nn.Module:
    if name == "batch":
        return nn.BatchNorm2d(channels)
    return nn.InstanceNorm2d(channels) if name == "instance" else nn.Identity()


class Encoder(nn.Sequential):
    """Encoder (B, 3, S, S) -> (B, widths[-1], 2, 2), S = 2 * 2 ** len(widths).

    Each stage: convolution, norm, LeakyReLU 0.2, the last one too.  norm: batch, instance (without weights), or none.
    spectral: divide each convolution by its largest singular value (one power iteration a call in training).
    """

    def __init__(self, widths: Sequence[int], *, norm: str = "batch", spectral: bool = False) -> None:
        stages: list[nn.Module] = []
        for before, after in zip((3, *widths), widths, strict=False):
            convolution = nn.Conv2d(before, after, 4, 2, 1, bias=norm == "none")
            stages += [spectral_norm(convolution) if spectral else convolution, _norm(norm, after), nn.LeakyReLU(SLOPE)]
        super().__init__(*stages)


class Decoder(nn.Sequential):
    """Decoder (B, widths[-1], 2, 2) -> (B, outputs, S, S): an `Encoder` of these widths upside down.

    There is no activation at the end.
    slope: of its LeakyReLUs; 0 makes them ReLUs.  upsampling: transposed convolutions (as published), or the nearest
    pixel and a 3-wide convolution, which leaves no checkerboard.
    """

    def __init__(
        self,
        widths: Sequence[int],
        outputs: int,
        *,
        norm: str = "batch",
        slope: float = SLOPE,
        spectral: bool = False,
        upsampling: str = "transposed",
    ) -> None:
        def up(before: int, after: int, bias: bool) -> list[nn.Module]:
            if upsampling == "nearest":
                return [nn.Upsample(scale_factor=2), nn.Conv2d(before, after, 3, padding=1, bias=bias)]
            return [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=bias)]

        stages: list[nn.Module] = []
        descending = [*reversed(widths)]
        for before, after in itertools.pairwise(descending):
            *first, convolution = up(before, after, norm == "none")
            stages += [
                *first,
                spectral_norm(convolution) if spectral else convolution,
                _norm(norm, after),
                nn.LeakyReLU(slope),
            ]
        super().__init__(*stages, *up(descending[-1], outputs, True))


class CodeCritic(nn.Sequential):
    """Critic of codes (B, C, 2, 2) -> logits (B,) that they come from the first domain."""

    def __init__(self, channels: int, width: int = 512) -> None:
        super().__init__(
            nn.Flatten(),
            nn.Linear(channels * LATENT**2, width),
            nn.LeakyReLU(SLOPE),
            nn.Linear(width, 1),
            nn.Flatten(0),
        )


def confusion(logits: Tensor, first: int, form: str) -> Tensor:
    """Encoder's side of the game: the sum over both domains of the mean cross-entropy with what the critic is to
    believe.

    logits (B,), of which the first `first` are of the first domain.  form: "one-sided", all of them of the second
    domain (as published); "even", one half; "flipped", the other one.
    """
    wanted = {"one-sided": (0.0, 0.0), "even": (0.5, 0.5), "flipped": (0.0, 1.0)}[form]
    return sum(
        _entropy(part, target) for part, target in zip(logits.split([first, len(logits) - first]), wanted, strict=True)
    )


def discrimination(logits: Tensor, first: int) -> Tensor:
    """Critic's side of the game: the sum over both domains of the mean cross-entropy with the truth."""
    return sum(
        _entropy(part, target)
        for part, target in zip(logits.split([first, len(logits) - first]), (1.0, 0.0), strict=True)
    )


def _entropy(logits: Tensor, target: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, logits.new_full((), target).expand_as(logits))
