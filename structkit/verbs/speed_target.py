"""Targets of a clip that is sped up: how long it is to last, and where it must not be fast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from structkit.configs import SPEECH_SPEED, SpeedCurveConfig
from structkit.errors import OptionError
from structkit.media.moments import Length, TimeSpan, clock, spans
from structkit.media.speech import heard
from structkit.media.video import VideoReader

SOUNDLESS = "no sound: --protect-speech and --silence-speed change nothing"


@dataclass(frozen=True)
class SpeedTarget:
    """The target of a clip: a rate, or a length, and the spans of it that stay as they are.

    rate: how many times as short; None leaves it to the length, or to whoever asks.
    length: of the result, or its share of the clip's; None likewise.
    kept: spans that are not shown faster than the clip does.
    """

    rate: float | None = None
    length: Length | None = None
    kept: tuple[TimeSpan, ...] = ()

    @classmethod
    def of(cls, rate: float | None, duration: str | float | None, keep: Sequence[str]) -> SpeedTarget:
        """The target that options say.  Raises OptionError."""
        if rate is not None and duration is not None:
            raise OptionError("--rate and --duration both say how long the result is: give one of them")
        length = None if duration is None else Length.read(duration, "--duration")
        return cls(rate, length, spans([keep] if isinstance(keep, str) else keep, "--keep"))

    @property
    def says_rate(self) -> bool:
        """True if the rate is said, in whichever way."""
        return self.rate is not None or self.length is not None

    def rate_of(self, seconds: float, name: str, otherwise: float) -> float:
        """The rate for a clip of so many seconds.

        name: of the clip.  otherwise: where none is said.
        Raises OptionError for a length over the clip's.
        """
        if self.length is None:
            return otherwise if self.rate is None else self.rate
        wanted = float(self.length.of(Fraction(seconds)))
        if wanted > seconds * (1 + 1e-9):
            fact = f"--duration is {clock(wanted)}, and {name} lasts {clock(seconds)}"
            raise OptionError(f"{fact}: ask for less, speedup makes nothing longer")
        return max(1.0, seconds / wanted)

    def check(self, seconds: float, name: str) -> None:
        """Refuse spans behind the end of a clip of so many seconds.  Raises OptionError."""
        for span in self.kept:
            if span.start >= seconds:
                fact = f"--keep begins at {clock(float(span.start))}, and {name} lasts {clock(seconds)}"
                raise OptionError(f"{fact}: name a span of the clip")


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
