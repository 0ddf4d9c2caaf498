"""Two folders in, a model of what tells them apart out: the trainings of `engines.transfer` and `engines.difference`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from structkit.configs import DifferenceConfig, TransferConfig
from structkit.data.folders import Folder, read_folder, shared, split
from structkit.data.listed import Listed, Pictures, check_apart, listed
from structkit.engines.difference_training import DifferenceTraining
from structkit.engines.transfer_training import TransferTraining
from structkit.errors import OptionError
from structkit.media.pictures import MAX_PIXELS
from structkit.training.model import Model
from structkit.training.planned import Plan, scaled_steps
from structkit.training.stages import Training
from structkit.trainings import Wanted, begun


@dataclass(frozen=True)
class System:
    """What learns from two folders."""

    config: type[TransferConfig] | type[DifferenceConfig]
    training: type[TransferTraining] | type[DifferenceTraining]
    roles: tuple[str, str]  # of the folders
    work: Callable[[Training], Sequence[float]]  # of a step in each stage, in any unit
    tells: bool = False  # whether the training says what it finds on the way


# As measured at `fast`, what a round labels included; all kinds are measured again before the work is planned.
WORK = {"codes": 3.0, "painter": 4.8, "placer": 1.9}  # of a step of content transfer
TRANSFER = System(
    TransferConfig,
    TransferTraining,
    ("with", "without"),
    lambda t: [WORK[kind] for kind in t.kinds],
    tells=True,
)
DIFFERENCE = System(DifferenceConfig, DifferenceTraining, ("a", "b"), lambda t: [1.0])


def train(system: System, one: Pictures, other: Pictures, wanted: Wanted, options: dict[str, Any], max_pixels: int = MAX_PIXELS) -> Model:
    """See `structkit.train_transfer` and `structkit.train_difference`.

    Processes share each batch, and batch norms see only what is theirs: two processes with a batch of 32 are not one with 32, bit for bit.
    """
    config = system.config.of(options).filled()
    with begun(wanted, config, "use a smaller --size or --batch, or another --device") as here:
        domains = [listed(pictures) for pictures in (one, other)]
        files = [file for domain in domains for file in domain.files]
        check_apart(*domains)
        _check_outside(Path(wanted.output), domains)
        here.check(system.training.model_class, files)
        folders = [read_folder(domain, config.seen, config.fit, max_pixels=max_pixels, tell=here.say) for domain in domains]
        here.say(*(note for folder in folders for note in folder.notes), *shared(*folders))
        (one_seen, one_held), (other_seen, other_held) = (split(folder) for folder in folders)
        here.say(_counts(folders, (one_held, other_held)))

        def make(size: int) -> Training:
            how = {"device": here.device, "dtype": here.dtype, "held": (one_held.pictures, other_held.pictures)}
            return system.training(one_seen.pictures, other_seen.pictures, config, **how, **({"tell": here.say} if system.tells else {}))

        training = here.in_time(make, [config.size], system.work, _words, steps=scaled_steps)
        return here.train(training, {role: folder.sha256 for role, folder in zip(system.roles, folders, strict=True)}, files)


def _check_outside(output: Path, domains: Sequence[Listed]) -> None:
    """Refuse what would teach the training its own previews."""
    for folder in (folder for domain in domains for folder in domain.folders):
        if output.resolve().is_relative_to(folder.resolve()):
            fact = f"in {folder}, a folder that is learnt from, and so would be the preview: name a place outside it"
            raise OptionError(f"--output is {output}: {fact}")


def _counts(folders: Sequence[Folder], held: Sequence[Folder]) -> str:
    """How many pictures there are, in one line."""
    counts = [f"{folder.label}: {len(folder):,} pictures" for folder in folders]
    out = sum(len(folder) for folder in held)
    held_out = f"{out:,} of them {'is' if out == 1 else 'are'} held out, for the scores" if out else "too few to hold any out for scores"
    return f"{', '.join(counts)}; {held_out}"


def _words(plan: Plan) -> str:
    return f"{' + '.join(str(stage.steps) for stage in plan.stages)} steps"
