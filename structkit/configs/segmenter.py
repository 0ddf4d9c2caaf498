"""The configuration of segmenters, for `structkit.engines.padain.segmenter`."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from structkit.configs.base import Config, Presets, flag, of_preset, option
from structkit.errors import OptionError

SEGMENTER_PRESETS: Presets = {
    # As published: FADA (Wang et al., ECCV 2020), with pAdaIN where --padain says so.  For GPUs.
    "paper": {
        "network": "resnet101",
        "size": "1024x512",
        "source_size": "1280x720",
        "batch": 8,
        "pair_batch": 4,
        "optimiser": "sgd",
        "rate": 5e-3,
        "steps": 20_000,
        "augment": False,
        "weighted": False,
        "adversarial_steps": 40_000,
        "adversarial_rate": 2.5e-3,
        "discriminator_rate": 1e-4,
        "upsampled": True,
        "distillation_steps": 40_000,
        "distillation_rate": 5e-3,
        "selftrain_steps": 40_000,
        "selftrain_rate": 2.5e-3,
        "confidence": 0.968,
        "teacher": 0.999,
    },
    # For two CPU cores: minutes.
    "fast": {
        "network": "small",
        "size": "240x180",
        "source_size": "240x180",
        "batch": 8,
        "pair_batch": 8,
        "optimiser": "adam",
        "rate": 2e-3,
        "steps": 400,
        "augment": True,
        "weighted": True,
        "adversarial_steps": 150,
        "adversarial_rate": 5e-4,
        "discriminator_rate": 5e-4,
        "upsampled": False,
        "distillation_steps": 150,
        "distillation_rate": 5e-4,
        "selftrain_steps": 300,
        "selftrain_rate": 1e-3,
        "confidence": 0.9,
        "teacher": 0.98,
    },
}
ADAPTATIONS = ("none", "bn", "fada", "selftrain")
SEGMENTER_NETWORKS = ("small", "resnet50", "resnet101")
OPTIMISERS = ("sgd", "adam")
LEAST_PICTURE_SIDE, MOST_PICTURE_SIDE = 16, 4096  # px
# The options that are of some adaptations alone: these, and what stands for them where no preset has a value.
OF_ADAPTATION: Mapping[str, tuple[tuple[str, ...], Any]] = {
    "alpha": (("bn",), 1.0),
    "pair_batch": (("fada", "selftrain"), None),
    "adversarial_steps": (("fada",), None),
    "adversarial_rate": (("fada",), None),
    "discriminator_rate": (("fada",), None),
    "adversarial": (("fada",), 0.001),
    "temperature": (("fada",), 1.8),
    "ceiling": (("fada",), 0.9),
    "upsampled": (("fada",), None),
    "distillation_steps": (("fada",), None),
    "distillation_rate": (("fada",), None),
    "selftrain_steps": (("selftrain",), None),
    "selftrain_rate": (("selftrain",), None),
    "confidence": (("selftrain",), None),
    "teacher": (("selftrain",), None),
    "masked": (("selftrain",), 0.0),
}

_preset = partial(of_preset, SEGMENTER_PRESETS)


def size_of(text: str, name: str) -> tuple[int, int]:
    """The size (width, height) that a text such as 240x180 says.  Raises OptionError.

    name: of the option.
    """
    found = re.fullmatch(r"([0-9]{1,6})x([0-9]{1,6})", text)
    sides = tuple(map(int, found.groups())) if found else ()
    if len(sides) != 2 or not all(LEAST_PICTURE_SIDE <= side <= MOST_PICTURE_SIDE for side in sides):
        bounds = f"{LEAST_PICTURE_SIDE} to {MOST_PICTURE_SIDE} px"
        raise OptionError(f"{flag(name)} is {text!r}: it must be a width and a height of {bounds}, such as 240x180")
    return sides[0], sides[1]


@dataclass(frozen=True)
class SegmenterConfig(Config):
    """Options of `structkit train segmenter`.

    `filled()` puts the values of the preset in; those that another adaptation has stay None.
    """

    preset: str = option(
        "fast",
        "how much effort: paper as published, for GPUs; fast for two CPU cores",
        choices=tuple(SEGMENTER_PRESETS),
    )
    adapt: str = option(
        "none",
        "how to adapt to the target: none; bn, its statistics in the batch norms; fada, by a discriminator, then by "
        "its own labels (published); selftrain, by pictures mixed of both",
        choices=ADAPTATIONS,
    )
    padain: float = option(
        0.0, "chance that a layer gives a picture another's statistics in a step (pAdaIN); 0: none", low=0, high=1
    )
    padain_sites: str | None = option(
        None, "with --padain: the layers, paper, early, fada or a pattern of their names; else fada for paper, or paper"
    )
    network: str | None = _preset(
        "the backbone: small, for processors; or a ResNet", "network", choices=SEGMENTER_NETWORKS
    )
    init: str | None = dataclasses.field(
        default=None,
        metadata=option(
            None, "begin from these weights of torchvision's ResNet, a .safetensors (published); else from random ones"
        ).metadata
        | {"metavar": "WEIGHTS"},
    )
    width: float | None = option(
        None, "channels of the small backbone, in units of its usual ones; else 1", low=0.05, high=8
    )
    size: str | None = _preset("width and height that pictures are looked at in, WxH px", "size")
    source_size: str | None = _preset("width and height of the labelled pictures that are learned from", "source_size")
    batch: int | None = _preset("pictures in each step", "batch", low=1, high=1024)
    pair_batch: int | None = _preset(
        "with fada and selftrain: pictures of each domain in steps with both", "pair_batch", low=1, high=1024
    )
    steps: int | None = _preset("steps on the source", "steps", low=1, high=10_000_000)
    rate: float | None = _preset("learning rate on the source at its height", "rate", low=1e-7, high=1)
    optimiser: str | None = _preset(
        "the optimiser: sgd (published; the backbone learns at a tenth of each rate) or adam",
        "optimiser",
        choices=OPTIMISERS,
    )
    balanced: bool = option(True, "draw pictures by the classes in them, rare classes more often")
    weighted: bool | None = option(
        None, "let the pixels of rare classes weigh more in the loss; else yes for fast, no for paper"
    )
    augment: bool | None = option(
        None, "show the source scaled, cut, mirrored and in other colours; else yes for fast, no for paper"
    )
    frozen: bool | None = option(
        None,
        "with --init: leave the batch norms as they are but in the last stage of fada (published); else yes for paper",
    )
    alpha: float | None = option(
        None, "with bn: share of the target's statistics, beside the source's; else 1", low=0, high=1
    )
    adversarial_steps: int | None = _preset(
        "with fada: steps with the discriminator", "adversarial_steps", low=1, high=10_000_000
    )
    adversarial_rate: float | None = _preset(
        "with fada: learning rate in these steps", "adversarial_rate", low=1e-7, high=1
    )
    discriminator_rate: float | None = _preset(
        "with fada: learning rate of the discriminator", "discriminator_rate", low=1e-7, high=1
    )
    adversarial: float | None = option(
        None, "with fada: weight of what the discriminator says; else 0.001", low=0, high=100
    )
    temperature: float | None = option(None, "with fada: temperature of the soft labels; else 1.8", low=0.1, high=100)
    ceiling: float | None = option(None, "with fada: largest value of a soft label; else 0.9", low=0.01, high=1)
    upsampled: bool | None = option(
        None, "with fada: judge each pixel and not each feature (published); else yes for paper, no for fast"
    )
    distillation_steps: int | None = _preset(
        "with fada: steps on the target by its own labels", "distillation_steps", low=1, high=10_000_000
    )
    distillation_rate: float | None = _preset(
        "with fada: learning rate in these steps", "distillation_rate", low=1e-7, high=1
    )
    selftrain_steps: int | None = _preset(
        "with selftrain: steps on mixed pictures", "selftrain_steps", low=1, high=10_000_000
    )
    selftrain_rate: float | None = _preset(
        "with selftrain: learning rate in these steps", "selftrain_rate", low=1e-7, high=1
    )
    confidence: float | None = _preset(
        "with selftrain: probability from which a label of the teacher is trusted", "confidence", low=0, high=1
    )
    teacher: float | None = _preset(
        "with selftrain: decay of the average of the weights that is the teacher", "teacher", low=0, high=0.99999
    )
    masked: float | None = option(
        None,
        "with selftrain: share of the target's squares that a further view hides (MIC); else 0, no such view",
        low=0,
        high=0.95,
    )
    held: float = option(0.1, "share of the labelled pictures that are held out, for the scores", low=0, high=0.5)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("size", "source_size"):
            if (text := getattr(self, name)) is not None:
                size_of(text, name)
        for name, (adaptations, _) in OF_ADAPTATION.items():
            if self.adapt not in adaptations and getattr(self, name) is not None:
                fact = f"{flag(name)} is of --adapt {' and '.join(adaptations)}, and --adapt is {self.adapt}"
                raise OptionError(f"{fact}: leave it out")
        if self.padain_sites is not None and not self.padain:
            raise OptionError("--padain-sites says where --padain is, and that is 0: leave it out")

    def filled(self) -> SegmenterConfig:
        """The configuration without None, but for `init` and the options of other adaptations.

        Raises OptionError for options that its network has not.
        """
        values = dict(SEGMENTER_PRESETS[self.preset])
        if self.size is not None or self.adapt == "selftrain":  # which mixes pictures of both
            values["source_size"] = self.size or values["size"]
        for name, (adaptations, value) in OF_ADAPTATION.items():
            if self.adapt not in adaptations:
                values.pop(name, None)
            elif value is not None:
                values[name] = value
        values["frozen"] = self.preset == "paper" and self.init is not None
        if self.padain:
            values["padain_sites"] = "fada" if self.preset == "paper" else "paper"
        filled = self._with(values)
        if filled.padain and filled.batch == 1:
            raise OptionError("--padain swaps statistics among the pictures of a step, and --batch is 1: leave one out")
        if filled.network == "small":
            if self.init is not None:
                raise OptionError("--init has weights of a ResNet, and the network is small: leave it out")
            filled = filled._with({"width": 1.0})
        elif self.width is not None:
            raise OptionError(f"--width is of --network small, and the network is {filled.network}: leave it out")
        if filled.adapt == "selftrain" and filled.source_size != filled.size:
            raise OptionError(
                f"--source-size is {filled.source_size} and --size {filled.size}: --adapt selftrain mixes pictures of "
                "both, so leave --source-size out"
            )
        if filled.frozen and self.init is None:
            raise OptionError("--frozen leaves the batch norms as --init has them, and there is none: leave it out")
        return filled

    @property
    def shape(self) -> tuple[int, int]:
        """The shape (height, width), px, in which pictures are looked at; of a `filled` configuration."""
        width, height = size_of(self.size, "size")
        return height, width
