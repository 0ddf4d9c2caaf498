"""Trainings on one clip, or on one picture: HP-VAE-GAN and its baselines."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from structkit.configs import GenvideoConfig
from structkit.engines.genvideo.training import GenvideoTraining
from structkit.errors import InputError, OptionError
from structkit.media import formats
from structkit.media.animations import is_animated
from structkit.media.containers import is_video
from structkit.media.files import sha256_file
from structkit.media.moving_pictures import Clip, SizedMedia, clip_tensor, fitted_clip, read_clip
from structkit.media.pictures import Picture
from structkit.media.tensors import filled
from structkit.media.video import VideoReader
from structkit.recipes import plans
from structkit.recipes.run import Recipe, TrainingJob, TrainingOptions, train, training_function
from structkit.training.forecast import foretold
from structkit.training.outputs import TrainingFiles
from structkit.training.planned import in_minutes
from structkit.verbs.canvas import opened

if TYPE_CHECKING:
    from structkit.engines.genvideo.model import PatchVaeGan
    from structkit.verbs.canvas import PictureLike

FORETELLING = 6.0  # seconds in which the time of a training is to be known


class ClipMaterial:
    """A clip, or a picture, which is a clip of one frame."""

    def __init__(
        self, given: Clip | VideoReader | PictureLike, *, max_pixels: int | None = None, tolerant: bool = False
    ) -> None:
        """max_pixels: of the largest frame, or picture, that is read; None: the usual limit.

        tolerant: as for `read_clip`.
        """
        self.reading = {"max_pixels": max_pixels, "tolerant": tolerant}
        self.path = Path(given) if isinstance(given, str | Path) else None
        self.given = given if self.path is None else _recognised(self.path, self.reading)
        self.digests: dict[str, str] = {}

    def fitted(self, config: GenvideoConfig) -> GenvideoConfig:
        """The configuration, with the window of a picture, where it is one."""
        self.asked = config
        if not isinstance(self.given, Picture):
            return config
        for flag, is_set in {"--strides": config.strides, "--window": config.window not in (None, 1)}.items():
            if is_set:
                raise OptionError(f"{flag} is for clips, and {self.given.name} is a picture: leave it out")
        return replace(config, window=1)

    def find(self, output: Path) -> list[Path]:
        """The file of the clip; one in memory has none."""
        return [self.path] if self.path else []

    def read(self, config: GenvideoConfig, job: TrainingJob) -> None:
        """Read the clip, no larger than it is learned from."""
        given, self.rate = self.given, "25"
        if isinstance(given, Picture):
            self.clip, self.said, digest = filled(given), given.notes, given.sha256
        else:
            clip = self._read(config)
            if clip.count < config.window and self.asked.strides is not None:
                longest, strides = self.asked.longest_window(clip.count), self.asked.strides
                way_out = f"with --strides {strides} use --window {longest}" if longest > 1 else "use --strides 1"
                fact = f"the clip has {clip.count} frames, and a window {config.window}"
                raise InputError(f"{fact}: {way_out}, or a longer clip")
            self.clip: Tensor = clip_tensor(clip)
            self.said, self.rate = clip.notes, str(clip.rate)
            digest = hashlib.sha256(repr((clip.frames.shape, self.rate)).encode() + clip.frames.tobytes()).hexdigest()
        self.digests = {"clip": sha256_file(self.path) if self.path else digest}

    def training(self, kind: type[GenvideoTraining], job: TrainingJob, config: GenvideoConfig) -> GenvideoTraining:
        """The training on this clip, whose frames are as wide as the configuration's finest level."""
        self.made = lambda: kind(self.clip, config, rate=self.rate, device=job.device, dtype=job.dtype)
        self.job = job
        return self.made()

    def notes(self, config: GenvideoConfig) -> Iterator[str]:
        """Notes on the clip; before a training that begins, the time and the memory that it will take."""
        yield from self.said
        training, options = self.made(), self.job.options
        memory = f"{plans.genvideo_bytes(training) / 2**30:.2g} GiB of memory"
        begun = any(path.exists() for path in (TrainingFiles(Path(options.output)).state, Path(options.output)))
        if not self.job.processes.first or (begun and not options.overwrite):
            return
        if options.minutes is not None:  # the plan has told the time
            yield f"needs at most about {memory}"
            return
        seconds = foretold(training, plans.genvideo_work(training), options.seed, within=FORETELLING)
        yield f"will take about {in_minutes(seconds)} minutes, and {memory}"

    def _read(self, config: GenvideoConfig) -> Clip:
        def fit(shown: SizedMedia) -> tuple[int, int]:
            width = min(config.size, shown.width)
            return width, max(1, width * shown.height // shown.width)  # heights are cut off: see `level_shapes`

        if isinstance(self.given, Clip):
            return fitted_clip(replace(self.given, frames=self.given.frames[: config.frames]), fit)
        return read_clip(self.given, frames=config.frames, fit=fit, **self.reading)


def _recognised(path: Path, reading: dict[str, Any]) -> Picture | Path:
    """A still picture; of a video, or an animated picture, the path."""
    if is_video(path):
        return path
    picture = opened(path, **{name: value for name, value in reading.items() if value is not None})
    with path.open("rb") as file:
        format = formats.recognise(file.read(formats.HEAD))
        file.seek(0)
        return path if format is not None and is_animated(file, format) else picture


GENVIDEO = Recipe(
    config=GenvideoConfig,
    training=GenvideoTraining,
    material=ClipMaterial,
    choices=plans.genvideo_choices,
    work=plans.genvideo_work,
    words=plans.sized_words,
    way_out="use a smaller --size or --width, or another --device",
)


@training_function
def train_genvideo(clip: Clip | PictureLike, options: TrainingOptions, settings: dict[str, Any]) -> PatchVaeGan:
    """Train a model of one clip, from which `genvideo(model=...)` then draws new clips of the same scene.

    clip: a path of a video, or of an animated GIF, WebP or PNG; a `structkit.media.moving_pictures.Clip`; or a picture,
    whose model draws pictures.
    options: fields of `configs.GenvideoConfig`.
    Of a clip that is longer than a window, each step learns from another window.  In memory are `frames` of the clip at
    most, reduced to the finest level, with 12 bytes a pixel.
    Method: Hierarchical patch VAE-GAN (Gur et al., NeurIPS 2020), see `structkit.engines.genvideo.model`.
    Raises InputError, OptionError, DeviceError, OutputError, CheckpointError; StructkitError for losses that are not
    finite.
    """
    return train(GENVIDEO, (clip,), options, settings)  # type: ignore[return-value]
