"""Analogies by a trained pair: pictures in, the generators of `structkit.engines.pair` between, pictures out."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

from torch import Tensor

from structkit.configs import INJECTED_BELOW, PairResultConfig, RefineConfig
from structkit.device import resolve
from structkit.engines.pair.model import A, B, PairAnalogy
from structkit.engines.patch import arrangement as patches
from structkit.errors import CheckpointError, OptionError
from structkit.media.tensors import filled, from_tensor, to_tensor
from structkit.verbs.canvas import Size, alpha_of, check_count, enlarged, notes_of, result_size, usable_pixels
from structkit.verbs.running import Drawing, RunSettings

if TYPE_CHECKING:
    from structkit.media.pictures import Picture
    from structkit.media.video import VideoReader

# Level from which on the target's chain repaints a result, as a share of the finest (the authors' example: 4 of 10).
CHAIN = 0.4
ROLES = {A: "source", B: "target"}


def analogies(
    model: PairAnalogy,
    source: Picture | None,
    target: Picture | None,
    *,
    size: tuple[int, int] | None,
    count: int,
    swapped: bool,
    running: RunSettings,
    options: dict[str, Any],
) -> list[Picture]:
    """Results of a trained pair, as `structkit.analogy` says."""
    config = PairResultConfig.of(options)
    unfinished = made_ready(model, running.device)
    (structure, domain), (look, other) = ((target, B), (source, A)) if swapped else ((source, A), (target, B))
    inject = injection_level(model, config.inject, given=structure is not None)
    notes = notes_of(*(picture for picture in (structure, look) if picture)) + unfinished
    if structure and inject is not None:
        model = reshaped(model, structure)
    shown = structure or own_picture(model, domain)
    material = look or own_picture(model, other)
    canvas = pair_size(model, shown, size, config.refine)
    if config.refine == "patches":
        notes += enlarged(material, canvas)
    alpha, usable = alpha_of(structure, canvas) if structure else None, usable_pixels(material)
    results = []
    for number in range(check_count(count)):
        with running.drawing(number, count) as draw:
            made = _drawn(model, filled(shown).to(draw.device), inject, domain, config, draw)
            if config.refine == "patches":
                how = {"usable": usable.to(draw.device), "generator": draw.generator}
                painted = to_tensor(material).to(draw.device)
                how |= {"shape": canvas.shape, "progress": draw.progress}
                made = patches.refine(made, painted, RefineConfig(), **how)
            made = made.cpu()
        name = f"{config.draw} of {shown.name} and {material.name}"
        results.append(from_tensor(made, alpha=alpha, name=name, notes=notes))
    return results


def _drawn(
    model: PairAnalogy, images: Tensor, inject: int | None, domain: int, config: PairResultConfig, draw: Drawing
) -> Tensor:
    """An analogy of the source, or its partner: (1, 3, H, W).

    images: the source, (1, 3, h, w).
    inject: the level at which it is injected; None begins with noise.
    """
    partner, other = config.draw == "partner", 1 - domain
    if inject is None:
        own, across = model.analogy(1, draw.generator)
        made = own.chunk(2, 1)[domain] if partner else across.chunk(2, 1)[other]
    else:
        noise = model.noise(1, draw.generator, domains=1)
        made = (model.refined if partner else model.translated)(images, inject, noise, domain)
    if config.refine == "chain":
        noise = model.noise(1, draw.generator, domains=1)
        made = model.refined(made, round(CHAIN * model.finest), noise, other)
    return made


def own_pictures(model: PairAnalogy) -> tuple[Picture, Picture]:
    """Source and target of a pair, as large as they were trained on."""
    return own_picture(model, A), own_picture(model, B)


def own_picture(model: PairAnalogy, domain: int) -> Picture:
    """A picture of a pair, as large as it was trained on."""
    return from_tensor(model.reals.chunk(2, 1)[domain], name=f"the pair's {ROLES[domain]}")


def made_ready(model: PairAnalogy, device: str) -> tuple[str, ...]:
    """Put a pair on its device; returns the notes on it.  Raises CheckpointError, DeviceError."""
    if model.finest < 0:
        raise CheckpointError("the pair has no trained level; train it again")
    model.to(resolve(device))
    if model.card.get("complete") is False:
        return (f"the training of the pair is not finished: {model.finest + 1} of {len(model.shapes)} levels",)
    return model.doubts


def injection_level(model: PairAnalogy, level: int | None, *, given: bool) -> int | None:
    """The level at which the source is injected; None: the result begins with noise.

    given: true if there is a source, whose own layout is then wanted, and not one like it.
    """
    if level is not None and level > model.finest:
        raise OptionError(f"--inject is {level}: this pair has the levels 0 to {model.finest}")
    return max(0, model.finest - INJECTED_BELOW) if level is None and given else level


def pair_size(model: PairAnalogy, shown: Picture | VideoReader, size: tuple[int, int] | None, refine: str) -> Size:
    """The size of results: the model's, unless patches give another."""
    height, width = model.shapes[model.finest]
    if size is not None and refine != "patches":
        raise OptionError(f"--size needs --refine patches: without, this pair makes {width} x {height} px")
    return Size(width, height) if size is None else result_size(shown, size, None)


def reshaped(model: PairAnalogy, picture: Picture | VideoReader) -> PairAnalogy:
    """The networks of a pair for the shape of another picture: convolutions work in any."""
    other, aspect = copy.copy(model), picture.width / picture.height
    sides = [math.sqrt(height * width) for height, width in model.shapes]
    across = math.sqrt(aspect)
    other.shapes = [(max(1, round(side / across)), max(1, round(side * across))) for side in sides]
    return other
