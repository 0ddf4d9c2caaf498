"""Heat maps over a video: where a network of speed sees that it is sped up, and which places were slowed down.

The colours can be told apart by all, also by those who see no red or no green: they are of the palette of Okabe and
Ito, in the order of jet.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from PIL import Image

from structkit.configs import HEATMAP_KINDS
from structkit.data.windows import check_side
from structkit.device import enough_memory, resolve
from structkit.engines.speednet.places import PlaceMaps, class_activation, smoothed, tolerance
from structkit.errors import OptionError
from structkit.media.files import Source
from structkit.media.sampled import SampledVideo
from structkit.media.video import VideoReader
from structkit.media.video_writer import VideoWriter
from structkit.models import usable
from structkit.verbs.canvas import notes_of
from structkit.verbs.frames import VideoSummary, expected_frames, opened_video

if TYPE_CHECKING:
    from fractions import Fraction

    from structkit.training.model import Model
    from structkit.verbs.running import Progress

OPACITY = 0.53  # of the colours over the picture, as in the authors' videos
BLUE, SKY, GREEN = (0, 114, 178), (86, 180, 233), (0, 158, 115)
YELLOW, ORANGE, RED = (240, 228, 66), (230, 159, 0), (213, 94, 0)
PALETTES = {"cam": (BLUE, SKY, YELLOW, ORANGE, RED), "speed": (BLUE, GREEN, YELLOW, ORANGE)}
SHADES = 256
MOVES = 1.0  # of 255: where brightness changes so much from one sample to the next, colours have half their strength
ACTIVE, LEAST_LOGITS = (0.02, 0.998), 0.5  # ends of the palette of a video, as shares of its values; and the least span
SLOWED, LEAST_OCTAVES = (0.05, 0.95), 0.1
LOOKING = 0.7  # part of the progress that the analysis is
SIDE = 2  # sides of the model, at which maps are made: finer than the model's own


@dataclass(frozen=True, eq=False)
class HeatPainter:
    """A painter of colours over the frames of a video, by the maps of its places.

    places: the maps and their times.
    shades: (N, h, w) in [0, 1], a place in the palette.
    strengths: (N, h, w) in [0, 1], of the colours; None: they are strong everywhere.
    palette: (SHADES, 3) uint8.
    opacity: of strong colours, 0 to 1.
    """

    places: PlaceMaps
    shades: np.ndarray
    strengths: np.ndarray | None
    palette: np.ndarray
    opacity: float

    def __call__(self, pixels: np.ndarray, time: Fraction | float) -> np.ndarray:
        """The frame (H, W, 3) uint8 of a time, s, under its colours."""
        size = pixels.shape[1], pixels.shape[0]
        colours = Image.fromarray(self.palette[_levels(self._enlarged(self.shades, time, size))])
        if self.strengths is None:
            mask = Image.new("L", size, round(255 * self.opacity))
        else:
            mask = Image.fromarray(_levels(self.opacity * self._enlarged(self.strengths, time, size)))
        return np.asarray(Image.composite(colours, Image.fromarray(pixels), mask))

    def _enlarged(self, maps: np.ndarray, time: Fraction | float, size: tuple[int, int]) -> np.ndarray:
        """The map of a time at the size of a frame, without steps."""
        small = Image.fromarray(self.places.at(float(time), maps))
        return np.asarray(small.resize(size, Image.Resampling.BICUBIC)).clip(0, 1)


def heatmap(
    video: VideoReader | Source,
    output: str | Path | BinaryIO,
    model: Model | str | Path,
    *,
    kind: str = "cam",
    opacity: float = OPACITY,
    quality: int | None = None,
    device: str = "auto",
    max_pixels: int | None = None,
    tolerant: bool = False,
    progress: Progress | None = None,
) -> VideoSummary:
    """Write a video under colours that show what a model of speed sees; its times and its sound stay.

    video: a path, a file's bytes, a binary stream or a `VideoReader`.
    output: .mp4, .mov, .mkv or .webm; or a binary stream, which gets an MP4.
    model: of `train_speednet`, or its checkpoint.
    kind: cam, where it sees what is sped up, from blue to red; or speed, how fast each place plays beside the others of
    this video: blue the fastest, over green and yellow to orange, slowed down.  Where nothing moves there is no colour.
    Colours tell places of one video apart, and nothing of it as a whole: something of it always is the fastest.
    opacity: of the colours, 0 to 1.
    quality: of the video, 1 to 100.
    device, max_pixels, tolerant: as for `similar`.
    Method: SpeedNet (Benaim et al., CVPR 2020), see `structkit.engines.speednet.places`; the colours of speed are those
    of the authors' talk.
    Raises InputError, OptionError, CheckpointError, DeviceError, OutputError.
    """
    if kind not in HEATMAP_KINDS:
        raise OptionError(f"--heatmap-kind is {kind!r}: choose one of {', '.join(HEATMAP_KINDS)}")
    if not 0 <= opacity <= 1:
        raise OptionError(f"the opacity is {opacity:g}: it must be between 0 and 1")
    device = resolve(device)
    network: Any = usable(model, device, "speedup")
    reading = {"tolerant": tolerant} | ({} if max_pixels is None else {"max_pixels": max_pixels})
    with opened_video(video) if isinstance(video, VideoReader) else VideoReader(video, **reading) as reader:
        writer = VideoWriter(output, width=reader.width, height=reader.height, like=reader, quality=quality)
        with writer:
            painter = heat_painter(reader, network, kind=kind, opacity=opacity, device=device, progress=progress)
            total, count = expected_frames(reader), 0
            for count, frame in enumerate(reader, 1):
                writer.write(replace(frame, pixels=painter(frame.pixels, frame.time)))
                if progress:
                    share = min(1.0, count / total) if total else 0.0
                    progress(LOOKING + (1 - LOOKING) * share, f"frame {count}")
        return VideoSummary(count, None, notes_of(reader) + writer.notes)


def heat_painter(
    video: VideoReader,
    model: Any,
    *,
    kind: str = "cam",
    opacity: float = OPACITY,
    device: str = "cpu",
    progress: Progress | None = None,
) -> HeatPainter:
    """The painter of a video's colours, for its own frames at their own times.

    model: a `SpeedNet`, on the device.  All else is as for `heatmap`.
    Raises InputError, DeviceError.
    """
    sampled = SampledVideo(video, side=SIDE * model.config.side)
    check_side(sampled, next(iter(sampled)))

    def told(count: int) -> None:
        if progress:
            progress(LOOKING * min(1.0, count / sampled.count) if sampled.count else 0.0, f"sample {count}")

    with enough_memory(device, "use --device cpu, or a model of a smaller side"):
        if kind == "cam":
            maps = class_activation(sampled, model, device, told)
            shades, strengths = spread(maps.values, None, ACTIVE, LEAST_LOGITS), None
        else:
            maps = tolerance(sampled, model, device, told)
            values, motion = (smoothed(each, model.config.frames) for each in (maps.values, maps.motion))
            strengths = motion**2 / (motion**2 + MOVES**2)  # of the noise of codecs, far below, next to nothing is left
            shades = spread(values, strengths, SLOWED, LEAST_OCTAVES)
    return HeatPainter(maps, shades, strengths, palette(PALETTES[kind]), opacity)


def spread(values: np.ndarray, strengths: np.ndarray | None, ends: tuple[float, float], least: float) -> np.ndarray:
    """Values (N, h, w) as places in a palette: 0 for the low ones among them, 1 for the high ones.

    strengths: (N, h, w); only where they are above 1/2 do values count, if there are any.
    ends: the shares of the values that are below 0 and below 1.
    least: the smallest difference of values that the palette is spread over, so that noise stays of one colour.
    """
    values = values.astype(np.float32)
    told = values if strengths is None else values[strengths > 0.5]
    low, high = np.quantile(told if told.size else values, ends)
    missing = max(0.0, least - (high - low))
    return (values - low + missing / 2) / (high - low + missing)


def palette(colours: tuple[tuple[int, int, int], ...]) -> np.ndarray:
    """Shades between colours, (SHADES, 3) uint8, evenly spread."""
    places = np.linspace(0, len(colours) - 1, SHADES)
    table = np.array(colours, float)
    return (
        np.stack([np.interp(places, np.arange(len(colours)), channel) for channel in table.T], 1)
        .round()
        .astype(np.uint8)
    )


def _levels(unit: np.ndarray) -> np.ndarray:
    """Numbers in [0, 1] as levels of 255, rounded."""
    return (255 * unit + 0.5).astype(np.uint8)
