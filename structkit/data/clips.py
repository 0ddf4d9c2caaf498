"""Windows of a clip at the levels of its pyramid, as HP-VAE-GAN (Gur et al., NeurIPS 2020) learns from them.

A window is a stretch of the clip.  At coarse levels only every so many of its frames are seen, and always the first and
the last: all levels of a window show one stretch of time.
Laws: at the finest level a window is the clip's own frames; a picture is its own only window.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from structkit.data.levels import levels
from structkit.errors import InputError
from structkit.kernels.pyramid import Shape


class ClipWindows:
    """A clip, or a picture, of which windows are taken."""

    def __init__(self, clip: Tensor, shapes: Sequence[Shape], window: int):
        """clip: (1, 3, T, H, W) in [-1, 1], any size; a picture: (1, 3, H, W).
        shapes: of a window at each level, coarsest first.
        window: frames of the clip that a window extends over.
        Raises InputError for a clip that is shorter, or has values that are not finite.
        """
        frames = clip.shape[2] if clip.dim() == 5 else 1
        if frames < window:
            has, less = (f"{frames} frames", f"{frames} or less") if frames > 1 else ("1 frame", "1")
            raise InputError(f"the clip has {has}, and a window {window}: use --window {less}, or a longer clip")
        if not clip.isfinite().all():
            raise InputError("the clip has values that are not finite numbers: give another")
        self.clip, self.shapes, self.window = clip, list(shapes), window
        self.count = frames - window + 1  # windows that there are
        self._kept: dict[int, Tensor] = {}

    def whole(self, level: int) -> Tensor:
        """All frames of the clip, as large as those of a level; kept for this level and the coarsest."""
        if level not in self._kept:
            self._kept = {0: self._kept[0]} if 0 in self._kept else {}
            shape = self.shapes[level]
            [self._kept[level]] = levels(self.clip, [(self.clip.shape[2], *shape[1:]) if len(shape) == 3 else shape])
        return self._kept[level]

    def windows(self, level: int, starts: Tensor, flips: Tensor | None = None) -> Tensor:
        """Windows at a level, (B, 3, *shape).

        starts: (B,) whole numbers from 0 to `count` - 1, the first frame of each.
        flips: (B,) booleans, true where the window is mirrored left to right; None: none is.
        """
        whole, shape = self.whole(level), self.shapes[level]
        if len(shape) == 2:
            found = whole.expand(len(starts), -1, -1, -1)
        else:
            stride = (self.window - 1) // max(shape[0] - 1, 1)
            at = starts.to(whole.device)[:, None] + stride * torch.arange(shape[0], device=whole.device)
            found = whole[0][:, at].transpose(0, 1)  # (3, B, T, H, W) before
        if flips is None:
            return found
        return torch.where(flips.to(whole.device).view(-1, *[1] * (found.dim() - 1)), found.flip(-1), found)
