"""The engines of new clips: patches, which need no training, and models of one clip, trained first or before.

An engine reads the clip of a task, and draws a new one with a seed.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from structkit.configs import ClipConfig, ClipCourse
from structkit_cli.options import RunOptions
from structkit_cli.run.plan import Progress, Task

if TYPE_CHECKING:
    from structkit.media.moving_pictures import Clip

Size = tuple[int, int]  # width, height, px


@dataclass(frozen=True)
class ClipTask(Task):
    """The new clips of one.

    checkpoint: of the model that draws them; None where none does.
    """

    checkpoint: Path | None = None


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
        from structkit.verbs.genvideo import material

        given = task.inputs["clip"]
        return material(given.source, self.size, self.config.max_side, name=given.label, **self.running.reading)

    def draw(self, task: ClipTask, clip: Clip, seed: int, device: str, progress: Progress) -> Clip:
        """A new clip."""
        import structkit

        how = {"size": self.size, "seed": seed, "device": device, "progress": progress}
        return structkit.genvideo(clip, count=1, **how, **asdict(self.course), **asdict(self.config))[0]
