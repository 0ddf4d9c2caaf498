"""A training that plans itself to end in time.

There are several trainings to choose from: the one that is asked for, then others of fewer rounds or of smaller
pictures.  Before the first step a few steps of some stages are measured, and their work tells the cost of those of the
other stages.  The first training is taken whose fewest steps that make sense fit; time that is left goes into more
steps.  So steps are given up before a round is, or the size of the pictures, but no more than makes sense.

Where no training fits, the last is taken with still fewer steps, one of each stage at least, and a note says so: there
is no time in which nothing is trained.  A note at the end says so, too, where a stage had time for far fewer than the
fewest, since steps took longer than was measured.
The plan is part of the state: a training that goes on, on a faster or a slower machine, keeps it.
"""

from __future__ import annotations

import itertools
import math
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from structkit.errors import CheckpointError
from structkit.training.draw import Draw
from structkit.training.model import Model
from structkit.training.stages import Stage, Training

# Steps of a stage, where its training asks for no fewer: with less, a fine level adds more noise than detail.
LEAST = 200
MEASURED = 5  # steps in each stage that is measured, but for the first that warms up; fewer where there is no time
FEW = 12  # steps that a stage has while it is measured, so that it makes ready for no more
# Part of the time that is spent on measuring, but for a few steps of the first stage, which are always measured.
MEASURING = 0.05
SPARE = 0.05  # part of what is left that no step is planned for: states and previews are written, and machines hesitate
NEARLY = 0.75  # of the fewest steps: where a stage had time for so many, the model is not said to be a bad one
SHORT = "it was trained for less time than the fewest steps that make sense take"


@dataclass(frozen=True)
class TrainingPlan:
    """The training that was chosen, its stages and their time."""

    choice: Any  # the choice that the training is made of
    stages: Sequence[Stage]
    seconds: float  # the time of all their steps, as measured
    whole: bool  # true if all that was asked for is done
    short: bool  # true if there are fewer steps than make sense
    needed: Sequence[float]  # seconds in all for the fewest steps that make sense, of each training up to this one


def minutes(seconds: float) -> str:
    """The minutes of seconds, to as many digits as are worth saying: 0.15, 1.5, 15, 150."""
    return f"{seconds / 60:.2g}" if seconds < 60 * 99.5 else f"{seconds / 60:.0f}"


def steps_in(seconds: float, costs: Sequence[float], most: Sequence[int], least: Sequence[int]) -> list[int]:
    """The steps of each stage: those of the same time for all, but at most `most`, and at least `least`.

    seconds: the time; where even the fewest steps do not fit into it, these are taken.
    costs: of a step of each stage, s, above 0.
    least: no stage has more of them than of `most`.
    """

    def steps(each: float) -> list[int]:
        return [
            min(max(math.floor(each / cost), low), high) for cost, low, high in zip(costs, least, most, strict=True)
        ]

    low, high = 0.0, (max(most) + 1) * max(costs)
    for _ in range(60):  # halvings, to far less than a step
        middle = (low + high) / 2
        low, high = (middle, high) if _total(steps(middle), costs) <= seconds else (low, middle)
    return steps(low)


def steps_between(seconds: float, costs: Sequence[float], most: Sequence[int], least: Sequence[int]) -> list[int]:
    """The steps of each stage: all are the same part of the way from `least` to `most`.  Else as `steps_in`."""

    def steps(share: float) -> list[int]:
        return [round(low + share * (high - low)) for low, high in zip(least, most, strict=True)]

    low, high = 0.0, 1.0
    if _total(steps(high), costs) <= seconds:
        return steps(high)
    for _ in range(40):  # halvings, to less than a step
        middle = (low + high) / 2
        low, high = (middle, high) if _total(steps(middle), costs) <= seconds else (low, middle)
    return steps(low)


def costs_by_work(work: Sequence[float], measured: Sequence[tuple[float, float]]) -> list[float]:
    """The costs of a step, s, for each amount of work (any unit).

    measured: (work, cost), in ascending order of work.
    Between these points costs are straight lines; beyond the last they grow like the work, and below the first they do
    not fall, since there the time goes into calls.
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


class PlannedTraining(Training):
    """A training, chosen from several, with steps that fit into the time."""

    def __init__(
        self,
        make: Callable[[Any], Training],
        choices: Sequence[Any],
        work: Callable[[Any], Sequence[float]],
        *,
        seconds: float,
        least: Callable[[Any], Sequence[int]] = lambda training: [LEAST] * len(training.stages),
        steps: Callable[[float, Sequence[float], Sequence[int], Sequence[int]], list[int]] = steps_in,
        chunk: int = 1,
        tell: Callable[[TrainingPlan], None] = lambda plan: None,
        clock: Callable[[], float] = time.monotonic,
        began: float | None = None,
    ) -> None:
        """make: the training of a choice; its stages have the most steps that they can use.
        choices: the one that is asked for, then those to do with instead, in that order.
        work: of a step in each stage, in any unit.
        seconds: from `began` on the clock, or else from now.
        least: the fewest steps of each stage that make sense, where it has so many.
        steps: `steps_in` or `steps_between`, how the time is shared out.
        chunk: each chunk-th step, from the first on, makes ready what the others use; the first step of a stage may do
        more than that, about as much as the stage has steps.
        tell: called once, with the plan.
        Raises what `make` raises.
        """
        self.make, self.choices, self.work, self.least, self.steps = make, choices, work, least, steps
        self.seconds, self.chunk, self.tell, self.clock = seconds, chunk, tell, clock
        self.started = clock() if began is None else began
        self.plan: TrainingPlan | None = None  # None if it was made before, and comes from a state
        self.short = False  # true if planned with fewer steps than make sense
        self._become(0)

    def _become(self, number: int) -> None:
        self.number, self.inner = number, self._made(self.choices[number])
        self.model_class, self.device, self.stages = self.inner.model_class, self.inner.device, self.inner.stages
        self.most, self.fewest = self._bounds(self.inner)
        self.done = [0] * len(self.stages)  # steps

    def _made(self, choice: Any) -> Training:
        training = self.make(choice)
        training.processes = self.processes
        return training

    def begin(self, stage: int, draw: Draw) -> None:
        if stage == 0:
            self.plan = self._planned(draw)
            self._become(self.choices.index(self.plan.choice))
            self.short = self.plan.short
            self.stages = self.inner.stages = self.plan.stages
            self.tell(self.plan)
            draw.seed_networks()  # measuring has drawn too
        elif self.plan:
            self._share_out(stage)
        self.inner.begin(stage, draw)

    def step(self, draw: Draw) -> Mapping[str, Tensor]:
        self.done[draw.stage] = draw.step
        return self.inner.step(draw)

    def state(self) -> dict[str, Tensor]:
        steps = torch.tensor([stage.steps for stage in self.stages])
        seconds = torch.tensor([stage.seconds for stage in self.stages], dtype=torch.float64)
        plan = {
            "choice": torch.tensor(self.number),
            "short": torch.tensor(self.short),
            "steps": steps,
            "seconds": seconds,
        }
        return self.inner.state() | {
            f"plan.{name}": tensor for name, tensor in (plan | {"done": torch.tensor(self.done)}).items()
        }

    def restore(self, stage: int, state: Mapping[str, Tensor]) -> None:
        own = dict(state)
        try:
            number, short, steps, seconds, done = (
                own.pop(f"plan.{name}").tolist() for name in ("choice", "short", "steps", "seconds", "done")
            )
        except KeyError as error:
            fact = f"the state is of another version of structkit (it has no {error.args[0]})"
            raise CheckpointError(
                f"{fact}; name another output, or remove the .resume.safetensors and overwrite this one"
            ) from error
        self._become(number)
        self.short, self.done = short, done
        self.stages = self.inner.stages = [
            Stage(s.name, n, t) for s, n, t in zip(self.inner.stages, steps, seconds, strict=True)
        ]
        self.inner.restore(stage, own)

    def model(self) -> Model:
        return self.inner.model()

    def scores(self) -> Mapping[str, float]:
        return {} if self._too_short() else self.inner.scores()  # there is no time for what is known to be bad

    def doubts(self) -> Sequence[str]:
        return [SHORT] if self._too_short() else self.inner.doubts()

    def preview(self, draw: Draw) -> Tensor | None:
        return self.inner.preview(draw)

    def _too_short(self) -> bool:
        """True, at the end, if the training was planned with too few steps, or a stage has done too few."""
        return self.short or any(done < NEARLY * fewest for done, fewest in zip(self.done, self.fewest, strict=True))

    def _planned(self, draw: Draw) -> TrainingPlan:
        """The plan of the first training that fits, else of the last."""
        measured: dict[float, float] = {}
        needed: list[float] = []
        for choice in self.choices:
            training = self._made(choice)
            works, (most, least) = self.work(training), self._bounds(training)
            self._measure(training, works, measured, draw)
            costs, left = costs_by_work(works, _smoothed(measured, works)), self._left()
            needed.append(self.seconds + (_total(least, costs) - left) / (1 - SPARE))
            if not (short := needed[-1] > self.seconds):
                break
        bounds = (least, [1] * len(most)) if short else (most, least)
        steps = self.steps(left, costs, *bounds)
        named = zip(training.stages, steps, costs, strict=True)
        total = _total(steps, costs)
        stages = [Stage(stage.name, n, max(left, 0.0) * n * cost / total) for stage, n, cost in named]
        return TrainingPlan(choice, stages, total, len(needed) == 1 and steps == most, short, needed)

    def _bounds(self, training: Training) -> tuple[list[int], list[int]]:
        """The bounds of the steps of each stage: the most that it can use, and the fewest that make sense.

        A stage that cannot use so many has fewer.
        """
        most = [stage.steps for stage in training.stages]
        return most, [min(pair) for pair in zip(self.least(training), most, strict=True)]

    def _share_out(self, first: int) -> None:
        """Share the time that is left out among the stages from `first` on.

        Stages before may have left some of their time, or taken some of that of others.
        """
        planned = sum(stage.seconds for stage in self.stages[first:])
        more = self._left() / planned if planned else 1.0

        def share(stage: Stage, most: int) -> Stage:
            return Stage(stage.name, min(max(round(more * stage.steps), 1), most), max(more, 0.0) * stage.seconds)

        rest = [share(*pair) for pair in zip(self.stages[first:], self.most[first:], strict=True)]
        self.stages = self.inner.stages = [*self.stages[:first], *rest]

    def _left(self) -> float:
        """Seconds that steps may take from now on."""
        return self.seconds * (1 - SPARE) - self._slowest(self.clock() - self.started)

    def _measure(self, training: Training, works: Sequence[float], measured: dict[float, float], draw: Draw) -> None:
        """Add the costs of a step, in one stage of each amount of work while there is time, at least in the first.

        The networks are thrown away.  A training with such a first stage may have been measured before: then nothing is
        done.
        """
        began, allowed = self.clock(), MEASURING * self.seconds
        if works[0] in measured:
            return
        # Of rounds alike the last is measured, which has all to do.
        for w, stage in {w: stage for stage, w in enumerate(works)}.items():
            foreseen = (MEASURED + 1) * costs_by_work([w], sorted(measured.items()))[0] if measured else 0.0
            if self.processes.most(int(stage > 0 and self.clock() - began + foreseen > allowed)):
                break
            training.stages = [replace(one, steps=min(one.steps, FEW)) for one in training.stages]
            training.begin(stage, replace(draw, stage=stage))
            measured[w] = max(self._slowest(self._cost(training, replace(draw, stage=stage), began + allowed)), 1e-6)

    def _cost(self, training: Training, draw: Draw, until: float) -> float:
        """The seconds of a step.

        Steps are done in this order: one that warms up; the first, which may make ready for the whole stage; one that
        makes ready for a chunk; and others, at least one and no more than there is time for.
        """
        _, first, ready = (self._timed(training, replace(draw, step=step)) for step in (2, 1, self.chunk + 1))
        others: list[float] = []
        while not others or (len(others) < MEASURED - 2 and not self.processes.most(int(self.clock() > until))):
            others.append(self._timed(training, replace(draw, step=self.chunk + 2 + len(others))))
        usual = sum(others) / len(others)
        once = max(first - ready, 0.0) / training.stages[draw.stage].steps  # with fewer steps there is less of it, too
        return usual + max(ready - usual, 0.0) / self.chunk + once

    def _timed(self, training: Training, draw: Draw) -> float:
        began = self.clock()
        losses = training.step(draw)
        next(iter(losses.values())).item()  # waits for the device
        return self.clock() - began

    def _slowest(self, seconds: float) -> float:
        """The longest of the times that the processes have measured: all make the same plan."""
        return self.processes.most(round(seconds * 1e6)) / 1e6


def _smoothed(measured: Mapping[float, float], works: Sequence[float]) -> list[tuple[float, float]]:
    """The measured costs, in ascending order of work.

    Where the costs of other works are derived from these, noise must not make them fall.
    """
    pairs = sorted(measured.items())
    if measured.keys() >= set(works):
        return pairs
    works, found = zip(*pairs, strict=True)
    return list(zip(works, itertools.accumulate(found, max), strict=True))


def _total(steps: Sequence[int], costs: Sequence[float]) -> float:
    return sum(n * cost for n, cost in zip(steps, costs, strict=True))
