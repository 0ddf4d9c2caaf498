"""The runner behind every verb that trains: what it says on the way, and the exit code at its end.

On a terminal a bar shows stage, step, rate, time left and losses; elsewhere there is a plain line at the end of each stage, and one now and
then.  Under torchrun only the first process speaks.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from structkit._version import __version__
from structkit.configs import option
from structkit.errors import DeviceError, OptionError, StructkitError
from structkit_cli.batch import INTERRUPTED, TERMINATED, Terminated, exit_code
from structkit_cli.options import Common, named
from structkit_cli.report import emit, printable, tell

if TYPE_CHECKING:
    from structkit.training.model import Model
    from structkit.training.stages import Event

LINE_EVERY = 10.0  # seconds, between plain lines

Train = Callable[[Path, Callable[["Event"], None], Callable[[str], None]], "Model"]


@dataclass(frozen=True)
class Running(Common):
    """What every verb that trains can be told about how to run, and where to write."""

    output: str | None = named(None, "checkpoint to write (must be given); log, preview and state are beside it", "OUT.safetensors")
    exists: str = option("error", "what to do when another training's output is there", choices=("error", "overwrite"))
    minutes: float | None = option(
        None, "end in this time: steps, and if need be the size, are chosen so that it does; else all steps are done", low=0.01
    )
    dtype: str = option(
        "auto", "of the networks' arithmetic; auto: bfloat16 where the device computes in it", choices=("auto", "float32", "bfloat16")
    )
    max_pixels: int | None = option(None, "largest picture that is read, px; else 89 million", low=1)


def run(verb: str, train: Train, running: Running) -> None:
    """Train, and end the program with the exit code that tells how it went.

    train: gets the output, a callable for events and one for notes; returns the model.
    """
    output = _output(running.output)
    voice = _Voice(verb, output, running)
    status, error, dtype = "failed", None, None
    with voice:
        try:
            dtype = train(output, voice.event, voice.note).card["run"].get("dtype")
            code, status = 0, "written" if voice.heard else "skipped"
        except (KeyboardInterrupt, Terminated) as signal:
            code, status = TERMINATED if isinstance(signal, Terminated) else INTERRUPTED, "interrupted"
        except StructkitError as failure:
            if not (voice.first or isinstance(failure, DeviceError)):  # the first process meets all others too, and says it
                raise typer.Exit(exit_code(failure)) from failure
            code, error = exit_code(failure), str(failure)
    voice.summary(code, status, error, dtype)
    raise typer.Exit(code)


def _output(named: str | None) -> Path:
    if named is None:
        raise OptionError("--output is missing: name the checkpoint to write, such as model.safetensors")
    if not named.endswith(".safetensors"):
        raise OptionError(f"--output is {named}: a checkpoint is a file whose name ends in .safetensors")
    return Path(named)


class _Voice:
    """What one training says.  Use it as a context: it draws and removes the bar."""

    def __init__(self, verb: str, output: Path, running: Running) -> None:
        self.verb, self.output, self.running = verb, output, running
        self.first = os.environ.get("RANK", "0") == "0"
        self.quiet = running.quiet or not self.first
        self.started = self.stage_began = self.spoken = time.monotonic()
        self.heard = self.previewed = False
        self.notes: list[str] = []
        self.bar: Any = None

    def __enter__(self) -> _Voice:
        if not self.quiet and sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            self.bar = _bar()
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar:
            self.bar.stop()

    @contextmanager
    def _aside(self) -> Iterator[None]:
        """Take the bar away while something else is written to what may be the same terminal."""
        if self.bar:
            self.bar.stop()
        yield
        if self.bar:
            self.bar.start()

    def note(self, text: str) -> None:
        """What is said once."""
        self.notes.append(text)
        self._line(text)

    def _line(self, text: str) -> None:
        if not self.quiet:
            with self._aside():
                tell(text)

    def event(self, event: Event) -> None:
        """Where the training is."""
        self.heard, now = True, time.monotonic()
        if event.preview and not self.previewed:
            self.previewed = True
            self._line(f"what it makes now is shown in {event.preview}")
        over = not event.eta
        where, losses = f"{event.stage} ({event.number} of {event.stages})", _losses(event.losses)
        if self.bar:
            rate, left = f"{event.rate:.3g} steps/s", _clock(event.eta)
            self.bar.update(
                self.bar.task_ids[0], completed=event.step, total=event.steps, where=printable(where), note=f"{rate}  {left}  {losses}"
            )
        if over:
            self._stage(event, where, losses, now - self.stage_began)
            self.stage_began = now
        elif not self.bar and now - self.spoken >= LINE_EVERY:
            self._line(f"{where}: step {event.step} of {event.steps}, {event.rate:.3g} steps/s, {_clock(event.eta)} left; {losses}")
        if over or now - self.spoken >= LINE_EVERY:
            self.spoken = now

    def _stage(self, event: Event, where: str, losses: str, seconds: float) -> None:
        self._line(f"{where}: {event.step} steps in {_clock(seconds)}; {losses}")
        facts = {"stage": event.stage, "number": event.number, "stages": event.stages, "steps": event.step}
        self._record({"record": "stage", **facts, "losses": dict(event.losses), "ms": round(1000 * seconds)})

    def _record(self, record: Mapping[str, Any]) -> None:
        if self.running.json and self.first:
            with self._aside():
                emit(json.dumps(record).encode() + b"\n")

    def summary(self, code: int, status: str, error: str | None, dtype: str | None) -> None:
        """The last line, and the path of what was written; or the last record."""
        facts: dict[str, Any] = {"sha256": None, "device": None, "dtype": dtype, "steps": None, "losses": {}}
        seconds = time.monotonic() - self.started
        if status in ("written", "skipped"):
            facts |= _of_the_finished(self.output, self.running.device)
        if error:
            tell(f"error: {error}")
        elif status == "interrupted":
            if self.first:
                tell(f"interrupted: {_kept(self.output)}")
        elif status == "skipped":
            self._line(f"{self.output} is there already, the finished output of this very training")
        else:
            how = f"on {facts['device']} in {dtype}"
            self._line(f"{self.output}: {facts['steps']} steps, {_clock(seconds)} {how}; {_losses(facts['losses'])}")
        what = {
            "record": "summary",
            "verb": self.verb,
            "version": __version__,
            "output": str(self.output),
            "status": status,
            "error": error,
        }
        self._record({**what, **facts, "ms": round(1000 * seconds), "seed": self.running.seed, "notes": self.notes, "exit": code})
        if status == "written" and self.first and not self.running.json:
            emit(os.fsencode(self.output) + b"\n")


def _kept(output: Path) -> str:
    from structkit.training.files import Files

    state = Files(output).state
    return f"what is trained so far is kept in {state}; the same command goes on" if state.exists() else "nothing was trained yet"


def _of_the_finished(output: Path, device: str) -> dict[str, Any]:
    """Facts about a training that is done.  Its steps are in its log, also those of an earlier command that was stopped."""
    from structkit.device import resolve
    from structkit.media.files import sha256_file
    from structkit.training.files import Files

    lines = []
    with suppress(OSError, ValueError):  # the log is the user's to remove
        lines = [json.loads(line) for line in Files(output).log.read_text().splitlines()]
    steps = {line.pop("stage"): line.pop("step") for line in lines}
    known = {"steps": sum(steps.values()), "losses": lines[-1]} if lines else {}
    return {"sha256": sha256_file(output), "device": resolve(device), **known}


def _losses(losses: Mapping[str, float]) -> str:
    return " ".join(f"{name} {loss:.3g}" for name, loss in losses.items())


def _clock(seconds: float) -> str:
    """h:mm:ss, or m:ss."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    where, note = (TextColumn(f"{{task.fields[{name}]}}", markup=False) for name in ("where", "note"))
    columns = where, BarColumn(bar_width=20), MofNCompleteColumn(), note
    bar = Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False)
    bar.add_task("", total=None, where="begins", note="")
    return bar
