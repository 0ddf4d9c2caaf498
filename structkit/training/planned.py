"""A training that plans itself to end in time.

* There are several trainings to choose from: the one that is asked for, then others of fewer rounds or of smaller
  pictures.
* Before the first step, a few steps of some stages are measured.  Steps of the other stages are taken to cost as much
  as their work, compared with that of the measured ones, tells.
* Each training has the fewest steps that make sense, its minimum.  The first training whose minimum fits is taken, and
  time that is left goes into more steps.  So steps are given up first, down to the minimum; then rounds or the size of
  the pictures.
* Where no training fits, the last is taken with still fewer steps, at least one of each stage, and a note says so: no
  time is so short that nothing is trained.
* If steps then take longer than was measured, so that a stage has time for far fewer than its minimum, a note at the
  end says so, too.
* The plan is part of the state: a training that goes on, on a faster or a slower machine, keeps it.
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

# The fewest steps of a stage that make sense, where its training does not say: with fewer, a fine level adds more noise
# than detail.
FEWEST_STEPS = 200
# Steps that are timed in each stage that is measured, after one that warms up; fewer where there is no time.
MEASURED_STEPS = 5
FEW = 12  # steps that a stage has while it is measured, at most, so that it makes ready for no more than these
# The part of the time that is spent on measuring, besides a few steps of the first stage, which are always measured.
MEASURING_SHARE = 0.05
# The part of the time that no step is planned for: states and previews are written, and machines hesitate.
SPARE_SHARE = 0.05
ENOUGH_SHARE = 0.75  # of the fewest steps: a model of which each stage had so many is not said to be a bad one
SHORT = "it was trained for less time than the fewest steps that make sense take"


@dataclass(frozen=True)
class TrainingPlan:
    """The training that was chosen, its stages and their time."""

    choice: Any  # the one of `choices` that the training is made from
    stages: Sequence[Stage]
    seconds: float  # the time of all their steps, as measured
    whole: bool  # true if all that was asked for is done
    short: bool  # true if there are fewer steps than make sense
    # Seconds in all for the fewest steps that make sense, of each training that was considered: this one is the last.
    needed: Sequence[float]


def in_minutes(seconds: float) -> str:
    """A time as text, in minutes, with as many digits as are worth saying: 0.15, 1.5, 15, 150."""
    return f"{seconds / 60:.2g}" if seconds < 60 * 99.5 else f"{seconds / 60:.0f}"


def steps_in(seconds: float, costs: Sequence[float], most: Sequence[int], least: Sequence[int]) -> list[int]:
    """The steps of each stage when all stages get the same time, but never more than `most` or fewer than `least`.

    seconds: the time of all stages together; where even the fewest steps do not fit into it, these are taken.
    costs: of a step of each stage, s, above 0.
    most, least: steps of each stage; `least` is nowhere above `most`.
    """

    def steps(each: float) -> list[int]:
        """The steps of each stage when each gets `each` seconds."""
        bounds = zip(costs, least, most, strict=True)
        return [min(max(math.floor(each / cost), fewest), largest) for cost, fewest, largest in bounds]

    low, high = 0.0, (max(most) + 1) * max(costs)  # bounds of `each`
    for _ in range(60):  # halvings, to far less than a step
        middle = (low + high) / 2
        low, high = (middle, high) if _total(steps(middle), costs) <= seconds else (low, middle)
    return steps(low)


def steps_between(seconds: float, costs: Sequence[float], most: Sequence[int], least: Sequence[int]) -> list[int]:
    """The steps of each stage when all stages go the same part of the way from `least` to `most`.

    The arguments are those of `steps_in`.
    """

    def steps(share: float) -> list[int]:
        """The steps of each stage when each goes `share` of its way."""
        return [round(fewest + share * (largest - fewest)) for fewest, largest in zip(least, most, strict=True)]

    low, high = 0.0, 1.0  # bounds of `share`
    if _total(steps(high), costs) <= seconds:
        return steps(high)
    for _ in range(40):  # halvings, to less than a step
        middle = (low + high) / 2
        low, high = (middle, high) if _total(steps(middle), costs) <= seconds else (low, middle)
    return steps(low)


def costs_by_work(work: Sequence[float], measured: Sequence[tuple[float, float]]) -> list[float]:
    """The cost of a step, s, for each amount of work (any unit).

    measured: (work, cost) of the measured points, in ascending order of work.
    Between two points the cost is a straight line.  Beyond the last it grows in proportion to the work.  Below the
    first it stays what it is there, since so little work takes no longer than the calls that start it.
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
        least: Callable[[Any], Sequence[int]] = lambda training: [FEWEST_STEPS] * len(training.stages),
        steps: Callable[[float, Sequence[float], Sequence[int], Sequence[int]], list[int]] = steps_in,
        chunk: int = 1,
        tell: Callable[[TrainingPlan], None] = lambda plan: None,
        clock: Callable[[], float] = time.monotonic,
        began: float | None = None,
    ) -> None:
        """Make the training of the first choice; the plan is made when its first stage begins.

        make: from a choice to its training, whose stages have the most steps that they can use.
        choices: the one that is asked for, then those that may take its place, in that order.
        work: from a training to the work of a step in each stage, in any unit.
        seconds: the time in which the training ends, counted from `began`.
        least: from a training to the fewest steps of each stage that make sense; a stage with fewer keeps its own.
        steps: how the time is shared out among the stages: `steps_in` or `steps_between`.
        chunk: every chunk-th step, from the first on, makes ready what the steps up to the next such one use.
        The first step of a stage may make ready more, in a time that grows with the steps of the stage.
        tell: called once, with the plan.
        clock: the present time, s.
        began: when the time began, on the clock; None: now.
        Raises what `make` raises.
        """
        self.make, self.choices, self.work, self.least, self.steps = make, choices, work, least, steps
        self.seconds, self.chunk, self.tell, self.clock = seconds, chunk, tell, clock
        self.started = clock() if began is None else began
        self.plan: TrainingPlan | None = None  # None before it is made, and where it comes from a state
        self.short = False  # true if fewer steps are planned than make sense
        self._become(0)

    def _become(self, number: int) -> None:
        """Become the training of the `number`-th choice, from 0; none of its steps is done."""
        self.number, self.inner = number, self._made(self.choices[number])
        self.model_class, self.device, self.stages = self.inner.model_class, self.inner.device, self.inner.stages
        self.most, self.fewest = self._bounds(self.inner)
        self.done = [0] * len(self.stages)  # steps of each stage

    def _made(self, choice: Any) -> Training:
        """A new training of a choice, with the processes of this one."""
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
            draw.seed_networks()  # again, since measuring has drawn from the generators
        elif self.plan:
            self._share_out(stage)
        self.inner.begin(stage, draw)
        self.stages = self.inner.stages  # of which it may have shortened some

    def step(self, draw: Draw) -> Mapping[str, Tensor]:
        self.done[draw.stage] = draw.step
        return self.inner.step(draw)

    def state(self) -> dict[str, Tensor]:
        plan = {
            "choice": torch.tensor(self.number),
            "short": torch.tensor(self.short),
            "steps": torch.tensor([stage.steps for stage in self.stages]),
            "seconds": torch.tensor([stage.seconds for stage in self.stages], dtype=torch.float64),
            "done": torch.tensor(self.done),
        }
        return self.inner.state() | {f"plan.{name}": tensor for name, tensor in plan.items()}

    def restore(self, stage: int, state: Mapping[str, Tensor]) -> None:
        of_inner = dict(state)
        try:
            number, short, steps, seconds, done = (
                of_inner.pop(f"plan.{name}").tolist() for name in ("choice", "short", "steps", "seconds", "done")
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
        self.inner.restore(stage, of_inner)

    def model(self) -> Model:
        return self.inner.model()

    def scores(self) -> Mapping[str, float]:
        # No time is spent on measuring a model that is known to be bad.
        return {} if self._too_short() else self.inner.scores()

    def doubts(self) -> Sequence[str]:
        return [SHORT] if self._too_short() else self.inner.doubts()

    def preview(self, draw: Draw) -> Tensor | None:
        return self.inner.preview(draw)

    def _too_short(self) -> bool:
        """True, at the end, if the training was planned with too few steps, or a stage was cut off after too few."""
        if self.short or self.inner.over:  # what ended early has had all the steps that it could use
            return self.short
        pairs = zip(self.done, self.fewest, strict=True)
        return any(done < ENOUGH_SHARE * fewest for done, fewest in pairs)

    def _planned(self, draw: Draw) -> TrainingPlan:
        """The plan of the first training whose fewest steps that make sense fit, else of the last."""
        measured: dict[float, float] = {}  # cost of a step, s, by its work
        needed: list[float] = []  # see `TrainingPlan.needed`
        for choice in self.choices:
            training = self._made(choice)
            works, (most, least) = self.work(training), self._bounds(training)
            self._measure(training, works, measured, draw)
            costs, left = costs_by_work(works, _smoothed(measured, works)), self._left()
            # Only 1 - SPARE_SHARE of any further second may go into steps: see `_left`.
            needed.append(self.seconds + (_total(least, costs) - left) / (1 - SPARE_SHARE))
            short = needed[-1] > self.seconds
            if not short:
                break
        bounds = (least, [1] * len(most)) if short else (most, least)
        steps = self.steps(left, costs, *bounds)
        total = _total(steps, costs)
        stages = [
            Stage(stage.name, n, max(left, 0.0) * n * cost / total)
            for stage, n, cost in zip(training.stages, steps, costs, strict=True)
        ]
        whole = len(needed) == 1 and steps == most
        return TrainingPlan(choice, stages, total, whole, short, needed)

    def _bounds(self, training: Training) -> tuple[list[int], list[int]]:
        """The bounds of the steps of each stage: the most that it can use, and the fewest that make sense.

        The latter are never above the former.
        """
        most = [stage.steps for stage in training.stages]
        return most, [min(pair) for pair in zip(self.least(training), most, strict=True)]

    def _share_out(self, first: int) -> None:
        """Plan the stages from `first` on anew, so that together they fill the time that is left.

        The stages before may have taken less time than was planned, or more.
        """
        planned = sum(stage.seconds for stage in self.stages[first:])
        factor = self._left() / planned if planned else 1.0

        def scaled(stage: Stage, most: int) -> Stage:
            return Stage(stage.name, min(max(round(factor * stage.steps), 1), most), max(factor, 0.0) * stage.seconds)

        rest = [scaled(*pair) for pair in zip(self.stages[first:], self.most[first:], strict=True)]
        self.stages = self.inner.stages = [*self.stages[:first], *rest]

    def _left(self) -> float:
        """Seconds that steps may take from now on."""
        return self.seconds * (1 - SPARE_SHARE) - self._slowest(self.clock() - self.started)

    def _measure(self, training: Training, works: Sequence[float], measured: dict[float, float], draw: Draw) -> None:
        """Measure the cost of a step in one stage for each amount of work, and add it to `measured`.

        The first amount is always measured, the others while there is time.  Where the first is in `measured` already,
        from another training, nothing is done.
        The networks that are made for this are thrown away.
        """
        began, allowed = self.clock(), MEASURING_SHARE * self.seconds
        if works[0] in measured:
            return
        # Rounds repeat an amount of work: the stage of the last round is measured, since earlier ones may do less.
        last_of_work = {w: stage for stage, w in enumerate(works)}
        for w, stage in last_of_work.items():
            foreseen = (MEASURED_STEPS + 1) * costs_by_work([w], sorted(measured.items()))[0] if measured else 0.0
            if self.processes.largest(int(stage > 0 and self.clock() - began + foreseen > allowed)):
                break
            training.stages = [replace(one, steps=min(one.steps, FEW)) for one in training.stages]
            training.begin(stage, replace(draw, stage=stage))
            measured[w] = max(self._slowest(self._cost(training, replace(draw, stage=stage), began + allowed)), 1e-6)

    def _cost(self, training: Training, draw: Draw, until: float) -> float:
        """The seconds of a step of a stage, with its part of what is made ready for several.

        Steps are done in this order: one that warms up; the first, which may make ready for the whole stage; one that
        makes ready for a chunk; and others, at least one, and no more than there is time for.
        until: the time on the clock at which no further one begins.
        """
        _, first, ready = (self._timed(training, replace(draw, step=step)) for step in (2, 1, self.chunk + 1))
        others: list[float] = []
        while not others or (
            len(others) < MEASURED_STEPS - 2 and not self.processes.largest(int(self.clock() > until))
        ):
            others.append(self._timed(training, replace(draw, step=self.chunk + 2 + len(others))))
        usual = sum(others) / len(others)
        for_chunk = max(ready - usual, 0.0) / self.chunk
        for_stage = max(first - ready, 0.0) / training.stages[draw.stage].steps  # with fewer steps there is less of it
        return usual + for_chunk + for_stage

    def _timed(self, training: Training, draw: Draw) -> float:
        """Do one step; returns the seconds that it took."""
        began = self.clock()
        losses = training.step(draw)
        next(iter(losses.values())).item()  # waits for the device
        return self.clock() - began

    def _slowest(self, seconds: float) -> float:
        """The longest of the times that the processes have measured, so that all make the same plan."""
        return self.processes.largest(round(seconds * 1e6)) / 1e6


def _smoothed(measured: Mapping[float, float], works: Sequence[float]) -> list[tuple[float, float]]:
    """The measured costs, (work, cost), in ascending order of work.

    Where costs of other amounts of work are to be derived from them, none is left below that of less work: noise in
    what was measured must not make costs fall.
    """
    pairs = sorted(measured.items())
    if measured.keys() >= set(works):
        return pairs
    works, found = zip(*pairs, strict=True)
    return list(zip(works, itertools.accumulate(found, max), strict=True))


def _total(steps: Sequence[int], costs: Sequence[float]) -> float:
    """The seconds of all steps of all stages."""
    return sum(n * cost for n, cost in zip(steps, costs, strict=True))
