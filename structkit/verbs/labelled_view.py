"""A classifier of pictures beside labelled pictures: what the scores on changed pictures have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from structkit.data.batches import signed
from structkit.data.labelled import LabelledPictures, read_labelled
from structkit.data.listing import counted
from structkit.device import enough_memory, resolve
from structkit.errors import CheckpointError, InputError, OptionError
from structkit.media.tensors import to_range
from structkit.metrics.labels import LabelTally
from structkit.models import abilities_of_model, usable
from structkit.training.precision import precision

if TYPE_CHECKING:
    from structkit.training.model import Model

LabelledData = LabelledPictures | str | Path
Rejected = list[tuple[str, str]]

CHUNK, CHUNK_BYTES = 500, 2**26  # pictures, and bytes of them, that are in memory at once, at most
TOGETHER = {"cpu": 100, "cuda": 500}  # pictures that a network sees at once
NAMED = 3  # classes and files that a message names


class LabelledView:
    """A model of pictures, and how it sees labelled ones.

    rejected: pictures that could not be read, and why.
    """

    def __init__(self, model: Model | str | Path, verb: str, *, device: str = "auto", dtype: str = "float32") -> None:
        """Raises CheckpointError, OptionError, DeviceError."""
        self.device = resolve(device)
        self.model: Any = usable(model, self.device, verb)
        abilities = abilities_of_model(self.model)
        if not abilities.labels or abilities.clips:
            raise CheckpointError(f"a model of kind {self.model.kind!r}: it names nothing that is shown in pictures")
        self.dtype = precision(dtype, self.device)
        self.side, self.classes = self.model.config.side, list(self.model.classes)
        self.rejected: Rejected = []
        self.notes: list[str] = []

    def pictures(
        self, data: LabelledData, count: int | None, seed: int, part: str, reading: dict[str, Any]
    ) -> LabelledPictures:
        """The pictures of a place, or `count` of them drawn by the seed."""
        found = data
        if not isinstance(data, LabelledPictures):
            found = read_labelled(data, part=part, checked=False, **reading)
        assert isinstance(found, LabelledPictures)
        self.notes += found.notes
        return found if count is None else found.drawn(count, seed)

    def places(self, pictures: LabelledPictures) -> Tensor:
        """The place of each class of the pictures among the model's, (K,) int64: by name, or numbers by number.

        Raises InputError for a class that is none of the model's.
        """
        if set(pictures.classes) <= set(self.classes):
            return torch.tensor([self.classes.index(name) for name in pictures.classes])
        numbers = [str(i) for i in range(len(pictures.classes))]
        if pictures.classes == numbers and len(numbers) <= len(self.classes):
            self.notes.append(f"{pictures.label}: classes are numbers, taken in the order of the model's")
            return torch.arange(len(numbers))
        strange = [name for name in pictures.classes if name not in self.classes]
        some = ", ".join(strange[:NAMED]) + (", ..." if len(strange) > NAMED else "")
        own = ", ".join(self.classes[:NAMED]) + (", ..." if len(self.classes) > NAMED else "")
        fact = f"{len(strange)} of its {len(pictures.classes)} classes are none of the model's ({some})"
        raise InputError(f"{pictures.label}: {fact}, which knows {own}: name pictures of the classes it has learned")

    def chunks(self, pictures: LabelledPictures) -> Iterator[tuple[list[int], Tensor, Tensor]]:
        """The pictures, some at a time: their numbers, their squares (B, 3, side, side) uint8, and the model's labels.

        A picture that cannot be read is left out, and stands in `rejected`.
        """
        places = self.places(pictures)
        most = max(1, min(CHUNK, CHUNK_BYTES // (3 * self.side**2)))
        for first in range(0, len(pictures), most):
            some = range(first, min(first + most, len(pictures)))
            squares, kept, rejected = pictures.readable(some, self.side)
            self.rejected += [one for one in rejected if one not in self.rejected]
            if kept:
                yield kept, squares, places[pictures.labels[kept]]

    def logits(self, pictures: Tensor) -> Tensor:
        """A logit of each class, (B, K) float32 on the CPU.

        pictures: (B, 3, side, side) uint8, or float32 in [0, 1].
        """
        found = []
        for some in pictures.split(TOGETHER.get(torch.device(self.device).type, 100)):
            some = some.to(self.device)
            seen = signed(some) if some.dtype == torch.uint8 else to_range(some)
            found.append(self.model.logits(seen.contiguous(memory_format=torch.channels_last)).float().cpu())
        return torch.cat(found)

    @contextmanager
    def computing(self) -> Iterator[None]:
        """A context in which the model computes, in the numbers that were asked for.  Raises DeviceError."""
        before = self.model.dtype
        self.model.dtype = self.dtype
        try:
            with enough_memory(self.device, "use --device cpu, or a model of a smaller side"), torch.inference_mode():
                yield
        finally:
            self.model.dtype = before


def check_count(count: int | None) -> None:
    """Refuse a number of pictures that cannot be.  Raises OptionError."""
    if count is not None and count < 2:
        raise OptionError(f"--count is {count}: it must be at least 2")


class PictureProgress:
    """The progress of work on so many pictures."""

    def __init__(self, progress: Callable[[float, str], None] | None, of: int) -> None:
        self.progress, self.of, self.done = progress, of, 0

    def __call__(self, count: int, name: str) -> None:
        self.done += count
        if self.progress:
            self.progress(min(1.0, self.done / max(1, self.of)), name)


def check_read(tally: LabelTally, pictures: LabelledPictures, view: LabelledView) -> None:
    """Refuse a set of which nothing can be read.  Raises InputError."""
    if not len(tally):
        name, why = view.rejected[0] if view.rejected else ("nothing", "there is none")
        raise InputError(f"{pictures.label}: no picture can be read; the first: {name}: {why}")


def left_out(rejected: Rejected) -> list[str]:
    """A note on pictures that could not be read, if there are any."""
    if not rejected:
        return []
    some = "; ".join([f"{name}: {why}" for name, why in rejected[:NAMED]] + (["..."] if len(rejected) > NAMED else []))
    return [f"left out: {counted(len(rejected))} ({some})"]
