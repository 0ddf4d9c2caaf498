"""Trainings on pictures with label files, and on pictures of another domain without: segmenters."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from structkit.configs import SegmenterConfig
from structkit.configs.segmenter import size_of
from structkit.data.label_map_files import PALETTE, label_map, palette_map
from structkit.data.label_pairs import pair_files, without_labels
from structkit.data.listing import Pictures, counted, list_files
from structkit.data.segmentation import SegmentationPictures, TargetPictures
from structkit.engines.padain.segmenter import Segmenter, check_places
from structkit.engines.padain.segmenter_training import SegmenterTraining
from structkit.errors import CheckpointError, InputError, OptionError
from structkit.media.files import one_line, sha256_file
from structkit.media.pictures import MAX_PIXELS
from structkit.recipes.material import check_outside
from structkit.recipes.run import Recipe, TrainingJob, TrainingOptions, train, training_function
from structkit.training.planned import TrainingPlan, in_minutes

if TYPE_CHECKING:
    from structkit.data.label_maps import LabelMap

# The work of a step, that of one on the source being 1, and the fewest steps that make sense.
WORK = {"source": 1.0, "statistics": 0.3, "adversarial": 2.2, "distillation": 1.0, "self-training": 2.6}
LEAST = {"source": 150, "adversarial": 50, "distillation": 50, "self-training": 100}
MOSTLY = 0.3  # share of pixels that are not counted, from which on the label map is doubtful
NAMED = 12  # classes that a note names


class SegmentationMaterial:
    """Pictures with label files, of the source, and pictures of the target, whose label files are never asked for.

    digests: SHA-256 of the pictures and the label files of the source, of the classes, and of the target's pictures.
    """

    def __init__(
        self,
        images: Pictures,
        labels: Pictures,
        target: Pictures | None = None,
        map: str | LabelMap = PALETTE,
        *,
        max_pixels: int | None = None,
        tolerant: bool = False,
    ) -> None:
        """map: the label map, or what `label_map` makes one of; "palette": what the label files' palettes say.

        max_pixels: of the largest picture that is read; None: the usual limit.  tolerant: as for `read_picture`.
        """
        self.given, self.map = (images, labels, target), map
        self.reading: dict[str, Any] = {"max_pixels": max_pixels or MAX_PIXELS, "tolerant": tolerant}
        self.digests: dict[str, str] = {}
        self.start: Mapping[str, Tensor] | None = None
        self.init: Path | None = None

    def fitted(self, config: SegmenterConfig) -> SegmenterConfig:
        """The configuration as it is, with the weights to begin from read.

        Raises OptionError where the target and the adaptation do not go together, or pAdaIN has no place,
        CheckpointError for no weights.
        """
        check_places(config.filled())
        if self.given[2] is None and config.adapt != "none":
            fact = f"--adapt {config.adapt} adapts to pictures of another domain, and there are none"
            raise OptionError(f"{fact}: name them with --target, or leave --adapt out")
        if self.given[2] is not None and config.adapt == "none":
            fact = "--target names pictures to adapt to, and --adapt is none"
            raise OptionError(f"{fact}: say how with --adapt bn, fada or selftrain, or leave --target out")
        if self.map != PALETTE:
            self.map = label_map(self.map)  # what is wrong with it is said before any picture is read
        if config.init is not None:
            self.init = Path(config.init)
            try:
                self.start = load_file(self.init)
            except (OSError, SafetensorError) as error:
                fact = f"cannot be read as weights ({one_line(error)})"
                raise CheckpointError(f"{self.init}: {fact}; name a .safetensors") from error
            self.digests["init"] = sha256_file(self.init)
        return config

    def find(self, output: Path) -> list[Path]:
        """The pictures and label files of the source, and the pictures of the target.

        Raises InputError where there are none, OptionError for an output among them.
        """
        images, labels, target = self.given
        self.source = list_files(images), list_files(labels)
        self.target_files, self.passed_over = (None, 0) if target is None else without_labels(list_files(target))
        folders = [found for found in (*self.source, self.target_files) if found is not None]
        check_outside(output, folders)
        return [path for found in folders for path in found.files] + ([] if self.init is None else [self.init])

    def read(self, config: SegmenterConfig, job: TrainingJob) -> None:
        """Read all pictures and the source's labels, and hold some of these out; tell what was left out, and why.

        Raises InputError where none is left, or too many labels are not in the map.
        """
        images, labels = self.source
        how = {"tell": job.say, **self.reading}
        pairs = pair_files(images, labels)
        map = self.map
        if map == PALETTE:
            files = [pair.labels for pair in pairs.pairs]
            map = palette_map(files, labels.label, max_pixels=self.reading["max_pixels"], tell=job.say)
            job.say(f"{labels.label}: classes of the palette: {_some(map.names)}")
        size = size_of(str(config.source_size), "source_size")
        source = SegmentationPictures(images, labels, map, size, **how)
        job.say(*source.notes(), *_notes_on_classes(source))
        self.learned, self.held = source.split(config.held)
        self.digests |= {"source": source.sha256, "labels": source.labels_sha256, "classes": _digest(map)}
        self.target = None
        if self.target_files is not None:
            self.target = TargetPictures(self.target_files, size_of(str(config.size), "size"), **how)
            job.say(*self.target.notes(), *_shared(source, self.target))
            if self.passed_over:
                fact = f"{counted(self.passed_over, 'file')} whose names say label files were not opened"
                job.say(f"{self.target.label}: {fact}")
            self.digests["target"] = self.target.sha256
        job.say(self._words())

    def training(self, kind: type[SegmenterTraining], job: TrainingJob, config: SegmenterConfig) -> SegmenterTraining:
        """The training on these pictures."""
        held = self.held if len(self.held) else None
        how = {"held": held, "start": self.start, "device": job.device, "dtype": job.dtype, "tell": job.say}
        return kind(self.learned, self.target, config, **how)  # type: ignore[arg-type]

    def notes(self, config: SegmenterConfig) -> Iterable[str]:
        """No notes but those that were said while the pictures were read."""
        return ()

    def _words(self) -> str:
        """What is learned from and held out, in one line."""
        held = f"{len(self.held):,} held out for the scores" if len(self.held) else "none is held out for scores"
        to = "" if self.target is None else f"; adapted to: {counted(len(self.target))} without labels"
        return f"learned from: {counted(len(self.learned))} of {len(self.learned.map)} classes, {held}{to}"


def _notes_on_classes(source: SegmentationPictures) -> Iterator[str]:
    """Notes on classes that no picture shows, and on many pixels that are not counted."""
    shares = source.shares.mean(0)
    absent = [name for name, share in zip(source.map.names, shares.tolist(), strict=True) if not share]
    if len(absent) == len(source.map):
        fact = f"no pixel has a class of the map {source.map.name}"
        raise InputError(f"{source.labels_label}: {fact}; give the map of these labels (--labels)")
    if len(absent) == len(source.map) - 1:
        [alone] = set(source.map.names) - set(absent)
        raise InputError(f"{source.labels_label}: they show {alone} alone, and a class is told from others")
    if absent:
        yield f"{source.labels_label}: no picture shows {_some(absent)}, which cannot be learned"
    if (share := 1 - float(shares.sum())) >= MOSTLY:
        fact = f"{share:.0%} of the pixels have labels that are not counted"
        yield f"{source.labels_label}: {fact}: is {source.map.name} their label map?"


def _shared(source: SegmentationPictures, target: TargetPictures) -> list[str]:
    """A note on pictures of the target that are in the source too, where there are any."""
    count = len(set(source.digests) & set(target.digests))
    return [f"{target.label}: {counted(count)} of it also in the source, with labels"] if count else []


def _some(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _digest(map: LabelMap) -> str:
    facts = map.names, map.palette, sorted(map.ids.items()), sorted(map.colours.items())
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def segmenter_work(training: SegmenterTraining) -> list[float]:
    """The work of a step of each stage."""
    return [WORK[stage.name] for stage in training.stages]


def segmenter_least(training: SegmenterTraining) -> list[int]:
    """The fewest steps of each stage that make sense; statistics are always of all that they are taken from."""
    return [min(stage.steps, LEAST.get(stage.name, stage.steps)) for stage in training.stages]


def segmenter_words(plan: TrainingPlan, choices: Sequence[SegmenterConfig]) -> str:
    """The plan of a training with fewer steps than were asked for."""
    steps = ", ".join(f"{stage.name} {stage.steps:,}" for stage in plan.stages)
    short = f"; too short to learn the classes: that takes {in_minutes(plan.needed[-1])} minutes or more here"
    return f"steps: {steps}{short if plan.short else ''}"


SEGMENTER = Recipe(
    config=SegmenterConfig,
    training=SegmenterTraining,
    material=SegmentationMaterial,
    choices=lambda config: [config],
    work=segmenter_work,
    words=segmenter_words,
    way_out="use a smaller --batch, --size or --width, or another --device",
    planning={"least": segmenter_least},
)


@training_function
def train_segmenter(
    images: Pictures,
    labels: Pictures,
    options: TrainingOptions,
    settings: dict[str, Any],
    *,
    target: Pictures | None = None,
    map: str | LabelMap = PALETTE,
) -> Segmenter:
    """Learn to say what each place of a picture shows, from pictures with label files: for `segment`.

    images, labels: folders, patterns or lists, whose files are matched by name; see `structkit.data.label_pairs`.
    target: pictures of another domain, which have no labels and need none, to adapt to; the option `adapt` says how.
    map: what the labels mean: "camvid", "cityscapes", a .json or .csv of classes, a
    `structkit.data.label_maps.LabelMap`, or "palette", what the label files' palettes say.
    options: fields of `configs.SegmenterConfig`.
    A share of the pictures is held out, by which the IoU in the card is measured.  Frames of one video that are held
    out are like those beside them, and their figure is too high: hold out other videos for a fair one.
    Method: FADA (Wang et al., ECCV 2020) with permuted AdaIN (Nuriel et al., CVPR 2021), see
    `structkit.engines.padain.segmenter`.
    Raises InputError, OptionError, DeviceError, OutputError, CheckpointError; StructkitError for losses that are not
    finite.
    """
    return train(SEGMENTER, (images, labels, target, map), options, settings)  # type: ignore[return-value]
