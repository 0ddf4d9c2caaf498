"""Configuration of content transfer, for `structkit.engines.transfer.model`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from structkit.configs.base import Config, Presets, check_halvings, of_preset, option
from structkit.errors import OptionError

TRANSFER_PRESETS: Presets = {
    # As published: a day on a GPU.
    "paper": {
        "size": 128, "width": 32, "widest": 512, "separate": 25, "narrow": 128, "upsampling": "transposed",
        "norm": "domain", "steps": 150_000, "batch": 32, "rate": 2e-4, "paste_with": 0.7, "paste_without": 0.7,
        "confusion": 0.005, "form": "one-sided", "critic_steps": 1, "sparsity": 0.0, "ramp": 0.0, "decay": 0.0,
        "painter": 0, "rounds": 0, "painter_steps": 240, "placer_steps": 300, "painter_size": 128,
    },
    # For two CPU cores: minutes.
    "fast": {
        "size": 64, "width": 16, "widest": 256, "separate": 8, "narrow": 128, "upsampling": "transposed",
        "norm": "joint", "steps": 1600, "batch": 32, "rate": 1e-3, "paste_with": 1.0, "paste_without": 1.0,
        "confusion": 0.3, "form": "even", "critic_steps": 2, "sparsity": 0.05, "ramp": 0.2, "decay": 0.3,
        "painter": 24, "rounds": 20, "painter_steps": 240, "placer_steps": 300, "painter_size": 128,
    },
}  # fmt: skip

ROUND = 120  # steps of the painter that make a round: where --steps leaves fewer for each, there are fewer rounds
OF_THE_PAINTER = ("painter_steps", "placer_steps", "painter_size")  # options that mean nothing without one

_preset = partial(of_preset, TRANSFER_PRESETS)


@dataclass(frozen=True)
class TransferConfig(Config):
    """Options of `structkit train transfer`.  `filled()` puts the preset's values in."""

    preset: str = option(
        "fast",
        "how much effort: paper as published, for a GPU; fast for two CPU cores",
        choices=tuple(TRANSFER_PRESETS),
    )
    fit: str = option(
        "squash", "how a picture becomes a square: squash all of it, or crop its middle", choices=("squash", "crop")
    )
    size: int | None = _preset(
        "side of the squares that codes are made of, px, a power of two", "size", low=16, high=512
    )
    width: int | None = _preset("channels after the first halving; doubled at each", "width", low=4, high=512)
    widest: int | None = _preset(
        "channels of the code that pictures are decoded from, and at most", "widest", low=8, high=2048
    )
    separate: int | None = _preset(
        "channels of the separate code, out of these; few, lest it hold all", "separate", low=1, high=512
    )
    narrow: int | None = _preset("channels of the separate encoder, at most", "narrow", low=4, high=2048)
    upsampling: str | None = _preset("how decoders double the size", "upsampling", choices=("transposed", "nearest"))
    norm: str | None = _preset(
        "whose statistics norms take: joint, both domains' together; domain, each domain's own",
        "norm",
        choices=("joint", "domain"),
    )
    steps: int | None = _preset(
        "steps of training of the codes; those of painter and placer are in proportion, if not given",
        "steps",
        low=1,
        high=10_000_000,
    )
    batch: int | None = _preset("pictures of each domain in a step", "batch", low=2, high=4096)
    rate: float | None = _preset("learning rate", "rate", low=1e-7, high=1)
    rebuilt_with: float = option(7.0, "weight of giving back pictures with the content (gamma)", low=0, high=1000)
    rebuilt_without: float = option(5.0, "weight of giving back pictures without the content (delta)", low=0, high=1000)
    paste_with: float | None = _preset(
        "weight of what is pasted onto pictures that have it (alpha 1)", "paste_with", low=0, high=1000
    )
    paste_without: float | None = _preset(
        "weight of pasting nothing onto the others (alpha 2)", "paste_without", low=0, high=1000
    )
    common_cycle: float = option(0.0, "weight of the common code's return after a transfer (beta 1)", low=0, high=1000)
    separate_cycle: float = option(
        0.001, "weight of the separate code's return after a transfer (beta 2)", low=0, high=1000
    )
    confusion: float | None = _preset(
        "weight of the critic's confusion about the common code", "confusion", low=0, high=1000
    )
    form: str | None = _preset(
        "what the critic is to believe: one-sided, nothing has the content; even, one half; flipped, the opposite",
        "form",
        choices=("one-sided", "even", "flipped"),
    )
    critic_steps: int | None = _preset("steps of the critic for each of the networks", "critic_steps", low=1, high=100)
    sparsity: float | None = _preset(
        "weight of the mean of the masks, which keeps them small", "sparsity", low=0, high=1000
    )
    ramp: float | None = _preset(
        "part of the steps over which confusion comes to its weight; sparsity follows", "ramp", low=0, high=0.45
    )
    decay: float | None = _preset(
        "part of the steps, the last, over which the rate falls to a tenth", "decay", low=0, high=1
    )
    painter: int | None = _preset(
        "channels of the painter, which sharpens masks and removals; 0: none", "painter", low=0, high=256
    )
    rounds: int | None = _preset(
        "rounds in which the painter learns from what it found; fewer with few --steps", "rounds", low=0, high=100
    )
    painter_steps: int | None = _preset(
        "steps of training of the painter in each round", "painter_steps", low=1, high=10_000_000
    )
    placer_steps: int | None = _preset(
        "steps of training of the placer, which finds where a donor's own pixels belong, each of the two times that it "
        "learns",
        "placer_steps",
        low=1,
        high=10_000_000,
    )
    painter_size: int | None = _preset(
        "side of the squares that the painter sees, px", "painter_size", low=32, high=1024
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_halvings(self.size)

    @property
    def seen(self) -> int:
        """Side of the squares that the model is given, px."""
        return self.painter_size if self.painter else self.size

    def filled(self) -> TransferConfig:
        """The configuration without None: each value is the user's, else the preset's.

        Raises OptionError where values do not go together.
        """
        preset = TRANSFER_PRESETS[self.preset]
        filled = self._with(self._in_proportion(preset))
        # Of a code: doubled at each halving but the first.
        channels = min(filled.widest, filled.width * filled.size // 4)
        if filled.separate >= channels:
            raise OptionError(
                f"--separate is {filled.separate}: it must be below {channels}, the channels that --widest, --width "
                "and --size give a code"
            )
        if bool(filled.painter) != bool(filled.rounds):
            raise OptionError(f"--painter is {filled.painter} and --rounds {filled.rounds}: both are 0, or neither is")
        idle = [name for name in OF_THE_PAINTER if getattr(filled, name) != preset[name]]
        if idle and not filled.painter:
            flags = " and ".join(f"--{name.replace('_', '-')}" for name in idle)
            raise OptionError(
                f"{flags}: of the painter, and there is none (--painter is 0): leave out what is said of it"
            )
        if filled.painter and filled.painter_size % 32:
            raise OptionError(f"--painter-size is {filled.painter_size}: it must be a multiple of 32")
        if filled.painter and filled.painter_size % filled.size:
            raise OptionError(
                f"--painter-size is {filled.painter_size}: it must be a multiple of --size, which is {filled.size}"
            )
        return filled

    def _in_proportion(self, preset: Mapping[str, Any]) -> dict[str, Any]:
        """The preset's values; the steps of its painter and its placer follow --steps."""
        painter = preset["painter"] if self.painter is None else self.painter
        if self.steps is None or not painter:
            return dict(preset)
        share = self.steps / preset["steps"]
        each, rounds = share * preset["painter_steps"], preset["rounds"]
        if rounds and self.rounds is None and self.painter_steps is None and each < ROUND:
            fewer = min(max(round(each * rounds / ROUND), 1), rounds)
            each, rounds = each * rounds / fewer, fewer
        steps = {"painter_steps": max(round(each), 1), "placer_steps": max(round(share * preset["placer_steps"]), 1)}
        return {**preset, "rounds": rounds, **steps}
