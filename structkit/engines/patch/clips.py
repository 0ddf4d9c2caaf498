"""New clips from one, made of its patches in space and time, without training.

After VGPNN (Haim et al., ECCV 2022): from the clip's coarsest level with noise, level by level, in space and in time.

Differs from the paper, where it takes noise of deviation 5 and the median of patches:
* Less noise, and another start.  The clip is first moved sideways by some way, round the edge.  Half the noise then
  gives as many arrangements, and fewer of them fall to pieces.
* Upright.  At the levels where layout is settled, patches are compared by their height in the frame, too: the sky stays
  above.
* Patches vote by their mean at coarse levels, which blends what does not fit; at fine levels the mean is weighted by
  how well they fit, which keeps it sharp.
* Three rounds at fine levels, with PatchMatch that goes on from level to level.
Expect: tests/benchmarks/genvideo.csv for scores beside the published ones and for time.

Clips are (1, 3, T, H, W) in [-1, 1]; shapes are (T, H, W).  The same generator state gives the same result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from structkit.configs import ClipConfig
from structkit.engines.patch.course import finish, plan_for, start_of
from structkit.engines.patch.synthesis import HeldPart, Synthesis, SynthesisPlan, SynthesisState
from structkit.kernels.pyramid import Shape, resize

Progress = Callable[[float, str], None]

COARSEST = 15  # px: short side of level 0, about two patches
FRAMES = 3  # of a patch
FRAME_RATIO = 0.8  # frames of one level to those of the next finer
NOISE = 4.0  # deviation of the noise at variety 1
SOFTNESS = 0.3  # see `SynthesisPlan`
UPRIGHT_TO = 32  # px: height of the last level at which patches are compared by their height, too


def sample_clip(
    clip: Tensor,
    config: ClipConfig,
    *,
    shape: Shape,
    loop: bool = False,
    generator: torch.Generator,
    progress: Progress = lambda share, note: None,
) -> Tensor:
    """New arrangement (1, 3, *shape) of the clip's patches.

    A shape of another size or length shows more or less of the scene, nothing of it stretched.
    loop: true for one whose last frame leads to its first.
    """
    plan = clip_plan(config, first_rounds=1)
    made = ClipSynthesis(clip, config, shape, generator=generator, loop=loop)
    return made.run(noisy_start(resize(clip, made.shapes[0]), config.variety, generator), plan, progress)


class ClipSynthesis:
    """The synthesis of a clip of some shape from the patches of another: upright at its coarse levels, then free."""

    def __init__(
        self,
        clip: Tensor,
        config: ClipConfig,
        shape: Shape,
        *,
        generator: torch.Generator,
        held: HeldPart | None = None,
        loop: bool = False,
        frame_ratio: float = FRAME_RATIO,
    ) -> None:
        """clip (1, 3, T, H, W): the keys.  held, loop: as of a `Synthesis`.  Raises OptionError."""
        how = start_of(config, COARSEST) | {"patch": (FRAMES, config.patch, config.patch)}
        how |= {"generator": generator, "frame_ratio": frame_ratio, "loop": loop}
        self.free = Synthesis(clip, shape, held=held, **how)
        self.shapes = self.free.shapes
        self.coarse: Synthesis | None = None
        if config.upright:
            keys = self._with_heights(clip, config)
            standing = None if held is None else HeldPart(self._with_heights(held.picture, config), held.known)
            self.coarse = Synthesis(keys, shape, values=clip, held=standing, **how)
        self.config = config

    def run(
        self,
        start: Tensor,
        plan: SynthesisPlan,
        progress: Progress = lambda share, note: None,
    ) -> Tensor:
        """The result (1, 3, *shape), from a start (1, 3, *any shape) of the first level."""
        state, level = SynthesisState(start), 0
        if self.coarse:
            level = max(1, sum(shape[1] <= UPRIGHT_TO for shape in self.shapes))
            state = self.coarse.run(SynthesisState(self._with_heights(start, self.config)), range(level), plan)
            state = replace(state, picture=self.coarse.painted(state))
        made = finish(self.free, state, level, plan, None, progress)
        return made if self.free.held is None else self.free.held.over(made)

    def _with_heights(self, clip: Tensor, config: ClipConfig) -> Tensor:
        """The clip with a channel more, which tells the height of each pixel in the frame."""
        heights = torch.linspace(-config.upright, config.upright, clip.shape[3]).to(clip)
        return torch.cat([clip, heights[:, None].expand_as(clip[:, :1])], 1)


def clip_plan(config: ClipConfig, *, first_rounds: int | None = None) -> SynthesisPlan:
    """Plan of what the user said about a clip, else of what has been found good."""
    plan = plan_for(config, rounds=3, small_rounds=4, completeness=0.0, first_rounds=first_rounds)
    return replace(plan, softness=SOFTNESS)


def noisy_start(start: Tensor, variety: float, generator: torch.Generator) -> Tensor:
    """The start (1, 3, T, H, W) of a level, moved sideways round the edge, with noise.

    variety: 0 leaves it as it is.
    """
    width = start.shape[-1]
    way = (torch.rand((), generator=generator, device=generator.device) - 0.5) * width * min(1.0, 2 * variety)
    noise = torch.randn(start.shape, generator=generator, device=generator.device).to(start)
    return torch.roll(start, int(way.round()), -1) + NOISE * variety * noise
