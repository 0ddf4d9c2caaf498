"""The batches of a classifier's training: which pictures a step sees, and how it sees them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from structkit.configs.labels import BETA, ClassifierConfig
from structkit.data.augmix import AugMix
from structkit.data.pixmix import PixMix
from structkit.data.views import Views, ViewsAhead
from structkit.training.draw import Draw
from structkit.training.parallel import Processes

AHEAD = 2  # batches that each worker is asked for ahead
MOST_WORKERS = 8  # beside a GPU, where nothing says how many
MOST_SENT = 2**30  # bytes of decoded pictures that all workers together are given
SAMPLED = 2000  # pictures whose mean and deviation are taken, where they are not all in memory


class LabelledSet(Protocol):
    """Pictures and the class of each, as `structkit.data.labelled.LabelledPictures` has them."""

    classes: list[str]
    labels: Tensor

    def __len__(self) -> int: ...

    def pixels(self, i: int) -> np.ndarray: ...

    def squares(self, indices: Sequence[int], side: int) -> Tensor: ...

    def lightened(self, most: int) -> LabelledSet: ...


class SquareArray:
    """Pictures of one size in memory, (N, side, side, 3) uint8, by their index."""

    def __init__(self, squares: np.ndarray) -> None:
        self.squares = squares

    def pixels(self, index: int) -> np.ndarray:
        """A picture (side, side, 3) uint8."""
        return self.squares[index]


class PictureFeed:
    """The pictures that are learned from, batch by batch.

    Batches are cut from one row of passes over all pictures, each in an order of its own: every picture is seen as
    often as any other, and every batch is full.  The `Draw` of a step decides on all of it, whoever makes the views.
    """

    def __init__(self, learned: LabelledSet, config: ClassifierConfig, device: str) -> None:
        """Pictures of which parts are shown are kept as they are, others as squares."""
        self.learned, self.config, self.device = learned, config, device
        self.labels = torch.as_tensor(learned.labels).long()
        self.pictures: LabelledSet | SquareArray = learned
        if config.crop != "resized":
            squares = learned.squares(range(len(learned)), config.side)
            self.pictures = SquareArray(squares.permute(0, 2, 3, 1).contiguous().numpy())
        elif self.workers:
            self.pictures = learned.lightened(MOST_SENT // self.workers)
        self.orders: dict[tuple[int, int, int], Tensor] = {}
        self.asked: deque[tuple[Draw, Tensor]] = deque()  # what was asked for ahead, in turn
        self.views: ViewsAhead | None = None  # made when first needed, since it may be many processes

    def statistics(self) -> tuple[list[float], list[float]]:
        """Mean and deviation of each channel of the pictures in [0, 1]."""
        numbers = list(range(len(self.learned)))
        if not isinstance(self.pictures, SquareArray) and len(numbers) > SAMPLED:
            numbers = torch.randperm(len(numbers), generator=torch.Generator().manual_seed(0))[:SAMPLED].tolist()
        sums, count = torch.zeros(2, 3, dtype=torch.float64), 0
        for first in range(0, len(numbers), 500):
            part = self.squares(self.learned, numbers[first : first + 500]).double() / 255
            sums += torch.stack([part.sum((0, 2, 3)), part.square().sum((0, 2, 3))])
            count += part[:, 0].numel()
        mean, square = sums / count
        deviation = (square - mean.square()).clamp(min=1e-4).sqrt()
        return [round(value, 6) for value in mean.tolist()], [round(value, 6) for value in deviation.tolist()]

    def squares(self, pictures: LabelledSet, indices: Sequence[int]) -> Tensor:
        """Some pictures as they are scored, (n, 3, side, side) uint8."""
        return pictures.squares(indices, self.config.side)

    def take(self, draw: Draw, steps: int, batch: int, processes: Processes) -> tuple[Tensor, Tensor]:
        """The views of the pictures of a step, (V, B, 3, side, side) float32 in [0, 1], and their labels (B,).

        steps: of the training.  batch: pictures of a step, of which each process gets its share.
        Workers are asked for the batches of the next steps, too; after the last step they end.
        """
        if self.views is None:
            self.views = ViewsAhead(self.pictures, self._views(), workers=self.workers)
        if not (self.asked and self.asked[0][0] == draw):  # the first, and steps that are measured out of turn
            for _ in range(len(self.asked)):
                self.views.take()
            self.asked.clear()
        first = self.asked[-1][0].step + 1 if self.asked else draw.step
        last = max(draw.step, min(draw.step + AHEAD * self.workers, steps))
        for step in range(first, last + 1):
            one = draw.at(step)
            generator = replace(one, device="cpu").generator("views")
            indices = processes.share(self._indices(one, batch))
            seeds = processes.share(torch.randint(0, 2**62, (batch,), generator=generator))
            self.views.ask(indices, seeds)
            self.asked.append((one, indices))
        indices, views = self.asked.popleft()[1], self.views.take()
        if draw.step >= steps:
            self.views.close()
            self.views = None
            self.asked.clear()
        return views.to(self.device, non_blocking=True), self.labels[indices].to(self.device)

    def _indices(self, draw: Draw, batch: int) -> Tensor:
        """The numbers of the pictures of a step, (batch,)."""
        count, first = len(self.learned), (draw.step - 1) * batch
        passes = range(first // count, (first + batch - 1) // count + 1)
        row = torch.cat([self._order(draw, number) for number in passes])
        return row[first - passes[0] * count :][:batch]

    def _order(self, draw: Draw, number: int) -> Tensor:
        """The order of the pictures in a pass, from 0."""
        key = (draw.seed, draw.stage, number)
        if key not in self.orders:
            while len(self.orders) > 2:
                del self.orders[next(iter(self.orders))]
            generator = replace(draw.at(0), device="cpu").generator(f"pass {number}")
            self.orders[key] = torch.randperm(len(self.learned), generator=generator)
        return self.orders[key]

    @property
    def workers(self) -> int:
        """The processes that make views."""
        if self.config.workers is not None:
            return self.config.workers
        if self.device == "cpu":
            return int(self.config.slow_views)
        return max(1, min(MOST_WORKERS, (os.cpu_count() or 1) - 1)) if self.config.slow_views else 1

    def _views(self) -> Views:
        """The maker of views."""
        c = self.config
        mixing: AugMix | PixMix | None = AugMix(severity=c.severity) if c.augmix else None
        if c.pixmix:
            mixing = PixMix(severity=c.severity, beta=BETA.get(c.preset, 3.0))
        return Views(c.side, crop=c.crop, flip=c.flip, rotation=c.rotation, mixing=mixing, views=c.views)
