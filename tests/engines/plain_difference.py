"""DID's training step, written out as the paper and its code have it: slow, and obvious.

The oracle of `structkit.engines.difference_training`: each term encodes its picture anew, one domain at a time, and the critic's pictures
are encoded once more.  Where the norm is over both domains, the other one's pictures go along and are thrown away.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from structkit.engines.difference import DomainDifference

LABELS = {"one-sided": (0.0, 0.0), "even": (0.5, 0.5), "flipped": (0.0, 1.0)}  # what the critic is to say of a and of b; 1 is a
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


def step(
    net: DomainDifference, critic: nn.Module, squares: Tensor, adam: torch.optim.Optimizer, critic_adam: torch.optim.Optimizer
) -> None:
    """One step as the authors train: the networks, then the critic of what the networks have become."""
    adam.zero_grad()
    sum(own_terms(net, critic, squares).values()).backward()
    nn.utils.clip_grad_norm_(net.parameters(), CLIP)
    adam.step()
    critic_adam.zero_grad()
    critic_term(net, critic, squares).backward()
    critic_adam.step()
