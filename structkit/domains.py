"""Two folders in, a model of what tells them apart out: the trainings of `engines.transfer` and `engines.difference`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from structkit.configs import DifferenceConfig, TransferConfig
from structkit.data.folders import Folder, read_folder, shared, split
from structkit.device import enough_memory, resolve
from structkit.engines.difference_training import DifferenceTraining
from structkit.engines.transfer_training import TransferTraining
from structkit.errors import OptionError
from structkit.media.pictures import MAX_PIXELS, Picture
from structkit.pictures import Running
from structkit.training import loop
from structkit.training.model import Model
from structkit.training.parallel import joined
from structkit.training.planned import Plan, Planned, scaled_steps
from structkit.training.planned import minutes as in_minutes
from structkit.training.precision import precision
from structkit.training.stages import Event, Training

Pictures = str | Path | Sequence[Picture | str | Path]


@dataclass(frozen=True)
class System:
    """What learns from two folders."""

    config: type[TransferConfig] | type[DifferenceConfig]
    training: Callable[..., Training]
    roles: tuple[str, str]  # of the folders
    work: Callable[[Training], Sequence[float]]  # of a step in each stage, in any unit
    tells: bool = False  # whether the training says what it finds on the way


# As measured at `fast`, what a round labels included; all kinds are measured again before the work is planned.
TRANSFER = System(
    TransferConfig,
    TransferTraining,
    ("with", "without"),
    lambda t: [3.0, *[3.6] * t.config.rounds, 1.9][: len(t.stages)],
    tells=True,
)
DIFFERENCE = System(DifferenceConfig, DifferenceTraining, ("a", "b"), lambda t: [1.0])


def train(
    system: System,
    one: Pictures,
    other: Pictures,
    output: str | Path,
    *,
    minutes: float | None,
    seed: int,
    device: str,
    dtype: str,
    overwrite: bool,
    report: Callable[[Event], None],
    tell: Callable[[str], None],
    options: dict[str, Any],
    max_pixels: int = MAX_PIXELS,
) -> Model:
    """See `structkit.train_transfer` and `structkit.train_difference`.

    Processes share each batch, and batch norms see only what is theirs: two processes with a batch of 32 are not one with 32, bit for bit.
    """
    began = time.monotonic()
    Running(seed, device, "auto", None)  # refuses a seed that cannot be
    config = system.config.of(options).filled()
    if minutes is not None and not 0 < minutes < math.inf:
        raise OptionError(f"--minutes is {minutes}: it must be above 0, or left out")
    with joined(resolve(device)) as (processes, own), enough_memory(own, "use a smaller --size or --batch, or another --device"):
        arithmetic = precision(dtype, own)
        _check_folders(one, other, Path(output))

        def say(*notes: str) -> None:
            for note in notes if processes.first else ():
                tell(note)

        folders = [read_folder(pictures, config.seen, config.fit, max_pixels=max_pixels, tell=say) for pictures in (one, other)]
        say(*(note for folder in folders for note in folder.notes), *shared(*folders))
        (one_seen, one_held), (other_seen, other_held) = (split(folder) for folder in folders)
        say(_counts(folders, (one_held, other_held)))

        def make(size: int) -> Training:
            how = {"device": own, "dtype": arithmetic, "held": (one_held.pictures, other_held.pictures)}
            return system.training(one_seen.pictures, other_seen.pictures, config, **how, **({"tell": say} if system.tells else {}))

        training = make(config.size)
        if minutes is not None:
            told = lambda plan: say(_words(plan, minutes))  # noqa: E731
            training = Planned(make, [config.size], system.work, seconds=60 * minutes, steps=scaled_steps, tell=told, began=began)
        run = {
            "config": asdict(config),
            "inputs": {role: folder.sha256 for role, folder in zip(system.roles, folders, strict=True)},
            "minutes": minutes,
            "dtype": str(arithmetic).removeprefix("torch."),
            "processes": processes.size,
        }
        inputs = [path for pictures, folder in zip((one, other), folders, strict=True) for path in _files(pictures, folder)]
        loop.train(training, output, seed=seed, run=run, report=report, processes=processes, overwrite=overwrite, inputs=inputs)
        return training.model_class.load(output, own)  # in float32, as it will be used


def _check_folders(one: Pictures, other: Pictures, output: Path) -> None:
    """Refuse, before anything is read, what would teach nothing, or teach the training its own previews."""
    first, second = (_folders(pictures) for pictures in (one, other))
    for folder in first:
        if any(folder.samefile(there) for there in second):
            raise OptionError(f"{folder}: the folder of both kinds of pictures; name two that differ in what is to be learnt")
    for folder in (*first, *second):
        if output.resolve().is_relative_to(folder.resolve()):
            fact = f"in {folder}, a folder that is learnt from, and so would be the preview: name a place outside it"
            raise OptionError(f"--output is {output}: {fact}")


def _folders(pictures: Pictures) -> list[Path]:
    """Those of the given paths that are folders; lists are not looked into."""
    given = [pictures] if isinstance(pictures, str | Path) else pictures
    return [Path(path) for path in given if not isinstance(path, Picture) and Path(path).is_dir()]


def _files(pictures: Pictures, folder: Folder) -> list[Path]:
    """What was read, which no training may write over."""
    if isinstance(pictures, str | Path) and not str(pictures).startswith("@"):
        return [Path(pictures) / name for name in folder.names]
    return [Path(name) for name in folder.names]


def _counts(folders: Sequence[Folder], held: Sequence[Folder]) -> str:
    """How many pictures there are, in one line."""
    counts = [f"{folder.label}: {len(folder):,} pictures" for folder in folders]
    out = sum(len(folder) for folder in held)
    held_out = f"{out:,} of them {'is' if out == 1 else 'are'} held out, for the scores" if out else "too few to hold any out for scores"
    return f"{', '.join(counts)}; {held_out}"


def _words(plan: Plan, minutes: float) -> str:
    """What the plan is, in one line."""
    if plan.whole:
        return f"--minutes {minutes:g}: all steps, in about {in_minutes(plan.seconds)}"
    return f"--minutes {minutes:g}: {' + '.join(str(stage.steps) for stage in plan.stages)} steps"
