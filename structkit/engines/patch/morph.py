"""The morph of two frames: what lies between them in time, along their motion.

Each pixel is moved from both frames (`kernels/flow.py`; the flow at a time between them as Jiang et al., CVPR 2018,
eq. 4), and counts as far as its motion can be believed.
"""

from __future__ import annotations

import torch
from torch import Tensor

from structkit.kernels.flow import agreement, motion, warp

DOUBT = 0.05  # weight of a frame whose motion cannot be believed
ALIKE = 0.25  # difference, of 2, from which what comes from before and from after is not the same thing
SURE = 2.0  # times the trust in a motion, up to 1: how far a pixel is known


class Morph:
    """The morph of two frames (1, 3, H, W)."""

    def __init__(self, one: Tensor, other: Tensor) -> None:
        self.frames = one, other
        self.there, self.back = motion(torch.cat([one, other]), torch.cat([other, one])).split(1)
        self.trust = agreement(self.there, self.back), agreement(self.back, self.there)

    def at(self, share: float) -> tuple[Tensor, Tensor]:
        """The frame (1, 3, H, W) at some share of the time between the two, and how far it is known (1, 1, H, W)."""
        rest = 1 - share
        ways = share**2 * self.back - rest * share * self.there, rest**2 * self.there - share * rest * self.back
        believed = [warp(sure, way) for sure, way in zip(self.trust, ways, strict=True)]
        seen = [warp(frame, way, cubic=True) for frame, way in zip(self.frames, ways, strict=True)]
        weights = [weight * (DOUBT + sure) for weight, sure in zip((rest, share), believed, strict=True)]
        mean = sum(weight * frame for weight, frame in zip(weights, seen, strict=True)) / sum(weights)
        alike = torch.exp(-(seen[0] - seen[1]).square().mean(1, keepdim=True) / ALIKE**2)
        return mean.clamp(-1, 1), (SURE * torch.maximum(*believed) * alike).clamp_max(1)
