"""Trainings on a pair: a picture, or a video, and a picture, for structural analogy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from structkit.configs import PairConfig
from structkit.engines.pair.training import CHUNK, PairTraining
from structkit.recipes import plans
from structkit.recipes.material import SourceAndTarget
from structkit.recipes.run import Recipe, TrainingOptions, train, training_function

if TYPE_CHECKING:
    from structkit.engines.pair.model import PairAnalogy
    from structkit.verbs.canvas import PictureLike

PAIR = Recipe(
    config=PairConfig,
    training=PairTraining,
    material=SourceAndTarget,
    choices=plans.pair_choices,
    work=plans.pair_work,
    words=plans.sized_words,
    way_out="use a smaller --size, fewer --frames or another --device",
    planning={"chunk": CHUNK},
)


@training_function
def train_analogy(
    source: PictureLike, target: PictureLike, options: TrainingOptions, settings: dict[str, Any]
) -> PairAnalogy:
    """Train a pair: two pictures between which `analogy(model=...)` can then draw analogies, in both directions.

    options: fields of `configs.PairConfig`.
    Transparent parts of a picture are trained on as its mean colour.
    The source may also be the path of a video: its frames are that side of the pair, the mode is "video", and
    `analogy_video(model=...)` translates it.  In memory are `frames` of them at most, about the size of the finest
    level, with up to 24 bytes a pixel.
    Method: Structural analogy from a single image pair (Benaim et al., CGF 2020), see `structkit.engines.pair.model`.
    Raises InputError, OptionError, DeviceError, OutputError, CheckpointError; StructkitError for losses that are not
    finite.
    """
    return train(PAIR, (source, target), options, settings)  # type: ignore[return-value]
