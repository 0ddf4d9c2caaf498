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

from structkit.data.squares import LargeFields, row_strips, to_square_by_rows, window
from structkit.device import enough_memory
from structkit.engines.transfer.layer import Layer
from structkit.errors import DeviceError, StructkitError
from structkit.kernels.composite import paste
from structkit.media.pictures import Picture
from structkit.media.tensors import alpha_to_tensor, laid_over, mean_seen, to_tensor

if TYPE_CHECKING:
    from structkit.training.model import Model

TOGETHER = 32  # squares at once
# On a CPU more are no faster, and come out otherwise in single bits: bytes would depend on how many there are.
TOGETHER_ON_CPU = 8
LEAST_SEEN = 0.5 / 255  # below, a mask cannot change an 8-bit level, and is exactly 0
MASK, COLOURS = slice(0, 1), slice(1, 4)  # channels of a layer
FOUND_FROM = 0.5  # of the mask: content that counts as found
# Share of a picture below which next to none is found, by glasses and beard: of 480 avatars with the content 6 have
# less, of 240 plain ones 236, and of 240 that have only the other content, which is mistaken for it, 185.
LEAST_FOUND = 0.005
FOUND_NOTHING = "the model finds next to none of its content here"
MEMORY = "use smaller pictures, or another --device"


class SquareBatches:
    """The pictures in batches, as many at once as the memory of the model's device holds."""

    def __init__(self, pictures: Sequence[Picture], model: Model) -> None:
        self.pictures, self.model = pictures, model

    def __iter__(self) -> Iterator[SquareBatch]:
        is_on_cpu = next(self.model.parameters()).device.type == "cpu"
        done, together = 0, TOGETHER_ON_CPU if is_on_cpu else TOGETHER
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
        self.sought: Tensor | None = None  # the mask of the content that was looked for, (B, 1, S, S) on the CPU

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

    def keep(self, found: Tensor | Layer, sought: Tensor | None = None) -> None:
        """Keep a mask (B, 1, S, S) or a layer.

        sought: the mask of the content, where the model was to find it.
        """
        fields = torch.cat([found.mask, found.colours], 1) if isinstance(found, Layer) else found
        self.found = fields[: len(self.which)].cpu()
        self.sought = None if sought is None else sought[: len(self.which)].cpu()

    def fields(self) -> Iterator[tuple[Picture, LargeFields, float | None]]:
        """Each picture with what was kept of it, at its own resolution, and the share of it that is content.

        The share is None where the model was not asked to find content.
        Raises StructkitError for values that are not finite.
        """
        for i, field in zip(self.which, () if self.found is None else self.found, strict=False):
            picture = self.pictures[i]
            if not field.sum().isfinite():
                fact = "the model gives values that are not finite for it; train it again, or use another"
                raise StructkitError(f"{picture.name}: {fact}")
            with enough_memory("cpu", MEMORY):
                large = LargeFields(field[None], (picture.height, picture.width), self.model.fit)
            sought = None if self.sought is None else self.sought[i - self.which.start, 0]
            yield picture, large, None if sought is None else _share(sought, picture, self.model.fit)

    def painted(self) -> Iterator[Picture]:
        """Each picture with the layer that was kept for it pasted on."""
        for picture, large, found in self.fields():
            with enough_memory("cpu", MEMORY):
                pixels = _pasted(picture, large)
            made = replace(picture, pixels=pixels, found=found)
            yield with_notes(made, *notes_on_sight(picture, self.model), *notes_on_share(found), *self.model.doubts)


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
    parts = (_rows(picture, part) for part in row_strips(picture.height, picture.width))
    mean = None if opaque else mean_seen(parts)

    def rows(where: slice) -> Tensor:
        part = _rows(picture, where)
        return to_tensor(part) if mean is None else laid_over(to_tensor(part), alpha_to_tensor(part), mean)

    return to_square_by_rows(rows, (picture.height, picture.width), model.size, model.fit)


def shows(picture: Picture, columns: slice) -> Tensor | None:
    """True where columns of a picture show anything, (1, 1, H, w); None where all of it does."""
    return None if picture.alpha is None else torch.from_numpy(picture.alpha[:, columns] > 0)[None, None]


def _rows(picture: Picture, where: slice) -> Picture:
    alpha = None if picture.alpha is None else picture.alpha[where]
    return replace(picture, pixels=picture.pixels[where], alpha=alpha)


def _shown(picture: Picture) -> Picture:
    """The picture; one that is to be painted may show nothing, and is then looked at as if it were opaque."""
    seen = picture.alpha is None or picture.alpha.max() > np.iinfo(picture.alpha.dtype).max // 2
    return picture if seen else replace(picture, alpha=None)


def _pasted(picture: Picture, large: LargeFields) -> np.ndarray:
    """The pixels of a picture with a layer (mask, colours) pasted on."""
    pixels = picture.pixels.copy()
    for where in large.strips:
        mask, shown = large.columns(where, MASK).clamp(0, 1), shows(picture, where)
        seen = mask >= LEAST_SEEN
        mask = torch.where(seen if shown is None else seen & shown, mask, 0.0)
        if mask.any():
            colours = large.columns(where, COLOURS).clamp(-1, 1)
            pixels[:, where] = paste(picture.pixels[:, where], colours, mask)
    return pixels


def _share(mask: Tensor, picture: Picture, fit: str) -> float:
    """The share of a picture where a mask (S, S) is one half or more; where nothing shows there is no content."""
    top, left, height, width = window((picture.height, picture.width), fit)
    found = (mask >= FOUND_FROM).numpy()
    if picture.alpha is not None:
        middles = np.arange(1, 2 * len(mask), 2)
        rows, columns = top + middles * height // (2 * len(mask)), left + middles * width // (2 * len(mask))
        found = found & (picture.alpha[np.ix_(rows, columns)] > 0)
    return float(found.mean()) * height * width / (picture.height * picture.width)


def notes_on_share(found: float | None) -> tuple[str, ...]:
    """A note on a picture in which a model that was to find content has found next to none."""
    return () if found is None or found >= LEAST_FOUND else (f"{FOUND_NOTHING} ({found:.2%} of the picture)",)


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
