"""The figures of `structkit score iou --labels`: how well predicted classes cover the true ones, pixel by pixel."""

from __future__ import annotations

import math
from collections import Counter

import torch

from structkit.data.label_maps import Colour, LabelMap
from structkit.data.label_pairs import map_of
from structkit.data.segmentation import MOST_UNMAPPED, nearest, unmapped_words
from structkit.errors import InputError
from structkit.media.label_files import LabelRaster
from structkit.metrics import overlap


class LabelOverlap:
    """The tally of predicted label files against true ones, file after file; what counts is the sum over all pixels.

    confusion: (K, K + 1), see `metrics.overlap.confusion`.
    """

    def __init__(self, map: LabelMap) -> None:
        self.map = map
        self.confusion = torch.zeros(len(map), len(map) + 1, dtype=torch.int64)
        self.unmapped: dict[str, Counter[int | Colour]] = {"prediction": Counter(), "truth": Counter()}
        self.pixels: Counter[str] = Counter()

    def add(
        self, prediction: LabelRaster, truth: LabelRaster, *, names: tuple[str, str] = ("", "")
    ) -> dict[str, float]:
        """Take in one more file; returns its own figures: iou, the mean over its classes, and accuracy.

        names: of both files; those called labelTrainIds have the numbers of the classes.
        A prediction of another size than the truth is resized to it (nearest).
        Raises InputError where a file has other labels than the map can have.
        """
        found = {}
        for role, raster, name in zip(("prediction", "truth"), (prediction, truth), names, strict=True):
            found[role] = map_of(name, self.map).classes(raster, self.unmapped[role])
            self.pixels[role] += found[role].size
        height, width = found["truth"].shape
        if found["prediction"].shape != (height, width):
            found["prediction"] = nearest(found["prediction"], (width, height))
        labels, true = (torch.from_numpy(found[role]) for role in ("prediction", "truth"))
        confusion = overlap.confusion(labels, true, len(self.map))
        self.confusion += confusion
        return _figures(confusion)

    def summary(self) -> dict[str, float]:
        """The figures over all pixels: iou, the mean over the classes that the truth has, their number, and accuracy.

        Raises InputError where more than 1 % of the pixels have labels that are not in the map.
        """
        for role, unmapped in self.unmapped.items():
            if unmapped.total() > MOST_UNMAPPED * self.pixels[role]:
                share = unmapped.total() / self.pixels[role]
                fact = f"{share:.1%} of the {role}'s pixels have labels that the map {self.map.name} does not know"
                raise InputError(f"{fact}: {unmapped_words(unmapped, self.pixels[role])}; give another --labels")
        return _figures(self.confusion)

    def by_class(self) -> dict[str, dict[str, float]]:
        """The figures of each class, by name: iou (NaN where the truth has none of it), and its share of the truth."""
        ious, pixels = overlap.class_iou(self.confusion).tolist(), self.confusion.sum(1)
        shares = (pixels.double() / pixels.sum().clamp_min(1)).tolist()
        return {
            name: {"iou": iou, "share": share} for name, iou, share in zip(self.map.names, ious, shares, strict=True)
        }


def _figures(confusion: torch.Tensor) -> dict[str, float]:
    """The figures of a confusion; NaN where there is no pixel."""
    ious = overlap.class_iou(confusion)
    there, pixels = int(ious.isfinite().sum()), int(confusion.sum())
    return {
        "iou": float(ious.nanmean()) if there else math.nan,
        "classes": there,
        "accuracy": int(confusion.diagonal().sum()) / pixels if pixels else math.nan,
    }
