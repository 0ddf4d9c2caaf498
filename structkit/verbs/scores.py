"""The figures of `structkit score`: of predicted masks, of results beside the truth, and of a model.

Masks and results are scored file by file and over all.  Pictures are compared in 8-bit levels.  A prediction of another
size than the truth is resized to it (bilinear).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from structkit.configs.score import PROBED, TOLERANCE
from structkit.errors import InputError
from structkit.media.tensors import to_range
from structkit.metrics import fidelity, overlap
from structkit.metrics.fidelity import Pool
from structkit.metrics.independence import dependence, probe, zero_ratio
from structkit.models import abilities_of_model

if TYPE_CHECKING:
    from structkit.media.pictures import Picture
    from structkit.training.model import Model

MEASURES = {"psnr": fidelity.squared_error, "ssim": fidelity.similarity}
HIDDEN = 256  # units of the larger probe
BATCH = 64

Figures = dict[str, float]


class Overlap:
    """The tally of predicted masks against true ones, file after file.

    threshold: the share of the full level, 0 .. 1, from which on a pixel of a prediction is set.
    tolerance: of 255; see `add`.
    A true mask is set from 128 of 255.
    """

    def __init__(self, *, threshold: float = 0.5, tolerance: int = TOLERANCE) -> None:
        self.threshold, self.tolerance = threshold, tolerance
        self.files: list[Figures] = []
        self.curve = torch.zeros(overlap.LEVELS, dtype=torch.float64)  # sums over files

    def add(self, prediction: Picture, truth: Picture, *, changed_from: Picture | None = None) -> Figures:
        """Take in one more file; returns its figures: iou, soft_iou and otsu_iou.

        For otsu_iou the mask is cut at its own threshold (Otsu 1979).
        changed_from: the truth is then a picture without the content, and this the same one with it.  The true mask is
        where they differ by more than the tolerance, of 255, in any channel.
        Raises InputError where these two differ in size.
        """
        true = overlap.cut(_grey(truth)) if changed_from is None else _difference(changed_from, truth, self.tolerance)
        soft = _grey(prediction, (truth.width, truth.height))
        cuts = {"iou": self.threshold, "otsu_iou": overlap.otsu(soft)}
        figures = {name: float(overlap.iou(overlap.cut(soft, level), true)) for name, level in cuts.items()}
        figures["soft_iou"] = float(overlap.soft_iou(soft, true))
        self.files.append(figures)
        self.curve += overlap.iou_by_level(soft, true)
        return figures

    def summary(self) -> Figures:
        """The means over the files, iou's standard deviation, and the one threshold that would have been best for all.

        The mean iou of that threshold goes with it.
        """
        spreads = {name: _spread([figures[name] for figures in self.files]) for name in self.files[0]}
        figures = {
            "iou": spreads["iou"][0],
            "iou_sd": spreads["iou"][1],
            **{name: mean for name, (mean, _) in spreads.items()},
        }
        figures["best_threshold"], figures["best_iou"] = overlap.best_threshold(self.curve / len(self.files))
        return figures


class Fidelity:
    """The tally of results against the true pictures, file after file.

    measure: psnr (dB) or ssim.
    """

    def __init__(self, measure: str, *, tolerance: int = TOLERANCE) -> None:
        self.measure, self.tolerance = measure, tolerance
        self.files: list[float] = []
        self.pools: dict[str, Pool] = {}

    def add(
        self, result: Picture, truth: Picture, *, changed_from: Picture | None = None, within: Picture | None = None
    ) -> Figures:
        """Take in one more file; returns its figure, under the measure's name.

        within: a mask of the pixels that count, set from 128; None is all.
        changed_from: the truth is then a picture without the content, and this the same one with it.  The pixels count
        where they differ by more than the tolerance, and there are two more figures: noop, what the picture with the
        content would have got, and outside, the share of all other pixels that the result has changed by more than the
        tolerance.
        """
        measure, size = MEASURES[self.measure], (truth.width, truth.height)
        made, true = _levels(result, size), _levels(truth)
        if changed_from is None:
            pools = {self.measure: measure(made, true, None if within is None else overlap.cut(_grey(within, size)))}
        else:
            inside, before = _difference(changed_from, truth, self.tolerance), _levels(changed_from)
            changed = overlap.difference(made, before, self.tolerance) & ~inside
            pools = {self.measure: measure(made, true, inside), "noop": measure(before, true, inside)}
            pools["outside"] = Pool(int(changed.sum()), int((~inside).sum()))
        for name, pool in pools.items():
            self.pools[name] = self.pools.get(name, Pool()) + pool
        figures = self._figures(pools)
        self.files.append(figures[self.measure])
        return figures

    def summary(self) -> Figures:
        """The figures over the pixels of all files, and with _mean and _sd over the files."""
        mean, deviation = _spread(self.files)
        return {**self._figures(self.pools), f"{self.measure}_mean": mean, f"{self.measure}_sd": deviation}

    def _figures(self, pools: Mapping[str, Pool]) -> Figures:
        scale = fidelity.decibel if self.measure == "psnr" else float
        return {name: pool.mean if name == "outside" else scale(pool.mean) for name, pool in pools.items()}


def independence(model: Model, a: Tensor, b: Tensor, *, seed: int = 0) -> dict[str, dict[str, float]]:
    """The figures of a model's codes: the common code should tell nothing of the domain, a separate code nothing else.

    model: content-transfer (a: the pictures with the content) or domain-difference.
    a, b: (N, 3, S, S) uint8, squares as the model sees them, which it was not trained on; 1,000 of each or more, of
    which 2,000 are used.
    For each code, by name: what fresh probes tell of the domain (`metrics.independence.probe`), linear_accuracy,
    mlp_accuracy and the bits that the better one proves, ideally 0.5 and 0 for the common code and 1 for a separate
    one.
    For each separate code also zero_ratio, its mean size where it has nothing to encode over that where it has (ideally
    0, good below 0.1); and of the pictures that have its content the correlation of its distances with those of the
    common code, and how often as much comes about by chance (ideally not rarely).
    Raises InputError for fewer than 20 pictures of a domain.
    """
    generator = torch.Generator().manual_seed(seed)
    a, b = (pictures[torch.randperm(len(pictures), generator=generator)[:PROBED].sort().values] for pictures in (a, b))
    common = [_codes(model, "common", pictures) for pictures in (a, b)]
    told = {"common": _told(*common, generator)}
    two_sided = abilities_of_model(model).two_sided
    owners = {"separate_a": 0, "separate_b": 1} if two_sided else {"separate": 0}  # the domain of a code's content
    for name, owner in owners.items():
        codes = [_codes(model, name, pictures) for pictures in (a, b)]
        depends = dependence(common[owner], codes[owner], generator=generator)
        ratio = zero_ratio(codes[1 - owner], codes[owner])
        told[name] = _told(*codes, generator) | {
            "zero_ratio": ratio,
            "correlation": depends.correlation,
            "chance": depends.p,
        }
    return told


@torch.no_grad()
def _codes(model: Any, name: str, pictures: Tensor) -> Tensor:
    """The codes, (N, D) on the CPU, that the method of that name makes of (N, 3, S, S) uint8."""
    device = next(model.parameters()).device
    batches = (to_range(batch.to(device).float() / 255) for batch in pictures.split(BATCH))
    return torch.cat([getattr(model, name)(batch).float().flatten(1).cpu() for batch in batches])


def _told(one: Tensor, other: Tensor, generator: torch.Generator) -> Figures:
    linear, network = (probe(one, other, hidden=hidden, generator=generator) for hidden in (0, HIDDEN))
    return {
        "linear_accuracy": linear.accuracy,
        "mlp_accuracy": network.accuracy,
        "bits": max(linear.bits, network.bits),
    }


def _spread(values: list[float]) -> tuple[float, float]:
    """The mean and the standard deviation over the files that have a value; NaN if none has."""
    known = [value for value in values if not math.isnan(value)]
    return (fmean(known), pstdev(known)) if known else (math.nan, math.nan)


def _difference(one: Picture, other: Picture, tolerance: int) -> Tensor:
    if one.pixels.shape != other.pixels.shape:
        sizes = f"{one.name} has {one.width} x {one.height} px and {other.name} {other.width} x {other.height}"
        raise InputError(
            f"{sizes}: where two pictures differ can only be seen at one size; make both again at one size"
        )
    return overlap.difference(_levels(one), _levels(other), tolerance)


def _levels(picture: Picture, size: tuple[int, int] | None = None) -> Tensor:
    """The levels of a picture, (3, H, W) uint8.  size: (width, height)."""
    return torch.from_numpy(np.array(_image(picture, size))).permute(2, 0, 1)


def _grey(picture: Picture, size: tuple[int, int] | None = None) -> Tensor:
    """The grey levels of a picture, (H, W) uint8."""
    return torch.from_numpy(np.array(_image(picture, size, "L")))


def _image(picture: Picture, size: tuple[int, int] | None, mode: str = "RGB") -> Image.Image:
    image = Image.fromarray(picture.at(8).pixels).convert(mode)
    return image if size in (None, image.size) else image.resize(size, Image.Resampling.BILINEAR)
