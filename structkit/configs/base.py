"""The base of every configuration: fields with their help and limits, checked."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping
from dataclasses import field
from typing import Any, Self

from structkit.errors import OptionError

MAX_SIDE = 512  # px, where nothing else says how large a result is to be
MAX_CLIP_SIDE = 256  # px, of a generated clip, likewise
LEAST_SIDE, MOST_SIDE = 16, 8192  # px, of a result
PAIR = "tuple[str, str]"
SEVERAL = ", ...]"  # ends a type whose values may be given any number of times
TYPES = {"bool": "true or false", "int": "a whole number", "float": "a number", "str": "a text", PAIR: "two texts"}

Presets = Mapping[str, Mapping[str, Any]]  # values of options, by the name of the preset


def option(
    default: Any, help: str, *, low: float | None = None, high: float | None = None, choices: tuple[str, ...] = ()
) -> Any:
    """A dataclass field with its help, in one line, and its range (inclusive) or its choices."""
    return field(default=default, metadata={"help": help, "low": low, "high": high, "choices": choices})


def of_preset(presets: Presets, help: str, name: str, **limits: Any) -> Any:
    """A field whose default is that of the preset; the help names it."""
    values = ", ".join(f"{values[name]} for {preset}" for preset, values in presets.items())
    return option(None, f"{help}; else {values}", **limits)


class Config:
    """The base of the configurations: each value is checked against its field's range or choices."""

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, f.name)
            for one in value if isinstance(value, list | tuple) and SEVERAL in str(f.type) else [value]:
                _check_type(f, one)
                _check(f.name, one, **{k: f.metadata[k] for k in ("low", "high", "choices")})

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """The configuration of options by name.

        Raises OptionError for an option that there is not, and for a value that cannot be.
        """
        fields = [f.name for f in dataclasses.fields(cls)]  # type: ignore[arg-type]
        for name in options:
            if name not in fields:
                raise OptionError(f"unexpected keyword argument {name!r}: the options are {', '.join(fields)}")
        return cls(**options)

    def filled(self) -> Self:
        """The same without None, where a preset or a mode says what stands for it."""
        return self

    def _with(self, values: Mapping[str, Any]) -> Self:
        """The configuration with these values in place of its None."""
        return dataclasses.replace(
            self, **{name: value for name, value in values.items() if getattr(self, name) is None}
        )  # type: ignore[type-var]


def flag(name: str) -> str:
    """The spelling of an option on the command line; a name that is a word of Python ends in _: with_."""
    return "--" + name.rstrip("_").replace("_", "-")


def check_halvings(size: int | None) -> None:
    """Refuse a side, px, that halving does not bring to the 2 px of a code; None is the preset's."""
    if size is not None and (size < 4 or size & (size - 1)):
        raise OptionError(f"--size is {size}: it must be a power of two, such as 64 or 128")


def _check_type(f: dataclasses.Field, value: Any) -> None:
    """Refuse a value of another type: int takes whole numbers, float any, and None only where it is the default."""
    kinds = {"bool": bool, "int": int, "float": (int, float), "str": str, PAIR: tuple}
    names = [name.strip() for name in str(f.type).split("|")]
    names = [name.removeprefix("tuple[").removesuffix(SEVERAL) if SEVERAL in name else name for name in names]
    if value is None and "None" in names:
        return
    wanted = [name for name in names if name in kinds]
    if not any(isinstance(value, kinds[name]) and (name == "bool" or not isinstance(value, bool)) for name in wanted):
        kind, low, high = (" or ".join(TYPES[name] for name in wanted), *(f.metadata[k] for k in ("low", "high")))
        span = "" if low is None and high is None else f", {_span(low, high)}"
        raise OptionError(f"{flag(f.name)} is {value!r}: it must be {kind}{span}")


def _check(name: str, value: Any, low: float | None, high: float | None, choices: tuple[str, ...]) -> None:
    if value is None:
        return
    if choices and value not in choices:
        near = difflib.get_close_matches(value.lower(), choices, n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise OptionError(f"{flag(name)} is {value!r}: choose one of {', '.join(choices)}{meant}")
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise OptionError(f"{flag(name)} is {value}: it must be a finite number")
        if (low is not None and value < low) or (high is not None and value > high):
            raise OptionError(f"{flag(name)} is {value:.15g}: it must be {_span(low, high)}")


def _span(low: float | None, high: float | None) -> str:
    if high is None:
        return f"at least {low:.15g}"
    return f"at most {high:.15g}" if low is None else f"between {low:.15g} and {high:.15g}"
