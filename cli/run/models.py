"""The models and pictures that verbs of content are told to use, found and checked before any work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from structkit.errors import CheckpointError, OptionError
from structkit_cli.completion import checkpoints
from structkit_cli.options import OutputOptions
from structkit_cli.run import batch
from structkit_cli.run.ahead import PaintQueue
from structkit_cli.run.inputs import InputFile, InputList, gather
from structkit_cli.run.plan import Destination, Task

if TYPE_CHECKING:
    from structkit.media.pictures import Picture
    from structkit.training.model import Model as Networks

MODEL_HELP = "a checkpoint, or the name of a model that ships with structkit, such as glasses (must be given)"
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        help=MODEL_HELP,
        metavar="MODEL",
        rich_help_panel="What to make",
        show_envvar=False,
        autocompletion=checkpoints,
    ),
]


@dataclass(frozen=True)
class ModelRef:
    """A model that was named.

    input: its file, for records and the manifest.  two_sided: whether it is a domain difference, which knows of two
    contents. painter: whether it has one, and so can put on a donor's own pixels.
    """

    input: InputFile
    two_sided: bool
    painter: bool


class ModelCache:
    """The networks of models, read when they are first needed, once for all threads."""

    def __init__(self, named: Sequence[ModelRef], verb: str) -> None:
        self.named, self.verb = named, verb
        self._lock, self._networks, self._refused = Lock(), None, None

    def on(self, device: str) -> list[Networks]:
        """Raises CheckpointError where one cannot be used, at once when asked again."""
        from structkit.verbs import content as contents

        with self._lock:
            if self._refused is not None:
                raise self._refused.with_traceback(None)
            if self._networks is None:
                try:
                    self._networks = [contents.usable(one.input.path, device, self.verb) for one in self.named]
                except CheckpointError as error:
                    self._refused = error
                    raise
            return self._networks


def models(names: Sequence[str] | None, verb: str) -> list[ModelRef]:
    """Those that are named, each fit for the verb: their headers are read, and no weights.  Raises OptionError,
    CheckpointError.
    """
    if not names:
        raise OptionError(
            "--model is missing: name a checkpoint, or a model that ships with structkit, such as glasses"
        )
    from structkit.checkpoint import read_card
    from structkit.models import DIFFERENCE, kind_of, resolve_model

    found = []
    for path in map(resolve_model, names):
        card = read_card(path)
        kind_of(path, card, verb)
        config = card.get("config")
        painter = isinstance(config, dict) and bool(config.get("painter") and config.get("placer_steps"))
        found.append(
            ModelRef(InputFile(path, PurePath(path.name)), two_sided=card["kind"] == DIFFERENCE, painter=painter)
        )
    return found


def roles(word: str, inputs: Sequence[InputFile]) -> dict[str, InputFile]:
    """Inputs of one kind, by role: model, model_2, ..."""
    return {f"{word}_{i}" if i > 1 else word: given for i, given in enumerate(inputs, 1)}


def run(
    verb: str,
    tasks: Sequence[Task],
    painter: PaintQueue,
    running: OutputOptions,
    found: InputList,
    *,
    options: Mapping[str, Any],
) -> None:
    """As `batch.run`, many tasks at once."""
    once = {id(given) for task in tasks for given in task.inputs.values() if given.path is None}
    if len(once) > 1:
        raise OptionError("standard input (-) is named twice: it can be read only once")
    with painter:
        batch.run(
            verb,
            tasks,
            painter.make,
            running,
            options=options,
            many=found.many,
            foreign=found.foreign,
            expect=painter.expect,
        )


def run_each(
    verb: str,
    inputs: Sequence[str],
    named: Sequence[ModelRef],
    paint: Callable[[Sequence[Picture], Sequence[Networks]], Sequence[Picture]],
    running: OutputOptions,
    *,
    options: Mapping[str, Any] = MappingProxyType({}),
    opaque: bool = False,
) -> None:
    """One result of each input, and the end of the program.  paint: gets pictures and the models."""
    found = gather(inputs, leave_out=(running.output,))
    place = Destination(running.output, many=found.many, format=running.format)
    place.set_apart((found,), running.exists)
    shared, loaded = roles("model", [one.input for one in named]), ModelCache(named, verb)
    tasks = []
    for given in found.inputs:
        name = given.stem if found.many else PurePath(f"{given.stem}-{verb}")
        tasks.append(Task({"picture": given, **shared}, (place.output(name, seed=0),)))

    def painted(tasks: Sequence[Task], pictures: Sequence[Picture], device: str) -> list[list[Picture]]:
        return [[made] for made in paint(pictures, loaded.on(device))]

    run(verb, tasks, PaintQueue(painted, running, opaque=opaque), running, found, options=options)
