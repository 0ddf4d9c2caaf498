"""The runner behind every verb that trains: its words on the way, and the exit code at its end.

On a terminal a bar shows stage, step, rate, time left and losses; elsewhere there is a plain line at the end of each
stage, and one now and then.  Under torchrun only the first process speaks, and of errors the first of each node.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from structkit._version import __version__
from structkit.configs import MAX_PIXELS, millions, option
from structkit.device import load_torch
from structkit.errors import OptionError, OutputError, StructkitError
from structkit.training.ranks import rank_and_size
from structkit_cli.options import TOLERANT, CommonOptions, OutputOptions, named, seed
from structkit_cli.refusals import hint
from structkit_cli.run.inputs import InputFile
from structkit_cli.run.report import clock_words, exit_code
from structkit_cli.signals import Termination, code_of
from structkit_cli.streams import check_stdout, emit, emit_path, printable, tell

if TYPE_CHECKING:
    from structkit.recipes.material import PairInput
    from structkit.recipes.run import Recipe, TrainingOptions
    from structkit.training.model import Model
    from structkit.training.stages import Event

LINE_EVERY = 10.0  # seconds, between plain lines

TRAINING = 0.95  # part of the progress of a result that its model is trained for

Written = tuple[int, int]


@dataclass(frozen=True)
class TrainOptions(CommonOptions):
    """Options of every verb that trains."""

    output: str | None = named(
        None, "checkpoint to write (must be given); log, preview and state are beside it", "OUT.safetensors"
    )
    exists: str = option("error", "what to do when another training's output is there", choices=("error", "overwrite"))
    minutes: float | None = option(
        None,
        "end in this time: by fewer steps and rounds, as few as make sense, then by smaller pictures, then by fewer "
        "still; else all is done",
        low=0.01,
    )
    dtype: str = option(
        "auto",
        "of the networks' arithmetic; auto: bfloat16 where the device computes in it",
        choices=("auto", "float32", "bfloat16"),
    )
    max_pixels: int | None = option(None, f"largest picture that is read, px; else {millions(MAX_PIXELS)}", low=1)
    tolerant: bool = option(False, TOLERANT)
    seed: int = seed()

    def training(self, output: Path, voice: Voice, began: float) -> TrainingOptions:
        """The options of the training itself.

        began: on the clock, when the command did.
        """
        from structkit.recipes.run import TrainingOptions

        return TrainingOptions(
            output=output,
            minutes=self.minutes,
            seed=self.seed,
            device=self.device,
            dtype=self.dtype,
            overwrite=self.exists == "overwrite",
            max_pixels=self.max_pixels,
            tolerant=self.tolerant,
            report=voice.event,
            tell=voice.note,
            began=began,
        )


def run(
    name: str, inputs: Sequence[str | list[str] | InputFile | None], settings: Mapping[str, Any], running: TrainOptions
) -> None:
    """Train by the recipe of that name, and end the program with the exit code that tells how it went.

    inputs: as the recipe takes them; files that are pictures or videos are opened.
    """
    output, began = checkpoint_path(running.output), time.monotonic()
    if running.json:
        check_stdout()
    before, first = written(output), rank_and_size()[0] == 0

    def record(kind: str, **facts: Any) -> None:
        if running.json and first:
            emit(json.dumps({"record": kind, **facts}).encode() + b"\n")

    status, error, dtype = "failed", None, None
    with Voice(quiet=running.quiet or not first, bar=True, ended=functools.partial(record, "stage")) as voice:
        try:
            load_torch()
            model = _trained(name, inputs, settings, running, running.training(output, voice, began))
            dtype = model.card["run"].get("dtype")
            code, status = 0, "skipped" if written(output) == before else "written"
        except (KeyboardInterrupt, Termination) as ending:
            code, status = code_of(ending), "interrupted"
        except StructkitError as failure:
            # The first process meets them too, and says it; on another node the first one there does so.
            speaks = first or os.environ.get("LOCAL_RANK") == "0"
            if not speaks and isinstance(failure, OptionError | OutputError):
                raise typer.Exit(exit_code(failure)) from failure
            code, error = exit_code(failure), str(failure)

    facts: dict[str, Any] = {"sha256": None, "device": None, "steps": None, "losses": {}}
    ms = round(1000 * (time.monotonic() - began))
    if status in ("written", "skipped"):
        facts |= _of_the_finished(output, running.device)
    if error:
        tell(f"error: {error}{hint(f'structkit train {name}') if code == 2 else ''}")
    elif status == "interrupted" and first:
        tell(f"interrupted: {kept(output, before)}")
    elif status == "skipped":
        voice.line(f"{output} is there already, the finished output of this very training")
    elif status == "written":
        how = f"{clock_words(ms / 1000)} on {facts['device']} in {dtype}"
        voice.line(f"{output}: {facts['steps']} steps, {how}; {_losses(facts['losses'])}")
    facts |= {"error": error, "dtype": dtype, "seed": running.seed, "notes": voice.notes, "ms": ms, "exit": code}
    record("summary", verb=f"train {name}", version=__version__, output=str(output), status=status, **facts)
    if status == "written" and first and not running.json:
        emit_path(output)
    raise typer.Exit(code)


def _trained(
    name: str,
    inputs: Sequence[str | list[str] | InputFile | None],
    settings: Mapping[str, Any],
    running: TrainOptions,
    options: TrainingOptions,
) -> Model:
    from structkit.recipes import recipe
    from structkit.recipes.run import train
    from structkit.training.meeting import awaited

    named = str | list | None  # None: an input that may be left out, and is
    how = running.max_pixels, running.tolerant
    with awaited():
        given = [one if isinstance(one, named) else pair_input(one, *how) for one in inputs]
    return train(recipe(name), given, options, settings)


def pair_input(given: InputFile, max_pixels: int | None, tolerant: bool) -> PairInput:
    """A file, opened, with the hash by which a pair knows what it was trained on.  Raises InputError."""
    from structkit.recipes.material import PairInput

    picture = (given.video if given.is_video else given.picture)(max_pixels, tolerant)
    return PairInput(picture, given.sha256, given.path)


def checkpoint_path(named: str | None, flag: str = "--output") -> Path:
    """The checkpoint to write."""
    if named is None:
        raise OptionError(f"{flag} is missing: name the checkpoint to write, such as model.safetensors")
    if not named.endswith(".safetensors"):
        raise OptionError(f"{flag} is {named}: a checkpoint is a file whose name ends in .safetensors")
    return Path(named)


def kept(output: Path, before: Written | None) -> str:
    """The words for what is left of a training that was interrupted.

    before: the value of `written` when it began.
    """
    from structkit.training.outputs import TrainingFiles

    state = TrainingFiles(output).state
    if state.exists():
        return f"what is trained so far is kept in {state}; the same command goes on"
    return "nothing was trained yet" if written(output) == before else f"{output} is finished"


def trained_first(
    recipe: Recipe,
    given: Sequence[Any],
    checkpoint: Path,
    settings: Mapping[str, Any],
    running: OutputOptions,
    *,
    minutes: float | None,
    device: str,
    progress: Callable[[float, str], None],
    **reading: Any,
) -> Model:
    """The model for a verb that trains it first: a training that was stopped goes on, a finished one's output is read.

    progress: told of the training, as the first TRAINING of the verb's work.
    reading: options of the training with which its inputs are read.
    Where it is interrupted, a line says what is kept.
    """
    from structkit.recipes.run import TrainingOptions, train

    voice = Voice(quiet=running.quiet or sys.stderr.isatty())  # speaks where the bar does not

    def report(event: Event) -> None:
        voice.event(event)
        progress(TRAINING * (event.number - 1 + event.step / event.steps) / event.stages, f"training: {event.stage}")

    options = TrainingOptions(
        output=checkpoint,
        minutes=minutes,
        seed=running.seed,
        device=device,
        dtype=running.dtype,
        overwrite=running.exists == "overwrite",
        report=report,
        tell=lambda note: None if running.quiet else tell(note),
        **reading,
    )
    before = written(checkpoint)
    try:
        return train(recipe, given, options, settings)
    except (KeyboardInterrupt, Termination):
        tell(kept(checkpoint, before))
        raise


def written(path: Path) -> Written | None:
    """A value that changes whenever the file is written; None where there is none."""
    try:
        now = path.stat()
    except OSError:
        return None
    return now.st_ino, now.st_mtime_ns


class Voice:
    """The voice of a training while it runs.

    A bar on a terminal needs it as a context: it draws and removes the bar.
    """

    def __init__(self, *, quiet: bool, bar: bool = False, ended: Callable[..., None] = lambda **facts: None) -> None:
        """ended: called at the end of each stage, with the facts of checkpoints.schema.json by name."""
        self.quiet, self.ended = quiet, ended
        self.previewed = False
        self.notes: list[str] = []
        self.stage_began = self.spoken = time.monotonic()
        self.bar = _bar() if bar and not quiet and sys.stderr.isatty() and os.environ.get("TERM") != "dumb" else None

    def __enter__(self) -> Voice:
        if self.bar:
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar:
            self.bar.stop()

    @contextmanager
    def _aside(self) -> Iterator[None]:
        """Take the bar away while something else is written to what may be the same terminal."""
        self.__exit__()
        yield
        self.__enter__()

    def note(self, text: str) -> None:
        """Tell a note that is said once."""
        self.notes.append(text)
        with self._aside():
            self.line(text)

    def line(self, text: str) -> None:
        if not self.quiet:
            tell(text)

    def event(self, event: Event) -> None:
        """Tell the place that the training has come to."""
        now = time.monotonic()
        where, losses = f"{event.stage} ({event.number} of {event.stages})", _losses(event.losses)
        if self.bar:
            note = f"{event.rate:.3g} steps/s  {clock_words(event.eta)}  {losses}"
            self.bar.update(
                self.bar.task_ids[0], completed=event.step, total=event.steps, where=printable(where), note=note
            )
        if event.preview and not self.previewed:
            self.previewed = True
            with self._aside():
                self.line(f"what it makes now is shown in {event.preview}")
        if not event.eta:  # the stage is over
            with self._aside():
                if losses:  # else it was left out
                    self.line(f"{where}: {event.step} steps in {clock_words(now - self.stage_began)}; {losses}")
                facts = {"stage": event.stage, "number": event.number, "stages": event.stages, "steps": event.step}
                self.ended(**facts, losses=dict(event.losses), ms=round(1000 * (now - self.stage_began)))
            self.stage_began = self.spoken = now
        elif now - self.spoken >= LINE_EVERY:
            self.spoken = now
            if not self.bar:
                rate, left = f"{event.rate:.3g} steps/s", clock_words(event.eta)
                self.line(f"{where}: step {event.step} of {event.steps}, {rate}, {left} left; {losses}")


def _of_the_finished(output: Path, device: str) -> dict[str, Any]:
    """The facts about a training that is done.

    Its steps are in its log, also those of an earlier command that was stopped.
    """
    from structkit.device import resolve
    from structkit.media.files import sha256_file
    from structkit.training.outputs import TrainingFiles

    lines = []
    with suppress(OSError, ValueError):  # the log is the user's to remove
        lines = [json.loads(line) for line in TrainingFiles(output).log.read_text().splitlines()]
    done = [line for line in lines if len(line) > 2]  # a stage that was left out has no losses
    steps = {line.pop("stage"): line.pop("step") for line in done}
    known = {"steps": sum(steps.values()), "losses": done[-1]} if done else {}
    return {"sha256": sha256_file(output), "device": resolve(device), **known}


def _losses(losses: Mapping[str, float]) -> str:
    return " ".join(f"{name} {loss:.3g}" for name, loss in losses.items())


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    where, note = (TextColumn(f"{{task.fields[{name}]}}", markup=False) for name in ("where", "note"))
    columns = where, BarColumn(bar_width=20), MofNCompleteColumn(), note
    bar = Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False)
    bar.add_task("", total=None, where="begins", note="")
    return bar
