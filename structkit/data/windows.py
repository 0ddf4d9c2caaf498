"""Windows of a video: stretches of the same number of frames at 25 Hz, each half over the one before.

Laws: every frame is in a window; all windows of a video that is long enough have the same number of frames, and the
only window of a shorter video is all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby, islice

import numpy as np
import torch
from torch import Tensor

from structkit.configs.speednet import LEAST_CLIP_SIDE
from structkit.errors import InputError
from structkit.media.sampled import SampledFrame, SampledVideo
from structkit.media.tensors import to_range

TOGETHER = 8  # windows that a network sees at once
LEAST_FRAMES, LEAST_SIDE = 8, LEAST_CLIP_SIDE  # px; of clips that networks see


@dataclass(frozen=True, eq=False)
class VideoWindow:
    """A stretch of a video.

    frames: (T, H, W, 3) uint8 RGB; None where they are no longer needed.
    start, end: of the stretch, s, on the video's clock.
    """

    frames: np.ndarray | None
    start: float
    end: float

    def overlaps(self, start: float, end: float) -> bool:
        """True if the window and the stretch from start to end, s, have a time in common."""
        return self.start < end and start < self.end


def video_windows(video: SampledVideo, frames: int) -> Iterator[VideoWindow]:
    """The windows of a video, in constant memory.

    frames: of a window; each begins half as many, rounded down, behind the one before, and the last ends with the
    video.
    Raises InputError for damage on the way, and for a video in which no network of clips sees anything: one of fewer
    than LEAST_FRAMES frames, or smaller than LEAST_SIDE.
    """
    held: list[np.ndarray] = []  # the latest frames
    count = fresh = 0  # frames so far, and those behind the last window
    hop = max(1, frames // 2)
    for sample in video:
        held = [*held[1 - frames :], sample.pixels] if frames > 1 else [sample.pixels]
        count, fresh = count + 1, fresh + 1
        check_side(video, sample)
        if count >= frames and (fresh >= hop or count == frames):
            yield _window(video, held, count)
            fresh = 0
    _check_length(video, count)
    if fresh:
        yield _window(video, held, count)


def window_at(video: SampledVideo, frames: int, time: float) -> VideoWindow:
    """The window in whose middle a time is, s on the video's clock; near an end the first or the last one.

    Raises InputError for a time that the video does not have, and as `video_windows`.
    """
    held: list[np.ndarray] = []
    count, wanted = 0, None
    for sample in video:
        check_side(video, sample)
        if wanted is None:
            wanted = max(round((time - float(video.start)) * float(video.rate)) + (frames + 1) // 2, frames)
        held = [*held[1 - frames :], sample.pixels] if frames > 1 else [sample.pixels]
        count += 1
        if count == wanted:
            break
    first, last = float(video.start), float(video.start) + count / float(video.rate)
    if not first <= time <= last:
        fact = f"no frame at {time:.6g} s: the video goes from {first:.6g} to {last:.6g} s"
        raise InputError(f"{video.reader.name}: {fact}; name a time in it with --at")
    _check_length(video, count)
    return _window(video, held, count)


def check_side(video: SampledVideo, sample: SampledFrame) -> None:
    """Refuse a frame that is too small for networks of clips.  Raises InputError."""
    height, width = sample.pixels.shape[:2]
    if min(height, width) < LEAST_SIDE:
        fact = f"{width} x {height} px, and {LEAST_SIDE} px are the least in which motion is seen"
        raise InputError(f"{video.reader.name}: {fact}; give a larger video")


def stretches(video: SampledVideo, least: int, longest: int, most: int) -> list[np.ndarray]:
    """Stretches of a video, (n, H, W, 3) uint8, each as long as they may be, and spread over all of it.

    least: frames of a stretch; of a video that is shorter there is none.
    longest: frames of one.
    most: their number; of a video that has more every second is kept, or every fourth, eighth and so on.
    Raises InputError for damage on the way.
    """
    kept: list[np.ndarray] = []
    stride, number, held = 1, 0, []
    for sample in video:
        held.append(sample.pixels)
        if len(held) == longest:
            if number % stride == 0:
                kept.append(np.stack(held))
            number, held = number + 1, []
            if len(kept) > most:
                kept, stride = kept[::2], 2 * stride
    if len(held) >= least and number % stride == 0 and len(kept) < most:
        kept.append(np.stack(held))
    return kept


def window_tensor(windows: Sequence[VideoWindow]) -> Tensor:
    """The frames of windows of one shape, (B, 3, T, H, W) float32 in [-1, 1]."""
    stacked = torch.from_numpy(np.stack([window.frames for window in windows]))
    return to_range(stacked.permute(0, 4, 1, 2, 3).float() / 255)


@torch.inference_mode()
def seen_windows(
    windows: Iterable[VideoWindow], see: Callable[[Tensor], Tensor], device: str
) -> Iterator[tuple[VideoWindow, Tensor]]:
    """Each window, without its frames, and what a network sees in it, on the CPU.

    see: from windows, (B, 3, T, H, W) in [-1, 1] on the device, to a tensor (B, ...).
    """
    for _, alike in groupby(windows, key=lambda window: window.frames.shape):
        while together := list(islice(alike, TOGETHER)):
            found = see(window_tensor(together).to(device)).float().cpu()
            yield from (
                (VideoWindow(None, window.start, window.end), one) for window, one in zip(together, found, strict=True)
            )


def _check_length(video: SampledVideo, count: int) -> None:
    """Refuse a video of so few frames that networks of clips see nothing.  Raises InputError."""
    if count < LEAST_FRAMES:
        fact = f"{count / float(video.rate):.2f} s, and {LEAST_FRAMES / float(video.rate):.2f} s are the least"
        raise InputError(f"{video.reader.name}: {fact} in which motion is seen; give a longer video")


def _window(video: SampledVideo, held: Sequence[np.ndarray], count: int) -> VideoWindow:
    """The window of the frames that are held, the last of which is the count-th of the video."""
    start, rate = Fraction(video.start), video.rate
    return VideoWindow(np.stack(held), float(start + (count - len(held)) / rate), float(start + count / rate))
