"""Scores of a classifier under corruptions: 15 kinds in five severities (Hendrycks and Dietterich, ICLR 2019).

Pictures are corrupted as the model sees them: after they were made squares of its side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import torch

from structkit.configs.corrupt import CATEGORIES, CORRUPTIONS, EXTRA, SEVERITIES
from structkit.data.corrupted_sets import CorruptedSet
from structkit.data.corruptions import content_name, corrupted_batch, seed_of
from structkit.data.listing import counted
from structkit.errors import InputError, OptionError
from structkit.metrics import labels as metrics
from structkit.metrics.labels import LabelTally
from structkit.verbs.labelled_view import (
    LabelledData,
    LabelledView,
    PictureProgress,
    Rejected,
    check_count,
    check_read,
    left_out,
)
from structkit.verbs.running import check_seed

if TYPE_CHECKING:
    from structkit.training.model import Model
    from structkit.verbs.running import Progress

FROST = "frost"  # which is drawn, and not photographed as published


@dataclass(frozen=True)
class CorruptionScores:
    """The errors of a model under corruptions.

    clean: the tally without corruption.
    errors: of each kind and severity, the share of pictures that are named wrongly.
    classes: of the model.  side: of the squares that it sees, px.
    given: true where the corrupted pictures were files.
    rejected: pictures that could not be read, and why.
    notes: remarks that must be told, one line each.
    """

    clean: LabelTally
    errors: dict[str, dict[int, float]]
    classes: Sequence[str]
    side: int
    given: bool = False
    rejected: Rejected = field(default_factory=list)
    notes: tuple[str, ...] = ()

    @property
    def means(self) -> dict[str, float]:
        """The error of each kind, the mean over its severities."""
        return {kind: fmean(errors.values()) for kind, errors in self.errors.items()}

    @property
    def counted(self) -> list[str]:
        """The kinds that the mean counts: those of the 15 that are there."""
        return [kind for kind in CORRUPTIONS if kind in self.errors]

    @property
    def mean(self) -> float | None:
        """The mean corruption error, over `counted`: of all 15, what papers call mCE on CIFAR; None without any."""
        return metrics.mean_over(self.means, self.counted)

    @property
    def mean_without_frost(self) -> float | None:
        """The mean over `counted` without frost."""
        return metrics.mean_over(self.means, [kind for kind in self.counted if kind != FROST])

    @property
    def categories(self) -> dict[str, float]:
        """The mean of each category, of its kinds that are there."""
        return metrics.category_means(self.means, CATEGORIES)

    @property
    def of_imagenet(self) -> dict[str, Any] | None:
        """mCE and its parts, beside AlexNet's errors; None unless all 15 kinds and 5 severities are ImageNet's."""
        whole = len(self.counted) == len(CORRUPTIONS) and all(len(self.errors[kind]) == 5 for kind in CORRUPTIONS)
        if not whole or not metrics.is_imagenet(self.classes, self.side):
            return None
        plain, relative = metrics.relative_to_alexnet(self.means, self.clean.error)
        others = [kind for kind in CORRUPTIONS if kind != FROST]
        return {
            "ce": plain,
            "mce": fmean(plain.values()),
            "mce_without_frost": fmean(plain[kind] for kind in others),
            "relative_ce": relative,
            "relative_mce": fmean(relative.values()),
        }


def score_corruptions(
    model: Model | str | Path,
    data: LabelledData,
    *,
    kinds: Sequence[str] | None = None,
    severities: Sequence[int] = SEVERITIES,
    seed: int = 0,
    count: int | None = None,
    corrupted: str | Path | None = None,
    part: str = "test",
    device: str = "auto",
    dtype: str = "float32",
    max_pixels: int | None = None,
    tolerant: bool = False,
    progress: Progress | None = None,
) -> CorruptionScores:
    """The errors of a classifier of pictures under corruptions, beside the error without.

    model: of `train_classifier`, or its checkpoint.
    data: labelled pictures, or their place, see `structkit.data.labelled.read_labelled`; part: test or train of it.
    kinds: corruptions (`structkit.configs.corrupt`); None: the 15 of the benchmark, of `corrupted` all that are there.
    severities: 1 to 5.
    count: pictures that are drawn by the seed, as many of each class; None: all.
    corrupted: a folder of pictures that were corrupted before, see `structkit.data.corrupted_sets`; None: they are
    made here, and each picture's corruption depends on its pixels, the kind, the severity and the seed alone.
    dtype: float32, bfloat16 or auto; bfloat16 takes half the time where the device has it, and names one picture in
    some hundred otherwise.
    progress: called with the part that is done.
    A picture that cannot be read is left out, and stands in `rejected`.
    Source: Hendrycks and Dietterich, ICLR 2019.
    Raises InputError, OptionError, CheckpointError, DeviceError.
    """
    check_seed(seed)
    check_count(count)
    reading = {"max_pixels": max_pixels, "tolerant": tolerant}
    view = LabelledView(model, "score corruptions", device=device, dtype=dtype)
    given = None if corrupted is None else CorruptedSet(corrupted, part=part, **reading)
    pairs = list(_pairs(given, kinds, severities))
    pictures = view.pictures(data, count, seed, part, reading)
    clean = LabelTally(len(view.classes))
    tallies = {pair: LabelTally(len(view.classes)) for pair in pairs}
    tell = PictureProgress(progress, len(pictures) * (1 + len(pairs)))
    with view.computing():
        for _, squares, labels in view.chunks(pictures):
            clean.add(view.logits(squares), labels)
            tell(len(labels), "clean")
            if given is None:
                levels = squares.permute(0, 2, 3, 1).contiguous().numpy()
                names = [content_name(one) for one in levels]
                for (kind, severity), tally in tallies.items():
                    seeds = [seed_of(name, kind, severity, seed) for name in names]
                    made = torch.from_numpy(corrupted_batch(levels, kind, severity, seeds)).permute(0, 3, 1, 2)
                    tally.add(view.logits(made), labels)
                    tell(len(labels), kind)
        for (kind, severity), tally in tallies.items() if given is not None else ():
            some = given.pictures(kind, severity)  # type: ignore[union-attr]
            some = some if count is None else some.drawn(count, seed)
            for _, squares, labels in view.chunks(some):
                tally.add(view.logits(squares), labels)
                tell(len(labels), kind)
    check_read(clean, pictures, view)
    errors: dict[str, dict[int, float]] = {}
    for (kind, severity), tally in tallies.items():
        check_read(tally, pictures, view)
        errors.setdefault(kind, {})[severity] = tally.error
    notes = tuple(dict.fromkeys([*view.notes, *left_out(view.rejected), *_fewer(clean, tallies)]))
    return CorruptionScores(clean, errors, view.classes, view.side, given is not None, view.rejected, notes)


def _fewer(clean: LabelTally, tallies: Mapping[tuple[str, int], LabelTally]) -> Iterator[str]:
    """A note on corrupted pictures that are not as many as those without corruption, where there are any."""
    others = [(kind, severity, len(tally)) for (kind, severity), tally in tallies.items() if len(tally) != len(clean)]
    if others:
        kind, severity, count = others[0]
        more = f" ({len(others):,} such in all)" if len(others) > 1 else ""
        yield f"{kind} {severity}: {counted(count)}, and {len(clean):,} without corruption{more}: not the same ones"


def _pairs(
    given: CorruptedSet | None, kinds: Sequence[str] | None, severities: Sequence[int]
) -> Iterator[tuple[str, int]]:
    """The kinds and severities to score, in the order of the benchmark.

    Raises OptionError for those that are unknown or none, InputError for a kind that a folder has not.
    """
    known = (*CORRUPTIONS, *EXTRA)
    if kinds is None:
        kinds = CORRUPTIONS if given is None else given.kinds
    elif given is not None and (missing := [kind for kind in kinds if kind not in given.kinds]):
        fact = f"no {', '.join(missing)}; there are {', '.join(given.kinds)}"
        raise InputError(f"{given.folder}: {fact}")
    elif given is None and (unknown := [kind for kind in kinds if kind not in known]):
        raise OptionError(f"{unknown[0]!r} is no corruption: choose from {', '.join(known)}")
    if not kinds or not severities or not set(severities) <= set(SEVERITIES):
        raise OptionError(f"kinds {list(kinds)} and severities {list(severities)}: give some, and severities 1 to 5")
    for kind in sorted(dict.fromkeys(kinds), key=lambda kind: known.index(kind) if kind in known else len(known)):
        there = SEVERITIES if given is None else given.severities(kind)
        if lacking := [severity for severity in severities if severity not in there]:
            fact = f"{kind} has no severity {lacking[0]}; choose from {', '.join(map(str, there))}"
            raise InputError(f"{given.folder}: {fact}")  # type: ignore[union-attr]
        yield from ((kind, severity) for severity in sorted(set(severities)))
