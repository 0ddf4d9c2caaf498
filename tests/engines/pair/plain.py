"""Structural analogy's training step, written out as the paper and its code have it: slow, and obvious.

The oracle of `structkit.engines.pair.training`, and what tests/benchmarks/bench_pair_step.py measures it against: every
chain of frozen levels is run anew at every step, with its graph; each image goes through each network alone; six
backward passes add up.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from structkit.configs import PairConfig
from structkit.data.levels import rise
from structkit.nets.patch import PatchNet


def network(width: int, outputs: int, padding: int, layers: int) -> nn.Sequential:
    """Convolution, BatchNorm and LeakyReLU 0.2, and a last convolution.  Always in training mode, at batch size 1."""
    widths, parts = [3, *[width] * (layers - 1)], []
    for before, after in itertools.pairwise(widths):
        parts += [nn.Conv2d(before, after, 3, padding=padding), nn.BatchNorm2d(after), nn.LeakyReLU(0.2)]
    return nn.Sequential(*parts, nn.Conv2d(width, outputs, 3, padding=padding))


def of_domain(net: PatchNet, domain: int) -> nn.Sequential:
    """One domain of a grouped network, as a network of its own."""
    stack = net.stack
    plain = network(stack.width, stack.outputs, int(stack.padded), stack.layers).to(net.bias)
    with torch.no_grad():
        for i, convolution in enumerate(m for m in plain if isinstance(m, nn.Conv2d)):
            convolution.weight.copy_(net.weights[i].chunk(stack.domains)[domain])
        for i, norm in enumerate(m for m in plain if isinstance(m, nn.BatchNorm2d)):
            norm.weight.copy_(net.gains[i].chunk(stack.domains)[domain])
            norm.bias.copy_(net.shifts[i].chunk(stack.domains)[domain])
        plain[-1].bias.copy_(net.bias.chunk(stack.domains)[domain])
    return plain


@dataclass
class Domain:
    """Its frozen generators and their noise, its networks of this level, and its real picture (1, 3, H, W)."""

    frozen: list[nn.Module]
    amplitudes: list[float]
    generator: nn.Module
    critic: nn.Module
    real: Tensor
    shapes: list[tuple[int, int]]
    residual: list[bool] = field(default_factory=list)

    def paint(self, level: int, x: Tensor, skip: Tensor) -> Tensor:
        made = torch.tanh((self.frozen[level] if level < len(self.frozen) else self.generator)(x))
        return made + skip if self.residual[level] else made

    def sample(self, noise: list[Tensor]) -> Tensor:
        """Section 4.1: the unconditional chain; noise of every level up to this one."""
        state = torch.zeros_like(noise[0])
        for k in range(len(self.frozen)):
            state = rise(self.paint(k, self.amplitudes[k] * noise[k] + state, state), self.shapes[k + 1]).detach()
        amplitude = self.amplitudes[-1] if self.frozen else 1.0
        return self.paint(len(self.frozen), amplitude * noise[-1] + state, state)

    def abroad(self, other: Tensor, noise: Tensor) -> Tensor:
        """Section 6: the translation of the other domain's real picture, with this level's noise."""
        noised = other + self.amplitudes[-1] * noise
        return self.paint(len(self.frozen), noised, noised)

    def reconstruction(self, start: Tensor) -> Tensor:
        """Section 4.2, from noise at level 0."""
        state = start
        for k in range(len(self.frozen)):
            state = rise(self.paint(k, state, state), self.shapes[k + 1]).detach()
        return self.paint(len(self.frozen), state, state)


def penalty(critic: nn.Module, real: Tensor, made: Tensor, t: float) -> Tensor:
    point = (t * real + (1 - t) * made.detach()).requires_grad_()
    [slope] = torch.autograd.grad(critic(point).sum(), point, create_graph=True)
    return ((slope.norm(2, dim=1) - 1) ** 2).mean()


def step(a: Domain, b: Domain, draws: list[dict], c: PairConfig, optimisers: tuple | None = None) -> dict[str, Tensor]:
    """One step.  draws: for each domain its `noise`, `start` and `mix` (for across, for own).

    optimisers: (critics', generators'), stepped in between; without them only gradients are made.  Returns losses as
    the engine names them.
    """
    level = len(a.frozen)
    own = [d.sample(draw["noise"]) for d, draw in zip((a, b), draws, strict=True)]
    again = [d.reconstruction(draw["start"]) for d, draw in zip((a, b), draws, strict=True)]
    across = [a.paint(level, own[1], own[1]), b.paint(level, own[0], own[0])]
    back = [a.paint(level, across[1], across[1]), b.paint(level, across[0], across[0])]
    judged, weights = [across, own], [1.0, 1.0]
    if c.abroad:
        judged.append(
            [d.abroad(other.real, draw["abroad"]) for d, other, draw in zip((a, b), (b, a), draws, strict=True)]
        )
        weights.append(c.abroad)

    critic_loss = penalties = 0.0
    for i, d in enumerate((a, b)):
        critic_loss += -sum(weights) * d.critic(d.real).mean()
        for made, w, t in zip(judged, weights, draws[i]["mix"], strict=True):
            critic_loss += w * d.critic(made[i].detach()).mean()
            penalties += c.penalty * w * penalty(d.critic, d.real, made[i], t)
    (critic_loss + penalties).backward()
    if optimisers:
        optimisers[0].step()
        optimisers[0].zero_grad()

    terms = {
        "adversarial": [
            -v * w * d.critic(made[i]).mean()
            for i, (d, v) in enumerate(((a, 1.0), (b, c.target_weight)))
            for made, w in zip(judged, weights, strict=True)
        ],
        "reconstruction": [c.reconstruction * (again[i] - d.real).square().mean() for i, d in enumerate((a, b))],
        "cycle": [c.cycle * (back[i] - own[i]).square().mean() for i in range(2)],
    }
    everything = [loss for losses in terms.values() for loss in losses]
    for loss in everything:
        loss.backward(retain_graph=loss is not everything[-1])
    if optimisers:
        optimisers[1].step()
        for optimiser in optimisers:
            optimiser.zero_grad()
    losses = {name: sum(loss.detach() for loss in losses) for name, losses in terms.items()}
    return {"critic": critic_loss.detach(), "penalty": penalties.detach(), **losses}
