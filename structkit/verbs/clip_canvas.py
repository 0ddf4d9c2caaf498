"""The clip that new ones are made of, at the size in which they are made."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from structkit.configs import LEAST_FRAMES, MAX_CLIP_SIDE
from structkit.errors import InputError
from structkit.media.containers import is_video
from structkit.media.moving_pictures import Clip, fitted_clip, read_clip
from structkit.media.pictures import Picture, read_picture
from structkit.media.tensors import filled, from_tensor
from structkit.media.video_writer import RATE
from structkit.verbs.canvas import ENLARGED, Size, result_size

if TYPE_CHECKING:
    from structkit.media.moving_pictures import SizedMedia

    ClipLike = Clip | str | Path


def material(clip: ClipLike | bytes, size: tuple[int, int] | None, max_side: int | None, **reading: Any) -> Clip:
    """The clip that new ones are made of, at the scale of the result.

    The scale is the clip's own, reduced to `max_side`, unless a result of this size would be larger, or smaller, along
    both sides; then patches are of a larger, or smaller, clip.
    reading: name, limits and tolerance, as `read_clip` has them.
    Raises InputError, OptionError.
    """
    notes: list[str] = []

    def fit(shown: SizedMedia) -> Size:
        if size is None:
            width, height = result_size(shown, None, max_side or MAX_CLIP_SIDE)
            return Size(width - width % 2, height - height % 2)
        own = scaled(shown, min(1.0, (max_side or MAX_CLIP_SIDE) / max(shown.width, shown.height)))
        wider, higher = (new / old for new, old in zip(result_size(shown, size, None), own, strict=True))
        made = scaled(own, max(min(wider, higher), min(1.0, max(wider, higher))))
        if abs(made.width - shown.width) <= 1 and abs(made.height - shown.height) <= 1:
            return Size(shown.width, shown.height)
        if (by := made.width / shown.width) >= ENLARGED:
            notes.append(f"enlarged {by:.1f} times, the result cannot be sharper")
        return made

    one = fitted_clip(clip, fit) if isinstance(clip, Clip) else read_clip(checked(clip), fit=fit, **reading)
    if one.count < LEAST_FRAMES:
        fact = f"{one.count} frame{'s' * (one.count > 1)}, and a clip needs {LEAST_FRAMES} at least"
        raise InputError(f"{one.name}: {fact}; give a longer one, or draw from a picture with structkit sample")
    return replace(one, notes=(*one.notes, *notes))


def still(picture: ClipLike | Picture | bytes, **reading: Any) -> Clip:
    """A picture, or the first frame of a clip, as a clip of one frame.

    reading: name, limits and tolerance, as `read_picture` has them.
    Raises InputError.
    """
    reading = {name: value for name, value in reading.items() if value is not None}
    if isinstance(picture, Picture):
        given: Clip | Picture = picture
    elif isinstance(picture, Clip) or is_video(picture):
        given = checked(picture) if isinstance(picture, Clip) else read_clip(picture, frames=2, **reading)
    else:
        given = read_picture(checked(picture), **reading)  # type: ignore[arg-type]
    if isinstance(given, Picture):
        return Clip(from_tensor(filled(given)).pixels[None], RATE, given.name, given.notes)
    first = ("only its first frame is used: the model is of a picture",) if given.count > 1 else ()
    return replace(given, frames=given.frames[:1], notes=(*given.notes, *first))


def checked(clip: Any) -> Any:
    """The same, if it is a clip, or stands for a file.  Raises InputError."""
    if isinstance(clip, Clip | str | os.PathLike | bytes) or hasattr(clip, "read"):
        return clip
    raise InputError(f"{type(clip).__name__}, where a clip is needed: give a Clip, or the path of one")


def scaled(shown: SizedMedia | Size, by: float) -> Size:
    """The size, scaled, each side at least 1 px."""
    return Size(max(1, round(shown.width * by)), max(1, round(shown.height * by)))
