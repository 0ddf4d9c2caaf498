"""`structkit train action` and `structkit train classifier`: models that name what is shown."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from structkit.configs import ActionConfig, ClassifierConfig
from structkit_cli.run import trainer
from structkit_cli.run.trainer import TrainOptions

ClassFolder = Annotated[
    str, typer.Argument(help="folder that has one folder of videos for each class", metavar="CLASSES")
]

LabelledData = Annotated[
    str,
    typer.Argument(
        help="folder that has one folder of pictures for each class; or CIFAR's binary files; or x.npy and y.npy, .npz",
        metavar="DATA",
    ),
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


def train_classifier(data: LabelledData, *, engine: ClassifierConfig, running: TrainOptions) -> None:
    """Learn to name what pictures show, such as apples and pears, from a folder of examples for each class.

    In: a folder with one folder of pictures for each class, whose names are the classes; or one with train/ and test/
    that have such folders.  Or CIFAR's binary files, or NumPy arrays x and y.  Out: a model, a checkpoint, at --output;
    its path is printed on stdout.  Beside it stand the log of the losses and, while it trains, the state.  Use it with:
    structkit classify --model classifier.safetensors

    The accuracy is measured on test/, else on a fifth of each class that is held out: it is told at the end with its
    interval, the worst classes and what was most often taken for what, and is in the card (structkit info).  Pictures
    that cannot be read are left out, and told with the reason.

    --padain 0.01 gives now and then the features of a picture the statistics of another's, so that the network leans
    less on colour and contrast.  --augmix and --pixmix learn from mixtures, for pictures that are noisy, blurred or
    foggy.  Each makes the accuracy on clean pictures a little better or worse: compare on yours.

    A training that was stopped, in whatever way, goes on with the same command.  With --minutes it ends in time.
    Several processes share the work with: torchrun --nproc-per-node 2 -m structkit_cli train classifier ...

    Example: structkit train classifier fruit/ --minutes 10 -o classifier.safetensors
    """
    trainer.run("classifier", (data,), asdict(engine), running)


TRAININGS = (train_action, train_classifier)
