"""The scores of a segmenter: the overlap with true labels on the source, and on the target what needs no labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from structkit.data.listing import counted
from structkit.data.segmentation import SegmentationPictures, TargetPictures
from structkit.engines.padain.adaptation import ClassCounts, labels_at, pictures_at
from structkit.engines.padain.segmenter import Segmenter
from structkit.nets.deeplab import enlarged

TOGETHER = 8  # pictures that are looked at together
LOOKED_AT = 64  # pictures of the target
DARKER = 0.8  # brightness of the other view of a picture


class SegmenterScores:
    """The pictures that a segmenter is scored on.

    held: labelled ones of the source, which it has not learned from.
    target: those it is adapted to, of which `order` says which are looked at.
    """

    def __init__(
        self,
        classes: Sequence[str],
        held: SegmentationPictures | None,
        target: TargetPictures | None,
        order: Sequence[int],
    ) -> None:
        self.classes, self.held, self.target, self.order = classes, held, target, list(order)[:LOOKED_AT]
        self.found: dict[str, Any] | None = None

    def of(self, model: Segmenter, tell: Callable[[str], None]) -> dict[str, Any]:
        """The scores of a model, by name.

        On labelled pictures of the source that were held out, of which there are `held`:
        miou: the mean over the classes that are there, `present`, of the intersection over union; iou: of each class.
        On pictures of the target, without labels:
        confidence: the mean probability of the class that is told.
        steadiness: see `steadiness`.  told: the number of classes that are told of them.
        """
        self.found = {}
        device = next(model.parameters()).device
        if self.held is not None and len(self.held):
            counts = ClassCounts(len(self.classes))
            for first in range(0, len(self.held), TOGETHER):
                some = range(first, min(first + TOGETHER, len(self.held)))
                seen = 2 * pictures_at(self.held, some).to(device) - 1
                with torch.inference_mode():
                    counts.add(labels_at(self.held, some), model.labels(seen).cpu())
            iou = {
                name: round(value, 4)
                for name, value in zip(self.classes, counts.iou().tolist(), strict=True)
                if value == value
            }
            self.found |= {"held": len(self.held), "miou": round(counts.mean_iou(), 4), "present": len(iou), "iou": iou}
            tell(f"on {counted(len(self.held))} of the source held out: {100 * counts.mean_iou():.1f} % mIoU")
        if self.target is not None:
            pictures = pictures_at(self.target, self.order).to(device)
            with torch.inference_mode():
                most, labels = zip(*(_told(model.network, part) for part in pictures.split(TOGETHER)), strict=True)
            self.found |= {
                "confidence": round(float(torch.cat(most).mean()), 4),
                "steadiness": round(steadiness(model.network, pictures, model.network), 4),
                "told": len(torch.cat(labels).unique()),
            }
            tell(
                f"on {counted(len(pictures))} of the target: confidence {self.found['confidence']:.2f}, labels "
                f"{100 * self.found['steadiness']:.0f} % steady, {self.found['told']} classes"
            )
        return self.found

    def doubts(self, model: Segmenter) -> list[str]:
        """The signs of a bad model."""
        found = self.found if self.found is not None else self.of(model, lambda line: None)
        doubts = []
        if found.get("told") == 1:
            doubts.append("it tells one class of all pictures of the target")
        if found.get("present", 0) > 1 and found["miou"] <= 1 / found["present"] / 2 and self.target is None:
            doubts.append(f"on pictures held out it has {100 * found['miou']:.1f} % mIoU")
        return doubts


@torch.inference_mode()
def steadiness(network: nn.Module, pictures: Tensor, judge: nn.Module) -> float:
    """The overlap of the labels of pictures with those of the same mirrored and darker: a mean over classes, 0 .. 1.

    pictures: (B, 3, h, w) in [0, 1].
    judge: the network whose classes count, those that it tells of the pictures; one that is lost counts as 0.
    """
    total = None
    for part in pictures.split(TOGETHER):
        one, other = (_told(network, view)[1] for view in (part, part.flip(3) * DARKER))
        other, there = other.flip(2), _told(judge, part)[1]
        found = torch.stack(
            [
                torch.stack([((one == k) & (other == k)).sum(), ((one == k) | (other == k)).sum(), (there == k).sum()])
                for k in range(network.classifier.branches[0].out_channels)
            ]
        )
        total = found if total is None else total + found
    hit, union, there = total.double().unbind(1)
    return float((hit / union.clamp(min=1))[there > 0].mean())


@torch.no_grad()
def shown(network: nn.Module, pictures: Tensor, palette: Sequence[Sequence[int]]) -> Tensor:
    """Pictures (B, 3, h, w) in [0, 1] side by side, and under them their labels in colours; in [-1, 1], for a preview.

    The network is as it was afterwards.
    """
    before = network.training
    network.eval()
    labels = _told(network, pictures)[1]
    network.train(before)
    colours = torch.tensor(palette, device=pictures.device)[labels].permute(0, 3, 1, 2) / 255
    return 2 * torch.cat([torch.cat([*row[:, None]], 3) for row in (pictures, colours)], 2) - 1


def _told(network: nn.Module, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """The probability of the class of each pixel, and the class, (B, h, w) both; pictures in [0, 1]."""
    logits = enlarged(network(2 * pictures - 1).float(), pictures.shape[-2:])
    return logits.softmax(1).max(1)
