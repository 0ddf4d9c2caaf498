"""Frames of a video resampled through a time map to an even rate: the nearest ones, or the mean of those in between.

The output's frame n is shown from n/rate s on, counted from the first source frame's time in the output.  Both kinds
begin with the first source frame and end with the last one, hold what the decoder gives for no longer than they need
it, and last within one frame as long as the map says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import av
import numpy as np

from structkit.media.timing import TimeMap
from structkit.media.video import Frame, StoredFrame

# Of an output frame: the source frame that is due there is shown.  In the middle pictures would be as often early as
# late; a little before it, no common speed (1.5, 2, 3, 4) has source frames begin so near that stamps decide by chance.
DUE = Fraction(19, 50)
LEVELS = 2**16  # of light, in the table that turns it back into shades

Converter = Callable[[av.VideoFrame], np.ndarray]


@dataclass(frozen=True, eq=False)
class MappedFrame:
    """A source frame and when the output shows it.

    start, end: s of the output.
    """

    frame: StoredFrame
    start: Fraction
    end: Fraction


def mapped(frames: Iterable[StoredFrame], timing: TimeMap, usual: Fraction) -> Iterator[MappedFrame]:
    """The frames at their places in the output.

    usual: the duration, s, of a single frame that tells none; a last one lasts as long as the one before.
    """
    gap = usual
    for frame in frames:
        gap = frame.duration or gap
        yield MappedFrame(frame, timing.at(frame.time), timing.at(frame.time + gap))


def nearest(frames: Iterable[MappedFrame], rate: Fraction, convert: Converter) -> Iterator[Frame]:
    """For each output frame the source frame that is due about its middle, with that frame's own time in the input.

    Never backwards, and none twice but one that is due for longer than 1/rate s.
    """
    chosen = _chosen(frames, rate)
    held, pixels = next(chosen), None
    for following in chosen:
        pixels = convert(held.picture) if pixels is None else pixels
        yield Frame(pixels, held.time)
        if following is not held:
            held, pixels = following, None
    yield Frame(convert(held.picture) if pixels is None else pixels, held.time)


def _chosen(frames: Iterable[MappedFrame], rate: Fraction) -> Iterator[StoredFrame]:
    """The source frame of each output frame."""
    step, origin, count = 1 / rate, None, 0
    shown: StoredFrame | None = None  # of the last output frame, which is held back: the last source frame may need it
    previous: MappedFrame | None = None
    for following in frames:
        if previous is None:
            origin, previous = following.start, following
            continue
        until = following.start - DUE * step
        while count == 0 or origin + count * step < until:  # the first frame is shown in any case
            if shown:
                yield shown
            shown, count = previous.frame, count + 1
        previous = following
    total = max(count, 1, round((previous.end - origin) * rate))
    if count == total > 1:  # a single frame is the first one
        yield previous.frame
        return
    if shown:
        yield shown
    yield from [previous.frame] * (total - count)


def blended(frames: Iterable[MappedFrame], rate: Fraction, convert: Converter) -> Iterator[Frame]:
    """For each output frame the mean light of the source frames that are shown within its 1/rate s.

    Such a frame is what a camera sees whose shutter stays open all the time.  Its time is that of the source frame that
    is shown longest.
    """
    step, begin = 1 / rate, None
    done: Exposure | None = None
    current = Exposure()
    for frame in frames:
        begin = frame.start if begin is None else begin
        pixels = None
        while frame.end > begin:
            end = begin + step
            if (share := min(frame.end, end) - max(frame.start, begin)) > 0:
                pixels = convert(frame.frame.picture) if pixels is None else pixels
                current.add(pixels, share * rate, frame.frame.time)
            if frame.end < end:
                break
            if done:
                yield done.frame()
            done, current, begin = current, Exposure(), end
    if done is None or current.total >= Fraction(1, 2):
        if done:
            yield done.frame()
        done = current
    elif current.total:  # too short for a frame of its own
        done.join(current)
    yield done.frame() if done.total else Frame(convert(frame.frame.picture), frame.frame.time)


class Exposure:
    """The light of frames that are shown one after the other, summed up for one picture.

    total: of the shares that were added.
    """

    def __init__(self) -> None:
        self.total = Fraction(0)
        self._light: np.ndarray | None = None  # (H, W, 3) float32, made when there is a second frame
        self._longest: tuple[Fraction, Fraction, np.ndarray | None] = (Fraction(0), Fraction(0), None)

    def add(self, pixels: np.ndarray, share: Fraction, time: Fraction) -> None:
        """Add a frame, (H, W, 3) uint8, that is shown for this share of the whole."""
        if self._light is None and self.total:
            self._light = _lit(self._longest[2], self.total)
        if self._light is not None:
            self._light += _lit(pixels, share)
        self.total += share
        if share > self._longest[0]:
            self._longest = share, time, pixels

    def join(self, other: Exposure) -> None:
        """Add what another one has seen."""
        mine, others = (_lit(one._longest[2], one.total) if one._light is None else one._light for one in (self, other))
        self._light = mine + others
        self.total += other.total
        self._longest = max(self._longest, other._longest, key=lambda seen: seen[0])

    def frame(self) -> Frame:
        """The mean of what was added, at the time of the frame that was shown longest."""
        _, time, pixels = self._longest
        if self._light is None:
            return Frame(pixels, time)
        self._light *= (LEVELS - 1) / float(self.total)
        self._light += 0.5
        np.minimum(self._light, LEVELS - 1, out=self._light)
        return Frame(np.take(shades(), self._light.astype(np.uint16), mode="clip"), time)


def _lit(pixels: np.ndarray, share: Fraction) -> np.ndarray:
    """The light of a frame that is shown for a share of the whole, (H, W, 3) float32."""
    lit = np.take(light(), pixels)
    lit *= float(share)
    return lit


@cache
def light() -> np.ndarray:
    """The light, 0 to 1 float32, of each of the 256 shades: sRGB, IEC 61966-2-1."""
    shade = np.arange(256) / 255
    return np.where(shade <= 0.04045, shade / 12.92, ((shade + 0.055) / 1.055) ** 2.4).astype(np.float32)


@cache
def shades() -> np.ndarray:
    """The nearest of the 256 shades, uint8, for each of the levels of light."""
    level = np.arange(LEVELS) / (LEVELS - 1)
    shade = np.where(level <= 0.0031308, 12.92 * level, 1.055 * level ** (1 / 2.4) - 0.055)
    return np.rint(255 * shade).astype(np.uint8)
