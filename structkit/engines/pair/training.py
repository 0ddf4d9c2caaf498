"""The training of a pair's generators: level after level, one critic step and one generator step at a time.

The mathematics is the authors'; a test holds that a step equals the paper's formulas written out, in values and
gradients.  Work is saved in these places:
* The frozen levels run once for CHUNK steps, in one batch and without a graph.
* Both domains share each call (grouped convolutions).
* All inputs that one network judges go through it in one batch, which instance norm allows.
* The losses are summed for one backward pass; the critic is frozen while the generators learn.

In bfloat16 the critics and their penalty are bfloat16 too, where SinGAN's descendants keep float32.  On a trained pair
(eggs and bowls, five of its levels) each loss was within 2 % of float32's, and the cosine between the gradients at
least 0.994 for the generators and 0.96 for the critics.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from structkit.configs import PairConfig
from structkit.data.levels import level_shapes, levels
from structkit.engines.pair.model import PairAnalogy, swapped
from structkit.errors import InputError
from structkit.kernels.penalty import gradient_penalty
from structkit.nets.patch import PatchNet
from structkit.training.draw import Draw
from structkit.training.frozen import frozen
from structkit.training.graph import GraphedStep
from structkit.training.stages import Stage, Training
from structkit.training.state import pack, unpack

CHUNK = 16  # steps whose inputs are made together
BETAS = (0.5, 0.999)

Critic = Callable[[Tensor], Tensor]  # (B, 6, H, W) -> (B, 2, h, w), scores of patches in each domain


class PairBatch(NamedTuple):
    """The inputs of one step of a level, (B, 6, H, W) each but for `mix`."""

    real: Tensor  # (1, 6, H, W) where there is only one
    state: Tensor  # the state that the unconditional chain hands over
    noised: Tensor  # that state with this level's noise
    start: Tensor  # the state that the reconstruction chain hands over
    abroad: Tensor  # the other domain's real pictures with this level's noise; B is 0 where they are not judged
    # (K B, 6, 1, 1) in [0, 1]: where between real and made the points of the gradient penalty lie, for K things made
    mix: Tensor


class PairPass(NamedTuple):
    """The pictures that the generators of one level make in one step, (B, 6, H, W) each, not clamped."""

    own: Tensor  # from noise
    again: Tensor  # the reconstruction of the real pictures
    across: Tensor  # the translation of the other domain's `own`
    back: Tensor  # the translation of the other domain's `across`
    abroad: Tensor  # the translation of the other domain's real pictures

    def judged(self) -> Tensor:
        """The pictures that the critics see, (K B, 6, H, W): across, own, abroad."""
        return torch.cat([self.across, self.own, self.abroad])


def make(net: PairAnalogy, level: int, inputs: PairBatch) -> PairPass:
    """The pictures of a step, in three calls of the level's generators."""
    images, skips = (torch.cat([first, inputs.start, inputs.abroad]) for first in (inputs.noised, inputs.state))
    own, again, abroad = net.render(level, images, skips).split(
        [len(inputs.state), len(inputs.start), len(inputs.abroad)]
    )
    across = net.render(level, swapped(own), swapped(own))
    back = net.render(level, swapped(across), swapped(across))
    return PairPass(own, again, across, back, abroad)


def critic_losses(
    critic: Critic, real: Tensor, judged: Tensor, weights: Tensor, mix: Tensor, penalty: float
) -> dict[str, Tensor]:
    """The losses of the critics of both domains (Wasserstein with a gradient penalty).

    Over K things made, the sum of their weights times E[D(made)] - E[D(real)] + penalty * GP(real, made).
    real: (1 or B, 6, H, W).
    judged: (K B, 6, H, W), without gradient.
    weights: (K,), 1 for across and for own.
    mix: (K B, 6, 1, 1).
    """
    count = len(weights)
    scores = critic(torch.cat([real, judged])).mean((2, 3)).sum(1)
    made = scores[len(real) :].unflatten(0, (count, -1)).mean(1)
    points = mix * real.repeat(len(judged) // len(real), 1, 1, 1) + (1 - mix) * judged
    slopes = gradient_penalty(critic, points, domains=2).sum(1).unflatten(0, (count, -1)).mean(1)
    return {
        "critic": (weights * (made - scores[: len(real)].mean())).sum(),
        "penalty": penalty * (weights * slopes).sum(),
    }


def generator_losses(critic: Critic, made: PairPass, real: Tensor, weights: Tensor, c: PairConfig) -> dict[str, Tensor]:
    """The losses of the generators of both domains; nothing is detached.

    -E[D(made)] times the weights, the target's times `target_weight`, + alpha MSE(again, real) + beta MSE(back, own).
    """
    source, target = weights @ critic(made.judged()).mean((2, 3)).unflatten(0, (len(weights), -1)).mean(1)
    # Both mean squares are sums over the domains of means over one domain: twice the mean over both.
    return {
        "adversarial": -(source + c.target_weight * target),
        "reconstruction": c.reconstruction * 2 * (made.again - real).square().mean(),
        "cycle": c.cycle * 2 * (made.back - made.own).square().mean(),
    }


class PairTraining(Training):
    """The training of a pair, in both directions at once."""

    model_class = PairAnalogy

    def __init__(
        self,
        source: Tensor,
        target: Tensor,
        config: PairConfig,
        *,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
    ):
        """source: (T, 3, H, W) in [-1, 1], any size; T > 1: the frames of a video.
        target: (1, 3, H, W) in [-1, 1], any size.
        dtype: of the networks' arithmetic, float32 or bfloat16.
        Raises InputError where the coarsest level is smaller than what the critic sees.
        """
        self.config, self.device, self.dtype = config.filled(), device, dtype
        c, (height, width) = self.config, source.shape[-2:]
        self.shapes = level_shapes(c.size, c.coarsest, width / height)
        field = 2 * c.layers + 1
        if min(self.shapes[0]) <= field:
            least = math.ceil((field + 1) * math.sqrt(max(width, height) / min(width, height)))
            way_out = (
                f"use --coarsest {least} or more, or fewer --layers"
                if least <= c.size
                else "crop the source, or use fewer --layers"
            )
            raise InputError(
                f"the coarsest level is {self.shapes[0][1]} x {self.shapes[0][0]} px, and its critic needs more than "
                f"{field} px a side: "
                f"{way_out}"
            )
        self.given = source.to(device), target.to(device)
        self.weights = torch.tensor([1.0, 1.0] + ([c.abroad] if c.abroad else [])).to(self.given[0])
        tapered = [
            max(1, round(c.steps * c.taper ** (i / max(1, len(self.shapes) - 1)))) for i in range(len(self.shapes))
        ]
        self.stages = [
            Stage(f"level {i}, {w} x {h} px", n) for i, ((h, w), n) in enumerate(zip(self.shapes, tapered, strict=True))
        ]
        self.net = self._untrained(0)

    def begin(self, stage: int, draw: Draw) -> None:
        """Make new networks; those of the level below go on, where they are of the same width."""
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
        unpack(
            state, net=self.net, critic=self.critic, generator_adam=self.generator_adam, critic_adam=self.critic_adam
        )

    def state(self) -> dict[str, Tensor]:
        return pack(net=self.net, critic=self.critic, generator_adam=self.generator_adam, critic_adam=self.critic_adam)

    def model(self) -> PairAnalogy:
        return self.net

    def preview(self, draw: Draw) -> Tensor:
        """A new picture of each domain, one below the other, with its analogy in the other domain beside it."""
        own, analogies = self.net.analogy(1, draw.generator("preview"))
        return torch.cat(
            [torch.cat(row, 3) for row in zip(own.chunk(2, 1), swapped(analogies).chunk(2, 1), strict=True)], 2
        )

    def step(self, draw: Draw) -> dict[str, Tensor]:
        number = (draw.step - 1) % CHUNK
        if self.chunk[0] != draw.step - number:
            self.chunk = draw.step - number, self._inputs(draw.at(draw.step - number))
        inputs = self.chunk[1][number]
        if not self._recorded:
            return self.update(inputs)
        if self.graphed is None:
            self.graphed = GraphedStep(
                lambda tensors: self.update(PairBatch(*tensors)), inputs, (self.generator_adam, self.critic_adam)
            )
        return self.graphed(inputs)

    def update(self, inputs: PairBatch) -> dict[str, Tensor]:
        """Do one step of the critics, then one of the generators, which see the critics' new weights."""
        c, critic, real = self.config, self.critic, inputs.real
        made = make(self.net, self.level, inputs)

        def judge(images: Tensor) -> Tensor:
            return critic(images.to(self.dtype)).to(images)

        terms = critic_losses(judge, real, made.judged().detach(), self.weights, inputs.mix, c.penalty)
        self.processes.descend(self.critic_adam, sum(terms.values()))

        with frozen(critic):
            learned = generator_losses(judge, made, real, self.weights, c)
            self.processes.descend(self.generator_adam, sum(learned.values()))
        return {name: value.detach() for name, value in (terms | learned).items()}

    @property
    def _recorded(self) -> bool:
        """True if steps are CUDA graphs; those of several processes, which wait for each other, are not."""
        return self.given[0].is_cuda and self.processes.size == 1

    def _untrained(self, count: int) -> PairAnalogy:
        net = PairAnalogy(self.config, self.shapes, count).to(self.given[0])
        net.pictures.copy_(self._real(len(self.shapes) - 1).mul(127.5).add(127.5).round())
        net.dtype = self.dtype
        return net

    def _enter(self, level: int, critic: PatchNet) -> None:
        self.level, self.chunk, self.graphed = level, (0, []), None
        self.critic = critic.to(self.given[0])
        # The frames and the target.
        self.real = tuple(levels(pictures, self.shapes[level : level + 1])[0] for pictures in self.given)
        self.net.requires_grad_(False)
        generator = self.net.generators[level].requires_grad_(True)
        rates = (self.config.generator_rate, self.config.critic_rate)
        self.generator_adam, self.critic_adam = (
            torch.optim.Adam(network.parameters(), rate, BETAS, fused=True, capturable=self._recorded)
            for network, rate in zip((generator, self.critic), rates, strict=True)
        )

    def _real(self, level: int) -> Tensor:
        """The source (of a video its first frame) and the target at a level: (1, 6, H, W)."""
        return torch.cat([levels(picture[:1], self.shapes[level : level + 1])[0] for picture in self.given], 1)

    @torch.no_grad()
    def _amplitudes(self, level: int, draw: Draw) -> Tensor:
        """The amplitudes of a level's noise in each domain, (2,).

        `noise` times what the reconstruction of one draw still misses; at level 0 `noise` itself, 1 for video.
        """
        if level == 0:
            return torch.full((2,), 1.0 if self.config.mode == "video" else self.config.noise).to(self.given[0])
        arrived = self.net.climb(self._noise(draw.generator("amplitudes"), 1, 0), 0, level, None)
        return self.config.noise * (arrived - self._real(level)).square().unflatten(1, (2, 3)).mean((0, 2, 3, 4)).sqrt()

    @torch.no_grad()
    def _inputs(self, draw: Draw) -> list[PairBatch]:
        """The inputs of the CHUNK steps from `draw` on.

        The frozen levels run, from fresh noise, for all of them in one batch.
        """
        level, net, generator = self.level, self.net, draw.generator("chunk")
        whole = CHUNK * self.config.batch * self.processes.size

        def noise(k: int) -> Tensor:
            return self._own(self._noise(generator, whole, k))

        first = noise(0)
        start = net.climb(first, 0, level, None)
        state = net.climb(torch.zeros_like(first), 0, level, noise)
        # Level 0 learns from noise of amplitude 1, as published; its first norm takes the scale away again.
        noised = net.noised(level, state, noise) if level else noise(0)
        mix = torch.rand(whole, len(self.weights), 2, 1, 1, generator=generator, device=generator.device).to(start)
        mix = self._own(mix).repeat_interleave(3, 2).unflatten(0, (CHUNK, -1)).transpose(1, 2).flatten(1, 2)
        reals = self._reals(draw, whole)
        abroad = [state[:0]] * CHUNK
        if self.config.abroad:
            around = self.net.noised(level, torch.zeros_like(state), noise).chunk(CHUNK)
            abroad = [swapped(real) + noise for real, noise in zip(reals, around, strict=True)]
        return [
            PairBatch(*parts)
            for parts in zip(reals, *(part.chunk(CHUNK) for part in (state, noised, start)), abroad, mix, strict=True)
        ]

    def _reals(self, draw: Draw, count: int) -> list[Tensor]:
        """The real pictures of each step of a chunk: the frames of a video in shuffled epochs, all equally often."""
        frames, target = self.real
        if len(frames) == 1:
            return [torch.cat(self.real, 1)] * CHUNK
        begin = (draw.step - 1) * count // CHUNK
        epochs = range(begin // len(frames), (begin + count - 1) // len(frames) + 1)
        start = draw.at(0)
        orders = [
            torch.randperm(len(frames), generator=g, device=g.device)
            for g in (start.generator(f"epoch {e}") for e in epochs)
        ]
        drawn = torch.cat(orders)[begin - epochs[0] * len(frames) :][:count]
        chosen = frames[self._own(drawn).to(frames.device)]
        return list(torch.cat([chosen, target.expand_as(chosen)], 1).chunk(CHUNK))

    def _noise(self, generator: torch.Generator, count: int, level: int) -> Tensor:
        shape = (count, 6, *self.shapes[level])
        return torch.randn(shape, generator=generator, device=generator.device).to(self.given[0])

    def _own(self, drawn: Tensor) -> Tensor:
        """The part of this process of a chunk's draws: (steps * all samples, ...) -> (steps * own samples, ...)."""
        return drawn.unflatten(0, (CHUNK, -1)).chunk(self.processes.size, 1)[self.processes.rank].flatten(0, 1)
