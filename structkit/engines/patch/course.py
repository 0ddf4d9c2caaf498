"""The course of a synthesis: from what the user said to a plan, and from a state to the result."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from torch import Tensor

from structkit.configs import PatchConfig
from structkit.engines.patch.synthesis import Synthesis, SynthesisPlan, SynthesisState
from structkit.kernels.pyramid import Shape

Progress = Callable[[float, str], None]


def plan_for(
    config: PatchConfig, *, rounds: int, completeness: float, small_rounds: int = 10, first_rounds: int | None = None
) -> SynthesisPlan:
    """Plan of what the user said, else of what the verb takes."""
    asked = completeness if config.completeness is None else config.completeness
    alpha = 0.5 * 0.01**asked if asked else None  # 0.005, GPNN's, at 1; from 0.5 on it can hardly be seen
    few, many = (config.rounds, config.rounds) if config.rounds else (rounds, small_rounds)
    return SynthesisPlan(many, few, first_rounds=None if config.rounds else first_rounds, alpha=alpha)


def start_of(config: PatchConfig, coarsest: int) -> dict[str, int]:
    """The patch and the coarsest side of a synthesis: the user's, else this one."""
    return {"patch": config.patch, "coarsest": config.coarsest or coarsest}


def finish(
    made: Synthesis, state: SynthesisState, first: int, plan: SynthesisPlan, guide: Tensor | None, progress: Progress
) -> Tensor:
    """The result of the levels from `first` on; see `finished`."""
    return made.painted(finished(made, state, first, plan, guide, progress))


def finished(
    made: Synthesis, state: SynthesisState, first: int, plan: SynthesisPlan, guide: Tensor | None, progress: Progress
) -> SynthesisState:
    """The state after the levels from `first` on.

    progress: told of each round; the work of a level grows with its pixels.
    """
    work, done = work_of(made, plan, range(first, len(made.shapes))), 0
    for level, own in enumerate(work, first):

        def tick(share: float, done: int = done, own: int = own, note: str = in_words(made.shapes[level])) -> None:
            progress((done + share * own) / sum(work), note)

        state, done = made.run(state, [level], plan, guide, tick), done + own
    progress(1.0, "done")
    return state


def in_words(shape: Shape) -> str:
    """The words for a level of this shape."""
    *frames, height, width = shape
    return "".join(f"{count} frames of " for count in frames) + f"{width} x {height} px"


def work_of(made: Synthesis, plan: SynthesisPlan, levels: Sequence[int]) -> list[int]:
    """The work of each of these levels: its pixels, as often as there are rounds."""
    return [math.prod(made.shapes[level]) * made.rounds_of(level, plan) for level in levels]
