"""Clips that go on after their last frame, or begin before their first.

New frames begin as the clip's rough `continuation`, and are then made of the clip's patches in space and time, level by
level, fitted to the frames that are known; those stay as they are, to the last bit.
* Windows.  Of a long clip, and of many new frames, no more than a window is in the making, with keys from around the
  frames that the continuation plays.

Clips are (1, 3, T, H, W) in [-1, 1].  The same generator state gives the same result.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from structkit.configs import ClipConfig
from structkit.engines.patch.clips import ClipSynthesis, clip_plan
from structkit.engines.patch.continuation import continuation, lively_frames
from structkit.engines.patch.windows import frames_around, held_frames, window_frames
from structkit.errors import OptionError
from structkit.kernels.pyramid import resize

Progress = Callable[[float, str], None]

KNOWN = 12  # frames before new ones, which they are fitted to
FIRST = 56  # px: short side of the level that new frames begin at; what is smaller than a patch there may get lost
FRAME_RATIO = 0.9  # of levels: new frames have their motion already
NOISE = 0.1  # deviation at variety 1


def extend_clip(
    clip: Tensor,
    config: ClipConfig,
    *,
    before: int = 0,
    after: int = 0,
    generator: torch.Generator,
    progress: Progress = lambda share, note: None,
) -> Tensor:
    """The clip (1, 3, before + T + after, H, W) with so many new frames before and after its own.

    Raises OptionError for fewer frames than none.
    """
    if min(before, after) < 0:
        raise OptionError(f"a clip cannot go on for {min(before, after)} frames: 0 or more are possible")
    parts, done = [clip], 0

    def tick(share: float, note: str, own: int = 0) -> None:
        progress((done + share * own) / max(1, before + after), note)

    if after:
        parts.append(_following(clip, config, after, generator, lambda share, note: tick(share, note, after)))
        done = after
    if before:  # the same with time turned round
        back = _following(clip.flip(2), config, before, generator, lambda share, note: tick(share, note, before))
        parts.insert(0, back.flip(2))
    progress(1.0, "done")
    return torch.cat(parts, 2)


def _following(clip: Tensor, config: ClipConfig, frames: int, generator: torch.Generator, progress: Progress) -> Tensor:
    """The next frames (1, 3, frames, H, W) of a clip."""
    window = window_frames(config, clip.shape[3:])
    rough, sources = continuation(clip, frames, variety=config.variety, generator=generator)
    past, made = clip[:, :, -min(KNOWN, window // 2) :], []
    lively = max(lively_frames(clip), min(clip.shape[2], 3))  # a last frame twice would end in standstill
    count = math.ceil(frames / (window - past.shape[2]))
    for number in range(count):
        own = slice(frames * number // count, frames * (number + 1) // count)
        played = sources[own]
        keys = clip[:, :, frames_around((played[0] + played[-1]) / 2, lively, min(lively, window))]

        def tick(share: float, note: str, number: int = number) -> None:
            progress((number + share) / count, note)

        new = _fitted(past, rough[:, :, own], keys, config, generator, tick)
        made.append(new)
        past = torch.cat([past, new], 2)[:, :, -past.shape[2] :]
    return torch.cat(made, 2)


def _fitted(
    past: Tensor, rough: Tensor, keys: Tensor, config: ClipConfig, generator: torch.Generator, progress: Progress
) -> Tensor:
    """The rough frames (1, 3, n, h, w) made of the keys' patches, so that they follow the past (1, 3, P, H, W)."""
    count, (height, width) = past.shape[2], past.shape[3:]
    whole = torch.cat([past, resize(rough, (rough.shape[2], height, width)).clamp(-1, 1)], 2)
    held = held_frames(whole, torch.arange(whole.shape[2]) < count)
    made = ClipSynthesis(keys, config, tuple(whole.shape[2:]), generator=generator, held=held, frame_ratio=FRAME_RATIO)
    noise = torch.randn(whole.shape, generator=generator, device=generator.device).to(whole)
    first = made.free.starting_near(FIRST)
    return made.run(whole + NOISE * config.variety * noise, clip_plan(config), progress, first=first)[:, :, count:]
