"""`structkit train action`, `structkit train classifier` and `structkit train segmenter`: models that name what is
shown.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from structkit.configs import ActionConfig, ClassifierConfig, Config, SegmenterConfig
from structkit.errors import OptionError
from structkit_cli.options import named
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


@dataclass(frozen=True)
class LabelOptions(Config):
    """Options that name labelled pictures, those to adapt to, and the meaning of the labels."""

    source: tuple[str, str] | None = named(
        None,
        "folder of pictures, and folder of their label files, of equal names; or 'patterns*.png' (must be given)",
        "IMAGES LABELS",
    )
    target: str | None = named(
        None, "folder of pictures of another domain, to adapt to as --adapt says; no labels are read", "IMAGES"
    )
    labels: str = named(
        "palette",
        "what the labels mean: camvid, cityscapes (GTA5 too), a .json or .csv of classes; palette: what the palettes "
        "of the label files say",
        "MAP",
    )


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


def train_segmenter(*, folders: LabelOptions, engine: SegmenterConfig, running: TrainOptions) -> None:
    """Learn to say what each place of a picture shows, such as road, car or sky, from pictures with label files; and
    adapt to pictures of another kind, which need no labels.

    In: --source, a folder of pictures and one of label files, PNGs of one channel (ids), with a palette, or of colours.
    They are matched by name, and names may end as those of Cityscapes, GTA5 and CamVid do (_leftImg8bit,
    _gtFine_labelIds, _L).  Out: a model, a checkpoint, at --output; its path is printed on stdout.  Beside it stand the
    log of the losses and, while it trains, a preview and the state.  Use it with: structkit segment street.jpg --model
    seg.safetensors

    --labels says what the labels mean: a name, or a table with the columns id, name and colour (0,road,#804080) as
    .csv, or .json.  Without ids, label files have these colours; ids without a name, and 255, are not counted.  All
    labels are looked at before the first step: more than 1 % that the map does not know are refused, and the ids told.

    A network that knows drawn streets, or streets by day, does badly on filmed ones, or on streets by night.  --target
    names such pictures, without labels, and --adapt how: bn takes the statistics of its batch norms from them, which
    costs nothing and often helps most; fada (FADA) and selftrain learn on.  --padain swaps the statistics of pictures
    now and then.  Try bn first, and compare.

    A tenth of the source is held out, for the IoU of each class that is told at the end and stands in the card
    (structkit info).  Frames of one video are much alike: for a fair figure, keep whole videos apart, and use structkit
    score iou.

    A training that was stopped, in whatever way, goes on with the same command.  With --minutes it ends in time.
    Several processes share the work with: torchrun --nproc-per-node 2 -m structkit_cli train segmenter ...

    Example: structkit train segmenter --source images/ labels/ --labels camvid -o seg.safetensors
    """
    if folders.source is None:
        raise OptionError("--source is missing: name the folder of pictures, and that of their label files")
    inputs = (*folders.source, folders.target, folders.labels)
    trainer.run("segmenter", inputs, asdict(engine), running)


TRAININGS = (train_action, train_classifier, train_segmenter)
