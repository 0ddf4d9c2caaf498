"""Targets of a clip that is sped up: how long it is to last, and where it must not be fast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from structkit.errors import OptionError
from structkit.media.moments import Length, TimeSpan, clock, spans


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

    def rate_of(self, seconds: float, otherwise: float) -> float:
        """The rate for a clip of so many seconds.

        otherwise: where none is said.
        Raises OptionError for a length over the clip's.
        """
        if self.length is None:
            return otherwise if self.rate is None else self.rate
        wanted = float(self.length.of(Fraction(seconds)))
        if wanted > seconds * (1 + 1e-9):
            fact = f"--duration is {clock(wanted)}, and the clip lasts {clock(seconds)}"
            raise OptionError(f"{fact}: ask for less, speedup makes nothing longer")
        return max(1.0, seconds / wanted)

    def check(self, seconds: float) -> None:
        """Refuse spans behind the end of a clip of so many seconds.  Raises OptionError."""
        for span in self.kept:
            if span.start >= seconds:
                fact = f"--keep begins at {clock(float(span.start))}, and the clip lasts {clock(seconds)}"
                raise OptionError(f"{fact}: name a span of the clip")
