"""DID's training step, written out as the paper and its code have it: slow, and obvious.

The oracle of `structkit.engines.difference.training`, and what tests/benchmarks/bench_difference_step.py measures it
against: each term encodes its picture anew, one domain at a time, and the critic's pictures are encoded once more.
Where the norm is over both domains, the other one's pictures go along and are thrown away.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from structkit.engines.difference.model import DomainDifference

LABELS = {
    "one-sided": (0.0, 0.0),
    "even": (0.5, 0.5),
    "flipped": (0.0, 1.0),
}  # what the critic is to say of a and of b; 1 is a
CLIP = 5.0


class Domain:
    """One of the two: its pictures, its separate encoder, and where its code stands in what is decoded."""

    def __init__(self, net: DomainDifference, own: Tensor, other: Tensor, separate: nn.Module, slot: int) -> None:
        self.net, self.own, self.other, self.separate, self.slot = net, own, other, separate, slot

    def through(self, network: nn.Module, own: Tensor, other: Tensor) -> Tensor:
        if self.net.config.norm == "instance":
            return network(own)
        return network(torch.cat([own, other]))[: len(own)]

    def common(self) -> Tensor:
        return self.through(self.net.common_encoder, self.own, self.other)

    def slots(self, common: Tensor, separate: Tensor) -> Tensor:
        zero = torch.zeros_like(separate)
        return torch.cat([common, separate, zero] if self.slot == 0 else [common, zero, separate], 1)

    def reconstruction(self, abroad: Domain) -> Tensor:
        """|G(E_c(x), E_own(x), 0) - x|"""
        codes = self.slots(self.common(), self.through(self.separate, self.own, self.other))
        beside = abroad.slots(abroad.common(), abroad.through(abroad.separate, abroad.own, abroad.other))
        return F.l1_loss(torch.tanh(self.through(self.net.decoder, codes, beside)), self.own)

    def zero(self, abroad: Domain) -> Tensor:
        """|E_other(x)|"""
        return self.through(abroad.separate, self.own, self.other).abs().mean()

    def judged(self, critic: nn.Module, label: float) -> Tensor:
        said = torch.sigmoid(critic(self.common()))
        return F.binary_cross_entropy(said, torch.full_like(said, label))


def domains(net: DomainDifference, squares: Tensor) -> tuple[Domain, Domain]:
    a, b = squares.chunk(2)
    return Domain(net, a, b, net.a_encoder, 0), Domain(net, b, a, net.b_encoder, 1)


def own_terms(net: DomainDifference, critic: nn.Module, squares: Tensor) -> dict[str, Tensor]:
    a, b = domains(net, squares)
    c = net.config
    first, second = LABELS[c.form]
    return {
        "reconstruction": a.reconstruction(b) + b.reconstruction(a),
        "zero": c.zero * (a.zero(b) + b.zero(a)),
        "confusion": c.confusion * (a.judged(critic, first) + b.judged(critic, second)),
    }


def linear_term(net: DomainDifference, squares: Tensor, ridge: float) -> Tensor:
    """Ours: the gap between the domains along the best linear critic of this batch."""
    a, b = (domain.common().flatten(1) for domain in domains(net, squares))
    spread = ((len(a) - 1) * torch.cov(a.T) + (len(b) - 1) * torch.cov(b.T)) / (len(a) + len(b) - 2)
    gap = a.mean(0) - b.mean(0)
    direction = torch.linalg.inv(spread + ridge * spread.diagonal().mean() * torch.eye(len(gap), dtype=gap.dtype)) @ gap
    return net.config.linear * gap @ direction.detach()


def critic_term(net: DomainDifference, critic: nn.Module, squares: Tensor) -> Tensor:
    a, b = domains(net, squares)
    return a.judged(critic, 1.0) + b.judged(critic, 0.0)


def published_step(
    net: DomainDifference,
    critic: nn.Module,
    a: Tensor,
    b: Tensor,
    adam: torch.optim.Optimizer,
    critic_adam: torch.optim.Optimizer,
) -> dict[str, Tensor]:
    """The step as the authors' code runs it, one domain at a time; returns the losses.

    Passes: common encoder 4, each separate encoder 2, decoder 2.
    """
    c = net.config

    def painted(common: Tensor, of_a: Tensor, of_b: Tensor) -> Tensor:
        return torch.tanh(net.decoder(torch.cat([common, of_a, of_b], 1)))

    def judged(common: Tensor, label: float) -> Tensor:
        said = torch.sigmoid(critic(common))
        return F.binary_cross_entropy(said, torch.full_like(said, label))

    common_a, common_b = net.common_encoder(a), net.common_encoder(b)
    own_a, own_b = net.a_encoder(a), net.b_encoder(b)
    zero = torch.zeros_like(own_a)
    first, second = LABELS[c.form]
    terms = {
        "reconstruction": F.l1_loss(painted(common_a, own_a, zero), a) + F.l1_loss(painted(common_b, zero, own_b), b),
        "zero": c.zero * (net.b_encoder(a).abs().mean() + net.a_encoder(b).abs().mean()),
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
