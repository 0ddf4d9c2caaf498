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


TRANSFER_PRESETS: dict[str, dict[str, Any]] = {
    # As published: a day on a GPU.
    "paper": {
        "size": 128, "width": 32, "widest": 512, "separate": 25, "narrow": 128, "upsampling": "transposed", "norm": "domain",
        "steps": 150_000, "batch": 32, "rate": 2e-4, "paste_with": 0.7, "paste_without": 0.7, "confusion": 0.005, "form": "one-sided",
        "critic_steps": 1, "sparsity": 0.0, "ramp": 0.0, "decay": 0.0, "painter": 0, "rounds": 0, "painter_steps": 1,
    },
    # For two CPU cores: minutes.
    "fast": {
        "size": 64, "width": 16, "widest": 256, "separate": 8, "narrow": 128, "upsampling": "transposed", "norm": "joint",
        "steps": 1200, "batch": 32, "rate": 1e-3, "paste_with": 1.0, "paste_without": 1.0, "confusion": 0.3, "form": "even",
        "critic_steps": 2, "sparsity": 0.05, "ramp": 0.2, "decay": 0.3, "painter": 16, "rounds": 16, "painter_steps": 300,
    },
}  # fmt: skip


def _transfer(help: str, name: str, **limits: Any) -> Any:
    values = ", ".join(f"{values[name]} for {preset}" for preset, values in TRANSFER_PRESETS.items())
    return option(None, f"{help}; else {values}", **limits)


@dataclass(frozen=True)
class TransferConfig(Config):
    """`structkit train transfer`.  `filled()` puts the preset's values in."""

    preset: str = option("fast", "how much effort: paper as published, for a GPU; fast for two CPU cores", choices=tuple(TRANSFER_PRESETS))
    fit: str = option("squash", "how a picture becomes a square: squash all of it, or crop its middle", choices=("squash", "crop"))
    size: int | None = _transfer("side of the squares that codes are made of, px, a power of two", "size", low=16, high=512)
    width: int | None = _transfer("channels after the first halving; doubled at each", "width", low=4, high=512)
    widest: int | None = _transfer("channels of the code that pictures are decoded from, and at most", "widest", low=8, high=2048)
    separate: int | None = _transfer("channels of the separate code, out of these; few, lest it hold all", "separate", low=1, high=512)
    narrow: int | None = _transfer("channels of the separate encoder, at most", "narrow", low=4, high=2048)
    upsampling: str | None = _transfer("how decoders double the size", "upsampling", choices=("transposed", "nearest"))
    norm: str | None = _transfer("batch norm over both domains, or over each", "norm", choices=("joint", "domain"))
    steps: int | None = _transfer("steps of training of the codes", "steps", low=1, high=10_000_000)
    batch: int | None = _transfer("pictures of each domain in a step", "batch", low=2, high=4096)
    rate: float | None = _transfer("learning rate", "rate", low=1e-7, high=1)
    rebuilt_with: float = option(7.0, "weight of giving back pictures with the content (gamma)", low=0, high=1000)
    rebuilt_without: float = option(5.0, "weight of giving back pictures without the content (delta)", low=0, high=1000)
    paste_with: float | None = _transfer("weight of what is pasted onto pictures that have it (alpha 1)", "paste_with", low=0, high=1000)
    paste_without: float | None = _transfer("weight of pasting nothing onto the others (alpha 2)", "paste_without", low=0, high=1000)
    common_cycle: float = option(0.0, "weight of the common code's return after a transfer (beta 1)", low=0, high=1000)
    separate_cycle: float = option(0.001, "weight of the separate code's return after a transfer (beta 2)", low=0, high=1000)
    confusion: float | None = _transfer("weight of the critic's confusion about the common code", "confusion", low=0, high=1000)
    form: str | None = _transfer(
        "what the critic is to believe: one-sided, nothing has the content; even, one half; flipped, the opposite",
        "form",
        choices=("one-sided", "even", "flipped"),
    )
    critic_steps: int | None = _transfer("steps of the critic for each of the networks", "critic_steps", low=1, high=100)
    sparsity: float | None = _transfer("weight of the mean of the masks, which keeps them small", "sparsity", low=0, high=1000)
    ramp: float | None = _transfer("part of the steps over which confusion comes to its weight; sparsity follows", "ramp", low=0, high=0.5)
    decay: float | None = _transfer("part of the steps, the last, over which the rate falls to a tenth", "decay", low=0, high=1)
    painter: int | None = _transfer("channels of the painter, which sharpens masks and removals; 0: none", "painter", low=0, high=256)
    rounds: int | None = _transfer("rounds in which the painter learns from what it found", "rounds", low=0, high=100)
    painter_steps: int | None = _transfer("steps of training of the painter in each round", "painter_steps", low=1, high=10_000_000)
    painter_size: int = option(128, "side of the squares that the painter sees, px", low=32, high=1024)

    @property
    def seen(self) -> int:
        """Side of the squares that the model is given, px."""
        return self.painter_size if self.painter else self.size

    def filled(self) -> TransferConfig:
        """Without None: what is said here, else what the preset sets.  Raises OptionError where values do not go together."""
        missing = {name: value for name, value in TRANSFER_PRESETS[self.preset].items() if getattr(self, name) is None}
        filled = dataclasses.replace(self, **missing)
        if filled.widest <= filled.separate:
            raise OptionError(f"--separate is {filled.separate}: it must be below --widest, which is {filled.widest}")
        if bool(filled.painter) != bool(filled.rounds):
            raise OptionError(f"--painter is {filled.painter} and --rounds {filled.rounds}: both are 0, or neither is")
        if filled.painter and filled.painter_size % 32:
            raise OptionError(f"--painter-size is {filled.painter_size}: it must be a multiple of 32")
        if filled.painter and filled.painter_size % filled.size:
            raise OptionError(f"--painter-size is {filled.painter_size}: it must be a multiple of --size, which is {filled.size}")
        return filled


DIFFERENCE_PRESETS: dict[str, dict[str, Any]] = {
    # As published: days on a GPU.
    "paper": {
        "size": 128, "width": 32, "widest": 512, "separate": 25, "steps": 1_250_000, "batch": 32, "rate": 2e-4, "norm": "instance",
        "confusion": 0.001, "form": "one-sided", "critic_steps": 1, "linear": 0.0, "ramp": 0.0, "decay": 0.0,
    },
    # For two CPU cores: minutes.
    "fast": {
        "size": 64, "width": 16, "widest": 128, "separate": 16, "steps": 9000, "batch": 32, "rate": 1e-3, "norm": "batch",
        "confusion": 0.2, "form": "even", "critic_steps": 4, "linear": 0.2, "ramp": 0.2, "decay": 0.3,
    },
}  # fmt: skip


def _difference(help: str, name: str, **limits: Any) -> Any:
    values = ", ".join(f"{values[name]} for {preset}" for preset, values in DIFFERENCE_PRESETS.items())
    return option(None, f"{help}; else {values}", **limits)


@dataclass(frozen=True)
class DifferenceConfig(Config):
    """`structkit train difference`.  `filled()` puts the preset's values in."""

    preset: str = option("fast", "effort: paper as published, for a GPU; fast for two CPU cores", choices=tuple(DIFFERENCE_PRESETS))
    fit: str = option("crop", "how a picture becomes a square: squash all of it, or crop its middle", choices=("squash", "crop"))
    size: int | None = _difference("side of the square that the networks see, px, a power of two", "size", low=8, high=512)
    width: int | None = _difference("channels after the first halving; doubled at each", "width", low=4, high=512)
    widest: int | None = _difference("channels of the code that pictures are decoded from, and at most", "widest", low=8, high=2048)
    separate: int | None = _difference("channels of each separate code, out of these; few, lest it hold all", "separate", low=1, high=512)
    steps: int | None = _difference("steps of training", "steps", low=1, high=10_000_000)
    batch: int | None = _difference("pictures of each domain in a step", "batch", low=1, high=4096)
    rate: float | None = _difference("learning rate, of the networks and of the critic", "rate", low=1e-7, high=1)
    zero: float = option(1.0, "weight of the zero loss: what a separate encoder says of the other domain", low=0, high=1000)
    confusion: float | None = _difference("weight of the critic's confusion about the common code", "confusion", low=0, high=1000)
    form: str | None = _difference(
        "what the critic is to believe: one-sided, all is of b; even, one half; flipped, the other domain",
        "form",
        choices=("one-sided", "even", "flipped"),
    )
    critic_steps: int | None = _difference("steps of the critic for each of the networks", "critic_steps", low=1, high=100)
    linear: float | None = _difference("weight of the linear critic, which is always at its optimum", "linear", low=0, high=1000)
    norm: str | None = _difference("batch norm, over both domains; or instance norm, as published", "norm", choices=("batch", "instance"))
    ramp: float | None = _difference("part of the steps over which confusion comes to its weight", "ramp", low=0, high=1)
    decay: float | None = _difference("part of the steps, the last, over which the rate falls to a tenth", "decay", low=0, high=1)

    @property
    def seen(self) -> int:
        """Side of the squares that the model is given, px."""
        return self.size

    def filled(self) -> DifferenceConfig:
        """Without None: what is said here, else what the preset sets.  Raises OptionError where the separate codes leave no common one."""
        missing = {name: value for name, value in DIFFERENCE_PRESETS[self.preset].items() if getattr(self, name) is None}
        filled = dataclasses.replace(self, **missing)
        channels = min(filled.width * filled.size // 4, filled.widest)  # of all codes: `width`, doubled at each halving but the first
        if channels <= 2 * filled.separate:
            raise OptionError(
                f"--separate is {filled.separate}: two such codes leave nothing of {channels} channels for the common one; it must be at "
                f"most {(channels - 1) // 2}"
            )
        return filled


NO_DONOR = "--from is missing: name the picture whose content is to be put on"


@dataclass(frozen=True)
class ContentConfig(Config):
    """`structkit transfer`: how much of a content is put on."""

    strength: float = option(1.0, "how much of the content: 0 none, 1 as the donor has it, above 1 more than that", low=0, high=1.3)
    steps: int | None = option(
        None, "so many results, from none of the content to all of it; with two donors from the first's to the second's", low=2, high=99
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps is not None and self.strength != 1:
            raise OptionError("--strength and --steps both say how much of the content there is: give one of them")

    def check_donors(self, a: int, b: int, *, two_sided: bool) -> None:
        """Refuse numbers of donors of which a model has no use.  two_sided: whether it is a domain difference."""
        if b and not two_sided:
            raise OptionError("--from-b is for a domain difference, and this model knows one content: name the donor with --from")
        if not a + b:
            raise OptionError(NO_DONOR + ("; or with --from-b that of the second folder" if two_sided else ""))
        if self.steps is not None and max(a, b) > 2:
            raise OptionError("--steps goes from nothing to one donor, or from one donor to another: name one or two")


@dataclass(frozen=True)
class MaskConfig(Config):
    """`structkit segment`: how a mask is shown."""

    threshold: float = option(0.5, "of the soft mask: where it is at least this, the content is", low=0.01, high=1)
    soft: bool = option(False, "the soft mask, in grey: how much of each pixel is content")
    overlay: bool = option(False, "the picture with the mask in colour, to look at")

    def __post_init__(self) -> None:
        super().__post_init__()
        for flag, is_set in {"--overlay": self.overlay, "--threshold": self.threshold != 0.5}.items():
            if self.soft and is_set:
                raise OptionError(f"--soft writes the mask as it was found: leave out --soft or {flag}")
