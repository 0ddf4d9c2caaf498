"""What is common to all trainings, whatever is learnt: `structkit.verbs.pair` and `structkit.recipes.domains` say what
that is.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from structkit.configs import Config
from structkit.device import enough_memory, resolve
from structkit.errors import OptionError
from structkit.training import loop
from structkit.training.model import Model
from structkit.training.parallel import Processes, joined
from structkit.training.planned import PlannedTraining, TrainingPlan
from structkit.training.planned import minutes as in_minutes
from structkit.training.precision import precision
from structkit.training.stages import Event, Training
from structkit.verbs.patchwork import Running


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How a training is to be run, and where its checkpoint goes; see `structkit.train_analogy`."""

    output: str | Path
    minutes: float | None
    seed: int
    device: str
    dtype: str
    overwrite: bool
    report: Callable[[Event], None]
    tell: Callable[[str], None]
    began: float = field(
        default_factory=time.monotonic
    )  # on the clock: when it was asked for, from which `minutes` count

    def __post_init__(self) -> None:
        Running(self.seed, self.device, "auto", None)  # refuses a seed that cannot be
        if self.minutes is not None and not 0 < self.minutes < math.inf:
            raise OptionError(f"--minutes is {self.minutes}: it must be above 0, or left out")


@dataclass(frozen=True)
class TrainingJob:
    """A training that has its place: the processes that share it, the device of this one, the networks' arithmetic."""

    wanted: TrainingOptions
    config: Config
    processes: Processes
    device: str
    dtype: torch.dtype

    def say(self, *notes: str) -> None:
        """What is said once, by the first process."""
        for note in notes if self.processes.first else ():
            self.wanted.tell(note)

    def check(self, model: type[Model], inputs: Iterable[Path]) -> None:
        """Refuse now, before the inputs are read, an output that what they hold cannot make right.  Raises OutputError,
        CheckpointError.
        """
        wanted, processes = self.wanted, self.processes
        loop.check(
            model,
            wanted.output,
            seed=wanted.seed,
            run=self._run,
            processes=processes,
            overwrite=wanted.overwrite,
            inputs=inputs,
        )

    def in_time(
        self,
        make: Callable[[Any], Training],
        choices: Sequence[Config],
        work: Callable[[Any], Sequence[float]],
        words: Callable[[TrainingPlan], str],
        **how: Any,
    ) -> Training:
        """The training of the first configuration; with `minutes` one that plans itself, and takes what fits of all, to
        end in them.

        words: a plan of less than all, in one line.  how: other arguments of `PlannedTraining`.
        """
        if (minutes := self.wanted.minutes) is None:
            return make(choices[0])

        def told(plan: TrainingPlan) -> None:
            self.say(
                f"--minutes {minutes:g}: "
                f"{f'all steps, in about {in_minutes(plan.seconds)}' if plan.whole else words(plan)}"
            )

        return PlannedTraining(make, choices, work, seconds=60 * minutes, tell=told, began=self.wanted.began, **how)

    def train(self, training: Training, digests: Mapping[str, str], inputs: Iterable[Path]) -> Model:
        """Train to the end; the model as it will be read from its file: in float32.

        digests: SHA-256 of the inputs, by role.  inputs: the files that they are in.
        """
        wanted, run = self.wanted, self._run | {"inputs": dict(digests)}
        how = {
            "report": wanted.report,
            "tell": self.say,
            "processes": self.processes,
            "overwrite": wanted.overwrite,
            "inputs": inputs,
        }
        loop.train(training, wanted.output, seed=wanted.seed, run=run, **how)
        model = training.model_class.load(wanted.output, self.device)
        self.say(*model.doubts)
        return model

    @property
    def _run(self) -> dict[str, Any]:
        """What decides what comes out, but for the inputs.  Of a plan only the minutes that were asked for: it depends
        on the machine.
        """
        return {
            "config": asdict(self.config),  # type: ignore[call-overload]
            "minutes": self.wanted.minutes,
            "dtype": str(self.dtype).removeprefix("torch."),
            "processes": self.processes.size,
        }


@contextmanager
def begun(wanted: TrainingOptions, config: Config, way_out: str) -> Iterator[TrainingJob]:
    """Take the place of a training.  way_out: from too little memory, which is a DeviceError."""
    with joined(resolve(wanted.device)) as (processes, own), enough_memory(own, way_out):
        yield TrainingJob(wanted, config, processes, own, precision(wanted.dtype, own))
