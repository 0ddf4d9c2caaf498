"""The analogy of a video: a video in, an engine's frames between, a video out.

A size that is not said is even, as the usual encoding (4:2:0) needs it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import torch
from torch import Tensor

from structkit.configs import AnalogyConfig, PairResultConfig
from structkit.data.levels import levels
from structkit.device import enough_memory, resolve
from structkit.engines.pair.model import A, B, Noise, PairAnalogy
from structkit.engines.patch.video import analogy_frames
from structkit.errors import OptionError
from structkit.media.tensors import to_tensor
from structkit.media.video_writer import VideoWriter
from structkit.verbs import pair
from structkit.verbs.canvas import Size, check_match, enlarged, notes_of, opened, result_size, usable_pixels
from structkit.verbs.clip_pair import analogy_of_videos, is_clip
from structkit.verbs.frames import FrameStream, VideoSummary, opened_video
from structkit.verbs.guides import GuideFrames, guides_of
from structkit.verbs.running import Progress, RunSettings

if TYPE_CHECKING:
    from structkit.media.files import Source
    from structkit.media.video import VideoReader
    from structkit.verbs.canvas import PictureLike
    from structkit.verbs.guides import MapLike

BATCH = 8  # frames that a trained pair translates together


def analogy_video(
    source: VideoReader | str | Path | bytes | BinaryIO,
    target: PictureLike | VideoReader | None,
    output: str | Path | BinaryIO,
    *,
    model: PairAnalogy | None = None,
    swapped: bool = False,
    guides: Sequence[tuple[MapLike, MapLike]] = (),
    guide_weight: float | Sequence[float] | None = None,
    size: tuple[int, int] | None = None,
    quality: int | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
    **options: Any,
) -> VideoSummary:
    """A video with the structure and the motion of `source` and the look of `target`, a picture or a video.

    source: a file, its bytes, a stream or a `structkit.media.video.VideoReader`.
    output: .mp4, .mov, .mkv or .webm, whole or not at all; a binary stream gets an MP4.  Each frame keeps its time;
    sound and subtitles are carried over.
    quality: 1 to 100, of the encoding.
    size: (width, height) in px; else the source's, reduced to `max_side` and made even by leaving out a pixel.
    progress: called after each frame, with the share done as far as the container tells how many there are.
    options: fields of `configs.AnalogyConfig`.
    Returns the number of frames, how much they flicker beside the source, and notes.
    The first frame is that of `analogy`; later ones are carried along, so that the result is calm where the source is:
    see `structkit.engines.patch.video`.  Any length: no more than a few frames are in memory.

    A target that is a video, a path or a `VideoReader`, gives its motion with its look: what moves in the source
    becomes what moves there.  Such an analogy is made in space and time, with both in memory: see
    `structkit.engines.patch.clip_analogy`.  The longest side is then 256 px where nothing is said; of the target the
    first 120 frames are used.  match="motion" is for two videos alone.

    guides, guide_weight: as in `analogy`; a source's map is a video, or a folder or sequence of pictures, with one for
    each frame, or one picture for all; so is the target's where the target is a video.

    model: of `train_analogy`, best with this very video; or of `load`.  Options then are the fields of
    `configs.PairResultConfig`.  Each frame is injected, by default two levels below the finest, with the same noise for
    all, which keeps them calm.  The look is the pair's, `target` None, and results are as large as the model makes
    them.  With refine="patches" they are painted anew, calmer and sharper, with the patches of the target, else of the
    pair's, in any size.  There is no refine="chain".
    swapped: as in `analogy`.
    Raises InputError (also for damage on the way, then nothing is left of the output), OptionError, DeviceError,
    OutputError.
    """
    running, asked = RunSettings(seed, device, progress), guides_of(guides, guide_weight)
    if model is not None:
        if asked:
            raise OptionError("a trained pair takes no --guide: leave it out")
        return _translation(model, source, target, output, size, quality, swapped, running, options)
    if target is None:
        raise OptionError("without a model an analogy needs a target")
    if swapped:
        raise OptionError("swapped turns a trained pair round: it needs a model")
    config = AnalogyConfig.of(options)
    if is_clip(target):
        how = {"guides": asked, "size": size, "quality": quality, "running": running}
        return analogy_of_videos(source, target, output, config, **how)
    check_match(config)
    look, where = opened(target), resolve(running.device)
    with opened_video(source) as reader:
        canvas = result_size(reader, size, config.max_side)
        if size is None:
            canvas = Size(canvas.width - canvas.width % 2, canvas.height - canvas.height % 2)
        usable, generator = usable_pixels(look).to(where), torch.Generator(where).manual_seed(running.seed)
        writer = VideoWriter(output, width=canvas.width, height=canvas.height, like=reader, quality=quality)
        with writer, enough_memory(where):
            stream = FrameStream(reader)
            maps = GuideFrames(asked, reader, look, canvas)
            how = {"shape": canvas.shape, "usable": usable, "guides": maps.channels(where), "generator": generator}
            results = analogy_frames(stream.tensors(where), to_tensor(look).to(where), config, **how)
            count, flicker = stream.write(results, writer, running)
        notes = notes_of(reader, look) + enlarged(look, canvas) + maps.notes
        return VideoSummary(count, flicker, notes + writer.notes)


def _translation(
    model: PairAnalogy,
    source: VideoReader | Source,
    target: PictureLike | None,
    output: str | Path | BinaryIO,
    size: tuple[int, int] | None,
    quality: int | None,
    swapped: bool,
    running: RunSettings,
    options: dict[str, Any],
) -> VideoSummary:
    """The analogy of a video by a trained pair; see `analogy_video`."""
    config, domain = PairResultConfig.of(options), B if swapped else A
    unfinished = pair.made_ready(model, running.device)
    if config.draw == "partner":
        raise OptionError("--draw partner is for pictures: leave it out")
    if config.refine == "chain":
        way_out = "leave it out, or say --refine patches"
        raise OptionError(f"--refine chain is for pictures, a video flickers with it: {way_out}")
    if target is not None and config.refine != "patches":
        way_out = "leave TARGET out, or say --refine patches, which uses its patches"
        raise OptionError(f"a trained pair has its own look: {way_out}")
    inject = pair.injection_level(model, config.inject, given=True)
    look = pair.own_picture(model, 1 - domain) if target is None else opened(target)
    device = str(model.amplitudes.device)
    with opened_video(source) as reader:
        model = pair.reshaped(model, reader)
        model.shapes[model.finest] = tuple(side - side % 2 for side in model.shapes[model.finest])
        canvas = pair.pair_size(model, reader, size, config.refine)
        noise = model.noise(1, torch.Generator(device).manual_seed(running.seed), domains=1)
        writer = VideoWriter(output, width=canvas.width, height=canvas.height, like=reader, quality=quality)
        with writer, enough_memory(device):
            stream = FrameStream(reader)
            results = translated_frames(model, stream.tensors("cpu"), inject, noise, domain)
            if config.refine == "patches":
                generator = torch.Generator(device).manual_seed(running.seed)
                how = {"shape": canvas.shape, "usable": usable_pixels(look).to(device), "generator": generator}
                results = analogy_frames(results, to_tensor(look).to(device), AnalogyConfig(mode="paint"), **how)
            count, flicker = stream.write(results, writer, running)
        given = () if target is None else (*notes_of(look), *enlarged(look, canvas))
        return VideoSummary(count, flicker, notes_of(reader) + given + unfinished + writer.notes)


def translated_frames(
    model: PairAnalogy, frames: Iterator[Tensor], inject: int, noise: Noise, domain: int
) -> Iterator[Tensor]:
    """Each frame (1, 3, h, w) in the look of the other domain, by itself, but with one noise for all."""
    small = (levels(frame, [model.shapes[inject]])[0] for frame in frames)
    while batch := list(islice(small, BATCH)):
        yield from model.translated(torch.cat(batch).to(noise(inject).device), inject, noise, domain).split(1)
