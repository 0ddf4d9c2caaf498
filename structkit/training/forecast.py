"""The time that a training will take, foretold from one timed step in each of its stages."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from structkit.training.draw import Draw, own_randomness
from structkit.training.planned import costs_by_work
from structkit.training.stages import Training


def foretold(
    training: Training,
    work: Sequence[float],
    seed: int,
    *,
    within: float,
    clock: Callable[[], float] = time.monotonic,
) -> float:
    """The seconds that all steps of a training will take.

    training: one of its own, which this uses up.
    work: of a step in each stage, in any unit.
    within: seconds in which it is to be known.  Stages are timed from the first on, at least this one; the others are
    taken to cost as much as their work, compared with that of the timed ones, tells.
    """
    began, measured = clock(), []
    with own_randomness(training.device):
        for stage in range(len(training.stages)):
            # A warming step and a timed one, and another one's worth of making the networks.
            if measured and clock() - began + 3 * costs_by_work([work[stage]], sorted(measured))[0] > within:
                break
            draw = Draw(seed, stage, 0, training.device)
            training.begin(stage, draw)
            for step in (1, 2):
                started = clock()
                losses = training.step(replace(draw, step=step))
                next(iter(losses.values())).item()  # waits for the device
            measured.append((work[stage], clock() - started))
    steps = [stage.steps for stage in training.stages]
    return sum(n * cost for n, cost in zip(steps, costs_by_work(work, sorted(measured)), strict=True))
