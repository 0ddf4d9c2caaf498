"""How the painter learns: from pictures that it cuts and pastes itself.

What a mask covers of a picture with the content is pasted onto a picture without it.  Before and after are exact truth, for a mask and for
what lies beneath it (copy and paste as in Ghiasi et al., CVPR 2021).  The first masks are those of the masked decoder.  Where they cover
too much by mistake, the painter sees seams; a picture that really has the content has none, so there it does not find these places again,
and thin parts that the first masks missed it finds, since most are like others that they had.  So it labels the pictures anew, and learns
from its own labels in the next round (a student that becomes the teacher, Xie et al., CVPR 2020).
Expect: avatars with glasses: IoU 0.37 of the first masks.  TODO
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from structkit.data.batches import drawn, mirrored, shifted, signed
from structkit.engines.transfer import ContentTransfer
from structkit.kernels.composite import composite
from structkit.training.draw import Draw
from structkit.training.parallel import Processes
from structkit.training.schedule import falling
from structkit.training.state import pack, unpack

BATCH = 24
RATE, BETAS = 1e-3, (0.9, 0.99)
WARM, DECAY = 0.03, 0.4  # shares of all rounds: the first, over which the rate rises, and the last, over which it falls
THRESHOLD = 0.3  # of the masks that are cut along: low, since it is easier to lose a thin part than to keep what is wrong
SHIFT = 4  # px, at most, that what is pasted has moved
BARE = 0.15  # share of the pictures onto which nothing is pasted
COLOURS = 8.0  # weight of the colours beneath the mask, against that of the mask
MARGIN, ELSEWHERE = 3, 0.02  # px around the mask where colours count as well; what they count elsewhere
LABELLED = 50  # pictures at a time


class Painting:
    """The painter of a model, its optimiser, and the masks that it learns from."""

    def __init__(self, net: ContentTransfer, with_: Tensor, without: Tensor) -> None:
        """with_ and without (N, 3, S, S) uint8."""
        self.net, self.with_, self.without = net, with_, without
        self.adam = torch.optim.Adam(net.painter.parameters(), RATE, BETAS, fused=True)
        self.labels = torch.zeros_like(with_[:, :1], dtype=torch.bool)

    def step(self, draw: Draw, done: float, processes: Processes) -> dict[str, Tensor]:
        """A stage is a round.  done: the share of all rounds."""
        if draw.step == 1:
            self._label(first=draw.stage == 1)
        self.adam.param_groups[0]["lr"] = RATE * min(1.0, (done + 1e-3) / WARM) * falling(done, DECAY)
        generator = draw.generator("batch")
        pasted, labels, beneath = (processes.share(part) for part in self._cut_and_pasted(generator))
        self.net.eval()
        self.net.painter.train()
        terms = self.losses(pasted, labels, beneath)
        self.adam.zero_grad()
        sum(terms.values()).backward()
        processes.mean_gradients(self.adam.param_groups[0]["params"])
        self.adam.step()
        return {name: value.detach() for name, value in terms.items()}

    @torch.no_grad()
    def _label(self, *, first: bool) -> None:
        """Find the masks that a round learns from: the first from the masked decoder, the others from the painter."""
        net = self.net.eval()
        for i, part in enumerate(self.with_.split(LABELLED)):
            squares = signed(part)
            if first:
                small = net.masked(net.common(squares), net.separate(squares)).mask
                mask = F.interpolate(small, squares.shape[-2:], mode="bilinear")
            else:
                mask = net.painted(squares).mask
            self.labels[i * LABELLED : (i + 1) * LABELLED] = mask > THRESHOLD

    def losses(self, pasted: Tensor, labels: Tensor, beneath: Tensor) -> dict[str, Tensor]:
        """What was pasted is to be found, and what is beneath it to be painted, a little way around it, too.

        pasted, beneath (B, 3, S, S); labels (B, 1, S, S), 0 or 1.
        """
        layer = self.net.painted(pasted)
        around = F.max_pool2d(labels, 2 * MARGIN + 1, 1, MARGIN)
        wrong = ((layer.colours - beneath).square() * (around + ELSEWHERE)).mean()
        return {"mask": F.binary_cross_entropy(layer.mask, labels), "beneath": COLOURS * wrong}

    def _cut_and_pasted(self, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Pictures without the content onto which that of others is pasted, (B, 3, S, S); where; and without it again."""
        chosen = drawn(BATCH, len(self.with_), generator)
        both = torch.cat([signed(self.with_[chosen]), self.labels[chosen].float()], 1)
        moved = shifted(mirrored(both, generator), SHIFT, generator)
        something = torch.rand(BATCH, 1, 1, 1, generator=generator, device=generator.device) >= BARE
        labels = moved[:, 3:] * something.to(moved)
        beneath = mirrored(signed(self.without[drawn(BATCH, len(self.without), generator)]), generator)
        return composite(beneath, moved[:, :3], labels), labels, beneath

    def state(self) -> dict[str, Tensor]:
        return pack(adam=self.adam) | {"labels": self.labels}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        unpack(state, adam=self.adam)
        self.labels.copy_(state["labels"])
