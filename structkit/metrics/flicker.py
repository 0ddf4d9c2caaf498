"""Flicker: the calm of a painted video beside that of the video that it was painted from."""

from collections.abc import Iterable
from itertools import zip_longest

import numpy as np

from structkit.errors import InputError
from structkit.media.video import Frame


class FlickerTally:
    """The change from frame to frame of a video and of its source, added up frame by frame; one frame of each is kept.

    Frames of (H, W, 3) uint8; output and source may differ in size.
    """

    def __init__(self) -> None:
        self.count = 0  # number of frames
        self._change = [0.0, 0.0]  # sums, of the output and of the source
        self._before: tuple[Frame, Frame] | None = None

    def add(self, output: Frame, source: Frame) -> None:
        """Take in one more frame of each.  Raises InputError for a size that changes."""
        if self._before:
            for i, (before, after) in enumerate(zip(self._before, (output, source), strict=True)):
                self._change[i] += _difference(before, after)
        self._before, self.count = (output, source), self.count + 1

    @property
    def flicker(self) -> float:
        """The output's change over the source's.

        Where the source stands still: 1 if the output does too, else infinity.
        Raises InputError for fewer than 2 frames.
        """
        if self.count < 2:
            raise InputError("flicker: fewer than 2 frames; it is measured from one frame to the next")
        out, source = self._change
        if source == 0:
            return 1.0 if out == 0 else float("inf")
        return out / source


def flicker(frames_out: Iterable[Frame], frames_in: Iterable[Frame]) -> float:
    """The mean absolute difference of consecutive output frames over that of the source's.

    1 is as calm as the source, more flickers.
    frames_out, frames_in: as many of the one as of the other, two or more; see `FlickerTally`.  Both are read in step.
    Raises InputError: too few frames, not as many of both, or a size that changes.
    """
    tally = FlickerTally()
    for output, source in zip_longest(frames_out, frames_in):
        if output is None or source is None:
            longer, shorter = ("source", "output") if output is None else ("output", "source")
            fact = f"the {longer} has more frames than the {shorter} ({tally.count})"
            raise InputError(f"flicker: {fact}; compare videos of equal length")
        tally.add(output, source)
    return tally.flicker


def _difference(before: Frame, after: Frame) -> float:
    """The mean absolute difference of two frames, 0 .. 255."""
    if before.pixels.shape != after.pixels.shape:
        raise InputError(
            f"flicker: frames of {before.pixels.shape} and {after.pixels.shape}; a video's frames must be of one size"
        )
    return float(
        np.maximum(before.pixels, after.pixels).mean(dtype=float) - np.minimum(before.pixels, after.pixels).mean()
    )
