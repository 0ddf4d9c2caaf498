"""New clips from one, made of its patches in space and time, without training.

After VGPNN (Haim et al., ECCV 2022): from the clip's coarsest level with noise, level by level, in space and in time.

Differs from the paper, where it takes noise of deviation 5 and the median of patches:
* Less noise, and another start.  The clip is first moved sideways by some way, round the edge.  A third of the noise
  then gives as many arrangements, and fewer of them fall to pieces.
* Upright.  At the levels where layout is settled, patches are compared by their height in the frame, too: the sky stays
  above.
* Patches vote by their mean at coarse levels, which blends what does not fit; at fine levels the mean is weighted by
  how well they fit, which keeps it sharp.
* Three rounds at fine levels, with PatchMatch that goes on from level to level.
Expect: tests/benchmarks/clip_samples.csv for scores beside the published ones, genvideo_time.csv for time.

Clips are (1, 3, T, H, W) in [-1, 1]; shapes are (T, H, W).  The same generator state gives the same result.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from structkit.configs import ClipConfig
from structkit.engines.patch.course import finish, plan_for, start_of
from structkit.engines.patch.repeats import around_resized, loop_stretch, near_loop, with_way_back
from structkit.engines.patch.synthesis import (
    SMALL,
    HeldPart,
    Synthesis,
    SynthesisPlan,
    SynthesisState,
    synthesis_shapes,
)
from structkit.engines.patch.windows import by_windows, frames_around, spans, window_frames
from structkit.kernels.pyramid import Shape, resize

Progress = Callable[[float, str], None]

COARSEST = 15  # px: short side of level 0, about two patches
FRAMES = 3  # of a patch
FRAME_RATIO = 0.8  # frames of one level to those of the next finer
NOISE, LONG_NOISE = 3.0, 1.5  # deviation of the noise at variety 1; of long clips, whose times must stay in their order
SOFTNESS = 0.3  # see `SynthesisPlan`
LOOP_FIRST, LOOP_NOISE = 56, 0.4  # px: short side of the level that a loop begins at; noise there at variety 1
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
    More frames than a window's are arranged at once where they are small, then made by windows; of a longer clip than
    that, and than the result, some part serves.
    """
    plan = clip_plan(config, first_rounds=1)
    window = window_frames(config, shape[1:])
    if loop and clip.shape[2] <= window:
        clip = with_way_back(clip, shape[0])
    if max(clip.shape[2], shape[0]) > window:
        return _long_sample(clip, config, plan, shape, loop, window, generator, progress)
    made = ClipSynthesis(clip, config, shape, generator=generator, loop=loop)
    start, first = made.start(clip)
    return made.run(start, plan, progress, first=first)


def _long_sample(
    clip: Tensor,
    config: ClipConfig,
    plan: SynthesisPlan,
    shape: Shape,
    loop: bool,
    window: int,
    generator: torch.Generator,
    progress: Progress,
) -> Tensor:
    """The same by windows: from the arrangement of all frames each is made, with the clip's frames around its time."""
    clip = _some_part(clip, max(shape[0], window), generator)
    coarsest = max(config.coarsest or COARSEST, config.patch + 1)
    shapes = synthesis_shapes(shape, coarsest=coarsest, frame_ratio=FRAME_RATIO, least=(FRAMES,))
    small = [own for own in shapes if min(own[1:]) <= SMALL and math.prod(own) <= window * math.prod(shape[1:])]
    first = max(0, len(small) - 1)
    ratio, by = shapes[first][0] / shape[0], min(shapes[first][1:]) / min(shape[1:])
    scale = min(shape[1:]) / min(clip.shape[3:]) * by
    reduced = (
        max(FRAMES, round(clip.shape[2] * ratio)),
        *(max(config.patch + 1, round(s * scale)) for s in clip.shape[3:]),
    )
    few = resize(clip, reduced).clamp(-1, 1)
    if loop:
        at, length, faded = loop_stretch(few, shapes[first][0], generator if config.variety else None)
        few = few[:, :, at : at + length + faded]
        clip = clip[:, :, round(at / ratio) : round((at + length + faded) / ratio)]
    rough = ClipSynthesis(few, config, shapes[first], generator=generator, loop=loop, timely=True)
    start, level = rough.start(few)
    arranged = rough.run(start, plan, first=level)
    spread = around_resized if loop else resize
    arranged = spread(arranged, (shape[0], *arranged.shape[3:]))
    windows = spans(shape[0], window, loop=loop)

    def make(number: int, frames: range, held: HeldPart | None) -> Tensor:
        middle = (frames.start + frames.stop) / 2 % shape[0] * clip.shape[2] / shape[0]
        keys = clip[:, :, frames_around(middle, clip.shape[2], window)]
        own = (len(frames), *shape[1:])
        made = ClipSynthesis(keys, config, own, generator=generator, held=held, loop=loop and len(windows) == 1)

        def tick(share: float, note: str) -> None:
            progress((number + share) / len(windows), note)

        return made.run(arranged[:, :, torch.tensor(frames) % shape[0]], plan, tick, first=first)

    return by_windows(shape, windows, make)


def _some_part(clip: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """The clip, or of a longer one than `most` frames so many in a row."""
    spare = clip.shape[2] - most
    if spare <= 0:
        return clip
    first = int(torch.randint(spare + 1, (), generator=generator, device=generator.device))
    return clip[:, :, first : first + most]


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
        timely: bool = False,
        frame_ratio: float = FRAME_RATIO,
    ) -> None:
        """clip (1, 3, T, H, W): the keys.  held, loop: as of a `Synthesis`.  timely: patches are compared by their time
        in the clip, too, where they are by their height.  Raises OptionError.
        """
        how = start_of(config, COARSEST) | {"patch": (FRAMES, config.patch, config.patch)}
        how |= {"generator": generator, "frame_ratio": frame_ratio, "loop": loop}
        self.free = Synthesis(clip, shape, held=held, **how)
        self.shapes = self.free.shapes
        self.coarse: Synthesis | None = None
        self.config, self.timely, self.loop, self.generator = config, timely, loop, generator
        if config.upright or timely:
            keys = self._with_places(clip)
            standing = None if held is None else HeldPart(self._with_places(held.picture), held.known)
            self.coarse = Synthesis(keys, shape, values=clip, held=standing, **how)

    def start(self, clip: Tensor) -> tuple[Tensor, int]:
        """The start (1, 3, T, h, w) of a new arrangement of the clip, and the level that it is for.

        A loop keeps the arrangement of the clip, or there would be none: what noise leaves is often still.
        """
        if self.loop:
            level = self.free.starting_near(LOOP_FIRST)
            near = near_loop(self.free.keys(level), self.shapes[level], self.generator if self.config.variety else None)
            noise = torch.randn(near.shape, generator=self.generator, device=self.generator.device).to(near)
            return near + LOOP_NOISE * self.config.variety * noise, level
        noise = LONG_NOISE if self.timely else NOISE
        return noisy_start(resize(clip, self.shapes[0]), self.config.variety, self.generator, noise), 0

    def run(
        self,
        start: Tensor,
        plan: SynthesisPlan,
        progress: Progress = lambda share, note: None,
        *,
        first: int = 0,
    ) -> Tensor:
        """The result (1, 3, *shape), from a start (1, 3, *any shape) of level `first`."""
        state, level = SynthesisState(start), first
        if self.coarse:
            level = max(first, 1, sum(shape[1] <= UPRIGHT_TO for shape in self.shapes))
            if level > first:
                state = SynthesisState(self._with_places(start))
                state = self.coarse.run(state, range(first, level), plan)
                state = replace(state, picture=self.coarse.painted(state))
        made = finish(self.free, state, level, plan, None, progress)
        return made if self.free.held is None else self.free.held.over(made)

    def _with_places(self, clip: Tensor) -> Tensor:
        """The clip with channels more, which tell the height of each pixel in the frame, and its time."""
        places, upright = [clip], self.config.upright
        if upright:
            heights = torch.linspace(-upright, upright, clip.shape[3]).to(clip)
            places.append(heights[:, None].expand_as(clip[:, :1]))
        if self.timely:
            times = torch.linspace(-1, 1, clip.shape[2]).to(clip)
            places.append(times[:, None, None].expand_as(clip[:, :1]))
        return torch.cat(places, 1)


def clip_plan(config: ClipConfig, *, first_rounds: int | None = None) -> SynthesisPlan:
    """Plan of what the user said about a clip, else of what has been found good."""
    plan = plan_for(config, rounds=3, small_rounds=4, completeness=0.0, first_rounds=first_rounds)
    return replace(plan, softness=SOFTNESS)


def noisy_start(start: Tensor, variety: float, generator: torch.Generator, most: float = NOISE) -> Tensor:
    """The start (1, 3, T, H, W) of a level, moved sideways round the edge, with noise.

    variety: 0 leaves it as it is; 1 gives noise of deviation `most`.
    """
    width = start.shape[-1]
    way = (torch.rand((), generator=generator, device=generator.device) - 0.5) * width * min(1.0, 2 * variety)
    noise = torch.randn(start.shape, generator=generator, device=generator.device).to(start)
    return torch.roll(start, int(way.round()), -1) + most * variety * noise
