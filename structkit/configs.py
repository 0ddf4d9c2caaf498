"""The configuration of every engine: the only place where a default lives.

Free of torch, so that the command line can print its help and its usage errors without loading it.  The command line
makes one option of each field (name, default, help, limits), and `--config` and the documentation come from the same fields.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

from structkit.errors import OptionError

MAX_SIDE = 512  # px, where nothing else says how large a result is to be
LEAST_SIDE, MOST_SIDE = 16, 8192  # px, of a result


def option(default: Any, help: str, *, low: float | None = None, high: float | None = None, choices: tuple[str, ...] = ()) -> Any:
    """A dataclass field with what a user must know of it: one line of help, its range (inclusive) or its choices."""
    return field(default=default, metadata={"help": help, "low": low, "high": high, "choices": choices})


class Config:
    """Base of the configurations: checks each value against its field's range or choices."""

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):  # type: ignore[arg-type]
            _check_type(f, getattr(self, f.name))
            _check(f.name, getattr(self, f.name), **{k: f.metadata[k] for k in ("low", "high", "choices")})


def _check_type(f: dataclasses.Field, value: Any) -> None:
    """Whole numbers for int, any number for float, and None where it is the default."""
    kinds = {"bool": bool, "int": int, "float": (int, float), "str": str}
    names = [name.strip() for name in str(f.type).split("|")]
    if value is None and "None" in names:
        return
    wanted = [name for name in names if name in kinds]
    if not any(isinstance(value, kinds[name]) and (name == "bool" or not isinstance(value, bool)) for name in wanted):
        raise OptionError(f"--{f.name.replace('_', '-')} is {value!r}: it must be of type {f.type}")


def _check(name: str, value: Any, low: float | None, high: float | None, choices: tuple[str, ...]) -> None:
    flag = "--" + name.replace("_", "-")
    if value is None:
        return
    if choices and value not in choices:
        raise OptionError(f"{flag} is {value!r}: choose one of {', '.join(choices)}")
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise OptionError(f"{flag} is {value}: it must be a finite number")
        if (low is not None and value < low) or (high is not None and value > high):
            span = (
                f"at least {low:.15g}" if high is None else f"at most {high:.15g}" if low is None else f"between {low:.15g} and {high:.15g}"
            )
            raise OptionError(f"{flag} is {value:.15g}: it must be {span}")


@dataclass(frozen=True)
class PatchConfig(Config):
    """What all training-free patch synthesis has (`structkit.engines.patch`)."""

    patch: int = option(7, "side of a patch, px", low=3, high=15)
    rounds: int | None = option(None, "rounds of matching and voting at each level; else what the verb and its mode take", low=1, high=100)
    completeness: float | None = option(
        None,
        "how much every patch that is offered must be used, 0 not at all, 1 as GPNN; else what the verb and its mode take",
        low=0,
        high=1,
    )
    coarsest: int | None = option(None, "short side of the coarsest level, px; else from the other options", low=8, high=4096)


@dataclass(frozen=True)
class AnalogyConfig(PatchConfig):
    """`structkit analogy`."""

    mode: str = option("analogy", "what to make of the pair", choices=("analogy", "style", "texture", "paint"))
    strength: float = option(0.5, "how much of the source's structure is kept: 0 little, 1 most; not with --match colour", low=0, high=1)
    match: str = option(
        "structure", "compare patches by structure (aligned statistics) or by raw colour (as published)", choices=("structure", "colour")
    )
    max_side: int | None = option(
        None,
        f"longest side of the result, px, if no --size is given; else {MAX_SIDE}, never more than the source's",
        low=LEAST_SIDE,
        high=MOST_SIDE,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.match == "colour" and self.mode != "analogy":
            raise OptionError(f"--match colour is the published analogy and has no --mode {self.mode}: leave one of them out")


@dataclass(frozen=True)
class SampleConfig(PatchConfig):
    """`structkit sample`."""

    variety: float = option(0.5, "how far from the arrangement of the picture: 0 near, 1 far", low=0, high=1)
    max_side: int | None = option(
        None,
        f"longest side of a sample, px, if no --size is given; else {MAX_SIDE}, never more than the picture's",
        low=LEAST_SIDE,
        high=MOST_SIDE,
    )


@dataclass(frozen=True)
class RetargetConfig(PatchConfig):
    """`structkit retarget`."""


@dataclass(frozen=True)
class RefineConfig(PatchConfig):
    """`structkit refine`."""

    strength: float = option(0.5, "how much of the picture is kept: 0 its layout alone, 1 all but the finest detail", low=0, high=1)
    max_side: int | None = option(
        None, f"longest side of the result, px; else {MAX_SIDE}, never more than the picture's", low=LEAST_SIDE, high=MOST_SIDE
    )


PAIR_PRESETS: dict[str, dict[str, Any]] = {
    # As published: 11 levels, 20,000 steps each; hours on a GPU, weeks on a CPU.
    "paper": {"size": 220, "coarsest": 18, "width": 32, "widest": 128, "steps": 20_000, "taper": 1.0},
    # For two CPU cores: minutes.
    "fast": {"size": 128, "coarsest": 18, "width": 32, "widest": 32, "steps": 800, "taper": 0.3},
}
PAIR_MODES: dict[str, dict[str, Any]] = {  # what the authors set for each application
    "analogy": {},
    "style": {},
    "texture": {},
    "text": {"coarsest": 25},
    "sketch": {"generator_rate": 1e-4, "critic_rate": 5e-4, "target_weight": 0.1},
    "video": {"coarsest": 22, "cycle": 1.0, "abroad": 1.0, "frames": 250},
}


def _preset(help: str, name: str, **limits: Any) -> Any:
    values = ", ".join(f"{values[name]} for {preset}" for preset, values in PAIR_PRESETS.items())
    return option(None, f"{help}; else {values}", **limits)


@dataclass(frozen=True)
class PairConfig(Config):
    """`structkit train analogy` and `structkit analogy --engine gan`.  `filled()` puts the preset's and the mode's values in."""

    preset: str = option("fast", "how much effort: paper as published, for a GPU; fast for two CPU cores", choices=tuple(PAIR_PRESETS))
    mode: str | None = option(
        None, "what the pair is for: sets what the authors set for it; else analogy, of a video video", choices=tuple(PAIR_MODES)
    )
    size: int | None = _preset("side of the square, px, that has the area of the result", "size", low=24, high=1024)
    coarsest: int | None = option(
        None, "side of the coarsest level, px: larger for more variety; else 18, 25 for text, 22 for video", low=12, high=256
    )
    steps: int | None = _preset("steps of training at the coarsest level", "steps", low=1, high=10_000_000)
    taper: float | None = _preset("steps at the finest level, as a share of those", "taper", low=0.001, high=1)
    width: int | None = _preset("channels of the coarsest networks; doubled every four levels", "width", low=4, high=512)
    widest: int | None = _preset("channels at most", "widest", low=4, high=512)
    layers: int = option(5, "convolutions in each network", low=2, high=12)
    plain_levels: int = option(2, "finest levels that paint anew, where the others add to what is there", low=0, high=16)
    frames: int | None = option(None, "frames of a video that are learned from, at most, evenly spread; else 250", low=1, high=100_000)
    batch: int = option(1, "samples in each step, in each process", low=1, high=256)
    generator_rate: float | None = option(None, "learning rate of the generators; else 0.0005, 0.0001 for sketch", low=1e-7, high=1)
    critic_rate: float | None = option(None, "learning rate of the critics; else 0.0001, 0.0005 for sketch", low=1e-7, high=1)
    reconstruction: float = option(1.0, "weight of giving back each picture (alpha)", low=0, high=1000)
    cycle: float | None = option(None, "weight of coming back after going across (beta); else 10, 1 for video", low=0, high=1000)
    abroad: float | None = option(None, "weight of the critics' view of translated real pictures; else 0, 1 for video", low=0, high=1000)
    target_weight: float | None = option(None, "weight of the target's critic; else 1, 0.1 for sketch", low=0, high=1000)
    penalty: float = option(0.1, "weight of the critics' gradient penalty", low=0, high=1000)
    noise: float = option(0.1, "noise at each level, in units of what is still missing there", low=0, high=10)

    def filled(self) -> PairConfig:
        """Without None: what is said here, else what the mode sets, else what the preset sets."""
        default = {"mode": "analogy", "generator_rate": 5e-4, "critic_rate": 1e-4, "target_weight": 1.0, "cycle": 10.0, "abroad": 0.0}
        values = default | PAIR_PRESETS[self.preset] | PAIR_MODES[self.mode or "analogy"]
        filled = dataclasses.replace(self, **{name: value for name, value in values.items() if getattr(self, name) is None})
        if filled.coarsest > filled.size:
            raise OptionError(f"--coarsest is {filled.coarsest}: it must be at most --size, which is {filled.size}")
        if filled.widest < filled.width:
            if self.widest is not None:
                raise OptionError(f"--widest is {self.widest}: it must be at least --width, which is {filled.width}")
            filled = dataclasses.replace(filled, widest=filled.width)
        return filled


@dataclass(frozen=True)
class PairResultConfig(Config):
    """How results are drawn from a trained pair."""

    inject: int | None = option(
        None,
        "level at which the picture itself takes the place of what was made from noise: 0, the coarsest, is the freest; else, where a "
        "source is given, two below the finest, and without a source none",
        low=0,
        high=64,
    )
    refine: str = option(
        "none",
        "repaint the result: with the target's own patches, which gives any --size, or by the target's chain of generators",
        choices=("none", "patches", "chain"),
    )
    draw: str = option(
        "analogy",
        "what to draw: the analogy, or its partner, the new picture in the source's own look whose structure it has; both with one seed "
        "are a pair",
        choices=("analogy", "partner"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.draw == "partner" and self.refine != "none":
            raise OptionError(f"--refine {self.refine} is for analogies, not for --draw partner: leave one of them out")
