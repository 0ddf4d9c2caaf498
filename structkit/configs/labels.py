"""The configuration of classifiers of pictures, for `structkit.engines.padain.classifier`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from structkit.configs.base import Config, Presets, flag, of_preset, option
from structkit.errors import OptionError

CLASSIFIER_PRESETS: Presets = {
    # For two CPU cores: minutes.
    "fast": {
        "network": "resnet18", "width": 16, "side": 32, "epochs": 20, "batch": 128, "rate": 0.2,
        "schedule": "one-cycle", "warm_up": 5.0, "milestones": None, "fall": 0.1, "nesterov": True,
        "weight_decay": 5e-4, "clip": 0.0, "normalise": "data", "crop": "pad", "rotation": 0.0, "padain": 0.0,
        "augmix": False, "checks": 4,
    },
    # The published recipe of pAdaIN on CIFAR-100.
    "paper": {
        "network": "resnet18", "width": 64, "side": 32, "epochs": 200, "batch": 128, "rate": 0.1,
        "schedule": "steps", "warm_up": 1.0, "milestones": "60,120,160", "fall": 0.2, "nesterov": False,
        "weight_decay": 5e-4, "clip": 5.0, "normalise": "data", "crop": "pad", "rotation": 15.0, "padain": 0.01,
        "augmix": False, "checks": 200,
    },
    # The published recipe of AugMix with pAdaIN on CIFAR-100-C.
    "augmix": {
        "network": "resnext29", "width": 64, "side": 32, "epochs": 200, "batch": 128, "rate": 0.1,
        "schedule": "cosine", "warm_up": 0.0, "milestones": None, "fall": 0.1, "nesterov": True,
        "weight_decay": 5e-4, "clip": 0.0, "normalise": "half", "crop": "pad", "rotation": 0.0, "padain": 0.01,
        "augmix": True, "checks": 200,
    },
    # The published recipe of pAdaIN on ImageNet.
    "imagenet": {
        "network": "torchvision:resnet50", "width": None, "side": 224, "epochs": 300, "batch": 256, "rate": 0.1,
        "schedule": "steps", "warm_up": 0.0, "milestones": "75,150,225", "fall": 0.1, "nesterov": False,
        "weight_decay": 1e-4, "clip": 0.0, "normalise": "data", "crop": "resized", "rotation": 0.0, "padain": 0.01,
        "augmix": False, "checks": 300,
    },
}  # fmt: skip

NETWORKS = (
    "resnet18",
    "resnet20",
    "resnet34",
    "resnet50",
    "resnext29",
    "densenet40",
    "pyramidnet110",
    "pyramidnet200",
    "wideresnet28",
    "wideresnet40",
)
TORCHVISION = "torchvision:"  # the beginning of the name of a network of torchvision's
PADAIN_SITES = ("paper", "early")  # places that have a name; others are a pattern of names of modules
OF_PADAIN = ("padain_sites", "pairing", "mix")  # options that mean nothing without it
SEVERITY = {"imagenet": 1}  # of the changes of AugMix and PixMix, as published; elsewhere 3
BETA = {"imagenet": 4.0}  # of PixMix, as published; elsewhere 3
DECAY = {("augmix", "densenet40"): 1e-4}  # of the weights, as published for another network than the preset's

_preset = partial(of_preset, CLASSIFIER_PRESETS)


@dataclass(frozen=True)
class ClassifierConfig(Config):
    """Options of `structkit train classifier`.

    `filled()` puts the values of the preset in.
    """

    preset: str = option(
        "fast",
        "how much effort, and by which recipe: fast for two CPU cores; for a GPU, as published: paper (pAdaIN on "
        "CIFAR), augmix (AugMix and pAdaIN on CIFAR), imagenet (pAdaIN on ImageNet)",
        choices=tuple(CLASSIFIER_PRESETS),
    )
    network: str | None = _preset(
        f"the network: {', '.join(NETWORKS)} (for small pictures), or one of torchvision's, such as "
        "torchvision:resnet50",
        "network",
    )
    width: int | None = option(
        None,
        "channels of the network's first stage (of densenet40: of each layer; of pyramidnets: that are added in all); "
        "else 16 for resnet18 with fast, and the published number",
        low=1,
        high=1024,
    )
    side: int | None = _preset("side of the squares that the network sees, px", "side", low=8, high=1024)
    epochs: int | None = _preset("times that each picture is learned from", "epochs", low=1, high=100_000)
    batch: int | None = _preset("pictures in each step", "batch", low=2, high=65_536)
    rate: float | None = _preset("learning rate at its height (SGD, momentum 0.9)", "rate", low=1e-7, high=100)
    schedule: str | None = _preset(
        "how the rate falls: steps, at milestones; cosine; one-cycle, in a straight line to 0",
        "schedule",
        choices=("steps", "cosine", "one-cycle"),
    )
    warm_up: float | None = _preset("epochs over which the rate rises in a straight line", "warm_up", low=0)
    milestones: str | None = option(
        None,
        "epochs after which the rate falls, such as 60,120,160, with --schedule steps; else 60,120,160 of 200 for "
        "paper and 75,150,225 of 300 for imagenet, and in proportion",
    )
    fall: float | None = option(
        None,
        "factor of the rate at each milestone, with --schedule steps; else 0.2 for paper, 0.1 for others",
        low=0,
        high=1,
    )
    nesterov: bool | None = option(None, "Nesterov's momentum; else yes for fast and augmix, no for paper and imagenet")
    weight_decay: float | None = _preset(
        "decay of the weights; 0.0001 of densenet40 with augmix", "weight_decay", low=0, high=1
    )
    clip: float | None = _preset("largest norm of the gradient; 0: any", "clip", low=0)
    normalise: str | None = _preset(
        "what pictures are normalised by: data, mean and deviation of those that are learned from; half, 0.5 and 0.5",
        "normalise",
        choices=("data", "half"),
    )
    crop: str | None = _preset(
        "what of a picture a step shows: pad, the square moved by up to an eighth of its side; resized, a part of any "
        "size; none, all",
        "crop",
        choices=("pad", "resized", "none"),
    )
    flip: bool = option(True, "show half of the pictures mirrored: not where left and right matter")
    rotation: float | None = _preset("largest turn of a picture, degrees; 0: none", "rotation", low=0, high=180)
    padain: float | None = _preset(
        "chance p, at each of its places in each step, that pAdaIN gives the features of each picture the mean and "
        "deviation of another's; 0: none",
        "padain",
        low=0,
        high=1,
    )
    padain_sites: str | None = option(
        None,
        "places of pAdaIN: paper, after each convolution but those of shortcuts; early, of these the first and those "
        "of the first stage; or a pattern (regular expression) of names of modules; else paper",
    )
    pairing: str | None = option(
        None,
        "whose statistics a picture is given by pAdaIN: permute, those of a permutation; derange, never its own; "
        "halves, the first half of a batch is given those of the second; else permute",
        choices=("permute", "derange", "halves"),
    )
    mix: float | None = option(
        None, "statistics are mixed with a picture's own by shares drawn from Beta(MIX, MIX); else replaced", low=1e-3
    )
    augmix: bool | None = option(
        None, "AugMix: mixtures of chains of simple changes of a picture; else yes for augmix, no for others"
    )
    severity: int | None = option(
        None, "strength of the changes of --augmix and --pixmix; else 3, and 1 for imagenet", low=1, high=10
    )
    jsd: bool | None = option(
        None,
        "with --augmix: learn from a picture and two of its mixtures, whose answers are to be alike (Jensen-Shannon "
        "divergence); without, from one mixture; else yes",
    )
    pixmix: bool = option(False, "PixMix: mixtures of a picture with fractals")
    ema: float = option(
        0.0, "decay of an average of the weights, which then is what is used; 0: none", low=0, high=0.99999
    )
    checks: int | None = _preset(
        "times that the accuracy on the pictures held out is measured, the last time at the end", "checks", low=1
    )
    keep: str = option(
        "last",
        "weights of the model: last, of the end; best, of the best check, whose accuracy then is told too high",
        choices=("last", "best"),
    )
    held: float | None = option(
        None,
        "share of each class that is held out for the scores, where there is no test/ beside train/; else 0.2",
        low=0,
        high=0.5,
    )
    workers: int | None = option(
        None,
        "processes that make the views of pictures ahead; else 0 on a CPU, with --augmix, --pixmix and --crop resized "
        "1, and more beside a GPU",
        low=0,
        high=256,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.network is not None and self.network not in NETWORKS and not self.network.startswith(TORCHVISION):
            fact = f"--network is {self.network!r}: choose one of {', '.join(NETWORKS)}"
            raise OptionError(f"{fact}, or one of torchvision's, such as {TORCHVISION}resnet50")
        if self.milestones:
            self.turns()

    def turns(self) -> list[float]:
        """The milestones as epochs.  Raises OptionError where they are no rising numbers."""
        try:
            turns = [float(word) for word in (self.milestones or "").split(",") if word.strip()]
        except ValueError:
            turns = [0.0]
        if any(not turn > 0 for turn in turns) or sorted(set(turns)) != turns:
            raise OptionError(f"--milestones is {self.milestones!r}: it must be rising epochs, such as 60,120,160")
        return turns

    @property
    def views(self) -> int:
        """Views of a picture in a step: itself, and with AugMix and its divergence two mixtures."""
        return 3 if self.augmix and self.jsd else 1

    def filled(self) -> ClassifierConfig:
        """The configuration without None, but for `workers`, `held` and what is of an option that is off.

        `width` is None for the network's own.
        Raises OptionError where values do not go together, and for options that would do nothing.
        """
        preset = CLASSIFIER_PRESETS[self.preset]
        filled = self._with(self._of_its_network(preset))
        self._refuse_idle(filled)
        if filled.warm_up > filled.epochs:
            raise OptionError(f"--warm-up is {filled.warm_up:g}: it must be at most --epochs, which is {filled.epochs}")
        if filled.schedule == "steps":
            if not (turns := filled.turns()):
                raise OptionError("--schedule steps needs --milestones, such as 60,120,160")
            if turns[-1] >= filled.epochs:
                fact = f"--milestones is {filled.milestones}: they must be below --epochs, which is {filled.epochs}"
                raise OptionError(fact)
        return filled

    def _of_its_network(self, preset: Mapping[str, Any]) -> dict[str, Any]:
        """The preset's values that suit the network and the options that are given."""
        values = dict(preset)
        if self.network not in (None, preset["network"]):
            values["width"] = None
            values["weight_decay"] = DECAY.get((self.preset, self.network), preset["weight_decay"])
        if self.epochs is not None and preset["milestones"]:
            turns = [float(turn) * self.epochs / preset["epochs"] for turn in preset["milestones"].split(",")]
            values["milestones"] = ",".join(f"{turn:g}" for turn in turns)
        if (self.schedule or preset["schedule"]) != "steps":
            values["milestones"] = values["fall"] = None
        if self.pixmix and self.augmix is None:
            values["augmix"] = False
        if self.epochs is not None:
            values["warm_up"] = min(values["warm_up"], values["warm_up"] * self.epochs / preset["epochs"])
            values["checks"] = min(values["checks"], self.epochs)
        if preset["padain"] if self.padain is None else self.padain:
            values |= {"padain_sites": "paper", "pairing": "permute"}
        augmix = values["augmix"] if self.augmix is None else self.augmix
        if augmix:
            values["jsd"] = True
        if augmix or self.pixmix:
            values["severity"] = SEVERITY.get(self.preset, 3)
        return values

    def _refuse_idle(self, filled: ClassifierConfig) -> None:
        """Refuse what would do nothing, and what cannot be together.  Raises OptionError."""
        if not filled.padain:
            for name in OF_PADAIN:
                if getattr(self, name) is not None:
                    raise OptionError(
                        f"{flag(name)} is of pAdaIN, and --padain is 0: leave it out, or say --padain 0.01"
                    )
        elif filled.padain_sites not in PADAIN_SITES:
            try:
                re.compile(str(filled.padain_sites))
            except re.error as error:
                raise OptionError(f"--padain-sites is {filled.padain_sites!r}: no pattern ({error})") from error
        if not filled.augmix:
            if self.jsd is not None:
                raise OptionError(f"--{'' if self.jsd else 'no-'}jsd is of --augmix, which is off: leave it out")
            if self.severity is not None and not self.pixmix:
                raise OptionError("--severity is of --augmix and --pixmix, which are off: leave it out")
        elif self.pixmix:
            raise OptionError("--augmix and --pixmix are two ways to change a picture: choose one")
        if filled.schedule != "steps":
            for name in ("milestones", "fall"):
                if getattr(self, name) is not None:
                    raise OptionError(f"{flag(name)} is of --schedule steps, and it is {filled.schedule}: leave it out")
        if self.width is not None and filled.network.startswith(TORCHVISION):
            raise OptionError(f"--width is not of {filled.network}: leave it out")

    @property
    def slow_views(self) -> bool:
        """True where views are made one by one, at a cost that is worth other processes."""
        return bool(self.augmix or self.pixmix or self.crop == "resized")
