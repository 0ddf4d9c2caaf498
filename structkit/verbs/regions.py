"""What each place of a picture shows: `segment` by a segmenter, whose results are label files in colour.

A segmenter looks at pictures in one shape, squeezed where theirs is another, as those that it has learned from were.
Its logits are enlarged to the picture (bilinear), by strips of rows, and the largest of a pixel says its class.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from structkit.data.label_maps import UNCOUNTED
from structkit.data.segmentation import at_size
from structkit.device import enough_memory
from structkit.errors import DeviceError, StructkitError
from structkit.media.exif import Metadata
from structkit.media.pictures import PaletteIndices, Picture
from structkit.media.tensors import to_range

if TYPE_CHECKING:
    from structkit.training.model import Model

TOGETHER, STRIP = 8, 2**18  # pictures at once; pixels of a strip of rows, about
COVER = 0.6  # how much of an overlay is the classes' colours
SQUEEZED = 1.6  # change of aspect from which on it is worth a note
MEMORY = "use smaller pictures, or another --device"
NOTHING = (0, 0, 0)  # the colour of what is transparent


def segmented(pictures: Sequence[Picture], model: Model, *, overlay: bool = False) -> Iterator[Picture]:
    """The class of each pixel of each picture, in the colours of the model, as a picture with a palette.

    Its indices are the classes, 255 where the picture is fully transparent.
    overlay: true for the picture itself with the colours laid over it.
    `shares` of a result has the share of each class that is there; metadata is kept of an overlay alone.
    Raises InputError, DeviceError; StructkitError for a model whose results are not finite.
    """
    done, together = 0, TOGETHER
    while done < len(pictures):
        some = [pictures[i] for i in range(done, min(done + together, len(pictures)))]
        try:
            found = _logits(some, model)
        except DeviceError:
            if len(some) == 1:
                raise
            together = len(some) // 2  # fewer at once need less memory
            continue
        for picture, logits in zip(some, found, strict=True):
            with enough_memory("cpu", MEMORY):
                yield _shown(picture, logits, model, overlay)
        done += len(some)


def largest(logits: Tensor, shape: tuple[int, int]) -> np.ndarray:
    """The class of each pixel, (H, W) uint8, of logits (K, h, w) on the CPU that are enlarged to the shape (H, W)."""
    height, width = shape
    below, above, share = _between(logits.shape[2], width)
    wide = torch.lerp(logits[..., below], logits[..., above], share)
    below, above, share = _between(logits.shape[1], height)
    found = np.empty(shape, np.uint8)
    step = max(1, STRIP // width)
    for top in range(0, height, step):
        rows = slice(top, top + step)
        strip = torch.lerp(wide[:, below[rows]], wide[:, above[rows]], share[rows, None])
        found[rows] = strip.argmax(0).to(torch.uint8).numpy()
    return found


def _between(length: int, target: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of each of the `target` places of an axis the two old places that it is between, and its share of the second."""
    places = ((torch.arange(target, dtype=torch.float64) + 0.5) * (length / target) - 0.5).clamp(0, length - 1)
    below = places.floor().long()
    return below, (below + 1).clamp(max=length - 1), (places - below).float()


def _logits(pictures: Sequence[Picture], model: Any) -> Tensor:
    """The logits of pictures as the model sees them, (B, K, h, w) on the CPU."""
    height, width = model.config.shape
    device = next(model.parameters()).device
    with torch.inference_mode(), enough_memory(str(device), MEMORY):
        seen = torch.stack([at_size(_opaque(picture), (width, height)) for picture in pictures])
        # One alone goes twice: for a single picture PyTorch's convolutions round otherwise, and bytes would depend on
        # the batch.
        both = seen.expand(2, -1, -1, -1) if len(seen) == 1 else seen
        logits = model.logits(to_range(both.to(device).float() / 255))[: len(seen)].float().cpu()
    for picture, own in zip(pictures, logits, strict=True):
        if not own.sum().isfinite():
            fact = "the model gives values that are not finite for it; train it again, or use another"
            raise StructkitError(f"{picture.name}: {fact}")
    return logits


def _opaque(picture: Picture) -> Picture:
    """The picture; one that shows nothing is looked at as if it were opaque."""
    seen = picture.alpha is None or picture.alpha.max() > np.iinfo(picture.alpha.dtype).max // 2
    return picture if seen else replace(picture, alpha=None)


def _shown(picture: Picture, logits: Tensor, model: Any, overlay: bool) -> Picture:
    """The result of a picture with these logits, (K, h, w)."""
    found = largest(logits, (picture.height, picture.width))
    palette = np.zeros((UNCOUNTED + 1, 3), np.uint8)
    palette[: len(model.palette)] = model.palette
    palette[UNCOUNTED] = NOTHING
    if picture.alpha is not None:
        found[picture.alpha == 0] = UNCOUNTED
    counts = np.bincount(found.reshape(-1), minlength=UNCOUNTED + 1)[: len(model.classes)]
    shares = {
        name: float(count / found.size) for name, count in zip(model.classes, counts.tolist(), strict=True) if count
    }
    notes = tuple(dict.fromkeys((*picture.notes, *_notes_on_sight(picture, model), *model.doubts)))
    if overlay:
        return replace(picture, pixels=_overlaid(picture, found, palette), notes=notes, shares=shares)
    indices = PaletteIndices(found, palette if (found == UNCOUNTED).any() else palette[: len(model.palette)])
    named = f"classes of {picture.name}"
    return Picture(indices.pixels, None, named, notes, Metadata(), palette=indices, shares=shares)


def _overlaid(picture: Picture, found: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """The pixels of a picture with the colours of its classes laid over them; what is transparent stays as it is."""
    top = np.iinfo(picture.pixels.dtype).max
    made = picture.pixels.copy()
    step = max(1, STRIP // picture.width)
    for start in range(0, picture.height, step):
        rows = slice(start, start + step)
        colours = palette[found[rows]] * np.float32(top / 255)
        mixed = COVER * colours + (1 - COVER) * picture.pixels[rows].astype(np.float32)
        there = (found[rows] != UNCOUNTED)[..., None]
        made[rows] = np.where(there, np.floor(mixed + 0.5), made[rows]).astype(made.dtype)
    return made


def _notes_on_sight(picture: Picture, model: Any) -> Iterator[str]:
    """Notes on how the model sees a picture: squeezed, or enlarged."""
    height, width = model.config.shape
    change = (picture.width / picture.height) / (width / height)
    if max(change, 1 / change) >= SQUEEZED:
        yield f"{picture.width} x {picture.height} px: squeezed to the {width} x {height} px that the model sees"
    elif picture.width < width and picture.height < height:
        yield f"{picture.width} x {picture.height} px: enlarged to the {width} x {height} px that the model sees"
