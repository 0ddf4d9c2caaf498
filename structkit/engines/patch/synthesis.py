"""The loop of patch synthesis: level by level, each patch of a picture is replaced by its nearest one of the target,
and patches vote.

GPNN (Granot et al., CVPR 2022, sec. 3), with a guide that may take part in the comparison (`analogy.py` says why),
PatchMatch where exact search would cost too much, and fields of nearest patches that are handed from round to round and
from level to level (as VGPNN, Haim et al., ECCV 2022).  Pictures are (1, C, H, W) in [-1, 1]; sizes are (H, W) in px;
level 0 is the coarsest.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from structkit.device import one_thread
from structkit.kernels.nearest_patches import nearest_patches
from structkit.kernels.patches import Nearest, extract, patch_grid
from structkit.kernels.patchmatch import KeyPatches, patchmatch, upscale_field
from structkit.kernels.pyramid import resize
from structkit.kernels.vote import vote

RATIO = 0.75  # of one level to the next finer
SMALL = 64  # px: short side of the level at which layout is settled; levels up to it are small, and cost little
EXACT_ALWAYS, EXACT_ONCE = (
    2e6,
    3e7,
)  # comparisons (queries x keys) up to which exact search serves every round, or a level's first
MOST_KEYS = 8  # areas of the result that a long and narrow target may come to
HIDDEN = 1e4  # weight, in PatchMatch, of a key patch that must not be used
Size = tuple[int, int]


@dataclass(frozen=True)
class SynthesisPlan:
    """How the levels are gone through."""

    patch: int
    small_rounds: int  # rounds at the levels up to SMALL
    rounds: int  # rounds at the finer ones
    first_rounds: int | None = None  # rounds at the first level, if not those of its size
    alpha: float | None = (
        None  # GPNN's, in mean squared differences: keys that no query is near to become attractive; None: they do not
    )
    guidance: float = 0.0  # a query is (picture + share * guide) / (1 + share); share starts a level at `guidance` ...
    guided: float = 0.3  # ... and falls to 0 over this part of its rounds: the patches have the last word
    guided_to: float = SMALL * 1.1  # px: short side up to which levels are guided


@dataclass(frozen=True)
class SynthesisState:
    """A result in the making.  field: of each of its patches, the key patch it is made of; back: the reverse, where
    asked for.
    """

    picture: Tensor
    grids: tuple[Sequence[int], Sequence[int]] | None = None  # patch positions of the picture and of the keys
    field: Tensor | None = None
    back: Tensor | None = None


class Synthesis:
    """A target's pyramid, and a result's sizes beside it."""

    def __init__(
        self,
        target: Tensor,
        size: Size,
        *,
        coarsest: int,
        patch: int,
        generator: torch.Generator,
        usable: Tensor | None = None,
        scale: float | None = None,
    ) -> None:
        """coarsest: short side of level 0, px.  usable (1, 1, h, w): which of the target's pixels may be used, in [0,
        1].

        scale: of the target at the last level; else that which brings it to the result's short side, so that textures
        have one scale, but not to more than MOST_KEYS times the result's area.
        """
        own = tuple(target.shape[-2:])
        if scale is None:
            scale = min(min(size) / min(own), math.sqrt(MOST_KEYS * math.prod(size) / math.prod(own)))
        full = tuple(max(patch + 1, round(side * scale)) for side in own)
        if usable is not None and not bool((usable > 0.5).all()):
            target = fill_hidden(target, usable)
            self.usable: Tensor | None = F.interpolate(usable, size=full, mode="area")
        else:
            self.usable = None
        self.target, self.generator = resize(target, full).clamp(-1, 1), generator
        self.sizes = level_sizes(size, coarsest=max(coarsest, patch + 1))
        shrink = [min(s) / min(size) for s in self.sizes]
        self.key_sizes = [tuple(max(patch + 1, round(side * by)) for side in full) for by in shrink]
        self.layout = max(level for level, s in enumerate(self.sizes) if level == 0 or min(s) <= SMALL)
        self._keys: dict[int, Tensor] = {}
        self._ready: dict[int, KeyPatches] = {}

    def keys(self, level: int) -> Tensor:
        """The target at a level."""
        if level not in self._keys:
            self._keys[level] = resize(self.target, self.key_sizes[level]).clamp(-1, 1)
        return self._keys[level]

    def _key_patches(self, level: int, patch: int) -> KeyPatches:
        """Those of a level, made ready for search.  Small levels are come back to, by drafts and frames, and keep
        theirs.
        """
        if level not in self._ready:
            self._ready = {small: ready for small, ready in self._ready.items() if small <= self.layout}
            self._ready[level] = KeyPatches(self.keys(level)[0], patch)
        return self._ready[level]

    def starting_near(self, short: float) -> int:
        """The level, up to the layout's, whose short side is nearest to `short` px."""
        return min(range(self.layout + 1), key=lambda level: abs(min(self.sizes[level]) - short))

    def run(
        self, state: SynthesisState, levels: Sequence[int], plan: SynthesisPlan, guide: Tensor | None = None
    ) -> SynthesisState:
        """Go through `levels`, from the picture (and the fields) that there are."""
        for level in levels:
            with one_thread() if level <= self.layout and not self.target.is_cuda else nullcontext():
                state = self._level(state, level, plan, guide)
        return state

    def _level(self, before: SynthesisState, level: int, plan: SynthesisPlan, guide: Tensor | None) -> SynthesisState:
        size, patch = self.sizes[level], plan.patch
        keys = self.keys(level)
        grids = patch_grid(size, patch), patch_grid(keys.shape[-2:], patch)
        picture, field, back = resize(before.picture, size), None, None  # not clamped: the start of a sample is noisy
        opening = keys
        if before.grids and before.field is not None:
            field = upscale_field(before.field, queries=(before.grids[0], grids[0]), keys=(before.grids[1], grids[1]))
            if before.back is not None:
                back = upscale_field(before.back, queries=(before.grids[1], grids[1]), keys=(before.grids[0], grids[0]))
            if before.picture.shape != picture.shape:
                # It comes from a coarser level and lacks detail: in the first round it is compared with keys that lack
                # it too.
                opening = resize(self.keys(level - 1), self.key_sizes[level]).clamp(-1, 1)
        rounds = plan.small_rounds if level <= self.layout else plan.rounds
        if before.field is None and plan.first_rounds:
            rounds = plan.first_rounds
        guiding = guide is not None and min(size) <= plan.guided_to
        hint = resize(guide, size).clamp(-1, 1) if guide is not None and guiding else picture
        kept = self._kept(level, patch)
        for i in range(rounds):
            share = plan.guidance * max(0.0, 1 - i / max(1.0, rounds * plan.guided)) if guiding else 0.0
            query, key = (picture + share * hint) / (1 + share), opening if i == 0 else keys
            weights, first = None, i == 0
            if plan.alpha is not None:
                reverse = self._nearest(key, query, back, patch, first, sweeps=1)
                back, weights = reverse.index, 1 / (plan.alpha + reverse.distance)
            ready = functools.partial(self._key_patches, level, patch) if key is keys else None
            field = self._nearest(query, key, field, patch, first, weights=weights, kept=kept, ready=ready).index
            picture = vote(keys[0], field, grids[0], patch=patch)[None]
        return SynthesisState(picture, grids, field, back)

    def _nearest(
        self,
        query: Tensor,
        key: Tensor,
        seed: Tensor | None,
        patch: int,
        first: bool,
        *,
        weights: Tensor | None = None,
        kept: Tensor | None = None,
        ready: Callable[[], KeyPatches] | None = None,
        sweeps: int = 2,
    ) -> Nearest:
        """Exact where that is cheap enough, else PatchMatch from the seed (or from nothing, with more sweeps).

        kept (M,) bool: the key patches that may be used.  ready: gives them made ready for PatchMatch, where they are
        searched again.
        """
        work = math.prod((*patch_grid(query.shape[-2:], patch), *patch_grid(key.shape[-2:], patch)))
        if work <= (EXACT_ONCE if first else EXACT_ALWAYS):
            queries, keys = extract(query[0], patch), extract(key[0], patch)
            if kept is None:
                return nearest_patches(queries, keys, weights=weights)
            found = nearest_patches(queries, keys[kept], weights=None if weights is None else weights[kept])
            return Nearest(kept.nonzero()[:, 0][found.index], found.distance)
        if kept is not None:
            weights = torch.where(kept, 1.0, HIDDEN) * (1 if weights is None else weights)
        sweeps = sweeps if seed is not None else 4 * sweeps
        keys = ready() if ready else key[0]
        return patchmatch(
            query[0], keys, patch=patch, weights=weights, init=seed, iterations=sweeps, generator=self.generator
        )

    def _kept(self, level: int, patch: int) -> Tensor | None:
        """(M,) bool: which key patches of a level have no hidden pixel.  None: all, or none, and then their filled-in
        colours must do.
        """
        if self.usable is None:
            return None
        hidden = F.interpolate(1 - self.usable, size=self.key_sizes[level], mode="area")
        kept = F.max_pool2d((hidden > 0.5).float(), patch, stride=1).flatten() == 0
        return kept if bool(kept.any()) else None


def fill_hidden(target: Tensor, usable: Tensor) -> Tensor:
    """target (1, C, h, w) with the colours of hidden pixels replaced by those of visible ones around, so that no
    measure sees them.
    """
    known = (usable > 0.5).to(target)
    filled, seen, size = target * known, known > 0, target.shape[-2:]
    while not bool(seen.all()) and max(size) > 1:
        size = tuple(-(-side // 2) for side in size)
        share = F.interpolate(known, size=size, mode="area")
        colours = F.interpolate(target * known, size=size, mode="area") / share.clamp_min(1e-9)
        wide = F.interpolate(torch.cat([colours, share], 1), size=target.shape[-2:], mode="nearest")
        filled = torch.where(seen, filled, wide[:, :-1])
        seen = seen | (wide[:, -1:] > 0)
    return filled


def level_sizes(size: Size, *, coarsest: int) -> list[Size]:
    """Sizes from level 0, whose short side is about `coarsest` px, to the last, which is `size`.

    Unlike `kernels.pyramid.level_sizes` one level has a short side of exactly SMALL px: it is where drafts are judged.
    """
    short = min(size)
    steps = max(1, round(math.log(SMALL / short, RATIO))) if short > SMALL else 0
    shorts = [short * (SMALL / short) ** (i / steps) for i in range(steps + 1)] if steps else [float(short)]
    while shorts[-1] * RATIO >= 0.9 * coarsest:
        shorts.append(shorts[-1] * RATIO)
    kept = [s for s in shorts if s >= 0.9 * coarsest] or [float(short)]
    return [tuple(max(min(side, coarsest), round(side * s / short)) for side in size) for s in reversed(kept)]
