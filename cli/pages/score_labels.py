"""`structkit score corruptions` and `structkit score texture`: what a classifier makes of pictures that are changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from structkit.configs import Config, option
from structkit.configs.corrupt import CATEGORIES, CORRUPTIONS, EXTRA, kinds_of, severities_of
from structkit_cli.completion import complete_checkpoint, complete_choice
from structkit_cli.options import named
from structkit_cli.run.label_scorer import LabelScoreOptions, LabelScoring, score_labelled

NAMES = ("all", "extra", *CATEGORIES, *CORRUPTIONS, *EXTRA)

LabelledPlace = Annotated[
    str,
    typer.Argument(
        help="folder that has one folder of pictures for each class; or CIFAR's binary files; or x.npy and y.npy, .npz",
        metavar="DATA",
    ),
]


@dataclass(frozen=True)
class ClassifierOptions(Config):
    """Options of the model, and of the pictures that it is asked about."""

    model: str | None = named(
        None,
        "checkpoint of structkit train classifier, or a name that ships (must be given)",
        "MODEL",
        complete=complete_checkpoint,
    )
    part: str = option("test", "the part of DATA that is taken, where it has both", choices=("test", "train"))
    count: int | None = option(
        None, "how many pictures, drawn by the seed, as many of each class; else all", low=2, high=10**9
    )


@dataclass(frozen=True)
class CorruptionChoice(Config):
    """Options of the corruptions, and of the chart of them."""

    kind: str | None = named(
        None,
        "which corruptions: all 15, extra (3 more), noise, blur, weather or digital, or kinds by name, with commas "
        "between them; else all 15, of --corrupted all that are there",
        "KIND",
        complete=complete_choice(NAMES),
    )
    severity: str = named("1-5", "how much of them: 1 to 5, a list such as 1,3, or a range such as 1-5", "SEVERITY")
    corrupted: str | None = named(
        None,
        "take pictures that are corrupted already, from this folder: KIND.npy and labels.npy, or KIND/SEVERITY/CLASS/",
        "FOLDER",
    )
    chart: str | None = named(None, "write a bar chart, FILE.png or FILE.svg", "FILE")


@dataclass(frozen=True)
class SwapOptions(Config):
    """Options of the statistics that pictures are given."""

    draws: int = option(3, "how often each picture gets another's statistics", low=1, high=1000)


def corruptions(
    data: LabelledPlace, *, asked: ClassifierOptions, wanted: CorruptionChoice, running: LabelScoreOptions
) -> None:
    """How often a classifier is wrong about pictures that are noisy, blurred, in bad weather or badly saved.

    In: labelled pictures that the model has not learned from, and the model.  Each picture is corrupted as it is seen,
    in the 15 ways of the benchmarks CIFAR-10-C and ImageNet-C (see structkit corrupt), in five severities.  Out: a
    table of errors in percent: of each kind and severity, their means, those of noise, blur, weather and digital
    changes, and the error on the pictures as they are (clean).  The mean of 15 is what papers call mCE on CIFAR.  Frost
    is drawn here, not photographed as published, so the mean of 14 without it is told too.  Extra kinds are in no mean.

    For the 1,000 classes of ImageNet at 224 px mCE is told too: errors over AlexNet's.

    --corrupted reads the published files of CIFAR-10-C, CIFAR-100-C and ImageNet-C, or what structkit corrupt has
    written, in place of making them; DATA then gives the clean error.  --chart errors.svg draws the table.

    A picture that cannot be read is told and left out, and the exit code is 1.

    Example: structkit score corruptions fruit/ --model classifier.safetensors --count 100
    """
    kinds, severities = None if wanted.kind is None else kinds_of(wanted.kind), severities_of(wanted.severity)
    settings = {"kinds": kinds, "severities": severities, "corrupted": wanted.corrupted}
    score_labelled(
        "corruptions", LabelScoring(data, asked.model, asked.part, asked.count, settings), running, wanted.chart
    )


def texture(data: LabelledPlace, *, asked: ClassifierOptions, wanted: SwapOptions, running: LabelScoreOptions) -> None:
    """How much a classifier leans on colour, brightness and contrast, and not on shapes.

    In: labelled pictures that the model has not learned from, and the model.  Each picture gets the mean and the
    standard deviation of each channel of another one, its donor, whose colours and contrast it then has: what is shown
    stays.  Out: one line.  clean: the accuracy on the pictures as they are.  swapped: that on the changed ones, the
    mean over the draws, and swapped_sd its standard deviation.  fall: by how much it is less.  followed: how many
    pictures whose donor is of another class are taken for the donor's class, and followed_clean how many are without
    the change.  changed: how many are named otherwise than before.  clipped: the share of levels that lay beyond black
    or white, and were cut off.

    A model that was trained with --padain should fall less: compare it with one that was not.

    A picture that cannot be read is told and left out, and the exit code is 1.

    Example: structkit score texture fruit/ --model classifier.safetensors
    """
    settings = {"draws": wanted.draws}
    score_labelled("texture", LabelScoring(data, asked.model, asked.part, asked.count, settings), running)


SCORES = (corruptions, texture)
