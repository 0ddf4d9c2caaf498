"""The probe of texture: a classifier's accuracy on pictures that have other pictures' channel statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, pstdev
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from structkit.errors import InputError, OptionError
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

DRAWS = 3  # pairings of pictures with donors
LEAST_DEVIATION = 1e-5  # of a channel, of 1


@dataclass(frozen=True)
class TextureScores:
    """The accuracy of a model on pictures that have other pictures' channel statistics.

    clean: the tally without a change.
    classes: of the model.
    swapped: the accuracy of each draw of donors.
    followed: of the pictures whose donor is of another class, the share that is taken for the donor's class.
    followed_clean: the same share without a change, which is chance.
    changed: the share of pictures that are named otherwise than without a change.
    clipped: the share of values that were beyond black or white, and were cut off.
    rejected: pictures that could not be read, and why.
    """

    clean: LabelTally
    classes: Sequence[str]
    swapped: tuple[float, ...]
    followed: float
    followed_clean: float
    changed: float
    clipped: float
    rejected: Rejected = field(default_factory=list)
    notes: tuple[str, ...] = ()

    @property
    def accuracy(self) -> float:
        """The mean accuracy over the draws."""
        return fmean(self.swapped)

    @property
    def deviation(self) -> float:
        """The standard deviation of the accuracy over the draws."""
        return pstdev(self.swapped)

    @property
    def fall(self) -> float:
        """The share of pictures by which the accuracy falls from the clean one."""
        return self.clean.accuracy - self.accuracy


def score_texture(
    model: Model | str | Path,
    data: LabelledData,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    count: int | None = None,
    part: str = "test",
    device: str = "auto",
    dtype: str = "float32",
    max_pixels: int | None = None,
    tolerant: bool = False,
    progress: Progress | None = None,
) -> TextureScores:
    """How far the accuracy of a classifier falls when pictures get other pictures' channel statistics.

    The mean and the standard deviation of each channel of a picture are replaced by those of a donor, another picture
    of the set: its shapes stay, its colour, brightness and contrast do not.  A model that leans on these falls far, and
    takes pictures for their donors' class.  The change is AdaIN (Huang and Belongie, ICCV 2017) on pixels, which
    permuted AdaIN (Nuriel et al., CVPR 2021) trains networks against inside.
    draws: pairings of all pictures with donors, none of which is the picture itself.
    Other arguments as for `score_corruptions`.
    Raises InputError, OptionError, CheckpointError, DeviceError.
    """
    check_seed(seed)
    check_count(count)
    if draws < 1:
        raise OptionError(f"--draws is {draws}: it must be at least 1")
    reading = {"max_pixels": max_pixels, "tolerant": tolerant}
    view = LabelledView(model, "score texture", device=device, dtype=dtype)
    pictures = view.pictures(data, count, seed, part, reading)
    clean = LabelTally(len(view.classes))
    tell = PictureProgress(progress, len(pictures) * (1 + draws))
    kept: list[int] = []
    parts = []
    with view.computing():
        for numbers, squares, labels in view.chunks(pictures):
            named = clean.add(view.logits(squares), labels)
            parts.append((labels, named, *channel_statistics(squares.float() / 255)))
            kept += numbers
            tell(len(labels), "clean")
        check_read(clean, pictures, view)
        if len(kept) < 2:
            raise InputError(f"{pictures.label}: one picture, and another gives it its statistics: name two or more")
        truth, before, means, deviations = (torch.cat(part) for part in zip(*parts, strict=True))
        generator = torch.Generator().manual_seed(seed)
        donors = [deranged(len(kept), generator) for _ in range(draws)]
        told = torch.empty(draws, len(kept), dtype=torch.int64)
        tallies = [LabelTally(len(view.classes)) for _ in range(draws)]
        at, beyond = 0, 0.0
        for _, squares, labels in view.chunks(pictures.take(kept)):
            here = slice(at, at + len(labels))
            for draw, tally in enumerate(tallies):
                of = donors[draw][here]
                swapped = with_statistics(squares.float() / 255, means[of], deviations[of])
                beyond += float(((swapped < 0) | (swapped > 1)).float().mean((1, 2, 3)).sum())
                told[draw, here] = tally.add(view.logits(swapped.clamp(0, 1)), labels)
                tell(len(labels), f"draw {draw + 1}")
            at += len(labels)
    theirs = torch.stack([truth[of] for of in donors])
    other = theirs != truth
    total = other.sum().clamp(min=1)
    return TextureScores(
        clean,
        view.classes,
        tuple(tally.accuracy for tally in tallies),
        float(((told == theirs) & other).sum() / total),
        float(((before == theirs) & other).sum() / total),
        float((told != before).float().mean()),
        beyond / told.numel(),
        view.rejected,
        tuple(dict.fromkeys([*view.notes, *left_out(view.rejected)])),
    )


def channel_statistics(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """The mean and the standard deviation of each channel, (B, 3, 1, 1) each, of pictures (B, 3, h, w)."""
    deviation, mean = torch.std_mean(pictures, (2, 3), correction=0, keepdim=True)
    return mean, deviation


def with_statistics(pictures: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Pictures (B, 3, h, w) with other means and deviations, (B, 3, 1, 1) each; a flat channel stays flat."""
    own, spread = channel_statistics(pictures)
    return (pictures - own) / spread.clamp(min=LEAST_DEVIATION) * deviation + mean


def deranged(count: int, generator: torch.Generator) -> Tensor:
    """A donor for each of `count` pictures, (count,) int64: a permutation that is one cycle, so nobody gives to itself.

    There are two pictures or more.
    """
    order = torch.randperm(count, generator=generator)
    donors = torch.empty(count, dtype=torch.int64)
    donors[order] = order.roll(1)
    return donors
