"""Structural analogy of a video: the training-free patch engine (`analogy.py`), frame by frame, with a memory.

The first frame is an analogy like any other.  Each later one starts from the result before, moved along the motion of
the source (`kernels/flow.py`), and is then made of the target's patches again, from its layout on, so that neither blur
nor faults add up. Where the motion cannot be trusted, or the source has slowly become another, a frame starts from a
guide: what stood before for parts of the source that look alike.  So the sea that comes into view becomes the meadow
that the sea was before.

After the stylising of video by example (Jamriska et al., SIGGRAPH 2019), where the result before is likewise moved and
synthesised anew.  VGPNN (Haim et al., ECCV 2022) instead takes patches in space and time from all frames at once, which
cannot stream.
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
from structkit.engines.patch.analogy import analogy, coarsest_of, guide_of, plan_of, small_shape
from structkit.engines.patch.channels import Channels
from structkit.engines.patch.synthesis import Synthesis, SynthesisState
from structkit.kernels.flow import agreement, motion, resize_flow, warp, warp_field
from structkit.kernels.nearest_patches import nearest_patches
from structkit.kernels.patches import extract, patch_grid
from structkit.kernels.patchmatch import upscale_field
from structkit.kernels.pyramid import Shape, resize
from structkit.kernels.vote import vote

LAYOUT = 36  # px: short side of the level at which later frames begin
ROUNDS = SMALL_ROUNDS = 3
HOLD = 0.5  # of the way back from the patches to the moved result, where trusted: without it fine detail shimmers
STILL = 0.02  # mean change around a pixel, of 2, up to which it counts as none: the noise of a compressed video
FOREIGN = 0.12  # difference between a frame and the moved one before, of 2, at which the motion is hardly trusted
MOVED = 0.15  # the same for the layouts of two results
CUT = 0.2  # trusted share below which a frame is another scene; 0.4 and more within 38 clips, under 0.05 between most


Grids = tuple[Sequence[int], Sequence[int]]


@dataclass(frozen=True)
class FrameMemory:
    """Memory of a frame.

    result; source: the frame it was made from, pixel by pixel; meant: the source's colours when each part of the result
    was chosen, since then moved along with it; fields: at each level the key patch that each patch of the result is
    made of; maps (1, any, H, W): those that guide it, as the source is.
    """

    source: Tensor
    result: Tensor
    meant: Tensor
    fields: dict[int, Tensor]
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
            first = analogy(source, target, config, shape=shape, **how)
            after = FrameMemory(source, first.clamp(-1, 1), source, {}, maps)
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
        self.made = Synthesis(target, shape, coarsest=config.coarsest or coarsest_of(config, shape, LAYOUT), **how)
        self.config, self.generator = config, generator
        self.plan = plan_of(config, shape, rounds=ROUNDS, small_rounds=SMALL_ROUNDS)
        if config.mode != "style":  # a style's guidance is part of its plan; the published form has none
            self.plan = replace(self.plan, guidance=0.0 if config.match == "colour" else config.strength, guided=1.0)

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
        moved, meant = (warp(picture, there, cubic=True).clamp(-1, 1) for picture in (before.result, before.meant))
        layout = self.made.shapes[self.made.layout]
        trust = trust * resize(
            _likeness(resize(source, layout), resize(meant, layout), FOREIGN), source.shape[-2:]
        ).clamp(0, 1)
        result, fields = self._synthesised(self._guide(source, before), moved, there, trust, before.fields)
        seen, then = torch.cat([source, maps], 1), torch.cat([before.source, before.maps], 1)
        change = _around((seen - then).abs().amax(1, keepdim=True), 7)
        still = (2 - change / STILL).clamp(0, 1)
        meant = torch.lerp(source, meant, trust)
        kept = (source, before.source), (result, before.result), (meant, before.meant), (maps, before.maps)
        source, result, meant, maps = (torch.lerp(new, old, still) for new, old in kept)
        return FrameMemory(source, result, meant, fields, maps)

    def _guide(self, source: Tensor, before: FrameMemory) -> Tensor:
        """Guide (1, 3, h, w), which begins where nothing can be carried along: what stood before for parts of the
        source that look like it.

        So that one thing does not become two (image analogies: Hertzmann et al., SIGGRAPH 2001).  A style's is that of
        its first frame.
        """
        if self.config.mode == "style":
            return guide_of(source, self.made, self.config, self.generator)
        patch = self.made.patch
        # The search is exact, and a large result may begin large.
        shape = small_shape(self.made.shapes[self.made.layout], least=max(patch) + 1)
        now, then, shown = (resize(picture, shape)[0] for picture in (source, before.meant, before.result))
        likest = nearest_patches(extract(now, patch), extract(then, patch)).index
        return vote(shown, likest, patch_grid(shape, patch), patch=patch)[None]

    def _synthesised(
        self, guide: Tensor, moved: Tensor, there: Tensor, trust: Tensor, fields: dict[int, Tensor]
    ) -> tuple[Tensor, dict[int, Tensor]]:
        """Picture of the target's patches, from the moved result where it is trusted, else from the guide; and its
        fields.
        """
        made, state, found = self.made, SynthesisState(guide), {}
        hint = torch.lerp(guide, *(resize(part, guide.shape[-2:]) for part in (moved, trust.clamp(0, 1))))
        for level, shape in enumerate(made.shapes):
            coarser, own, trusted = resize(state.picture, shape), resize(moved, shape), resize(trust, shape).clamp(0, 1)
            if level > made.layout:
                trusted = trusted * _likeness(coarser, resize(resize(moved, made.shapes[level - 1]), shape), MOVED)
            start = torch.lerp(coarser, own, trusted)
            begun = SynthesisState(
                start, *self._seed(state, level, fields.get(level), resize_flow(there, shape), trusted > 0.5)
            )
            state = made.run(begun, [level], self.plan, hint)
            found[level] = state.field
        return torch.lerp(state.picture, start, HOLD * trusted).clamp(-1, 1), found

    def _seed(
        self, coarser: SynthesisState, level: int, before: Tensor | None, there: Tensor, trusted: Tensor
    ) -> tuple[Grids, Tensor | None]:
        """Patch grids of a level, and the field to begin with: that of the frame before where it is trusted, else the
        coarser level's.
        """
        grids = tuple(patch_grid(s, self.made.patch) for s in (self.made.shapes[level], self.made.key_shapes[level]))
        field = before
        if coarser.grids is not None and coarser.field is not None:
            queries, keys = zip(coarser.grids, grids, strict=True)
            field = upscale_field(coarser.field, queries=queries, keys=keys)
        if before is not None:
            field = warp_field(before, grids[0], there, trusted, field)
        return grids, field


def _likeness(one: Tensor, other: Tensor, limit: float) -> Tensor:
    """Likeness (1, 1, H, W) in [0, 1]: 1 where two pictures are alike, near 0 from about `limit` on."""
    return torch.exp(-_around((one - other).square().mean(1, keepdim=True), 5) / limit**2)


def _around(x: Tensor, side: int) -> Tensor:
    """Means (B, 1, H, W) over windows of `side` px; at the border over what is there."""
    return F.avg_pool2d(x, side, 1, side // 2, count_include_pad=False)
