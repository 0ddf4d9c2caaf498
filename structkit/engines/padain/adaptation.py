"""The arithmetic of adaptation: soft labels and discriminators, mixed pictures, statistics of batch norms, and scores.

* FADA (Wang et al., ECCV 2020): a discriminator of 2 K logits for each place, the classes in the source and in the
  target; soft labels say which class it is, so that features are aligned class by class.
* Class mixing (DACS, Tranheden et al., WACV 2021): half of the classes of a source picture are put on a target one.
* Statistics alone (alpha-BN, You et al., 2021): those of the batch norms come from pictures of the target.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from structkit.data.label_maps import UNCOUNTED
from structkit.data.segmentation import SegmentationPictures, TargetPictures
from structkit.metrics.overlap import class_iou, confusion


def soft_labels(logits: Tensor, ceiling: float) -> Tensor:
    """The probabilities of logits (B, K, h, w), none above the ceiling, without gradient; not made 1 in all again."""
    return logits.detach().softmax(1).clamp(max=ceiling)


def domain_loss(judged: Tensor, soft: Tensor, *, target: bool) -> Tensor:
    """The cross entropy of a discriminator's logits (B, 2 K, h, w) with soft labels (B, K, h, w), a mean over places.

    target: whether the labels are of the target's K logits, or of the source's, which are the first.
    """
    of_domain = judged.log_softmax(1).chunk(2, 1)[int(target)]
    return -(soft * of_domain).sum(1).mean()


def segmentation_loss(
    logits: Tensor, labels: Tensor, classes: Tensor | None = None, trust: Tensor | None = None
) -> Tensor:
    """The cross entropy of logits (B, K, h, w) with labels (B, h, w), a mean over the pixels whose class is known.

    classes: a weight of each class, (K,).
    trust: a weight of each pixel, (B, h, w), 0 .. 1; the mean is then over all pixels that have a label.
    """
    loss = F.cross_entropy(logits, labels.long(), weight=classes, ignore_index=UNCOUNTED, reduction="none")
    known = labels != UNCOUNTED
    weight = known.float() if classes is None else _weights_of(labels, known, classes)
    return (loss if trust is None else loss * trust).sum() / weight.sum().clamp(min=1e-6)


def _weights_of(labels: Tensor, known: Tensor, classes: Tensor) -> Tensor:
    return torch.where(known, classes[torch.where(known, labels, 0).long()], 0.0)


def rarity(shares: Tensor) -> Tensor:
    """The weights of classes with these shares of the pixels, (K,): 1 / ln(1.01 + share), as FADA draws them."""
    return 1 / (1.01 + shares).log()


def mixed(
    source: Tensor, source_labels: Tensor, target: Tensor, target_labels: Tensor, trust: Tensor, numbers: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures of the target with half of the classes of a source picture put on them; their labels, and their trust.

    source, target (B, 3, h, w); labels (B, h, w) uint8; trust (B, h, w) of the target's labels: the source's have 1.
    numbers: (B, K) in [0, 1): of the classes that are there, those with the larger ones are put on, half or one more.
    """
    count = numbers.shape[1]
    there = torch.stack([(source_labels == label).flatten(1).any(1) for label in range(count)], 1)
    ranks = torch.where(there, numbers, -1.0).argsort(1, descending=True).argsort(1)
    chosen = there & (ranks < (there.sum(1, keepdim=True) + 1) // 2)
    known = source_labels != UNCOUNTED
    indices = torch.where(known, source_labels, 0).long()
    pasted = chosen.gather(1, indices.flatten(1)).view_as(known) & known
    return (
        torch.where(pasted[:, None], source, target),
        torch.where(pasted, source_labels, target_labels),
        torch.where(pasted, 1.0, trust),
    )


def trusted_labels(logits: Tensor, confidence: float) -> tuple[Tensor, Tensor]:
    """The labels that a teacher gives, (B, h, w) uint8, and the trust in them: the same for all pixels of a picture.

    The trust is the share of the picture's pixels whose probability is the confidence or more (DACS).
    """
    most, labels = logits.softmax(1).max(1)
    share = (most >= confidence).float().mean((1, 2), keepdim=True)
    return labels.to(torch.uint8), share.expand_as(most)


def hidden(pictures: Tensor, numbers: Tensor, share: float) -> Tensor:
    """Pictures (B, 3, h, w) with squares of them set to 0 (masked image consistency, Hoyer et al., CVPR 2023).

    numbers: (B, rows, columns) in [0, 1): the squares below `share` are hidden.
    """
    shown = (numbers >= share).float()[:, None]
    return pictures * F.interpolate(shown, pictures.shape[-2:], mode="nearest")


def blended_statistics(own: nn.Module, target: nn.Module, alpha: float) -> dict[str, Tensor]:
    """The running statistics of batch norms, by name: (1 - alpha) of one's own and alpha of those of the target.

    own, target: networks of the same layers.
    """
    theirs = dict(target.named_buffers())
    return {
        name: buffer.lerp(theirs[name], alpha)
        for name, buffer in own.named_buffers()
        if name.endswith(("running_mean", "running_var"))
    }


class ClassCounts:
    """Counts of the pixels of several pictures, by their true and their predicted class."""

    def __init__(self, classes: int) -> None:
        self.counts = torch.zeros(classes, classes + 1, dtype=torch.int64)

    def add(self, truth: Tensor, predicted: Tensor) -> None:
        """Count pixels, of the same shapes, whose true class is known."""
        self.counts += confusion(predicted.cpu(), truth.cpu(), len(self.counts))

    def iou(self) -> Tensor:
        """The intersection over union of each class, (K,); NaN for those that are nowhere in the truth."""
        return class_iou(self.counts)

    def mean_iou(self) -> float:
        """The mean over the classes that are in the truth; 0 where there is none."""
        found = self.iou()
        return float(found[~found.isnan()].mean()) if (~found.isnan()).any() else 0.0


def spread_out(count: int, most: int) -> list[int]:
    """Up to `most` different indices below `count`, in an order in which neighbours are far apart."""
    step = max(1, round(count * (math.sqrt(5) - 1) / 2))
    while math.gcd(step, count) > 1:
        step += 1
    return [index * step % count for index in range(min(count, most))]


def pictures_at(pictures: SegmentationPictures | TargetPictures, indices: Iterable[int]) -> Tensor:
    """Pictures by their indices, (B, 3, h, w) in [0, 1]."""
    return torch.stack([pictures.picture(index) for index in indices]).float() / 255


def labels_at(pictures: SegmentationPictures, indices: Iterable[int]) -> Tensor:
    """Labels by the indices of their pictures, (B, h, w) uint8."""
    return torch.stack([pictures.labels(index) for index in indices])


class ClassBalance:
    """The drawing of pictures by the classes in them: a class by its rarity, then any picture that has it.

    As in FADA, which weighs by what has been drawn so far, so that its order depends on its past; here by all pictures.
    shares: of each class, of all pixels whose class is known, (K,) float32.
    """

    def __init__(self, shares: Tensor) -> None:
        """shares: of each picture, (N, K)."""
        self.shares = (shares.sum(0) / shares.sum().clamp(min=1e-12)).float()
        self.having = [row.nonzero()[:, 0].tolist() for row in shares.T]
        weights = torch.where(self.shares > 0, rarity(self.shares), 0.0)
        self.bounds = (weights.cumsum(0) / weights.sum().clamp(min=1e-12)).tolist()
        self.last = max((label for label, having in enumerate(self.having) if having), default=0)

    def weights(self) -> Tensor:
        """The weight of each class in a loss, (K,), 1 for a pixel on average: as the root of its rarity."""
        found = rarity(self.shares).sqrt()
        return found / (found * self.shares).sum()

    def index(self, of_class: float, which: float) -> int:
        """The picture that two numbers in [0, 1) decide on."""
        label = min(bisect_right(self.bounds, of_class), self.last)  # the last bound may be rounded below 1
        having = self.having[label]
        return having[int(which * len(having))]
