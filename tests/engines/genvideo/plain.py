"""HP-VAE-GAN's training step, written out as the paper and its code have it: slow, and obvious.

The oracle of `structkit.engines.genvideo.training`, and what tests/benchmarks/bench_genvideo_step.py measures it
against: each sample goes through each network alone, blocks that stand still are differentiated too, and the gradient
penalty is differentiated twice.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import spectral_norm

from structkit.configs import GenvideoConfig
from structkit.engines.genvideo.model import PatchVaeGan
from structkit.engines.genvideo.training import ClipBatch
from structkit.nets.patch import PatchNet

CONVOLUTIONS, NORMS = {2: nn.Conv2d, 3: nn.Conv3d}, {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


def network(widths: list[int], norm: str, axes: int) -> nn.Sequential:
    """Convolutions with a batch norm behind, or a spectral norm on the weights, and LeakyReLU 0.2; the last is bare.

    Batch norms are always in training mode, at batch size 1.
    """
    parts: list[nn.Module] = []
    for before, after in itertools.pairwise(widths[:-1]):
        convolution = CONVOLUTIONS[axes](before, after, 3, padding=1)
        parts.append(spectral_norm(convolution) if norm == "spectral" else convolution)
        parts += [NORMS[axes](after)] if norm == "instance" else []
        parts.append(nn.LeakyReLU(0.2))
    return nn.Sequential(*parts, CONVOLUTIONS[axes](widths[-2], widths[-1], 3, padding=1))


def written_out(net: PatchNet) -> nn.Sequential:
    """The published network with the weights of one of ours."""
    s = net.stack
    plain = network([s.inputs, *[s.width] * (s.layers - 1), s.outputs], s.norm, s.axes).to(net.bias)
    convolutions = [m for m in plain if isinstance(m, tuple(CONVOLUTIONS.values()))]
    with torch.no_grad():
        for i, convolution in enumerate(convolutions[:-1]):
            if s.norm == "spectral":
                convolution.weight_orig.copy_(net.weights[i])
                convolution.weight_u.copy_(getattr(net, f"direction{i}")[0])
                matrix = net.weights[i].flatten(1)
                convolution.weight_v.copy_(F.normalize(matrix.T @ convolution.weight_u, dim=0))
                convolution.bias.copy_(net.shifts[i])
            else:
                convolution.weight.copy_(net.weights[i])
        for i, norm in enumerate(m for m in plain if isinstance(m, tuple(NORMS.values()))):
            norm.weight.copy_(net.gains[i])
            norm.bias.copy_(net.shifts[i])
        convolutions[-1].weight.copy_(net.weights[-1])
        convolutions[-1].bias.copy_(net.bias)
    return plain


@dataclass
class Published:
    """The networks of a level and of those below; learning: the last so many of `blocks`."""

    encoder: nn.Module
    decoder: nn.Module
    blocks: list[nn.Module]
    amplitudes: list[float]
    shapes: list[tuple[int, ...]]
    vae_levels: int
    critic: nn.Module | None = None
    is_picture: bool = False

    @classmethod
    def of(cls, net: PatchVaeGan, critic: PatchNet | None) -> Published:
        networks = [written_out(level) for level in net.levels]
        return cls(
            written_out(net.encoder),
            networks[0],
            networks[1:],
            net.amplitudes.tolist(),
            net.shapes,
            net.config.vae_levels,
            critic and written_out(critic),
            net.is_picture,
        )

    def code(self, clip: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, variance = self.encoder(clip).chunk(2, 1)
        return mean + noise * torch.exp(0.5 * variance), mean, variance

    def chain(self, code: Tensor, noises: list[Tensor] | None) -> tuple[Tensor, Tensor]:
        """The clip of the newest level, and that of the coarsest; with noise in random mode."""
        state = first = torch.tanh(self.decoder(code))
        left = iter(noises or [])
        for level, block in enumerate(self.blocks, start=1):
            if level == self.vae_levels:
                state = state.detach()
            shape = self.shapes[level]
            mode = "trilinear" if len(shape) == 3 else "bilinear"
            larger = F.interpolate(state, shape, mode=mode, align_corners=True)
            noisy = noises is not None and (level >= self.vae_levels or self.is_picture)
            given = larger + self.amplitudes[level] * next(left) if noisy else larger
            state = torch.tanh(block(given) + larger)
        return state, first


def penalty(critic: nn.Module, real: Tensor, made: Tensor, mix: Tensor, c: GenvideoConfig) -> Tensor:
    point = (mix * real + (1 - mix) * made.detach()).requires_grad_()
    [slope] = torch.autograd.grad(critic(point).sum(), point, create_graph=True)
    return c.penalty * ((slope.norm(2, dim=1) - 1) ** 2).mean()


def step(p: Published, inputs: ClipBatch, c: GenvideoConfig, generators, critics=None) -> dict[str, Tensor]:
    """One step at batch size 1.  generators, critics: their optimisers."""
    level = len(p.blocks)
    code, mean, variance = p.code(inputs.coarse, inputs.around)
    again, first = p.chain(code, None)
    if level < p.vae_levels:
        errors = F.mse_loss(again, inputs.real) + F.mse_loss(first, inputs.coarse)
        kl = (-0.5 * (1 + variance - mean**2 - variance.exp())).mean()
        losses = {"reconstruction": c.reconstruction * errors, "kl": c.kl * kl}
        descend(generators, sum(losses.values()), c.gradient_clip)
        return {name: loss.detach() for name, loss in losses.items()}

    made, _ = p.chain(inputs.codes, list(inputs.noises))
    of_critic = {
        "critic": p.critic(made.detach()).mean() - p.critic(inputs.real).mean(),
        "penalty": penalty(p.critic, inputs.real, made, inputs.mix, c),
    }
    descend(critics, sum(of_critic.values()), None)
    losses = {
        "reconstruction": c.reconstruction * F.mse_loss(again, inputs.real),
        "adversarial": -c.adversarial * p.critic(made).mean(),
    }
    descend(generators, sum(losses.values()), c.gradient_clip)
    return {name: loss.detach() for name, loss in (of_critic | losses).items()}


def descend(optimiser: torch.optim.Optimizer, loss: Tensor, longest: float | None) -> None:
    optimiser.zero_grad()
    loss.backward()
    if longest is not None:
        nn.utils.clip_grad_norm_([p for group in optimiser.param_groups for p in group["params"]], longest)
    optimiser.step()
