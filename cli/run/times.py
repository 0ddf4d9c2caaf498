"""Times as they are typed: 0:05, 1:02:03.5, 90 or 90s."""

from __future__ import annotations

import re

from structkit.errors import OptionError

TIME = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?|\.\d+)s?")


def seconds_of(text: str, flag: str) -> float:
    """The seconds of a time, 0 or more.  flag: the option that says it.  Raises OptionError."""
    found = TIME.fullmatch(text.strip())
    if not found:
        raise OptionError(f"{flag} is {text!r}: give a time such as 0:05, 1:02:03.5 or 90")
    hours, minutes, seconds = found.groups()
    if (minutes is not None and float(seconds) >= 60) or (hours is not None and int(minutes) >= 60):
        raise OptionError(f"{flag} is {text!r}: of minutes and seconds there are fewer than 60")
    return 3600 * int(hours or 0) + 60 * int(minutes or 0) + float(seconds)
