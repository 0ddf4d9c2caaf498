"""The choice of an engine for new clips: the options that choose it, and the refusal of those of no use to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from structkit.configs import (
    GENVIDEO_PRESETS,
    VIDEO_QUALITY,
    ClipConfig,
    ClipCourse,
    Config,
    GenvideoConfig,
    GenvideoResultConfig,
    option,
)
from structkit.errors import OptionError
from structkit_cli.completion import complete_checkpoint
from structkit_cli.help import Panel
from structkit_cli.options import RunOptions, named
from structkit_cli.pages.genvideo_engines import ModelClips, PatchClips, TrainedClips
from structkit_cli.run.checks import refuse_set, result_size
from structkit_cli.run.plan import Output
from structkit_cli.run.trainer import checkpoint_path

FORMATS = ("mp4", "mov", "mkv", "webm", "gif", "webp", "png")
OF_TRAINING = {"preset", "minutes", "vae_levels", "hflip"}
DEFAULTS = GenvideoConfig()


@dataclass(frozen=True)
class ClipRunOptions(RunOptions):
    """Options of the running, and of clips as they are written."""

    format: str | None = option(
        None, "format of the results; else the one that --output names, or mp4", choices=FORMATS
    )
    quality: int | None = option(None, f"for videos (else {VIDEO_QUALITY}) and webp (else lossless)", low=1, high=100)
    dtype: str = option(
        "auto",
        "with --engine vaegan: of the training's arithmetic; auto: bfloat16 where the device computes in it",
        choices=("auto", "float32", "bfloat16"),
    )


@dataclass(frozen=True)
class ClipEngineOptions(Config):
    """Options that choose the engine of new clips."""

    engine: str = option(
        "patch", "patch needs no training; vaegan trains a model of the clip first", choices=("patch", "vaegan")
    )
    model: str | None = named(
        None,
        "draw from this trained model; with --engine vaegan: keep the model there",
        "MODEL.safetensors",
        complete=complete_checkpoint,
    )
    preset: str | None = option(
        None,
        f"with --engine vaegan: how much effort; else {DEFAULTS.preset}, about a quarter of an hour on two CPU cores; "
        "paper takes days on a GPU",
        choices=tuple(GENVIDEO_PRESETS),
    )
    minutes: float | None = option(
        None,
        "with --engine vaegan: end the training in this time: by fewer steps, then by smaller frames; else all is done",
        low=0.01,
    )
    vae_levels: int = option(
        DEFAULTS.vae_levels,
        "with --engine vaegan: coarsest levels that learn to give the clip back: 3 of 5 give far more varied clips "
        "than 1",
        low=1,
        high=64,
    )
    hflip: bool = option(DEFAULTS.hflip, "with --engine vaegan: learn from the clip's mirror image, too")

    @property
    def trains(self) -> bool:
        """True if a model is trained first."""
        return self.engine == "vaegan"

    @property
    def drawn(self) -> str | None:
        """The model to draw from, where none is trained."""
        return None if self.trains else self.model


def _model_in_use(options: Mapping[str, Any]) -> bool:
    return options.get("engine") == "vaegan" or options.get("model") is not None


PATCH_PANEL = Panel(
    "Patch engine (--engine patch, the default)",
    {field.name for field in fields(ClipConfig)},
    used=lambda options: not _model_in_use(options),
    shown_by="--engine patch",
)
MODEL_PANEL = Panel(
    "Trained model (--engine vaegan, or --model)",
    OF_TRAINING | {"dtype", *(field.name for field in fields(GenvideoResultConfig))},
    used=_model_in_use,
    shown_by="--engine vaegan",
)


def engine_of(
    engine: ClipEngineOptions,
    patches: ClipConfig,
    result: GenvideoResultConfig,
    course: ClipCourse,
    running: RunOptions,
    *,
    clips: Sequence[str],
    size: str | None,
    count: int | None,
) -> PatchClips | ModelClips:
    """The engine that draws.  clips, size, count: as they were given."""
    by_model, wide = engine.trains or engine.model is not None, result_size(size)
    if not clips and engine.drawn is None:
        way_out = "name a video or an animated picture, or draw from a trained model with --model alone"
        raise OptionError(f"Missing argument 'CLIP': {way_out}")
    course.check(size=wide is not None, model=by_model, count=count, patches=None if by_model else patches)
    if not engine.trains:
        training = "is of a training: leave it out, or say --engine vaegan"
        refuse_set(engine, OF_TRAINING, training)
        refuse_set(running, {"dtype"}, training)
    if not by_model:
        way_out = "leave it out, say --engine vaegan, or name a --model"
        refuse_set(result, None, f"is for a trained model: {way_out}")
        return PatchClips(patches, course, wide, running)
    refuse_set(patches, None, "is of the patch engine, not of a trained model: leave it out")
    if engine.trains:
        chosen = {} if engine.preset is None else {"preset": engine.preset}
        config = GenvideoConfig(vae_levels=engine.vae_levels, hflip=engine.hflip, **chosen)
        return TrainedClips(config, engine.minutes, result, course, wide, running)
    if clips and result.inject is None and result.refine != "patches":
        way_out = (
            "leave CLIP out, or say --inject N, which starts from it, or --refine patches, which takes its patches"
        )
        raise OptionError(f"--model {engine.model} draws from what it has learned: {way_out}")
    return ModelClips(result, course, wide, running)


def checkpoint_of(engine: ClipEngineOptions, output: Output, *, many: bool) -> Path:
    """The place of the model that a training for an output will keep.

    many: true for a batch.
    """
    if engine.model is not None:
        if many:
            way_out = "leave it out, each is kept beside its output"
            raise OptionError(f"--model {engine.model} is one model, and there may be several: {way_out}")
        return checkpoint_path(engine.model, "--model")
    if output.path is None:
        way_out = "name one with --model MODEL.safetensors"
        raise OptionError(f"--output - leaves no place for the trained model: {way_out}")
    return output.path.with_suffix(".safetensors")
