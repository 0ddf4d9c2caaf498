"""The configuration of SpeedNet, for `structkit.engines.speednet`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from structkit.configs.base import Config, Presets, of_preset, option
from structkit.errors import OptionError

SPEEDNET_PRESETS: Presets = {
    # As published, as far as it is known: clips, sizes and network are; optimiser, batch and steps are not.
    "paper": {
        "network": "s3dg",
        "sees": "colour",
        "gates": "all",
        "objective": "binary",
        "sampler": "bernoulli",
        "zoom": False,
        "frames": 64,
        "smallest": 64,
        "largest": 336,
        "side": 224,
        "batch": 8,
        "steps": 50_000,
        "jitter": 0.0,
        "noise": 0.0,
        "blur": 0.0,
    },
    # For two CPU cores: minutes.  Changes of brightness would look like motion, which is what the network sees.
    "fast": {
        "network": "plain",
        "sees": "motion",
        "gates": "none",
        "objective": "relative",
        "sampler": "mix",
        "zoom": True,
        "frames": 16,
        "smallest": 32,
        "largest": 56,
        "side": 64,
        "batch": 8,
        "steps": 1500,
        "jitter": 0.03,
        "noise": 0.15,
        "blur": 0.25,
    },
}
SPEEDNET_NETWORKS = ("plain", "s3dg")
SPEEDNET_VIEWS = ("colour", "motion")
SPEEDNET_OBJECTIVES = ("binary", "relative", "ranked")
SPEEDNET_GATES = ("none", "stem", "mixed", "all")
SAMPLERS = ("bernoulli", "dither", "mix")
LEAST_CLIP_SIDE = 32  # px, of the clips that are learned from

_preset = partial(of_preset, SPEEDNET_PRESETS)


@dataclass(frozen=True)
class SpeedNetConfig(Config):
    """Options of `structkit train speednet`.

    `filled()` puts the values of the preset in.
    """

    preset: str = option(
        "fast",
        "how much effort: paper as published, for a GPU; fast for two CPU cores",
        choices=tuple(SPEEDNET_PRESETS),
    )
    init: str | None = option(
        None,
        "weights to begin with: a checkpoint of SpeedNet with the same network; or a state dict of torchvision's S3D, "
        ".safetensors, with --network s3dg --sees colour; else random ones",
    )
    objective: str | None = _preset(
        "what is learned: binary, of each clip whether it is sped up (published); relative, which of two versions of "
        "a moment is; ranked, which of two clips of any moments is",
        "objective",
        choices=SPEEDNET_OBJECTIVES,
    )
    calibration: float = option(
        0.5, "weight of the binary objective beside the others: it says where natural ends", low=0, high=100
    )
    network: str | None = _preset(
        "the network: plain, for processors; or s3dg (published)", "network", choices=SPEEDNET_NETWORKS
    )
    sees: str | None = _preset(
        "what the network sees: colour, the frames (published); motion, where something changes from one to the next",
        "sees",
        choices=SPEEDNET_VIEWS,
    )
    width: float = option(1.0, "channels of the network, in units of its usual ones", low=0.05, high=4)
    gates: str | None = _preset("where s3dg gates its features", "gates", choices=SPEEDNET_GATES)
    gate_bias: bool = option(True, "gates with a bias")
    gate_frames: int | None = option(
        None, "frames that a gate takes its mean over, an odd number; else all (published)", low=1, high=255
    )
    stem_stride: int = option(1, "stride in time of the first layer of s3dg", low=1, high=2)
    pool_stride: int = option(1, "stride in time of the last two pools of s3dg", low=1, high=2)
    frames: int | None = _preset("frames of the clips that are learned from", "frames", low=8, high=256)
    smallest: int | None = _preset(
        "smallest side of these clips, px; each step draws another one", "smallest", low=LEAST_CLIP_SIDE, high=512
    )
    largest: int | None = _preset("largest side of these clips, px", "largest", low=LEAST_CLIP_SIDE, high=512)
    side: int | None = _preset(
        "short side of the videos that the model is used on, px, and of all clips with --no-space-augmentation",
        "side",
        low=LEAST_CLIP_SIDE,
        high=512,
    )
    same_batch: bool = option(True, "put both versions of a moment into each batch, so that nothing else differs")
    time_augmentation: bool = option(
        True, "draw the speed of each version, 1 to 1.2 and 1.7 to 2.2; without it they are 1 and 2"
    )
    space_augmentation: bool = option(True, "draw the side of the clips of each step, between the two bounds")
    sampler: str | None = _preset(
        "how frames are left out: bernoulli by chance (published); dither evenly; mix each half of the time",
        "sampler",
        choices=SAMPLERS,
    )
    zoom: bool | None = option(
        None,
        "show each version of a moment at a scale of its own, so that motion in px does not tell them apart; else yes "
        "for fast, no for paper",
    )
    jitter: float | None = _preset(
        "changes of brightness, contrast and saturation, drawn for each frame; 0: none", "jitter", low=0, high=0.9
    )
    noise: float | None = _preset(
        "largest standard deviation of noise on the clips, black to white = 2: what a poor camera shows is not motion",
        "noise",
        low=0,
        high=1,
    )
    blur: float | None = _preset(
        "share of the moments whose frames are blended with the next, as with a longer exposure", "blur", low=0, high=1
    )
    batch: int | None = _preset("moments in each step; each has two clips", "batch", low=1, high=256)
    steps: int | None = _preset("steps of training", "steps", low=1, high=10_000_000)
    rate: float = option(1e-3, "learning rate at its height", low=1e-7, high=1)
    weight_decay: float = option(1e-4, "decay of the weights (AdamW)", low=0, high=1)
    warm_up: float = option(0.05, "share of the steps in which the learning rate rises", low=0, high=1)
    gradient_clip: float = option(1.0, "largest norm of the gradient", low=1e-6, high=1e6)
    average: float = option(0.999, "decay of the average of the weights, which is what is used", low=0, high=0.99999)
    held: float = option(0.2, "share of the files that are held out, for the scores", low=0, high=0.5)
    checks: int = option(
        10, "times that the scores are measured on the way; the best weights are kept", low=1, high=1000
    )
    patience: int = option(5, "checks without better scores after which the training ends", low=1, high=1000)
    cache_gb: float = option(4.0, "largest size of the cache of decoded videos, GB", low=0.001, high=100_000)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gate_frames is not None and self.gate_frames % 2 == 0:
            raise OptionError(f"--gate-frames is {self.gate_frames}: it must be an odd number, so that it has a middle")

    def filled(self) -> SpeedNetConfig:
        """The configuration without None, but for `gate_frames`: each value is the user's, else the preset's."""
        filled = self._with(SPEEDNET_PRESETS[self.preset])
        if filled.smallest > filled.largest:
            raise OptionError(
                f"--smallest is {filled.smallest}: it must be at most --largest, which is {filled.largest}"
            )
        if filled.objective == "relative" and not filled.same_batch:
            raise OptionError(
                "--objective relative compares two versions of a moment, and --no-same-batch leaves one of them out: "
                "use --objective binary"
            )
        of_s3dg = {
            "--gates": filled.gates != "none",
            "--gate-frames": filled.gate_frames is not None,
            "--no-gate-bias": not filled.gate_bias,
            "--stem-stride": filled.stem_stride > 1,
            "--pool-stride": filled.pool_stride > 1,
        }
        if filled.network == "plain":
            if self.gates is None:  # the preset's are its own network's
                filled = replace(filled, gates="none")
                of_s3dg["--gates"] = False
            for flag, is_set in of_s3dg.items():
                if is_set:
                    raise OptionError(f"{flag} is of --network s3dg, and the network is plain: leave it out")
        elif filled.gates == "none":
            for flag in ("--gate-frames", "--no-gate-bias"):
                if of_s3dg[flag]:
                    raise OptionError(f"{flag} is of gates, and there are none: choose --gates, or leave it out")
        if filled.objective == "binary" and filled.calibration != type(self).calibration:
            raise OptionError(
                "--calibration is a weight beside another objective, and --objective binary is alone: leave it out"
            )
        return filled

    @property
    def pool(self) -> int:
        """Frames of a moment: three times those of a clip, from which both versions are taken."""
        return 3 * self.frames

    @property
    def least_pool(self) -> int:
        """The fewest frames from which both versions can be taken, for the fastest speed."""
        return -(-9 * self.frames // 4)

    @property
    def proxy_side(self) -> int:
        """Short side of the decoded videos, px: 160, or as large as the largest clip."""
        return max(160, self.largest, self.side)
