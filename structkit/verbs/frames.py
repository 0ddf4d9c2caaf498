"""The frames of a video on their way through an engine: read in step, painted, written at their own times.

Frames stream: a film takes no more memory than a clip.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import tee

from torch import Tensor

from structkit.media.files import Source
from structkit.media.pictures import Picture
from structkit.media.tensors import from_tensor, to_tensor
from structkit.media.video import Frame, VideoReader
from structkit.media.video_writer import VideoWriter
from structkit.metrics.flicker import FlickerTally
from structkit.verbs.running import Progress, RunSettings


@dataclass(frozen=True)
class VideoSummary:
    """The facts of a video that was written.

    frames: their number.
    flicker: as `metrics.flicker`, before encoding; None for a single frame, and where the result moves though the
    source does not.
    notes: on the inputs and on the output, one line each.
    """

    frames: int
    flicker: float | None
    notes: tuple[str, ...]


def opened_video(source: VideoReader | Source) -> AbstractContextManager[VideoReader]:
    """The reader of a video, to be closed; one that the caller opened stays open.  Raises InputError."""
    return nullcontext(source) if isinstance(source, VideoReader) else VideoReader(source)


class FrameStream:
    """The frames of a reader, once for an engine and once for the writer of what it makes of them."""

    def __init__(self, reader: VideoReader) -> None:
        # They are read in step: no more frames wait than the engine reads ahead.
        self._shown, self._frames = tee(reader, 2)
        self._total = expected_frames(reader)

    def tensors(self, device: str) -> Iterator[Tensor]:
        """Each frame, (1, 3, h, w) in [-1, 1], on the device."""
        return (to_tensor(Picture(frame.pixels)).to(device) for frame in self._shown)

    def write(self, results: Iterator[Tensor], writer: VideoWriter, running: RunSettings) -> tuple[int, float | None]:
        """Write the result of each frame, (1, 3, H, W), at the frame's time; returns their number and their flicker."""
        return write_painted(self._frames, results, writer, running.progress, self._total)


def write_painted(
    frames: Iterable[Frame],
    results: Iterator[Tensor],
    writer: VideoWriter,
    progress: Progress | None = None,
    total: int | None = None,
) -> tuple[int, float | None]:
    """Write the result of each frame, (1, 3, H, W), at the frame's time; returns their number and their flicker.

    progress: called after each frame.  total: the number of frames, as far as it is known.
    """
    tally = FlickerTally()
    for frame, result in zip(frames, results, strict=True):
        painted = replace(frame, pixels=from_tensor(result, name=writer.name).pixels)
        writer.write(painted)
        tally.add(painted, frame)
        if progress:
            share = min(1.0, tally.count / total) if total else 0.0
            progress(share, f"frame {tally.count}" + (f" of {total}" if total else ""))
    if tally.count < 2:
        return tally.count, None  # from one frame to the next, and there is no next
    return tally.count, tally.flicker if math.isfinite(tally.flicker) else None


def expected_frames(reader: VideoReader) -> int | None:
    """The number of frames, about: the container may not know it, or be wrong."""
    if reader.frames is None and reader.duration and reader.rate:
        return max(1, round(reader.duration * reader.rate))
    return reader.frames
