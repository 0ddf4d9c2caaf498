"""The batches of a classifier's training: which pictures a step sees, and how it sees them."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from structkit.configs.labels import ClassifierConfig
from structkit.data.quick_views import DRAWN, quick_views
from structkit.training.draw import Draw
from structkit.training.parallel import Processes

AHEAD = 2  # batches that each worker is asked for ahead
MOST_ON_DEVICE = 4 * 10**9  # bytes of pictures that a GPU holds
SAMPLED = 2000  # pictures whose mean and deviation are taken, where they are not all in memory


class LabelledSet(Protocol):
    """Pictures and the class of each, as `structkit.data.labelled.LabelledPictures` has them."""

    classes: list[str]
    labels: Tensor

    def __len__(self) -> int: ...

    def pixels(self, i: int) -> np.ndarray: ...

    def squares(self, indices: Sequence[int], side: int) -> Tensor: ...

    def array(self, side: int) -> Tensor: ...


class PictureFeed:
    """The pictures that are learned from, batch by batch.

    Batches are cut from one row of passes over all pictures, each in an order of its own: every picture is seen as
    often as any other, and every batch is full.  The `Draw` of a step decides on all of it.
    """

    def __init__(self, learned: LabelledSet, config: ClassifierConfig, device: str) -> None:
        self.learned, self.config, self.device = learned, config, device
        self.labels = torch.as_tensor(learned.labels).long()
        self.orders: dict[tuple[int, int, int], Tensor] = {}
        self.quick = not config.slow_views
        self.asked: deque[tuple[Draw, Tensor]] = deque()  # what the workers were asked for, in turn
        self.views: Any = None  # made when first needed
        if self.quick:
            pictures = learned.array(config.side)
            self.pictures = pictures.to(device) if pictures.nbytes <= MOST_ON_DEVICE else pictures

    def statistics(self) -> tuple[list[float], list[float]]:
        """Mean and deviation of each channel of the pictures in [0, 1]."""
        if self.quick:
            parts = self.pictures.split(1000)
        else:
            order = torch.randperm(len(self.learned), generator=torch.Generator().manual_seed(0))[:SAMPLED].tolist()
            parts = [self.squares(self.learned, order[i : i + 100]) for i in range(0, len(order), 100)]
        sums = sum(
            torch.stack([(p := part.double() / 255).sum((0, 2, 3)), p.square().sum((0, 2, 3))]) for part in parts
        )
        mean, square = (sums / sum(part[:, 0].numel() for part in parts)).cpu()
        deviation = (square - mean.square()).clamp(min=1e-4).sqrt()
        return [[round(value, 6) for value in values.tolist()] for values in (mean, deviation)]  # type: ignore[return-value]

    def squares(self, pictures: LabelledSet, indices: Sequence[int]) -> Tensor:
        """Some pictures as they are scored, (n, 3, side, side) uint8."""
        return pictures.squares(indices, self.config.side)

    def take(self, draw: Draw, steps: int, batch: int, processes: Processes) -> tuple[Tensor, Tensor]:
        """The views of the pictures of a step, (V, B, 3, side, side) float32 in [0, 1], and their labels (B,).

        steps: of the training.  batch: pictures of a step, of which each process gets its share.
        """
        if self.quick:
            indices = processes.share(self._indices(draw, batch))
            drawn = processes.share(torch.rand(batch, DRAWN, generator=draw.generator("views"), device=self.device))
            pictures = self.pictures[indices.to(self.pictures.device)].to(self.device)
            c = self.config
            padding = c.padding if c.crop == "pad" else 0
            views = quick_views(pictures, drawn, padding=padding, flip=c.flip, rotation=c.rotation)[None]
        else:
            views, indices = self._taken(draw, steps, batch, processes)
        return views.to(self.device, non_blocking=True), self.labels[indices].to(self.device)

    def _taken(self, draw: Draw, steps: int, batch: int, processes: Processes) -> tuple[Tensor, Tensor]:
        """The views that the workers make, which are asked for the batches of the next steps too."""
        if self.views is None:
            self.views = self._made_ahead()
        if not (self.asked and self.asked[0][0] == draw):  # the first, and steps that are measured out of turn
            for _ in range(len(self.asked)):
                self.views.take()
            self.asked.clear()
        ahead = AHEAD * max(1, self.workers) if self.workers else 0
        first = self.asked[-1][0].step + 1 if self.asked else draw.step
        for step in range(first, min(draw.step + ahead, steps) + 1):
            one = draw.at(step)
            indices = processes.share(self._indices(one, batch))
            generator = replace(one, device="cpu").generator("views")
            seeds = processes.share(torch.randint(0, 2**62, (batch,), generator=generator))
            self.views.ask(indices.tolist(), seeds.tolist())
            self.asked.append((one, indices))
        return self.views.take(), self.asked.popleft()[1]

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
        return (1 if self.config.slow_views else 0) if self.config.workers is None else self.config.workers

    def _made_ahead(self) -> Any:
        """The workers, at work."""
        from structkit.data.augmix import AugMix
        from structkit.data.pixmix import PixMix
        from structkit.data.views import Views, ViewsAhead

        c = self.config
        mixing = AugMix(severity=c.severity) if c.augmix else PixMix() if c.pixmix else None
        views = Views(c.side, crop=c.crop, flip=c.flip, rotation=c.rotation, mixing=mixing, views=c.views)
        return ViewsAhead(self.learned, views, workers=self.workers)
