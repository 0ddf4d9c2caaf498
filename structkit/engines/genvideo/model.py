"""New clips from a single clip: HP-VAE-GAN (Gur, Benaim, Wolf; NeurIPS 2020).

One clip, a pyramid in space and time, and at each level one network.  At the coarsest level a code for each place and
moment, drawn at random, becomes a small, slow clip: the decoder of an autoencoder.  Each further level makes it larger
and faster and adds what is missing.  The coarsest levels learn to give the clip back (patch-VAE), which keeps them
diverse; the others learn from critics (patch-GAN), and get noise.  This file has the trained model; `training.py`
trains it; `networks.py` has the networks, those of SinGAN and ConSinGAN over clips, too.

Differs from the paper and its code:
* Batch norms, which the authors keep in training mode at batch 1, are the instance norms that they then are.  At batch
  2, that of a picture and of the baselines, theirs mix the two samples; ours treat each by itself.
* Random codes are as long as the coarsest level (published: as the finest, by mistake, and then squeezed in time).
* Samples keep their contrast (published: stretched to the whole range over all samples).
* Results may have another length and size: all levels are scaled alike.
* Levels are reduced with antialiasing (published: without).

Expect: tests/benchmarks/genvideo_step.csv for the time and the memory of a step; tests/benchmarks/genvideo_results.csv
for errors, diversity and motion.

Tensors are (B, 3, T, H, W) in [-1, 1]; of pictures, which are the clips of one frame, also (B, 3, H, W).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from structkit.configs import MOST_SIDE, GenvideoConfig
from structkit.data.levels import levels
from structkit.engines.genvideo import networks
from structkit.errors import InputError, OptionError
from structkit.kernels.pyramid import Shape
from structkit.training.model import Model

# Voxels of a batch, from which on a level's network is run sample by sample, and again where gradients need what it
# held: a tenth more time, and half the memory.
MANY = 2**19


def risen(images: Tensor, shape: Shape) -> Tensor:
    """Images (B, C, *space) at a shape, linear along each axis; the corners stay the corners (as published)."""
    return F.interpolate(images, shape, mode="trilinear" if len(shape) == 3 else "bilinear", align_corners=True)


class PatchVaeGan(Model):
    """The networks of all levels that are trained so far, coarsest first."""

    kind = "clip-vaegan"
    config_class = GenvideoConfig

    def __init__(
        self,
        config: GenvideoConfig,
        shapes: Sequence[Sequence[int]],
        frames: int = 1,
        rate: str = "25",
        trained_levels: int = 0,
    ):
        """config: with the values of its preset (`filled`).
        shapes: of all levels, coarsest first, trained yet or not: (frames, height, width); of a picture (height,
        width).
        frames: of the clip that is learned from.
        rate: frames per second, such as "25" or "30000/1001".
        Raises InputError for levels that cannot be.
        """
        super().__init__(config)
        self.shapes = _checked(shapes, frames, trained_levels)
        self.rate = _rate(rate)
        self.axes, self.frames = len(self.shapes[0]), frames
        finest = self.shapes[-1] if self.axes == 2 else (frames, *self.shapes[-1][1:])
        self.register_buffer("clip", torch.zeros(1, 3, *finest, dtype=torch.uint8))  # the real one, as trained on
        self.register_buffer("amplitudes", torch.zeros(0))  # of the noise at each level
        self.levels = nn.ModuleList()
        if config.is_baseline:
            self.register_buffer("start", torch.zeros(1, 3, *self.shapes[0]))  # the noise that gives the clip back
            self.tail = networks.tail(config, self.axes) if self.in_features else None
        else:
            self.encoder = networks.encoder(config, self.axes)
        self.dtype = torch.float32  # the type of the networks' arithmetic
        for level in range(trained_levels):
            self.add_level(networks.level_network(config, level, self.axes), 0.0)

    def facts(self) -> dict[str, Any]:
        return {
            "shapes": [list(shape) for shape in self.shapes],
            "frames": self.frames,
            "rate": str(self.rate),
            "trained_levels": len(self.levels),
        }

    @property
    def in_features(self) -> bool:
        """True where levels hand on features, not pictures."""
        return self.config.variant == "consingan3d"

    @property
    def is_picture(self) -> bool:
        """True for a clip of one frame."""
        return self.axes == 2 or all(shape[0] == 1 for shape in self.shapes)

    @property
    def real(self) -> Tensor:
        """The real clip, all its frames, (1, 3, T, H, W)."""
        return self.clip.to(self.amplitudes).div(127.5).sub(1)

    @property
    def finest(self) -> int:
        """The finest level that is trained."""
        return len(self.levels) - 1

    def is_vae(self, level: int) -> bool:
        """True for a level that learns to give the clip back, false for one that learns from a critic."""
        return not self.config.is_baseline and level < self.config.vae_levels

    def is_noisy(self, level: int) -> bool:
        """True for a level that gets noise: those with critics; of a picture all but the coarsest (as published)."""
        return level > 0 and (self.is_picture or not self.is_vae(level))

    def add_level(self, network: nn.Module, amplitude: float) -> None:
        """Put the network of a level on top.  amplitude: of its noise."""
        self.levels.append(network.to(self.amplitudes))
        self.amplitudes = torch.cat([self.amplitudes, self.amplitudes.new_tensor([amplitude])])

    def code_shape(self, shape: Shape) -> tuple[int, ...]:
        """The shape of one random code, (channels, *space), for a coarsest level of this shape."""
        return (3 if self.config.is_baseline else self.config.latent, *shape)

    def noise_shape(self, level: int, shape: Shape) -> tuple[int, ...]:
        """The shape of the noise that a level gets for one sample, (channels, *space)."""
        margin = networks.margin(self.config, level)
        return (self.config.width if self.in_features else 3, *(side + 2 * margin for side in shape))

    def encoded(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log variances of the codes, (B, latent, *space), of clips at the coarsest level."""
        mean, variance = self._run(self.encoder, images).chunk(2, 1)
        return mean, variance

    def first(self, codes: Tensor) -> Tensor:
        """The state after the coarsest level: a clip, or its features.  codes: (B, *code_shape)."""
        made = self._run(self.levels[0], self._surrounded(0, codes))
        return made if self.in_features else torch.tanh(made)

    def refined(self, level: int, state: Tensor, shape: Shape, noise: Tensor | None = None) -> Tensor:
        """The state after a level, from that after the level below.

        noise: N(0, 1), (R, *noise_shape), for the last R samples of the state, which are in random mode; the others, or
        all for None, are in reconstruction mode.
        """
        larger = risen(state, shape)
        inputs = self._surrounded(level, larger)
        if noise is not None:
            quiet = len(state) - len(noise)
            margin = networks.margin(self.config, level)
            # Published: the baselines stretch the picture itself over the margin where there is noise.
            under = risen(state[quiet:], tuple(side + 2 * margin for side in shape)) if margin else larger[quiet:]
            inputs = torch.cat([inputs[:quiet], under + self.amplitudes[level] * noise])
        network = self.levels[level]
        held = torch.is_grad_enabled() and any(p.requires_grad for p in network.parameters())
        if held and len(inputs) * math.prod(shape) >= MANY:
            how = {"use_reentrant": False, "preserve_rng_state": False}
            made = torch.cat([checkpoint(self._run, network, one, **how) for one in inputs.split(1)])
        else:
            made = self._run(network, inputs)
        total = made + larger
        return total if self.in_features else torch.tanh(total)

    def pictured(self, state: Tensor) -> Tensor:
        """The clip that a state stands for."""
        return torch.tanh(self._run(self.tail, state)) if self.in_features else state

    @torch.no_grad()
    def samples(
        self,
        count: int,
        generator: torch.Generator,
        *,
        shape: Shape | None = None,
        first: int | None = None,
        clip: Tensor | None = None,
    ) -> Tensor:
        """New clips, (count, 3, *shape), clamped; the seed of the generator decides on them, one after another.

        shape: of the result; all levels are scaled alike.  None: that of the finest trained level.
        first: the level from which a real clip is refined; 0 refines its code.  None: all is made from noise.
        clip: (1, 3, *space), in place of the one that was learned.
        Raises OptionError for a level that there is not.
        """
        shapes = self.scaled_shapes(shape)
        if first is not None:
            self._check_first(first)
            clip = self._window() if clip is None else clip.to(self.amplitudes)
        made = [self._sample(generator, shapes, first, clip) for _ in range(count)]
        return torch.cat(made).clamp(-1, 1)

    @torch.no_grad()
    def reconstruction(self, generator: torch.Generator) -> Tensor:
        """The first window of the clip, given back by all levels that are trained, (1, 3, *shape)."""
        codes = self.start if self.config.is_baseline else self._code(self._window(), self.shapes[0], generator)
        state = self.first(codes)
        for level in range(1, len(self.levels)):
            state = self.refined(level, state, self.shapes[level])
        return self.pictured(state)

    def scaled_shapes(self, shape: Shape | None = None) -> list[Shape]:
        """The shapes of all trained levels where the finest of them has this shape.  Raises OptionError for another
        number of axes.
        """
        own = self.shapes[: len(self.levels)]
        if shape is None:
            return own
        if len(shape) != self.axes or min(shape) < 1:
            raise OptionError(f"a result of shape {tuple(shape)}: {self.axes} sides of 1 or more are needed")
        scales = [new / side for new, side in zip(shape, own[-1], strict=True)]
        coarser = [tuple(max(1, round(f * n)) for f, n in zip(scales, level, strict=True)) for level in own[:-1]]
        return [*coarser, tuple(shape)]

    def _sample(
        self, generator: torch.Generator, shapes: list[Shape], first: int | None, clip: Tensor | None
    ) -> Tensor:
        def drawn(*shape: int) -> Tensor:
            return torch.randn((1, *shape), generator=generator, device=generator.device).to(self.amplitudes)

        if first:  # the real clip in the place of what the level below made
            [state] = levels(clip, [shapes[first - 1]])
        elif first == 0:
            state = self.first(self._code(clip, shapes[0], generator))
        else:
            state = self.first(drawn(*self.code_shape(shapes[0])))
        for level in range(first or 1, len(shapes)):
            noise = drawn(*self.noise_shape(level, shapes[level])) if self.is_noisy(level) else None
            state = self.refined(level, state, shapes[level], noise)
        return self.pictured(state)

    def _code(self, clip: Tensor, shape: Shape, generator: torch.Generator) -> Tensor:
        """A code of a clip, drawn around its mean."""
        mean, variance = self.encoded(levels(clip, [shape])[0])
        noise = torch.randn(mean.shape, generator=generator, device=generator.device).to(mean)
        return mean + noise * (variance / 2).exp()

    def _window(self) -> Tensor:
        """The first window of the real clip, (1, 3, *space)."""
        return self.real if self.axes == 2 else self.real[:, :, : self.config.window]

    def _check_first(self, first: int) -> None:
        if not 0 <= first <= self.finest:
            raise OptionError(f"--inject is {first}: the model has the levels 0 to {self.finest}")
        if self.in_features or (first == 0 and self.config.is_baseline):
            which = "ConSinGAN's levels hand on features" if self.in_features else "SinGAN's level 0 begins with noise"
            raise OptionError(f"--inject is {first}: {which}, and not clips; leave it out")

    def _surrounded(self, level: int, images: Tensor) -> Tensor:
        """Images with the margin of zeros that a level's network needs around them."""
        margin = networks.margin(self.config, level)
        return F.pad(images, [margin] * 2 * self.axes) if margin else images

    def _run(self, network: nn.Module, images: Tensor) -> Tensor:
        return network(images.to(self.dtype)).to(images)


def _rate(text: str) -> Fraction:
    """Frames per second.  Raises InputError for a text that does not say them."""
    try:
        rate = Fraction(text) if isinstance(text, str) else Fraction(0)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if rate <= 0:
        raise InputError("rate must be a text with frames per second, such as 30000/1001")
    return rate


def _checked(shapes: Sequence[Sequence[int]], frames: int, trained_levels: int) -> list[Shape]:
    """The shapes of levels, if they can be.  Raises InputError."""
    are_shapes = isinstance(shapes, list | tuple) and all(
        isinstance(shape, list | tuple) and len(shape) in (2, 3) and all(type(side) is int for side in shape)
        for shape in shapes
    )
    if not shapes or not are_shapes or len({len(shape) for shape in shapes}) > 1:
        raise InputError("shapes must be pairs, or triples, of whole numbers")
    if type(trained_levels) is not int or type(frames) is not int:
        raise InputError("frames and trained_levels must be whole numbers")
    if any(not 1 <= side <= MOST_SIDE for shape in shapes for side in shape):
        raise InputError(f"sides of levels must be from 1 to {MOST_SIDE}")
    if not 0 <= trained_levels <= len(shapes) or not 1 <= frames <= 100_000:
        raise InputError(f"{trained_levels} trained levels of {len(shapes)}, and {frames} frames from 1 to 100,000")
    return [tuple(shape) for shape in shapes]
