"""The training of a pair's generators: level after level, one critic step and one generator step at a time.

The mathematics is the authors' (the paper stands at the top of `model.py`); a test holds that a step equals the
paper's formulas written out, in values and gradients.  Time is saved in these ways:
* The frozen levels run once for CHUNK steps, in one batch and without gradients.
* Both domains share each call (grouped convolutions).
* All pictures that a critic judges go through it in one batch: instance norm treats each by itself.
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
BETAS = (0.5, 0.999)  # of Adam

Critic = Callable[[Tensor], Tensor]  # (B, 6, H, W) -> (B, 2, h, w), scores of patches in each domain


class PairBatch(NamedTuple):
    """The inputs of one step of a level, (B, 6, H, W) each but for `mix`."""

    real: Tensor  # the real pictures; (1, 6, H, W) where there is only one
    state: Tensor  # the state that the unconditional chain hands over
    noised: Tensor  # that state with this level's noise
    start: Tensor  # the state that the reconstruction chain hands over
    abroad: Tensor  # the other domain's real pictures with this level's noise; B is 0 where they are not judged
    # (K B, 6, 1, 1) in [0, 1], K being the number of the kinds of made pictures that are judged.  The points of the
    # gradient penalty lie between real and made pictures: 1 is real, 0 is made.
    mix: Tensor


class PairPass(NamedTuple):
    """The pictures that the generators of one level make in one step, (B, 6, H, W) each, not clamped."""

    own: Tensor  # new pictures, from noise
    again: Tensor  # the reconstruction of the real pictures
    across: Tensor  # the translation of the other domain's `own`
    back: Tensor  # the translation of the other domain's `across`
    abroad: Tensor  # the translation of the other domain's real pictures

    def judged(self) -> Tensor:
        """The pictures that the critics judge, (K B, 6, H, W), of K = 3 kinds: across, own, abroad.

        K is 2 where `abroad` is empty.
        """
        return torch.cat([self.across, self.own, self.abroad])


def make(net: PairAnalogy, level: int, inputs: PairBatch) -> PairPass:
    """Make the pictures of a step, in three calls of the level's generators."""
    # Only what comes from noise has a skip connection that differs from the input.
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

    For each of the K kinds of made pictures: E[D(made)] - E[D(real)] + penalty * GP(real, made).  The losses are the
    sums of these over the kinds, each times its weight.
    real: (1 or B, 6, H, W).
    judged: (K B, 6, H, W), the made pictures of all kinds, without gradient; see `PairPass.judged`.
    weights: (K,), 1 for across and for own.
    mix: (K B, 6, 1, 1); see `PairBatch`.
    """
    kinds = len(weights)
    scores = critic(torch.cat([real, judged])).mean((2, 3)).sum(1)
    made_scores = scores[len(real) :].unflatten(0, (kinds, -1)).mean(1)
    points = mix * real.repeat(len(judged) // len(real), 1, 1, 1) + (1 - mix) * judged
    penalties = gradient_penalty(critic, points, domains=2).sum(1).unflatten(0, (kinds, -1)).mean(1)
    return {
        "critic": (weights * (made_scores - scores[: len(real)].mean())).sum(),
        "penalty": penalty * (weights * penalties).sum(),
    }


def generator_losses(critic: Critic, made: PairPass, real: Tensor, weights: Tensor, c: PairConfig) -> dict[str, Tensor]:
    """The losses of the generators of both domains; nothing is detached.

    Their sum is -E[D(made)] + alpha MSE(again, real) + beta MSE(back, own).
    E[D(made)] is summed over the kinds of made pictures, each times its weight, and over the domains, the target's
    times `target_weight`.  alpha is the configuration's `reconstruction`, beta its `cycle`.
    weights: (K,), as those of `critic_losses`.
    """
    source, target = weights @ critic(made.judged()).mean((2, 3)).unflatten(0, (len(weights), -1)).mean(1)
    # Each mean square is a sum of one mean for each domain: that is twice the mean over both.
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
        """Begin with a pair of which no level is trained.

        source: (T, 3, H, W) in [-1, 1], any size; T > 1: the frames of a video.
        target: (1, 3, H, W) in [-1, 1], any size.
        dtype: of the networks' arithmetic, float32 or bfloat16.
        Raises InputError where the coarsest level is no larger than what one score of the critic sees.
        """
        self.config, self.device, self.dtype = config.filled(), device, dtype
        c, (height, width) = self.config, source.shape[-2:]
        self.shapes = level_shapes(c.size, c.coarsest, width / height)
        field = 2 * c.layers + 1  # the side of the patch that one score of the critic sees, px
        if min(self.shapes[0]) <= field:
            least_coarsest = math.ceil((field + 1) * math.sqrt(max(width, height) / min(width, height)))
            way_out = (
                f"use --coarsest {least_coarsest} or more, or fewer --layers"
                if least_coarsest <= c.size
                else "crop the source, or use fewer --layers"
            )
            raise InputError(
                f"the coarsest level is {self.shapes[0][1]} x {self.shapes[0][0]} px, and its critic needs more than "
                f"{field} px a side: {way_out}"
            )
        self.given = source.to(device), target.to(device)
        # Of the kinds of made pictures that are judged: across, own, abroad.
        self.weights = torch.tensor([1.0, 1.0] + ([c.abroad] if c.abroad else [])).to(self.given[0])
        finest = max(1, len(self.shapes) - 1)
        self.stages = [
            Stage(f"level {i}, {w} x {h} px", max(1, round(c.steps * c.taper ** (i / finest))))
            for i, (h, w) in enumerate(self.shapes)
        ]
        self.net = self._untrained(0)

    def begin(self, stage: int, draw: Draw) -> None:
        """Make the networks of a level; they begin with the weights of the level below, if that has the same width."""
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
        """Two rows, one for each domain: a new picture, and on its right its analogy in the other domain."""
        own, analogies = self.net.analogy(1, draw.generator("preview"))
        return torch.cat(
            [torch.cat(row, 3) for row in zip(own.chunk(2, 1), swapped(analogies).chunk(2, 1), strict=True)], 2
        )

    def step(self, draw: Draw) -> dict[str, Tensor]:
        number = (draw.step - 1) % CHUNK  # of the step within its chunk
        first_step = draw.step - number
        if self.chunk[0] != first_step:
            self.chunk = first_step, self._inputs(draw.at(first_step))
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

        of_critics = critic_losses(judge, real, made.judged().detach(), self.weights, inputs.mix, c.penalty)
        self.processes.descend(self.critic_adam, sum(of_critics.values()))

        with frozen(critic):
            of_generators = generator_losses(judge, made, real, self.weights, c)
            self.processes.descend(self.generator_adam, sum(of_generators.values()))
        return {name: value.detach() for name, value in (of_critics | of_generators).items()}

    @property
    def _recorded(self) -> bool:
        """True if steps are recorded as CUDA graphs; steps of several processes, which wait for each other, are not."""
        return self.given[0].is_cuda and self.processes.size == 1

    def _untrained(self, count: int) -> PairAnalogy:
        """A pair of these pictures with the networks of `count` levels, whose weights are not trained."""
        net = PairAnalogy(self.config, self.shapes, count).to(self.given[0])
        net.pictures.copy_(self._real(len(self.shapes) - 1).mul(127.5).add(127.5).round())
        net.dtype = self.dtype
        return net

    def _enter(self, level: int, critic: PatchNet) -> None:
        """Come to a level: take its critic and its real pictures, and make new optimisers."""
        self.level, self.graphed = level, None
        self.chunk = (0, [])  # its first step, 0 for none, and the inputs of its steps
        self.critic = critic.to(self.given[0])
        # The frames of the source, and the target.
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

        They are the configuration's `noise` times what the reconstruction from one draw of noise still misses there, a
        root mean square.  At level 0 they are `noise` itself, or 1 for video.
        """
        if level == 0:
            return torch.full((2,), 1.0 if self.config.mode == "video" else self.config.noise).to(self.given[0])
        arrived = self.net.climb(self._noise(draw.generator("amplitudes"), 1, 0), 0, level, None)
        return self.config.noise * (arrived - self._real(level)).square().unflatten(1, (2, 3)).mean((0, 2, 3, 4)).sqrt()

    @torch.no_grad()
    def _inputs(self, draw: Draw) -> list[PairBatch]:
        """The inputs of the CHUNK steps from `draw` on.

        The frozen levels run from fresh noise, for all these steps in one batch.
        """
        level, net, generator = self.level, self.net, draw.generator("chunk")
        whole = CHUNK * self.config.batch * self.processes.size  # samples of all steps in all processes

        def noise(k: int) -> Tensor:
            return self._ours(self._noise(generator, whole, k))

        first = noise(0)
        start = net.climb(first, 0, level, None)
        state = net.climb(torch.zeros_like(first), 0, level, noise)
        # Level 0 learns from noise of amplitude 1, as published; its first norm takes the scale away again.
        noised = net.noised(level, state, noise) if level else noise(0)
        # One number for each sample, kind and domain; a domain's three channels share it.
        mix = torch.rand(whole, len(self.weights), 2, 1, 1, generator=generator, device=generator.device).to(start)
        mix = self._ours(mix).repeat_interleave(3, 2).unflatten(0, (CHUNK, -1))  # (CHUNK, B, K, 6, 1, 1)
        mix = mix.transpose(1, 2).flatten(1, 2)  # (CHUNK, K B, 6, 1, 1)
        reals = self._reals(draw, whole)
        abroad = [state[:0]] * CHUNK
        if self.config.abroad:
            scaled_noise = net.noised(level, torch.zeros_like(state), noise).chunk(CHUNK)
            abroad = [swapped(real) + added for real, added in zip(reals, scaled_noise, strict=True)]
        return [
            PairBatch(*parts)
            for parts in zip(reals, *(part.chunk(CHUNK) for part in (state, noised, start)), abroad, mix, strict=True)
        ]

    def _reals(self, draw: Draw, count: int) -> list[Tensor]:
        """The real pictures of each step of the chunk that begins with `draw`.

        The frames of a video come in shuffled epochs, all equally often.
        count: samples of all steps in all processes.
        """
        frames, target = self.real
        if len(frames) == 1:
            return [torch.cat(self.real, 1)] * CHUNK
        first = (draw.step - 1) * count // CHUNK  # samples of the level's steps before
        epochs = range(first // len(frames), (first + count - 1) // len(frames) + 1)
        of_level = draw.at(0)  # all chunks that an epoch extends over must draw the same order
        orders = [
            torch.randperm(len(frames), generator=g, device=g.device)
            for g in (of_level.generator(f"epoch {e}") for e in epochs)
        ]
        drawn = torch.cat(orders)[first - epochs[0] * len(frames) :][:count]
        chosen = frames[self._ours(drawn).to(frames.device)]
        return list(torch.cat([chosen, target.expand_as(chosen)], 1).chunk(CHUNK))

    def _noise(self, generator: torch.Generator, count: int, level: int) -> Tensor:
        """N(0, 1) noise for `count` samples of a level, (count, 6, H, W)."""
        shape = (count, 6, *self.shapes[level])
        return torch.randn(shape, generator=generator, device=generator.device).to(self.given[0])

    def _ours(self, drawn: Tensor) -> Tensor:
        """This process's part of a chunk's draws: (steps * all samples, ...) -> (steps * its own samples, ...)."""
        return drawn.unflatten(0, (CHUNK, -1)).chunk(self.processes.size, 1)[self.processes.rank].flatten(0, 1)
