"""Configurations of the training-free verbs, for `structkit.engines.patch`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from structkit.configs.base import LEAST_SIDE, MAX_CLIP_SIDE, MAX_SIDE, MOST_SIDE, Config, option
from structkit.errors import OptionError

MOST_GUIDE_WEIGHT = 100


def guide_weights(guides: int, weight: float | Sequence[float] | None) -> list[float]:
    """The weight of each of so many guides, from one for all or one for each; 1 where none is said.

    Raises OptionError for weights without guides, for another number of them, and for one that cannot be.
    """
    weights = list(weight) if isinstance(weight, Sequence) and not isinstance(weight, str) else [weight]
    if weight is None or not weights:
        return [1.0] * guides
    if not guides:
        raise OptionError("--guide-weight weighs guides, and there are none: give a --guide, or leave it out")
    if len(weights) not in (1, guides):
        fact = f"{len(weights)} times --guide-weight and {guides} times --guide"
        raise OptionError(f"{fact}: give one weight for all guides, or one for each, in their order")
    for one in weights:
        if isinstance(one, bool) or not isinstance(one, int | float):
            raise OptionError(f"--guide-weight is {one!r}: it must be a number")
        if not 0 <= one <= MOST_GUIDE_WEIGHT:
            raise OptionError(f"--guide-weight is {one:.15g}: it must be between 0 and {MOST_GUIDE_WEIGHT}")
    return [float(one) for one in (weights if len(weights) > 1 else weights * guides)]


@dataclass(frozen=True)
class PatchConfig(Config):
    """Options of all training-free patch synthesis (`structkit.engines.patch`)."""

    patch: int = option(7, "side of a patch, px", low=3, high=15)
    rounds: int | None = option(
        None, "rounds of matching and voting at each level; else what the verb and its mode take", low=1, high=100
    )
    completeness: float | None = option(
        None,
        "how much every patch that is offered must be used, 0 not at all, 1 as GPNN; else what the verb and its mode "
        "take",
        low=0,
        high=1,
    )
    coarsest: int | None = option(
        None, "short side of the coarsest level, px; else from the other options", low=8, high=4096
    )


@dataclass(frozen=True)
class AnalogyConfig(PatchConfig):
    """Options of `structkit analogy`."""

    mode: str = option("analogy", "what to make of the pair", choices=("analogy", "style", "texture", "paint"))
    strength: float = option(
        0.5,
        "how much of the source's structure is kept, with --match structure: 0 the target's own arrangement, nudged by "
        "the source, 1 every outline of the source",
        low=0,
        high=1,
    )
    match: str = option(
        "structure",
        "compare patches by structure (aligned statistics; of two videos by how things move, too), by raw colour (as "
        "published) or, of two videos, by motion alone (as published)",
        choices=("structure", "colour", "motion"),
    )
    max_side: int | None = option(
        None,
        f"longest side of the result, px, if no --size is given; else {MAX_SIDE}, of two videos "
        f"{MAX_CLIP_SIDE}, as their cost grows with every pixel of every frame; never more than the source's",
        low=LEAST_SIDE,
        high=MOST_SIDE,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.match != "structure" and self.mode != "analogy":
            raise OptionError(
                f"--match {self.match} is the published analogy and has no --mode {self.mode}: leave one of them out"
            )


@dataclass(frozen=True)
class SampleConfig(PatchConfig):
    """Options of `structkit sample`."""

    variety: float = option(0.5, "how far from the arrangement of the picture: 0 near, 1 far", low=0, high=1)
    upright: float = option(
        1.0, "how much things keep to their height in the picture: 0 not at all, 1 most", low=0, high=1
    )
    max_side: int | None = option(
        None,
        f"longest side of a sample, px, if no --size is given; else {MAX_SIDE}, never more than the picture's",
        low=LEAST_SIDE,
        high=MOST_SIDE,
    )


@dataclass(frozen=True)
class RetargetConfig(PatchConfig):
    """Options of `structkit retarget`."""


@dataclass(frozen=True)
class RefineConfig(PatchConfig):
    """Options of `structkit refine`."""

    strength: float = option(
        0.5, "how much of the picture is kept: 0 its layout alone, 1 all but the finest detail", low=0, high=1
    )
    max_side: int | None = option(
        None,
        f"longest side of the result, px; else {MAX_SIDE}, never more than the picture's",
        low=LEAST_SIDE,
        high=MOST_SIDE,
    )


@dataclass(frozen=True)
class ClipConfig(PatchConfig):
    """Options of clips that are made of a clip's patches (`structkit.engines.patch.clips`)."""

    variety: float = option(0.5, "how far from the arrangement of the clip: 0 near, 1 far", low=0, high=1)
    upright: float = option(
        1.0, "how much things keep to their height in the frame: 0 not at all, 1 most", low=0, high=1
    )
    max_side: int | None = option(
        None,
        f"longest side that the clip is reduced to, px; else {MAX_CLIP_SIDE}, never more than its own",
        low=LEAST_SIDE,
        high=MOST_SIDE,
    )
    window: int | None = option(
        None,
        "frames that are made at once of a long clip; else what about 1 GB of memory holds, never fewer than 24",
        low=16,
        high=10**5,
    )
