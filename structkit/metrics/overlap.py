"""Overlap of a mask that was predicted with the true one.

Masks are (..., H, W): bool where they are cut, uint8 levels 0 .. 255 where they are soft.  There is a figure for each
picture, (...) float64; a mean over pictures is the caller's, so that large pictures do not outweigh small ones.
"""

from __future__ import annotations

import torch
from torch import Tensor

from structkit.configs.score import TOLERANCE
from structkit.errors import InputError

LEVELS = 256


def difference(one: Tensor, other: Tensor, tolerance: int = TOLERANCE) -> Tensor:
    """The pixels, (..., H, W) bool, where two pictures differ by more than the tolerance in any channel.

    one, other: (..., 3, H, W) uint8.
    For a picture with some content and the same one without it, they are the content's true mask.
    """
    same_size(one, other)
    return ((one.short() - other.short()).abs() > tolerance).any(-3)


def cut(levels: Tensor, threshold: float = 0.5) -> Tensor:
    """The mask of levels: set where level / 255 is the threshold or more; at 0.5 that is from 128."""
    return levels.double() >= threshold * (LEVELS - 1) - 1e-9  # 0.2 * 255 is not quite 51


def iou(mask: Tensor, truth: Tensor) -> Tensor:
    """Intersection over union of two bool masks, 0 .. 1; 1 where both are empty."""
    same_size(mask, truth)
    return _ratio((mask & truth).sum((-2, -1)), (mask | truth).sum((-2, -1)))


def soft_iou(levels: Tensor, truth: Tensor) -> Tensor:
    """The sum of the minima over the sum of the maxima of levels / 255 and a bool mask, 0 .. 1.

    1 where both are empty.
    """
    same_size(levels, truth)
    soft, hard = levels.double() / (LEVELS - 1), truth.double()
    return _ratio(soft.minimum(hard).sum((-2, -1)), soft.maximum(hard).sum((-2, -1)))


def iou_by_level(levels: Tensor, truth: Tensor) -> Tensor:
    """The IoU of one picture's levels (H, W) with a bool mask, for each level at which they can be cut, (256,).

    Entry i of 0, 1, ..., 255: the mask is set from level i on.  Two histograms hold all that is asked: a picture is
    passed through once, not once a level.
    """
    same_size(levels, truth)
    inside, outside = (torch.bincount(levels[part].flatten().long(), minlength=LEVELS) for part in (truth, ~truth))
    hit, false = (counts.flip(0).cumsum(0).flip(0) for counts in (inside, outside))  # pixels from each level on
    return _ratio(hit, inside.sum() + false)


def best_threshold(curve: Tensor) -> tuple[float, float]:
    """The one threshold for all pictures that gives the best mean IoU, and that mean.

    curve: (256,), the mean of their `iou_by_level`.
    The threshold lies midway between two levels, as 0.5 does between 127 and 128, so that it may be rounded a little;
    of several that are as good, the one nearest 0.5 is taken.
    """
    means = curve[1:]  # from level 0 on every pixel would be set
    thresholds = (torch.arange(1, LEVELS, dtype=torch.float64) - 0.5) / (LEVELS - 1)
    good = means >= means.max() - 1e-12
    best = int(torch.where(good, (thresholds - 0.5).abs(), torch.inf).argmin())
    return float(thresholds[best]), float(means[best])


def otsu(levels: Tensor) -> float:
    """The threshold that parts a picture's levels (H, W) best in two (Otsu 1979).

    The best one has the largest variance between both parts.  No truth is needed.  Of many cuts that are as good, as
    between the two levels of a hard mask, the middle one is taken; 0.5 for a flat picture.
    """
    counts = torch.bincount(levels.flatten().long(), minlength=LEVELS).double()
    moments = counts * torch.arange(LEVELS)
    below, moment = counts.cumsum(0)[:-1], moments.cumsum(0)[:-1]
    above = counts.sum() - below
    gap = moment / below.clamp_min(1) - (moments.sum() - moment) / above.clamp_min(1)
    between = below * above * gap.square()  # entry i: parted between level i and i + 1
    if between.max() == 0:
        return 0.5
    good = (between >= between.max() * (1 - 1e-12)).nonzero()
    return (float(good.double().mean()) + 0.5) / (LEVELS - 1)


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    return torch.where(whole > 0, part.double() / whole.double().clamp_min(1e-12), 1.0)


def same_size(one: Tensor, other: Tensor) -> None:
    """Refuse pictures (..., H, W) that cannot be laid upon each other.  Raises InputError."""
    if one.shape[-2:] != other.shape[-2:]:
        sizes = " and ".join(f"{width} x {height}" for height, width in (one.shape[-2:], other.shape[-2:]))
        raise InputError(f"pictures of {sizes} px; they must be of one size to be compared: resize one of them")


def confusion(labels: Tensor, truth: Tensor, classes: int) -> Tensor:
    """The pixels of each true class (rows, K) that are taken for each class (columns, K), or for none (column K).

    labels, truth: (..., H, W) uint8 classes; K or more is none.  Pixels whose truth is none are not counted.
    Returns (K, K + 1) int64: of several pictures the sum.
    """
    same_size(labels, truth)
    counted = truth < classes
    pairs = truth[counted].long() * (classes + 1) + labels[counted].long().clamp(max=classes)
    return torch.bincount(pairs, minlength=classes * (classes + 1)).view(classes, classes + 1)


def class_iou(confusion: Tensor) -> Tensor:
    """Intersection over union of each class, (K,) float64, of a confusion over all pictures.

    NaN for a class that the truth has nowhere, whatever it is taken for: the mean over the others is the usual figure,
    beside their number.
    """
    hit, true = confusion.diagonal(), confusion.sum(1)
    union = true + confusion[:, : len(confusion)].sum(0) - hit
    return torch.where(true > 0, hit.double() / union.clamp_min(1), torch.nan)
