"""The files of a training: its output, and beside it the log, the picture to look at and the state to go on from.

    OUT.safetensors   OUT.log.jsonl   OUT.preview.png   OUT.resume.safetensors   (and, hidden, a lock)

The `run` in their cards says whose they are: all that decides on the result (configuration, hashes of the inputs, seed,
version).  The log and the picture have no card: they are those of the state or the output that they stand beside.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from structkit import checkpoint
from structkit.errors import CheckpointError, InputError, OutputError
from structkit.media.files import TEMP_PREFIX, one_line, sha256_file, write_atomically
from structkit.training import RESUME
from structkit.training.processor import Processor


@dataclass
class Position:
    """The place that a training has come to.

    step: of the stage, done.
    seconds: of work in the stage.
    log: bytes of the log up to here.
    processors: those that have worked on it, in turn.
    """

    stage: int = 0
    step: int = 0
    seconds: float = 0.0
    over: bool = False  # the stage has ended
    log: int = 0
    processors: list[Processor] = field(default_factory=list)

    @classmethod
    def of(cls, card: Mapping[str, Any]) -> Position:
        """The position that `asdict` wrote into a card.  Raises TypeError, also for values of another type."""
        place = cls(**{**card, "processors": [Processor(**one) for one in card.get("processors", ())]})
        whole = (place.stage, place.step, place.log)
        if any(type(n) is not int or n < 0 for n in whole) or type(place.seconds) not in (int, float):
            raise TypeError("a place is counted in whole numbers and seconds")
        return place

    def next(self) -> Position:
        """The beginning of the next stage."""
        return replace(self, stage=self.stage + 1, step=0, seconds=0.0, over=False)


class TrainingFiles:
    """The files of the training that makes `output`."""

    def __init__(self, output: Path) -> None:
        self.output = output
        name = output.name.removesuffix(".safetensors")
        self.state = output.with_name(f"{name}.resume.safetensors")
        self.log = output.with_name(f"{name}.log.jsonl")
        self.preview = output.with_name(f"{name}.preview.png")
        self.lock = output.with_name(f"{TEMP_PREFIX}{name}.lock")  # a name that can be nobody else's

    def spare(self, inputs: Iterable[Path]) -> None:
        """Refuse files of which one is an input: no training writes over what it learns from.  Raises OutputError."""
        for given in inputs:
            for what, own in (
                ("output", self.output),
                ("state", self.state),
                ("log", self.log),
                ("preview", self.preview),
            ):
                # A name may be too long, or behind a lock.
                if os.path.exists(own) and os.path.exists(given) and given.samefile(own):
                    raise OutputError(
                        f"{own}: an input, and the {what} of the training would be written over it; name another output"
                    )

    def find(self, run: Mapping[str, Any], overwrite: bool) -> tuple[bool, bool]:
        """The progress of this very run: true for a finished output, and true for a state to go on from.

        run: `inputs` of None are not read yet, and not compared.
        overwrite: files of other runs may be replaced.
        Raises OutputError, CheckpointError.
        """
        if self.output.is_dir():
            raise OutputError(f"{self.output}: a folder; name the file to write")
        if not self.output.parent.is_dir():
            raise OutputError(f"{self.output}: no such folder {self.output.parent}; create it first")
        ours = False
        if self.output.exists():
            try:
                card = checkpoint.read_card(self.output)
            except CheckpointError as error:
                if not overwrite:
                    raise OutputError(
                        f"{self.output}: exists and is no checkpoint; overwrite it, or name another output"
                    ) from error
            else:
                other = difference(card.get("run"), run)
                ours = not other
                if ours and card.get("complete") is True:
                    return True, False
                if other and not overwrite:
                    raise OutputError(
                        f"{self.output}: exists and is of another training ({other}); overwrite it, or name another "
                        "output"
                    )
        if not os.access(self.output.parent, os.W_OK):  # said now, and not when the first file is written
            raise OutputError(f"{self.output}: no permission to write in {self.output.parent}; choose another folder")
        return False, self._state_to_go_on_from(run, overwrite, ours)

    def _state_to_go_on_from(self, run: Mapping[str, Any], overwrite: bool, ours: bool) -> bool:
        """True if there is a state of this run.  Raises OutputError, CheckpointError.

        ours: true if the output is this run's, and so the log and the preview.
        """
        if not self.state.exists():
            for path in () if overwrite or ours else (self.log, self.preview):
                if path.exists():
                    raise OutputError(
                        f"{path}: exists, and is of no training that goes on; move it away, overwrite it, or name "
                        "another output"
                    )
            return False
        try:
            other = difference(checkpoint.read_card(self.state).get("run"), run)
        except CheckpointError as error:
            if not overwrite:
                raise CheckpointError(f"{error}; or remove it, and the training starts anew") from error
            return False
        if other and not overwrite:
            raise OutputError(
                f"{self.output}: another training of it is not finished ({other}); "
                f"start that one again, name another output, or overwrite (which gives up {self.state.name})"
            )
        return not other

    def fingerprint(self, finished: bool, resumable: bool) -> int:
        """A number below 2^62 for what `find` has found: another one for other files.  Raises CheckpointError."""
        facts = [str((finished, resumable))]
        if found := self.output if finished else self.state if resumable else None:
            try:
                facts.append(sha256_file(found))
            except InputError as error:
                raise CheckpointError(str(error)) from error
        return int.from_bytes(hashlib.sha256("".join(facts).encode()).digest()[:8]) >> 2

    def claim(self, run: Mapping[str, Any]) -> None:
        """Make the files beside the output this run's, with a state in which nothing is done yet.

        Raises OutputError.
        """
        self.save({}, Position(), run)
        self.preview.unlink(missing_ok=True)

    def may_show(self, run: Mapping[str, Any]) -> bool:
        """True if an unfinished model may stand at the output.

        The output of another run stays until there is a finished one to replace it.
        """
        try:
            return not self.output.exists() or not difference(checkpoint.read_card(self.output).get("run"), run)
        except CheckpointError:
            return False

    def save(self, tensors: Mapping[str, Tensor], place: Position, run: Mapping[str, Any]) -> None:
        """Write the state.  Raises CheckpointError for values that are not finite, OutputError."""
        checkpoint.save(self.state, tensors, {"kind": RESUME, "run": run, "place": asdict(place)})

    def load(self) -> tuple[dict[str, Tensor], Position]:
        """The state, on the CPU.  Raises CheckpointError."""
        tensors, card = checkpoint.load(self.state, kind=RESUME)
        try:
            return tensors, Position.of(card["place"])
        except (LookupError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"{self.state}: its card names no place; remove it, and the training starts anew"
            ) from error

    def clear(self, run: Mapping[str, Any]) -> None:
        """Remove the files that only an unfinished training needs, if a state says that they are this run's."""
        try:
            ours = self.state.exists() and not difference(checkpoint.read_card(self.state).get("run"), run)
        except CheckpointError:
            return
        if ours:
            self.preview.unlink(missing_ok=True)
            self.state.unlink(missing_ok=True)  # the last one: it says whose the others are


class Log:
    """A file of JSON lines of mean losses.

    There is no clock in it: the log of a training that was resumed has the same bytes.
    """

    def __init__(self, path: Path, keep: int) -> None:
        """keep: the bytes of an earlier log to go on after.  Raises OutputError."""
        self.path = path
        write_atomically(path, path.read_bytes()[:keep] if keep and path.is_file() else b"")
        self._stream = path.open("ab")

    def line(self, stage: str, step: int, losses: Mapping[str, float]) -> None:
        """Append one line.  Raises OutputError."""
        text = json.dumps(
            {"stage": stage, "step": step, **{name: float(f"{loss:.6g}") for name, loss in losses.items()}}
        )
        with self._errors():
            self._stream.write(text.encode() + b"\n")
            self._stream.flush()

    def synced(self) -> int:
        """Wait until all lines are on the disk, before a state speaks of them; returns their bytes.

        Raises OutputError.
        """
        with self._errors():
            os.fsync(self._stream.fileno())
        return self._stream.tell()

    def close(self) -> None:
        self._stream.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written ({one_line(error)}); free some space") from error


def difference(theirs: Any, ours: Mapping[str, Any]) -> str:
    """The differences between two runs, in words; empty if there are none."""
    unread = {"inputs"} if ours.get("inputs", {}) is None else set()
    there, here = (
        _leaves({name: run[name] for name in run.keys() - unread})
        for run in (theirs if isinstance(theirs, dict) else {}, ours)
    )
    names = [name for name in sorted(there.keys() | here.keys()) if there.get(name) != here.get(name)]
    facts = [
        f"{name} is {one_line(there.get(name, 'not set'), 40)} there, {one_line(here.get(name, 'not set'), 40)} here"
        for name in names
    ]
    return "; ".join(facts[:3]) + (f"; and {len(facts) - 3} more" if len(facts) > 3 else "")


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The leaves of a tree, by their nested names, joined by dots."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found |= _leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found
