"""Files of pictures as 8-bit pixels, decoded a few at a time, and the middle squares that classifiers see."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from structkit.data.listing import counted
from structkit.errors import InputError
from structkit.kernels.pyramid import resize
from structkit.media.files import open_source, read_pieces
from structkit.media.pictures import MAX_BYTES, MAX_PIXELS, Picture, read_picture
from structkit.media.tensors import filled, from_tensor

THREADS = min(4, os.cpu_count() or 1)  # threads that decode
TOGETHER = 64  # files that they are given at once
TOLD = 10.0  # seconds between two words on how far the reading is
SEEN_THROUGH = "what is transparent is taken as its mean colour"


@dataclass(frozen=True, eq=False)
class DecodedFile:
    """The content of a file.

    pixels: (h, w, 3) uint8 RGB, upright, sRGB.
    sha256: of the file's bytes, in hex.
    notes: remarks on it, one line each.
    """

    pixels: np.ndarray
    sha256: str
    notes: tuple[str, ...]


def decoded_file(path: Path, *, max_pixels: int | None = None, tolerant: bool = False) -> DecodedFile:
    """The content of a file, which is read once, so that the hash is that of the bytes which are decoded.

    max_pixels: of the largest picture that is read; None: the usual limit.
    tolerant: a damaged picture is taken as far as it goes.
    Transparent pixels get the mean colour of the visible ones; of 16 bits the nearest 8 count.
    Raises InputError.
    """
    with open_source(path) as (name, stream):
        data = read_pieces(stream, MAX_BYTES + 1)
    picture = read_picture(data, name=name, max_pixels=max_pixels or MAX_PIXELS, tolerant=tolerant)
    pixels, notes = opaque_pixels(picture), picture.notes
    return DecodedFile(
        pixels, hashlib.sha256(data).hexdigest(), ((SEEN_THROUGH,) if _has_gaps(picture) else ()) + notes
    )


def decoded_files(
    paths: Sequence[Path],
    *,
    max_pixels: int | None = None,
    tolerant: bool = False,
    label: str = "the pictures",
    tell: Callable[[str], None] = lambda line: None,
) -> Iterator[DecodedFile | InputError]:
    """The content of each file, in order, or the error that says what is wrong with it; a few threads decode.

    label: the name of all in messages.  tell: called every ten seconds with the progress.
    """
    began = time.monotonic()
    read = partial(_tried, max_pixels=max_pixels, tolerant=tolerant)
    with ThreadPoolExecutor(THREADS) as pool:
        for first in range(0, len(paths), TOGETHER):
            yield from pool.map(read, paths[first : first + TOGETHER])
            if time.monotonic() - began > TOLD:
                began = time.monotonic()
                tell(f"{label}: {min(first + TOGETHER, len(paths)):,} of {counted(len(paths))} read")


def opaque_pixels(picture: Picture) -> np.ndarray:
    """The pixels of a picture, (h, w, 3) uint8, with the mean colour of those that are seen where nothing is seen.

    Raises InputError where nothing is seen at all.
    """
    if _has_gaps(picture):
        picture = from_tensor(filled(picture), name=picture.name)
    return picture.at(8).pixels


def middle_square(pixels: np.ndarray, side: int) -> Tensor:
    """The square in the middle of a picture (h, w, 3) uint8, (3, side, side) uint8: its short side becomes `side`.

    A picture of that very size keeps every level.
    """
    height, width = pixels.shape[:2]
    least = min(height, width)
    top, left = (height - least) // 2, (width - least) // 2
    # PyTorch takes no array that must not be written to.
    seen = torch.from_numpy(pixels[top : top + least, left : left + least].copy()).permute(2, 0, 1)
    return seen if least == side else resize(seen[None], (side, side))[0]


def _tried(path: Path, *, max_pixels: int | None, tolerant: bool) -> DecodedFile | InputError:
    try:
        return decoded_file(path, max_pixels=max_pixels, tolerant=tolerant)
    except InputError as error:
        return error


def _has_gaps(picture: Picture) -> bool:
    return picture.alpha is not None and picture.alpha.min() < 2**picture.bits - 1
