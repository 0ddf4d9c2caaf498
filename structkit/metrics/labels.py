"""Figures of labels: how often they are right, and the errors under corruptions (Hendrycks & Dietterich, ICLR 2019).

The corruption error of a kind is its mean error over severities.  On CIFAR, papers call the plain mean over the kinds
"mCE"; on ImageNet mCE divides each kind's error by AlexNet's, whose constants are here, and means nothing elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from statistics import fmean

import torch
from torch import Tensor

from structkit.errors import StructkitError

NEAR = 5  # labels among which the right one is, for the second figure
SEVERITIES = (1, 2, 3, 4, 5)
# AlexNet's mean error of each kind over the five severities, and without corruption.
ALEXNET = {
    "gaussian_noise": 0.886428,
    "shot_noise": 0.894468,
    "impulse_noise": 0.922640,
    "defocus_blur": 0.819880,
    "glass_blur": 0.826268,
    "motion_blur": 0.785948,
    "zoom_blur": 0.798360,
    "snow": 0.866816,
    "frost": 0.826572,
    "fog": 0.819324,
    "brightness": 0.564592,
    "contrast": 0.853204,
    "elastic_transform": 0.646056,
    "pixelate": 0.717840,
    "jpeg_compression": 0.606500,
}
ALEXNET_CLEAN = 0.435
IMAGENET_CLASSES, IMAGENET_SIDE = 1000, 224


class LabelTally:
    """The tally of labels, batch after batch: of each class the pictures, and those that are named rightly."""

    def __init__(self, classes: int) -> None:
        self.pictures = torch.zeros(classes, dtype=torch.int64)
        self.right = torch.zeros(classes, dtype=torch.int64)
        self.near = 0  # pictures whose class is among the NEAR likeliest

    def add(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Take in a batch; returns the likeliest label of each picture, (B,).

        logits: (B, K), or probabilities.  labels: (B,) int64.
        Raises StructkitError for values that are not finite.
        """
        if not logits.isfinite().all():
            raise StructkitError("the model gives values that are not finite numbers: train it again")
        named = logits.argmax(1)
        count = len(self.pictures)
        self.pictures += labels.bincount(minlength=count)
        self.right += labels[named == labels].bincount(minlength=count)
        likeliest = logits.topk(min(NEAR, logits.shape[1]), 1).indices
        self.near += int((likeliest == labels[:, None]).any(1).sum())
        return named

    def __len__(self) -> int:
        return int(self.pictures.sum())

    @property
    def accuracy(self) -> float:
        """The share of pictures that are named rightly."""
        return int(self.right.sum()) / len(self)

    @property
    def error(self) -> float:
        """The share of pictures that are named wrongly."""
        return 1 - self.accuracy

    @property
    def near_accuracy(self) -> float:
        """The share of pictures whose class is among the five likeliest."""
        return self.near / len(self)

    def by_class(self, classes: Sequence[str]) -> dict[str, float]:
        """The accuracy of each class that has pictures."""
        rows = zip(classes, self.right.tolist(), self.pictures.tolist(), strict=True)
        return {name: right / count for name, right, count in rows if count}


def mean_over(errors: Mapping[str, float], kinds: Sequence[str]) -> float | None:
    """The mean error of these kinds; None unless all are there."""
    return fmean(errors[kind] for kind in kinds) if kinds and all(kind in errors for kind in kinds) else None


def category_means(errors: Mapping[str, float], categories: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """The mean error of each category, of those of its kinds that are there."""
    there = {name: [kind for kind in kinds if kind in errors] for name, kinds in categories.items()}
    return {name: fmean(errors[kind] for kind in kinds) for name, kinds in there.items() if kinds}


def is_imagenet(classes: Sequence[str], side: int) -> bool:
    """True for the 1,000 classes of ImageNet, by the names that its folders have, seen at 224 px."""
    named = all(re.fullmatch(r"n\d{8}", name) for name in classes)
    return len(set(classes)) == IMAGENET_CLASSES and side == IMAGENET_SIDE and named


def relative_to_alexnet(errors: Mapping[str, float], clean: float) -> tuple[dict[str, float], dict[str, float]]:
    """The corruption error CE of each kind, and the relative one: the errors over AlexNet's, 1 where they are equal.

    errors: the mean over the five severities, of ImageNet.  clean: the error without corruption.
    The relative one is of what the corruption adds to the clean error.
    """
    known = {kind: error for kind, error in errors.items() if kind in ALEXNET}
    plain = {kind: error / ALEXNET[kind] for kind, error in known.items()}
    relative = {kind: (error - clean) / (ALEXNET[kind] - ALEXNET_CLEAN) for kind, error in known.items()}
    return plain, relative
