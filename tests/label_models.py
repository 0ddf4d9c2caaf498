"""Small classifiers for tests: one with random weights, and some whose answers are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from structkit.configs import ClassifierConfig
from structkit.data.labelled import LabelledPictures
from structkit.engines.padain.classifier import Classifier

from .labelled_toys import CLASSES, SIDE, TINY

SLANTS = ("across", "down")
TONES = ("dark", "light")


def tiny_classifier(classes: Sequence[str] = CLASSES, seed: int = 0, side: int = SIDE) -> Classifier:
    """An untrained classifier."""
    torch.manual_seed(seed)
    return Classifier(ClassifierConfig(**{**TINY, "side": side}), list(classes), [0.5] * 3, [0.5] * 3).eval()


class Answers(nn.Module):
    """A network that answers by a rule."""

    def __init__(self, rule: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.rule = rule

    def forward(self, pictures: Tensor) -> Tensor:
        return self.rule(pictures)


def by_rule(rule: Callable[[Tensor], Tensor], classes: Sequence[str], side: int = SIDE) -> Classifier:
    """A classifier whose logits (B, K) are the rule's, of pictures (B, 3, side, side) in [-1, 1]."""
    model = tiny_classifier(classes, side=side)
    model.network = Answers(rule)  # type: ignore[assignment]
    return model


def tone_of(pictures: Tensor) -> Tensor:
    """Logits of dark and light: by the mean level alone."""
    level = pictures.mean((1, 2, 3))
    return torch.stack([-level, level], 1)


def slant_of(pictures: Tensor) -> Tensor:
    """Logits of stripes across and down: by where levels change, however bright or strong."""
    across, down = (pictures.diff(dim=dim).abs().mean((1, 2, 3)) for dim in (2, 3))
    return torch.stack([across, down], 1)


def striped(count: int = 12, seed: int = 0, side: int = SIDE, classes: Sequence[str] = TONES) -> LabelledPictures:
    """Stripes across that are dark, and stripes down that are light: both rules are right about them.

    classes: their names; those of tones or of slants.
    """
    random = np.random.default_rng(seed)
    pictures = np.empty((count, side, side, 3), np.uint8)
    labels = np.arange(count) % 2
    for picture, label in zip(pictures, labels, strict=True):
        wave = np.sign(np.sin(np.arange(side) * random.uniform(1.2, 1.6)))[:, None, None] * random.uniform(10, 20, 3)
        base = 190 if label else 60
        picture[:] = base + (wave.transpose(1, 0, 2) if label else wave)
    names = [f"{i}.png" for i in range(count)]
    return LabelledPictures(list(classes), torch.from_numpy(labels), names, pictures, np.arange(count), "stripes")
