"""MBU's training step, written out as the paper and its code have it: slow, and obvious.

The oracle of `structkit.engines.transfer.training`, and what tests/benchmarks/bench_transfer_step.py measures it
against: each term encodes and decodes its pictures anew, one domain at a time, and the critic's pictures are encoded
once more.  Where the norm is over both domains, the other one's pictures go along and are thrown away.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from structkit.engines.transfer.model import ContentTransfer

LABELS = {
    "one-sided": (0.0, 0.0),
    "even": (0.5, 0.5),
    "flipped": (0.0, 1.0),
}  # what the critic is to say of with and without; 1 is with
CLIP = 5.0


class Plain:
    """The networks, and one batch of each domain: a with the content, b without."""

    def __init__(self, net: ContentTransfer, critic: nn.Module, a: Tensor, b: Tensor) -> None:
        self.net, self.critic, self.a, self.b = net, critic, a, b

    def through(self, network: Callable[[Tensor], Tensor], *batches: Tensor) -> Tensor:
        """The first of the batches, alone or with the others for company."""
        joint = self.net.config.norm == "joint"
        return network(torch.cat(batches))[: len(batches[0])] if joint else network(batches[0])

    def common(self, of: Tensor) -> Tensor:
        other = self.b if of is self.a else self.a
        return self.through(self.net.common_encoder, of, other)

    def separate(self, of: Tensor) -> Tensor:
        return self.net.separate_encoder(of)

    def zero(self) -> Tensor:
        return torch.zeros_like(self.separate(self.a))

    def plain(self, of: Tensor) -> Tensor:
        """D_A(E_c(x), 0)"""
        other = self.b if of is self.a else self.a
        codes = [torch.cat([self.common(x), self.zero()], 1) for x in (of, other)]
        return torch.tanh(self.through(self.net.plain_decoder, *codes))

    def masked(self, which: int) -> tuple[Tensor, Tensor]:
        """D_B: mask and image; 0: (E_c(a), E_s(a)), 1: (E_c(b), E_s(a)), 2: (E_c(b), 0)."""
        sides = [(self.a, self.separate(self.a)), (self.b, self.separate(self.a)), (self.b, self.zero())]
        codes = [torch.cat([self.common(of), separate], 1) for of, separate in sides]
        made = self.through(self.net.masked_decoder, codes[which], *codes[:which], *codes[which + 1 :])
        return torch.sigmoid(made[:, :1]), torch.tanh(made[:, 1:])

    def pasted(self, which: int, canvas: Tensor) -> Tensor:
        m, z = self.masked(which)
        return m * z + (1 - m) * canvas

    def judged(self, of: Tensor, label: float) -> Tensor:
        said = torch.sigmoid(self.critic(self.common(of)))
        return F.binary_cross_entropy(said, torch.full_like(said, label))

    def terms(self) -> dict[str, Tensor]:
        c, a, b = self.net.config, self.a, self.b
        y = self.pasted(1, b)
        first, second = LABELS[c.form]
        return {
            "rebuilt_with": c.rebuilt_with * F.l1_loss(self.pasted(0, self.plain(a)), a),
            "rebuilt_without": c.rebuilt_without * F.l1_loss(self.plain(b), b),
            "paste_with": c.paste_with * F.l1_loss(self.pasted(0, a), a),
            "paste_without": c.paste_without * F.l1_loss(self.pasted(2, b), b),
            "common_cycle": c.common_cycle * F.mse_loss(self.net.common_encoder(y), self.common(b)),
            "separate_cycle": c.separate_cycle * F.mse_loss(self.separate(y), self.separate(a)),
            "confusion": c.confusion * (self.judged(a, first) + self.judged(b, second)),
            "sparsity": c.sparsity * sum(self.masked(which)[0].mean() for which in range(3)),
        }

    def critic_term(self) -> Tensor:
        return self.judged(self.a, 1.0) + self.judged(self.b, 0.0)


def published_step(
    net: ContentTransfer,
    critic: nn.Module,
    a: Tensor,
    b: Tensor,
    adam: torch.optim.Optimizer,
    critic_adam: torch.optim.Optimizer,
) -> dict[str, Tensor]:
    """The step as the authors' code runs it, with the statistics of each domain for itself; returns the losses.

    Passes: common encoder 5, separate encoder 2, plain decoder 2, masked decoder 4.
    """
    c, zero = net.config, torch.zeros(len(a), net.config.separate, 2, 2).to(a)

    def plain(common: Tensor) -> Tensor:
        return torch.tanh(net.plain_decoder(torch.cat([common, zero], 1)))

    def pasted(common: Tensor, separate: Tensor, canvas: Tensor) -> Tensor:
        made = net.masked_decoder(torch.cat([common, separate], 1))
        m, z = torch.sigmoid(made[:, :1]), torch.tanh(made[:, 1:])
        return m * z + (1 - m) * canvas

    def judged(common: Tensor, label: float) -> Tensor:
        said = torch.sigmoid(critic(common))
        return F.binary_cross_entropy(said, torch.full_like(said, label))

    common_a, common_b, separate_a = net.common_encoder(a), net.common_encoder(b), net.separate_encoder(a)
    y = pasted(common_b, separate_a, b)
    first, second = LABELS[c.form]
    terms = {
        "rebuilt_with": c.rebuilt_with * F.l1_loss(pasted(common_a, separate_a, plain(common_a)), a),
        "rebuilt_without": c.rebuilt_without * F.l1_loss(plain(common_b), b),
        "paste_with": c.paste_with * F.l1_loss(pasted(common_a, separate_a, a), a),
        "paste_without": c.paste_without * F.l1_loss(pasted(common_b, zero, b), b),
        "common_cycle": c.common_cycle * F.mse_loss(net.common_encoder(y), common_b),
        "separate_cycle": c.separate_cycle * F.mse_loss(net.separate_encoder(y), separate_a),
        "confusion": c.confusion * (judged(common_a, first) + judged(common_b, second)),
    }
    adam.zero_grad()
    sum(terms.values()).backward()
    nn.utils.clip_grad_norm_(adam.param_groups[0]["params"], CLIP)
    adam.step()
    terms["critic"] = judged(net.common_encoder(a), 1.0) + judged(net.common_encoder(b), 0.0)
    critic_adam.zero_grad()
    terms["critic"].backward()
    critic_adam.step()
    return {name: value.detach() for name, value in terms.items()}
