"""Stand-ins for trained models of content: what they do to a square is known exactly.

The content is what is red.  The face of a picture is its mean green, the common code.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from structkit.configs import Config, option
from structkit.engines.transfer.layer import Layer
from structkit.engines.transfer.model import Cut
from structkit.models import KINDS
from structkit.training.model import Model


@dataclass(frozen=True)
class FakeConfig(Config):
    size: int = option(16, "side of the squares, px")
    fit: str = option("squash", "how a picture becomes a square")
    painter: int = option(0, "channels of the painter")
    placer_steps: int = option(0, "steps of training of the placer")


class Fake(Model):
    config_class = FakeConfig

    def __init__(self, config: FakeConfig) -> None:
        super().__init__(config)
        self.size, self.fit = config.size, config.fit
        self.scale = nn.Parameter(torch.ones(1))
        self.batches: list[int] = []

    def seen(self, squares: Tensor) -> Tensor:
        assert (
            squares.shape[1:] == (3, self.size, self.size)
            and squares.abs().max() <= 1
            and torch.is_inference_mode_enabled()
        )
        self.batches.append(len(squares))
        return squares * self.scale


class FakeTransfer(Fake):
    """Puts a square of the donor's mean red colour into the middle; takes red off by painting it grey."""

    kind = "content-transfer"

    def segment(self, squares: Tensor) -> Tensor:
        squares = self.seen(squares)
        return ((squares[:, :1] > 0) & (squares[:, 1:].amax(1, keepdim=True) < 0)).float()

    def remove(self, squares: Tensor) -> Layer:
        return Layer(self.segment(squares), torch.zeros_like(squares))

    def separate(self, squares: Tensor) -> Tensor:
        mask = self.segment(squares)
        return (self.seen(squares) * mask).sum((2, 3), keepdim=True) / mask.sum((2, 3), keepdim=True).clamp(min=1)

    def put(self, squares: Tensor, separate: Tensor) -> Layer:
        mask = torch.zeros_like(self.seen(squares)[:, :1])
        quarter = self.size // 4
        mask[:, :, quarter:-quarter, quarter:-quarter] = 1
        return Layer(mask * separate[:, :1].clamp(0, 1), separate.expand_as(squares))


class FakePainter(FakeTransfer):
    """Puts on what is red of a donor, where it is there."""

    def __init__(self, config: FakeConfig) -> None:
        super().__init__(dataclasses.replace(config, painter=1, placer_steps=1))

    def cut(self, donors: Tensor) -> Cut:
        return Cut(Layer(self.segment(donors), donors), donors.new_zeros(len(donors), 5))

    def place(self, squares: Tensor, cut: Cut) -> Layer:
        assert len(self.seen(squares)) == len(cut.frame)
        return cut.layer


class FakeDifference(Fake):
    """Whole pictures: red is a's content, blue is b's, green is common."""

    kind = "domain-difference"

    def common(self, squares: Tensor) -> Tensor:
        return self.seen(squares)[:, 1:2].mean((2, 3), keepdim=True)

    def separate_a(self, squares: Tensor) -> Tensor:
        return self.seen(squares)[:, :1].mean((2, 3), keepdim=True)

    def separate_b(self, squares: Tensor) -> Tensor:
        return self.seen(squares)[:, 2:].mean((2, 3), keepdim=True)

    def combine(self, common: Tensor, a: Tensor | None = None, b: Tensor | None = None) -> Tensor:
        nothing = torch.zeros_like(common)
        planes = torch.cat([nothing if a is None else a, common, nothing if b is None else b], 1)
        return planes.expand(-1, -1, self.size, self.size).contiguous()

    recombine = combine


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints of these kinds hold stand-ins."""
    for fake in (FakeTransfer, FakeDifference):
        here = dataclasses.replace(KINDS[fake.kind], model=f"{fake.__module__}.{fake.__name__}")
        monkeypatch.setitem(KINDS, fake.kind, here)
