"""Slow motion: frames between those of a clip, which stay as they are, to the last bit.

In-between frames begin as the `Morph` of their neighbours.  Where no motion can be believed both would show through
each other: there they are then made of patches of the clip's frames around them, of one frame each, since motion
between them is slower than in the clip and patches in space and time would not fit.

Clips are (1, 3, T, H, W) in [-1, 1].  The same generator state gives the same result.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from structkit.configs import ClipConfig
from structkit.engines.patch.clips import COARSEST, clip_plan
from structkit.engines.patch.course import start_of
from structkit.engines.patch.morph import Morph
from structkit.engines.patch.synthesis import HeldPart, Synthesis, SynthesisState
from structkit.engines.patch.windows import window_frames
from structkit.errors import OptionError
from structkit.kernels.patches import patch_grid

Progress = Callable[[float, str], None]

LEVELS = 1  # the finest ones, at which frames are redrawn; more give sharper frames that are further from the truth
AROUND = 1  # known frames whose patches serve, before and after those of a window


def slow_clip(
    clip: Tensor,
    config: ClipConfig,
    *,
    factor: int,
    generator: torch.Generator,
    progress: Progress = lambda share, note: None,
) -> Tensor:
    """The clip (1, 3, (T - 1) * factor + 1, H, W), `factor` times as slow.

    Raises OptionError for a factor below 1.
    """
    if factor < 1:
        raise OptionError(f"a clip cannot be slowed down {factor} times: 1 or more is possible")
    last = clip.shape[2] - 1
    if factor == 1 or not last:
        return clip
    pairs = max(1, (window_frames(config, clip.shape[3:]) - 1) // factor)
    parts = []
    for first in range(0, last, pairs):
        until = min(first + pairs, last)
        near = clip[:, :, max(0, first - AROUND) : until + 1 + AROUND]
        start = between(clip[:, :, first : until + 1], factor)
        parts.append(_redrawn(start, near, min(first, AROUND), factor, config, generator)[:, :, :-1])
        progress(until / last, f"frame {until * factor} of {last * factor}")
    return torch.cat([*parts, clip[:, :, -1:]], 2)


def between(clip: Tensor, factor: int) -> HeldPart:
    """The clip (1, 3, (T - 1) * factor + 1, H, W) with frames between its own along the motion, and how far each of
    their pixels is known; the clip's own are.
    """
    frames, known = [], []
    for one, other in zip(clip.unbind(2), clip[:, :, 1:].unbind(2), strict=False):
        morph = Morph(one, other)
        frames.append(one)
        known.append(torch.ones_like(one[:, :1]))
        for i in range(1, factor):
            frame, sure = morph.at(i / factor)
            frames.append(frame)
            known.append(sure)
    frames.append(clip[:, :, -1])
    known.append(torch.ones_like(frames[-1][:, :1]))
    return HeldPart(torch.stack(frames, 2), torch.stack(known, 2))


def _redrawn(
    start: HeldPart, near: Tensor, before: int, factor: int, config: ClipConfig, generator: torch.Generator
) -> Tensor:
    """The start (1, 3, n, H, W) made of the patches of frames nearby, where it is not known.

    before: frames nearby that come before the first of the start.
    """
    shape, patch = tuple(start.picture.shape[2:]), (1, config.patch, config.patch)
    how = start_of(config, COARSEST) | {"patch": patch, "generator": generator}
    made = Synthesis(near, shape, held=start, **how)
    grids = patch_grid(shape, patch), patch_grid(near.shape[2:], patch)
    # Each begins with the patches at its own place in the nearest known frame.
    nearest = (torch.arange(shape[0]) + factor // 2) // factor + before
    places = torch.arange(grids[1][1] * grids[1][2])
    field = (nearest[:, None] * len(places) + places).flatten().to(near.device)
    state = SynthesisState(start.picture, grids, field)
    return made.run(state, range(len(made.shapes))[-LEVELS:], clip_plan(config)).picture
