"""Training-free structural analogy, by patch synthesis (`synthesis.py`).

After GPNN (Granot et al., CVPR 2022): the source, at the coarsest level, is where the result starts from; the target's
patches are what it is made of.

Differs from the paper:
* Guide.  The paper compares raw colours, which fails where source and target share none.  Here the source is first
  given the target's colours (`alignment.py`).  This guide is the start, and takes part in the comparison for a while.
* Drafts.  Several ways to begin are tried up to 64 px, where that costs little, or where they begin, if that is finer;
  the best goes on (`drafts.py`).
* Contrast.  The mean of patches that disagree is fog, which finds the target's calmest patches: then eyes, windows and
  boats are lost.  Before it is compared, a picture is given the contrast of the target (`alignment.match_contrast`).
* Vote.  Patches that fit better count for more.
`match="colour"` is the published form: raw colours, no guide, no drafts, coarsest level 0.24 of the result, alpha
0.005, ten rounds. Expect: tests/benchmarks/pairs.csv for scores, tests/benchmarks/analogy.csv for time and memory.

Sources and targets are (1, 3, H, W) in [-1, 1]; results have `shape`, (H, W) in px, and the same range.  The same
generator state gives the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from structkit.configs import AnalogyConfig
from structkit.engines.patch.channels import Channels
from structkit.engines.patch.course import finished, plan_for, start_of, work_of
from structkit.engines.patch.draft_ways import Draft, drafts_of
from structkit.engines.patch.drafts import DraftTable, MadeDraft, draft_plan, guide_of
from structkit.engines.patch.synthesis import Synthesis, SynthesisPlan, SynthesisState
from structkit.kernels.pyramid import Shape, resize

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Analogy:
    """An analogy, and how it was made, so that the next frame of a video can be made likewise.

    picture (1, 3, *shape).  field: of each of its patches, the key patch at the last level; weights: theirs in the
    vote; None: all the same.  start: short side of the level where it began, px.  plan: that of its levels.  guide: the
    function from a source (1, 3, *shape) to a guide of the same kind.
    chosen: the draft that it was made from, and drafts: all of them, the best first; none in the published form.
    """

    picture: Tensor
    field: Tensor
    start: int
    plan: SynthesisPlan
    guide: Callable[[Tensor], Tensor]
    weights: Tensor | None = None
    chosen: MadeDraft | None = None
    drafts: list[MadeDraft] = field(default_factory=list)


def analogy(
    source: Tensor,
    target: Tensor,
    config: AnalogyConfig,
    *,
    shape: Shape,
    usable: Tensor | None = None,
    guides: Sequence[Channels] = (),
    like: Draft | None = None,
    generator: torch.Generator,
    progress: Progress = lambda share, note: None,
) -> Analogy:
    """Picture with the structure of source and the patches of target.

    usable (1, 1, h, w) in [0, 1]: which pixels of the target may be used.
    guides: maps of the source and of the target, compared beside the colours at every level.
    like: the draft to go on from; None: the best of several.
    """
    source = resize(source, shape).clamp(-1, 1)
    how = {"generator": generator, "usable": usable, "beside": guides}
    if config.match == "colour":
        made = Synthesis(target, shape, **start_of(config, published_start(shape)), **how)
        state = finished(made, SynthesisState(source), 0, plan := published_plan(config), None, progress)
        return Analogy(made.painted(state), state.field, min(made.shapes[0]), plan, lambda other: other, state.weights)
    ways = drafts_of(config, shape) if like is None else [like]
    made = Synthesis(target, shape, coarsest=_first_start(config, shape, like), patch=config.patch, **how)
    table, draw = DraftTable(source, made, config, generator), generator.get_state()
    part = _part_of_drafts(made, draft_plan(config, shape, 1.0), len(ways))
    best, *others = table.best(ways, lambda share, note: progress(part * share, note))
    generator.set_state(draw)  # what follows a draft does not depend on how many there were
    plan, first = draft_plan(config, shape, best.draft.guidance), best.state.level + 1
    state = finished(made, best.state, first, plan, best.guide, lambda s, note: progress(part + (1 - part) * s, note))

    def guide(other: Tensor) -> Tensor:
        return guide_of(other, made, best.draft.colours, config.mode, generator)

    return Analogy(
        made.painted(state), state.field, best.draft.start, plan, guide, state.weights, best, [best, *others]
    )


def analogy_drafts(
    source: Tensor,
    target: Tensor,
    config: AnalogyConfig,
    *,
    shape: Shape,
    usable: Tensor | None = None,
    guides: Sequence[Channels] = (),
    generator: torch.Generator,
    progress: Progress = lambda share, note: None,
) -> list[MadeDraft]:
    """The drafts of the same analogy, the best first, which it goes on from.  The published form has none."""
    how = {"generator": generator, "usable": usable, "beside": guides}
    made = Synthesis(target, shape, coarsest=_first_start(config, shape), patch=config.patch, **how)
    table = DraftTable(resize(source, shape).clamp(-1, 1), made, config, generator)
    return table.best(drafts_of(config, shape), progress)


def _first_start(config: AnalogyConfig, shape: Shape, like: Draft | None = None) -> int:
    """The start of the first of all drafts, also where one alone is made, which then has the same levels."""
    return min(draft.start for draft in [*drafts_of(config, shape), *([like] if like else [])])


def published_start(shape: Shape) -> int:
    """The short side of the first level of the published form, px."""
    return round(0.24 * min(shape))


def published_plan(config: AnalogyConfig) -> SynthesisPlan:
    """The plan of the published form."""
    return plan_for(config, rounds=10, completeness=1.0)


def _part_of_drafts(made: Synthesis, plan: SynthesisPlan, count: int) -> float:
    """The part of an analogy's work that its drafts take, about."""
    drafts = count * sum(work_of(made, plan, range(made.layout + 1)))
    return drafts / (drafts + sum(work_of(made, plan, range(made.layout + 1, len(made.shapes)))))
