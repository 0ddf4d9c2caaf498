"""How calm a painted video is beside the video that it was painted from."""

from collections.abc import Iterable
from itertools import pairwise, zip_longest

import numpy as np

from structkit.errors import InputError
from structkit.media.video import Frame


def flicker(frames_out: Iterable[Frame], frames_in: Iterable[Frame]) -> float:
    """Mean absolute difference of consecutive output frames over that of the source's: 1 is as calm as the source, more
    flickers.

    Frames of (H, W, 3) uint8, as many of the one as of the other, two or more; output and source may differ in size.
    Both are read in step, and two frames of each are in memory.  Where the source stands still: 1 if the output does
    too, else infinity.
    Raises InputError: too few frames, not as many of both, or a size that changes.
    """
    out = source = 0.0
    count = 0
    for pair_out, pair_in in zip_longest(pairwise(frames_out), pairwise(frames_in)):
        if pair_out is None or pair_in is None:
            longer, shorter = ("source", "output") if pair_out is None else ("output", "source")
            raise InputError(
                f"flicker: the {longer} has more frames than the {shorter} ({count + 1}); compare videos of equal "
                "length"
            )
        out, source, count = out + _difference(*pair_out), source + _difference(*pair_in), count + 1
    if not count:
        raise InputError("flicker: fewer than 2 frames; it is measured from one frame to the next")
    if source == 0:
        return 1.0 if out == 0 else float("inf")
    return out / source


def _difference(before: Frame, after: Frame) -> float:
    """Mean absolute difference, 0 .. 255."""
    if before.pixels.shape != after.pixels.shape:
        raise InputError(
            f"flicker: frames of {before.pixels.shape} and {after.pixels.shape}; a video's frames must be of one size"
        )
    return float(
        np.maximum(before.pixels, after.pixels).mean(dtype=float) - np.minimum(before.pixels, after.pixels).mean()
    )
