"""Clips: short moving pictures that are in memory as a whole, and the tensors that engines make of them.

A clip comes from a video of any container that is read, or from an animated GIF, WebP, PNG or AVIF, and goes out as a
video (H.264, VP9 in WebM) or as an animated picture.  Its frames are evenly spaced, and it has no sound.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import accumulate, chain
from numbers import Integral, Real
from pathlib import Path
from statistics import median_low
from typing import BinaryIO, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from structkit.configs.media import MAX_FRAME_PIXELS, MAX_PIXELS
from structkit.errors import DeviceError, InputError, OptionError, OutputError
from structkit.media import containers, formats
from structkit.media.animations import COPY, TICKS, AnimationReader, encode_animation, is_animated
from structkit.media.files import MOST_IN_MEMORY, Source, open_source, read_once, read_pieces, write_atomically
from structkit.media.tensors import from_tensor, to_range
from structkit.media.video import Frame, VideoReader
from structkit.media.video_writer import RATE, VideoWriter

MOST_BYTES = MOST_IN_MEMORY  # of the frames of a clip
MOST_HELD = 4  # times that an animated picture's frame is repeated, which its file shows as long as so many
UNEVEN = Fraction(1, 4)  # of the time from one frame to the next, by which frames may be off that are evenly spaced
RATES = 1001  # the largest denominator of a frame rate
STATED = Fraction(1, 100)  # by which the rate that a file states may differ from that of its frames


class SizedMedia(Protocol):
    """A video, an animated picture or a clip: a name for messages, and the size of its frames, px."""

    name: str

    @property
    def width(self) -> int: ...

    @property
    def height(self) -> int: ...


Fit = Callable[[SizedMedia], tuple[int, int]]


@dataclass(frozen=True, eq=False)
class Clip:
    """A clip.

    frames: (T, H, W, 3) uint8, sRGB over the full range; at least one.
    rate: frames a second.
    name: the clip's name in messages.
    notes: changes on the way in, one line each.
    """

    frames: np.ndarray
    rate: Fraction
    name: str = "clip"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        f = self.frames
        if not isinstance(f, np.ndarray):
            raise InputError(f"{self.name}: frames are of type {type(f).__name__}; they must be an array (T, H, W, 3)")
        if f.dtype != np.uint8 or f.ndim != 4 or f.shape[3] != 3 or 0 in f.shape:
            raise InputError(f"{self.name}: frames are {f.dtype} {f.shape}; they must be uint8 (T, H, W, 3), not empty")
        if not (isinstance(self.rate, Real) and 0 < self.rate < math.inf):
            raise InputError(f"{self.name}: {self.rate} frames a second; it must be a number more than 0")

    @property
    def count(self) -> int:
        """The number of frames."""
        return self.frames.shape[0]

    @property
    def height(self) -> int:
        return self.frames.shape[1]

    @property
    def width(self) -> int:
        return self.frames.shape[2]


def read_clip(
    source: Source | VideoReader,
    *,
    name: str | None = None,
    first: int = 0,
    frames: int | None = None,
    side: int | None = None,
    fit: Fit | None = None,
    max_pixels: int | None = None,
    tolerant: bool = False,
) -> Clip:
    """Read a clip from a video, or from an animated GIF, WebP, PNG or AVIF, recognised by its content.

    source: a path, the file's bytes, a binary stream (read to its end) or a `VideoReader`, which stays open.
    name: the clip's name in messages.
    first: the number of frames that are passed over.
    frames: the number that is read at most; None is all.
    side: the longest side, px, to which each frame is reduced as it comes; a smaller one stays.
    fit: in its place, gives the size of the frames, (width, height) in px, from what has a name, a width and a height.
    max_pixels: of a frame in the file; None is the usual limit of videos, or of pictures.
    tolerant: a file that is damaged behind its first frame is read up to there, with a note.
    Turned videos come upright and with square pixels.  Frames at uneven times are taken as evenly spaced at their mean
    rate, with a note; so are those of animated pictures, but for one that stays a few times as long as the others,
    which is repeated, and one that stays longer than that, whose pause is left out, with a note.
    Raises InputError: missing, no video, a still picture, without a frame from `first` on, damaged, truncated, over
    `max_pixels`, or more than 2 GiB of frames; OptionError; DeviceError where memory does not suffice.
    """
    counts = (first + 1 if isinstance(first, Integral) else first, frames, side)
    if not all(count is None or (isinstance(count, Integral) and count > 0) for count in counts):
        raise OptionError(
            f"first {first}, frames {frames}, side {side}: whole numbers, 0 or more, 1 or more, 1 or more"
        )
    fit = fit or (None if side is None else lambda shown: reduced_size(shown, side))
    label = name or (source.name if isinstance(source, VideoReader) else None)
    try:
        if isinstance(source, VideoReader):
            return _of_video(nullcontext(source), first, frames, fit)
        opened = _opened(source, label, max_pixels, tolerant)
        if isinstance(opened, AnimationReader):
            return _of_animation(opened, first, frames, fit)
        return _of_video(opened, first, frames, fit)
    except MemoryError as error:
        fact = "memory ran out while it was read; free some, or read fewer or smaller frames"
        named = label or (source if isinstance(source, str | os.PathLike) else "a clip")
        raise DeviceError(f"{named}: {fact}") from error


def write_clip(
    clip: Clip, path: str | Path, *, format: str | None = None, quality: int | None = None
) -> tuple[str, ...]:
    """Write a clip atomically; returns the differences between the file and the clip, one line each.

    path: .mp4, .m4v, .mov, .mkv or .webm, or an animated .gif, .webp or .png.
    format: the suffix that the name would have, where an animated picture's has none; else that of the name.
    quality: 1 to 100, of a video, or of a WebP, which is without loss by default; refused elsewhere.
    Raises OutputError (suffix, folder, disk), OptionError (quality).
    """
    suffix = Path(path).suffix.lower()
    kind = format.lower().removeprefix(".") if format else suffix.removeprefix(".")
    if f".{kind}" not in (*formats.ANIMATED, *containers.WRITTEN, *containers.VIDEO_SUFFIXES):
        ends = " ".join((*containers.WRITTEN, *formats.ANIMATED))
        raise OutputError(f"{path}: unknown format of clips; end the name in one of {ends}")
    if suffix != f".{kind}" and (suffix or not is_animation(kind)):
        raise OutputError(f"{path}: the name of a clip says its format; end it in .{kind}")
    if is_animation(kind):
        data, notes = encode_animation(clip.frames, clip.rate, kind, quality=quality, name=str(path))
        write_atomically(path, data)
        return notes
    return write_video(clip.frames, clip.rate, path, quality=quality)[1]


def is_animation(format: str) -> bool:
    """True for the format, by its suffix without dot, of an animated picture that is written."""
    return f".{format.lower()}" in formats.ANIMATED


def write_video(
    frames: Iterable[np.ndarray],
    rate: Fraction,
    where: str | Path | BinaryIO,
    *,
    quality: int | None = None,
    format: str = "mp4",
) -> tuple[int, tuple[str, ...]]:
    """Write evenly spaced frames as a silent video; returns their number and the writer's notes.

    frames: (H, W, 3) uint8 each, all of one shape.
    where, quality: as for `VideoWriter`.
    format: of a stream, by the suffix that its name would have, without the dot.
    Raises InputError where there is no frame, or one of another shape; OutputError, OptionError.
    """
    coming, count = iter(frames), 0
    first = next(coming, None)
    if first is None:
        label = where if isinstance(where, str | Path) else "the clip"
        raise InputError(f"{label}: no frames to write; a video has at least one")
    height, width = first.shape[:2]
    if not isinstance(where, str | Path) and format != "mp4":  # of a stream the writer makes an MP4
        with tempfile.TemporaryDirectory(prefix="structkit-") as folder:
            path = Path(folder, f"video.{format}")
            written = write_video(chain([first], coming), rate, path, quality=quality)
            where.write(path.read_bytes())
        return written
    with VideoWriter(where, width=width, height=height, rate=rate, quality=quality) as writer:
        for pixels in chain([first], coming):
            writer.write(Frame(pixels, count / rate, 1 / rate))
            count += 1
    return count, writer.notes


def clip_tensor(clip: Clip) -> Tensor:
    """The frames of a clip, (1, 3, T, H, W) float32 in [-1, 1]."""
    unit = torch.from_numpy(clip.frames.astype(np.float32) / np.float32(255))
    return to_range(unit).permute(3, 0, 1, 2)[None].contiguous()


def clip_of(tensor: Tensor, *, rate: Fraction, name: str = "clip", notes: tuple[str, ...] = ()) -> Clip:
    """A clip from (1, 3, T, H, W) or (3, T, H, W) in [-1, 1]; values outside are clamped, halves round up.

    `clip_of(clip_tensor(c), rate=c.rate)` has c's frames, level for level.
    Raises StructkitError for NaN or infinity, OptionError for a shape that a clip cannot have.
    """
    if tensor.ndim not in (4, 5) or tensor.shape[-4] != 3 or (tensor.ndim == 5 and len(tensor) != 1):
        shape = tuple(tensor.shape)
        raise OptionError(f"{name}: a tensor of shape {shape}; a clip is (1, 3, T, H, W) or (3, T, H, W)")
    frames = tensor.reshape(tensor.shape[-4:]).unbind(1)
    return Clip(np.stack([from_tensor(frame, name=name).pixels for frame in frames]), rate, name, notes)


def _opened(source: Source, name: str | None, max_pixels: int | None, tolerant: bool) -> VideoReader | AnimationReader:
    """The reader of a file, by its first bytes."""
    is_path = isinstance(source, str | os.PathLike)
    with open_source(source, name) as (label, stream):
        head = read_pieces(stream, containers.HEAD)
        format = None if formats.foreign(head, label) else formats.recognise(head)
        if format is None:
            containers.identify(label, head)
        data = None if format is None and is_path and stream.seekable() else read_once(stream, label, head)
    if format is None:
        video = source if data is None else data
        return VideoReader(video, name=label, max_pixels=max_pixels or MAX_FRAME_PIXELS, tolerant=tolerant)
    moves = is_animated(data, format)
    if moves is None:
        raise InputError(f"{label}: damaged or truncated {format.label}; {COPY}")
    if not moves:
        fact = f"a still {format.label} picture, where a clip is needed"
        raise InputError(f"{label}: {fact}; name a video, or an animated GIF, WebP, PNG or AVIF")
    return AnimationReader(data, format, label, max_pixels or MAX_PIXELS, tolerant)


def _of_video(opened: AbstractContextManager[VideoReader], first: int, most: int | None, fit: Fit | None) -> Clip:
    with opened as reader:
        stack = _Stack(reader, first, most, fit)
        times: list[Fraction] = []
        for frame in reader:
            if stack.add(frame.pixels):
                times.append(frame.time)
            if stack.is_full:
                break
        rate, notes = _rate(times, Fraction(2, 1000), reader.rate)
        return Clip(stack.frames(), rate, reader.name, (*reader.notes, *notes))


def _of_animation(reader: AnimationReader, first: int, most: int | None, fit: Fit | None) -> Clip:
    skipped = first // MOST_HELD  # frames of the file, whose repetitions are passed over for certain
    stack, durations = _Stack(reader, skipped, None if most is None else first - skipped + most, fit), []
    for pixels, duration in reader:  # to its end: the rate is that of all
        stack.add(pixels)
        durations.append(duration)
    counts, rate, notes = _evened(durations, TICKS[reader.format.name])
    shown = [at for at, count in enumerate(counts, -skipped) for _ in range(count)]
    if len(shown) <= first:
        raise _none_left(reader.name, len(shown), first)
    frames = stack.frames(shown[first : None if most is None else first + most])
    return Clip(frames, rate, reader.name, (*reader.notes, *notes))


def _evened(durations: Sequence[Fraction], tick: Fraction) -> tuple[list[int], Fraction, tuple[str, ...]]:
    """The numbers of evenly spaced frames that stored ones stand for, their rate, and notes.

    durations: of the stored frames, s.
    tick: the file's unit of them, s.
    """
    if not durations:
        return [], RATE, ()
    usual = median_low(durations)
    pauses = [duration for duration in durations if duration > MOST_HELD * usual]
    notes = (f"a pause of {float(max(pauses)):.3g} s is left out",) if pauses else ()
    steady = [usual if duration > MOST_HELD * usual else duration for duration in durations]
    held = [round(duration / min(steady)) for duration in steady]
    off = max(abs(duration - times * min(steady)) for duration, times in zip(steady, held, strict=True))
    if off <= tick / 10 and 1 < max(held) <= MOST_HELD:  # as equal frames in a row are stored
        return held, (1 / min(steady)).limit_denominator(RATES), notes
    rate, more = _rate(list(accumulate(steady, initial=Fraction(0))), tick, None)
    return [1] * len(steady), rate, (*notes, *more)


class _Stack:
    """The frames of a clip as they come in, each reduced at once."""

    def __init__(self, shown: VideoReader | AnimationReader, first: int, most: int | None, fit: Fit | None) -> None:
        self.shown, self.name, self.most, self.fit = shown, shown.name, most, fit
        self._left, self._first, self._frames = first, first, []
        self._size: tuple[int, int] | None = None

    @property
    def is_full(self) -> bool:
        return len(self._frames) == self.most

    def add(self, pixels: np.ndarray) -> bool:
        """Take the next frame, if it is not passed over, and there is room; true if it is taken."""
        if self.is_full:
            return False
        if self._left:
            self._left -= 1
            return False
        if self._size is None and self.fit:
            self._size = self.fit(self.shown)
        self._frames.append(fitted(pixels, self._size))
        self._check(len(self._frames))
        return True

    def frames(self, places: Sequence[int] | None = None) -> np.ndarray:
        """The frames, (T, H, W, 3): those in these places, which may come again, or all.  Raises InputError."""
        if not self._frames:
            raise _none_left(self.name, self._first - self._left, self._first)
        if places is None:
            return np.stack(self._frames)
        self._check(len(places))
        return np.stack([self._frames[place] for place in places])

    def _check(self, count: int) -> None:
        if count * self._frames[0].nbytes > MOST_BYTES:
            fact = f"over {MOST_BYTES >> 30} GiB of frames in memory after {count} of them"
            raise InputError(f"{self.name}: {fact}, the limit for a clip; cut it shorter, or reduce its frames more")


def _none_left(name: str, count: int, first: int) -> InputError:
    """The error of a file of so many frames, of which the first ones are passed over."""
    fact = f"{count} frames, and the first {first} are to be passed over" if first else "no frames"
    return InputError(f"{name}: {fact}; a clip has at least one")


def reduced_size(shown: SizedMedia, side: int) -> tuple[int, int]:
    """The size, (width, height) px, whose longer side is `side` at most; the other follows, to the nearest px."""
    scale = min(1.0, side / max(shown.width, shown.height))
    return max(1, round(shown.width * scale)), max(1, round(shown.height * scale))


def fitted(pixels: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """A frame, (H, W, 3) uint8, in another size, (width, height) px; one that is a pixel too large is cut."""
    height, width = pixels.shape[:2]
    if size is None or size == (width, height):
        return pixels
    if size[0] in (width - 1, width) and size[1] in (height - 1, height):
        return np.ascontiguousarray(pixels[: size[1], : size[0]])
    return np.array(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))


def fitted_clip(clip: Clip, fit: Fit) -> Clip:
    """A clip in memory, in another size."""
    size = fit(clip)
    return (
        clip
        if size == (clip.width, clip.height)
        else replace(clip, frames=np.stack([fitted(f, size) for f in clip.frames]))
    )


def _rate(times: Sequence[Fraction], tick: Fraction, stated: Fraction | None) -> tuple[Fraction, tuple[str, ...]]:
    """The rate of frames that begin at these times, s, and the notes on it.

    tick: by which a time may be off, s.
    stated: the rate that the file states.
    """
    if len(times) < 2:
        return stated or RATE, ()
    gap = (times[-1] - times[0]) / (len(times) - 1)
    off = max(abs(time - times[0] - number * gap) for number, time in enumerate(times))
    rate = max((1 / gap).limit_denominator(RATES), Fraction(1, RATES))
    if stated and abs(stated * gap - 1) <= STATED:
        rate = stated.limit_denominator(RATES)
    uneven = f"frames at uneven times: taken as evenly spaced, {float(rate):.4g} a second"
    return rate, (uneven,) if off > max(tick, UNEVEN * gap) else ()
