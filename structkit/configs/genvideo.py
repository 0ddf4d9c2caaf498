"""Configurations of models of one clip, for `structkit.engines.genvideo`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial

from structkit.configs.base import Config, Presets, of_preset, option
from structkit.errors import OptionError

GENVIDEO_PRESETS: Presets = {
    # As published: 10 levels, 50,000 steps each; days on a GPU.
    "paper": {"size": 256, "coarsest": 32, "width": 64, "latent": 128, "steps": 50_000, "taper": 1.0},
    # For two CPU cores: minutes.  A coarsest level that is not wider than what a code decides on (2 x layers + 1 px) is
    # learned by heart: of 13 x 7 px, diversity is 0.1, and of 24 x 14 px 0.3.
    "fast": {"size": 48, "coarsest": 24, "width": 32, "latent": 64, "steps": 1600, "taper": 0.15},
}
GENVIDEO_VARIANTS = ("hpvaegan", "singan3d", "consingan3d")
STRIDES = (4, 3, 2, 1)  # of the published levels, in frames
MOST_FRAMES = 250  # of a clip that are learned from, where nothing else is said

_preset = partial(of_preset, GENVIDEO_PRESETS)


def strides_of(text: str) -> tuple[int, ...]:
    """The strides of the levels, in frames, coarsest first: "4,3,2,1" -> (4, 3, 2, 1).

    Raises OptionError for another text, and for strides that grow.
    """
    parts = [part.strip() for part in text.split(",")]
    # Numbers of at most three digits: no clip has longer steps.
    strides = tuple(int(part) for part in parts if part.isascii() and part.isdecimal() and len(part) <= 3)
    if len(strides) != len(parts) or min(strides) < 1 or list(strides) != sorted(strides, reverse=True):
        raise OptionError(
            f"--strides is {text!r}: name the steps between frames from the coarsest level to the finest, "
            "such as 4,3,2,1"
        )
    return strides


@dataclass(frozen=True)
class GenvideoConfig(Config):
    """Options of `structkit train genvideo` and of `structkit genvideo --engine vaegan`.

    `filled()` puts the values of the preset and of the variant in.
    """

    preset: str = option(
        "fast",
        "how much effort: paper as published, for a GPU; fast for two CPU cores",
        choices=tuple(GENVIDEO_PRESETS),
    )
    variant: str = option(
        "hpvaegan",
        "what is trained: HP-VAE-GAN; or a baseline that it was published beside, SinGAN or ConSinGAN over clips",
        choices=GENVIDEO_VARIANTS,
    )
    size: int | None = _preset("width of the result's frames, px", "size", low=16, high=1024)
    coarsest: int | None = _preset(
        "width of the coarsest level's frames, px: larger for more diversity", "coarsest", low=8, high=256
    )
    strides: str | None = option(
        None,
        "steps between the frames that levels see, from the coarsest to the finest; else those of 4,3,2,1 that divide "
        "--window - 1",
    )
    window: int | None = option(
        None,
        "frames that are learned and made together: one more than a multiple of each stride; else the fewest, 13 for "
        "4,3,2,1",
        low=1,
        high=1000,
    )
    frames: int = option(
        MOST_FRAMES, "frames of the clip that are learned from, at most; each step sees one window", low=1, high=100_000
    )
    vae_levels: int = option(
        3,
        "coarsest levels that learn to give the clip back; the finer ones, and all of a baseline, learn from a critic: "
        "3 of 5 give far more diverse clips than 1",
        low=1,
        high=64,
    )
    steps: int | None = _preset("steps of training at the coarsest level", "steps", low=1, high=10_000_000)
    taper: float | None = _preset("steps at the finest level, as a share of those", "taper", low=0.001, high=1)
    width: int | None = _preset("channels of the networks", "width", low=4, high=512)
    latent: int | None = _preset("channels of the code", "latent", low=1, high=1024)
    layers: int = option(7, "convolutions in each generator and critic", low=3, high=16)
    encoder_layers: int = option(4, "convolutions in the encoder", low=2, high=16)
    train_depth: int = option(1, "finest levels that learn together", low=1, high=64)
    train_all: bool = option(
        False, "let encoder and decoder learn at all levels, where --train-depth is above the number of the level"
    )
    batch: int | None = option(
        None,
        "samples in each step, in each process; else 1, of a picture and for the baselines 2",
        low=1,
        high=256,
    )
    generator_rate: float = option(5e-4, "learning rate of the newest level", low=1e-7, high=1)
    critic_rate: float = option(5e-4, "learning rate of the critics", low=1e-7, high=1)
    rate_fall: float = option(0.2, "learning rate of each level below, in units of the one above it", low=0, high=1)
    gradient_clip: float = option(5.0, "largest norm of the generators' gradient", low=1e-6, high=1e6)
    reconstruction: float = option(10.0, "weight of giving the clip back", low=0, high=1000)
    kl: float = option(1.0, "weight of the codes' being normal", low=0, high=1000)
    adversarial: float = option(1.0, "weight of the critic's view", low=0, high=1000)
    penalty: float = option(0.1, "weight of the critics' gradient penalty", low=0, high=1000)
    noise: float = option(0.1, "noise at each level, in units of what is still missing there", low=0, high=10)
    constant_noise: bool = option(False, "noise of amplitude 1 at each level instead")
    hflip: bool = option(False, "learn from the clip's mirror image, too")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.strides is not None:
            strides_of(self.strides)

    @property
    def steps_between(self) -> tuple[int, ...]:
        """The strides of the levels, in frames, coarsest first."""
        if self.strides is not None:
            return strides_of(self.strides)
        return STRIDES if self.window is None else tuple(s for s in STRIDES if (self.window - 1) % s == 0)

    @property
    def window_frames(self) -> int:
        """Frames of a window: those that were asked for, else the fewest that the strides allow."""
        return math.lcm(*self.steps_between) + 1 if self.window is None else self.window

    def longest_window(self, frames: int) -> int:
        """Frames of the longest window in so many frames that `strides`, if they are asked for, allow."""
        step = 1 if self.strides is None else math.lcm(*self.steps_between)
        return (frames - 1) // step * step + 1

    @property
    def is_baseline(self) -> bool:
        """True for SinGAN and ConSinGAN, which have no encoder, and critics at all levels."""
        return self.variant != "hpvaegan"

    def filled(self) -> GenvideoConfig:
        """The configuration without None: each value is the user's, else the preset's."""
        values = GENVIDEO_PRESETS[self.preset] | {"batch": 2 if self.is_baseline or self.window == 1 else 1}
        strides = ",".join(map(str, self.steps_between))
        filled = replace(self._with(values | {"window": self.window_frames}), strides=strides)
        if filled.coarsest > filled.size:
            raise OptionError(f"--coarsest is {filled.coarsest}: it must be at most --size, which is {filled.size}")
        step = math.lcm(*self.steps_between)
        if (filled.window - 1) % step:
            raise OptionError(
                f"--window is {filled.window}: with --strides {strides} it must be 1, {step + 1}, {2 * step + 1} or "
                "one more than another multiple of that"
            )
        if filled.frames < filled.window:
            raise OptionError(
                f"--frames is {filled.frames}, and a window {filled.window}: use --frames {filled.window} or more, or "
                f"--window {self.longest_window(filled.frames)}"
            )
        return filled


@dataclass(frozen=True)
class GenvideoResultConfig(Config):
    """Options of the clips that are drawn from a trained model."""

    inject: int | None = option(
        None,
        "level from which the clip itself is refined: 0, its code, is the freest; else everything comes from noise",
        low=0,
        high=64,
    )
    refine: str = option(
        "none",
        "repaint the result with the clip's own patches, which gives real texture",
        choices=("none", "patches"),
    )
