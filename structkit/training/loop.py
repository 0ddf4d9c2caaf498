"""The one training loop.

The loop goes through the stages of a training, logs, reports, shows a preview and saves its state.  So a training that
is killed at any moment and started again ends in the same bytes on a CPU, with as many threads (where no stage is
limited in seconds).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from structkit._version import __version__
from structkit.device import out_of_memory
from structkit.errors import CheckpointError, DeviceError, InputError, OptionError, OutputError, StructkitError
from structkit.media.files import remove_leftovers
from structkit.media.locks import MARKS, WRITER, held
from structkit.media.pictures import write_picture
from structkit.media.tensors import from_tensor
from structkit.training.draw import Draw, own_randomness
from structkit.training.interrupts import Interrupts
from structkit.training.model import Model
from structkit.training.outputs import Log, Position, TrainingFiles, difference
from structkit.training.parallel import ALONE, Processes
from structkit.training.processor import Processor, relocation
from structkit.training.stages import Event, Stage, Training
from structkit.training.state import pack, within
from structkit.training.tally import Tally

LOG_EVERY = 10  # steps
PREVIEW_EVERY = 30.0  # seconds

GO_ON, OVER, INTERRUPTED = range(3)  # the verdicts that the processes agree on after each step


def train(
    training: Training,
    output: str | Path,
    *,
    seed: int,
    run: Mapping[str, Any],
    report: Callable[[Event], None] = lambda event: None,
    tell: Callable[[str], None] = lambda note: None,
    processes: Processes = ALONE,
    save_every: float = 30.0,
    overwrite: bool = False,
    inputs: Iterable[Path] = (),
) -> Model:
    """Train to the end, from where an earlier call with the same `run` was stopped.

    run: JSON: with the seed, all that decides on the result, the configuration and the SHA-256 of each input above all;
    for the card.  An output that this run has finished before is returned as it is.
    report: called every few steps, in the first process.
    save_every: seconds between states, at least.
    tell: called with each note, in one line, such as that the training goes on on another processor, or with another
    number of threads.
    overwrite: replace an output, or an unfinished training, of another run.
    inputs: the files that are learnt from; none of them is ever written over.
    Ctrl-C and SIGTERM: the state and the model so far, its card saying `complete: false`, are saved before they take
    effect.
    Returns the model, which is saved at `output`.
    Raises OutputError (what is there is of another run, another process is training it, or nothing can be written),
    StructkitError (losses or weights are not finite: the last good state stays), DeviceError (out of memory), and what
    the training raises.
    """
    files, training.processes = TrainingFiles(Path(output)), processes
    run = _whole(run, training.model_class, seed)
    with _alone(files, processes):
        finished, resumable = _found(files, run, overwrite, processes, inputs)
        if finished:
            if processes.first:
                remove_leftovers(files.output.parent)
                files.clear(run)
            return training.model_class.load(files.output, training.device)
        return _trained(_Loop(training, files, seed, run, report, tell, save_every), resumable)


def check(
    model: type[Model],
    output: str | Path,
    *,
    seed: int,
    run: Mapping[str, Any],
    processes: Processes,
    overwrite: bool,
    inputs: Iterable[Path],
) -> None:
    """Refuse what `train` would refuse whatever its inputs hold, before they are read.

    model: of the training.
    run: without `inputs`.
    All processes are to call it.
    Raises OutputError, CheckpointError.
    """
    files = TrainingFiles(Path(output))
    with _alone(files, processes):  # files that another process still changes would be told of wrongly
        _found(files, _whole({**run, "inputs": None}, model, seed), overwrite, processes, inputs)


def _found(
    files: TrainingFiles, run: dict[str, Any], overwrite: bool, processes: Processes, inputs: Iterable[Path]
) -> tuple[bool, bool]:
    """The progress of this run, as `TrainingFiles.find` tells it, and the same in all processes.

    Raises what `find` raises; OptionError, InputError, OutputError where the processes would do different things.
    """
    first, *others = [json.loads(text) for text in processes.texts(json.dumps(run))]
    for rank, other in enumerate(others, 1):
        if facts := difference(other, first):
            kind = InputError if {**other, "inputs": first["inputs"]} == first else OptionError
            raise kind(
                f"{files.output}: process {rank} would train otherwise than process 0 ({facts}); give all processes "
                "the same command and the same inputs"
            )

    def look() -> tuple[bool, bool, int]:
        files.spare(inputs)
        finished, resumable = files.find(run, overwrite)
        return finished, resumable, files.fingerprint(finished, resumable) if processes.size > 1 else 0

    finished, resumable, seen = processes.agreed(look)
    if not processes.same(seen) or not (finished or _share_a_folder(files.output.parent, processes)):
        raise OutputError(
            f"{files.output}: the processes find different files beside it; name an output on a file system that "
            "all share"
        )
    return finished, resumable


def _share_a_folder(folder: Path, processes: Processes) -> bool:
    """True if all processes see in the folder what the first one makes there; the same answer in each.

    The name is a new one: no node can have kept in mind that there is no such file.
    """
    if processes.size == 1:
        return True
    if processes.first:
        MARKS.enter(folder)
    try:
        mark, *_ = processes.texts(WRITER.format(MARKS.name))
        return processes.same(int((folder / mark).exists()))
    finally:
        if processes.first:
            MARKS.leave(folder)


@contextmanager
def _alone(files: TrainingFiles, processes: Processes) -> Iterator[None]:
    """Hold the lock of a training; the first process has it for all.

    Raises OutputError, in each of them, if another training has it.
    """
    with held(files.lock) if processes.first else nullcontext(True) as ours:
        if processes.largest(int(not ours)):
            raise OutputError(
                f"{files.output}: another process is training it now; wait for its end, or name another output"
            )
        yield


def _whole(run: Mapping[str, Any], model: type[Model], seed: int) -> dict[str, Any]:
    return json.loads(json.dumps({**run, "kind": model.kind, "seed": seed, "structkit": __version__}))


def _trained(loop: _Loop, resumable: bool) -> Model:
    with loop.interrupts, own_randomness(loop.training.device):
        try:
            loop.start(resumable)
            model = loop.work()
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            raise loop.out_of_memory() from error
        finally:
            loop.close()
    if model is None:  # the signal came to another process, or its handler let this one go on
        raise KeyboardInterrupt
    return model


class _Loop:
    """The state and the work of one call of `train`."""

    def __init__(
        self,
        training: Training,
        files: TrainingFiles,
        seed: int,
        run: dict[str, Any],
        report: Callable[[Event], None],
        tell: Callable[[str], None],
        save_every: float,
    ) -> None:
        self.training, self.files, self.seed, self.run, self.report, self.tell = (
            training,
            files,
            seed,
            run,
            report,
            tell,
        )
        self.save_every, self.interrupts, self.processes = save_every, Interrupts(), training.processes
        self.place, self.tally = Position(), Tally()
        self.log: Log | None = None  # only in the first process
        self.saved = self.previewed = -math.inf  # when
        self.kept = "nothing was saved yet"
        self.bare = False  # the files are this run's, and hold nothing that was trained

    def start(self, resumable: bool) -> None:
        """Come to the place where the last state was taken, if there is one."""
        if resumable:
            tensors, self.place = self.files.load()
        if self.place.step:
            self.training.restore(self.place.stage, within(tensors, "training"))
            self.tally.restore(within(tensors, "tally"))
            self._remember()
            self._open()
        self._take_up()

    def _take_up(self) -> None:
        """Note where the training works from here on; say so where that is not where it was."""
        here, before = Processor.of(self.training.device), self.place.processors
        if before[-1:] == [here]:
            return
        if before:
            self.tell(f"{self.files.output}: {relocation(before, here)}")
        before.append(here)

    def _open(self) -> None:
        """Begin to write.  A training that is refused before its first step leaves all files as they were."""
        self.processes.wait()  # all have read before the first one writes
        if self.processes.first:
            remove_leftovers(self.files.output.parent)
            if not self.place.step:
                self.files.claim(self.run)
                self.bare = True
            self.log = Log(self.files.log, keep=self.place.log)

    def close(self) -> None:
        """Close the log, however the training ends; where nothing was saved, nothing is left."""
        if self.log is not None:
            self.log.close()
        if self.bare:
            self.files.log.unlink(missing_ok=True)
            self.files.clear(self.run)

    def work(self) -> Model | None:
        """Do what is left; returns the model, or None after an interruption."""
        while True:
            if self.place.over:
                self.place = self.place.next()
            if self.place.stage == len(self.training.stages):
                return self._finish(complete=True)
            if self.place.step == 0:
                draw = self._draw()
                draw.seed_networks()
                self.training.begin(self.place.stage, draw)
                if self.place.stage == 0:
                    self._open()
            if not self._stage(self.training.stages[self.place.stage]):
                self.tally.agree(self.processes)
                self._save()
                self._finish(complete=False)
                return None

    def _stage(self, stage: Stage) -> bool:
        """Do the steps that are left of a stage; returns False when interrupted."""
        first, began = self.place.step, time.monotonic()
        spent = self.place.seconds
        while not self.place.over:
            self.place.step += 1
            draw = self._draw()
            draw.seed_networks()
            self.tally.add(self.training.step(draw))
            work = time.monotonic() - began
            self.place.seconds = spent + work
            verdict = self.processes.largest(self._verdict(stage))
            self.place.over = self.place.step >= stage.steps or verdict == OVER
            if self.place.over or self.place.step % LOG_EVERY == 0:
                self._tell(stage, draw, rate=(self.place.step - first) / max(work, 1e-9))
            if verdict == INTERRUPTED:
                return False
        return True

    def _verdict(self, stage: Stage) -> int:
        """The verdict of this process on the stage: go on, over or interrupted.

        The clock that counts is that of the first process.
        """
        if self.interrupts.noted:
            return INTERRUPTED
        out_of_time = self.processes.first and stage.seconds is not None and self.place.seconds >= stage.seconds
        return OVER if out_of_time else GO_ON

    def _tell(self, stage: Stage, draw: Draw, rate: float) -> None:
        """Log and report the steps since the last line; save the state when it is time."""
        losses = self.tally.means(self.processes)
        for name, loss in losses.items():
            if not math.isfinite(loss):
                raise self._astray(f"the loss {name} is not finite")
        if self.log is None:
            return
        self.log.line(stage.name, self.place.step, losses)
        if self.place.over or time.monotonic() - self.saved >= self.save_every:
            self._save()
        if time.monotonic() - self.previewed >= PREVIEW_EVERY and (picture := self.training.preview(draw)) is not None:
            write_picture(from_tensor(picture, name=str(self.files.preview)), self.files.preview)
            self.previewed = time.monotonic()
        left = (stage.steps - self.place.step) / rate
        if stage.seconds is not None:
            left = min(left, stage.seconds - self.place.seconds)
        shown = self.files.preview if self.previewed > -math.inf else None
        number, stages = self.place.stage + 1, len(self.training.stages)
        eta = 0.0 if self.place.over else max(left, 0.0)
        self.report(Event(stage.name, number, stages, self.place.step, stage.steps, losses, rate, eta, shown))

    def _save(self) -> None:
        """Write the state, after the lines of the log that belong to it."""
        if self.log is None:
            return
        self.place.log = self.log.synced()
        try:
            self.files.save(pack(training=self.training, tally=self.tally), self.place, self.run)
        except CheckpointError as error:
            raise self._astray(str(error)) from error
        self.saved, self.bare = time.monotonic(), False
        self._remember()

    def _finish(self, *, complete: bool) -> Model:
        """Write the model; when it is complete, only the log is still needed beside it."""
        model = self.training.model()
        self.processes.done_by_first(lambda: self._keep(model, complete))
        return model

    def _keep(self, model: Model, complete: bool) -> None:
        if complete or self.files.may_show(self.run):
            found = {"scores": dict(self.training.scores()), "doubts": list(self.training.doubts())} if complete else {}
            processors = [asdict(one) for one in self.place.processors]
            model.save(self.files.output, run=self.run, complete=complete, processors=processors, **found)
        if complete:
            self.files.clear(self.run)

    def _draw(self) -> Draw:
        return Draw(self.seed, self.place.stage, self.place.step, self.training.device)

    def out_of_memory(self) -> DeviceError:
        fact = f"{self.training.device} ran out of memory at {self._where(self.place)}"
        return DeviceError(f"{self.files.output}: {fact}; {self.kept}; train something smaller, or on another device")

    def _remember(self) -> None:
        self.kept = f"{self._where(self.place)} is kept in {self.files.state.name}"

    def _where(self, place: Position) -> str:
        if place.stage == len(self.training.stages):
            return "its end"
        return f"stage {self.training.stages[place.stage].name}, step {place.step}"

    def _astray(self, fact: str) -> StructkitError:
        way_out = "try another seed, a lower learning rate or other inputs"
        return StructkitError(
            f"{self.files.output}: the training went astray at {self._where(self.place)}: {fact}; {self.kept}; "
            f"{way_out}"
        )
