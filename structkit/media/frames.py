"""Frames of videos, with their times: as they are handed out, and as they come from the decoder."""

from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame of a video.

    pixels: (H, W, 3) uint8 RGB over the full range, upright and with square pixels.
    time: when it is shown, s, from the start of the presentation.
    duration: for how long, s; None for the last one where the container does not say.
    Nothing but this field tells how long the last frame is shown, so `dataclasses.replace(frame, pixels=...)` is the
    way to paint on a frame.
    """

    pixels: np.ndarray
    time: Fraction
    duration: Fraction | None = None


@dataclass(frozen=True, eq=False)
class StoredFrame:
    """A frame of a video as its decoder gives it.

    picture: in the stored size, turn and colours.
    time, duration: as a `Frame` has them.
    """

    picture: av.VideoFrame
    time: Fraction
    duration: Fraction | None = None
