"""The video verbs: a video in, an engine's frames between, a video out.

Frames stream: a film takes no more memory than a clip.  Sizes are decided as in `canvas.py`, but that what is not said
is even, as the usual encoding (4:2:0) needs it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import islice, tee
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from structkit.configs import AnalogyConfig, PairResultConfig
from structkit.data.levels import levels
from structkit.device import enough_memory, resolve
from structkit.engines.pair.model import A, B, Noise, PairAnalogy
from structkit.engines.patch.video import analogy_frames
from structkit.errors import InputError, OptionError
from structkit.media.files import Source
from structkit.media.pictures import Picture
from structkit.media.tensors import from_tensor, to_tensor
from structkit.media.video import Frame, VideoReader
from structkit.media.video_writer import VideoWriter
from structkit.metrics.flicker import flicker
from structkit.verbs.pair import _inject, _own, _ready, _reshaped, _result_size
from structkit.verbs.patchwork import Running, Size, _enlarged, _notes, _picture, _size, _usable

BATCH = 8  # frames that a trained pair translates together


@dataclass(frozen=True)
class VideoSummary:
    """What there is to say of a video that was written.

    flicker: as `metrics.flicker`, before encoding; None for a single frame, and where the result moves though the
    source does not. notes: what a user should know.
    """

    frames: int
    flicker: float | None
    notes: tuple[str, ...]


def analogy(
    source: VideoReader | Source,
    target: Any,
    output: str | Path | BinaryIO,
    *,
    size: Size | None,
    quality: int | None,
    running: Running,
    options: dict[str, Any],
) -> VideoSummary:
    """See `structkit.analogy_video`."""
    config, look, device = AnalogyConfig.of(options), _picture(target), resolve(running.device)
    with _opened(source) as reader:
        width, height = _size(reader, size, config.max_side)
        if size is None:
            width, height = width - width % 2, height - height % 2
        generator = torch.Generator(device).manual_seed(running.seed)
        how = {"shape": (height, width), "usable": _usable(look).to(device), "generator": generator}
        writer = VideoWriter(output, width=width, height=height, like=reader, quality=quality)

        def results(frames: Iterator[Tensor]) -> Iterator[Tensor]:
            return analogy_frames((frame.to(device) for frame in frames), to_tensor(look).to(device), config, **how)

        with writer, enough_memory(device):
            count, calm = _repaint(reader, writer, results, running)
        return VideoSummary(count, calm, _notes(reader, look) + _enlarged(look, (width, height)) + writer.notes)


def translation(
    model: PairAnalogy,
    source: VideoReader | Source,
    target: Any,
    output: str | Path | BinaryIO,
    *,
    swapped: bool,
    size: Size | None,
    quality: int | None,
    running: Running,
    options: dict[str, Any],
) -> VideoSummary:
    """See `structkit.analogy_video`, with a model."""
    config, unfinished, domain = PairResultConfig.of(options), _ready(model, running), B if swapped else A
    if config.draw == "partner":
        raise OptionError("--draw partner is for pictures: leave it out")
    if config.refine == "chain":
        raise OptionError(
            "--refine chain is for pictures, a video flickers with it: leave it out, or say --refine patches"
        )
    if target is not None and config.refine != "patches":
        raise OptionError(
            "a trained pair has its own look: leave TARGET out, or say --refine patches, which uses its patches"
        )
    inject = _inject(model, config.inject, given=True)
    look = _own(model, 1 - domain) if target is None else _picture(target)
    device = str(model.amplitudes.device)
    with _opened(source) as reader:
        model = _reshaped(model, reader)
        model.shapes[model.finest] = tuple(side - side % 2 for side in model.shapes[model.finest])
        width, height = _result_size(model, reader, size, config.refine)
        noise = model.noise(1, torch.Generator(device).manual_seed(running.seed), domains=1)

        def results(frames: Iterator[Tensor]) -> Iterator[Tensor]:
            made = _translated(model, frames, inject, noise, domain)
            if config.refine == "none":
                return made
            how = {"usable": _usable(look).to(device), "generator": torch.Generator(device).manual_seed(running.seed)}
            return analogy_frames(
                made, to_tensor(look).to(device), AnalogyConfig(mode="paint"), shape=(height, width), **how
            )

        writer = VideoWriter(output, width=width, height=height, like=reader, quality=quality)
        with writer, enough_memory(device):
            count, calm = _repaint(reader, writer, results, running)
        given = () if target is None else (*_notes(look), *_enlarged(look, (width, height)))
        return VideoSummary(count, calm, _notes(reader) + given + unfinished + writer.notes)


def _opened(source: VideoReader | Source) -> AbstractContextManager[VideoReader]:
    """A reader that the caller opened stays open."""
    return nullcontext(source) if isinstance(source, VideoReader) else VideoReader(source)


def _translated(
    model: PairAnalogy, frames: Iterator[Tensor], inject: int, noise: Noise, domain: int
) -> Iterator[Tensor]:
    """Each frame alone, but with one noise for all."""
    small = (levels(frame, [model.shapes[inject]])[0] for frame in frames)
    while batch := list(islice(small, BATCH)):
        yield from model.translated(torch.cat(batch).to(noise(inject).device), inject, noise, domain).split(1)


def _repaint(
    reader: VideoReader, writer: VideoWriter, engine: Callable[[Iterator[Tensor]], Iterator[Tensor]], running: Running
) -> tuple[int, float | None]:
    """Write what the engine makes of each frame, at the frame's time; how many there were, and their flicker."""
    frames, shown, watched = tee(
        reader, 3
    )  # they are read in step: no more frames wait than the engine reads ahead, and one
    total = _expected(reader)
    count, ended = 0, False

    def painted() -> Iterator[Frame]:
        nonlocal count, ended
        results = engine(to_tensor(Picture(frame.pixels)) for frame in shown)
        for frame, result in zip(frames, results, strict=True):
            made = replace(frame, pixels=from_tensor(result, name=writer.name).pixels)
            writer.write(made)
            count += 1
            if running.progress:
                running.progress(
                    min(1.0, count / total) if total else 0.0, f"frame {count}" + (f" of {total}" if total else "")
                )
            yield made
        ended = True

    try:
        calm = flicker(painted(), watched)
    except InputError:
        if not ended or count != 1:
            raise
        return count, None  # from one frame to the next, and there is no next
    return count, calm if math.isfinite(calm) else None


def _expected(reader: VideoReader) -> int | None:
    """About how many frames there are: the container may not know, or be wrong."""
    if reader.frames is None and reader.duration and reader.rate:
        return max(1, round(reader.duration * reader.rate))
    return reader.frames
