"""Analogy of two clips by patches in space and time: the structure of one, how it moves too, with the look of another.

After VGPNN (Haim et al., ECCV 2022, sec. video analogies).  What moves becomes what moves: at the coarse half of the
levels patches are compared by their colours and by the rank of their speed, a channel more.  Ranks make a slow clip and
a fast one comparable.  The result is made of the target's patches, which bring their motion with them.

Three forms:
* `match="motion"`, the published one: the result starts from the target's patches that are nearest by speed alone.
* `match="structure"`: it starts from the source in the target's colours, the guide of `analogy.py`, which takes part
  in the comparison where layout is settled; the ranks of speeds do, too.  What moves gets the colours of what moves,
  and what rests of what rests.  So still parts keep their structure, and clips without motion can be used.
  Strength says where it starts, how much the guide counts and up to which level.
* `match="colour"`: raw colours alone, as for pictures.  A clip of one frame gives the bits of the picture's analogy.

Differs from the paper:
* Speeds are those of `kernels/flow.py`, without trained weights, as the mean over a few frames: flow that jumps from
  frame to frame would let the layout jump.
* Patches that fit better count for more in the vote, where the paper takes the median.  There are 2 to 4 rounds at a
  level (published: 1), each level has 3/4 of the next one's sides (0.9), and both clips have the same number of ranks.
* The finer levels of a long source are made by windows; each begins with the last frames of the one before, which are
  held, and then let go.
Expect: tests/benchmarks/clip_analogy.csv for scores beside the published results and for time.

Clips are (1, 3, T, H, W) in [-1, 1]; shapes are (T, H, W).  The same generator state gives the same result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from structkit.configs import AnalogyConfig
from structkit.engines.patch.alignment import transport_colours
from structkit.engines.patch.analogy import published_plan, published_start
from structkit.engines.patch.channels import Channels
from structkit.engines.patch.clips import FRAME_RATIO, FRAMES, SOFTNESS
from structkit.engines.patch.course import finish, plan_for
from structkit.engines.patch.draft_ways import COLOURS, STYLE_GUIDANCE, style_start
from structkit.engines.patch.drafts import guide_of, style_led
from structkit.engines.patch.synthesis import SMALL, HeldPart, Synthesis, SynthesisPlan, SynthesisState
from structkit.errors import OptionError
from structkit.kernels.flow import motion
from structkit.kernels.pyramid import Shape, resize

Progress = Callable[[float, str], None]

COARSEST = 20  # px: short side of level 0 up to strength 0.5; ...
FINER = 2.4  # ... up to strength 1 as many times as large
COMPLETENESS = 1.0
RANKS = 4  # of speeds; ...
POWER = 0.25  # ... and what they are raised to: what moves at all is set apart from what does not
SPREAD = 5  # frames over which speed is averaged
VOXELS = 2e6  # of a window: memory is about 2 kB for each
LEAST_WINDOW, SHARED = 16, 6  # frames of a window at least, and of two neighbours both


def analogy_clip(
    source: Tensor,
    target: Tensor,
    config: AnalogyConfig,
    *,
    shape: Shape,
    guides: Sequence[Channels] = (),
    generator: torch.Generator,
    progress: Progress = lambda share, note: None,
) -> Tensor:
    """Clip (1, 3, *shape) with the structure and the course of source and the patches of target.

    source (1, 3, T, H, W), of as many frames as the result, in any size; target (1, 3, T2, H2, W2).  Speeds are seen
    best in clips with a short side of about 160 px.
    guides: maps of both, source (1, any, T, any, any), compared beside the colours at every level.
    Raises OptionError for another number of frames.
    """
    if source.shape[2] != shape[0]:
        raise OptionError(f"an analogy of {source.shape[2]} frames in {shape[0]}: a source keeps its frames")
    pair = ClipPair(source, target, config, shape, guides, generator)
    result = source.new_empty(1, 3, *shape)
    parts = list(windows(shape[0], max(LEAST_WINDOW, int(VOXELS / (shape[1] * shape[2]))), SHARED))
    for number, frames in enumerate(parts):

        def told(share: float, note: str, number: int = number) -> None:
            progress((number + share) / len(parts), note if len(parts) == 1 else f"part {number + 1}, {note}")

        known = parts[number - 1].stop - frames.start if number else 0
        result[:, :, frames] = pair.part(frames, result[:, :, frames.start : frames.start + known], told)
    return result


class ClipPair:
    """A source and a target, and the result of the coarse levels, of which all frames are made at once."""

    def __init__(
        self,
        source: Tensor,
        target: Tensor,
        config: AnalogyConfig,
        shape: Shape,
        guides: Sequence[Channels],
        generator: torch.Generator,
    ) -> None:
        self.shape = shape
        coarsest = config.coarsest or start_of_clips(config, shape[1:])
        self.how = {"coarsest": coarsest, "generator": generator, "frame_ratio": FRAME_RATIO}
        self.how |= {"patch": (FRAMES, config.patch, config.patch)}
        self.guides = guides
        self.made = made = Synthesis(target, shape, beside=guides, **self.how)
        self.plan = clip_plan_of(config, shape)
        speeds = [ranks(resize(speed(clip), to)) for clip, to in ((source, shape), (target, made.target.shape[2:]))]
        self.mine, self.theirs = (2 * rank - 1 for rank in speeds)
        start = self._moving_alike() if config.match == "motion" else self._guide(source, config)
        self.guide = start if config.match == "structure" else None
        self.coarse = range(max(1, len(made.shapes) // 2))  # levels
        if config.match == "colour":
            self.state = made.run(SynthesisState(start), self.coarse, self.plan)
        else:
            told = self._told(torch.cat([made.target, self.theirs], 1))
            hint = None if self.guide is None else self._with_motion(self.guide)
            state = told.run(SynthesisState(self._with_motion(start)), self.coarse, self.plan, hint)
            self.state = replace(state, picture=state.picture[:, :3].contiguous())

    def _guide(self, source: Tensor, config: AnalogyConfig) -> Tensor:
        """The start (1, 3, t, h, w) in colours of the target: what moves in those of what moves there."""
        made, generator = self.made, self.how["generator"]
        source = resize(source, self.shape).clamp(-1, 1)
        if config.match == "colour" or config.mode != "analogy":
            if config.match == "colour":
                return source
            if config.mode != "style":
                source = resize(source, made.shapes[made.layout]).clamp(-1, 1)
            return guide_of(source, made, COLOURS[config.mode][0], config.mode, generator)
        whole, source = source, resize(source, made.shapes[made.layout]).clamp(-1, 1)
        guide = self._recoloured(source)
        if self.plan.guided_to > SMALL:  # fine levels are guided, too: what colours change is brought to their size
            guide = (whole + resize(guide - source, self.shape)).clamp(-1, 1)
        return guide

    def _recoloured(self, source: Tensor) -> Tensor:
        """The source (1, 3, t, h, w), of the layout's shape, in colours of the target."""
        made, generator = self.made, self.how["generator"]
        target = made.keys(made.layout)
        moving = [
            resize(rank, clip.shape[2:]).flatten() > -0.5 for rank, clip in ((self.mine, source), (self.theirs, target))
        ]
        parts = [torch.stack([~part, part]) for part in moving]
        if not all(bool(part.any(1).all()) for part in parts):
            return transport_colours(source, target, generator=generator)
        guide = source.flatten(2).clone()
        for mine, theirs in zip(*parts, strict=True):
            guide[:, :, mine] = transport_colours(
                guide[:, :, mine], target.flatten(2)[:, :, theirs], generator=generator
            )
        return guide.view_as(source)

    def _moving_alike(self) -> Tensor:
        """The start (1, 3, t, h, w) of the first level: what moves in the target as the source does there."""
        alone = self._told(self.theirs)
        start = SynthesisState(resize(self.mine, alone.shapes[0]))
        return alone.painted(alone.run(start, [0], replace(self.plan, small_rounds=1, rounds=1)))

    def _told(self, keys: Tensor) -> Synthesis:
        """The synthesis from keys whose last channel is motion.  That of the result is held: it is the source's."""
        known = torch.zeros_like(self.mine).expand(-1, keys.shape[1], -1, -1, -1).clone()
        known[:, -1:] = 1.0
        held = HeldPart(self.mine.expand_as(known), known)
        return Synthesis(keys, self.shape, values=self.made.target, held=held, beside=self.guides, **self.how)

    def _with_motion(self, clip: Tensor) -> Tensor:
        """A clip (1, 3, t, h, w), which lasts as long as the result, with the source's motion as its last channel."""
        return torch.cat([clip, resize(self.mine, clip.shape[2:])], 1)

    def part(self, frames: slice, known: Tensor, progress: Progress) -> Tensor:
        """The frames of the result, of which the first, `known` (1, 3, any, H, W), are there."""
        made, state, guide = self.made, self.state, self.guide
        if frames != slice(0, self.shape[0]):
            shape, held = (frames.stop - frames.start, *self.shape[1:]), None
            if known.shape[2]:
                picture, mask = known.new_zeros(1, 3, *shape), known.new_zeros(1, 1, *shape)
                picture[:, :, : known.shape[2]] = known
                mask[:, :, : known.shape[2]] = _letting_go(known.shape[2]).to(known)[:, None, None]
                held = HeldPart(picture, mask)
            beside = [replace(own, source=self._during(frames, own.source)) for own in self.guides]
            made = Synthesis(made.target, shape, held=held, beside=beside, **self.how)
            state = SynthesisState(self._during(frames, state.picture))
            guide = None if guide is None else self._during(frames, guide)
        return finish(made, state, len(self.coarse), self.plan, guide, progress).clamp(-1, 1)

    def _during(self, frames: slice, whole: Tensor) -> Tensor:
        """The part of a clip (1, C, t, h, w), which lasts as long as the result, that shows during `frames`."""
        return resize(whole, (self.shape[0], *whole.shape[3:]))[:, :, frames]


def _letting_go(count: int) -> Tensor:
    """How far each of `count` shared frames is held: the first half as it is, the others less and less."""
    return ((count - torch.arange(count)) / (count // 2 + 1)).clamp_max(1.0)


def start_of_clips(config: AnalogyConfig, shape: Shape) -> int:
    """The short side of the first level, px, where the user has not said it."""
    if config.match == "colour":
        return published_start(shape)
    if config.mode == "style":
        return style_start(config.strength, shape)
    return round(COARSEST * FINER ** max(0.0, 2 * config.strength - 1))


def guided_to(strength: float) -> float:
    """The short side, px, up to which levels are guided: at strength 0 hardly the first, at strength 1 all."""
    return COARSEST / (1 - strength) if strength < 1 else math.inf


def clip_plan_of(config: AnalogyConfig, shape: Shape) -> SynthesisPlan:
    """Plan of an analogy of clips: what the user said, else what suits the form."""
    if config.match == "colour":
        return published_plan(config)
    plan = plan_for(config, rounds=2, small_rounds=4, completeness=COMPLETENESS)
    led = {"guidance": 2 * config.strength**3, "guided": 1.0, "guided_to": guided_to(config.strength)}
    if config.mode == "style":
        led = {"guidance": STYLE_GUIDANCE * config.strength, "guided_to": style_led(config.strength, shape[1:])}
    return replace(plan, softness=SOFTNESS, **led)


def speed(clip: Tensor) -> Tensor:
    """Speed (1, 1, T, H, W), px a frame, at each place of a clip (1, 3, T, H, W): that of its motion from frame to
    frame, as a mean over a few.
    """
    frames = clip[0].transpose(0, 1)
    if len(frames) == 1:
        return torch.zeros_like(clip[:, :1])
    pairs = zip(frames[:-1].split(16), frames[1:].split(16), strict=True)  # so many at a time
    found = torch.cat([motion(*pair).square().sum(1).sqrt() for pair in pairs])[None, None]
    found = resize(found, clip.shape[2:]).clamp_min(0)
    spread = min(SPREAD, (len(frames) - 1) | 1)
    return F.avg_pool3d(found, (spread, 1, 1), 1, (spread // 2, 0, 0), count_include_pad=False)


def ranks(speeds: Tensor, *, count: int = RANKS, power: float = POWER, rounds: int = 100) -> Tensor:
    """Rank of each speed, 0 to 1, of `count` classes by k-means, raised to a power; the same if all speeds are scaled.

    Begins with classes of equal size.  Where all move alike, the ranks are 0.
    """
    ordered = speeds.flatten().double().sort().values
    total = F.pad(ordered.cumsum(0), (1, 0))
    edges = torch.arange(1, count, device=ordered.device) * len(ordered) // count
    limits = speeds.new_zeros(count - 1, dtype=torch.float64)
    for _ in range(rounds):
        bounds = F.pad(F.pad(edges, (1, 0)), (0, 1), value=len(ordered))
        few = bounds.diff()
        means = (total[bounds[1:]] - total[bounds[:-1]]) / few.clamp_min(1)
        means = torch.where(few > 0, means, ordered[bounds[:-1].clamp_max(len(ordered) - 1)])
        limits = (means[1:] + means[:-1]) / 2
        before, edges = edges, torch.searchsorted(ordered, limits, right=True)
        if torch.equal(before, edges):
            break
    if not bool(ordered[-1] > ordered[0]):
        return torch.zeros_like(speeds)
    return (torch.bucketize(speeds.double(), limits, right=True) / (count - 1)).to(speeds) ** power


def windows(count: int, most: int, shared: int) -> Iterator[slice]:
    """The windows of `most` frames at most into which `count` frames fall, about equally long, each of which shares at
    least `shared` frames with the one before.
    """
    parts = 1 if count <= most else -(-(count - shared) // (most - shared))
    length = -(-(count + shared * (parts - 1)) // parts)
    for part in range(parts):
        start = min(part * (length - shared), count - length)
        yield slice(start, start + length)
