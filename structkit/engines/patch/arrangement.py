"""Arrangements of one picture's patches: a new one, one of another shape, and a picture redrawn with another's detail.

After GPNN (Granot et al., CVPR 2022, sec. 4), by patch synthesis (`synthesis.py`).

Pictures are (1, C, H, W) in [-1, 1], C being 3, or 4 with alpha; results have `shape`, (H, W) in px, and the same
range.  The same generator state gives the same result.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from structkit.configs import RefineConfig, RetargetConfig, SampleConfig
from structkit.engines.patch.course import finish, plan_for, start_of
from structkit.engines.patch.synthesis import Synthesis, SynthesisState
from structkit.kernels.pyramid import Shape, resize

Progress = Callable[[float, str], None]


def sample(
    picture: Tensor,
    config: SampleConfig,
    *,
    shape: Shape,
    generator: torch.Generator,
    progress: Progress = lambda share, note: None,
) -> Tensor:
    """New arrangement of the picture's patches (GPNN, sec. 4.1): from its coarsest level with noise.

    One round there (more lead back to the picture itself), and half the paper's completeness: all of it keeps every
    object in place.
    """
    made = Synthesis(picture, shape, **start_of(config, 24), generator=generator)
    plan = plan_for(config, rounds=3, small_rounds=4, completeness=0.5, first_rounds=1)
    start = resize(picture, made.shapes[0])
    noise = torch.randn(start.shape, generator=generator, device=generator.device).to(start)
    return finish(made, SynthesisState(start + 3 * config.variety * noise), 0, plan, None, progress)


def retarget(
    picture: Tensor,
    config: RetargetConfig,
    *,
    shape: Shape,
    generator: torch.Generator,
    progress: Progress = lambda share, note: None,
) -> Tensor:
    """Picture in another shape, with nothing stretched (GPNN, sec. 4.2): from the stretched coarsest level,
    completeness on.
    """
    wider, higher = (new / old for new, old in zip(shape, picture.shape[-2:], strict=True))
    # The picture's own scale, unless the result is larger, or smaller, along both axes.
    scale = max(min(wider, higher), min(1.0, max(wider, higher)))
    made = Synthesis(picture, shape, **start_of(config, 14), generator=generator, scale=scale)
    plan = plan_for(config, rounds=3, completeness=1.0, first_rounds=10)
    return finish(made, SynthesisState(resize(picture, shape)), 0, plan, None, progress)


def refine(
    picture: Tensor,
    patches_of: Tensor,
    config: RefineConfig,
    *,
    shape: Shape,
    usable: Tensor | None = None,
    generator: torch.Generator,
    progress: Progress = lambda share, note: None,
) -> Tensor:
    """Picture redrawn with the patches of another, from the level on whose short side is `strength` of the whole
    (at least 16 px).
    """
    coarsest = max(16, round(config.strength * min(shape)))
    made = Synthesis(patches_of, shape, **start_of(config, coarsest), generator=generator, usable=usable)
    plan = plan_for(config, rounds=3, completeness=0.0)
    return finish(made, SynthesisState(resize(picture, shape).clamp(-1, 1)), 0, plan, None, progress)
