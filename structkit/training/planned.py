"""A training that plans itself to end in time.

Before its first step it measures a few steps of some stages, tells from their work what those of the others will cost, and gives each
stage the same time, but no more than the steps that it can use and no fewer than make sense.  Coarse stages, which decide the layout, are
cheap: they get all their steps, and what they leave goes to the fine ones.  Where even the fewest steps take too long, the training is made
smaller.  The plan is part of the state: a training that goes on, on a faster or a slower machine, keeps it.
"""

from __future__ import annotations

import itertools
import math
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from structkit.errors import OptionError
from structkit.training.draw import Draw
from structkit.training.model import Model
from structkit.training.stages import Stage, Training

LEAST = 200  # steps of a stage, where its training asks for no fewer: with less, a fine level adds more noise than detail
MEASURED = 5  # steps in each stage that is measured
MEASURING = 0.05  # part of the time that is spent on it, but for the first stage, which is always measured
SPARE = 0.05  # part of what is left that no step is planned for: states and previews are written, and machines hesitate


@dataclass(frozen=True)
class Plan:
    """What is to be done, in which time."""

    size: int  # of the training
    stages: Sequence[Stage]
    seconds: float  # of all their steps, as measured
    whole: bool  # this is all that was asked for
    needed: float  # seconds of the fewest steps of what was asked for


def minutes(seconds: float) -> str:
    """As many as are worth saying: 0.15, 1.5, 15, 150."""
    return f"{seconds / 60:.2g}" if seconds < 60 * 99.5 else f"{seconds / 60:.0f}"


def steps_in(seconds: float, costs: Sequence[float], most: Sequence[int], least: int = LEAST) -> list[int]:
    """Steps of each stage: those of the same time for all, but no more than `most`, and no fewer than `least` where `most` is more.

    costs: of a step of each stage, s, above 0.  Where even the fewest do not fit into the time, these.
    """

    def steps(each: float) -> list[int]:
        return [min(max(math.floor(each / cost), least), limit) for cost, limit in zip(costs, most, strict=True)]

    low, high = 0.0, (max(most) + 1) * max(costs)
    for _ in range(60):  # halvings, to far less than a step
        middle = (low + high) / 2
        low, high = (middle, high) if _total(steps(middle), costs) <= seconds else (low, middle)
    return steps(low)


def scaled_steps(seconds: float, costs: Sequence[float], most: Sequence[int], least: int = LEAST) -> list[int]:
    """Steps of each stage: the same share of `most` for all, of which the longest stage has `least`, or all.  Else as `steps_in`."""

    def steps(share: float) -> list[int]:
        return [max(round(share * limit), 1) for limit in most]

    low, high = min(least / max(most), 1.0), 1.0
    if _total(steps(high), costs) <= seconds:
        return steps(high)
    for _ in range(40):  # halvings, to less than a step
        middle = (low + high) / 2
        low, high = (middle, high) if _total(steps(middle), costs) <= seconds else (low, middle)
    return steps(low)


def costs_by_work(work: Sequence[float], measured: Sequence[tuple[float, float]]) -> list[float]:
    """What a step costs, s, for each amount of work (any unit).

    measured: (work, cost), in ascending order of work.  Between them costs are straight lines; beyond the last they grow like the work, and
    below the first they do not fall, since there the time goes into calls.
    """
    works, costs = zip(*measured, strict=True)
    found = []
    for w in work:
        if (i := bisect_left(works, w)) == 0:
            found.append(costs[0])
        elif i == len(works):
            found.append(costs[-1] * w / works[-1])
        else:
            share = (w - works[i - 1]) / (works[i] - works[i - 1])
            found.append(costs[i - 1] + share * (costs[i] - costs[i - 1]))
    return found


class Planned(Training):
    """Another training, in a size and with steps that fit into the time."""

    def __init__(
        self,
        make: Callable[[int], Training],
        sizes: Sequence[int],
        work: Callable[[Training], Sequence[float]],
        *,
        seconds: float,
        steps: Callable[[float, Sequence[float], Sequence[int]], list[int]] = steps_in,
        chunk: int = 1,
        tell: Callable[[Plan], None] = lambda plan: None,
        clock: Callable[[], float] = time.monotonic,
        began: float | None = None,
    ) -> None:
        """make: the training of a size; its stages have the most steps that they can use.  sizes: the one that is asked for, then smaller
        ones.  work: of a step in each stage, in any unit.  seconds: from `began` on the clock, or else from now.  steps: `steps_in` or
        `scaled_steps`, how the time is shared out.  chunk: each chunk-th step, from the first on, makes ready what the others use;
        the first step of a stage may do more than that, about as much as the stage has steps.
        tell: called once, with the plan.

        Raises what `make` raises.  `begin` raises OptionError where the smallest training takes too long.
        """
        self.make, self.sizes, self.work = make, sizes, work
        self.seconds, self.steps_in, self.chunk, self.tell, self.clock = seconds, steps, chunk, tell, clock
        self.started = clock() if began is None else began
        self._become(sizes[0])

    def _become(self, size: int) -> None:
        self.size, self.inner = size, self._made(size)
        self.model_class, self.device, self.stages = self.inner.model_class, self.inner.device, self.inner.stages

    def _made(self, size: int) -> Training:
        training = self.make(size)
        training.processes = self.processes
        return training

    def begin(self, stage: int, draw: Draw) -> None:
        if stage == 0:
            plan = self._planned(draw)
            self._become(plan.size)
            self.stages = self.inner.stages = plan.stages
            self.tell(plan)
            draw.seed_networks()  # measuring has drawn too
        self.inner.begin(stage, draw)

    def step(self, draw: Draw) -> Mapping[str, Tensor]:
        return self.inner.step(draw)

    def state(self) -> dict[str, Tensor]:
        steps = torch.tensor([stage.steps for stage in self.stages])
        seconds = torch.tensor([stage.seconds for stage in self.stages], dtype=torch.float64)
        return {**self.inner.state(), "plan.size": torch.tensor(self.size), "plan.steps": steps, "plan.seconds": seconds}

    def restore(self, stage: int, state: Mapping[str, Tensor]) -> None:
        own = dict(state)
        size, steps, seconds = (own.pop(f"plan.{name}").tolist() for name in ("size", "steps", "seconds"))
        self._become(size)
        self.stages = self.inner.stages = [Stage(s.name, n, t) for s, n, t in zip(self.inner.stages, steps, seconds, strict=True)]
        self.inner.restore(stage, own)

    def model(self) -> Model:
        return self.inner.model()

    def scores(self) -> Mapping[str, float]:
        return self.inner.scores()

    def preview(self, draw: Draw) -> Tensor | None:
        return self.inner.preview(draw)

    def _planned(self, draw: Draw) -> Plan:
        """The largest training that fits."""
        measured = self._measured(draw)
        left = self.seconds - self._slowest(self.clock() - self.started)
        needed: list[float] = []
        for size in self.sizes:
            training = self._made(size)
            costs, most = costs_by_work(self.work(training), measured), [stage.steps for stage in training.stages]
            fewest, steps = (self.steps_in(seconds, costs, most) for seconds in (0.0, (1 - SPARE) * left))
            needed.append(_total(fewest, costs))
            if (total := _total(steps, costs)) <= (1 - SPARE) * left:
                named = zip(training.stages, steps, costs, strict=True)
                stages = [Stage(stage.name, n, left * n * cost / total) for stage, n, cost in named]
                return Plan(size, stages, total, len(needed) == 1 and steps == most, needed[0])
        smaller = f", even for {size} px" if len(self.sizes) > 1 else ""
        raise OptionError(
            f"--minutes is {self.seconds / 60:g}: the fewest steps that make sense, {sum(fewest)}, take {minutes(needed[-1])} minutes here"
            f"{smaller}: give more, or fewer --steps"
        )

    def _measured(self, draw: Draw) -> list[tuple[float, float]]:
        """Work and cost of a step, in one stage of each amount of work while there is time, with networks that are thrown away."""
        began, training, measured = self.clock(), self._made(self.sizes[0]), []
        for w, stage in {w: stage for stage, w in enumerate(self.work(training))}.items():  # rounds alike: the last, which has all to do
            foreseen = MEASURED * costs_by_work([w], measured)[0] if measured else 0.0
            over = bool(measured) and self.clock() - began + 2 * foreseen > MEASURING * self.seconds
            if self.processes.most(int(over)):
                break
            training.begin(stage, replace(draw, stage=stage))
            # One that warms up; the first, which may make ready for the whole stage; one that makes ready for a chunk; and some others.
            steps = [2, 1, *(self.chunk + 1 + i for i in range(MEASURED - 2))]
            _, first, ready, *others = (self._timed(training, replace(draw, stage=stage, step=step)) for step in steps)
            usual = sum(others) / len(others)
            once = max(first - ready, 0.0) / training.stages[stage].steps  # with fewer steps there is less of it, too
            cost = self._slowest(usual + max(ready - usual, 0.0) / self.chunk + once)
            measured = sorted([*measured, (w, max(cost, 1e-6))])
        if len(measured) == len(set(self.work(training))):
            return measured
        works, found = zip(*measured, strict=True)
        return list(zip(works, itertools.accumulate(found, max), strict=True))  # what grows from here is not to grow from noise

    def _timed(self, training: Training, draw: Draw) -> float:
        began = self.clock()
        losses = training.step(draw)
        next(iter(losses.values())).item()  # waits for the device
        return self.clock() - began

    def _slowest(self, seconds: float) -> float:
        """The longest of the times that the processes have measured: all make the same plan."""
        return self.processes.most(round(seconds * 1e6)) / 1e6


def _total(steps: Sequence[int], costs: Sequence[float]) -> float:
    return sum(n * cost for n, cost in zip(steps, costs, strict=True))
