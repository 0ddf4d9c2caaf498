"""Structural analogy of a video: the training-free patch engine (`analogy.py`), frame by frame, with a memory.

The first frame is an analogy like any other.  Each later one starts from the patches of the result before, carried
along the motion of the source (`kernels/flow.py`), and is then made of the target's patches again, from its layout on,
so that neither blur nor faults add up.  Where the motion cannot be trusted, or the source has slowly become another, a
frame starts from a guide: what stood before for parts of the source that look alike.  So the sea that comes into view
becomes the meadow that the sea was before.

After the stylising of video by example (Jamriska et al., SIGGRAPH 2019), where the result before is likewise moved and
synthesised anew.  VGPNN (Haim et al., ECCV 2022) instead takes patches in space and time from all frames at once, which
cannot stream.
* Detail.  The pixels of a result, moved again and again, would melt.  What moves is the field, which says what patch of
  the target is where; its vote is as sharp as the target.  What whole pixels leave of the motion is remembered.  At the
  finer levels patches that fit better count for more, and what is new is first compared with keys as blurred as it is:
  else the smooth parts of the target would win.
* Stillness.  Where the source does not change the result is kept to the last bit.  Change is measured against the frame
  that the result there was made from, not the last one: slow motion and slow fades are seen when they have added up.
* One draw.  Every frame begins with the same state of the generator.
* Cuts.  Where hardly anything can be trusted all starts anew.
Expect: tests/benchmarks/video.csv for time.  On 25 frames of six clips at 192 x 342 px, change from frame to frame is
0.1 to 0.9 times the source's; 1.75 times for a mosaic, which has more contrast than the source that it moves with.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import repeat

import torch
import torch.nn.functional as F
from torch import Tensor

from structkit.configs import AnalogyConfig
from structkit.engines.patch.analogy import Analogy, analogy, published_start
from structkit.engines.patch.channels import Channels
from structkit.engines.patch.course import plan_for
from structkit.engines.patch.draft_ways import STYLE_GUIDANCE, guidance_at, style_start
from structkit.engines.patch.drafts import small_shape, style_led
from structkit.engines.patch.synthesis import SMALL, Synthesis, SynthesisPlan, SynthesisState
from structkit.kernels.flow import (
    agreement,
    at_patches,
    carry_field,
    motion,
    resize_flow,
    rest_of,
    stretch_of,
    warp,
    warp_field,
)
from structkit.kernels.nearest_patches import nearest_patches
from structkit.kernels.patches import extract, patch_grid
from structkit.kernels.patchmatch import upscale_field
from structkit.kernels.pyramid import Shape, resize
from structkit.kernels.vote import vote

LAYOUT = 36  # px: short side of the level at which later frames begin
ROUNDS = SMALL_ROUNDS = 3
FINER_ROUNDS = 2  # at the levels between the small ones and the last
SOFTNESS = 0.5  # of votes: see `SynthesisPlan`
STILL = 0.02  # mean change around a pixel, of 2, up to which it counts as none: the noise of a compressed video
FOREIGN = 0.12  # difference between a frame and the moved one before, of 2, at which the motion is hardly trusted
MOVED = 0.15  # the same for the layouts of two results
STRETCHED = (
    0.25  # share of patches, around one, that do not lie beside their neighbours as in the target; see `stretch_of`
)
CUT = 0.2  # trusted share below which a frame is another scene; 0.4 and more within 38 clips, under 0.05 between most


Grids = tuple[Sequence[int], Sequence[int]]


@dataclass(frozen=True)
class FrameMemory:
    """Memory of a frame.

    result; source: the frame it was made from, pixel by pixel; meant: the source's colours when each part of the result
    was chosen, since then moved along with it; fields: at each level the key patch that each patch of the result is
    made of; rest (2, rows, columns): what the last level's owes to the motion, px (`kernels.flow.carry_field`);
    maps (1, any, H, W): those that guide it, as the source is.
    """

    source: Tensor
    result: Tensor
    meant: Tensor
    fields: dict[int, Tensor]
    rest: Tensor
    maps: Tensor


def analogy_frames(
    frames: Iterable[Tensor],
    target: Tensor,
    config: AnalogyConfig,
    *,
    shape: Shape,
    usable: Tensor | None = None,
    guides: Iterable[Sequence[Channels]] | None = None,
    generator: torch.Generator,
) -> Iterator[Tensor]:
    """Frames of the result, one for each of the source, as soon as it is made; no more than two are kept.

    frames (1, 3, h, w), the target and `usable` as in `patch.analogy`; results (1, 3, *shape), in [-1, 1].
    guides: those of each frame, whose targets stay the same.
    The same generator state gives the same results; they do not depend on later frames.
    """
    later: _LaterFrames | None = None
    draw = generator.get_state()
    before: FrameMemory | None = None
    for frame, own in zip(frames, repeat(()) if guides is None else guides, strict=False):
        source = resize(frame, shape).clamp(-1, 1)
        later = later or _LaterFrames(target, config, shape, usable, own, generator)
        maps = later.follow(own)
        generator.set_state(draw)
        after = later.frame(source, maps, before) if before else None
        if after is None:
            generator.set_state(draw)
            how = {"usable": usable, "guides": own, "generator": generator}
            after = later.begun(analogy(source, target, config, shape=shape, **how), source, maps)
        before = after
        yield before.result


class _LaterFrames:
    """Maker of the frames that have one before them."""

    def __init__(
        self,
        target: Tensor,
        config: AnalogyConfig,
        shape: Shape,
        usable: Tensor | None,
        guides: Sequence[Channels],
        generator: torch.Generator,
    ) -> None:
        how = {"patch": config.patch, "generator": generator, "usable": usable, "beside": guides}
        self.made = Synthesis(target, shape, coarsest=config.coarsest or start_of_frames(config, shape), **how)
        self.config, self.generator, self.last = config, generator, len(self.made.shapes) - 1
        self.first: Analogy | None = None
        self.plan = plan_of_frames(config, shape)

    def begun(self, first: Analogy, source: Tensor, maps: Tensor) -> FrameMemory:
        """Memory of the first frame of a scene; those after it are made as it was."""
        self.first = replace(first, picture=first.picture[..., :0])
        rest = source.new_zeros(2, *self._grids(self.last)[0])
        return FrameMemory(source, first.picture.clamp(-1, 1), source, {self.last: first.field}, rest, maps)

    def follow(self, guides: Sequence[Channels]) -> Tensor:
        """Take the guides of another frame; returns their maps (1, G, H, W), in the result's shape."""
        self.made.beside.follow([own.source for own in guides])
        return self.made.beside.maps(self.made.shapes[-1]).to(self.made.target)

    def frame(self, source: Tensor, maps: Tensor, before: FrameMemory) -> FrameMemory | None:
        """Memory of the frame made of source (1, 3, H, W), of the result's shape, with its maps (1, G, H, W); None for
        the first frame of another scene.
        """
        there, back = motion(torch.cat([source, before.source]), torch.cat([before.source, source])).split(1)
        trust = agreement(there, back) * _likeness(source, warp(before.source, there), FOREIGN)
        if trust.mean() < CUT:
            return None
        if maps.shape[1]:
            trust = trust * _likeness(maps, warp(before.maps, there), FOREIGN)
        grid, keys = self._grids(self.last)
        carried, rest = carry_field(before.fields[self.last], before.rest, grid, keys, there)
        moved = vote(self.made.keys(self.last)[0], carried, grid, patch=self.made.patch)[None]
        meant = warp(before.meant, there, cubic=True).clamp(-1, 1)
        layout = self.made.shapes[self.made.layout]
        trust = trust * resize(
            _likeness(resize(source, layout), resize(meant, layout), FOREIGN), source.shape[-2:]
        ).clamp(0, 1)
        whole = F.interpolate((2 - stretch_of(carried, grid, keys) / STRETCHED).clamp(0, 1), size=source.shape[-2:])
        fields = before.fields | {self.last: carried}
        result, fields, trusted = self._synthesised(self._guide(source, before), moved, there, (trust, whole), fields)
        rest = rest_of(rest, carried, fields[self.last], grid, keys) * at_patches(trusted > 0.5, grid)
        seen, then = torch.cat([source, maps], 1), torch.cat([before.source, before.maps], 1)
        change = _around((seen - then).abs().amax(1, keepdim=True), 7)
        still = (2 - change / STILL).clamp(0, 1)
        meant = torch.lerp(source, meant, trust)
        kept = (source, before.source), (result, before.result), (meant, before.meant), (maps, before.maps)
        source, result, meant, maps = (torch.lerp(new, old, still) for new, old in kept)
        resting = at_patches(still > 0.5, grid)
        rest = torch.where(resting, before.rest, rest)
        fields[self.last] = torch.where(resting.flatten(), before.fields[self.last], fields[self.last])
        return FrameMemory(source, result, meant, fields, rest, maps)

    def _guide(self, source: Tensor, before: FrameMemory) -> Tensor:
        """Guide (1, 3, h, w), which begins where nothing can be carried along: what stood before for parts of the
        source that look like it.

        So that one thing does not become two (image analogies: Hertzmann et al., SIGGRAPH 2001).  Where the first frame
        began at a fine level, as a style does, what is new begins there, too, from a guide of the same kind.
        """
        assert self.first is not None
        if self.config.match == "structure" and (self.config.mode == "style" or self.first.start > SMALL):
            return self.first.guide(source)
        patch = self.made.patch
        # The search is exact, and a large result may begin large.
        shape = small_shape(self.made.shapes[self.made.layout], least=max(patch) + 1)
        now, then, shown = (resize(picture, shape)[0] for picture in (source, before.meant, before.result))
        likest = nearest_patches(extract(now, patch), extract(then, patch)).index
        return vote(shown, likest, patch_grid(shape, patch), patch=patch)[None]

    def _synthesised(
        self, guide: Tensor, moved: Tensor, there: Tensor, trusts: tuple[Tensor, Tensor], fields: dict[int, Tensor]
    ) -> tuple[Tensor, dict[int, Tensor], Tensor]:
        """Picture of the target's patches, from the moved result where it is trusted, else from the guide; its fields;
        and the trust (1, 1, H, W) at the last level.

        trusts (1, 1, H, W), both: in the moved result, and, at the finer levels, in its detail.
        """
        trust, whole = trusts
        assert self.first is not None
        made, state, found, trusted, plan = self.made, SynthesisState(guide), {}, trust, self._plan()
        hint = torch.lerp(guide, *(resize(part, guide.shape[-2:]) for part in (moved, trust.clamp(0, 1))))
        for level in range(made.starting_near(self.first.start), len(made.shapes)):
            shape = made.shapes[level]
            coarser, own, trusted = resize(state.picture, shape), resize(moved, shape), resize(trust, shape).clamp(0, 1)
            if level > made.layout:
                trusted = trusted * resize(whole, shape).clamp(0, 1)
                trusted = trusted * _likeness(coarser, resize(resize(moved, made.shapes[level - 1]), shape), MOVED)
            own_plan = plan if level == self.last or self.config.rounds else replace(plan, rounds=FINER_ROUNDS)
            if opens := level > made.layout and own_plan.rounds > 1 and state.field is not None:
                # What is new lacks detail: its first round is the whole level's.
                state = made.run(state, [level], replace(plan, rounds=1), hint)
                coarser = state.picture
            flow = torch.zeros_like(there) if level == self.last else resize_flow(there, shape)  # there it has moved
            start = SynthesisState(
                torch.lerp(coarser, own, trusted), *self._seed(state, level, fields.get(level), flow, trusted > 0.5)
            )
            state = made.run(start, [level], replace(own_plan, rounds=own_plan.rounds - opens), hint)
            found[level] = state.field
        return state.picture.clamp(-1, 1), found, trusted

    def _plan(self) -> SynthesisPlan:
        """The plan of later frames, guided up to where the first one was."""
        assert self.first is not None
        return replace(self.plan, guided_to=max(self.plan.guided_to, self.first.plan.guided_to))

    def _grids(self, level: int) -> Grids:
        """The patch grids of the result and of the keys at a level."""
        return tuple(patch_grid(s, self.made.patch) for s in (self.made.shapes[level], self.made.key_shapes[level]))

    def _seed(
        self, coarser: SynthesisState, level: int, before: Tensor | None, there: Tensor, trusted: Tensor
    ) -> tuple[Grids, Tensor | None]:
        """Patch grids of a level, and the field to begin with: that of the frame before where it is trusted, else the
        one that there is.
        """
        grids, field = self._grids(level), before
        if coarser.grids is not None and coarser.field is not None:
            queries, keys = zip(coarser.grids, grids, strict=True)
            field = upscale_field(coarser.field, queries=queries, keys=keys)
        if before is not None:
            field = warp_field(before, grids[0], there, trusted, field)
        return grids, field


def start_of_frames(config: AnalogyConfig, shape: Shape) -> int:
    """The short side of the first level of later frames, px, where the user has not said it."""
    if config.match == "colour":
        return published_start(shape)
    return style_start(config.strength, shape) if config.mode == "style" else LAYOUT


def plan_of_frames(config: AnalogyConfig, shape: Shape) -> SynthesisPlan:
    """The plan of later frames; the published form has no guidance."""
    published = config.match == "colour"
    rounds = {"rounds": ROUNDS, "small_rounds": SMALL_ROUNDS}
    plan = replace(plan_for(config, **rounds, completeness=1.0 if published else 0.0), softness=SOFTNESS)
    if config.mode == "style":
        return replace(plan, guidance=STYLE_GUIDANCE * config.strength, guided_to=style_led(config.strength, shape))
    return plan if published else replace(plan, guidance=guidance_at(config.strength), guided=1.0)


def _likeness(one: Tensor, other: Tensor, limit: float) -> Tensor:
    """Likeness (1, 1, H, W) in [0, 1]: 1 where two pictures are alike, near 0 from about `limit` on."""
    return torch.exp(-_around((one - other).square().mean(1, keepdim=True), 5) / limit**2)


def _around(x: Tensor, side: int) -> Tensor:
    """Means (B, 1, H, W) over windows of `side` px; at the border over what is there."""
    return F.avg_pool2d(x, side, 1, side // 2, count_include_pad=False)
