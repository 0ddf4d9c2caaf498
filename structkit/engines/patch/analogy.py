"""Training-free patch engine: structural analogy and what else falls out of patch synthesis (`synthesis.py`).

After GPNN (Granot et al., CVPR 2022): the source, at the coarsest level, is where the result starts from; the target's
patches are what it is made of.

Differs from the paper:
* Guide.  The paper compares raw colours, which fails where source and target share none.  Here the source is first
  given the target's colours by optimal transport (`alignment.py`).  This guide is the start, and at small levels it
  takes part in the comparison.
* Drafts.  How much guidance a pair bears differs: calm targets follow any layout, busy ones fall to pieces.  Several
  drafts are made up to 64 px, where that costs little; the best by `structkit.metrics.structure` goes on.  `strength`
  is the weight of structure there.
`match="colour"` is the published form: raw colours, no guide, no drafts, coarsest level 0.24 of the result, alpha
0.005, ten rounds. Expect: tests/benchmarks/pairs.csv for scores, tests/benchmarks/analogy.csv for time and memory.

Sources and targets are (1, 3, H, W) in [-1, 1] (sample and retarget take (1, C, H, W), say with alpha); results have
`shape`, (H, W) in px, and the same range.  The same generator state gives the same result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from structkit.configs import AnalogyConfig, RefineConfig, RetargetConfig, SampleConfig
from structkit.engines.patch.alignment import transport_colours, transport_luminance
from structkit.engines.patch.channels import Channels
from structkit.engines.patch.course import finish, finished, plan_for, start_of, work_of
from structkit.engines.patch.synthesis import SMALL, Synthesis, SynthesisPlan, SynthesisState
from structkit.kernels.pyramid import Shape, resize
from structkit.metrics.structure import edge_agreement, explained_structure, patch_distance

Progress = Callable[[float, str], None]

# Start (short side, px), guidance.  Picked from those that won the choice on 15 pairs.
DRAFTS = ((20, 0.0), (27, 0.0), (27, 0.5), (36, 0.5), (20, 2.0), (36, 2.0))
# Weight of patch distance in the choice at strength 0; it falls to 0 at strength 1.  A painted or textured layout is
# meant to be followed.
INCOHERENCE = {"analogy": 5.0, "texture": 4.0, "paint": 3.0}
FLAT_NOISE = 0.1  # standard deviation: a painted area is flat, and without noise all of it would find the same patch


@dataclass(frozen=True)
class PatchAnalogy:
    """An analogy and how it was made, so that the next frame of a video can be made likewise.

    picture (1, 3, H, W).  field: of each of its patches, the key patch at the last level.
    start: short side of the level where it began, px.  plan: that of the levels that decided its layout.
    guide: the function from a source (1, 3, any, any) to a guide of the same kind.
    """

    picture: Tensor
    field: Tensor
    start: int
    plan: SynthesisPlan
    guide: Callable[[Tensor], Tensor]


def analogy(
    source: Tensor,
    target: Tensor,
    config: AnalogyConfig,
    *,
    shape: Shape,
    usable: Tensor | None = None,
    guides: Sequence[Channels] = (),
    generator: torch.Generator,
    progress: Progress = lambda share, note: None,
) -> Tensor:
    """Picture (1, 3, *shape) with the structure of source and the patches of target.

    usable (1, 1, h, w) in [0, 1]: which pixels of the target may be used.
    guides: maps of the source and of the target, compared beside the colours at every level.
    """
    how = {"shape": shape, "usable": usable, "guides": guides, "generator": generator, "progress": progress}
    return analogy_of(source, target, config, **how).picture


def analogy_of(
    source: Tensor,
    target: Tensor,
    config: AnalogyConfig,
    *,
    shape: Shape,
    usable: Tensor | None = None,
    guides: Sequence[Channels] = (),
    generator: torch.Generator,
    progress: Progress = lambda share, note: None,
) -> PatchAnalogy:
    """The same as `analogy`, with how it was made."""
    source = resize(source, shape).clamp(-1, 1)
    coarsest = coarsest_of(config, shape, DRAFTS[0][0])
    made = Synthesis(target, shape, **start_of(config, coarsest), generator=generator, usable=usable, beside=guides)
    guide = guide_of(source, made, config, generator)
    plan, state, first, hint, part = plan_of(config, shape, rounds=3), SynthesisState(guide), 0, None, 0.0
    start = min(made.shapes[0])
    if config.match == "colour":
        plan = plan_of(config, shape, rounds=10)
    elif config.mode == "style":
        plan, hint = plan_of(config, shape, rounds=5), guide
    else:
        part = _part_of_drafts(made, plan)
        state, plan, start = _best_draft(
            made, source, guide, plan, config, lambda share, note: progress(part * share, note)
        )
        first = made.layout + 1
    state = finished(made, state, first, plan, hint, lambda share, note: progress(part + (1 - part) * share, note))
    assert state.field is not None
    return PatchAnalogy(
        made.painted(state), state.field, start, plan, lambda other: guide_of(other, made, config, generator)
    )


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


def _best_draft(
    made: Synthesis, source: Tensor, guide: Tensor, plan: SynthesisPlan, config: AnalogyConfig, progress: Progress
) -> tuple[SynthesisState, SynthesisPlan, int]:
    """Draft with the most structure for its incoherence, the plan it was made with, and the side it began with."""
    drafts = DRAFTS if config.coarsest is None else tuple((config.coarsest, guidance) for guidance in (0.0, 0.5, 2.0))
    if config.coarsest and config.coarsest > SMALL:
        drafts = ((config.coarsest, 0.0),)  # too fine for guidance: there is nothing to choose from
    wanted, keys = _small(source), _small(made.target)
    foreign = max(patch_distance(wanted, keys), 1e-6) if len(drafts) > 1 else 1.0
    best: tuple[float, SynthesisState, SynthesisPlan, int] | None = None
    for i, (start, guidance) in enumerate(drafts):
        own = replace(plan, guidance=guidance)
        draft = made.run(SynthesisState(guide), range(made.starting_near(start), made.layout + 1), own, guide)
        score = 0.0
        if len(drafts) > 1:
            seen = resize(draft.picture, wanted.shape[-2:]).clamp(-1, 1)
            structure = explained_structure(wanted, seen) + 0.7 * edge_agreement(wanted, seen)
            score = structure - (1 - config.strength) * INCOHERENCE[config.mode] * patch_distance(seen, keys) / foreign
        if best is None or score > best[0]:
            best = score, draft, own, min(made.shapes[made.starting_near(start)])
        progress((i + 1) / len(drafts), f"draft {i + 1} of {len(drafts)}")
    assert best is not None
    return best[1:]


def _small(picture: Tensor) -> Tensor:
    return resize(picture, small_shape(picture.shape[-2:], least=8)).clamp(-1, 1)


def small_shape(shape: Shape, *, least: int) -> Shape:
    """The shape reduced to that of the level at which layout is settled, where drafts are compared; long strips have no
    more than four times its area.
    """
    by = min(1.0, SMALL / min(shape), 2 * SMALL / math.sqrt(math.prod(shape)))
    return tuple(max(least, round(side * by)) for side in shape)


def coarsest_of(config: AnalogyConfig, shape: Shape, usual: int) -> int:
    """Short side of the level at which an analogy begins, px, where the user has not said it."""
    if config.match == "colour":
        return round(0.24 * min(shape))
    # A style leaves content where and what it is: it begins at a fine level.
    return max(24, round(0.3 * config.strength * min(shape))) if config.mode == "style" else usual


def guide_of(source: Tensor, made: Synthesis, config: AnalogyConfig, generator: torch.Generator) -> Tensor:
    """Guide (1, 3, h, w), from which an analogy starts and with which it is compared: the source in colours that can be
    compared with the target's.

    As large as is needed: in a style the guide leads at fine levels too.
    """
    if config.match == "colour":
        return source
    if config.mode == "style":
        return transport_colours(source, made.target, rounds=10, generator=generator)
    source, target = resize(source, made.shapes[made.layout]).clamp(-1, 1), made.keys(made.layout)
    if config.mode == "analogy":
        return transport_colours(source, target, generator=generator)
    # The colours of a painting are meant.
    guide = transport_luminance(source, target) if config.mode == "texture" else source
    return guide + FLAT_NOISE * torch.randn(guide.shape, generator=generator, device=generator.device).to(guide)


def plan_of(config: AnalogyConfig, shape: Shape, *, rounds: int, small_rounds: int = 10) -> SynthesisPlan:
    """Plan of an analogy; its guidance is decided elsewhere, but for a style's, which leads at more levels."""
    plan = plan_for(
        config, rounds=rounds, small_rounds=small_rounds, completeness=1.0 if config.match == "colour" else 0.0
    )
    return replace(plan, guidance=4 * config.strength, guided_to=0.6 * min(shape)) if config.mode == "style" else plan


def _part_of_drafts(made: Synthesis, plan: SynthesisPlan) -> float:
    """The part of an analogy's work that its drafts take, about."""
    drafts = len(DRAFTS) * sum(work_of(made, plan, range(made.layout + 1)))
    return drafts / (drafts + sum(work_of(made, plan, range(made.layout + 1, len(made.shapes)))))
