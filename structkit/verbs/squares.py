"""The squares that a model of content sees of pictures, and the way back to whole pictures.

A model sees squares of a few hundred pixels, many at once.  A picture keeps its size, its levels, its alpha and its
metadata; where a layer's mask is 0 it stays as it is, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from structkit.data.squares import from_square, to_square
from structkit.device import enough_memory
from structkit.engines.transfer.layer import Layer
from structkit.errors import DeviceError, StructkitError
from structkit.kernels.composite import paste
from structkit.media.pictures import Picture
from structkit.media.tensors import alpha_to_tensor, filled, to_tensor

if TYPE_CHECKING:
    from structkit.training.model import Model

TOGETHER = 32  # squares at once: more are no faster on a CPU
LEAST_SEEN = 0.5 / 255  # below, a mask cannot change an 8-bit level, and is exactly 0
MEMORY = "use smaller pictures, or another --device"


class SquareBatches:
    """The pictures in batches, as many at once as the memory of the model's device holds."""

    def __init__(self, pictures: Sequence[Picture], model: Model) -> None:
        self.pictures, self.model = pictures, model

    def __iter__(self) -> Iterator[SquareBatch]:
        done, together = 0, TOGETHER
        while done < len(self.pictures):
            batch = SquareBatch(self.pictures, self.model, range(done, min(done + together, len(self.pictures))))
            if batch.prepared():
                yield batch
            if batch.found is None:
                together = len(batch.which) // 2  # fewer at once need less memory
            else:
                done += len(batch.which)


class SquareBatch:
    """A batch of the pictures: their squares while the model works, then the pictures with what it has found.

    squares: (B, 3, S, S) in [-1, 1], on the model's device, until it has worked.
    indices: of the picture that each of the squares is of.
    """

    def __init__(self, pictures: Sequence[Picture], model: Model, which: range) -> None:
        self.pictures, self.model, self.which = pictures, model, which
        # One alone goes twice: for a single square PyTorch's convolutions round otherwise, and bytes would depend on
        # the batch.
        self.indices = [*which, *which] if len(which) == 1 else list(which)
        self.squares: Tensor | None = None
        self.found: Tensor | None = None  # (B, C, S, S) on the CPU

    def prepared(self) -> bool:
        """Make the squares; false where the memory suffices for fewer of them.

        Raises DeviceError where it does not suffice for one.
        """
        with self._fewer_where_too_many(), working(self.model) as device:
            squares = torch.cat([square_of(_shown(self.pictures[i]), self.model) for i in self.which])
            self.squares = squares.expand(len(self.indices), -1, -1, -1).to(device)
        return self.squares is not None

    @contextmanager
    def working(self) -> Iterator[None]:
        """The context in which the model works on the squares, without gradients; `keep` what it finds in them.

        Where the memory suffices for fewer of them nothing is kept.
        Raises DeviceError where it does not suffice for one.
        """
        with self._fewer_where_too_many(), working(self.model):
            try:
                yield
            finally:
                self.squares = None  # whose memory the next batch needs

    @contextmanager
    def _fewer_where_too_many(self) -> Iterator[None]:
        """Pass over too little memory, if fewer squares may do."""
        try:
            yield
        except DeviceError:
            if len(self.which) == 1:
                raise

    def keep(self, found: Tensor | Layer) -> None:
        """Keep a mask (B, 1, S, S) or a layer."""
        fields = torch.cat([found.mask, found.colours], 1) if isinstance(found, Layer) else found
        self.found = fields[: len(self.which)].cpu()

    def fields(self) -> Iterator[tuple[Picture, Tensor]]:
        """Each picture with what was kept of it, (1, C, H, W), at its own resolution.

        Raises StructkitError for values that are not finite.
        """
        for i, field in zip(self.which, () if self.found is None else self.found, strict=False):
            picture = self.pictures[i]
            if not field.sum().isfinite():
                fact = "the model gives values that are not finite for it; train it again, or use another"
                raise StructkitError(f"{picture.name}: {fact}")
            with enough_memory("cpu", MEMORY):
                whole = from_square(field[None], (picture.height, picture.width), self.model.fit)
            yield picture, whole

    def painted(self) -> Iterator[Picture]:
        """Each picture with the layer that was kept for it pasted on."""
        for picture, field in self.fields():
            mask = field[:, :1].clamp(0, 1)
            mask = torch.where((mask >= LEAST_SEEN) & (alpha_to_tensor(picture) > 0), mask, 0.0)
            pixels = paste(picture.pixels, field[:, 1:].clamp(-1, 1), mask)
            made = replace(picture, pixels=pixels)
            yield with_notes(made, *notes_on_sight(picture, self.model), *self.model.doubts)


@contextmanager
def working(model: Model) -> Iterator[torch.device]:
    """The device of a model, without gradients; too little memory there is a DeviceError."""
    device = next(model.parameters()).device
    with torch.inference_mode(), enough_memory(str(device), MEMORY):
        yield device


def square_of(picture: Picture, model: Model) -> Tensor:
    """The square that the model sees of a picture, (1, 3, S, S) in [-1, 1].

    Transparent parts have the mean of the rest.
    Raises InputError where all is transparent.
    """
    opaque = picture.alpha is None or picture.alpha.min() == np.iinfo(picture.alpha.dtype).max
    return to_square(to_tensor(picture) if opaque else filled(picture), model.size, model.fit)


def _shown(picture: Picture) -> Picture:
    """The picture; one that is to be painted may show nothing, and is then looked at as if it were opaque."""
    return picture if (alpha_to_tensor(picture) > 0.5).any() else replace(picture, alpha=None)


def notes_on_sight(picture: Picture, model: Model) -> Iterator[str]:
    """Notes on how the model sees a picture: enlarged, or in part."""
    if min(picture.width, picture.height) < model.size:
        what = "" if max(picture.width, picture.height) <= model.size else "its shorter side is "
        yield f"{picture.width} x {picture.height} px: {what}enlarged to the {model.size} px that the model sees"
    if model.fit == "crop" and picture.width != picture.height:
        yield "the model sees only the square in the middle"


def with_notes(picture: Picture, *notes: str) -> Picture:
    """The picture with more notes, each once."""
    return replace(picture, notes=tuple(dict.fromkeys((*picture.notes, *notes))))
