"""Times as people write them: 90, 90s, 1:30, 1m30s, 3m, 2h, 50%; and the spans between two of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from structkit.errors import OptionError

NUMBER = r"\d+(?:\.\d*)?|\.\d+"
CLOCK = re.compile(rf"(?:(\d+):)?(\d+):({NUMBER})")
PARTS = re.compile(rf"(?:({NUMBER})h)?(?:({NUMBER})(?:min|m(?!s)))?(?:({NUMBER})(?:sec|s))?(?:({NUMBER})ms)?")
SHARE = re.compile(rf"({NUMBER})%")
LIKE = "such as 90, 90s, 1:30, 1m30s, 3m or 50%"


@dataclass(frozen=True)
class Length:
    """A length of time: of its own, or a share of another one.

    seconds: None for a share.  share: 1 is the whole; None for a length of its own.
    """

    seconds: Fraction | None = None
    share: Fraction | None = None

    @classmethod
    def read(cls, text: str | float, flag: str) -> Length:
        """The length that a text or a number of seconds says.

        flag: the option that says it, for messages.
        Raises OptionError for what is none, or not above zero.
        """
        if found := SHARE.fullmatch(str(text).strip()):
            length = cls(share=Fraction(found[1]) / 100)
        else:
            length = cls(seconds_of(text, flag, LIKE))
        if not (length.seconds or length.share):
            raise OptionError(f"{flag} is {text!r}: it must be more than nothing, {LIKE}")
        return length

    def of(self, whole: Fraction) -> Fraction:
        """The seconds of the length, where the whole has so many."""
        return self.seconds if self.share is None else self.share * whole  # type: ignore[return-value]


@dataclass(frozen=True)
class TimeSpan:
    """A span of time in a clip, s from its beginning.  end: None is that of the clip."""

    start: Fraction
    end: Fraction | None

    @classmethod
    def read(cls, text: str, flag: str) -> TimeSpan:
        """The span that a text says, such as 0:10-0:25, 10s-25s, 0:10- (to the end) or -0:25 (from the beginning).

        Raises OptionError.
        """
        like = "such as 0:10-0:25, 0:10- or -0:25"
        first, dash, last = str(text).replace("–", "-").partition("-")
        if not dash or not (first.strip() or last.strip()):
            raise OptionError(f"{flag} is {text!r}: give a span of the clip, {like}")
        start = seconds_of(first, flag, like) if first.strip() else Fraction(0)
        end = seconds_of(last, flag, like) if last.strip() else None
        if end is not None and end <= start:
            raise OptionError(f"{flag} is {text!r}: it ends before it begins; give a span of the clip, {like}")
        return cls(start, end)


def spans(texts: Iterable[str], flag: str) -> tuple[TimeSpan, ...]:
    """The spans that texts say.  Raises OptionError."""
    return tuple(TimeSpan.read(text, flag) for text in texts)


def seconds_of(text: str | float, flag: str, like: str) -> Fraction:
    """The seconds that a text or a number says.  like: examples, for the message.  Raises OptionError."""
    plain = str(text).strip().lower().replace(" ", "")
    if re.fullmatch(NUMBER, plain):
        return Fraction(plain)
    if found := CLOCK.fullmatch(plain):
        hours, minutes, rest = int(found[1] or 0), int(found[2]), Fraction(found[3])
        if rest >= 60 or (found[1] and minutes >= 60):
            raise OptionError(f"{flag} is {text!r}: of minutes and seconds there are fewer than 60")
        return 3600 * hours + 60 * minutes + rest
    if plain and (found := PARTS.fullmatch(plain)):
        of_parts = zip(found.groups(), (3600, 60, 1, Fraction(1, 1000)), strict=True)
        return sum((Fraction(number) * unit for number, unit in of_parts if number), Fraction(0))
    raise OptionError(f"{flag} is {text!r}: give a time, {like}")


def clock(seconds: float, digits: int = 1) -> str:
    """A time as m:ss.s, or h:mm:ss.s.  digits: behind the point."""
    parts = 10**digits
    whole = round(seconds * parts)
    hours, minutes, rest = whole // (3600 * parts), whole // (60 * parts) % 60, whole % (60 * parts) / parts
    shown = f"{rest:0{3 + digits if digits else 2}.{digits}f}"
    return f"{hours}:{minutes:02d}:{shown}" if hours else f"{minutes}:{shown}"
