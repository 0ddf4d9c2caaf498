"""Configuration of domain difference, for `structkit.engines.difference.model`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from structkit.configs.base import Config, Presets, check_halvings, of_preset, option
from structkit.errors import OptionError

DIFFERENCE_PRESETS: Presets = {
    # As published: days on a GPU.
    "paper": {
        "size": 128, "width": 32, "widest": 512, "separate": 25, "steps": 1_250_000, "batch": 32, "rate": 2e-4,
        "norm": "instance", "confusion": 0.001, "form": "one-sided", "critic_steps": 1, "linear": 0.0, "ramp": 0.0,
        "decay": 0.0,
    },
    # For two CPU cores: minutes.
    "fast": {
        "size": 64, "width": 32, "widest": 256, "separate": 25, "steps": 8000, "batch": 32, "rate": 1e-3,
        "norm": "joint", "confusion": 0.2, "form": "even", "critic_steps": 4, "linear": 0.2, "ramp": 0.2,
        "decay": 0.3,
    },
}  # fmt: skip


_preset = partial(of_preset, DIFFERENCE_PRESETS)


@dataclass(frozen=True)
class DifferenceConfig(Config):
    """Options of `structkit train difference`.  `filled()` puts the preset's values in."""

    preset: str = option(
        "fast", "effort: paper as published, for a GPU; fast for two CPU cores", choices=tuple(DIFFERENCE_PRESETS)
    )
    fit: str = option(
        "crop", "how a picture becomes a square: squash all of it, or crop its middle", choices=("squash", "crop")
    )
    size: int | None = _preset("side of the square that the networks see, px, a power of two", "size", low=8, high=512)
    width: int | None = _preset("channels after the first halving; doubled at each", "width", low=4, high=512)
    widest: int | None = _preset(
        "channels of the code that pictures are decoded from, and at most", "widest", low=8, high=2048
    )
    separate: int | None = _preset(
        "channels of each separate code, out of these; few, lest it hold all", "separate", low=1, high=512
    )
    steps: int | None = _preset("steps of training", "steps", low=1, high=10_000_000)
    batch: int | None = _preset("pictures of each domain in a step", "batch", low=1, high=4096)
    rate: float | None = _preset("learning rate, of the networks and of the critic", "rate", low=1e-7, high=1)
    zero: float = option(
        1.0, "weight of the zero loss: what a separate encoder says of the other domain", low=0, high=1000
    )
    confusion: float | None = _preset(
        "weight of the critic's confusion about the common code", "confusion", low=0, high=1000
    )
    form: str | None = _preset(
        "what the critic is to believe: one-sided, all is of b; even, one half; flipped, the other domain",
        "form",
        choices=("one-sided", "even", "flipped"),
    )
    critic_steps: int | None = _preset("steps of the critic for each of the networks", "critic_steps", low=1, high=100)
    linear: float | None = _preset(
        "weight of the linear critic, which is always at its optimum", "linear", low=0, high=1000
    )
    norm: str | None = _preset(
        "whose statistics norms take: joint, both domains' together; instance, each picture's own",
        "norm",
        choices=("joint", "instance"),
    )
    ramp: float | None = _preset("part of the steps over which confusion comes to its weight", "ramp", low=0, high=1)
    decay: float | None = _preset(
        "part of the steps, the last, over which the rate falls to a tenth", "decay", low=0, high=1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_halvings(self.size)

    @property
    def seen(self) -> int:
        """Side of the squares that the model is given, px."""
        return self.size

    def filled(self) -> DifferenceConfig:
        """The configuration without None: each value is the user's, else the preset's.

        Raises OptionError where the separate codes leave no common one.
        """
        filled = self._with(DIFFERENCE_PRESETS[self.preset])
        # Of all codes: `width`, doubled at each halving but the first.
        channels = min(filled.width * filled.size // 4, filled.widest)
        if channels <= 2 * filled.separate:
            raise OptionError(
                f"--separate is {filled.separate}: two such codes leave nothing of {channels} channels for the common "
                "one; it must be at "
                f"most {(channels - 1) // 2}"
            )
        return filled
