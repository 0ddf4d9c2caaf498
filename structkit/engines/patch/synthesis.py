"""The loop of patch synthesis: level by level, each patch of a picture or clip is replaced by its nearest one of the
target, and patches vote.

GPNN (Granot et al., CVPR 2022, sec. 3), with a guide that may take part in the comparison (`analogy.py` says why),
PatchMatch where exact search would cost too much, and fields of nearest patches that are handed from round to round and
from level to level (as VGPNN, Haim et al., ECCV 2022).
* Keys and values.  Patches are compared by the target, the keys, and may vote with other values at the same places.
* Space and time.  Pictures are (1, C, H, W) in [-1, 1], clips (1, C, T, H, W); shapes are (H, W) or (T, H, W), px and
  frames; level 0 is the coarsest.  A clip of one frame gives the picture's bits.
* Held parts.  What a result must show is put back after each round, so that the rest comes to fit it.
* Loops.  Where time has no border, patches reach from the last frame into the first.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from structkit.device import one_thread
from structkit.engines.patch.alignment import match_contrast
from structkit.engines.patch.channels import Channels, ChannelStack, LevelChannels
from structkit.errors import OptionError
from structkit.kernels.nearest_patches import nearest_patches
from structkit.kernels.patches import Nearest, Patch, extract, patch_grid, patch_sides
from structkit.kernels.patchmatch import ChannelGroup, KeyPatches, patchmatch, upscale_field
from structkit.kernels.pyramid import Shape, resize
from structkit.kernels.vote import vote

RATIO = 0.75  # of one level to the next finer
SMALL = 64  # px: short side of the level at which layout is settled; levels up to it are small, and cost little
# Comparisons (queries x keys) up to which exact search serves every round, or a level's first.
EXACT_ALWAYS, EXACT_ONCE = 2e6, 3e7
MOST_KEYS = 8  # areas of the result that a long and narrow target may come to
HIDDEN = 1e4  # weight, in PatchMatch, of a key patch that must not be used
MAX_POOL = {2: F.max_pool2d, 3: F.max_pool3d}


@dataclass(frozen=True)
class SynthesisPlan:
    """The rounds, completeness and guidance of a synthesis."""

    small_rounds: int  # rounds at the levels up to SMALL
    rounds: int  # rounds at the finer ones
    # Rounds at those beyond twice SMALL, where parts are settled and completeness does not act; None: as at the finer
    # ones.
    fine_rounds: int | None = None
    first_rounds: int | None = None  # rounds at the first level, if not those of its size
    # GPNN's, in mean squared differences: keys that no query is near to become attractive; None: they do not.
    alpha: float | None = None
    guidance: float = 0.0  # a query is (picture + share * guide) / (1 + share); share starts a level at `guidance` ...
    guided: float = 0.3  # ... and falls to 0 over this part of its rounds: the patches have the last word
    guided_to: float = SMALL * 1.1  # px: short side up to which levels are guided
    # At the finer levels a patch has the weight 1 / (softness * median distance + its distance), so that where patches
    # disagree the best one is seen, and not their mean; None: all have the same.
    softness: float | None = None
    softened: bool = False  # at the small levels, too
    # How far a query is given the contrast of the keys before it is compared, 0 to 1 (`alignment.match_contrast`).
    contrast: float = 0.0


@dataclass(frozen=True)
class SynthesisState:
    """The result in the making, as far as it is compared with keys (`Synthesis.painted` is what is seen of it).

    field: of each of its patches, the key patch it is made of; back: the reverse, where asked for.  level: the last
    that was gone through.  weights: of its patches in the last vote; None: all the same.
    """

    picture: Tensor
    grids: tuple[Sequence[int], Sequence[int]] | None = None  # patch positions of the picture and of the keys
    field: Tensor | None = None
    back: Tensor | None = None
    level: int | None = None
    weights: Tensor | None = None


@dataclass(frozen=True)
class HeldPart:
    """The part of a result that is known.

    picture (1, C, *shape), of which the rest may be anything finite; known (1, 1 or C, *shape) in [0, 1]: 1 where it
    holds.
    """

    picture: Tensor
    known: Tensor

    def at(self, shape: Shape) -> HeldPart:
        """The same in another shape."""
        return HeldPart(resize(self.picture, shape).clamp(-1, 1), resize(self.known, shape).clamp(0, 1))

    def over(self, picture: Tensor) -> Tensor:
        """A picture (1, C, *shape) with the known part put in its place."""
        return torch.lerp(picture, self.picture, self.known)


class Synthesis:
    """The pyramid of a target, and a result's shapes beside it."""

    def __init__(
        self,
        target: Tensor,
        shape: Shape,
        *,
        coarsest: int,
        patch: Patch,
        generator: torch.Generator,
        usable: Tensor | None = None,
        values: Tensor | None = None,
        scale: float | None = None,
        frame_ratio: float = 1.0,
        held: HeldPart | None = None,
        loop: bool = False,
        beside: Sequence[Channels] = (),
    ) -> None:
        """target (1, C, *space): the keys.  shape: of the result, with as many axes.

        coarsest: short side of level 0, px.  patch: its side, or one per axis; in time never more than there are
        frames.  usable (1, 1, *space): which of the target's pixels may be used, in [0, 1].
        values (1, any, *space) in [-1, 1]: what patches vote with; else the target itself.
        scale: of the target's frames at the last level; else that which brings them to the result's short side, so that
        textures have one scale, but not to more than MOST_KEYS times the result's area.
        frame_ratio: frames of one level to those of the next finer, in (0, 1]; the target has the result's frame rate
        at each.  VGPNN takes about 0.85; 1 leaves time as it is.
        held: the part of the result that is known.
        loop: true for a clip whose last frame is followed by its first.
        beside: what patches are compared by beside their colours.  Raises OptionError for what does not fit.
        """
        own = tuple(target.shape[2:])
        for channels in beside:
            if channels.source.dim() != target.dim():
                raise OptionError(f"channels {tuple(channels.source.shape)} for a target {tuple(target.shape)}")
        if len(own) != len(shape) or (values is not None and tuple(values.shape[2:]) != own):
            seen = "" if values is None else f" with values {tuple(values.shape)}"
            raise OptionError(
                f"a target {tuple(target.shape)}{seen} for a result of {tuple(shape)}: all must have the same axes, "
                "and the values the target's sides"
            )
        sides = patch_sides(patch, len(shape))
        self.patch = (*map(min, sides[:-2], shape[:-2], own[:-2]), *sides[-2:])
        if scale is None:
            scale = min(
                min(shape[-2:]) / min(own[-2:]), math.sqrt(MOST_KEYS * math.prod(shape[-2:]) / math.prod(own[-2:]))
            )
        full = (*own[:-2], *self._frame(own, scale))
        if usable is not None and not bool((usable > 0.5).all()):
            target, values = fill_hidden(target, usable), None if values is None else fill_hidden(values, usable)
            self.usable: Tensor | None = F.interpolate(usable, size=full, mode="area")
        else:
            self.usable = None
        self.target, self.generator = resize(target, full).clamp(-1, 1), generator
        self._values = None if values is None else resize(values, full).clamp(-1, 1)
        self.beside = ChannelStack(beside, target.shape[1])
        self.held, self._around = held, self.patch[0] - 1 if loop else 0
        self.shapes = synthesis_shapes(
            shape, coarsest=max(coarsest, max(self.patch[-2:]) + 1), frame_ratio=frame_ratio, least=self.patch[:-2]
        )
        self.key_shapes = [self._key_shape(full, s) for s in self.shapes]
        self.layout = max(level for level, s in enumerate(self.shapes) if level == 0 or min(s[-2:]) <= SMALL)
        self._keys: dict[int, Tensor] = {}
        self._ready: dict[int, KeyPatches] = {}

    def _frame(self, shape: Shape, by: float) -> Shape:
        """The height and width of a shape, scaled; at least a pixel more than a patch."""
        return tuple(max(p + 1, round(side * by)) for p, side in zip(self.patch[-2:], shape[-2:], strict=True))

    def _key_shape(self, full: Shape, shape: Shape) -> Shape:
        """The shape of the target, `full` at the last level, beside a level's shape: as much smaller, in space and
        time.
        """
        last = self.shapes[-1]
        space = self._frame(full, min(shape[-2:]) / min(last[-2:]))
        if len(shape) == 2:
            return space
        return (max(self.patch[0], round(full[0] * shape[0] / last[0])), *space)

    def keys(self, level: int) -> Tensor:
        """The target at a level."""
        if level not in self._keys:
            self._keys[level] = resize(self.target, self.key_shapes[level]).clamp(-1, 1)
        return self._keys[level]

    def with_beside(self, beside: Sequence[Channels]) -> Synthesis:
        """The same synthesis with other channels beside the colours."""
        other = copy.copy(self)
        other.beside, other._ready = ChannelStack(beside, self.target.shape[1]), {}
        return other

    def _beside(self, level: int) -> LevelChannels:
        """The channels that are compared beside the colours of a level."""
        return self.beside.at(self.shapes[level], self.key_shapes[level])

    def painted(self, state: SynthesisState) -> Tensor:
        """The result of a run, (1, channels of the values, *shape of its last level): the vote of the values."""
        if self._values is None:
            return state.picture
        assert state.grids is not None and state.field is not None and state.level is not None
        values = resize(self._values, self.key_shapes[state.level]).clamp(-1, 1)
        return self._unrolled(vote(values[0], state.field, state.grids[0], patch=self.patch)[None])

    def _rolled(self, picture: Tensor) -> Tensor:
        """The picture; of a loop with the frames before the first and after the last, which patches reach into."""
        if not self._around:
            return picture
        frames = torch.arange(-self._around, picture.shape[2] + self._around) % picture.shape[2]
        return picture[:, :, frames.to(picture.device)]

    def _unrolled(self, picture: Tensor) -> Tensor:
        """The picture without the frames that `_rolled` has added."""
        return picture[:, :, self._around : picture.shape[2] - self._around] if self._around else picture

    def _key_patches(self, level: int) -> KeyPatches:
        """The key patches of a level, made ready for search.  Small levels, which drafts and frames come
        back to, keep theirs.
        """
        if level not in self._ready:
            self._ready = {small: ready for small, ready in self._ready.items() if small <= self.layout}
            beside = self._beside(level)
            self._ready[level] = KeyPatches(beside.of_target(self.keys(level))[0], self.patch, beside.groups)
        return self._ready[level]

    def starting_near(self, short: float) -> int:
        """The level whose short side is nearest to `short` px."""
        return min(range(len(self.shapes)), key=lambda level: abs(min(self.shapes[level][-2:]) - short))

    def rounds_of(self, level: int, plan: SynthesisPlan) -> int:
        """The rounds of a level, if it is not the first."""
        if self._is_finest(level, plan):
            return plan.fine_rounds
        return plan.small_rounds if level <= self.layout else plan.rounds

    def _is_finest(self, level: int, plan: SynthesisPlan) -> bool:
        """Whether parts are settled at a level, in a plan that makes a difference of it."""
        return bool(plan.fine_rounds) and min(self.shapes[level][-2:]) > 2.2 * SMALL

    def run(
        self,
        state: SynthesisState,
        levels: Sequence[int],
        plan: SynthesisPlan,
        guide: Tensor | None = None,
        tick: Callable[[float], None] = lambda share: None,
    ) -> SynthesisState:
        """The state after `levels`, from the picture (and the fields) that there are.

        tick: called after each round, with the share of its level that is done.
        """
        for level in levels:
            with one_thread() if level <= self.layout and not self.target.is_cuda else nullcontext():
                state = self._level(state, level, plan, guide, tick)
        return state

    def _level(
        self,
        before: SynthesisState,
        level: int,
        plan: SynthesisPlan,
        guide: Tensor | None,
        tick: Callable[[float], None],
    ) -> SynthesisState:
        shape, patch, keys = self.shapes[level], self.patch, self.keys(level)
        picture, field, back = resize(before.picture, shape), None, None  # not clamped: the start of a sample is noisy
        held = None if self.held is None else self.held.at(shape)
        picture = picture if held is None else held.over(picture)
        grids = patch_grid(self._rolled(picture).shape[2:], patch), patch_grid(keys.shape[2:], patch)
        beside = self._beside(level)
        opening = compared = beside.of_target(keys)
        if before.grids and before.field is not None:
            field = upscale_field(before.field, queries=(before.grids[0], grids[0]), keys=(before.grids[1], grids[1]))
            if before.back is not None:
                back = upscale_field(before.back, queries=(before.grids[1], grids[1]), keys=(before.grids[0], grids[0]))
            if before.picture.shape != picture.shape:
                # It comes from a coarser level and lacks detail: in the first round it is compared with keys that lack
                # it too.
                opening = beside.of_target(resize(self.keys(level - 1), self.key_shapes[level]).clamp(-1, 1))
        rounds, sure = (before.field is None and plan.first_rounds) or self.rounds_of(level, plan), None
        if self._is_finest(level, plan):
            plan = replace(plan, alpha=None)
        guiding = guide is not None and min(shape[-2:]) <= plan.guided_to
        hint = resize(guide, shape).clamp(-1, 1) if guide is not None and guiding else picture
        kept = self._kept(level)
        for i in range(rounds):
            share = plan.guidance * max(0.0, 1 - i / max(1.0, rounds * plan.guided)) if guiding else 0.0
            seen = (picture + share * hint) / (1 + share)
            seen = match_contrast(seen, keys, amount=plan.contrast) if plan.contrast else seen
            query = self._rolled(beside.of_result(seen))
            key = opening if i == 0 else compared
            weights, first = None, i == 0
            if plan.alpha is not None:
                reverse = self._nearest(key, query, back, first, sweeps=1, groups=beside.groups)
                back, weights = reverse.index, 1 / (plan.alpha + beside.factor * reverse.distance)
            ready = functools.partial(self._key_patches, level) if key is compared else None
            how = {"weights": weights, "kept": kept, "ready": ready, "groups": beside.groups}
            found = self._nearest(query, key, field, first, **how)
            field, sure = found.index, None
            if plan.softness is not None and (plan.softened or level > self.layout):
                sure = 1 / (plan.softness * found.distance.median() + found.distance).clamp_min(1e-6)
            picture = self._unrolled(vote(keys[0], field, grids[0], patch=patch, weights=sure)[None])
            picture = picture if held is None else held.over(picture)
            tick((i + 1) / rounds)
        return SynthesisState(picture, grids, field, back, level, sure)

    def _nearest(
        self,
        query: Tensor,
        key: Tensor,
        seed: Tensor | None,
        first: bool,
        *,
        weights: Tensor | None = None,
        kept: Tensor | None = None,
        ready: Callable[[], KeyPatches] | None = None,
        sweeps: int = 2,
        groups: Sequence[ChannelGroup] = (),
    ) -> Nearest:
        """The nearest keys: exact where that is cheap enough, else PatchMatch from the seed (or from nothing, with more
        sweeps).

        kept (M,) bool: the key patches that may be used.  ready: gives them made ready for PatchMatch, where they are
        searched again.  groups: of the channels.
        """
        patch = self.patch
        work = math.prod((*patch_grid(query.shape[2:], patch), *patch_grid(key.shape[2:], patch)))
        if work <= (EXACT_ONCE if first else EXACT_ALWAYS):
            queries, keys = extract(query[0], patch), extract(key[0], patch)
            if kept is None:
                return nearest_patches(queries, keys, weights=weights)
            found = nearest_patches(queries, keys[kept], weights=None if weights is None else weights[kept])
            return Nearest(kept.nonzero()[:, 0][found.index], found.distance)
        if kept is not None:
            weights = torch.where(kept, 1.0, HIDDEN) * (1 if weights is None else weights)
        sweeps = sweeps if seed is not None else 4 * sweeps
        keys = ready() if ready else KeyPatches(key[0], patch, groups)
        return patchmatch(
            query[0], keys, patch=patch, weights=weights, init=seed, iterations=sweeps, generator=self.generator
        )

    def _kept(self, level: int) -> Tensor | None:
        """The key patches (M,) bool of a level that have no hidden pixel.  None: all, or none, and then their filled-in
        colours must do.
        """
        if self.usable is None:
            return None
        hidden = F.interpolate(1 - self.usable, size=self.key_shapes[level], mode="area")
        kept = MAX_POOL[len(self.patch)]((hidden > 0.5).float(), self.patch, stride=1).flatten() == 0
        return kept if bool(kept.any()) else None


def fill_hidden(target: Tensor, usable: Tensor) -> Tensor:
    """The target (1, C, *space) with the colours of hidden pixels replaced by those of visible ones around, so that no
    measure sees them.  usable (1, 1, *space) in [0, 1].
    """
    known = (usable > 0.5).to(target)
    filled, seen, shape = target * known, known > 0, target.shape[2:]
    while not bool(seen.all()) and max(shape) > 1:
        shape = tuple(-(-side // 2) for side in shape)
        share = F.interpolate(known, size=shape, mode="area")
        colours = F.interpolate(target * known, size=shape, mode="area") / share.clamp_min(1e-9)
        wide = F.interpolate(torch.cat([colours, share], 1), size=target.shape[2:], mode="nearest")
        filled = torch.where(seen, filled, wide[:, :-1])
        seen = seen | (wide[:, -1:] > 0)
    return filled


def synthesis_shapes(
    shape: Shape, *, coarsest: int, frame_ratio: float = 1.0, least: Sequence[int] = (1,)
) -> list[Shape]:
    """The shapes from level 0, whose short side is about `coarsest` px, to the last, which is `shape`.

    Unlike in `kernels.pyramid.pyramid_shapes` one level has a short side of exactly SMALL px: there drafts are judged.
    frame_ratio: frames of a clip's level to those of the next finer; least: frames that no level goes below.
    Raises OptionError for a frame ratio that is not in (0, 1].
    """
    if not 0 < frame_ratio <= 1:
        raise OptionError(f"the ratio between the frames of levels is {frame_ratio:g}: it must be in (0, 1]")
    *frames, height, width = shape
    short = min(height, width)
    steps = max(1, round(math.log(SMALL / short, RATIO))) if short > SMALL else 0
    shorts = [short * (SMALL / short) ** (i / steps) for i in range(steps + 1)] if steps else [float(short)]
    while shorts[-1] * RATIO >= 0.9 * coarsest:
        shorts.append(shorts[-1] * RATIO)
    kept = [s for s in shorts if s >= 0.9 * coarsest] or [float(short)]
    return [
        (
            *(max(min(few, all_), round(all_ * frame_ratio**n)) for few, all_ in zip(least, frames, strict=False)),
            *(max(min(side, coarsest), round(side * s / short)) for side in (height, width)),
        )
        for n, s in reversed(list(enumerate(kept)))
    ]
