"""The ways in which a training is cut to end in time: smaller configurations, the work of their steps, the words.

The fewest steps and rounds were measured: tests/benchmarks/budgets.csv.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from structkit.configs import DifferenceConfig, GenvideoConfig, PairConfig, SpeedNetConfig, TransferConfig
from structkit.data.levels import level_sides
from structkit.engines.difference.training import DifferenceTraining
from structkit.engines.genvideo.training import LARGEST, GenvideoTraining
from structkit.engines.pair.training import PairTraining
from structkit.engines.speednet.training import SpeedNetTraining
from structkit.engines.transfer.training import TransferTraining
from structkit.errors import OptionError
from structkit.training.planned import TrainingPlan, in_minutes

HELD = 8  # numbers that a training on a clip takes for each voxel, layer and channel, as measured
LEAST_SIZE = 24  # px: of a pair that is made smaller to end in time
SMALLEST = 32  # px, of the squares that codes are made of
# As measured at `fast`, what a round labels included; all kinds are measured again before the work is planned.
WORK = {"codes": 3.0, "painter": 4.8, "placer": 1.9}  # work of a step of content transfer
# The fewest steps with which masks are good, and rounds: where fewer fit, smaller pictures with more rounds do better;
# of the smallest, no fewer than LAST make sense.  With each round more the codes get MORE steps.
LEAST, ROUNDS, LAST, MORE = {"codes": 400, "painter": 120, "placer": 60}, 6, 3, 70
DIFFERENCE_LEAST = 500  # steps
SPEEDNET_LEAST = 300  # steps, all parts together


def pair_choices(config: PairConfig) -> list[PairConfig]:
    """The configuration of a pair, then those for pictures as large as its coarser levels."""
    sides = [side for side in level_sides(config.size, config.coarsest)[-2:0:-1] if side >= LEAST_SIZE]
    return [config, *(replace(config, size=side) for side in sides)]


def pair_work(training: PairTraining) -> list[float]:
    """The work of a step at each level: multiplications of a generator."""
    stacks = [training.net.stack(level) for level in range(len(training.shapes))]
    weights = [3 * s.width + (s.layers - 2) * s.width**2 + s.width * s.outputs for s in stacks]
    return [height * width * count for (height, width), count in zip(training.shapes, weights, strict=True)]


def genvideo_choices(config: GenvideoConfig) -> list[GenvideoConfig]:
    """The configuration of a clip's model, then those for clips as wide as its coarser levels.

    Where it has levels that learn from a critic, so have all.
    """

    def has_critic(size: int) -> bool:
        return config.is_baseline or len(level_sides(size, config.coarsest, largest=LARGEST)) > config.vae_levels

    sides = level_sides(config.size, config.coarsest, largest=LARGEST)[-2:0:-1]
    smaller = [side for side in sides if side >= LEAST_SIZE and (has_critic(side) or not has_critic(config.size))]
    return [config, *(replace(config, size=side) for side in smaller)]


def genvideo_work(training: GenvideoTraining) -> list[float]:
    """The work of a step at each level: voxels, times the passes of a network of the level over them."""
    voxels = [math.prod(shape) for shape in training.shapes]
    below = [0, *itertools.accumulate(voxels)]
    # With a critic 18 passes; without, 3 at this level and, in encoder and decoder, 6 at the coarsest.
    return [
        3 * (count + 2 * voxels[0]) if training.net.is_vae(level) else 18 * count + 2 * below[level]
        for level, count in enumerate(voxels)
    ]


def genvideo_bytes(training: GenvideoTraining) -> float:
    """The memory that a training takes at most, without what the program takes anyway."""
    c, width = training.config, training.dtype.itemsize
    voxels = c.batch * math.prod(training.shapes[-1])
    return HELD * voxels * (c.layers - 1) * c.width * width


def sized_words(plan: TrainingPlan, choices: Sequence[PairConfig | GenvideoConfig]) -> str:
    """The plan of a pair or of a clip's model, of which it has taken one of the choices."""
    steps, made, asked = " ".join(str(stage.steps) for stage in plan.stages), plan.choice.size, choices[0].size
    smaller = "" if made == asked else f"; {asked} px need at least {in_minutes(plan.needed[0])} minutes"
    enough = f"that takes {in_minutes(plan.needed[-1])} minutes or more here"
    short = f"; too short to learn them well: {enough}" if plan.short else ""
    return f"{steps} steps at the levels up to {made} px{smaller}{short}"


def halved(config: TransferConfig | DifferenceConfig) -> list[Any]:
    """The configuration, then those for pictures of half the side, a quarter, ..., as far as they can be."""
    sides = ["size", "painter_size"] if getattr(config, "painter", 0) else ["size"]
    if config.size < 2 * SMALLEST:
        return [config]
    try:
        half = replace(config, **{name: getattr(config, name) // 2 for name in sides}).filled()
    except OptionError:
        return [config]
    return [config, *halved(half)]


def transfer_choices(config: TransferConfig) -> list[TransferConfig]:
    """The configuration, then those with fewer rounds, and from smaller pictures; the last has one round.

    Rounds are the painter's.
    """
    sizes = halved(config)
    if not config.painter:
        return sizes
    bounds = [*[ROUNDS] * (len(sizes) - 1), LAST]
    fewer = [range(config.rounds, min(config.rounds, least) - 1, -1) for least in bounds]
    found = [replace(size, rounds=rounds) for size, some in zip(sizes, fewer, strict=True) for rounds in some]
    return [*found, replace(sizes[-1], rounds=min(config.rounds, 1))]


def transfer_work(training: TransferTraining) -> list[float]:
    """The work of a step in each stage of content transfer."""
    c = training.config
    sides = {"codes": 2 * c.size}  # the painter of `fast` sees twice the side
    return [WORK[kind] * sides.get(kind, c.seen) ** 2 for kind in training.kinds]


def transfer_least(training: TransferTraining) -> list[int]:
    """The fewest steps of each stage of content transfer with which masks are good."""
    codes = LEAST["codes"] + MORE * max(training.config.rounds - LAST, 0)
    return [codes if kind == "codes" else LEAST[kind] for kind in training.kinds]


def difference_work(training: DifferenceTraining) -> list[float]:
    """The work of a step of domain difference."""
    return [float(training.config.size**2)]


def difference_least(training: DifferenceTraining) -> list[int]:
    """The fewest steps of domain difference that make sense."""
    return [DIFFERENCE_LEAST]


def domain_words(plan: TrainingPlan, choices: Sequence[Any]) -> str:
    """The plan of a training on two folders, of which it has taken one of the choices."""
    steps: dict[str, list[int]] = {}
    for stage in plan.stages:
        steps.setdefault(stage.name.split(",")[0], []).append(stage.steps)
    words = ", ".join(f"{name} {f'{len(n)} x ' if len(n) > 1 else ''}{n[0]}" for name, n in steps.items())
    asked, made = choices[0].seen, plan.choice.seen
    at = "" if made == asked else f", from pictures of {made} px"
    if not (at or plan.short):
        return f"steps: {words}"
    enough = [seconds for choice, seconds in zip(choices, plan.needed, strict=False) if choice.seen == asked][-1]
    return (
        f"steps: {words}{at}; too short to learn {asked} px well: that takes {in_minutes(enough)} minutes or more here"
    )


def speednet_choices(config: SpeedNetConfig) -> list[SpeedNetConfig]:
    """The configuration of a SpeedNet alone: its sizes are those of what it is used on."""
    return [config]


def speednet_work(training: SpeedNetTraining) -> list[float]:
    """The work of a step in each part of the training of a SpeedNet: the same in all."""
    return [1.0] * len(training.stages)


def speednet_least(training: SpeedNetTraining) -> list[int]:
    """The fewest steps of each part of the training of a SpeedNet that make sense."""
    return [max(1, SPEEDNET_LEAST // len(training.stages))] * len(training.stages)


def speednet_words(plan: TrainingPlan, choices: Sequence[SpeedNetConfig]) -> str:
    """The plan of a SpeedNet's training."""
    steps = sum(stage.steps for stage in plan.stages)
    enough = f"that takes {in_minutes(plan.needed[-1])} minutes or more here"
    return f"{steps:,} of {choices[0].steps:,} steps" + (f"; too short to learn much: {enough}" if plan.short else "")
