"""Trainings on labelled pictures: classifiers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from structkit.configs.labels import ClassifierConfig
from structkit.data.labelled import LabelledPictures, read_labelled
from structkit.data.listing import counted
from structkit.engines.padain.classifier import Classifier, ClassifierTraining, check_network
from structkit.errors import InputError, OptionError
from structkit.media.files import files_below
from structkit.recipes.run import Recipe, TrainingJob, TrainingOptions, train, training_function
from structkit.training.outputs import TrainingFiles
from structkit.training.planned import TrainingPlan, in_minutes

LEAST_STEPS, LEAST_EPOCHS = 100, 2.0  # that make sense
HELD = 0.2  # share of each class, where there is no part for tests
SPLIT_SEED = 0  # of what is held out, whatever the seed of the training: so models of other seeds can be compared
TOLD, NAMED = 12, 8  # files that were left out, and classes, that are told


class LabelledMaterial:
    """Labelled pictures: those to learn from, and those to score by.

    A folder with parts (train/ and test/) has both; elsewhere a share of each class is held out.
    digests: SHA-256 of the names, labels and contents of the pictures.
    """

    def __init__(self, data: str | Path, *, max_pixels: int | None = None, tolerant: bool = False) -> None:
        """max_pixels: of the largest picture that is read; None: the usual limit.  tolerant: as for `read_picture`."""
        self.data, self.reading = Path(data), {"max_pixels": max_pixels, "tolerant": tolerant}
        self.digests: dict[str, str] = {}

    def fitted(self, config: ClassifierConfig) -> ClassifierConfig:
        """The configuration as it is.  Raises OptionError for a network that cannot be as it is asked for."""
        check_network(config.filled())
        return config

    def find(self, output: Path) -> list[Path]:
        """The files of the pictures.

        Raises InputError for a place that is missing, OptionError for an output in it.
        """
        if not self.data.exists():
            raise InputError(f"{self.data}: no such folder; name one that has a folder of pictures for each class")
        if not self.data.is_dir():
            return [self.data]
        if TrainingFiles(output).output.resolve().is_relative_to(self.data.resolve()):
            raise OptionError(f"--output is {output}: in the folder that is learned from: name a place outside it")
        return list(files_below(self.data, frozenset()))

    def read(self, config: ClassifierConfig, job: TrainingJob) -> None:
        """Read all pictures, and hold some out; tell what was left out, and why.  Raises InputError, OptionError."""
        how: dict[str, Any] = self.reading | {"tell": job.say}
        pictures = read_labelled(self.data, part="train", **how)
        job.say(*pictures.notes, *_rejected(pictures))
        self.digests = {"pictures": pictures.sha256}
        if test := self._test(pictures, how):
            if config.held is not None:
                raise OptionError(f"--held is {config.held:g}, and {test.label} is what is held out: leave --held out")
            job.say(*test.notes, *_rejected(test), *_shared(pictures, test))
            self.digests["test"] = test.sha256
            self.learned, self.held = pictures, test
        else:
            self.learned, self.held = pictures.split(HELD if config.held is None else config.held, SPLIT_SEED)
        if config.keep == "best" and not len(self.held):
            raise OptionError("--keep best: there are no pictures held out to tell by; leave it out, or hold some out")
        job.say(self._words(config))

    def training(
        self, kind: type[ClassifierTraining], job: TrainingJob, config: ClassifierConfig
    ) -> ClassifierTraining:
        """The training on these pictures."""
        return kind(self.learned, config, held=self.held, device=job.device, dtype=job.dtype, tell=job.say)

    def notes(self, config: ClassifierConfig) -> Iterable[str]:
        """No notes but those that were said while the pictures were read."""
        return ()

    def _test(self, pictures: LabelledPictures, how: dict[str, Any]) -> LabelledPictures | None:
        """The part for tests, with the labels of the pictures to learn from; None where there is none.

        Raises InputError for a class that is not learned.
        """
        test = read_labelled(self.data, part="test", checked=False, **how)
        if isinstance(test.pictures, np.ndarray):
            if test.sha256 == pictures.sha256:
                return None
        elif test.label == pictures.label:
            return None
        else:
            test = read_labelled(self.data, part="test", **how)
        if strange := [name for name in test.classes if name not in pictures.classes]:
            fact = f"a class that {pictures.label} has not: {', '.join(strange[:NAMED])}"
            raise InputError(f"{test.label}: {fact}; give both the same folders")
        places = torch.tensor([pictures.classes.index(name) for name in test.classes])
        return replace(test, classes=pictures.classes, labels=places[test.labels])

    def _words(self, config: ClassifierConfig) -> str:
        """What is learned from and held out, in one line."""
        names, labels = self.learned.classes, Counter(self.learned.labels.tolist())
        if len(names) > NAMED:
            of = f"{counted(len(self.learned))} of {len(names)} classes"
        else:
            of = ", ".join(f"{name} {labels[i]:,}" for i, name in enumerate(names)) + " pictures"
        if not len(self.held):
            why = "none is held out" if config.held == 0 else "too few to hold any out"
            return f"learned from: {of}; {why}, so there are no scores"
        where = f" ({self.held.label})" if "test" in self.digests else ""
        return f"learned from: {of}; held out for the scores: {len(self.held):,}{where}"


def classifier_work(training: ClassifierTraining) -> list[float]:
    """The work of a step: all are alike."""
    return [1.0] * len(training.stages)


def classifier_least(training: ClassifierTraining) -> list[int]:
    """The fewest steps that make sense."""
    each = training.stages[0].steps / training.config.epochs
    return [min(training.stages[0].steps, max(LEAST_STEPS, round(LEAST_EPOCHS * each)))]


def classifier_words(plan: TrainingPlan, choices: Sequence[ClassifierConfig]) -> str:
    """The plan of a training with fewer steps than were asked for."""
    short = f"; too short to learn the classes: that takes {in_minutes(plan.needed[-1])} minutes or more here"
    return f"{plan.stages[0].steps:,} steps{short if plan.short else ''}"


def _rejected(pictures: LabelledPictures) -> list[str]:
    """The files that were left out, each in a line, and how many more there are; the note has the first ones."""
    lines = [f"left out: {name}: {why}" for name, why in pictures.rejected[:TOLD]]
    more = len(pictures.rejected) - TOLD
    return [*lines, f"left out: {counted(more, 'more file')}"] if more > 0 else lines


def _shared(learned: LabelledPictures, test: LabelledPictures) -> list[str]:
    """A note on pictures for tests that are learned from too, where there are any."""
    if not (count := len(set(learned.digests) & set(test.digests))):
        return []
    return [f"{test.label}: {counted(count)} of it are in {learned.label} too, and their scores are too high"]


CLASSIFIER = Recipe(
    config=ClassifierConfig,
    training=ClassifierTraining,
    material=LabelledMaterial,
    choices=lambda config: [config],
    work=classifier_work,
    words=classifier_words,
    way_out="use a smaller --batch, --side or --width, or another --device",
    planning={"least": classifier_least},
)


@training_function
def train_classifier(data: str | Path, options: TrainingOptions, settings: dict[str, Any]) -> Classifier:
    """Learn to name what pictures show, from examples of each class.

    data: a folder that has one folder of pictures for each class, or train/ and test/ with such folders; or the binary
    files of CIFAR, or NumPy arrays (see `structkit.data.labelled.read_labelled`).
    options: fields of `configs.labels.ClassifierConfig`.
    The scores in the card come from test/, or from a share of each class that is held out.
    Method: permuted AdaIN (Nuriel et al., CVPR 2021), see `structkit.engines.padain.classifier`.
    Raises InputError, OptionError, DeviceError, OutputError, CheckpointError; StructkitError for losses that are not
    finite.
    """
    return train(CLASSIFIER, (data,), options, settings)  # type: ignore[return-value]
