"""The configuration of `structkit speedup`: the curve of speeds, and the video that follows it."""

from __future__ import annotations

from dataclasses import dataclass

from structkit.configs.base import MOST_SIDE, Config, option
from structkit.errors import OptionError

SPEEDUP_METHODS = ("motion", "speednet")
HEATMAP_KINDS = ("cam", "speed")
SPEEDUP_MODEL = "speednet-fast"  # of --method speednet where none is named, if it ships
NO_SPEEDUP_MODEL = (
    "--method speednet needs a model, and none ships with this version: name one with --model, or make one with "
    "structkit train speednet"
)
NO_FACTORS = "--vmode is of --method speednet, and only what that measured has factors: leave it out"
SPEEDUP_RATE = 2.0  # where nothing says how long the result is to be
SPEECH_SPEED = 1.6  # above, speech is hard to follow
MOST_SPEED = 100


@dataclass(frozen=True)
class SpeedCurveConfig(Config):
    """Options of the curve of speeds.  Raises OptionError."""

    method: str | None = option(
        None,
        "what says how fast a moment may be: motion measures what moves against the rest of the picture, speednet asks "
        "a trained model; else motion, or speednet where a --model is named",
        choices=SPEEDUP_METHODS,
    )
    rate: float | None = option(
        None,
        f"how many times as short the result is, exactly; else {SPEEDUP_RATE:g}, or that of --from-curve",
        low=1,
        high=MOST_SPEED,
    )
    max_speed: float = option(8.0, "no moment is faster", low=1, high=MOST_SPEED)
    smooth: float = option(
        100.0, "how slowly the speed changes: 10 follows each movement, 1000 hardly any", low=0, high=1_000_000
    )
    protect_speech: bool = option(False, f"where somebody speaks, at most {SPEECH_SPEED:g} times as fast")
    silence_speed: float | None = option(
        None, "where the sound is silent, up to this speed, whatever moves", low=1, high=MOST_SPEED
    )
    vmode: str = option(
        "runs",
        "of speednet: a moment may be as fast as it looks natural at, and at all lower factors but one (runs), or at "
        "that factor alone, as published (max)",
        choices=("runs", "max"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.vmode != "runs" and self.method == "motion":
            raise OptionError(NO_FACTORS)


@dataclass(frozen=True)
class RetimeConfig(Config):
    """Options of the video that follows a curve."""

    audio: str = option(
        "stretch",
        "the sound: stretch keeps its pitch, varispeed does not, as a tape that runs faster, drop leaves it out",
        choices=("stretch", "varispeed", "drop"),
    )
    resample: str = option(
        "nearest",
        "the frames: nearest takes one of the clip's for each of the result's, blend the mean of those that pass by, "
        "vfr keeps all, at a rate that varies",
        choices=("nearest", "blend", "vfr"),
    )
    max_side: int | None = option(None, "longest side of the result, px; else the clip's", low=16, high=MOST_SIDE)
