"""The engines of analogies: patches, which need no training, and pairs, trained first or before.

An engine reads the pictures of a task, and paints them with a seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from structkit.configs import AnalogyConfig, PairConfig, PairResultConfig
from structkit.errors import OptionError
from structkit_cli.options import RunOptions
from structkit_cli.pages.analogy_drafts import DraftOptions
from structkit_cli.pages.analogy_guides import GuideOptions, map_role
from structkit_cli.run.inputs import InputFile, InputFolder
from structkit_cli.run.plan import Output, Progress, Task
from structkit_cli.run.trainer import pair_input, trained_first

if TYPE_CHECKING:
    from structkit.engines.pair.model import PairAnalogy
    from structkit.media.pictures import Picture
    from structkit.media.video import VideoReader
    from structkit_cli.run.results import Film

    Pictures = dict[str, Picture]  # source and target

Size = tuple[int, int]  # width, height, px


class PatchEngine:
    """The patch engine."""

    def __init__(
        self,
        config: AnalogyConfig,
        size: Size | None,
        running: RunOptions,
        guides: GuideOptions = GuideOptions(),
        drafts: DraftOptions = DraftOptions(),
    ) -> None:
        self.config, self.size, self.running, self.guides = config, size, running, guides
        self.like = drafts.picked(config)

    @property
    def options(self) -> dict[str, Any]:
        """The options that change the bytes of the results."""
        weights = {"guide_weight": self.guides.weights} if self.guides.guide else {}
        like = {"like": self.like.name} if self.like else {}
        return asdict(self.config) | {"size": self.size} | weights | like

    def pictures(self, task: Task, device: str) -> Pictures:
        return {role: task.inputs[role].picture(**self.running.reading) for role in ("source", "target")}

    def paint(
        self,
        task: Task,
        pictures: Pictures,
        seed: int,
        device: str,
        progress: Progress,
        *,
        best: Picture | None = None,
    ) -> Picture:
        """The result of the task.  best: the first of its drafts, if they are made already."""
        import structkit

        if best is not None:
            how = {"like": best, **self._how(task, seed, device, progress)}
            return replace(structkit.analogy(*pictures.values(), count=1, **how)[0], draft=best.draft)
        like = {"like": self.like.name} if self.like else {}
        return structkit.analogy(*pictures.values(), count=1, **like, **self._how(task, seed, device, progress))[0]

    def drafts(self, task: Task, pictures: Pictures, seed: int, device: str, progress: Progress) -> list[Picture]:
        """The drafts of the picture that `paint` makes, the best first."""
        import structkit

        return structkit.analogy_drafts(*pictures.values(), **self._how(task, seed, device, progress))

    def film(self, task: Task, output: Output, device: str, progress: Progress) -> Film:
        import structkit

        source, target = (task.inputs[role] for role in ("source", "target"))
        look = (target.video if target.is_video else target.picture)(**self.running.reading)
        how = {"quality": self.running.quality, **self._how(task, output.seed, device, progress)}
        return lambda where: structkit.analogy_video(source.video(**self.running.reading), look, where, **how)

    def _how(self, task: Task, seed: int, device: str, progress: Progress) -> dict[str, Any]:
        return {
            "size": self.size,
            "seed": seed,
            "device": device,
            "progress": progress,
            **self._guides(task),
            **asdict(self.config),
        }

    def _guides(self, task: Task) -> dict[str, Any]:
        """The maps and the weights of the task, where it has any."""
        if not self.guides.guide:
            return {}
        maps = [
            tuple(self._map(task.inputs[map_role(side, number)]) for side in ("source", "target"))
            for number in range(len(self.guides.guide))
        ]
        return {"guides": maps, "guide_weight": self.guides.weights}

    def _map(self, given: InputFile) -> Picture | VideoReader | PictureFiles:
        if isinstance(given, InputFolder):
            return PictureFiles(given.files, self.running.reading)
        return (given.video if given.is_video else given.picture)(**self.running.reading)


class PictureFiles(Sequence):
    """The pictures of files, each of which is read when it is asked for."""

    def __init__(self, files: Sequence[InputFile], reading: Mapping[str, Any]) -> None:
        self._files, self._reading = files, reading

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, place: int) -> Picture:
        return self._files[place].picture(**self._reading)


@dataclass(frozen=True)
class PairTask(Task):
    """An analogy by a trained pair.

    swapped: true for its other direction, whose source is the pair's target.
    """

    checkpoint: Path
    swapped: bool = False

    @property
    def bond(self) -> Path | None:
        """The model that is trained for it; None for a model that is given."""
        return None if "model" in self.inputs else self.checkpoint


class PairEngine:
    """An engine that paints with a pair that was trained before."""

    def __init__(self, config: PairResultConfig, size: Size | None, running: RunOptions) -> None:
        self.config, self.size, self.running = config, size, running
        self._held: tuple[Path, PairAnalogy] | None = None  # the last one

    @property
    def options(self) -> dict[str, Any]:
        """The options that change the bytes of the results."""
        return asdict(self.config) | {"size": self.size}

    def model(self, task: PairTask, device: str, progress: Progress) -> PairAnalogy:
        """The model of a task; for one task after another it is read, or trained, once."""
        if self._held is None or self._held[0] != task.checkpoint:
            self._held = task.checkpoint, self._model(task, device, progress)
        return self._held[1]

    def _model(self, task: PairTask, device: str, progress: Progress) -> PairAnalogy:
        from structkit.models import load

        return load(task.checkpoint, device, verb="analogy")  # type: ignore[return-value]

    def pictures(self, task: PairTask, device: str) -> Pictures:
        """The pictures that are given, and the pair's own in the place of those that are not."""
        from structkit.verbs.pair import own_pictures

        found = {
            role: task.inputs[role].picture(**self.running.reading)
            for role in ("source", "target")
            if role in task.inputs
        }
        if len(found) == 2:
            return found
        own = own_pictures(self.model(task, device, lambda share, note="": None))
        return dict(zip(("source", "target"), own[::-1] if task.swapped else own, strict=True)) | found

    def paint(self, task: PairTask, pictures: Pictures, seed: int, device: str, progress: Progress) -> Picture:
        import structkit

        how = {"model": self.model(task, device, progress), "size": self.size, "swapped": task.swapped, "seed": seed}
        how |= {"device": device, "progress": progress, **asdict(self.config)}
        given = [pictures[role] if role in task.inputs else None for role in _roles(task)]
        return structkit.analogy(*given, **how)[0]

    def film(self, task: PairTask, output: Output, device: str, progress: Progress) -> Film:
        import structkit

        model = self.model(task, device, progress)
        source, target = task.inputs["source"], task.inputs.get("target")
        look = target.picture(**self.running.reading) if target and self.config.refine == "patches" else None
        how = {
            "model": model,
            "size": self.size,
            "quality": self.running.quality,
            "seed": output.seed,
            "device": device,
        }
        how |= {"progress": progress, **asdict(self.config)}
        return lambda where: structkit.analogy_video(source.video(**self.running.reading), look, where, **how)


class PairTrainingEngine(PairEngine):
    """An engine that paints with a pair that it trains first, or that the same command has trained."""

    def __init__(
        self, pair: PairConfig, minutes: float | None, config: PairResultConfig, size: Size | None, running: RunOptions
    ) -> None:
        super().__init__(config, size, running)
        self.pair, self.minutes = pair, minutes

    @property
    def options(self) -> dict[str, Any]:
        return super().options | {"pair": asdict(self.pair.filled()), "minutes": self.minutes}

    def _model(self, task: PairTask, device: str, progress: Progress) -> PairAnalogy:
        """The model of the pair: a training that was stopped goes on; the output of one that was finished is read."""
        from structkit.recipes.material import fitted_to
        from structkit.recipes.pair import PAIR

        given = [pair_input(task.inputs[role], **self.running.reading) for role in _roles(task)]
        self._check_level(fitted_to(self.pair, given[0].picture).filled())
        how = {"minutes": self.minutes, "device": device, "progress": progress}
        model = trained_first(PAIR, given, task.checkpoint, asdict(self.pair), self.running, **how)
        return model  # type: ignore[return-value]

    def _check_level(self, config: PairConfig) -> None:
        """Refuse a level of injection that the pair will not have, before the training and not after it."""
        from structkit.data.levels import level_sides

        finest = len(level_sides(config.size, config.coarsest)) - 1
        if self.config.inject is not None and self.config.inject > finest:
            raise OptionError(f"--inject is {self.config.inject}: the pair will have the levels 0 to {finest}")


def _roles(task: PairTask) -> tuple[str, str]:
    """The roles of the task, in the order in which the pair has them."""
    return ("target", "source") if task.swapped else ("source", "target")
