"""`structkit train ...`: models from the user's own pictures and videos.

There is one page for each kind of training.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from structkit.configs import Config, DifferenceConfig, PairConfig, TransferConfig
from structkit.errors import OptionError
from structkit_cli.options import named
from structkit_cli.run import trainer
from structkit_cli.run.inputs import InputFile, gather
from structkit_cli.run.trainer import TrainOptions

Source = Annotated[
    str,
    typer.Argument(
        help="one of the two pictures, usually the one that gives the structure; or a video", metavar="SOURCE"
    ),
]
Target = Annotated[str, typer.Argument(help="the other one", metavar="TARGET")]
FolderA = Annotated[
    str,
    typer.Argument(
        help="folder of pictures, such as faces with glasses; or a 'pattern*.png' or @list.txt", metavar="A"
    ),
]
FolderB = Annotated[str, typer.Argument(help="other pictures, such as faces with a beard, likewise", metavar="B")]


@dataclass(frozen=True)
class FolderOptions(Config):
    """Options that name the folders which a content is learnt from."""

    with_: str | None = named(
        None, "folder of pictures with the content, a 'pattern*.png' or @list.txt (must be given)", "FOLDER"
    )
    without: str | None = named(None, "pictures without it, likewise (must be given)", "FOLDER")


def analogy(source: Source, target: Target, *, engine: PairConfig, running: TrainOptions) -> None:
    """Train generators between two pictures: from then on, new analogies of the pair are drawn in no time, in both
    directions.

    In: two pictures.  Out: the trained pair, a checkpoint, at --output; its path is printed on stdout.  Beside it stand
    the log of the losses and, while it trains, a preview and the state.  Use it with: structkit analogy --model
    pair.safetensors

    SOURCE may be a video (MP4, MOV, MKV, WebM, AVI and others): it learns from its frames, --frames at most, spread
    over the video, and can then give it the look of TARGET.  Use it with: structkit analogy clip.mp4 --model
    pair.safetensors

    A training that was stopped, in whatever way, goes on with the same command.  With --minutes it ends in time.
    Several processes share the work with: torchrun --nproc-per-node 2 -m structkit_cli train analogy ...

    Each option can also be set in the environment, such as STRUCTKIT_TRAIN_ANALOGY_STEPS=1000, or in a file with
    --config (its table is train.analogy).

    Example: structkit train analogy house.png cake.png --minutes 20 -o pair.safetensors
    """
    one, other = _one(source, "SOURCE"), _one(target, "TARGET")
    if one.path is None and other.path is None:
        raise OptionError("SOURCE and TARGET are both standard input (-): it can be read only once")
    if other.path is not None and other.is_video:
        raise OptionError(f"{other.name} is a video, and TARGET must be a picture: name one of its frames")
    trainer.run("analogy", (one, other), asdict(engine), running)


def transfer(*, folders: FolderOptions, engine: TransferConfig, running: TrainOptions) -> None:
    """Learn a content, such as glasses or beards, from pictures with it and pictures without it: no pairs and no labels
    are needed.

    In: two folders (with their subfolders), patterns or lists.  The pictures should show their subject at about the
    same place, and differ in the content alone.  Out: a checkpoint, at --output; its path is printed on stdout.  Beside
    it stand the log of the losses and, while it trains, a preview and the state.  About one picture in twenty is held
    out: the scores in the card come from these.

    Use it with: structkit transfer, structkit remove and structkit segment, --model glasses.safetensors

    A training that was stopped, in whatever way, goes on with the same command.  With --minutes it ends in time.
    Several processes share the work with: torchrun --nproc-per-node 2 -m structkit_cli train transfer ...

    Example: structkit train transfer --with glasses/ --without plain/ -o glasses.safetensors
    """
    for flag, folder in {"--with": folders.with_, "--without": folders.without}.items():
        if folder is None:
            raise OptionError(f"{flag} is missing: name the folder of pictures {flag[2:]} the content")
    trainer.run("transfer", (str(folders.with_), str(folders.without)), asdict(engine), running)


def difference(a: FolderA, b: FolderB, *, engine: DifferenceConfig, running: TrainOptions) -> None:
    """Learn what the pictures of two folders have in common, and what only those of A and only those of B have.

    In: two folders (with their subfolders), patterns or lists, such as faces with glasses and faces with a beard.
    Out: a checkpoint, at --output; its path is printed on stdout.  Beside it stand the log of the losses and, while it
    trains, a preview and the state.

    Use it with: structkit transfer face.png --from glasses.png --from-b beard.png --model faces.safetensors, and
    structkit remove

    A training that was stopped, in whatever way, goes on with the same command.  With --minutes it ends in time.
    Several processes share the work with: torchrun --nproc-per-node 2 -m structkit_cli train difference ...

    Example: structkit train difference glasses/ beards/ -o faces.safetensors
    """
    trainer.run("difference", (a, b), asdict(engine), running)


def _one(argument: str, name: str) -> InputFile:
    found = gather([argument])
    if found.many:
        raise OptionError(f"{name} {argument} may be many pictures: name one file")
    return found.inputs[0]


TRAININGS = (analogy, transfer, difference)
