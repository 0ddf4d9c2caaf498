"""The pictures of a step: drawn from the source and from the target, scaled, cut, mirrored, and in other colours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from structkit.data.label_views import BLURRED, COLOURED, PLACED, blurred, coloured, placed
from structkit.data.segmentation import SegmentationPictures, TargetPictures
from structkit.engines.padain.adaptation import ClassBalance, labels_at, pictures_at
from structkit.training.draw import Draw
from structkit.training.parallel import Processes

JITTER = (0.5, 0.5, 0.5, 0.2)  # brightness, contrast, saturation, hue
SQUARE = 32  # px, of the squares that are hidden


@dataclass(frozen=True, eq=False)
class DomainViews:
    """The pictures of both domains, as a process of a training draws them.

    Pictures are (B, 3, h, w) in [0, 1], labels (B, h, w) uint8.
    balance: how pictures of the source are drawn by their classes; None: all alike.
    placed: whether pictures are scaled, cut and mirrored.
    """

    source: SegmentationPictures
    target: TargetPictures | None
    balance: ClassBalance | None
    placed: bool
    device: str
    processes: Processes

    def numbers(self, draw: Draw, name: str, batch: int, count: int) -> Tensor:
        """Numbers in [0, 1) that decide on this process's share of a batch, (B, count)."""
        generator = draw.generator(name)
        every = torch.rand(self.processes.evenly(batch), count, generator=generator, device=self.device)
        return self.processes.share(every)

    def of_source(self, draw: Draw, batch: int) -> tuple[Tensor, Tensor]:
        """Pictures of the source and their labels."""
        chosen = self.numbers(draw, "source", batch, 2 + PLACED)
        indices = [
            int(which * len(self.source)) if self.balance is None else self.balance.index(of_class, which)
            for of_class, which in chosen[:, :2].double().tolist()
        ]
        pictures = pictures_at(self.source, indices).to(self.device)
        labels = labels_at(self.source, indices).to(self.device)
        return placed(pictures, labels, chosen[:, 2:]) if self.placed else (pictures, labels)

    def of_target(self, draw: Draw, batch: int) -> Tensor:
        """Pictures of the target."""
        chosen = self.numbers(draw, "target", batch, 1 + PLACED)
        pictures = pictures_at(self.target, _indices(chosen, range(len(self.target)))).to(self.device)
        return placed(pictures, None, chosen[:, 1:])[0] if self.placed else pictures

    def of_labelled_target(
        self, draw: Draw, batch: int, among: Sequence[int], label: Callable[[int], Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Pictures of the target, always scaled, cut and mirrored, and the labels that `label` gives them by index."""
        chosen = self.numbers(draw, "target", batch, 1 + PLACED)
        indices = _indices(chosen, among)
        labels = torch.stack([label(index) for index in indices]).to(self.device)
        return placed(pictures_at(self.target, indices).to(self.device), labels, chosen[:, 1:])

    def in_colours(self, pictures: Tensor, draw: Draw, name: str, *, blur: bool = False) -> Tensor:
        """Pictures in other colours, and if `blur` half of them blurred."""
        numbers = self.numbers(draw, name, len(pictures) * self.processes.size, COLOURED + BLURRED)
        found = coloured(pictures, numbers[:, :COLOURED], JITTER)
        return blurred(found, numbers[:, COLOURED:]) if blur else found

    def squares(self, draw: Draw, batch: int, shape: tuple[int, int]) -> Tensor:
        """Numbers in [0, 1) that decide which squares of pictures of a shape are hidden, (B, rows, columns)."""
        rows, columns = (-(-side // SQUARE) for side in shape)
        return self.numbers(draw, "squares", batch, rows * columns).unflatten(1, (rows, columns))


def signed(pictures: Tensor) -> Tensor:
    """Pictures in [-1, 1] of those in [0, 1]."""
    return 2 * pictures - 1


def _indices(chosen: Tensor, among: Sequence[int]) -> list[int]:
    return [among[int(which * len(among))] for which in chosen[:, 0].double().tolist()]
