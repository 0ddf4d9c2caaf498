"""The configuration of action recognition, for `structkit.engines.speednet.action`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from structkit.configs.base import Config, option
from structkit.configs.speednet import LEAST_CLIP_SIDE, SPEEDNET_NETWORKS, SPEEDNET_VIEWS, SpeedNetConfig
from structkit.errors import OptionError

BACKBONE = ("network", "sees", "width", "gates")  # options that a trained model to begin from decides on


@dataclass(frozen=True)
class ActionConfig(Config):
    """Options of `structkit train action`."""

    init: str | None = dataclasses.field(
        default=None,
        metadata=option(
            None, "begin from the weights of this model of structkit train speednet; else from random ones"
        ).metadata
        | {"metavar": "MODEL"},
    )
    baseline: bool = option(
        False, "with --init: also train from random weights, by as many steps, to compare with; twice the time"
    )
    network: str | None = option(None, "the network; else that of --init, or plain", choices=SPEEDNET_NETWORKS)
    sees: str | None = option(
        None,
        "what the network sees: colour, the frames; motion, where something changes from one to the next; else what "
        "that of --init does, or motion",
        choices=SPEEDNET_VIEWS,
    )
    width: float | None = option(
        None, "channels of the network, in units of its usual ones; else those of --init, or 1", low=0.05, high=4
    )
    gates: str | None = option(
        None,
        "where s3dg gates its features; else where --init does, or nowhere",
        choices=("none", "stem", "mixed", "all"),
    )
    frames: int | None = option(
        None, "frames of the windows, of 25 a second; else those of --init, or 16", low=8, high=256
    )
    side: int | None = option(
        None, "short side of the clips, px; else that of --init, or 64", low=LEAST_CLIP_SIDE, high=512
    )
    batch: int = option(16, "windows in each step", low=1, high=1024)
    steps: int = option(400, "steps of training", low=1, high=10_000_000)
    rate: float = option(1e-3, "learning rate at its height, of all layers", low=1e-7, high=1)
    weight_decay: float = option(0.01, "decay of the weights (AdamW)", low=0, high=1)
    warm_up: float = option(0.1, "share of the steps in which the learning rate rises", low=0, high=1)
    dropout: float = option(0.2, "share of the features that each step leaves out", low=0, high=0.9)
    zoom: float = option(0.7, "smallest part of a frame's side that a window shows; 1: all", low=0.2, high=1)
    sided: bool = option(False, "left and right matter: no window is shown mirrored, as half of them are else")
    jitter: float = option(0.3, "changes of brightness and contrast, of each window; 0: none", low=0, high=0.9)
    average: float = option(0.98, "decay of the average of the weights, which is what is used", low=0, high=0.99999)
    held: float = option(0.25, "share of each class's files that are held out, for the scores", low=0, high=0.5)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.baseline and self.init is None:
            raise OptionError("--baseline trains from random weights, and without --init so does all: leave it out")

    def backbone(self) -> SpeedNetConfig:
        """The configuration of the network, of a `filled` configuration."""
        return SpeedNetConfig(
            network=self.network,
            sees=self.sees,
            width=self.width,
            gates=self.gates,
            frames=self.frames,
            side=self.side,
        ).filled()

    def begun_from(self, start: SpeedNetConfig) -> ActionConfig:
        """The configuration with what the model to begin from decides on.  Raises OptionError for another network."""
        for name in BACKBONE:
            own = getattr(self, name)
            if own is not None and own != getattr(start, name):
                fact = f"--{name} is {own} and that of --init is {getattr(start, name)}"
                raise OptionError(f"{fact}: leave --{name} out, or begin from random weights")
        known = {name: getattr(start, name) for name in (*BACKBONE, "frames", "side")}
        return self._with(known)

    def filled(self) -> ActionConfig:
        """The configuration without None, but for `init`.  Raises OptionError for options that its network has not."""
        usual = SpeedNetConfig(preset="fast").filled()
        filled = self._with({name: getattr(usual, name) for name in (*BACKBONE, "frames", "side")})
        filled.backbone()
        return filled
