"""Clips that go on after their last frame, or begin before their first, made of their own patches in space and time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from structkit.configs import ClipConfig
from structkit.engines.patch.clips import ClipSynthesis
from structkit.engines.patch.continuation import continuation, frame_by_frame
from structkit.engines.patch.course import plan_for
from structkit.engines.patch.synthesis import HeldPart

Progress = Callable[[float, str], None]
BEFORE = 12  # known frames that new ones are fitted to
FIRST = 36  # px: short side of the level that new frames begin at
FRAME_RATIO = 0.9
NOISE = 0.1


def _following(clip, config, frames, generator, progress):
    rough, sources = continuation(clip, frames, variety=config.variety, generator=generator)
    print("sources", sources)
    height, width = clip.shape[-2:]
    past = clip[:, :, -BEFORE:]
    ctx = past.shape[2]
    shape = (ctx + frames, height, width)
    wide = frame_by_frame(rough, (height, width))
    known = torch.zeros(1, 1, *shape)
    known[:, :, :ctx] = 1
    full = torch.cat([past, wide], 2)
    made = ClipSynthesis(clip, config, shape, generator=generator, held=HeldPart(full, known), frame_ratio=FRAME_RATIO)
    first = min(range(len(made.shapes)), key=lambda level: abs(min(made.shapes[level][-2:]) - FIRST))
    plan = plan_for(config, rounds=3, small_rounds=4, completeness=0.0)
    start = full + NOISE * config.variety * torch.randn(full.shape, generator=generator)
    return made.run(start, plan, progress, first=first)[:, :, ctx:], rough
