"""A whole video through a time map: its pictures resampled, its sound, subtitles and chapters in step with them.

Everything streams: an hour takes no more memory than a minute.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice, pairwise
from math import ceil
from pathlib import Path
from statistics import median_low
from typing import BinaryIO

import av
import numpy as np

from structkit.errors import OptionError
from structkit.media.resampling import blended, mapped, nearest
from structkit.media.tags import is_cover
from structkit.media.timing import TimeMap
from structkit.media.video import LONGEST_HOLD, Frame, VideoReader
from structkit.media.video_writer import RATE, VideoWriter

RESAMPLE = ("nearest", "blend", "vfr")
TRUSTED = 60  # frames a second; of containers that know no rate some state as much as 1000
HELD = 0.45  # of the usual rate: an average below it comes from pictures that are held, not from those that move
MEASURED = 250  # packets, whose steps tell the usual rate
FINEST = 1001  # parts of a second that a rate counts in
ALIKE = 0.001  # the difference of two rates that are one
LEAST = 10  # frames a second, at least: the length of the whole is a whole number of frames
COMMON = (*(Fraction(1000 * rate, 1001) for rate in (24, 30, 60, 120)), *map(Fraction, (24, 25, 30, 50, 60, 120)))

Paint = Callable[[np.ndarray, Fraction], np.ndarray]


@dataclass(frozen=True)
class RetimedVideo:
    """The facts of a video that was retimed.

    frames: their number.
    seconds: how long they last in the file.
    notes: on what differs from the input, one line each, those of the reader too.
    """

    frames: int
    seconds: Fraction
    notes: tuple[str, ...]


def retime(
    video: VideoReader,
    output: str | Path | BinaryIO,
    timing: TimeMap,
    *,
    resample: str = "nearest",
    audio: str = "stretch",
    rate: Fraction | None = None,
    max_side: int | None = None,
    quality: int | None = None,
    paint: Paint | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> RetimedVideo:
    """Write a video whose moments are shown at other times.

    output: .mp4, .mov, .mkv or .webm, whole or not at all; a binary stream gets an MP4.
    timing: from the input's times to the output's.
    resample: "nearest" shows source frames at an even rate: one never twice where nothing is slowed down, and the first
    and the last one always.  "blend" shows the mean light of those within each frame's time.  "vfr" keeps all of them,
    each at its own time, but those whose time is less than a tick of the file.
    audio: "stretch" keeps the pitch, "varispeed" plays sound like a tape, "drop" leaves it out.
    rate: frames a second of the first two; None: that of `even_rate`.
    max_side: px, to which the longer side is reduced.
    quality: 1 to 100, of the encoding.
    paint: a function from a frame's pixels, (H, W, 3) uint8, and its time in the input, s, to the pixels to be shown.
    progress: called after each frame, with the share done as far as the container tells how long the video is.
    Under "nearest" and "blend" the file lasts a whole number of frames, within one frame of what the map says.
    A map that only shifts keeps every frame and copies sound, if no rate is asked for.
    Raises InputError (also for damage on the way, then nothing is left of the output), OptionError and OutputError.
    """
    if resample not in RESAMPLE:
        raise OptionError(f"{resample} is no way to resample; choose {', '.join(RESAMPLE)}")
    if max_side is not None and max_side < 2:
        raise OptionError(f"a longest side of {max_side} pixels; it must be 2 at least")
    if rate is not None and rate <= 0:
        raise OptionError(f"{rate} frames a second; it must be more than 0")
    size, count, start = _size(video, max_side), 0, timing.at(video.start)
    convert = video.converter(size, encodable=paint is None and resample != "blend")
    is_even = resample != "vfr" and (timing.shift is None or rate is not None)
    with closing(video.stored_frames(LONGEST_HOLD)) as stored:
        if is_even:
            rate = even_rate(video) if rate is None else Fraction(rate).limit_denominator(FINEST)
            resampled = blended if resample == "blend" else nearest
            frames = resampled(mapped(stored, timing, 1 / rate), rate, convert)
            how = {"beside": timing, "rate": rate}
        else:
            frames = (Frame(convert(frame.picture), frame.time, frame.duration) for frame in stored)
            how = {"timing": timing}
        writer = VideoWriter(output, width=size[0], height=size[1], like=video, quality=quality, audio=audio, **how)
        with writer:
            for frame in frames:
                shown = replace(frame, pixels=paint(frame.pixels, frame.time)) if paint else frame
                writer.write(replace(shown, time=start + count / rate, duration=1 / rate) if is_even else shown)
                count += 1
                if progress:
                    progress(_share(video, frame.time), f"frame {count}")
    return RetimedVideo(writer.frames, writer.seconds, (*video.notes, *writer.notes))


def even_rate(video: VideoReader) -> Fraction:
    """The rate, frames a second, at which a video's frames come: its average where it varies.

    Where frames are held so long that the average is less than half of what is usual between them, it is the usual one.
    A rate within a thousandth of one in common use is that one.  One below 10, as of slides, is multiplied until it is
    10 or more, so that a slide that is shown for a shorter time is not left out.
    """
    rate, usual = video.rate or RATE, _usual_rate(video)
    if usual and (rate > TRUSTED or rate < HELD * usual):
        rate = min(usual, max(rate, TRUSTED))
    close = [common for common in COMMON if abs(rate / common - 1) < ALIKE]
    if close:
        return min(close, key=lambda common: abs(rate - common))
    rate = Fraction(rate).limit_denominator(FINEST)
    return rate * ceil(LEAST / rate) if rate else Fraction(LEAST)


def _usual_rate(video: VideoReader) -> Fraction | None:
    """The rate of the median step between the first packets; None where their times do not tell."""
    with video.demuxer() as container:
        stream = next(s for s in container.streams.video if not is_cover(s))
        try:
            packets = islice((packet for packet in container.demux(stream) if packet.size), MEASURED)
            times = sorted(packet.dts if packet.pts is None else packet.pts for packet in packets)
        except (av.FFmpegError, ValueError, TypeError):
            return None
        steps = [b - a for a, b in pairwise(times) if b > a]
        return 1 / (median_low(steps) * stream.time_base) if steps else None


def _size(video: VideoReader, max_side: int | None) -> tuple[int, int]:
    """The size of the output's frames, (width, height) px: even where they are reduced."""
    sides, longer = (video.width, video.height), max(video.width, video.height)
    if max_side is None or max_side >= longer:
        return sides
    width, height = (max(2, 2 * round(side * max_side / longer / 2)) for side in sides)
    return width, height


def _share(video: VideoReader, time: Fraction) -> float:
    """The share of a video that lies before a time, s, as far as the container tells how long it is; else 0."""
    end = video.end or video.duration
    return float(min(1, max(0, (time - video.start) / (end - video.start)))) if end and end > video.start else 0.0
