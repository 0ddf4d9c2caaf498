"""The training of the placer: where a content belongs, learnt from pictures that have it.

The painter takes the content off.  The frame of the content's mask is the truth; the placer sees the bare picture,
turned, moved and scaled at random together with the mask.  So it learns where on such a picture the content is to be
expected, and how such a picture is turned.  Differences between contents (a moustache lies lower than a beard) are not
to be seen in a bare picture: they cancel out between a donor's frame and a target's.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from structkit.data.batches import drawn, mirrored, signed
from structkit.engines.transfer.model import ContentTransfer
from structkit.nets.placer import frames, similarity, warped
from structkit.training.draw import Draw
from structkit.training.parallel import Processes
from structkit.training.schedule import falling
from structkit.training.state import pack, unpack

BATCH = 32
RATE, BETAS, DECAY = 1e-3, (0.9, 0.99), 0.5
TURN, SCALE, MOVE = 0.35, 0.2, 0.2  # at most: radians, part of the size, part of half the side
PLACE = 10.0  # weight of where, against how large and how turned
LEAST = 0.002  # part of a picture that a mask covers, at least


class PlacerTraining:
    """The placer of a model and its optimiser."""

    def __init__(self, net: ContentTransfer, with_: Tensor) -> None:
        """with_: pictures with the content, (N, 3, S, S) uint8."""
        self.net, self.with_ = net, with_
        self.adam = torch.optim.Adam(net.placer.parameters(), RATE, BETAS, fused=True)

    def step(self, draw: Draw, done: float, processes: Processes) -> dict[str, Tensor]:
        """Do one step; returns the losses.  done: the share of all steps."""
        self.adam.param_groups[0]["lr"] = RATE * falling(done, DECAY)
        pictures, wanted, counts = (
            processes.share(part) for part in self._turned(draw.generator("batch"), processes.evenly(BATCH))
        )
        self.net.placer.train()
        off = (self.net.placed(pictures) - wanted).square() * counts
        terms = {"place": PLACE * off[:, :2].mean(), "size": off[:, 2].mean(), "turn": off[:, 3:].mean()}
        processes.descend(self.adam, sum(terms.values()))
        return {name: value.detach() for name, value in terms.items()}

    @torch.no_grad()
    def _turned(self, generator: torch.Generator, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Bare pictures (B, 3, S, S), the frames of what they had (B, 5), and 1 for those that count (B, 1)."""
        net = self.net.eval()
        squares = signed(self.with_[drawn(count, len(self.with_), generator)])
        layer = net.painted(squares)
        both = mirrored(torch.cat([net.bare(squares, layer), layer.mask], 1), generator)
        scale, turn, *move = (torch.rand(4, count, generator=generator, device=generator.device) * 2 - 1).to(both)
        ways = similarity(1 + SCALE * scale, TURN * turn, both.new_zeros(count, 2), MOVE * torch.stack(move, 1))
        pictures, masks = warped(both[:, :3], ways, beyond="border"), warped(both[:, 3:], ways)
        return pictures, frames(masks), (masks.mean((2, 3)) > LEAST).float()

    def state(self) -> dict[str, Tensor]:
        return pack(adam=self.adam)

    def restore(self, state: Mapping[str, Tensor]) -> None:
        unpack(state, adam=self.adam)
