"""Samples of a video on a regular grid of times, small: what analysis looks at.

The frames are reduced while they are decoded, so that no full picture is ever converted, and a sample costs little more
than its decoding.  Time stamps alone decide which frame is a sample: a video of 60 frames a second, one of 12.5, and
one whose rate varies all give the same number of samples a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil

import numpy as np

from structkit.media.cuts import CutFinder
from structkit.media.files import Source
from structkit.media.video import LONGEST_HOLD, MAX_PIXELS, VideoReader

RATE = Fraction(25)  # samples a second
# Of a cell, from its begin: where its frame is looked up.  The begins of frames of 25 and of 50 a second lie farthest
# from there, so that time stamps that jitter show no frame twice.
LOOKED_UP = Fraction(1, 4)


@dataclass(frozen=True, eq=False)
class SampledFrame:
    """A sample of a video.

    pixels: (h, w, 3) uint8 RGB, upright, square pixels.
    repeated: the source frame of the sample before, or an exact duplicate of it.
    cut: the first sample behind a scene cut.
    """

    pixels: np.ndarray
    repeated: bool = False
    cut: bool = False


class SampledVideo:
    """A video as one small frame for each 1/rate s, from its first frame's time to the end of its last.

    May be iterated again and again, in constant memory.  Each sample is the source frame that is shown at its time, or
    up to a quarter of 1/rate later; a rest at the end that is shorter than that has no sample.
    source: as `VideoReader` takes it, or a `VideoReader`.
    side: px, to which the short side is reduced (by area); smaller videos keep their size.
    rate: samples a second.
    max_pixels, tolerant, name: as `VideoReader` takes them.
    reader: the `VideoReader`.
    start, end: s, where the first frame begins, and where the last one ends.
    count: of samples.
    `end` and `count` are those that the container states, or None, until one iteration has come to its end.
    Raises InputError as `VideoReader` does.
    """

    def __init__(
        self,
        source: Source | VideoReader,
        *,
        side: int,
        rate: Fraction = RATE,
        max_pixels: int | None = None,
        tolerant: bool = False,
        name: str | None = None,
    ) -> None:
        limit = MAX_PIXELS if max_pixels is None else max_pixels
        self.reader = (
            source
            if isinstance(source, VideoReader)
            else VideoReader(source, name=name, max_pixels=limit, tolerant=tolerant)
        )
        self.side, self.rate = side, Fraction(rate)
        self.start, self.end = self.reader.start, self.reader.end

    @property
    def count(self) -> int | None:
        """The number of samples, at least one."""
        return None if self.end is None else max(1, ceil((self.end - self.start) * self.rate - LOOKED_UP))

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes of the reader."""
        return self.reader.notes

    def __iter__(self) -> Iterator[SampledFrame]:
        cuts = CutFinder()
        waiting: list[SampledFrame] = []  # until what follows has told whether there is a cut
        with closing(self._samples()) as samples:
            for pixels, repeated in samples:
                waiting.append(SampledFrame(pixels, repeated))
                yield from _told(waiting, cuts.push(pixels, repeated))
        yield from _told(waiting, cuts.finish())

    def _samples(self) -> Iterator[tuple[np.ndarray, bool]]:
        """The pixels of each sample, and whether they are those of the sample before."""
        width, height = self.reader.width, self.reader.height
        share = min(Fraction(1), Fraction(self.side, min(width, height)))
        convert = self.reader.converter((max(1, round(width * share)), max(1, round(height * share))))
        gap = 1 / (self.reader.rate or self.rate)
        frame, shown, number = None, None, 0
        with closing(self.reader.stored_frames(LONGEST_HOLD)) as frames:
            for frame in frames:
                gap = frame.duration or gap
                end = frame.time + gap
                fresh = None
                while self.start + (number + LOOKED_UP) / self.rate < end:
                    if fresh is None:
                        fresh, before = convert(frame.picture), shown
                        yield fresh, before is not None and np.array_equal(fresh, before)
                    else:
                        yield fresh, True
                    shown, number = fresh, number + 1
        if number == 0:  # the whole video is shorter than that
            yield convert(frame.picture), False
        self.end = end


def _told(waiting: list[SampledFrame], cuts: list[bool]) -> Iterator[SampledFrame]:
    """The samples that have been told whether a cut is before them; they wait no longer."""
    for cut in cuts:
        frame = waiting.pop(0)
        yield replace(frame, cut=True) if cut else frame
