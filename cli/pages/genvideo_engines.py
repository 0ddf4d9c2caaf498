"""The engines of new clips: patches, which need no training, and models of one clip, trained first or before.

An engine reads the clip of a task, and draws a new one with a seed.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from structkit.configs import ClipConfig, ClipCourse, GenvideoConfig, GenvideoResultConfig
from structkit.errors import OutputError
from structkit_cli.options import RunOptions
from structkit_cli.run.plan import Progress, Task
from structkit_cli.run.report import tell
from structkit_cli.run.trainer import trained_first

if TYPE_CHECKING:
    from structkit.engines.genvideo.model import PatchVaeGan
    from structkit.media.moving_pictures import Clip

Size = tuple[int, int]  # width, height, px


@dataclass(frozen=True)
class ClipTask(Task):
    """The new clips of one.

    checkpoint: of the model that draws them; None where none does.
    """

    checkpoint: Path | None = None

    @property
    def bond(self) -> Path | None:
        """The model that is trained for it; None for a model that is given."""
        return None if "model" in self.inputs else self.checkpoint


class PatchClips:
    """The engine that makes new clips of a clip's patches."""

    def __init__(self, config: ClipConfig, course: ClipCourse, size: Size | None, running: RunOptions) -> None:
        self.config, self.course, self.size, self.running = config, course, size, running

    @property
    def options(self) -> dict[str, Any]:
        """The options that change the bytes of the results."""
        return asdict(self.config) | asdict(self.course) | {"size": self.size}

    def clip(self, task: ClipTask, device: str, progress: Progress) -> Clip:
        """The clip that the new ones are made of."""
        from structkit.verbs.clip_canvas import material

        given = task.inputs["clip"]
        return material(given.source, self.size, self.config.max_side, name=given.label, **self.running.reading)

    def draw(self, task: ClipTask, clip: Clip, seed: int, device: str, progress: Progress) -> Clip:
        """A new clip."""
        import structkit

        how = {"size": self.size, "seed": seed, "device": device, "progress": progress}
        return structkit.genvideo(clip, count=1, **how, **asdict(self.course), **asdict(self.config))[0]


class ModelClips:
    """The engine that draws with a model of one clip, which was trained before."""

    def __init__(
        self, config: GenvideoResultConfig, course: ClipCourse, size: Size | None, running: RunOptions
    ) -> None:
        self.config, self.course, self.size, self.running = config, course, size, running
        self._held: tuple[Path | None, PatchVaeGan] | None = None  # the last one

    @property
    def options(self) -> dict[str, Any]:
        """The options that change the bytes of the results."""
        return asdict(self.config) | {"frames": self.course.frames, "size": self.size}

    def model(self, task: ClipTask, device: str, progress: Progress) -> PatchVaeGan:
        """The model of a task; for one task after another it is read, or trained, once."""
        if self._held is None or self._held[0] != task.checkpoint:
            self._held = task.checkpoint, self._model(task, device, progress)
        return self._held[1]

    def _model(self, task: ClipTask, device: str, progress: Progress) -> PatchVaeGan:
        from structkit.models import load

        return load(task.checkpoint, device, verb="genvideo")  # type: ignore[arg-type,return-value]

    def clip(self, task: ClipTask, device: str, progress: Progress) -> Clip:
        """The clip that is given, else the model's own."""
        from structkit.verbs.clip_canvas import material, still
        from structkit.verbs.clip_model import own_clip

        given, how = task.inputs.get("clip"), self.running.reading
        if given is None:
            return own_clip(self.model(task, device, progress))
        if self._is_of_a_picture(task, device, progress):
            return still(given.source, name=given.label, **how)
        return material(given.source, None, None, name=given.label, **how)

    def _is_of_a_picture(self, task: ClipTask, device: str, progress: Progress) -> bool:
        """True where the model is one of a picture."""
        return self.model(task, device, progress).is_picture

    def draw(self, task: ClipTask, clip: Clip, seed: int, device: str, progress: Progress) -> Clip:
        """A new clip."""
        import structkit

        model = self.model(task, device, progress)
        given = clip if "clip" in task.inputs and self._uses_a_clip else None
        how = {"model": model, "size": self.size, "frames": self.course.frames, "seed": seed, "device": device}
        return structkit.genvideo(given, count=1, **how, progress=progress, **asdict(self.config))[0]

    @property
    def _uses_a_clip(self) -> bool:
        """True where a clip that is given takes part in the results."""
        return True


class TrainedClips(ModelClips):
    """The engine that draws with a model that it trains first, or that the same command has trained."""

    def __init__(
        self,
        training: GenvideoConfig,
        minutes: float | None,
        config: GenvideoResultConfig,
        course: ClipCourse,
        size: Size | None,
        running: RunOptions,
    ) -> None:
        super().__init__(config, course, size, running)
        self.training, self.minutes = training, minutes

    @property
    def options(self) -> dict[str, Any]:
        return super().options | {"training": asdict(self.training.filled()), "minutes": self.minutes}

    @property
    def _uses_a_clip(self) -> bool:
        """Whether its patches are taken: what would be injected is what the model has learned."""
        return self.config.refine == "patches"

    def _is_of_a_picture(self, task: ClipTask, device: str, progress: Progress) -> bool:
        return task.inputs["clip"].is_still

    def _model(self, task: ClipTask, device: str, progress: Progress) -> PatchVaeGan:
        """The model of the clip: a training that was stopped goes on; the output of one that was finished is read."""
        from structkit.media.moving_pictures import read_clip
        from structkit.recipes.genvideo import GENVIDEO
        from structkit.verbs.clip_model import fitted_to

        given, reading = task.inputs["clip"], self.running.reading
        config, source = self.training, given.source
        if not given.is_still:
            config, notes = fitted_to(config, self.clip(task, device, progress))
            for note in () if self.running.quiet else notes:
                tell(note)
        if isinstance(source, bytes):
            source = given.picture(**reading) if given.is_still else read_clip(source, name=given.label, **reading)
        how = {"minutes": self.minutes, "device": device, "progress": progress, **reading}
        try:
            model = trained_first(GENVIDEO, [source], task.checkpoint, asdict(config), self.running, **how)
            return model  # type: ignore[return-value]
        except OutputError as error:
            if f"{task.checkpoint}: exists and is of another training" not in str(error):
                raise
            raise OutputError(
                f"{error}, or draw from that model with --model alone, without CLIP and --engine"
            ) from error
