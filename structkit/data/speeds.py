"""Versions of a moment at two speeds: which of its frames each of them shows.

A moment is a run of frames of a video, up to three times as many as a clip has.  A clip at a speed f shows every f-th
of them, about: frames are left out by chance (`bernoulli`, published), which makes gaps of any length; or evenly
(`dither`), as whoever speeds up a video does.  Irregular gaps tell the speeds apart, and videos have none: hence a mix.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

NATURAL, FAST = (1.0, 1.2), (1.7, 2.2)  # the speeds of the two versions (published)
REDRAWN = 100  # times that frames are drawn again where too few are left, before they are left out evenly


@dataclass(frozen=True)
class SpeedSampler:
    """A sampler of the frames of both versions of a moment.

    frames: of a clip.
    kind: bernoulli, dither, or mix, which is each half of the time.
    augmented: whether speeds are drawn; else they are 1 and 2, and no frame is left out by chance.
    """

    frames: int
    kind: str = "mix"
    augmented: bool = True

    def indices(self, pool: int, fast: bool, generator: torch.Generator) -> Tensor:
        """Frames of a version, (frames,) whole numbers from 0 to `pool` - 1, ascending.

        pool: frames of the moment, at least 9/4 times as many as a clip has.
        """
        if not self.augmented:
            return regular(self.frames, 2.0 if fast else 1.0)
        low, high = FAST if fast else NATURAL
        coin, share = torch.rand(2, generator=generator).tolist()
        speed = low + (high - low) * share
        if self.kind == "bernoulli" or (self.kind == "mix" and coin < 0.5):
            for _ in range(REDRAWN):
                left = torch.nonzero(torch.rand(pool, generator=generator) < 1 / speed)[:, 0]
                if len(left) >= self.frames:
                    return left[: self.frames]
        start = float(torch.rand((), generator=generator))
        return torch.floor(torch.arange(self.frames, dtype=torch.float64) * speed + start).long()


def regular(frames: int, speed: float) -> Tensor:
    """Frames of a version without any chance, (frames,): every speed-th one, rounded down."""
    return torch.floor(torch.arange(frames, dtype=torch.float64) * speed + 1e-9).long()
