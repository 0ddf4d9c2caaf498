"""The analogy of two videos: both read into memory about as large as the result, which is written at the source's
times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from structkit.configs import MAX_CLIP_SIDE, AnalogyConfig
from structkit.engines.patch.clip_analogy import analogy_clip
from structkit.errors import InputError
from structkit.media.containers import is_video
from structkit.media.moving_pictures import Clip, clip_tensor, read_clip
from structkit.media.video import VideoReader
from structkit.media.video_writer import VideoWriter
from structkit.verbs.canvas import Size, enlarged, notes_of, result_size
from structkit.verbs.frames import VideoSummary, opened_video, write_painted
from structkit.verbs.guides import Guide, guided_clips
from structkit.verbs.running import RunSettings

if TYPE_CHECKING:
    from structkit.media.files import Source

MOST_LOOK = 120  # frames of a target that are used
MOST_VOXELS = 10**8  # of a source: 2700 frames of 256 x 144 px
SPEED_SIDE = 256  # px: longest side up to which a larger clip shows its motion better
RATES = 1.25  # ratio of two frame rates from which on it is worth a note


def is_clip(given: object) -> bool:
    """True for what is read as a video: a reader, a path by its suffix, and bytes that begin like one."""
    return isinstance(given, VideoReader) or is_video(given)


def analogy_of_videos(
    source: VideoReader | Source,
    target: VideoReader | Source,
    output: str | Path | BinaryIO,
    config: AnalogyConfig,
    *,
    guides: Sequence[Guide],
    size: tuple[int, int] | None,
    quality: int | None,
    running: RunSettings,
) -> VideoSummary:
    """The analogy of two videos; see `structkit.analogy_video`."""
    with opened_video(source) as reader, opened_video(target) as other:
        canvas = _clip_size(reader, size, config)
        side = max(SPEED_SIDE, *canvas)
        look, notes = _look(other, side)
        writer = VideoWriter(output, width=canvas.width, height=canvas.height, like=reader, quality=quality)
        with writer, running.drawing() as draw:
            clip = _whole(reader, canvas, side)
            if max(clip.rate, look.rate) >= RATES * min(clip.rate, look.rate):
                rates = (f"{float(one.rate):.3g}" for one in (look, clip))
                notes += ("{}: its {} frames a second are shown at the source's {}".format(look.name, *rates),)
            shape = clip.count, *canvas.shape
            maps, told = guided_clips(guides, reader, other, (shape, (look.count, look.height, look.width)))
            made = analogy_clip(
                clip_tensor(clip).to(draw.device),
                clip_tensor(look).to(draw.device),
                config,
                shape=shape,
                guides=[own.on(draw.device) for own in maps],
                generator=draw.generator,
                progress=draw.progress,
            )
            # The reader goes through the video once more: what it shows, and when.
            count, flicker = write_painted(reader, iter(made.cpu().unbind(2)), writer)
        return VideoSummary(
            count, flicker, notes_of(reader, look) + notes + told + enlarged(look, canvas) + writer.notes
        )


def _clip_size(source: VideoReader, size: tuple[int, int] | None, config: AnalogyConfig) -> Size:
    """The size of the result; one that is not said is even, and reduced to MAX_CLIP_SIDE.  Raises OptionError."""
    if size is not None:
        return result_size(source, size, config.max_side)
    canvas = result_size(source, None, config.max_side or MAX_CLIP_SIDE)
    return Size(canvas.width - canvas.width % 2, canvas.height - canvas.height % 2)


def _whole(reader: VideoReader, canvas: Size, side: int) -> Clip:
    """The frames of a source.  Raises InputError where they are too many."""
    most = max(1, MOST_VOXELS // (canvas.width * canvas.height))
    clip = read_clip(reader, frames=most + 1, side=side)
    if clip.count > most:
        fact = (
            f"more than {most} frames of {canvas.width} x {canvas.height} px, the most that an analogy of videos takes"
        )
        raise InputError(f"{reader.name}: {fact}: cut it into shorter ones, or give a smaller --max-side")
    return clip


def _look(reader: VideoReader, side: int) -> tuple[Clip, tuple[str, ...]]:
    """The frames of a target that are used, and a note if it has more."""
    clip = read_clip(reader, frames=MOST_LOOK + 1, side=side)
    if clip.count <= MOST_LOOK:
        return clip, ()
    note = f"{clip.name}: its first {MOST_LOOK} frames are used"
    return replace(clip, frames=clip.frames[:MOST_LOOK]), (note,)
