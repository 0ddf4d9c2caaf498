"""The models that verbs of content are told to use, found and checked before any work, and their painter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from structkit.errors import CheckpointError, OptionError
from structkit_cli.completion import complete_checkpoint
from structkit_cli.options import OutputOptions
from structkit_cli.run.ahead import PaintQueue
from structkit_cli.run.inputs import InputFile, gather
from structkit_cli.run.plan import Destination, Plan, Task

if TYPE_CHECKING:
    from structkit.media.pictures import Picture
    from structkit.models import Abilities
    from structkit.training.model import Model

MODEL_HELP = "a checkpoint, or the name of a model that ships with structkit, such as glasses (must be given)"
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        help=MODEL_HELP,
        metavar="MODEL",
        rich_help_panel="What to make",
        show_envvar=False,
        autocompletion=complete_checkpoint,
    ),
]


@dataclass(frozen=True)
class ModelRef:
    """A model that was named: its file, for records and the manifest, and the abilities that its card promises."""

    input: InputFile
    abilities: Abilities


class ModelCache:
    """The networks of models, read when they are first needed, once for all threads."""

    def __init__(self, refs: Sequence[ModelRef], verb: str) -> None:
        self.refs, self.verb = refs, verb
        self._lock, self._networks, self._refused = Lock(), None, None

    def again(self) -> dict[str, Any]:
        """The arguments of another one like it, in another process, which reads its own networks."""
        return {"refs": self.refs, "verb": self.verb}

    def on(self, device: str) -> list[Model]:
        """The networks, on the device.  Raises CheckpointError where one cannot be used, at once when asked again."""
        from structkit.models import usable

        with self._lock:
            if self._refused is not None:
                raise self._refused.with_traceback(None)
            if self._networks is None:
                try:
                    self._networks = [usable(one.input.path, device, self.verb) for one in self.refs]
                except CheckpointError as error:
                    self._refused = error
                    raise
            return self._networks


class ModelPainter:
    """The painter of a verb of the Python interface, by one model after another.

    verb: the name of the function; it gets pictures, a model, the device, and the options by name.
    """

    def __init__(self, verb: str, refs: Sequence[ModelRef], options: Mapping[str, Any]) -> None:
        self.verb, self.options, self.models = verb, dict(options), ModelCache(refs, verb)

    def __call__(self, tasks: Sequence[Task], pictures: Sequence[Picture], device: str) -> list[list[Picture]]:
        import structkit

        paint, refs = getattr(structkit, self.verb), self.models.refs
        for ref, model in zip(refs, self.models.on(device), strict=True):
            painted = paint(pictures, model, device=device, **self.options)
            if len(refs) > 1:
                painted = [_after(one, made, ref) for one, made in zip(pictures, painted, strict=True)]
            pictures = painted
        return [[picture] for picture in pictures]


def _after(before: Picture, made: Picture, ref: ModelRef) -> Picture:
    """The picture as one of several models has made it, with all that was found so far, and which has found nothing."""
    from structkit.verbs.squares import FOUND_NOTHING

    notes = (f"{ref.input.relative.stem}: {note}" if note.startswith(FOUND_NOTHING) else note for note in made.notes)
    shares = [share for share in (before.found, made.found) if share is not None]
    return replace(made, notes=tuple(notes), found=min(1.0, sum(shares)) if shares else None)


def model_refs(names: Sequence[str] | None, verb: str) -> list[ModelRef]:
    """The models that are named, each fit for the verb: their headers are read, and no weights.

    Raises OptionError, CheckpointError.
    """
    if not names:
        raise OptionError(
            "--model is missing: name a checkpoint, or a model that ships with structkit, such as glasses"
        )
    from structkit.header import read_card
    from structkit.models import abilities_of, kind_of, resolve_model

    found = []
    for path in map(resolve_model, names):
        card = read_card(path)
        kind_of(path, card, verb)
        found.append(ModelRef(InputFile(path, PurePath(path.name)), abilities_of(card)))
    return found


def roles(word: str, inputs: Sequence[InputFile]) -> dict[str, InputFile]:
    """Inputs of one kind, by role: model, model_2, ..."""
    return {f"{word}_{i}" if i > 1 else word: given for i, given in enumerate(inputs, 1)}


def check_once(tasks: Sequence[Task]) -> None:
    """Refuse standard input for two inputs.  Raises OptionError."""
    once = {id(given) for task in tasks for given in task.inputs.values() if given.is_standard}
    if len(once) > 1:
        raise OptionError("standard input (-) is named twice: it can be read only once")


def plan_by_model(
    verb: str,
    inputs: Sequence[str],
    refs: Sequence[ModelRef],
    running: OutputOptions,
    *,
    options: Mapping[str, Any] = MappingProxyType({}),
    opaque: bool = False,
) -> Plan:
    """The plan of one result of each input, by the function of the Python interface that has the verb's name.

    options: its arguments that change the bytes of the outputs.
    opaque: true if results have no alpha.
    """
    found = gather(inputs, leave_out=(running.output,))
    kept = running.keep_suffix
    place = Destination(running.output, many=found.many, format=running.format, keep_suffix=kept, inputs=found.inputs)
    place.set_apart((found,), running.exists)
    shared, tasks = roles("model", [one.input for one in refs]), []
    for given in found.inputs:
        name = place.spelled(given) if found.many else f"{place.spelled(given)}-{verb}"
        tasks.append(Task({"picture": given, **shared}, (place.output(name, seed=0),)))
    check_once(tasks)
    queue = PaintQueue(ModelPainter(verb, refs, options), running, opaque=opaque)
    return Plan(verb, tasks, queue, options=options, many=found.many, foreign=found.foreign, unread=found.unread)
