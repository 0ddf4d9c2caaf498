"""Two folders in, a model of what tells them apart out: the trainings of `engines.transfer` and
`engines.difference`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import Tensor

from structkit.configs import DifferenceConfig, TransferConfig
from structkit.data.batches import smaller
from structkit.data.folders import Folder, read_folder, shared, split
from structkit.data.listing import FileList, Pictures, check_apart, list_files
from structkit.engines.difference.training import DifferenceTraining
from structkit.engines.transfer.training import TransferTraining
from structkit.errors import OptionError
from structkit.media.pictures import MAX_PIXELS
from structkit.recipes.run import TrainingOptions, begun
from structkit.training.model import Model
from structkit.training.outputs import TrainingFiles
from structkit.training.planned import TrainingPlan, steps_between
from structkit.training.planned import minutes as in_minutes
from structkit.training.stages import Training


@dataclass(frozen=True)
class System:
    """What learns from two folders."""

    config: type[TransferConfig] | type[DifferenceConfig]
    training: type[TransferTraining] | type[DifferenceTraining]
    roles: tuple[str, str]  # of the folders
    choices: Callable[
        [Any], Sequence[Any]
    ]  # a configuration, then those of less work that may take its place to end in time
    work: Callable[[Any], Sequence[float]]  # of a step in each stage of a training, in any unit
    least: Callable[
        [Any], Sequence[int]
    ]  # steps of each stage of a training, with fewer of which nothing good comes out
    tells: bool = False  # whether the training says what it finds on the way


# As measured at `fast`, what a round labels included; all kinds are measured again before the work is planned.
WORK = {"codes": 3.0, "painter": 4.8, "placer": 1.9}  # of a step of content transfer
# The fewest steps with which masks are good, and rounds: where fewer fit, smaller pictures with more rounds do better;
# of the smallest, no fewer than LAST make sense.  With each round more the codes get MORE steps.  See
# tests/benchmarks/budgets.csv.
LEAST, ROUNDS, LAST, MORE = {"codes": 400, "painter": 120, "placer": 60}, 6, 3, 70
SMALLEST = 32  # px, of the squares that codes are made of


def _halved(config: TransferConfig | DifferenceConfig) -> list[Any]:
    """The configuration, and after it those for pictures of half the side, a quarter, ..., as far as they can be."""
    sides = ["size", "painter_size"] if getattr(config, "painter", 0) else ["size"]
    if config.size < 2 * SMALLEST:
        return [config]
    try:
        half = replace(config, **{name: getattr(config, name) // 2 for name in sides}).filled()
    except OptionError:
        return [config]
    return [config, *_halved(half)]


def _transfers(config: TransferConfig) -> list[TransferConfig]:
    """With fewer rounds, and then from smaller pictures; the last has one round.  Rounds are the painter's."""
    sizes = _halved(config)
    if not config.painter:
        return sizes
    bounds = [*[ROUNDS] * (len(sizes) - 1), LAST]
    fewer = [range(config.rounds, min(config.rounds, least) - 1, -1) for least in bounds]
    found = [replace(size, rounds=rounds) for size, some in zip(sizes, fewer, strict=True) for rounds in some]
    return [*found, replace(sizes[-1], rounds=min(config.rounds, 1))]


def _work(training: TransferTraining) -> list[float]:
    c = training.config
    sides = {"codes": 2 * c.size}  # the painter of `fast` sees twice the side
    return [WORK[kind] * sides.get(kind, c.seen) ** 2 for kind in training.kinds]


def _least(training: TransferTraining) -> list[int]:
    codes = LEAST["codes"] + MORE * max(training.config.rounds - LAST, 0)
    return [codes if kind == "codes" else LEAST[kind] for kind in training.kinds]


TRANSFER = System(TransferConfig, TransferTraining, ("with", "without"), _transfers, _work, _least, tells=True)
DIFFERENCE = System(
    DifferenceConfig, DifferenceTraining, ("a", "b"), _halved, lambda t: [float(t.config.size**2)], lambda t: [500]
)


def train(
    system: System,
    one: Pictures,
    other: Pictures,
    wanted: TrainingOptions,
    options: dict[str, Any],
    max_pixels: int = MAX_PIXELS,
) -> Model:
    """See `structkit.train_transfer` and `structkit.train_difference`.

    Processes share each batch, and batch norms see only what is theirs: two processes with a batch of 32 are not one
    with 32, bit for bit.
    """
    config = system.config.of(options).filled()
    with begun(wanted, config, "use a smaller --size or --batch, or another --device") as here:
        domains = [list_files(pictures) for pictures in (one, other)]
        files = [file for domain in domains for file in domain.files]
        check_apart(*domains)
        _check_outside(Path(wanted.output), domains)
        here.check(system.training.model_class, files)
        folders = [
            read_folder(domain, config.seen, config.fit, max_pixels=max_pixels, tell=here.say) for domain in domains
        ]
        here.say(*(note for folder in folders for note in folder.notes), *shared(*folders))
        (one_seen, one_held), (other_seen, other_held) = (split(folder) for folder in folders)
        here.say(_counts(folders, (one_held, other_held)))

        @lru_cache(maxsize=2)
        def pictures(side: int) -> list[Tensor]:
            """Those that are seen, of each folder, then those that are held out, at this size."""
            return [
                smaller(part.pictures.to(here.device), side) for part in (one_seen, other_seen, one_held, other_held)
            ]

        def make(config: Any) -> Training:
            one, other, *held = pictures(config.seen)
            how = {
                "device": here.device,
                "dtype": here.dtype,
                "held": held,
                **({"tell": here.say} if system.tells else {}),
            }
            return system.training(one, other, config, **how)

        choices = system.choices(config)
        training = here.in_time(
            make, choices, system.work, lambda plan: _words(plan, choices), least=system.least, steps=steps_between
        )
        return here.train(
            training, {role: folder.sha256 for role, folder in zip(system.roles, folders, strict=True)}, files
        )


def _check_outside(output: Path, domains: Sequence[FileList]) -> None:
    """Refuse what would teach the training its own previews."""
    for folder in (folder for domain in domains for folder in domain.folders):
        if output.resolve().is_relative_to(folder.resolve()):
            fact = f"in {folder}, a folder that is learnt from, and so would be the preview: name a place outside it"
            raise OptionError(f"--output is {output}: {fact}")
    preview = TrainingFiles(output).preview
    for pattern in filter(None, (domain.pattern_of(preview) for domain in domains)):
        raise OptionError(f"--output is {output}: its preview would be one of {pattern}: name a place elsewhere")


def _counts(folders: Sequence[Folder], held: Sequence[Folder]) -> str:
    """How many pictures there are, in one line."""
    counts = [f"{folder.label}: {len(folder):,} pictures" for folder in folders]
    out = sum(len(folder) for folder in held)
    held_out = (
        f"{out:,} of them {'is' if out == 1 else 'are'} held out, for the scores"
        if out
        else "too few to hold any out for scores"
    )
    return f"{', '.join(counts)}; {held_out}"


def _words(plan: TrainingPlan, choices: Sequence[Any]) -> str:
    """choices: of which the plan has taken one."""
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
