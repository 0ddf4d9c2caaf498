"""structkit: manipulate structure in pictures and clips.

The verbs of the command line, as functions.  A picture is a path or a `structkit.media.pictures.Picture`; options are
the fields
of the verb's configuration in `structkit.configs`, with the same names, defaults and limits as on the command line.

>>> import structkit
>>> [result] = structkit.analogy("house.png", "cake.png", strength=0.7)
>>> structkit.write_picture(result, "house-of-cake.png")

What is trained is a checkpoint: a `train_` function writes it, `load` reads it, and the verb takes it as its `model`.

>>> pair = structkit.train_analogy("house.png", "cake.png", "pair.safetensors", minutes=20)
>>> results = structkit.analogy(model=pair, samples=4)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from structkit._version import __version__

if TYPE_CHECKING:
    from structkit.engines.difference.model import DomainDifference
    from structkit.engines.pair.model import PairAnalogy
    from structkit.engines.transfer.model import ContentTransfer
    from structkit.media.pictures import Picture
    from structkit.media.video import VideoReader
    from structkit.training.model import Model
    from structkit.training.stages import Event
    from structkit.verbs.analogy_video import VideoSummary

    PictureLike = Picture | str | Path
    Pictures = str | Path | Sequence[PictureLike]
    Size = tuple[int, int]
    Progress = Callable[[float, str], None]

__all__ = [
    "__version__",
    "analogy",
    "analogy_video",
    "load",
    "read_picture",
    "refine",
    "remove",
    "retarget",
    "sample",
    "segment",
    "train_analogy",
    "train_difference",
    "train_transfer",
    "transfer",
    "write_picture",
]


def __getattr__(name: str) -> Any:
    if name in ("read_picture", "write_picture"):
        from structkit.media import pictures

        return getattr(pictures, name)
    raise AttributeError(f"module 'structkit' has no attribute {name!r}")


def analogy(
    source: PictureLike | None = None,
    target: PictureLike | None = None,
    *,
    model: PairAnalogy | None = None,
    swapped: bool = False,
    size: Size | None = None,
    samples: int = 1,
    seed: int = 0,
    device: str = "auto",
    dtype: str = "auto",
    progress: Progress | None = None,
    **options: Any,
) -> list[Picture]:
    """Pictures with the structure of `source` (where things are) and the look of `target` (its patches).

    size: (width, height) in px; else the source's, reduced to `max_side`.  samples: how many; the i-th is that of seed
    + i. progress: called with the share done, 0 .. 1, and what is being made.  options: fields of
    `configs.AnalogyConfig`.
    The source's alpha is carried over; transparent parts of the target are not used.  No metadata is kept: the result
    is a new picture. Method: GPNN (Granot et al., CVPR 2022) with aligned statistics and guidance, see
    `structkit.engines.patch.analogy`.

    model: of `train_analogy` or `load`; it moves to `device`.  Then options are the fields of
    `configs.PairResultConfig`, and the pictures may be left out: the pair has its own, as large as it was trained on.
    A source that is given is injected.  A target gives
    the patches of refine="patches", which alone leaves the choice of a size; without, results are as large as the model
    makes them. swapped: the pair's other direction, the structure of its target with the look of its source.
    Method: Structural analogy from a single image pair (Benaim et al., CGF 2020), see `structkit.engines.pair.model`.
    Raises InputError, OptionError, DeviceError.
    """
    if model is not None:
        from structkit.verbs import pair as pairs

        given = [None if picture is None else pairs.given(picture) for picture in (source, target)]
        running = pairs.Running(seed, device, dtype, progress)
        return pairs.analogy(
            model, *given, size=size, samples=samples, swapped=swapped, running=running, options=options
        )
    from structkit.errors import OptionError
    from structkit.verbs import patchwork as pictures

    if source is None or target is None:
        raise OptionError("without a model an analogy needs a source and a target")
    if swapped:
        raise OptionError("swapped turns a trained pair round: without a model, exchange source and target")
    return pictures.analogy(source, target, size, samples, pictures.Running(seed, device, dtype, progress), options)


def analogy_video(
    source: VideoReader | str | Path | bytes | BinaryIO,
    target: PictureLike | None,
    output: str | Path | BinaryIO,
    *,
    model: PairAnalogy | None = None,
    swapped: bool = False,
    size: Size | None = None,
    quality: int | None = None,
    seed: int = 0,
    device: str = "auto",
    dtype: str = "auto",
    progress: Progress | None = None,
    **options: Any,
) -> VideoSummary:
    """A video with the structure and the motion of `source` and the look of the picture `target`.

    source: a file, its bytes, a stream or a `structkit.media.video.VideoReader`.  output: .mp4, .mov, .mkv or .webm,
    whole or not at all; a binary stream gets an MP4.  Each frame keeps its time; sound and subtitles are carried over.
    quality: 1 to 100, of the encoding. size: (width, height) in px; else the source's, reduced to `max_side` and made
    even by leaving out a pixel.
    progress: called after each frame, with the share done as far as the container tells how many there are.
    options: fields of `configs.AnalogyConfig`.  Returns the number of frames, how much they flicker beside the source,
    and notes. The first frame is that of `analogy`; later ones are carried along, so that the result is calm where the
    source is: see `structkit.engines.patch.video`.  Any length: no more than a few frames are in memory.

    model: of `train_analogy`, best with this very video; or of `load`.  Options then are the fields of
    `configs.PairResultConfig`.  Each frame is injected, by default two levels below the finest, with the same noise for
    all, which keeps them calm.  The look is the pair's, `target` None, and results are as large as the model makes
    them.  With refine="patches" they are painted anew, calmer and sharper, with the patches of the target, else of the
    pair's, in any size.  There is no refine="chain".  swapped: as in `analogy`.
    Raises InputError (also for damage on the way, then nothing is left of the output), OptionError, DeviceError,
    OutputError.
    """
    from structkit.errors import OptionError
    from structkit.verbs import analogy_video as clips
    from structkit.verbs import patchwork as pictures

    how = {
        "size": size,
        "quality": quality,
        "running": pictures.Running(seed, device, dtype, progress),
        "options": options,
    }
    if model is not None:
        return clips.translation(model, source, target, output, swapped=swapped, **how)
    if target is None:
        raise OptionError("without a model an analogy needs a target")
    if swapped:
        raise OptionError("swapped turns a trained pair round: it needs a model")
    return clips.analogy(source, target, output, **how)


def train_analogy(
    source: PictureLike,
    target: PictureLike,
    output: str | Path,
    *,
    minutes: float | None = None,
    seed: int = 0,
    device: str = "auto",
    dtype: str = "auto",
    overwrite: bool = False,
    report: Callable[[Event], None] = lambda event: None,
    tell: Callable[[str], None] = lambda note: None,
    **options: Any,
) -> PairAnalogy:
    """Train a pair: two pictures between which analogies can then be drawn, in both directions, with
    `analogy(model=...)`.

    Method: Structural analogy from a single image pair (Benaim et al., CGF 2020), see `structkit.engines.pair.model`.
    output: the checkpoint, .safetensors.  Called again after it was stopped anywhere, with the same arguments, it goes
    on, and ends in the same bytes on a CPU with as many threads (unless a stage ran out of its `minutes`); what it has
    finished before is returned as it is. minutes: how long it takes: it ends in time by fewer steps and rounds, as few
    as make sense, then by smaller pictures, then by fewer still.  None: all is done.
    dtype: of the networks' arithmetic, float32 or bfloat16; auto: bfloat16 where the device computes in it.
    overwrite: whether another training's output may be replaced.
    report: called every few steps with the place, the losses and the rate.  tell: called with what should be said once,
    such as the plan. options: fields of `configs.PairConfig`.  Transparent parts of a picture are trained on as its
    mean colour.
    The source may also be the path of a video: its frames are that side of the pair, the mode is "video", and
    `analogy_video(model=...)` translates it.  In memory are `frames` of them at most, about the size of the finest
    level, with up to 24 bytes a pixel.
    Under torchrun the processes share each step.
    Raises InputError, OptionError, DeviceError, OutputError, CheckpointError; StructkitError for losses that are not
    finite.
    """
    how = {
        "minutes": minutes,
        "began": time.monotonic(),
        "seed": seed,
        "device": device,
        "dtype": dtype,
        "overwrite": overwrite,
    }
    from structkit.recipes.run import TrainingOptions
    from structkit.verbs import pair as pairs

    wanted = TrainingOptions(output=output, report=report, tell=tell, **how)
    return pairs.train(pairs.given(source, video=True), pairs.given(target), wanted, options)


def train_transfer(
    with_: Pictures,
    without: Pictures,
    output: str | Path,
    *,
    minutes: float | None = None,
    seed: int = 0,
    device: str = "auto",
    dtype: str = "auto",
    overwrite: bool = False,
    report: Callable[[Event], None] = lambda event: None,
    tell: Callable[[str], None] = lambda note: None,
    **options: Any,
) -> ContentTransfer:
    """Learn a content (glasses, a beard) from pictures with it and pictures without: for `transfer`, `remove` and
    `segment`.

    with_, without: a folder, "@list.txt", or a sequence of pictures and paths.  The pictures need no pairs and no
    labels, but should show their subject at about the same place.  options: fields of `configs.TransferConfig`.  All
    else as in `train_analogy`.
    About one picture in twenty is held out, if there are enough: the card's scores come from these.
    Method: Mask-based unsupervised content transfer (Mokady et al., ICLR 2020), see `structkit.engines.transfer.model`.
    Raises InputError, OptionError, DeviceError, OutputError, CheckpointError; StructkitError for losses that are not
    finite.
    """
    how = {
        "minutes": minutes,
        "began": time.monotonic(),
        "seed": seed,
        "device": device,
        "dtype": dtype,
        "overwrite": overwrite,
    }
    from structkit.recipes import domains
    from structkit.recipes.run import TrainingOptions

    wanted = TrainingOptions(output=output, report=report, tell=tell, **how)
    return domains.train(domains.TRANSFER, with_, without, wanted, options)  # type: ignore[return-value]


def train_difference(
    a: Pictures,
    b: Pictures,
    output: str | Path,
    *,
    minutes: float | None = None,
    seed: int = 0,
    device: str = "auto",
    dtype: str = "auto",
    overwrite: bool = False,
    report: Callable[[Event], None] = lambda event: None,
    tell: Callable[[str], None] = lambda note: None,
    **options: Any,
) -> DomainDifference:
    """Learn what two kinds of pictures have in common, and what only one of them has: for `transfer` and `remove`.

    options: fields of `configs.DifferenceConfig`.  All else as in `train_transfer`.
    Method: Domain intersection and domain difference (Benaim et al., ICCV 2019), see
    `structkit.engines.difference.model`.
    """
    how = {
        "minutes": minutes,
        "began": time.monotonic(),
        "seed": seed,
        "device": device,
        "dtype": dtype,
        "overwrite": overwrite,
    }
    from structkit.recipes import domains
    from structkit.recipes.run import TrainingOptions

    wanted = TrainingOptions(output=output, report=report, tell=tell, **how)
    return domains.train(domains.DIFFERENCE, a, b, wanted, options)  # type: ignore[return-value]


def load(path: str | Path, device: str = "auto") -> Model:
    """The model of a checkpoint, whatever its kind (`structkit info` says it), on `device`.

    path: a file, or the bare name of a model that ships, such as "glasses".  Raises CheckpointError, OptionError,
    DeviceError.
    """
    from structkit import models as kinds

    return kinds.load(path, device)


def sample(
    picture: PictureLike,
    *,
    count: int = 1,
    size: Size | None = None,
    seed: int = 0,
    device: str = "auto",
    dtype: str = "auto",
    progress: Progress | None = None,
    **options: Any,
) -> list[Picture]:
    """New pictures made of the patches of `picture`, otherwise arranged.  options: fields of `configs.SampleConfig`;
    else as `analogy`.
    """
    from structkit.verbs import patchwork as pictures

    return pictures.sample(picture, size, count, pictures.Running(seed, device, dtype, progress), options)


def retarget(
    picture: PictureLike,
    size: Size,
    *,
    seed: int = 0,
    device: str = "auto",
    dtype: str = "auto",
    progress: Progress | None = None,
    **options: Any,
) -> Picture:
    """The same scene in another size (width, height), px, with nothing stretched.  options: fields of
    `configs.RetargetConfig`.
    """
    from structkit.verbs import patchwork as pictures

    return pictures.retarget(picture, size, pictures.Running(seed, device, dtype, progress), options)


def refine(
    picture: PictureLike,
    patches_of: PictureLike,
    *,
    seed: int = 0,
    device: str = "auto",
    dtype: str = "auto",
    progress: Progress | None = None,
    **options: Any,
) -> Picture:
    """`picture` redrawn with the patches of another one: same layout and colours, real detail.

    options: fields of `configs.RefineConfig`."""
    from structkit.verbs import patchwork as pictures

    return pictures.refine(picture, patches_of, pictures.Running(seed, device, dtype, progress), options)


def transfer(
    picture: PictureLike | list[PictureLike],
    donor: PictureLike | tuple[PictureLike, PictureLike] | None,
    model: Model | str | Path,
    *,
    donor_b: PictureLike | tuple[PictureLike, PictureLike] | None = None,
    device: str = "auto",
    **options: Any,
) -> Any:
    """`picture` with the content of `donor` put on, such as its glasses: what the model has learned to tell apart.

    model: of content transfer or of domain difference; or its checkpoint, or the name of one that ships with structkit.
    It moves to `device`.  options: fields of `configs.ContentConfig`, how much of the content.
    Content transfer pastes what it paints at the picture's own resolution, through a mask: outside it the picture stays
    as it is, bit for bit.  Size, bits, alpha and metadata are kept.  A donor without the content is named in the notes
    of the result.
    A domain difference has two contents and no mask, the whole picture is made anew: donor, or None, gives what is
    special to its domain a, donor_b what is special to b.
    steps: returns a list of so many results, from nothing to the whole content, or from that of the first to that of
    the second donor of a tuple.
    A list of pictures gives a list of results; they pass through the model many at a time.
    Method: Mask-based unsupervised content transfer (Mokady et al., ICLR 2020), see `structkit.engines.transfer.model`;
    Domain intersection and domain difference (Benaim et al., ICCV 2019), see `structkit.engines.difference.model`.
    Raises InputError, OptionError, DeviceError, CheckpointError; StructkitError for a model whose results are not
    finite.
    """
    from structkit.configs import ContentConfig
    from structkit.verbs import content as contents

    config, ready = ContentConfig.of(options), contents.usable(model, device, "transfer")
    return contents.each(picture, lambda pictures: contents.transfer(pictures, ready, donor, donor_b, config))


def remove(picture: PictureLike | list[PictureLike], model: Model | str | Path, *, device: str = "auto") -> Any:
    """`picture` without the content that the model knows: painted over at the picture's own resolution, else as it is,
    bit for bit.

    A domain difference, which has no mask, makes the whole picture anew, without what is special to either domain.
    Lists of pictures, models, what is kept, methods and errors: as `transfer`.
    """
    from structkit.verbs import content as contents

    ready = contents.usable(model, device, "remove")
    return contents.each(picture, lambda pictures: contents.remove(pictures, ready))


def segment(
    picture: PictureLike | list[PictureLike], model: Model | str | Path, *, device: str = "auto", **options: Any
) -> Any:
    """Where the content is that the model knows: a mask as large as `picture`, 255 and 0 in three equal channels of 8
    bits.

    options: fields of `configs.MaskConfig`: threshold, soft, overlay.  Where a picture is fully transparent there is no
    content. Lists of pictures, models, methods and errors: as `transfer`; only content transfer finds masks.
    """
    from structkit.configs import MaskConfig
    from structkit.verbs import content as contents

    config, ready = MaskConfig.of(options), contents.usable(model, device, "segment")
    return contents.each(picture, lambda pictures: contents.segment(pictures, ready, config))
