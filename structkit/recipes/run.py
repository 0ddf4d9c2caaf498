"""The course of every training, whatever is learnt: from a recipe and its inputs to a checkpoint.

A recipe is data.  This file has the steps that all recipes share: take the place, find the files, refuse what cannot
end well, read, plan, train, load.
"""

from __future__ import annotations

import functools
import inspect
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch

from structkit.configs import Config
from structkit.device import enough_memory, resolve
from structkit.errors import OptionError
from structkit.training import loop
from structkit.training.meeting import awaited, joined
from structkit.training.model import Model
from structkit.training.parallel import Processes
from structkit.training.planned import PlannedTraining, TrainingPlan, in_minutes
from structkit.training.precision import precision
from structkit.training.stages import Event, Training
from structkit.verbs.running import check_seed

M = TypeVar("M", bound=Model)


def _no_report(event: Event) -> None:
    pass


def _no_words(note: str) -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """The options of every training: how it runs, and where its checkpoint goes.

    output: the checkpoint, .safetensors.  Called again after it was stopped anywhere, with the same arguments, a
    training goes on, and ends in the same bytes on a CPU with as many threads (unless a stage ran out of its
    `minutes`); one that was finished before is returned as it is.
    minutes: the time in which it ends: by fewer steps and rounds, as few as make sense, then by smaller pictures, then
    by fewer still.  None: all steps are done.
    dtype: of the networks' arithmetic, float32 or bfloat16; auto: bfloat16 where the device computes in it.
    overwrite: true to replace another training's output.
    max_pixels: the largest picture that is read, px; None: the usual limit.
    tolerant: true to take damaged pictures as far as they go, with a note.
    report: called every few steps with the place, the losses and the rate.
    tell: called with each note that is said once, such as the plan.
    Under torchrun the processes share each step; on several nodes all must see the same inputs and the same output.
    """

    output: str | Path
    minutes: float | None = None
    seed: int = 0
    device: str = "auto"
    dtype: str = "auto"
    overwrite: bool = False
    max_pixels: int | None = None
    tolerant: bool = False
    report: Callable[[Event], None] = _no_report
    tell: Callable[[str], None] = _no_words
    began: float = field(default_factory=time.monotonic)  # on the clock, when it was asked for: `minutes` count from it

    def __post_init__(self) -> None:
        check_seed(self.seed)
        if self.minutes is not None and not 0 < self.minutes < math.inf:
            raise OptionError(f"--minutes is {self.minutes}: it must be above 0, or left out")


class Material(Protocol):
    """The inputs of a training, and what the training makes of them.

    digests: SHA-256 of the inputs, by role, once they are read.
    """

    digests: Mapping[str, str]

    def fitted(self, config: Any) -> Any:
        """The configuration that suits these inputs.  Raises OptionError where they refuse it."""

    def find(self, output: Path) -> list[Path]:
        """The files of the inputs, which no training may write over; none is read yet.  Raises InputError."""

    def read(self, config: Any, job: TrainingJob) -> None:
        """Read the inputs, and tell the notes on them.  Raises InputError."""

    def training(self, kind: type[Training], job: TrainingJob, config: Any) -> Training:
        """The training of a configuration, which may be one of less work than the first."""

    def notes(self, config: Any) -> Iterable[str]:
        """Notes on the inputs that are known once there is a training."""


@dataclass(frozen=True)
class Recipe:
    """A kind of training.

    material: the class of its inputs.
    choices: the configuration, then those of less work that may take its place to end in time.
    work: of a step in each stage of a training, in any unit.
    words: a plan of less than all, in one line.
    planning: other arguments of `PlannedTraining`, such as the fewest steps that make sense.
    way_out: from too little memory.
    """

    config: type[Config]
    training: type[Training]
    material: Callable[..., Material]
    choices: Callable[[Any], Sequence[Any]]
    work: Callable[[Any], Sequence[float]]
    words: Callable[[TrainingPlan, Sequence[Any]], str]
    way_out: str
    planning: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingJob:
    """A training that has its place: the processes that share it, the device of this one, the networks' arithmetic."""

    options: TrainingOptions
    config: Config
    processes: Processes
    device: str
    dtype: torch.dtype

    def say(self, *notes: str) -> None:
        """Say notes once, by the first process."""
        for note in notes if self.processes.first else ():
            self.options.tell(note)

    def check(self, model: type[Model], inputs: Iterable[Path]) -> None:
        """Refuse an output that cannot become right whatever the inputs hold, before they are read.

        Raises OutputError, CheckpointError.
        """
        options = self.options
        how = {"processes": self.processes, "overwrite": options.overwrite, "inputs": inputs}
        loop.check(model, options.output, seed=options.seed, run=self._run, **how)

    def planned(self, recipe: Recipe, make: Callable[[Any], Training]) -> Training:
        """The training of the configuration; with `minutes` one that plans itself to end in them."""
        choices = recipe.choices(self.config)
        if (minutes := self.options.minutes) is None:
            return make(choices[0])

        def told(plan: TrainingPlan) -> None:
            words = f"all steps, in about {in_minutes(plan.seconds)}" if plan.whole else recipe.words(plan, choices)
            self.say(f"--minutes {minutes:g}: {words}")

        how = {"seconds": 60 * minutes, "tell": told, "began": self.options.began, **recipe.planning}
        return PlannedTraining(make, choices, recipe.work, **how)

    def train(self, training: Training, digests: Mapping[str, str], inputs: Iterable[Path]) -> Model:
        """The model, trained to the end, as it will be read from its file: in float32.

        digests: SHA-256 of the inputs, by role.
        inputs: the files that they are in.
        """
        options, run = self.options, self._run | {"inputs": dict(digests)}
        how = {"report": options.report, "tell": self.say, "processes": self.processes, "inputs": inputs}
        loop.train(training, options.output, seed=options.seed, run=run, overwrite=options.overwrite, **how)
        model = training.model_class.load(options.output, self.device)
        self.say(*model.doubts)
        return model

    @property
    def _run(self) -> dict[str, Any]:
        """The values that decide the result, but for the inputs.

        Of a plan only the minutes that were asked for: the rest depends on the machine.
        """
        return {
            "config": asdict(self.config),  # type: ignore[call-overload]
            "minutes": self.options.minutes,
            "dtype": str(self.dtype).removeprefix("torch."),
            "processes": self.processes.size,
        }


@contextmanager
def started(options: TrainingOptions, config: Config, way_out: str) -> Iterator[TrainingJob]:
    """A training in its place.

    way_out: from too little memory, which is a DeviceError.
    """
    with awaited():
        device = resolve(options.device)
    with joined(device) as (processes, own), enough_memory(own, way_out):
        yield TrainingJob(options, config, processes, own, precision(options.dtype, own))


def train(recipe: Recipe, inputs: Sequence[Any], options: TrainingOptions, settings: Mapping[str, Any]) -> Model:
    """The model of a recipe, trained on these inputs.

    settings: fields of the recipe's configuration.
    Raises InputError, OptionError, DeviceError, OutputError, CheckpointError; StructkitError for losses that are not
    finite.
    """
    with awaited():
        material = recipe.material(*inputs, max_pixels=options.max_pixels, tolerant=options.tolerant)
        config = material.fitted(recipe.config.of(settings)).filled()
    with started(options, config, recipe.way_out) as job:
        files = job.processes.agreed(lambda: material.find(Path(options.output)))
        job.check(recipe.training.model_class, files)
        job.processes.agreed(lambda: material.read(config, job))
        training = job.planned(recipe, functools.partial(material.training, recipe.training, job))
        job.say(*material.notes(config))
        return job.train(training, material.digests, files)


def training_function(function: Callable[..., M]) -> Callable[..., M]:
    """A public training function.

    function: takes its inputs, the `TrainingOptions` and the settings of its configuration; other inputs by keyword.
    The public one takes the inputs, the output, and all else by keyword: other inputs, the fields of `TrainingOptions`,
    then the settings.
    """
    signature = inspect.signature(function)
    parameters = [p for p in signature.parameters.values() if p.name not in ("options", "settings")]
    inputs = [p for p in parameters if p.kind is not p.KEYWORD_ONLY]
    others = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    common = [f for f in fields(TrainingOptions) if f.name not in ("output", "began")]

    @functools.wraps(function)
    def public(*arguments: Any, **keywords: Any) -> M:
        bound = public.__signature__.bind(*arguments, **keywords)  # type: ignore[attr-defined]
        values = dict(bound.arguments)
        settings = values.pop("options", {})
        given = [values.pop(parameter.name) for parameter in inputs]
        named = {parameter.name: values.pop(parameter.name, parameter.default) for parameter in others}
        return function(*given, TrainingOptions(**values), settings, **named)

    keyword = [
        inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=f.type) for f in common
    ]
    output = inspect.Parameter("output", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation="str | Path")
    rest = inspect.Parameter("options", inspect.Parameter.VAR_KEYWORD, annotation=Any)
    parameters = [*inputs, output, *others, *keyword, rest]
    public.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    public.__doc__ = f"{inspect.getdoc(function)}\n\n{_common_words()}"
    return public


def _common_words() -> str:
    """The part of the documentation that all training functions share."""
    return "All else: see `structkit.recipes.run.TrainingOptions`.\n\n" + inspect.cleandoc(
        (TrainingOptions.__doc__ or "\n\n").split("\n\n", 1)[1]  # type: ignore[union-attr]
    )
