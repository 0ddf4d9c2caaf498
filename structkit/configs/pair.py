"""Configurations of trained pairs, for `structkit.engines.pair.model`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import Any

from structkit.configs.base import Config, Presets, of_preset, option
from structkit.errors import OptionError

PAIR_PRESETS: Presets = {
    # As published: 11 levels, 20,000 steps each; hours on a GPU, weeks on a CPU.
    "paper": {"size": 220, "coarsest": 18, "width": 32, "widest": 128, "steps": 20_000, "taper": 1.0},
    # For two CPU cores: minutes.
    "fast": {"size": 128, "coarsest": 18, "width": 32, "widest": 32, "steps": 800, "taper": 0.3},
}
PAIR_MODES: Presets = {  # the authors' settings for each application
    "analogy": {},
    "style": {},
    "texture": {},
    "text": {"coarsest": 25},
    "sketch": {"generator_rate": 1e-4, "critic_rate": 5e-4, "target_weight": 0.1},
    "video": {"coarsest": 22, "cycle": 1.0, "abroad": 1.0, "frames": 250},
}


PAIR_DEFAULTS = {  # values of options that no preset sets, where the mode does not set them either
    "mode": "analogy",
    "generator_rate": 5e-4,
    "critic_rate": 1e-4,
    "target_weight": 1.0,
    "cycle": 10.0,
    "abroad": 0.0,
}
# Levels below the finest at which a source is injected (the authors try 4 to 0; for videos 1, which moves twice as
# much).
INJECTED_BELOW = 2

_preset = partial(of_preset, PAIR_PRESETS)


def _of_mode(help: str, name: str, **limits: Any) -> Any:
    """A field whose default is that of the mode, else that of all modes or of the presets; the help names these."""
    base = PAIR_DEFAULTS[name] if name in PAIR_DEFAULTS else PAIR_PRESETS["fast"][name]
    values = [f"{base:g}", *(f"{values[name]:g} for {mode}" for mode, values in PAIR_MODES.items() if name in values)]
    return option(None, f"{help}; else {', '.join(values)}", **limits)


@dataclass(frozen=True)
class PairConfig(Config):
    """Options of `structkit train analogy` and of `structkit analogy --engine gan`.

    `filled()` puts the values of the preset and of the mode in.
    """

    preset: str = option(
        "fast", "how much effort: paper as published, for a GPU; fast for two CPU cores", choices=tuple(PAIR_PRESETS)
    )
    mode: str | None = option(
        None,
        f"what the pair is for: sets what the authors set for it; else {PAIR_DEFAULTS['mode']}, of a video video",
        choices=tuple(PAIR_MODES),
    )
    size: int | None = _preset("side of the square, px, that has the area of the result", "size", low=24, high=1024)
    coarsest: int | None = _of_mode(
        "side of the coarsest level, px: larger for more variety", "coarsest", low=12, high=256
    )
    steps: int | None = _preset("steps of training at the coarsest level", "steps", low=1, high=10_000_000)
    taper: float | None = _preset("steps at the finest level, as a share of those", "taper", low=0.001, high=1)
    width: int | None = _preset(
        "channels of the coarsest networks; doubled every four levels", "width", low=4, high=512
    )
    widest: int | None = _preset("channels at most", "widest", low=4, high=512)
    layers: int = option(5, "convolutions in each network", low=2, high=12)
    plain_levels: int = option(
        2, "finest levels that paint anew, where the others add to what is there", low=0, high=16
    )
    frames: int | None = option(
        None,
        f"frames of a video that are learned from, at most, evenly spread; else {PAIR_MODES['video']['frames']}",
        low=1,
        high=100_000,
    )
    batch: int = option(1, "samples in each step, in each process", low=1, high=256)
    generator_rate: float | None = _of_mode("learning rate of the generators", "generator_rate", low=1e-7, high=1)
    critic_rate: float | None = _of_mode("learning rate of the critics", "critic_rate", low=1e-7, high=1)
    reconstruction: float = option(1.0, "weight of giving back each picture (alpha)", low=0, high=1000)
    cycle: float | None = _of_mode("weight of coming back after going across (beta)", "cycle", low=0, high=1000)
    abroad: float | None = _of_mode(
        "weight of the critics' view of translated real pictures", "abroad", low=0, high=1000
    )
    target_weight: float | None = _of_mode("weight of the target's critic", "target_weight", low=0, high=1000)
    penalty: float = option(0.1, "weight of the critics' gradient penalty", low=0, high=1000)
    noise: float = option(0.1, "noise at each level, in units of what is still missing there", low=0, high=10)

    def filled(self) -> PairConfig:
        """The configuration without None: each value is the user's, else the mode's, else the preset's."""
        values = PAIR_DEFAULTS | PAIR_PRESETS[self.preset] | PAIR_MODES[self.mode or PAIR_DEFAULTS["mode"]]
        filled = self._with(values)
        if filled.coarsest > filled.size:
            raise OptionError(f"--coarsest is {filled.coarsest}: it must be at most --size, which is {filled.size}")
        if filled.widest < filled.width:
            if self.widest is not None:
                raise OptionError(f"--widest is {self.widest}: it must be at least --width, which is {filled.width}")
            filled = dataclasses.replace(filled, widest=filled.width)
        return filled


@dataclass(frozen=True)
class PairResultConfig(Config):
    """Options of the results that are drawn from a trained pair."""

    inject: int | None = option(
        None,
        "level at which the picture itself takes the place of what was made from noise: 0, the coarsest, is the "
        f"freest; else, where a source is given, {INJECTED_BELOW} below the finest, and without a source none",
        low=0,
        high=64,
    )
    refine: str = option(
        "none",
        "repaint the result: with the target's own patches, which gives any --size, or by the target's chain of "
        "generators",
        choices=("none", "patches", "chain"),
    )
    draw: str = option(
        "analogy",
        "what to draw: the analogy, or its partner, the new picture in the source's own look whose structure it has; "
        "both with one seed are a pair",
        choices=("analogy", "partner"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.draw == "partner" and self.refine != "none":
            raise OptionError(f"--refine {self.refine} is for analogies, not for --draw partner: leave one of them out")
