"""The configuration of every engine: the only place where a default lives.

Free of torch, so that the command line can print its help and its usage errors without loading it.  The command line
makes one option of each field (name, default, help, limits), and `--config` and the documentation come from the same fields.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from structkit.errors import OptionError


def option(default: Any, help: str, *, low: float | None = None, high: float | None = None, choices: tuple[str, ...] = ()) -> Any:
    """A dataclass field with what a user must know of it: one line of help, its range (inclusive) or its choices."""
    return field(default=default, metadata={"help": help, "low": low, "high": high, "choices": choices})


class Config:
    """Base of the configurations: checks each value against its field's range or choices."""

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):  # type: ignore[arg-type]
            _check(f.name, getattr(self, f.name), **{k: f.metadata[k] for k in ("low", "high", "choices")})


def _check(name: str, value: Any, low: float | None, high: float | None, choices: tuple[str, ...]) -> None:
    flag = "--" + name.replace("_", "-")
    if value is None:
        return
    if choices and value not in choices:
        raise OptionError(f"{flag} is {value!r}: choose one of {', '.join(choices)}")
    if isinstance(value, int | float) and not isinstance(value, bool):
        if value != value:
            raise OptionError(f"{flag} is not a number")
        if (low is not None and value < low) or (high is not None and value > high):
            span = f"at least {low:g}" if high is None else f"at most {high:g}" if low is None else f"between {low:g} and {high:g}"
            raise OptionError(f"{flag} is {value:g}: it must be {span}")


@dataclass(frozen=True)
class PatchConfig(Config):
    """Training-free patch synthesis (`structkit.engines.patch`)."""

    mode: str = option("analogy", "what to make of the pair", choices=("analogy", "style", "texture", "paint"))
    max_side: int = option(512, "longest side of the result, px; larger pictures are reduced first", low=32, high=4096)
    strength: float = option(0.5, "how much of the source's structure is kept: 0 little .. 1 most", low=0, high=1)
    match: str = option("structure", "what patches are compared by: structure (aligned statistics), or colour (as published)", choices=("structure", "colour"))
    patch: int = option(7, "side of a patch, px (odd)", low=3, high=15)
    iterations: int = option(4, "rounds of matching and voting at each level", low=1, high=50)
