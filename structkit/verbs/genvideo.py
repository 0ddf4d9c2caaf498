"""New clips from one: other takes of the same scene, longer ones, loops, slow motion."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from structkit.configs import ClipConfig, ClipCourse
from structkit.engines.patch.clips import sample_clip
from structkit.errors import OptionError
from structkit.media.moving_pictures import Clip, clip_of, clip_tensor
from structkit.verbs.canvas import Size, check_count, notes_of
from structkit.verbs.clip_canvas import material, still
from structkit.verbs.clip_model import drawn_clips
from structkit.verbs.running import Drawing, Progress, RunSettings

if TYPE_CHECKING:
    from structkit.engines.genvideo.model import PatchVaeGan
    from structkit.verbs.clip_canvas import ClipLike


def genvideo(
    clip: ClipLike | None = None,
    *,
    count: int = 1,
    size: tuple[int, int] | None = None,
    frames: int | None = None,
    extend: int = 0,
    extend_back: int = 0,
    loop: bool = False,
    slow: int = 1,
    model: PatchVaeGan | str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
    **options: Any,
) -> list[Clip]:
    """New clips of the scene that `clip` shows, made of its patches in space and time.

    clip: a `structkit.media.moving_pictures.Clip`, or the path of a video or an animated GIF, WebP, PNG or AVIF.
    count: of the results; the i-th is that of seed + i.
    size: (width, height) in px, with nothing stretched; else the clip's, reduced to `max_side` (MAX_CLIP_SIDE) and made
    even by leaving out a pixel, as the usual encoding of videos needs it.
    frames: the number of frames; else the clip's.  The rate is always the clip's.
    extend, extend_back: go on for so many frames after the last one, and begin so many before the first.  The frames
    between are those of the clip, bit for bit, at the size of the result.
    loop: the last frame leads into the first one without a joint.
    slow: a factor by which the result is slower; the clip's frames stay, with others between them.
    progress: called with the share done, 0 .. 1, and the name of what is being made.
    options: fields of `configs.ClipConfig`.
    Method: VGPNN (Haim et al., ECCV 2022), see `structkit.engines.patch.clips`.

    model: of `train_genvideo` or `load`, which moves to `device`; or the path of one.  Then options are the fields of
    `configs.GenvideoResultConfig`, and no clip is needed: results have the model's own length, rate and size, or those
    that are asked for.  A clip that is given is what level `inject` starts from, and gives the patches of
    refine="patches", in its own size; a model of a picture takes a picture, or the first frame.  There is no extending,
    no loop and no slow motion.
    Method: HP-VAE-GAN (Gur et al., NeurIPS 2020), see `structkit.engines.genvideo.model`.
    Raises InputError, also for a still picture and for fewer than LEAST_FRAMES frames; OptionError, DeviceError.
    """
    _check_types(count, size)
    running, course = RunSettings(seed, device, progress), ClipCourse(frames, extend, extend_back, loop, slow)
    course.check(size=size is not None, model=model is not None)
    if model is not None:
        from structkit.engines.genvideo.model import PatchVaeGan
        from structkit.models import load

        if isinstance(model, str | Path):
            model = load(model, device, verb="genvideo")  # type: ignore[assignment]
        if not isinstance(model, PatchVaeGan):
            raise OptionError(
                f"the model is {model!r:.60}: give the path of one, or what train_genvideo or load returns"
            )
        given = None if clip is None else still(clip) if model.is_picture else material(clip, None, None)
        how = {"size": size, "frames": frames, "count": count, "running": running, "options": options}
        return drawn_clips(model, given, **how)
    if clip is None:
        raise OptionError("without a model a new clip needs a clip")
    config = ClipConfig.of(options)
    course.check(size=size is not None, model=False, count=count, patches=config)
    one = material(clip, size, config.max_side)
    canvas = Size(one.width, one.height) if size is None else Size(*size)
    notes = notes_of(one) + coarsest_note(config)
    results = []
    for number in range(check_count(count)):
        with running.drawing(number, count) as draw:
            made = _drawn(one, canvas, course, config, draw).cpu()
        results.append(clip_of(made, rate=one.rate, name=f"genvideo of {one.name}", notes=notes))
    return results


def _check_types(count: object, size: object) -> None:
    """Refuse a count that is no number, and a size that is not two.  Raises OptionError."""
    if not isinstance(count, Integral):
        raise OptionError(f"--count is {count!r}: give a whole number")
    is_pair = isinstance(size, Sequence) and len(size) == 2 and all(isinstance(side, Integral) for side in size)
    if not (size is None or is_pair):
        raise OptionError(f"--size is {size!r}: give (width, height) in px, two whole numbers")


def coarsest_note(config: ClipConfig) -> tuple[str, ...]:
    """A note on a coarsest level that must be larger than was asked for, if it must."""
    least = config.patch + 1
    if config.coarsest is None or config.coarsest >= least:
        return ()
    return (f"--coarsest {config.coarsest} raised to {least} px: a level is larger than a patch",)


def _drawn(one: Clip, canvas: Size, course: ClipCourse, config: ClipConfig, draw: Drawing) -> Tensor:
    """One result, (1, 3, T, H, W)."""
    known, how = clip_tensor(one).to(draw.device), {"generator": draw.generator, "progress": draw.progress}
    if course.is_extended:
        from structkit.engines.patch.extend import extend_clip

        return extend_clip(known, config, before=course.extend_back, after=course.extend, **how)
    if course.slow > 1:
        from structkit.engines.patch.slow import slow_clip

        return slow_clip(known, config, factor=course.slow, **how)
    return sample_clip(known, config, shape=(course.frames or one.count, *canvas.shape), loop=course.loop, **how)
