"""Trained pairs: pictures or a video in, the training or the drawing of `structkit.engines.pair.model`, a checkpoint or
pictures out.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from structkit.configs import PairConfig, PairResultConfig, RefineConfig
from structkit.data.frames import spread_frames
from structkit.data.levels import level_shapes, level_sides
from structkit.device import resolve
from structkit.engines.pair.model import A, B, PairAnalogy
from structkit.engines.pair.training import CHUNK, PairTraining
from structkit.engines.patch import analogy as patch
from structkit.errors import CheckpointError, InputError, OptionError
from structkit.media.containers import is_video
from structkit.media.files import sha256_file
from structkit.media.pictures import Picture, read_picture
from structkit.media.tensors import filled, from_tensor, to_tensor
from structkit.media.video import VideoReader
from structkit.recipes.run import TrainingOptions, begun
from structkit.training.planned import Plan
from structkit.training.planned import minutes as in_minutes
from structkit.verbs.patchwork import Running, Size, _alpha, _count, _enlarged, _notes, _size, _usable

LEAST_SIZE = 24  # px: of a pair that is made smaller to end in time
# levels below the finest at which a source is injected (the authors try 4 to 0; for videos 1, which moves twice as
# much)
BELOW = 2
# where the target's chain starts to repaint a result, as a share of the finest level (the authors' example: level 4 of
# 10)
CHAIN = 0.4
ROLES = {A: "source", B: "target"}


@dataclass(frozen=True)
class PairInput:
    """A picture of a pair, or the video of its source.  sha256: of its file's bytes; of what never was a file, of its
    pixels.
    """

    picture: Picture | VideoReader
    sha256: str
    path: Path | None = None  # of its file, which no training may write over


def given(what: PairInput | Picture | str | Path, *, video: bool = False) -> PairInput:
    """Read it, if it is a path.  video: whether it may be one, which is opened.  Raises InputError."""
    if isinstance(what, PairInput):
        return what
    if not isinstance(what, Picture):
        if is_video(what) and not video:
            raise InputError(f"{what}: a video, where a picture is needed; name one of its frames")
        return PairInput((VideoReader if is_video(what) else read_picture)(what), sha256_file(what), Path(what))
    return PairInput(what, what.sha256)


def train(source: PairInput, target: PairInput, wanted: TrainingOptions, options: dict[str, Any]) -> PairAnalogy:
    """See `structkit.train_analogy`."""
    config = of_its_mode(PairConfig.of(options), source.picture).filled()
    with begun(wanted, config, "use a smaller --size, fewer --frames or another --device") as here:
        inputs = [given.path for given in (source, target) if given.path]
        here.check(PairAnalogy, inputs)
        frames, look = _frames(source.picture, config), filled(target.picture)

        def make(config: PairConfig) -> PairTraining:
            return PairTraining(frames, look, config, device=here.device, dtype=here.dtype)

        smaller = [side for side in level_sides(config.size, config.coarsest)[-2:0:-1] if side >= LEAST_SIZE]
        choices = [config, *(replace(config, size=side) for side in smaller)]
        training = here.in_time(make, choices, _work, lambda plan: _words(plan, config.size), chunk=CHUNK)
        here.say(*_notes(source.picture, target.picture), *_trained_notes(config, source.picture, target.picture))
        return here.train(training, {"source": source.sha256, "target": target.sha256}, inputs)


def analogy(
    model: PairAnalogy,
    source: PairInput | None,
    target: PairInput | None,
    *,
    size: Size | None,
    samples: int,
    swapped: bool,
    running: Running,
    options: dict[str, Any],
) -> list[Picture]:
    """See `structkit.analogy`, with a model."""
    config = PairResultConfig.of(options)
    unfinished = _ready(model, running)
    (structure, domain), (look, other) = ((target, B), (source, A)) if swapped else ((source, A), (target, B))
    inject = _inject(model, config.inject, given=structure is not None)
    notes = _notes(*(g.picture for g in (structure, look) if g)) + unfinished
    if structure and inject is not None:
        model = _reshaped(model, structure.picture)
    shown = structure.picture if structure else _own(model, domain)
    patches = look.picture if look else _own(model, other)
    width, height = _result_size(model, shown, size, config.refine)
    if config.refine == "patches":
        notes += _enlarged(patches, (width, height))

    def make(images: Tensor, patches: Tensor, usable: Tensor, *, generator: torch.Generator, **how: Any) -> Tensor:
        partner = config.draw == "partner"
        if inject is None:
            own, analogies = model.analogy(1, generator)
            made = own.chunk(2, 1)[domain] if partner else analogies.chunk(2, 1)[other]
        else:
            noise = model.noise(1, generator, domains=1)
            made = (model.refined if partner else model.translated)(images, inject, noise, domain)
        if config.refine == "chain":
            made = model.refined(made, round(CHAIN * model.finest), model.noise(1, generator, domains=1), other)
        if config.refine == "patches":
            made = patch.refine(
                made, patches, RefineConfig(), shape=(height, width), usable=usable, generator=generator, **how
            )
        return made

    tensors = filled(shown), to_tensor(patches), _usable(patches)
    drawn = [running.draw(make, *tensors, number=i, of=samples) for i in range(_count("samples", samples))]
    alpha = _alpha(structure.picture, (height, width)) if structure else None
    name = f"{config.draw} of {shown.name} and {patches.name}"
    return [from_tensor(result, alpha=alpha, name=name, notes=notes) for result in drawn]


def pictures(model: PairAnalogy) -> tuple[Picture, Picture]:
    """Source and target, as large as they were trained on."""
    return _own(model, A), _own(model, B)


def of_its_mode(config: PairConfig, source: Picture | VideoReader) -> PairConfig:
    """A video has a mode and an option of its own.  Raises OptionError for those of the other kind."""
    if isinstance(source, VideoReader):
        if config.mode not in (None, "video"):
            raise OptionError(f"--mode {config.mode} is for pictures, and {source.name} is a video: leave it out")
        return replace(config, mode="video")
    for flag, is_set in {"--mode video": config.mode == "video", "--frames": config.frames is not None}.items():
        if is_set:
            raise OptionError(f"{flag} is for videos, and {source.name} is a picture: leave it out")
    return config


def _frames(source: Picture | VideoReader, config: PairConfig) -> Tensor:
    """(T, 3, h, w): what is trained on."""
    if isinstance(source, Picture):
        return filled(source)
    return spread_frames(
        source, level_shapes(config.size, config.coarsest, source.width / source.height)[-1], config.frames
    )


def _trained_notes(config: PairConfig, source: Picture | VideoReader, target: Picture) -> Iterator[str]:
    height, width = level_shapes(config.size, config.coarsest, source.width / source.height)[-1]
    for picture in (source, target):
        if isinstance(picture, Picture) and picture.alpha is not None and picture.alpha.min() < 2**picture.bits - 1:
            yield f"{picture.name}: what is transparent is trained on as its mean colour"
        yield from _enlarged(picture, (width, height))


def _work(training: PairTraining) -> list[float]:
    """Of a step at each level: multiplications of a generator."""
    stacks = [training.net.stack(level) for level in range(len(training.shapes))]
    weights = [3 * s.width + (s.layers - 2) * s.width**2 + s.width * s.outputs for s in stacks]
    return [height * width * count for (height, width), count in zip(training.shapes, weights, strict=True)]


def _words(plan: Plan, size: int) -> str:
    """size: that was asked for."""
    steps, made = " ".join(str(stage.steps) for stage in plan.stages), plan.choice.size
    smaller = "" if made == size else f"; {size} px need at least {in_minutes(plan.needed[0])} minutes"
    short = (
        f"; too short to learn them well: that takes {in_minutes(plan.needed[-1])} minutes or more here"
        if plan.short
        else ""
    )
    return f"{steps} steps at the levels up to {made} px{smaller}{short}"


def _ready(model: PairAnalogy, running: Running) -> tuple[str, ...]:
    """On its device; what is to be said of it.  Raises CheckpointError, DeviceError."""
    if model.finest < 0:
        raise CheckpointError("the pair has no trained level; train it again")
    model.to(resolve(running.device))
    if model.card.get("complete") is False:
        return (f"the training of the pair is not finished: {model.finest + 1} of {len(model.shapes)} levels",)
    return model.doubts


def _inject(model: PairAnalogy, level: int | None, *, given: bool) -> int | None:
    """The level at which the source is injected; None: it begins with noise.  Who has given a source wants its layout,
    not one like it.
    """
    if level is not None and level > model.finest:
        raise OptionError(f"--inject is {level}: this pair has the levels 0 to {model.finest}")
    return max(0, model.finest - BELOW) if level is None and given else level


def _result_size(model: PairAnalogy, shown: Picture | VideoReader, size: Size | None, refine: str) -> Size:
    """Width and height: the model's, unless patches give another."""
    height, width = model.shapes[model.finest]
    if size is not None and refine != "patches":
        raise OptionError(f"--size needs --refine patches: without, this pair makes {width} x {height} px")
    return (width, height) if size is None else _size(shown, size, None)


def _reshaped(model: PairAnalogy, picture: Picture | VideoReader) -> PairAnalogy:
    """The same networks for the shape of another picture: they are convolutions, and work in any."""
    other, aspect = copy.copy(model), picture.width / picture.height
    sides = [math.sqrt(height * width) for height, width in model.shapes]
    other.shapes = [
        (max(1, round(side / math.sqrt(aspect))), max(1, round(side * math.sqrt(aspect)))) for side in sides
    ]
    return other


def _own(model: PairAnalogy, domain: int) -> Picture:
    """A picture of the pair, as large as it was trained on."""
    return from_tensor(model.reals.chunk(2, 1)[domain], name=f"the pair's {ROLES[domain]}")
