"""Bounds of the speed of a clip: how fast each moment may be, by what is asked for and by what is heard."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from structkit.configs import SPEECH_SPEED, SpeedCurveConfig
from structkit.media.speech import heard
from structkit.media.video import VideoReader
from structkit.verbs.speed_target import SpeedTarget

SOUNDLESS = "no sound: --protect-speech and --silence-speed change nothing"


@dataclass(frozen=True, eq=False)
class SpeedBounds:
    """The bounds of the speed in each cell of a clip.

    tolerated (N,): how fast each looks, or sounds, natural.
    most (N,): how fast each may be.
    """

    tolerated: np.ndarray
    most: np.ndarray


def bounds(
    reader: VideoReader, times: np.ndarray, tolerated: np.ndarray, config: SpeedCurveConfig, target: SpeedTarget
) -> tuple[SpeedBounds, tuple[str, ...]]:
    """The bounds of a clip, and notes.

    times (N + 1,): the edges of the cells, s.  tolerated (N,): as it was measured.
    What must stay goes before speech, and speech before silence.
    """
    most, wanted, notes = np.full(len(tolerated), config.max_speed), np.array(tolerated, np.float64), ()
    if config.protect_speech or config.silence_speed is not None:
        # The length of all cells but the last.
        step = Fraction(float(times[1] - times[0])).limit_denominator(1000) if len(tolerated) > 1 else Fraction(1, 25)
        start = Fraction(float(times[0])).limit_denominator(10**6)
        sound = heard(reader, step=step, start=start, count=len(tolerated))
        if sound is None:
            notes = (SOUNDLESS,)
        else:
            if config.silence_speed is not None:
                most = np.where(sound.silence, config.silence_speed, most)
                wanted = np.where(sound.silence, config.silence_speed, wanted)
            if config.protect_speech:
                most = np.where(sound.speech, np.minimum(most, SPEECH_SPEED), most)
    from_start = times - times[0]
    for span in target.kept:
        end = np.inf if span.end is None else float(span.end)
        most = np.where((from_start[1:] > float(span.start)) & (from_start[:-1] < end), 1.0, most)
    return SpeedBounds(np.clip(wanted, 1.0, most), most), notes
