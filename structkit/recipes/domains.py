"""Trainings on two folders: models of what tells the folders apart, by content transfer or by domain difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from structkit.configs import DifferenceConfig, TransferConfig
from structkit.engines.difference.training import DifferenceTraining
from structkit.engines.transfer.training import TransferTraining
from structkit.recipes import plans
from structkit.recipes.material import ContentFolders, TwoFolders
from structkit.recipes.run import Recipe, TrainingOptions, train, training_function
from structkit.training.planned import steps_between

if TYPE_CHECKING:
    from structkit.data.listing import Pictures
    from structkit.engines.difference.model import DomainDifference
    from structkit.engines.transfer.model import ContentTransfer

WAY_OUT = "use a smaller --size or --batch, or another --device"

TRANSFER = Recipe(
    config=TransferConfig,
    training=TransferTraining,
    material=ContentFolders,
    choices=plans.transfer_choices,
    work=plans.transfer_work,
    words=plans.domain_words,
    way_out=WAY_OUT,
    planning={"least": plans.transfer_least, "steps": steps_between},
)
DIFFERENCE = Recipe(
    config=DifferenceConfig,
    training=DifferenceTraining,
    material=TwoFolders,
    choices=plans.halved,
    work=plans.difference_work,
    words=plans.domain_words,
    way_out=WAY_OUT,
    planning={"least": plans.difference_least, "steps": steps_between},
)


@training_function
def train_transfer(
    with_: Pictures, without: Pictures, options: TrainingOptions, settings: dict[str, Any]
) -> ContentTransfer:
    """Learn a content from pictures with it and pictures without: for `transfer`, `remove` and `segment`.

    A content is, for example, glasses or a beard.
    with_, without: a folder, a "pattern*.png", "@list.txt", or a sequence of these and of pictures and files.  The
    pictures need no pairs and no labels, but should show their subject at about the same place.
    options: fields of `configs.TransferConfig`.
    About one picture in twenty is held out, if there are enough: the card's scores come from these.
    Method: Mask-based unsupervised content transfer (Mokady et al., ICLR 2020), see `structkit.engines.transfer.model`.
    Raises InputError, OptionError, DeviceError, OutputError, CheckpointError; StructkitError for losses that are not
    finite.
    """
    return train(TRANSFER, (with_, without), options, settings)  # type: ignore[return-value]


@training_function
def train_difference(a: Pictures, b: Pictures, options: TrainingOptions, settings: dict[str, Any]) -> DomainDifference:
    """Learn what two kinds of pictures have in common, and what only one of them has: for `transfer` and `remove`.

    a, b: as `train_transfer`.
    options: fields of `configs.DifferenceConfig`.
    Method: Domain intersection and domain difference (Benaim et al., ICCV 2019), see
    `structkit.engines.difference.model`.
    Raises as `train_transfer`.
    """
    return train(DIFFERENCE, (a, b), options, settings)  # type: ignore[return-value]
