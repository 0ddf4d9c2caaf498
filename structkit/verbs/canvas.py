"""The canvas of a result: its size, its alpha, and the notes on the pictures that it is made of.

A size that is not said is the source's, reduced to `MAX_SIDE`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from structkit.configs import LEAST_SIDE, MAX_SIDE, MOST_SIDE, AnalogyConfig
from structkit.errors import InputError, OptionError
from structkit.kernels.pyramid import resize
from structkit.media.containers import is_video
from structkit.media.pictures import Picture, read_picture
from structkit.media.tensors import alpha_to_tensor, from_tensor, to_tensor

if TYPE_CHECKING:
    from structkit.media.video import VideoReader

    PictureLike = Picture | str | Path

ENLARGED = 1.25  # scale from which on a target that had to be enlarged is worth a note


class Size(NamedTuple):
    """The size of a result, px.  Engines take its `shape`."""

    width: int
    height: int

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of the same size: (height, width)."""
        return self.height, self.width


def opened(picture: PictureLike, **reading: int | bool) -> Picture:
    """The picture itself, or that of a path.  reading: limits and tolerance, as `read_picture` has them.

    Raises InputError, also for a video.
    """
    if isinstance(picture, Picture):
        return picture
    if is_video(picture):
        raise InputError(f"{picture}: a video, where a picture is needed; name one of its frames")
    return read_picture(picture, **reading)


def opened_all(given: PictureLike | Sequence[PictureLike]) -> tuple[Sequence[Picture], bool]:
    """The pictures that were given, and true if they are many.

    A sequence of pictures that is no list stays as it is: it is asked for one picture after another.
    """
    if isinstance(given, Sequence) and not isinstance(given, str | bytes | bytearray | memoryview | list | tuple):
        return given, True
    many = isinstance(given, list | tuple)
    return [opened(one) for one in (given if many else [given])], many


def check_count(count: int) -> int:
    """The number of results, if there can be so many.  Raises OptionError."""
    if count < 1:
        raise OptionError(f"--count is {count}: it must be at least 1")
    return count


def check_match(config: AnalogyConfig) -> None:
    """Refuse an analogy by motion that is to be made with a picture.  Raises OptionError."""
    if config.match == "motion":
        raise OptionError("--match motion compares how things move: it needs two videos, leave it out")


def result_size(source: Picture | VideoReader, size: tuple[int, int] | None, max_side: int | None) -> Size:
    """The size of the result of a source.

    size: (width, height), px, as it was asked for; None: the source's, with a longest side of `max_side` at most, or of
    MAX_SIDE.
    Raises OptionError for a size that cannot be, InputError for a source of which so little is left.
    """
    if size is None:
        scale = min(1.0, (max_side or MAX_SIDE) / max(source.width, source.height))
        size = Size(round(source.width * scale), round(source.height * scale))
        if min(size) < LEAST_SIDE:
            if min(source.width, source.height) * MOST_SIDE < LEAST_SIDE * max(source.width, source.height):
                fact = f"{source.width} x {source.height} px is too narrow for a result of its shape"
                limit = f"whose sides must be {LEAST_SIDE} to {MOST_SIDE} px"
                raise InputError(f"{source.name}: {fact}, {limit}: crop it, or give a --size of another shape")
            fact = f"the result would be {size[0]} x {size[1]} px, each side must be at least {LEAST_SIDE}"
            raise InputError(f"{source.name}: {fact}: give a larger size")
    elif max_side is not None:
        raise OptionError("--size and --max-side both say how large the result is: give one of them")
    if not LEAST_SIDE <= min(size) <= max(size) <= MOST_SIDE:
        raise OptionError(f"--size is {size[0]}x{size[1]}: each side must be {LEAST_SIDE} to {MOST_SIDE} px")
    return Size(*size)


def usable_pixels(target: Picture) -> Tensor:
    """The pixels that patches may be taken from, (1, 1, h, w) in [0, 1].  Raises InputError where there are none."""
    usable = alpha_to_tensor(target)
    if not (usable > 0.5).any():
        fact = "every pixel is transparent, there is nothing to make the result of"
        raise InputError(f"{target.name}: {fact}: use another target")
    return usable


def notes_of(*pictures: Picture | VideoReader) -> tuple[str, ...]:
    """The notes of all pictures, each behind the name of its picture."""
    return tuple(f"{p.name}: {note}" for p in pictures for note in p.notes)


def enlarged(target: Picture, size: Size) -> tuple[str, ...]:
    """A note on a target that must be enlarged for a result of this size, if it must."""
    scale = min(size) / min(target.width, target.height)
    return (f"{target.name}: enlarged {scale:.1f} times, the result cannot be sharper",) if scale >= ENLARGED else ()


def alpha_of(picture: Picture, size: Size) -> Tensor | None:
    """The picture's alpha at another size, (1, 1, H, W) in [0, 1]; None where it has none."""
    return None if picture.alpha is None else resize(alpha_to_tensor(picture), size.shape).clamp(0, 1)


def with_alpha(picture: Picture) -> Tensor:
    """The colours, (1, 3, H, W) in [-1, 1], and alpha as a fourth channel if there is any: a part of each patch."""
    colours = to_tensor(picture)
    return colours if picture.alpha is None else torch.cat([colours, alpha_to_tensor(picture) * 2 - 1], 1)


def without_alpha(result: Tensor, picture: Picture, verb: str) -> Picture:
    """The picture of a result (1, 3 or 4, H, W), whose fourth channel is alpha; it is named after its verb."""
    alpha = (result[:, 3:] + 1) / 2 if result.shape[1] == 4 else None
    name = f"{verb} of {picture.name}"
    made = from_tensor(result[:, :3], alpha=None if alpha is None else alpha.clamp(0, 1), name=name)
    return replace(made, notes=notes_of(picture))
