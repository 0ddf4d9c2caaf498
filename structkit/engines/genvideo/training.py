"""The training of HP-VAE-GAN and of its baselines: level after level, one step of a critic and one of generators at a
time.

The mathematics is the authors' (the paper stands at the top of `model.py`); a test holds that a step equals the
published formulas written out, in values and gradients.  Time and memory are saved in these ways:
* Levels that stand still are run without gradients.
* Reconstruction and random sample share each call, and real and made clips that of the critic: norms treat each by
  itself.
* The critic's gradient penalty is in closed form (`structkit.kernels.penalty`); the critic is frozen while generators
  learn.
* Everything stays on the device: there is no loader.

In bfloat16 (`fast` at 30 px, after 20 steps a level) each loss was within 4 % of float32's, and the cosine
between the gradients at least 0.999 for generators and critics.

Differs from the authors' code: the gradient is cut to its longest norm by what learns alone; published, blocks that
stand still count in the norm, too.  A critic's spectral norm takes three power iterations a step, published four.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from structkit.configs import GenvideoConfig
from structkit.configs.genvideo import strides_of
from structkit.data.clips import ClipWindows
from structkit.data.levels import level_frames, level_shapes, level_sides
from structkit.device import return_memory
from structkit.engines.genvideo import networks
from structkit.engines.genvideo.model import MANY, PatchVaeGan
from structkit.errors import InputError
from structkit.kernels.penalty import stack_penalty
from structkit.kernels.pyramid import Shape
from structkit.nets.patch import PatchNet
from structkit.training.draw import Draw
from structkit.training.frozen import frozen
from structkit.training.graph import GraphedStep
from structkit.training.stages import Stage, Training
from structkit.training.state import pack, unpack

BETAS = (0.5, 0.999)  # of Adam
LARGEST = 256  # px: a wider clip has no more levels than one of this width (published: max-size)
LEAST_SIDE = 3  # px, of the coarsest level: below, a norm sees next to nothing


@dataclass(frozen=True)
class ClipBatch:
    """The inputs of one step of a level.

    real, coarse: the same windows of the clip at this level and at the coarsest, (B, 3, *shape).
    around: N(0, 1) for the codes of `coarse`, (B, latent, *shape); of a baseline, the codes themselves.
    codes: random codes, (B, *code_shape).
    mix: (1,) in [0, 1], the place of the penalty's points between real, 1, and made clips, 0: published, one for all.
    noises: N(0, 1) of the levels that are noisy, in their order, (B, *noise_shape).
    At levels without a critic the last three are empty.
    """

    real: Tensor
    coarse: Tensor
    around: Tensor
    codes: Tensor
    mix: Tensor
    noises: tuple[Tensor, ...]

    def tensors(self) -> list[Tensor]:
        return [self.real, self.coarse, self.around, self.codes, self.mix, *self.noises]

    @classmethod
    def of(cls, tensors: Sequence[Tensor]) -> ClipBatch:
        """The inverse of `tensors`."""
        return cls(*tensors[:5], tuple(tensors[5:]))


def vae_losses(again: Tensor, coarse_again: Tensor, inputs: ClipBatch, code: tuple, c: GenvideoConfig) -> dict:
    """The losses of a patch-VAE level: MSE at this level and at the coarsest, and the codes' divergence from N(0, 1).

    again, coarse_again: what was given back at both; at level 0 they are one, which then counts twice (as published).
    code: means and log variances.
    All are means over all elements, so that their weights do not depend on sizes.
    """
    mean, variance = code
    errors = (again - inputs.real).square().mean() + (coarse_again - inputs.coarse).square().mean()
    divergence = -0.5 * (1 + variance - mean.square() - variance.exp()).mean()
    return {"reconstruction": c.reconstruction * errors, "kl": c.kl * divergence}


def critic_losses(critic: PatchNet, inputs: ClipBatch, made: Tensor, dtype: torch.dtype, c: GenvideoConfig) -> dict:
    """The losses of a critic (Wasserstein with a gradient penalty): mean D(made) - mean D(real), and the penalty.

    made: (B, 3, *shape), without gradient.  dtype: of the critic's arithmetic.
    """
    on_real, on_made = critic(torch.cat([inputs.real, made]).to(dtype)).to(made).chunk(2)
    points = inputs.mix * inputs.real + (1 - inputs.mix) * made
    penalties = stack_penalty(critic.layers(), points.to(dtype)).to(made)
    return {"critic": on_made.mean() - on_real.mean(), "penalty": c.penalty * penalties.mean()}


class GenvideoTraining(Training):
    """The training of a model of one clip, or of a picture."""

    model_class = PatchVaeGan

    def __init__(
        self,
        clip: Tensor,
        config: GenvideoConfig,
        *,
        rate: str = "25",
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
    ):
        """Begin with a clip of which no level is trained.

        clip: (1, 3, T, H, W) in [-1, 1], any size; of a picture (1, 3, H, W).
        rate: frames per second of the clip.
        dtype: of the networks' arithmetic, float32 or bfloat16.
        Raises InputError for a clip that is too short, too narrow, or not finite.
        """
        self.config, self.device, self.dtype, self.rate = config.filled(), device, dtype, rate
        self.shapes = pyramid(self.config, clip)
        self.windows = ClipWindows(clip.to(device), self.shapes, 1 if clip.dim() == 4 else self.config.window)
        c, finest = self.config, max(1, len(self.shapes) - 1)
        self.stages = [
            Stage(f"level {n}, {_words(shape)}", max(1, round(c.steps * c.taper ** (n / finest))))
            for n, shape in enumerate(self.shapes)
        ]
        self.net = self._untrained(0)
        self.critic: PatchNet | None = None  # of the level, where it has one

    def begin(self, stage: int, draw: Draw) -> None:
        """Make the networks of a level; they begin with the weights of the level below, where these fit."""
        c, net, generator = self.config, self.net, draw.generator("networks")
        if stage == 0:
            self._draw_first(generator)
        network = networks.level_network(c, stage, net.axes, generator).to(net.amplitudes)
        if stage and (below := networks.inherited(c, stage, net.levels[-1])) is not None:
            network.load_state_dict(below.state_dict())
        net.add_level(network, 1.0)
        critic = None
        if not net.is_vae(stage):
            critic = copy.deepcopy(self.critic) if self.critic else networks.critic(c, net.axes, generator)
        if stage and not c.constant_noise:
            net.amplitudes[stage] = self._amplitude(stage, draw)
        self._enter(stage, critic)

    def restore(self, stage: int, state: Mapping[str, Tensor]) -> None:
        self.net = self._untrained(stage + 1)
        self._enter(stage, None if self.net.is_vae(stage) else networks.critic(self.config, self.net.axes))
        unpack(state, **self._parts)

    def state(self) -> dict[str, Tensor]:
        return pack(**self._parts)

    def model(self) -> PatchVaeGan:
        return self.net

    def scores(self) -> dict[str, float]:
        """The root mean square error of the first window, given back, in [-1, 1]."""
        again = self.net.reconstruction(torch.Generator(self.device).manual_seed(0))
        real = self.windows.windows(self.net.finest, torch.zeros(1, dtype=torch.long))
        return {"reconstruction": float((again - real).square().mean().sqrt())}

    def preview(self, draw: Draw) -> Tensor:
        """Two rows, first, middle and last frame of each: the clip, and below a new one."""
        level = self.level
        rows = (
            self.windows.windows(level, torch.zeros(1, dtype=torch.long)),
            self.net.samples(1, draw.generator("preview")),
        )
        if self.net.axes == 2:
            return torch.cat(rows, 2)
        frames = self.shapes[level][0]
        shown = sorted({0, frames // 2, frames - 1})
        return torch.cat([torch.cat([row[:, :, t] for t in shown], 3) for row in rows], 2)

    def step(self, draw: Draw) -> dict[str, Tensor]:
        inputs = self.inputs(draw)
        if not self._recorded:
            return self.update(inputs)
        if self.graphed is None:
            self.graphed = GraphedStep(
                lambda tensors: self.update(ClipBatch.of(tensors)), inputs.tensors(), *self.changing()
            )
        return self.graphed(inputs.tensors())

    def update(self, inputs: ClipBatch) -> dict[str, Tensor]:
        """Do one step: of encoder, decoder and the newest block; or of the critic, then of the newest blocks, which
        see the critic's new weights.
        """
        c = self.config
        if self.critic is None:
            again, coarse, code = self._given_back(inputs)
            losses = vae_losses(again, coarse, inputs, code, c)
            self.processes.descend(self.generator_adam, sum(losses.values()), longest=c.gradient_clip)
            return {name: value.detach() for name, value in losses.items()}

        again, made = self._given_back_and_new(inputs)
        losses = critic_losses(self.critic, inputs, made.detach(), self.dtype, c)
        self.processes.descend(self.critic_adam, sum(losses.values()))
        if made[:, 0].numel() >= MANY // 2:
            return_memory()  # else what the critic has freed, in pieces of other sizes, stays beside what comes next
        with frozen(self.critic):
            scores = self.critic(made.to(self.dtype)).to(made)
            of_generators = {
                "adversarial": -c.adversarial * scores.mean(),
                "reconstruction": c.reconstruction * (again - inputs.real).square().mean(),
            }
            longest = None if c.is_baseline else c.gradient_clip
            self.processes.descend(self.generator_adam, sum(of_generators.values()), longest=longest)
        return {name: value.detach() for name, value in (losses | of_generators).items()}

    def changing(self) -> tuple[list[Optimizer], list[nn.Module]]:
        """The optimisers of an update, and the networks, whose spectral norms it turns."""
        parts = self._parts.values()
        return [p for p in parts if isinstance(p, Optimizer)], [p for p in parts if isinstance(p, nn.Module)]

    def inputs(self, draw: Draw, *, shared: bool = True) -> ClipBatch:
        """The inputs of a step of the level.  shared: this process's part of them, else all."""
        c, net, level, generator = self.config, self.net, len(self.net.levels) - 1, draw.generator("step")
        whole = c.batch * self.processes.size  # samples of all processes

        def normal(*shape: int) -> Tensor:
            drawn = torch.randn((whole, *shape), generator=generator, device=generator.device)
            return ours(drawn.to(net.amplitudes))

        def ours(batch: Tensor) -> Tensor:
            return self.processes.share(batch) if shared else batch

        on = {"generator": generator, "device": generator.device}
        starts = ours(torch.randint(self.windows.count, (whole,), **on))
        flips = ours(torch.rand(whole, **on) < 0.5) if c.hflip else None
        mix = torch.rand(1, **on).to(net.amplitudes)
        around = net.start.expand(len(starts), *net.start.shape[1:]) if c.is_baseline else None
        around = normal(c.latent, *self.shapes[0]) if around is None else around
        codes, noises = mix[:0], []
        if not net.is_vae(level):
            codes = normal(*net.code_shape(self.shapes[0]))
            noisy = [k for k in range(1, level + 1) if net.is_noisy(k)]
            noises = [normal(*net.noise_shape(k, self.shapes[k])) for k in noisy]
        real, coarse = (self.windows.windows(k, starts, flips) for k in (level, 0))
        return ClipBatch(real, coarse, around, codes, mix, tuple(noises))

    def _given_back(self, inputs: ClipBatch) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
        """The clip, given back at this level and at the coarsest, and its means and log variances."""
        codes, code = self._codes(inputs)
        first = state = self.net.first(codes)
        for level in range(1, len(self.net.levels)):
            state = self.net.refined(level, state, self.shapes[level])
        return self.net.pictured(state), first, code

    def _given_back_and_new(self, inputs: ClipBatch) -> tuple[Tensor, Tensor]:
        """The clip, given back at this level, and a new one, (B, 3, *shape) each.

        Gradients begin at the first network that learns: what lies below needs none, and keeps nothing for them.
        """
        codes, _ = self._codes(inputs)
        state, noises = self.net.first(torch.cat([codes, inputs.codes])), iter(inputs.noises)
        for level in range(1, len(self.net.levels)):
            noise = next(noises) if self.net.is_noisy(level) else None
            state = self.net.refined(level, state, self.shapes[level], noise)
        return self.net.pictured(state).chunk(2)

    def _codes(self, inputs: ClipBatch) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Codes of the clip, always drawn around their means (as published), and these with the log variances."""
        if self.config.is_baseline:
            return inputs.around, (inputs.around, inputs.around)
        mean, variance = self.net.encoded(inputs.coarse)
        return mean + inputs.around * (variance / 2).exp(), (mean, variance)

    @torch.no_grad()
    def _amplitude(self, level: int, draw: Draw) -> Tensor:
        """The amplitude of a level's noise: `noise` times what its network, not trained yet, misses of the clip, a root
        mean square; published, divided by the number of samples in a step, too.
        """
        inputs = self.inputs(draw, shared=False)
        missed = (self._given_back(inputs)[0] - inputs.real).square().mean().sqrt()
        return self.config.noise * missed / self.config.batch

    def _learning(self, level: int) -> Iterator[tuple[nn.Module, float]]:
        """The networks that learn at a level, each with its learning rate in units of the newest one's."""
        c, net = self.config, self.net
        if c.is_baseline:
            yield from ((net.levels[k], c.rate_fall ** (level - k)) for k in _last(level, c.train_depth))
            if net.tail is not None:
                yield net.tail, 1.0
            return
        if with_codec := level < c.train_depth if c.train_all else net.is_vae(level):
            # At level 1, 2, ... slower and slower; the blocks in between stand still (as published).
            yield from ((network, c.rate_fall**level) for network in (net.encoder, net.levels[0]))
        least = 1 if with_codec or c.train_all else max(1, c.vae_levels)
        yield from ((net.levels[k], c.rate_fall ** (level - k)) for k in _last(level, c.train_depth) if k >= least)

    def _draw_first(self, generator: torch.Generator) -> None:
        """Draw what all levels share: the encoder; or, of a baseline, the noise that gives the clip back, and the
        tail.
        """
        c, net = self.config, self.net
        if not c.is_baseline:
            net.encoder = networks.encoder(c, net.axes, generator).to(net.amplitudes)
            return
        net.start.copy_(torch.randn(net.start.shape, generator=generator, device=generator.device))
        if net.tail is not None:
            net.tail = networks.tail(c, net.axes, generator).to(net.amplitudes)

    @property
    def _parts(self) -> dict:
        """The parts of the state; a level without a critic has fewer."""
        parts = {"net": self.net, "generator_adam": self.generator_adam}
        return parts if self.critic is None else parts | {"critic": self.critic, "critic_adam": self.critic_adam}

    @property
    def _recorded(self) -> bool:
        """True if steps are recorded as CUDA graphs; steps of several processes, which wait for each other, are not."""
        return self.windows.clip.is_cuda and self.processes.size == 1

    def _untrained(self, count: int) -> PatchVaeGan:
        """A model of this clip with the networks of `count` levels, whose weights are not trained."""
        clip = self.windows.whole(len(self.shapes) - 1)
        net = PatchVaeGan(self.config, self.shapes, clip.shape[2] if clip.dim() == 5 else 1, self.rate, count)
        net = net.to(clip)
        net.clip.copy_(clip.mul(127.5).add(127.5).round())
        net.dtype = self.dtype
        return net

    def _enter(self, level: int, critic: PatchNet | None) -> None:
        """Come to a level: take its critic, let its networks learn, and make new optimisers."""
        self.level, self.graphed = level, None
        self.critic = None if critic is None else critic.to(self.net.amplitudes).train()
        self.net.requires_grad_(False).eval()
        groups = []
        for network, share in self._learning(level):
            parameters = list(network.requires_grad_(True).train().parameters())
            groups.append({"params": parameters, "lr": self.config.generator_rate * share})
        self.generator_adam = torch.optim.Adam(groups, betas=BETAS, fused=True, capturable=self._recorded)
        if self.critic is not None:
            self.critic_adam = torch.optim.Adam(
                self.critic.parameters(), self.config.critic_rate, BETAS, fused=True, capturable=self._recorded
            )


def pyramid(config: GenvideoConfig, clip: Tensor) -> list[Shape]:
    """The shapes of the levels of a clip (1, 3, T, H, W), or a picture (1, 3, H, W), coarsest first.

    config: filled.
    Raises InputError where the coarsest level is too low.
    """
    aspect = clip.shape[-1] / clip.shape[-2]
    frames = None
    if clip.dim() == 5:
        count = len(level_sides(config.size, config.coarsest, largest=LARGEST))
        frames = level_frames(config.window, strides_of(config.strides), count)
    shapes = level_shapes(config.size, config.coarsest, aspect, largest=LARGEST, by="width", frames=frames)
    if shapes[0][-2] < LEAST_SIDE:
        least = -(-LEAST_SIDE * clip.shape[-1] // clip.shape[-2])
        raise InputError(
            f"the coarsest level is {shapes[0][-1]} x {shapes[0][-2]} px, and a side must be {LEAST_SIDE} px or more: "
            f"use --coarsest {least} or more, or crop the clip"
        )
    return shapes


def _last(level: int, count: int) -> range:
    """The last `count` of the levels 0 to `level`."""
    return range(max(0, level - count + 1), level + 1)


def _words(shape: Shape) -> str:
    """A shape in words: width x height, and frames, if it has any."""
    frames = f", {shape[0]} frames" if len(shape) == 3 else ""
    return f"{shape[-1]} x {shape[-2]} px{frames}"
