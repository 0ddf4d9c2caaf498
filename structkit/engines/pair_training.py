"""How a pair's generators are trained: level after level, one critic step and one generator step at a time.

The mathematics is the authors'; a test holds that a step equals the paper's formulas written out, in values and gradients.  What is
saved is work: the frozen levels run once for CHUNK steps, in one batch and without a graph; both domains share each call (grouped
convolutions); what one network judges goes through it in one batch, which instance norm allows; one summed backward; the critic is
frozen while the generators learn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from structkit.configs import PairConfig
from structkit.data.levels import level_shapes, levels
from structkit.engines.pair import PairAnalogy, swapped
from structkit.errors import InputError
from structkit.kernels.penalty import gradient_penalty
from structkit.nets.patch import PatchNet
from structkit.training.draw import Draw
from structkit.training.stages import Stage, Training
from structkit.training.state import pack, unpack

CHUNK = 16  # steps whose inputs are made together
BETAS = (0.5, 0.999)

Critic = Callable[[Tensor], Tensor]  # (B, 6, H, W) -> (B, 2, h, w), scores of patches in each domain


@dataclass
class Inputs:
    """What one step of a level starts from, (B, 6, H, W) each but for `mix`."""

    state: Tensor  # what the unconditional chain hands over
    noised: Tensor  # the same with this level's noise
    start: Tensor  # what the reconstruction chain hands over
    mix: Tensor  # (2 B, 6, 1, 1) in [0, 1]: where between real and made the points of the gradient penalty lie


@dataclass
class Made:
    """What the generators of one level make in one step, (B, 6, H, W) each, not clamped."""

    own: Tensor  # from noise
    again: Tensor  # the reconstruction of the real pictures
    across: Tensor  # of the other domain's `own`
    back: Tensor  # of the other domain's `across`


def make(net: PairAnalogy, level: int, inputs: Inputs) -> Made:
    """Unconditional sample, reconstruction, analogy and its way back: three calls of the level's generators."""
    own, again = net.render(level, torch.cat([inputs.noised, inputs.start]), torch.cat([inputs.state, inputs.start])).chunk(2)
    across = net.render(level, swapped(own), swapped(own))
    return Made(own, again, across, net.render(level, swapped(across), swapped(across)))


def critic_losses(critic: Critic, real: Tensor, across: Tensor, own: Tensor, mix: Tensor, penalty: float) -> dict[str, Tensor]:
    """The critics of both domains (Wasserstein, with a gradient penalty):
    -2 E[D(real)] + E[D(across)] + E[D(own)] + penalty * (GP(real, across) + GP(real, own)).

    real (1, 6, H, W); across, own (B, 6, H, W), without gradient; mix (2 B, 6, 1, 1).
    """
    made = torch.cat([across, own])
    scores = critic(torch.cat([real, made])).mean((2, 3))
    points = mix * real + (1 - mix) * made
    return {
        "critic": -2 * scores[0].sum() + 2 * scores[1:].mean(0).sum(),
        "penalty": penalty * 2 * gradient_penalty(critic, points, domains=2).mean(0).sum(),
    }


def generator_losses(critic: Critic, made: Made, real: Tensor, c: PairConfig) -> dict[str, Tensor]:
    """The generators of both domains; nothing is detached:
    -E[D(across)] - E[D(own)], the target's times `target_weight`, + alpha MSE(again, real) + beta MSE(back, own).
    """
    scores = 2 * critic(torch.cat([made.across, made.own])).mean((0, 2, 3))
    # Both mean squares are sums over the domains of means over one domain: twice the mean over both.
    return {
        "adversarial": -scores[0] - c.target_weight * scores[1],
        "reconstruction": c.reconstruction * 2 * (made.again - real).square().mean(),
        "cycle": c.cycle * 2 * (made.back - made.own).square().mean(),
    }


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Without gradients of its weights, which would only be thrown away."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


class PairTraining(Training):
    """Both directions at once."""

    model_class = PairAnalogy

    def __init__(self, source: Tensor, target: Tensor, config: PairConfig, *, device: str = "cpu", dtype: torch.dtype = torch.float32):
        """source, target: (1, 3, H, W) in [-1, 1], any sizes.  dtype: of the networks' arithmetic, float32 or bfloat16.

        Raises InputError where the coarsest level is smaller than what the critic sees.
        """
        self.config, self.device, self.dtype = config.filled(), device, dtype
        c, (height, width) = self.config, source.shape[-2:]
        self.shapes = level_shapes(c.size, c.coarsest, width / height)
        field = 2 * c.layers + 1
        if min(self.shapes[0]) <= field:
            least = math.ceil((field + 1) * math.sqrt(max(width, height) / min(width, height)))
            raise InputError(
                f"the coarsest level is {self.shapes[0][1]} x {self.shapes[0][0]} px, and its critic needs more than {field} px a side: "
                f"use --coarsest {least} or more, or fewer --layers"
            )
        pyramids = (levels(picture.to(device), self.shapes) for picture in (source, target))
        self.reals = [torch.cat(both, 1) for both in zip(*pyramids, strict=True)]
        self.stages = [Stage(f"level {i}, {w} x {h} px", c.steps) for i, (h, w) in enumerate(self.shapes)]
        self.net = self._untrained(0)

    def begin(self, stage: int, draw: Draw) -> None:
        """New networks; those of the level below go on, where they are of the same width."""
        stack, below = self.net.stack(stage), (self.net.generators[-1], self.critic) if stage else None
        generator = draw.generator("networks")
        networks = PatchNet(stack, generator), PatchNet(replace(stack, outputs=1, padded=False), generator)
        if below and below[0].stack == stack:
            for network, previous in zip(networks, below, strict=True):
                network.load_state_dict(previous.state_dict())
        self.net.add_level(networks[0], self._amplitudes(stage, draw))
        self._enter(stage, networks[1])

    def restore(self, stage: int, state: Mapping[str, Tensor]) -> None:
        self.net = self._untrained(stage + 1)
        self._enter(stage, PatchNet(replace(self.net.stack(stage), outputs=1, padded=False)))
        unpack(state, net=self.net, critic=self.critic, generator_adam=self.generator_adam, critic_adam=self.critic_adam)

    def state(self) -> dict[str, Tensor]:
        return pack(net=self.net, critic=self.critic, generator_adam=self.generator_adam, critic_adam=self.critic_adam)

    def model(self) -> PairAnalogy:
        return self.net

    def preview(self, draw: Draw) -> Tensor:
        """The new picture of the source's domain, and its analogy beside it."""
        own, analogies = self.net.samples(1, draw.generator("preview"))
        return torch.cat([own[:, :3], analogies[:, 3:]], 3)

    def step(self, draw: Draw) -> dict[str, Tensor]:
        number = (draw.step - 1) % CHUNK
        if self.chunk[0] != draw.step - number:
            self.chunk = draw.step - number, self._inputs(draw.at(draw.step - number))
        return self.update(self.chunk[1][number])

    def update(self, inputs: Inputs) -> dict[str, Tensor]:
        """One step of the critics, then one of the generators, which see the critics' new weights."""
        c, level, critic, real = self.config, self.level, self.critic, self.reals[self.level]
        made = make(self.net, level, inputs)

        def judge(images: Tensor) -> Tensor:
            return critic(images.to(self.dtype)).to(images)

        terms = critic_losses(judge, real, made.across.detach(), made.own.detach(), inputs.mix, c.penalty)
        self._descend(self.critic_adam, sum(terms.values()))

        with frozen(critic):
            learned = generator_losses(judge, made, real, c)
            self._descend(self.generator_adam, sum(learned.values()))
        return {name: value.detach() for name, value in (terms | learned).items()}

    def _descend(self, adam: torch.optim.Optimizer, loss: Tensor) -> None:
        adam.zero_grad()
        loss.backward()
        self.processes.mean_gradients(adam.param_groups[0]["params"])
        adam.step()

    def _untrained(self, count: int) -> PairAnalogy:
        net = PairAnalogy(self.config, self.shapes, count).to(self.reals[0])
        net.pictures.copy_(self.reals[-1].mul(127.5).add(127.5).round())
        net.dtype = self.dtype
        return net

    def _enter(self, level: int, critic: PatchNet) -> None:
        self.level, self.chunk = level, (0, [])
        self.critic = critic.to(self.reals[0])
        self.net.requires_grad_(False)
        generator = self.net.generators[level].requires_grad_(True)
        rates = (self.config.generator_rate, self.config.critic_rate)
        self.generator_adam, self.critic_adam = (
            torch.optim.Adam(network.parameters(), rate, BETAS, fused=True)
            for network, rate in zip((generator, self.critic), rates, strict=True)
        )

    @torch.no_grad()
    def _amplitudes(self, level: int, draw: Draw) -> Tensor:
        """(2,): `noise` times what the reconstruction of one draw still misses, in each domain; `noise` itself at level 0."""
        if level == 0:
            return torch.full((2,), self.config.noise).to(self.reals[0])
        arrived = self.net.reconstruct(level, self._noise(draw.generator("amplitudes"), 1, 0))
        return self.config.noise * (arrived - self.reals[level]).square().unflatten(1, (2, 3)).mean((0, 2, 3, 4)).sqrt()

    @torch.no_grad()
    def _inputs(self, draw: Draw) -> list[Inputs]:
        """The inputs of CHUNK steps: the frozen levels, from fresh noise, for all of them in one batch."""
        level, generator = self.level, draw.generator("chunk")
        whole = CHUNK * self.config.batch * self.processes.size

        def noise(k: int) -> Tensor:
            return self._own(self._noise(generator, whole, k))

        start = self.net.reconstruct(level, noise(0))
        state = self.net.approach(level, noise, len(start))
        # Level 0 learns from noise of amplitude 1, as published; its first norm takes the scale away again.
        noised = self.net.noised(level, state, noise) if level else noise(0)
        mix = self._own(torch.rand(whole, 2, 2, 1, 1, generator=generator, device=generator.device)).to(start).repeat_interleave(3, 2)
        parts = zip(*(part.chunk(CHUNK) for part in (state, noised, start, mix)), strict=True)
        return [Inputs(y, x, w, m.transpose(0, 1).flatten(0, 1)) for y, x, w, m in parts]

    def _noise(self, generator: torch.Generator, count: int, level: int) -> Tensor:
        shape = (count, 6, *self.shapes[level])
        return torch.randn(shape, generator=generator, device=generator.device).to(self.reals[level])

    def _own(self, drawn: Tensor) -> Tensor:
        """This process's part of what was drawn for the steps of a chunk, (steps * all samples, ...) -> (steps * own samples, ...)."""
        return drawn.unflatten(0, (CHUNK, -1)).chunk(self.processes.size, 1)[self.processes.rank].flatten(0, 1)
