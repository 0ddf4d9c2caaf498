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
from dataclasses import replace

import torch
from torch import Tensor

from structkit.configs import AnalogyConfig, PatchConfig, RefineConfig, RetargetConfig, SampleConfig
from structkit.engines.patch.alignment import transport_colours, transport_luminance
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


def analogy(
    source: Tensor,
    target: Tensor,
    config: AnalogyConfig,
    *,
    shape: Shape,
    usable: Tensor | None = None,
    generator: torch.Generator,
    progress: Progress = lambda share, note: None,
) -> Tensor:
    """Picture (1, 3, *shape) with the structure of source and the patches of target.

    usable (1, 1, h, w) in [0, 1]: which pixels of the target may be used.
    """
    source = resize(source, shape).clamp(-1, 1)
    coarsest = coarsest_of(config, shape, DRAFTS[0][0])
    made = Synthesis(target, shape, **_how(config, coarsest), generator=generator, usable=usable)
    guide = guide_of(source, made, config, generator)
    if config.match == "colour":
        return _finish(made, SynthesisState(guide), 0, plan_of(config, shape, rounds=10), None, progress)
    if config.mode == "style":
        return _finish(made, SynthesisState(guide), 0, plan_of(config, shape, rounds=5), guide, progress)
    plan = plan_of(config, shape, rounds=3)
    part = _part_of_drafts(made, plan)
    best, plan = _best_draft(made, source, guide, plan, config, lambda share, note: progress(part * share, note))
    return _finish(
        made, best, made.layout + 1, plan, None, lambda share, note: progress(part + (1 - part) * share, note)
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
    made = Synthesis(picture, shape, **_how(config, 24), generator=generator)
    plan = _plan(config, rounds=3, small_rounds=4, completeness=0.5, first_rounds=1)
    start = resize(picture, made.shapes[0])
    noise = torch.randn(start.shape, generator=generator, device=generator.device).to(start)
    return _finish(made, SynthesisState(start + 3 * config.variety * noise), 0, plan, None, progress)


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
    made = Synthesis(picture, shape, **_how(config, 14), generator=generator, scale=scale)
    plan = _plan(config, rounds=3, completeness=1.0, first_rounds=10)
    return _finish(made, SynthesisState(resize(picture, shape)), 0, plan, None, progress)


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
    made = Synthesis(patches_of, shape, **_how(config, coarsest), generator=generator, usable=usable)
    plan = _plan(config, rounds=3, completeness=0.0)
    return _finish(made, SynthesisState(resize(picture, shape).clamp(-1, 1)), 0, plan, None, progress)


def _best_draft(
    made: Synthesis, source: Tensor, guide: Tensor, plan: SynthesisPlan, config: AnalogyConfig, progress: Progress
) -> tuple[SynthesisState, SynthesisPlan]:
    """Draft with the most structure for its incoherence, and the plan it was made with."""
    drafts = DRAFTS if config.coarsest is None else tuple((config.coarsest, guidance) for guidance in (0.0, 0.5, 2.0))
    if config.coarsest and config.coarsest > SMALL:
        drafts = ((config.coarsest, 0.0),)  # too fine for guidance: there is nothing to choose from
    wanted, keys = _small(source), _small(made.target)
    foreign = max(patch_distance(wanted, keys), 1e-6) if len(drafts) > 1 else 1.0
    best: tuple[float, SynthesisState, SynthesisPlan] | None = None
    for i, (start, guidance) in enumerate(drafts):
        own = replace(plan, guidance=guidance)
        draft = made.run(SynthesisState(guide), range(made.starting_near(start), made.layout + 1), own, guide)
        score = 0.0
        if len(drafts) > 1:
            seen = resize(draft.picture, wanted.shape[-2:]).clamp(-1, 1)
            structure = explained_structure(wanted, seen) + 0.7 * edge_agreement(wanted, seen)
            score = structure - (1 - config.strength) * INCOHERENCE[config.mode] * patch_distance(seen, keys) / foreign
        if best is None or score > best[0]:
            best = score, draft, own
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
    plan = _plan(
        config, rounds=rounds, small_rounds=small_rounds, completeness=1.0 if config.match == "colour" else 0.0
    )
    return replace(plan, guidance=4 * config.strength, guided_to=0.6 * min(shape)) if config.mode == "style" else plan


def _plan(
    config: PatchConfig, *, rounds: int, completeness: float, small_rounds: int = 10, first_rounds: int | None = None
) -> SynthesisPlan:
    """Plan of what the user said, else of what the verb takes."""
    asked = completeness if config.completeness is None else config.completeness
    alpha = 0.5 * 0.01**asked if asked else None  # 0.005, GPNN's, at 1; from 0.5 on it can hardly be seen
    few, many = (config.rounds, config.rounds) if config.rounds else (rounds, small_rounds)
    return SynthesisPlan(many, few, first_rounds=None if config.rounds else first_rounds, alpha=alpha)


def _how(config: PatchConfig, coarsest: int) -> dict[str, int]:
    return {"patch": config.patch, "coarsest": config.coarsest or coarsest}


def _finish(
    made: Synthesis, state: SynthesisState, first: int, plan: SynthesisPlan, guide: Tensor | None, progress: Progress
) -> Tensor:
    """The result of the levels from `first` on.

    progress: told of each round; the work of a level grows with its pixels.
    """
    work, done = _work(made, plan, range(first, len(made.shapes))), 0
    for level, own in enumerate(work, first):
        height, width = made.shapes[level]

        def tick(share: float, done: int = done, own: int = own, note: str = f"{width} x {height} px") -> None:
            progress((done + share * own) / sum(work), note)

        state, done = made.run(state, [level], plan, guide, tick), done + own
    progress(1.0, "done")
    return made.painted(state)


def _work(made: Synthesis, plan: SynthesisPlan, levels: Sequence[int]) -> list[int]:
    """The work of each of these levels: its pixels, as often as there are rounds."""
    return [
        math.prod(made.shapes[level]) * (plan.small_rounds if level <= made.layout else plan.rounds) for level in levels
    ]


def _part_of_drafts(made: Synthesis, plan: SynthesisPlan) -> float:
    """The part of an analogy's work that its drafts take, about."""
    drafts = len(DRAFTS) * sum(_work(made, plan, range(made.layout + 1)))
    return drafts / (drafts + sum(_work(made, plan, range(made.layout + 1, len(made.shapes)))))
