"""Structural analogy from a single image pair (Benaim, Mokady, Bermano, Cohen-Or, Wolf; CGF 2020).

Two pictures, a pyramid, and at each level one generator into each of the two domains.  From noise a generator makes a new picture of its
own domain; from a picture of the other domain it makes that picture's analogy.  At coarse and middle levels it adds to what it is given
(residual); the finest levels paint anew.  Here is the trained model; `pair_training.py` trains it.

Differs from the paper and its code:
* Pictures keep the source's aspect (published: both squashed to squares; the same for a square source).
* Between levels nothing is rounded to 8 bits, and sizes are exact (`structkit.data.levels.rise`).
* Results are drawn from a seed after training (published: whatever the last step of training drew), and are not stretched in contrast.
* Injection puts the picture in the place of the chain's state, for the skip connection too (the authors' video code; not their image code).
Expect: tests/benchmarks/pair_step.csv for the time of a step; the README for results beside the training-free engine's.

Tensors are (B, 6, H, W) in [-1, 1]: the three channels of domain a, the source, then those of domain b, the target.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from structkit.configs import PairConfig
from structkit.data.levels import Shape, levels, rise
from structkit.nets.patch import PatchNet, PatchStack
from structkit.training.model import Model

Noise = Callable[[int], Tensor]  # level -> (B, 6, *shape of the level), N(0, 1)
A, B = 0, 1  # the domains, in the order of the channels


def swapped(pair: Tensor) -> Tensor:
    """[a | b] -> [b | a]."""
    return torch.cat(pair.chunk(2, 1)[::-1], 1)


class PairAnalogy(Model):
    """The generators of all levels that are trained so far, coarsest first."""

    kind = "pair-analogy"
    config_class = PairConfig

    def __init__(self, config: PairConfig, shapes: Sequence[Sequence[int]], trained_levels: int = 0):
        """config: filled.  shapes: (height, width) of all levels, px, coarsest first, whether they are trained yet or not."""
        super().__init__(config)
        self.shapes = [(int(height), int(width)) for height, width in shapes]
        self.register_buffer("pictures", torch.zeros(1, 6, *self.shapes[-1], dtype=torch.uint8))  # source and target, as trained on
        self.register_buffer("amplitudes", torch.zeros(0, 2))  # of the noise: level, domain
        self.generators = nn.ModuleList()
        self.dtype = torch.float32  # of the networks' arithmetic
        for _ in range(trained_levels):
            self.add_level(PatchNet(self.stack(len(self.generators))), torch.zeros(2))

    def facts(self) -> dict[str, Any]:
        return {"shapes": [list(shape) for shape in self.shapes], "trained_levels": len(self.generators)}

    @property
    def reals(self) -> Tensor:
        """(1, 6, H, W): source and target."""
        return self.pictures.to(self.amplitudes).div(127.5).sub(1)

    def stack(self, level: int) -> PatchStack:
        """The generators of a level (the authors' widths: doubled every four levels)."""
        c = self.config
        return PatchStack(min(c.width * 2 ** (level // 4), max(c.width, c.widest)), layers=c.layers, domains=2)

    def is_residual(self, level: int) -> bool:
        return level < len(self.shapes) - self.config.plain_levels

    def add_level(self, generator: PatchNet, amplitudes: Tensor) -> None:
        """amplitudes (2,): of the noise in each domain."""
        self.generators.append(generator.to(self.amplitudes))
        self.amplitudes = torch.cat([self.amplitudes, amplitudes[None].to(self.amplitudes)])

    def render(self, level: int, images: Tensor, skip: Tensor, domain: int | None = None) -> Tensor:
        """One level's generators: tanh(net(images)) + skip where the level is residual, else without skip.  Not clamped."""
        made = torch.tanh(self.generators[level](images.to(self.dtype), domain).to(images))
        return made + skip if self.is_residual(level) else made

    def noised(self, level: int, images: Tensor, noise: Noise) -> Tensor:
        return images + self.amplitudes[level].repeat_interleave(3)[:, None, None] * noise(level)

    def approach(self, level: int, noise: Noise, count: int, start: int = 0, given: Tensor | None = None) -> Tensor:
        """What the unconditional chain hands to `level` (count, 6, *shape): noise alone at level 0, and `given` at level `start`."""
        state = self.amplitudes.new_zeros(count, 6, *self.shapes[start]) if given is None else given.expand(count, -1, -1, -1)
        for k in range(start, level):
            state = rise(self.render(k, self.noised(k, state, noise), state), self.shapes[k + 1])
        return state

    def reconstruct(self, level: int, start: Tensor) -> Tensor:
        """What the reconstruction chain hands to `level`, from N(0, 1) noise at level 0 (published: fresh at every step, no fixed z*)."""
        state = start
        for k in range(level):
            state = rise(self.render(k, state, state), self.shapes[k + 1])
        return state

    @torch.no_grad()
    def samples(
        self, count: int, generator: torch.Generator, *, inject: int | None = None, pictures: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """(new pictures [a | b], their analogies [made of a | made of b]), each (count, 6, *shape of the finest trained level).

        The analogy beside domain a, made of a's look, has the structure of the new b, and the other way round: it is
        `analogies[:, 3:]` that has the structure of the source and the look of the target.
        inject: the level at which `pictures` (1, 6, H, W), else those that were trained on, take the place of the chain's state; the
        coarser, the freer.  None: from noise alone.
        """
        finest = len(self.generators) - 1
        drawn: dict[int, Tensor] = {}

        def noise(level: int) -> Tensor:
            shape = (count, 6, *self.shapes[level])
            return drawn.setdefault(level, torch.randn(shape, generator=generator, device=generator.device).to(self.amplitudes))

        given = None
        if inject is not None:
            [given] = levels(self.reals if pictures is None else pictures, [self.shapes[inject]])
        state = self.approach(finest, noise, count, inject or 0, given)
        own = self.render(finest, self.noised(finest, state, noise), state)
        return own.clamp(-1, 1), self.render(finest, swapped(own), swapped(own)).clamp(-1, 1)

    @torch.no_grad()
    def refined(self, images: Tensor, level: int, generator: torch.Generator, domain: int = B) -> Tensor:
        """images (B, 3, H, W) of a domain, drawn again by that domain's chain from `level` on (SinGAN's paint to image)."""
        [state] = levels(images, [self.shapes[level]])
        for k in range(level, len(self.generators)):
            noise = torch.randn(state.shape, generator=generator, device=generator.device).to(state)
            made = self.render(k, state + self.amplitudes[k, domain] * noise, state, domain)
            state = rise(made, self.shapes[k + 1]) if k + 1 < len(self.generators) else made.clamp(-1, 1)
        return state
