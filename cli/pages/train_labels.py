"""`structkit train action`: models that name what is shown."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from structkit.configs import ActionConfig
from structkit_cli.run import trainer
from structkit_cli.run.trainer import TrainOptions

ClassFolder = Annotated[
    str, typer.Argument(help="folder that has one folder of videos for each class", metavar="CLASSES")
]


def train_action(classes: ClassFolder, *, engine: ActionConfig, running: TrainOptions) -> None:
    """Learn to name what is done in clips, such as walk, jump or wave, from a folder of examples for each class.

    In: a folder with one folder of videos for each class, whose names are the classes.  Videos of any size, length and
    frame rate do; best are a few dozen of each class, which show little else.  Out: a model, a checkpoint, at --output;
    its path is printed on stdout.  Beside it stand the log of the losses and, while it trains, the state.  Use it with:
    structkit classify --model action.safetensors

    A quarter of each class's files are held out: the accuracy on them, with its interval, is told at the end beside
    that of always naming one class, with the classes that were taken for others.  Both are in the card (structkit
    info), and files that were not learned from are told with the reason.

    --init begins from a model of structkit train speednet, and all layers are tuned.  With --baseline a network that
    begins from random weights is trained too, by as many steps, and its accuracy is told beside the other's.

    A training that was stopped, in whatever way, goes on with the same command.  With --minutes it ends in time.
    Several processes share the work with: torchrun --nproc-per-node 2 -m structkit_cli train action ...

    Example: structkit train action classes/ --minutes 10 -o action.safetensors
    """
    trainer.run("action", (classes,), asdict(engine), running)


TRAININGS = (train_action,)
