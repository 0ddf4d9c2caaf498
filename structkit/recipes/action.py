"""Trainings on a folder of classes of videos: action recognition."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from structkit.configs import ActionConfig
from structkit.data.listing import PathList, counted
from structkit.data.windows import LEAST_SIDE, stretches
from structkit.engines.speednet.action import ActionNet, ActionTraining, LabelledVideo
from structkit.engines.speednet.model import SpeedNet
from structkit.errors import CheckpointError, InputError, OptionError
from structkit.header import read_card
from structkit.media.containers import VIDEO_SUFFIXES
from structkit.media.files import sha256_file
from structkit.media.sampled import SampledVideo
from structkit.models import kind_of, load, resolve_model
from structkit.recipes.run import Recipe, TrainingJob, TrainingOptions, train, training_function
from structkit.training.outputs import TrainingFiles
from structkit.training.planned import TrainingPlan, in_minutes

LEAST = 100  # steps that make sense
MOST_BYTES = 2 * 10**9  # of the frames that are held in memory
STRETCH = 4  # windows that follow one another in a stretch
TOLD = 12  # rejected files that are named
BEGIN = "speednet", "action"  # kinds of models to begin from


class ClassFolders:
    """A folder of folders of videos, one for each class, and the model to begin from.

    A quarter of each class's files, by their contents, are held out for the scores.
    digests: SHA-256 of the names and the contents of the files, and of the model to begin from.
    """

    def __init__(self, folder: str | Path, *, max_pixels: int | None = None, tolerant: bool = False) -> None:
        """max_pixels: of the largest frame that is read; None: the usual limit.  tolerant: as for `VideoReader`."""
        self.folder, self.reading = Path(folder), {"max_pixels": max_pixels, "tolerant": tolerant}
        self.digests: dict[str, str] = {}
        self.start: SpeedNet | ActionNet | None = None
        self.rejected: list[tuple[str, str]] = []  # files that are not learned from, and why

    def fitted(self, config: ActionConfig) -> ActionConfig:
        """The configuration with the network of the model to begin from.

        Raises CheckpointError for a model that is none to begin from, OptionError for another network.
        """
        if config.init is None:
            return config
        path = resolve_model(config.init)
        if (kind := kind_of(path, card := read_card(path))) and card["kind"] not in BEGIN:
            fact = f"{kind.words}, and an action classifier begins from a model of the speed of clips"
            raise CheckpointError(f"{path}: {fact}; make one with structkit train speednet")
        model = load(path, "cpu")
        self.digests["init"], self.init, self.start = sha256_file(path), path, model  # type: ignore[assignment]
        own = model.config
        return config.begun_from(own if isinstance(model, SpeedNet) else own.backbone())  # type: ignore[attr-defined]

    def find(self, output: Path) -> list[Path]:
        """The videos of all classes, and the model to begin from.

        Raises InputError for a folder that is missing, or has fewer than two classes; OptionError for an output in it.
        """
        if not self.folder.is_dir():
            fact = "a file, where a folder is needed" if self.folder.exists() else "no such folder"
            raise InputError(f"{self.folder}: {fact}; name a folder that has one folder of videos for each class")
        if TrainingFiles(output).output.resolve().is_relative_to(self.folder.resolve()):
            raise OptionError(f"--output is {output}: in the folder that is learned from: name a place outside it")
        paths = PathList(VIDEO_SUFFIXES)
        paths.add_path(self.folder)
        self.files: dict[str, list[Path]] = {}
        for path, place in paths.files:
            if len(place.parts) > 1:
                self.files.setdefault(place.parts[0], []).append(path)
            else:
                self.rejected.append((place.name, "in no folder of a class"))
        if len(self.files) < 2:
            names = f" ({next(iter(self.files))})" if self.files else ""
            fact = f"{counted(len(self.files), 'folder')} of videos{names}, and a class is told from others"
            raise InputError(f"{self.folder}: {fact}; name a folder that has two or more, one for each class")
        return [path for files in self.files.values() for path in files] + ([] if self.start is None else [self.init])

    def read(self, config: ActionConfig, job: TrainingJob) -> None:
        """Read all videos, small, and hold some of each class out; tell which files were rejected, and why.

        Raises InputError where a class has none left.
        """
        c = config.filled()
        self.classes = list(self.files)
        count = sum(map(len, self.files.values()))
        longest, most = held_frames(count, c)
        seen: dict[str, str] = {}
        self.learned: list[LabelledVideo] = []
        self.held: list[LabelledVideo] = []
        for label, files in enumerate(self.files.values()):
            read: dict[str, LabelledVideo] = {}
            for path in files:
                name = path.relative_to(self.folder).as_posix()
                if (digest := sha256_file(path)) in seen:
                    self.rejected.append((name, f"the same as {seen[digest]}"))
                    continue
                seen[digest] = name
                if video := self._video(path, name, label, c, longest, most):
                    read[digest] = video
            if not read:
                self._tell_rejected(job)
                fact = f"{self.folder / self.classes[label]}: no video of it can be learned from"
                raise InputError(f"{fact}; give it others, or take the folder away")
            held = max(1, round(c.held * len(read))) if len(read) > 2 and c.held else 0
            self.held += [read[digest] for digest in sorted(read)[:held]]
            self.learned += [read[digest] for digest in sorted(read)[held:]]
        self._tell_rejected(job)
        labels = Counter(video.label for video in (*self.learned, *self.held))
        job.say(
            ", ".join(f"{name} {labels[i]}" for i, name in enumerate(self.classes))
            + " videos; "
            + self._held_words(c.held)
        )
        names = "".join(f"{digest} {name}\n" for digest, name in sorted(seen.items()))
        self.digests["classes"] = _digest(names)

    def training(self, kind: type[ActionTraining], job: TrainingJob, config: ActionConfig) -> ActionTraining:
        """The training on these videos."""
        how = {"held": self.held, "start": self.start, "device": job.device, "dtype": job.dtype, "tell": job.say}
        return kind(self.learned, self.classes, config, **how)  # type: ignore[arg-type]

    def notes(self, config: ActionConfig) -> Iterable[str]:
        """No notes but those that were said while the videos were read."""
        return ()

    def _video(
        self, path: Path, name: str, label: int, config: ActionConfig, longest: int, most: int
    ) -> LabelledVideo | None:
        """A video, small; None for one that is rejected.  longest: frames of a stretch.  most: stretches."""
        try:
            sampled = SampledVideo(path, side=config.side, **self.reading)  # type: ignore[arg-type]
            kept = stretches(sampled, config.frames, longest, most)
        except InputError as error:
            self.rejected.append((name, str(error).removeprefix(f"{path}: ")))
            return None
        if not kept:
            self.rejected.append((name, f"shorter than {config.frames / 25:.2f} s"))
            return None
        parts = [torch.from_numpy(part).permute(0, 3, 1, 2).contiguous() for part in kept]
        if min(parts[0].shape[2:]) < LEAST_SIDE:
            self.rejected.append((name, f"{parts[0].shape[3]} x {parts[0].shape[2]} px, and {LEAST_SIDE} are needed"))
            return None
        return LabelledVideo(name, label, parts)

    def _tell_rejected(self, job: TrainingJob) -> None:
        for name, why in self.rejected[:TOLD]:
            job.say(f"left out: {name}: {why}")
        if len(self.rejected) > TOLD:
            job.say(f"left out: {counted(len(self.rejected) - TOLD, 'more file')}")

    def _held_words(self, share: float) -> str:
        if not self.held:
            return "too few to hold any out for scores" if share else "none is held out, so there are no scores"
        return f"{len(self.held)} of them {'is' if len(self.held) == 1 else 'are'} held out, for the scores"


def held_frames(videos: int, config: ActionConfig) -> tuple[int, int]:
    """The frames of a stretch, and the stretches of each of so many videos, so that all fit into memory.

    Of very many videos each has a single window, and all together may take more.
    """
    frames = int(MOST_BYTES / videos / (3 * config.side * 1.8 * config.side))  # of a video
    longest = min(max(frames, config.frames), STRETCH * config.frames)
    return longest, max(1, frames // longest)


def action_work(training: ActionTraining) -> list[float]:
    """The work of a step of each stage: all are alike."""
    return [1.0] * len(training.stages)


def action_least(training: ActionTraining) -> list[int]:
    """The fewest steps of each stage that make sense."""
    return [min(LEAST, stage.steps) for stage in training.stages]


def action_words(plan: TrainingPlan, choices: Sequence[ActionConfig]) -> str:
    """The plan of a training with fewer steps than were asked for."""
    steps = ", ".join(f"{stage.name} {stage.steps}" for stage in plan.stages)
    if not plan.short:
        return f"steps: {steps}"
    return (
        f"steps: {steps}; too short to learn the classes: that takes {in_minutes(plan.needed[-1])} minutes or more here"
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


ACTION = Recipe(
    config=ActionConfig,
    training=ActionTraining,
    material=ClassFolders,
    choices=lambda config: [config],
    work=action_work,
    words=action_words,
    way_out="use a smaller --batch, --side or --frames, or another --device",
    planning={"least": action_least},
)


@training_function
def train_action(classes: str | Path, options: TrainingOptions, settings: dict[str, Any]) -> ActionNet:
    """Learn to name what is done in clips, from a folder that has one folder of videos for each class.

    classes: the folder.  A quarter of each class's files are held out, by which the accuracy in the card is measured.
    options: fields of `configs.ActionConfig`; `init` is a model of `train_speednet` whose weights are the beginning.
    All layers are tuned.  In memory are stretches of the videos, of the model's size: 2 GB at most, or one window each.
    Method: SpeedNet (Benaim et al., CVPR 2020), see `structkit.engines.speednet.action`.
    Raises InputError, OptionError, DeviceError, OutputError, CheckpointError; StructkitError for losses that are not
    finite.
    """
    return train(ACTION, (classes,), options, settings)  # type: ignore[return-value]
