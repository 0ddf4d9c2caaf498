"""A rough clip painted anew with the patches of another: same course, real texture."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from structkit.configs import ClipConfig
from structkit.engines.patch.clips import FRAMES
from structkit.engines.patch.course import finish, plan_for
from structkit.engines.patch.synthesis import Synthesis, SynthesisState
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

    Differs from `analogy.refine` in having time, and in no choice of how much is kept: all that the clip shows.
    """
    short = max(config.patch + 1, min(*clip.shape[3:], *shape[1:]))
    how = {"patch": (FRAMES, config.patch, config.patch), "coarsest": short, "generator": generator}
    made = Synthesis(patches_of, shape, **how)
    plan = plan_for(config, rounds=ROUNDS, small_rounds=ROUNDS, completeness=0.0)
    start = SynthesisState(resize(clip, made.shapes[0]).clamp(-1, 1))
    return finish(made, start, 0, plan, None, progress)
