"""Arrangements of one picture's patches: a new one, one of another shape, and a picture redrawn with another's detail.

After GPNN (Granot et al., CVPR 2022, sec. 4), by patch synthesis (`synthesis.py`).

Differs from the paper:
* Samples begin with the picture warped, which moves things and leaves them whole, and with less noise, some of it at
  later levels.  Up to SMALL px patches are compared by their height, too: the sky stays above.
* Pictures of another shape grow at the coarsest level, by at most STEP at a time.
* Completeness ends at SMALL px: there layout is settled, and finer levels take half the time without.

Pictures are (1, C, H, W) in [-1, 1], C being 3, or 4 with alpha; results have `shape`, (H, W) in px, and the same
range.  The same generator state gives the same result.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from structkit.configs import RefineConfig, RetargetConfig, SampleConfig
from structkit.engines.patch.channels import place_channels, slope
from structkit.engines.patch.course import finish, in_words, plan_for, start_of, work_of
from structkit.engines.patch.synthesis import SMALL, Synthesis, SynthesisPlan, SynthesisState
from structkit.kernels.pyramid import Shape, resize

Progress = Callable[[float, str], None]

WARP, WAVES = 0.4, 2  # deviation of a sample's warp at variety 1, in short sides, and its bends along one
NOISE = 0.8  # deviation at variety 1
UPRIGHT = 1 / 3  # weight of heights beside the colours in samples
DOWN, ACROSS = 0.03, 0.01  # weights of places in a picture that is retargeted: more would stretch what is in it
STEP = 1.2  # most that a picture is made wider or higher at a time
COARSEST = 16  # px: short side of the coarsest level from which a picture is redrawn
SOFTNESS = 0.3  # see `SynthesisPlan`
CRISP = 0.6  # least share of what a level adds in what the next but one does


def sample(
    picture: Tensor,
    config: SampleConfig,
    *,
    shape: Shape,
    generator: torch.Generator,
    progress: Progress = lambda share, note: None,
) -> Tensor:
    """New arrangement of the picture's patches (GPNN, sec. 4.1).

    The start is the picture warped, with a little noise; the levels from SMALL to twice that get noise of their own.
    """
    heights = place_channels(picture.shape[2:], shape, to=SMALL, down=UPRIGHT * config.upright)
    made = Synthesis(picture, shape, **start_of(config, 24), generator=generator, beside=heights)
    coarse = plan_for(config, rounds=3, small_rounds=6, completeness=1.0, first_rounds=1)
    fine = plan_for(config, rounds=3, small_rounds=6, completeness=0.0)
    start = warped(_reshaped(made, coarse), WARP * config.variety, 1 - config.upright / 2, generator)
    state = SynthesisState(start + _noise(start, NOISE * config.variety, generator))
    first = sum(min(own) <= 2 * SMALL for own in made.shapes[:-1])  # of the levels that get no noise
    work = [work_of(made, coarse, range(*levels)) for levels in ((0, first), (first, len(made.shapes)))]
    part = sum(work[0]) / (sum(work[0]) + sum(work[1]))
    for level in range(first):
        own = made.shapes[level]
        if min(own) >= SMALL:
            enlarged = resize(state.picture, own)
            state = replace(state, picture=enlarged + _noise(enlarged, NOISE * config.variety, generator))
        state = made.run(state, [level], coarse if level <= made.layout else fine)
        progress(part * sum(work[0][: level + 1]) / sum(work[0]), in_words(own))
    plan = fine if first > made.layout else coarse
    return finish(made, state, first, plan, None, lambda share, note: progress(part + (1 - part) * share, note))


def retarget(
    picture: Tensor,
    config: RetargetConfig,
    *,
    shape: Shape,
    generator: torch.Generator,
    progress: Progress = lambda share, note: None,
) -> Tensor:
    """Picture in another shape, with nothing stretched (GPNN, sec. 4.2).

    At the coarsest level the picture grows by and by, completeness on; from there on it is only made finer.
    """
    wider, higher = (new / old for new, old in zip(shape, picture.shape[-2:], strict=True))
    # The picture's own scale, unless the result is larger, or smaller, along both axes.
    scale = max(min(wider, higher), min(1.0, max(wider, higher)))
    places = place_channels(picture.shape[2:], shape, to=SMALL, down=DOWN, across=ACROSS)
    made = Synthesis(picture, shape, **start_of(config, 28), generator=generator, scale=scale, beside=places)
    coarse = plan_for(config, rounds=3, completeness=1.0, first_rounds=10)
    state = SynthesisState(_reshaped(made, coarse, down=DOWN, across=ACROSS))
    part = sum(work_of(made, coarse, range(made.layout + 1))) / sum(work_of(made, coarse, range(len(made.shapes))))
    state = made.run(state, range(made.layout + 1), coarse)
    if len(made.shapes) == made.layout + 1:
        progress(1.0, "done")
        return state.picture
    progress(part, in_words(made.shapes[made.layout]))
    plan = plan_for(config, rounds=3, completeness=0.0)
    how = made, state, made.layout + 1, plan, None
    return finish(*how, lambda share, note: progress(part + (1 - part) * share, note))


def refine(
    picture: Tensor,
    patches_of: Tensor,
    config: RefineConfig,
    *,
    shape: Shape,
    usable: Tensor | None = None,
    generator: torch.Generator,
    progress: Progress = lambda share, note: None,
) -> Tensor:
    """Picture redrawn with the patches of another, from the level on whose short side is `strength` of the whole
    (at least 16 px), or a coarser one, if the picture is blurred there.

    Patches that fit well count for more, which keeps detail where others only come near.
    """
    wanted = config.coarsest or max(COARSEST, round(config.strength * min(shape)))
    how = {"patch": config.patch, "coarsest": min(COARSEST, wanted), "generator": generator}
    made = Synthesis(patches_of, shape, **how, usable=usable)
    rough = resize(picture, shape).clamp(-1, 1)
    first = next(level for level, own in enumerate(made.shapes) if min(own) >= min(0.9 * wanted, min(shape)))
    first = first if config.coarsest else min(first, _last_crisp(rough, made.shapes))
    plan = replace(plan_for(config, rounds=3, completeness=0.0), softness=SOFTNESS)
    state = SynthesisState(resize(rough, made.shapes[first]))
    # A field to begin with, from level to level: where a first search would be blind, much was not found.
    for level in range(made.layout, first):
        found = made.run(
            replace(state, picture=resize(rough, made.shapes[level])), [level], replace(plan, rounds=1, small_rounds=1)
        )
        state = replace(found, picture=resize(rough, made.shapes[level + 1]))
    return finish(made, state, first, plan, None, progress)


def _last_crisp(picture: Tensor, shapes: Sequence[Shape]) -> int:
    """The finest of the levels up to which a picture has detail.

    What each level adds to the one before falls slowly with its size in any crisp picture, be it a photograph or a
    drawing, and fast where a picture is blurred.
    """
    levels = [resize(picture, shape) for shape in shapes]
    added = [
        float((fine - resize(coarse, fine.shape[2:])).square().mean().sqrt())
        for coarse, fine in itertools.pairwise(levels)
    ]
    falls = (level for level in range(2, len(added)) if added[level] < CRISP * added[level - 2])
    return next(falls, len(added))


def warped(picture: Tensor, amount: float, down: float, generator: torch.Generator) -> Tensor:
    """Picture (1, C, H, W) bent by a smooth random field, so that things move, but stay whole.

    amount: deviation of the way that pixels move to the side, in short sides; down: that of the way down, in these.
    What comes from outside is mirrored.
    """
    height, width = picture.shape[2:]
    short = min(height, width)
    bends = [round(WAVES * side / short) + 1 for side in (height, width)]
    ways = resize(torch.randn(1, 2, *bends, generator=generator, device=generator.device).to(picture), (height, width))
    places = [slope((height, width), axis)[:, 0].to(picture) for axis in (1, 0)]
    shares = 2 * amount * short / width, 2 * amount * down * short / height
    grid = torch.stack([places[i] + shares[i] * ways[:, i] for i in (0, 1)], -1)
    return F.grid_sample(picture, grid, mode="bilinear", padding_mode="reflection", align_corners=True)


def _noise(picture: Tensor, deviation: float, generator: torch.Generator) -> Tensor:
    return deviation * torch.randn(picture.shape, generator=generator, device=generator.device).to(picture)


def _reshaped(made: Synthesis, plan: SynthesisPlan, **places: float) -> Tensor:
    """The target in the shape of the result's level 0, where it is changed by at most STEP at a time.

    Stretched at once it would be no longer known again, and what lies between comes out as a hole.
    """
    keys, own, last = made.keys(0), made.key_shapes[0], made.shapes[0]
    steps = math.ceil(max(abs(math.log(new / old)) for new, old in zip(last, own, strict=True)) / math.log(STEP))
    picture = keys
    for step in range(1, steps):
        shape = tuple(round(old * (new / old) ** (step / steps)) for new, old in zip(last, own, strict=True))
        how = {"coarsest": min(shape), "patch": made.patch, "generator": made.generator, "scale": 1.0}
        growing = Synthesis(keys, shape, **how, beside=place_channels(own, shape, to=SMALL, **places))
        picture = growing.run(SynthesisState(resize(picture, shape)), [0], plan).picture
    return resize(picture, last)
