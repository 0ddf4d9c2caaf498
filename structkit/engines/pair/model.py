"""Structural analogy from a single image pair (Benaim, Mokady, Bermano, Cohen-Or, Wolf; CGF 2020).

Two pictures, a pyramid, and at each level one generator into each of the two domains.  From noise a generator makes a
new picture of its own domain; from a picture of the other domain it makes that picture's analogy.  At coarse and middle
levels it adds to its input (residual); the finest levels paint anew.  This file has the trained model; `training.py`
trains it.

Differs from the paper and its code:
* Pictures keep the source's aspect (published: both squashed to squares; the same for a square source).
* Between levels nothing is rounded to 8 bits, and sizes are exact (`structkit.data.levels.rise`).
* Results are drawn from a seed after training (published: whatever the last step of training drew), and are not
  stretched in contrast.
* Injection puts the picture in the place of the chain's state, for the skip connection too (the authors' video code;
  not their image code).

Expect: tests/benchmarks/pair_step.csv for the time of a step; tests/benchmarks/pair_results.csv for scores beside the
training-free engine.

Tensors are (B, 6, H, W) in [-1, 1]: the three channels of domain a, the source, then those of domain b, the target.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from structkit.configs import MOST_SIDE, PairConfig
from structkit.data.levels import levels, rise
from structkit.errors import InputError
from structkit.nets.patch import PatchNet, PatchStack
from structkit.training.model import Model

Noise = Callable[[int], Tensor]  # level -> (B, 6, *shape of the level), N(0, 1)
A, B = 0, 1  # the domains, in the order of the channels


def swapped(pair: Tensor) -> Tensor:
    """The pair with its domains exchanged: [a | b] -> [b | a]."""
    return torch.cat(pair.chunk(2, 1)[::-1], 1)


class PairAnalogy(Model):
    """The generators of all levels that are trained so far, coarsest first."""

    kind = "pair-analogy"
    config_class = PairConfig

    def __init__(self, config: PairConfig, shapes: Sequence[Sequence[int]], trained_levels: int = 0):
        """config: with the values of its preset and mode (`filled`).
        shapes: (height, width) of all levels, px, coarsest first, trained yet or not.
        Raises InputError for levels that cannot be.
        """
        super().__init__(config)
        are_pairs = isinstance(shapes, list | tuple) and all(
            isinstance(shape, list | tuple) and [type(side) for side in shape] == [int, int] for shape in shapes
        )
        if not shapes or not are_pairs or type(trained_levels) is not int:
            raise InputError("shapes must be pairs of whole numbers, and trained_levels a whole number")
        self.shapes = [(height, width) for height, width in shapes]
        if not 0 <= trained_levels <= len(self.shapes) or any(
            not 1 <= side <= MOST_SIDE for shape in self.shapes for side in shape
        ):
            raise InputError(
                f"{trained_levels} trained levels of {len(self.shapes)}, with sides from 1 to {MOST_SIDE} px"
            )
        # Source and target, as trained on.
        self.register_buffer("pictures", torch.zeros(1, 6, *self.shapes[-1], dtype=torch.uint8))
        self.register_buffer("amplitudes", torch.zeros(0, 2))  # amplitudes of the noise: level, domain
        self.generators = nn.ModuleList()
        self.dtype = torch.float32  # the type of the networks' arithmetic
        for _ in range(trained_levels):
            self.add_level(PatchNet(self.stack(len(self.generators))), torch.zeros(2))

    def facts(self) -> dict[str, Any]:
        return {"shapes": [list(shape) for shape in self.shapes], "trained_levels": len(self.generators)}

    @property
    def reals(self) -> Tensor:
        """The real pictures, source and target: (1, 6, H, W)."""
        return self.pictures.to(self.amplitudes).div(127.5).sub(1)

    def stack(self, level: int) -> PatchStack:
        """The generators of a level (the authors' widths: doubled every four levels)."""
        c = self.config
        return PatchStack(min(c.width * 2 ** (level // 4), c.widest), layers=c.layers, domains=2)

    def is_residual(self, level: int) -> bool:
        return level < len(self.shapes) - self.config.plain_levels

    def add_level(self, generator: PatchNet, amplitudes: Tensor) -> None:
        """Put a trained generator on top.

        amplitudes: (2,), of the noise in each domain.
        """
        self.generators.append(generator.to(self.amplitudes))
        self.amplitudes = torch.cat([self.amplitudes, amplitudes[None].to(self.amplitudes)])

    def render(self, level: int, images: Tensor, skip: Tensor, domain: int | None = None) -> Tensor:
        """The output of one level's generators, not clamped.

        tanh(net(images)) + skip where the level is residual, else without skip.
        """
        made = torch.tanh(self.generators[level](images.to(self.dtype), domain).to(images))
        return made + skip if self.is_residual(level) else made

    def noised(self, level: int, images: Tensor, noise: Noise, domain: int | None = None) -> Tensor:
        amplitudes = self.amplitudes[level] if domain is None else self.amplitudes[level, domain : domain + 1]
        return images + amplitudes.repeat_interleave(3)[:, None, None] * noise(level)

    def climb(self, state: Tensor, first: int, last: int, noise: Noise | None, domain: int | None = None) -> Tensor:
        """The state that the chain hands to level `last`, from the state that is handed to level `first`.

        The unconditional chain begins with zeros at level 0, and each level adds noise.  The reconstruction chain
        begins with noise there, fresh each time (SinGAN's is fixed), and has none later: `noise` is None.
        """
        for k in range(first, last):
            images = state if noise is None else self.noised(k, state, noise, domain)
            state = rise(self.render(k, images, state, domain), self.shapes[k + 1])
        return state

    @property
    def finest(self) -> int:
        """The finest level that is trained."""
        return len(self.generators) - 1

    @torch.no_grad()
    def analogy(self, count: int, generator: torch.Generator, *, inject: int | None = None) -> tuple[Tensor, Tensor]:
        """New pictures and their analogies, each (count, 6, *shape of the finest trained level), clamped.

        The new pictures are [a | b], of both domains.  The analogies are [made of a, like the new b | made of b, like
        the new a]: channels 3 .. 5 have the structure of the source's domain and the look of the target.
        inject: the level at which the pictures that were trained on take the place of the chain's state; the coarser,
        the freer.  None: from noise alone, as published.
        """
        noise = self.noise(count, generator)
        if inject is None:
            inject, state = 0, self.amplitudes.new_zeros(count, 6, *self.shapes[0])
        else:
            [state] = levels(self.reals, [self.shapes[inject]])
            state = state.expand(count, -1, -1, -1)
        own = self._painted(state, inject, noise)
        across = swapped(own)
        return own.clamp(-1, 1), self.render(self.finest, across, across).clamp(-1, 1)

    @torch.no_grad()
    def translated(self, images: Tensor, level: int, noise: Noise, domain: int = A) -> Tensor:
        """The analogies, in the other domain, of images of one domain, clamped.

        images: (B, 3, H, W), injected at `level`.
        noise: the same for each frame of a video keeps it calm (the authors' way).
        Returns (B, 3, *shape of the finest trained level).
        """
        [state] = levels(images, [self.shapes[level]])
        own = self._painted(state, level, noise, domain)
        return self.render(self.finest, own, own, 1 - domain).clamp(-1, 1)

    @torch.no_grad()
    def refined(self, images: Tensor, level: int, noise: Noise, domain: int = B) -> Tensor:
        """The images of one domain, painted again by its own chain from `level` on (SinGAN's paint to image), clamped.

        images: (B, 3, H, W).
        """
        [state] = levels(images, [self.shapes[level]])
        return self._painted(state, level, noise, domain).clamp(-1, 1)

    def noise(self, count: int, generator: torch.Generator, domains: int = 2) -> Noise:
        """The N(0, 1) noise of any level, (count, 3 * domains, *shape); the same when a level is asked for again."""
        drawn: dict[int, Tensor] = {}

        def noise(level: int) -> Tensor:
            if level not in drawn:
                shape = (count, 3 * domains, *self.shapes[level])
                drawn[level] = torch.randn(shape, generator=generator, device=generator.device).to(self.amplitudes)
            return drawn[level]

        return noise

    def _painted(self, state: Tensor, level: int, noise: Noise, domain: int | None = None) -> Tensor:
        state = self.climb(state, level, self.finest, noise, domain)
        return self.render(self.finest, self.noised(self.finest, state, noise, domain), state, domain)
