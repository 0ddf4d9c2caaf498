"""New clips by a trained model of one clip: `structkit.engines.genvideo` draws, and patches may paint anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from structkit.configs import LEAST_SIDE, MOST_SIDE, ClipConfig, GenvideoResultConfig
from structkit.device import resolve
from structkit.engines.patch.repaint import repaint_clip
from structkit.errors import CheckpointError, OptionError
from structkit.media.moving_pictures import Clip, clip_of, clip_tensor
from structkit.verbs.canvas import Size, check_count, notes_of
from structkit.verbs.running import Drawing, RunSettings

if TYPE_CHECKING:
    from structkit.engines.genvideo.model import PatchVaeGan
    from structkit.kernels.pyramid import Shape

NAME = "the model's clip"


def drawn_clips(
    model: PatchVaeGan,
    clip: Clip | None,
    *,
    size: tuple[int, int] | None,
    frames: int | None,
    count: int,
    running: RunSettings,
    options: dict[str, Any],
) -> list[Clip]:
    """Results of a trained model, as `structkit.genvideo` says; those of a model of a picture have one frame."""
    config = GenvideoResultConfig.of(options)
    notes = made_ready(model, running.device)
    if clip is not None and config.inject is None and config.refine != "patches":
        way_out = "leave CLIP out, or say --inject, which starts from it, or --refine patches, which takes its patches"
        raise OptionError(f"a trained model draws from what it has learned: {way_out}")
    if frames is not None and model.is_picture:
        raise OptionError(f"--frames is {frames}, and the model is of a picture: leave it out")
    shape, canvas = model_shape(model, size, frames, config.refine), canvas_of(model, clip, size, config.refine)
    material = None if clip is None else clip_tensor(clip)
    results = []
    for number in range(check_count(count)):
        with running.drawing(number, count) as draw:
            made = _drawn(model, material, shape, canvas, config, draw).cpu()
        name = f"genvideo of {clip.name if clip else NAME}"
        results.append(clip_of(made, rate=model.rate, name=name, notes=notes + (notes_of(clip) if clip else ())))
    return results


def own_clip(model: PatchVaeGan) -> Clip:
    """The clip that a model has learned, as large as it was trained on; a picture is a clip of one frame."""
    return clip_of(own_frames(model), rate=model.rate, name=NAME)


def made_ready(model: PatchVaeGan, device: str) -> tuple[str, ...]:
    """Put a model on its device; returns the notes on it.  Raises CheckpointError, DeviceError."""
    if model.finest < 0:
        raise CheckpointError("the model has no trained level; train it again")
    model.to(resolve(device))
    if model.card.get("complete") is False:
        return (f"the training of the model is not finished: {model.finest + 1} of {len(model.shapes)} levels",)
    return model.doubts


def model_shape(model: PatchVaeGan, size: tuple[int, int] | None, frames: int | None, refine: str) -> Shape:
    """The shape in which the model draws: its own, or that of the result, (T, H, W) or (H, W).

    Where patches paint anew, the model draws at its own scale, whatever the size of the result.
    """
    *length, height, width = model.shapes[model.finest]
    if size is not None:
        if not LEAST_SIDE <= min(size) <= max(size) <= MOST_SIDE:
            raise OptionError(f"--size is {size[0]}x{size[1]}: each side must be {LEAST_SIDE} to {MOST_SIDE} px")
        scale = min(1.0, height / size[1]) if refine == "patches" else 1.0
        width, height = (max(1, round(side * scale)) for side in size)
    return (*([frames] if frames and length else length), height, width)


def canvas_of(model: PatchVaeGan, clip: Clip | None, size: tuple[int, int] | None, refine: str) -> Size:
    """The size of the results: that which was asked for, else the clip's where its patches paint, else the model's."""
    height, width = model.shapes[model.finest][-2:]
    if size is not None:
        return Size(*size)
    return Size(clip.width, clip.height) if clip and refine == "patches" else Size(width, height)


def _drawn(
    model: PatchVaeGan,
    material: Tensor | None,
    shape: Shape,
    canvas: Size,
    config: GenvideoResultConfig,
    draw: Drawing,
) -> Tensor:
    """One result, (1, 3, T, H, W).

    material: the clip that is given, (1, 3, t, h, w); of it the first frames, as many as the result has, are injected.
    """
    how: dict[str, Any] = {"shape": shape, "first": config.inject}
    if material is not None and config.inject is not None:
        own = material[:, :, : shape[0]] if len(shape) == 3 else material[:, :, 0]
        how["clip"] = own.to(draw.device)
    made = model.samples(1, draw.generator, **how)
    made = made if made.ndim == 5 else made[:, :, None]
    if config.refine != "patches":
        return made
    patches = own_frames(model) if material is None else material.to(draw.device)
    finest = (made.shape[2], *canvas.shape)
    return repaint_clip(made, patches, ClipConfig(), shape=finest, generator=draw.generator, progress=draw.progress)


def own_frames(model: PatchVaeGan) -> Tensor:
    """The clip that a model has learned, (1, 3, T, H, W)."""
    return model.real if model.real.ndim == 5 else model.real[:, :, None]
