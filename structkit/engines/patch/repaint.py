"""A rough clip painted anew with the patches of another: same course, real texture."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from structkit.configs import ClipConfig
from structkit.engines.patch.clips import FRAMES
from structkit.engines.patch.course import finish, plan_for
from structkit.engines.patch.synthesis import HeldPart, Synthesis, SynthesisState
from structkit.engines.patch.windows import by_windows, frames_around, spans, window_frames
from structkit.kernels.pyramid import Shape, resize

ROUNDS = 3  # at each level


def repaint_clip(
    clip: Tensor,
    patches_of: Tensor,
    config: ClipConfig,
    *,
    shape: Shape,
    generator: torch.Generator,
    progress: Callable[[float, str], None] = lambda share, note: None,
) -> Tensor:
    """The clip (1, 3, T, H, W) with the patches of another one, as (1, 3, *shape), from its own size on upwards.

    Made by windows, each with the patches of a window around its time, so that memory does not grow with the frames.
    A patch is no larger than the result's short side.
    Differs from `analogy.refine` in having time, and in no choice of how much is kept: all that the clip shows.
    """
    side = min(config.patch, *shape[1:])
    side -= 1 - side % 2
    how = {"patch": (FRAMES, side, side), "generator": generator}
    how["coarsest"] = max(side + 1, min(*clip.shape[3:], *shape[1:]))
    plan = plan_for(config, rounds=ROUNDS, small_rounds=ROUNDS, completeness=0.0)
    window, keys = window_frames(config, shape[1:]), patches_of.shape[2]
    rough, windows = resize(clip, (shape[0], *clip.shape[3:])), spans(shape[0], window)

    def make(number: int, frames: range, held: HeldPart | None) -> Tensor:
        # A short result begins where the clip does; one that is longer goes through all of it.
        middle = (frames.start + frames.stop) / 2 * min(1.0, keys / shape[0])
        around = patches_of[:, :, frames_around(middle, keys, window)]
        made = Synthesis(around, (len(frames), *shape[1:]), held=held, **how)
        start = SynthesisState(resize(rough[:, :, frames.start : frames.stop], made.shapes[0]).clamp(-1, 1))

        def tick(share: float, note: str) -> None:
            progress((number + share) / len(windows), note)

        painted = finish(made, start, 0, plan, None, tick)
        return painted if held is None else held.over(painted)

    return by_windows(shape, windows, make)
