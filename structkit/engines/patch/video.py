"""Structural analogy of a video: the training-free patch engine (`analogy.py`), frame by frame, with a memory.

The first frame is an analogy like any other.  Each later one starts from the patches of the result before, carried
along the motion of the source (`kernels/flow.py`), and is then made of the target's patches again, from its layout on,
so that neither blur nor faults add up.  Where the motion cannot be trusted, or the source has slowly become another, a
frame starts from the guide: the source in colours of the target, as in the first frame.  The guide leads everywhere, as
far as it did there: led by nothing but the result before, things would be lost little by little.

After the stylising of video by example (Jamriska et al., SIGGRAPH 2019), where the result before is likewise moved and
synthesised anew.  VGPNN (Haim et al., ECCV 2022) instead takes patches in space and time from all frames at once, which
cannot stream.
* Detail.  The pixels of a result, moved again and again, would melt.  What moves is the field, which says what patch of
  the target is where, and how much it counts; its vote is as sharp as the target.  What whole pixels leave of the
  motion is remembered.  Where patches lie side by side as in the target, they are not searched again.  Elsewhere the
  moved result is first given some of the target's contrast, at every level, the more the more detail was lost: else the
  smooth parts of the target would win.
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
from structkit.engines.patch.drafts import draft_plan, small_shape
from structkit.engines.patch.synthesis import Synthesis, SynthesisPlan, SynthesisState
from structkit.kernels.flow import (
    agreement,
    at_patches,
    carry_field,
    motion,
    resize_flow,
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
FINER_ROUNDS = 2  # at the levels beyond the small ones
STILL = 0.02  # mean change around a pixel, of 2, up to which it counts as none: the noise of a compressed video
FOREIGN = 0.12  # difference between a frame and the moved one before, of 2, at which the motion is hardly trusted
STRETCHED = 0.25  # share of patches, around one, not beside their neighbours as in the target (`stretch_of`)
# At the finer levels the share of the target's contrast that is given where the last frame was as crisp as the first,
# what that grows by for each share that it lacked, and the most.
GIVEN, GROWTH, MOST_GIVEN = 0.25, 2.0, 0.75
CUT = 0.2  # trusted share below which a frame is another scene; 0.4 and more within 38 clips, under 0.05 between most


Grids = tuple[Sequence[int], Sequence[int]]


@dataclass(frozen=True)
class FrameMemory:
    """Memory of a frame.

    result; source: the frame it was made from, pixel by pixel; meant: the source's colours when each part of the result
    was chosen, since then moved along with it; fields: at each level the key patch that each patch of the result is
    made of; weights: theirs in the vote of the last level; rest (2, rows, columns): what the last level's owes to the
    motion, px (`kernels.flow.carry_field`); maps (1, any, H, W): those that guide it, as the source is.
    """

    source: Tensor
    result: Tensor
    meant: Tensor
    fields: dict[int, Tensor]
    weights: Tensor
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
        self.crisp = detail_of(first.picture) / detail_of(source)
        weights = _evened(first.weights, first.field)
        rest = source.new_zeros(2, *self._grids(self.last)[0])
        return FrameMemory(source, first.picture.clamp(-1, 1), source, {self.last: first.field}, weights, rest, maps)

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
        weights = warp_field(before.weights, grid, there, torch.ones_like(trust, dtype=torch.bool), before.weights)
        moved = self._voted(carried, weights)
        meant = warp(before.meant, there, cubic=True).clamp(-1, 1)
        layout = self.made.shapes[self.made.layout]
        trust = trust * resize(
            _likeness(resize(source, layout), resize(meant, layout), FOREIGN), source.shape[-2:]
        ).clamp(0, 1)
        whole = F.interpolate((2 - stretch_of(carried, grid, keys) / STRETCHED).clamp(0, 1), size=source.shape[-2:])
        fields = before.fields | {self.last: carried}
        guide, plan = self._guide(source, before), self._finer(before)
        state, fields, trusted = self._synthesised(guide, plan, moved, there, (trust, whole), fields)
        held = at_patches(trusted > 0.5, grid).flatten()
        fields[self.last] = torch.where(held, carried, fields[self.last])
        weights = torch.where(held, weights, _evened(state.weights, fields[self.last]))
        result, rest = self._voted(fields[self.last], weights), rest * held.view(*grid)
        seen, then = torch.cat([source, maps], 1), torch.cat([before.source, before.maps], 1)
        change = _around((seen - then).abs().amax(1, keepdim=True), 7)
        still = (2 - change / STILL).clamp(0, 1)
        meant = torch.lerp(source, meant, trust)
        kept = (source, before.source), (result, before.result), (meant, before.meant), (maps, before.maps)
        source, result, meant, maps = (torch.lerp(new, old, still) for new, old in kept)
        resting = at_patches(still > 0.5, grid)
        rest, flat = torch.where(resting, before.rest, rest), resting.flatten()
        fields[self.last] = torch.where(flat, before.fields[self.last], fields[self.last])
        weights = torch.where(flat, before.weights, weights)
        return FrameMemory(source, result, meant, fields, weights, rest, maps)

    def _finer(self, before: FrameMemory) -> SynthesisPlan:
        """The plan of the finer levels: the more a frame lost of the detail of the first, measured by those of their
        sources, the more contrast the next is given.
        """
        lacking = 1 - detail_of(before.result) / detail_of(before.source) / self.crisp
        given = min(max(GIVEN + round(64 * GROWTH * lacking) / 64, 0.0), MOST_GIVEN)
        return replace(self.plan, contrast=given) if self.plan.contrast else self.plan

    def _voted(self, field: Tensor, weights: Tensor) -> Tensor:
        """The picture (1, 3, H, W) of the last level's key patches."""
        grid = self._grids(self.last)[0]
        return vote(self.made.keys(self.last)[0], field, grid, patch=self.made.patch, weights=weights)[None]

    def _guide(self, source: Tensor, before: FrameMemory) -> Tensor:
        """Guide (1, 3, h, w), of the first frame's kind; it leads as it led there.

        The published form has none: what cannot be carried along begins as what stood before for parts of the source
        that look like it (image analogies: Hertzmann et al., SIGGRAPH 2001).
        """
        assert self.first is not None
        if self.config.match == "structure":
            return self.first.guide(source)
        patch = self.made.patch
        # The search is exact, and a large result may begin large.
        shape = small_shape(self.made.shapes[self.made.layout], least=max(patch) + 1)
        now, then, shown = (resize(picture, shape)[0] for picture in (source, before.meant, before.result))
        likest = nearest_patches(extract(now, patch), extract(then, patch)).index
        return vote(shown, likest, patch_grid(shape, patch), patch=patch)[None]

    def _synthesised(
        self,
        guide: Tensor,
        finer: SynthesisPlan,
        moved: Tensor,
        there: Tensor,
        trusts: tuple[Tensor, Tensor],
        fields: dict[int, Tensor],
    ) -> tuple[SynthesisState, dict[int, Tensor], Tensor]:
        """State of a picture of the target's patches, from the moved result where it is trusted, else from the guide;
        its fields; and the trust (1, 1, H, W) at the last level.

        finer: the plan beyond the small levels.
        trusts (1, 1, H, W), both: in the moved result, and, at the finer levels, in its detail.
        """
        trust, whole = trusts
        assert self.first is not None
        made, state, found, trusted = self.made, SynthesisState(guide), {}, trust
        for level in range(made.starting_near(self.first.start), len(made.shapes)):
            shape, plan = made.shapes[level], self.plan if level <= made.layout else finer
            coarser, own, trusted = resize(state.picture, shape), resize(moved, shape), resize(trust, shape).clamp(0, 1)
            if level > made.layout:
                trusted = trusted * resize(whole, shape).clamp(0, 1)
            if opens := level > made.layout and plan.rounds > 1 and state.field is not None:
                # What is new lacks detail: its first round is the whole level's.
                state = made.run(state, [level], replace(plan, rounds=1), guide)
                coarser = state.picture
            flow = torch.zeros_like(there) if level == self.last else resize_flow(there, shape)  # there it has moved
            start = SynthesisState(
                torch.lerp(coarser, own, trusted), *self._seed(state, level, fields.get(level), flow, trusted > 0.5)
            )
            state = made.run(start, [level], replace(plan, rounds=plan.rounds - opens), guide)
            found[level] = state.field
        return state, found, trusted

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
    """The plan of later frames: that of the first with fewer rounds, since they begin with what there was."""
    if config.match == "colour":
        return plan_for(config, rounds=ROUNDS, small_rounds=SMALL_ROUNDS, completeness=1.0)
    guidance = STYLE_GUIDANCE * config.strength if config.mode == "style" else guidance_at(config.strength)
    plan, completeness = draft_plan(config, shape, guidance), config.completeness or 0.0
    few = plan_for(config, rounds=FINER_ROUNDS, small_rounds=SMALL_ROUNDS, completeness=completeness)
    return replace(plan, rounds=few.rounds, small_rounds=few.small_rounds, fine_rounds=None, alpha=few.alpha)


def detail_of(picture: Tensor) -> float:
    """Detail of a picture (1, C, H, W): the mean square of the Laplacian of its mean channel, never 0."""
    grey = picture.double().mean(1)
    bent = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:] - 4 * grey[:, 1:-1, 1:-1]
    return float(bent.square().mean()) + 1e-9


def _evened(weights: Tensor | None, field: Tensor) -> Tensor:
    """Weights (N,) of the patches of a field in a vote, 1 in the mean."""
    return torch.ones_like(field, dtype=torch.float32) if weights is None else weights / weights.mean()


def _likeness(one: Tensor, other: Tensor, limit: float) -> Tensor:
    """Likeness (1, 1, H, W) in [0, 1]: 1 where two pictures are alike, near 0 from about `limit` on."""
    return torch.exp(-_around((one - other).square().mean(1, keepdim=True), 5) / limit**2)


def _around(x: Tensor, side: int) -> Tensor:
    """Means (B, 1, H, W) over windows of `side` px; at the border over what is there."""
    return F.avg_pool2d(x, side, 1, side // 2, count_include_pad=False)
