"""A page that shows a clip sped up evenly beside the same clip along a curve: one self-contained HTML file.

Both videos are inside, small, and a clip that is long has fewer and smaller pictures there, so that a page has a few
megabytes at most.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from math import floor
from pathlib import Path

import numpy as np

from structkit.media.files import one_line
from structkit.media.moments import clock
from structkit.media.sampled import SampledVideo
from structkit.media.speed_curve import SpeedCurve
from structkit.media.timing import TimeMap
from structkit.media.video import Frame, VideoReader
from structkit.media.video_writer import VideoWriter

TEMPLATE = Path(__file__).with_name("report.html")
SIDE, LEAST_SIDE = 320, 120  # px, of the short side of a video in a page
RATE, LEAST_RATE = Fraction(25), Fraction(2)  # 1/s, of its pictures
PIXELS = 300_000_000  # of all pictures of one of the videos, at most
QUALITY = 45
SOUNDING = 600  # s, of a page with sound, at most
POINTS = 1500  # of the curve

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class PreviewSize:
    """The size of the videos in a page.  side: px, of the short side.  rate: pictures a second."""

    side: int
    rate: Fraction

    @classmethod
    def of(cls, seconds: float, width: int, height: int) -> PreviewSize:
        """The size of videos of so many seconds: first pictures are left out, down to five a second, then they shrink.

        width, height: of the clip, px.
        """
        short, longer = min(width, height), max(width, height) / min(width, height)
        side, rate = min(short, SIDE), RATE

        def room() -> float:
            return PIXELS / (side * side * longer * seconds)  # pictures a second

        while room() < rate and (rate > LEAST_RATE or side > LEAST_SIDE):
            if rate > 5 or side <= LEAST_SIDE:
                rate = max(LEAST_RATE, rate / 2)
            else:
                side = max(LEAST_SIDE, side * 4 // 5)
        return cls(side, rate)


def report_of(
    video: VideoReader, curve: SpeedCurve, *, name: str, audio: str = "stretch", progress: Progress | None = None
) -> str:
    """The page of a video and its curve.

    audio: as `VideoWriter` takes it.  progress: called with the share that is done.
    Raises InputError.
    """
    size = PreviewSize.of(curve.duration, video.width, video.height)
    own = curve.timing()
    first, last = (Fraction(float(time)).limit_denominator(10**6) for time in curve.times[[0, -1]])
    even = TimeMap.of_speeds([first, last], [(last - first) / (own.at(last) - own.at(first))])
    sound = has_sound(video) and audio != "drop" and curve.duration <= SOUNDING
    videos = previews(video, (even, own), size, audio=audio if sound else "drop", progress=progress)
    return report_page(curve, videos, name=name, rate=size.rate, sound=sound, notes=curve.notes)


def previews(
    video: VideoReader,
    maps: Sequence[TimeMap],
    size: PreviewSize,
    *,
    audio: str = "drop",
    progress: Progress | None = None,
) -> tuple[bytes, ...]:
    """The video through each of some time maps, small, as MP4; all of them from one reading.

    audio: as `VideoWriter` takes it.  progress: called with the share that is done.
    Raises InputError.
    """
    frames = SampledVideo(video, side=size.side)
    height, width = next(iter(frames)).pixels.shape[:2]
    how = {"width": width, "height": height, "rate": size.rate, "quality": QUALITY, "audio": audio}
    how["like"] = None if audio == "drop" else video
    streams = [BytesIO() for _ in maps]
    with ExitStack() as stack:
        writers = [
            stack.enter_context(VideoWriter(stream, timing=timing, **how))
            for stream, timing in zip(streams, maps, strict=True)
        ]
        due = [Fraction(0)] * len(maps)  # the next tick of each, s of its result
        for time, duration, pixels in _timed(frames):
            for i, (writer, timing) in enumerate(zip(writers, maps, strict=True)):
                if timing.at(time + duration) > due[i]:
                    writer.write(Frame(pixels, time, duration))
                    due[i] = (floor(timing.at(time) * size.rate) + 1) / size.rate
            if progress and frames.end:
                progress(min(1.0, float((time - frames.start) / (frames.end - frames.start))), "page")
    return tuple(stream.getvalue() for stream in streams)


def has_sound(video: VideoReader) -> bool:
    """True for a video with a track of sound."""
    with video.demuxer() as container:
        return bool(container.streams.audio)


def _timed(frames: SampledVideo) -> Iterator[tuple[Fraction, Fraction, np.ndarray]]:
    """The time and the length of each sample, s, and its pixels."""
    step = 1 / frames.rate
    for number, frame in enumerate(frames):
        yield frames.start + number * step, step, frame.pixels


def report_page(
    curve: SpeedCurve,
    videos: tuple[bytes, bytes],
    *,
    name: str,
    rate: Fraction = RATE,
    sound: bool = False,
    notes: Sequence[str] = (),
) -> str:
    """The page of a curve.

    videos: MP4 of the clip sped up evenly and along the curve, equally long.
    name: of the clip.  rate: pictures a second of the videos.  sound: true if they have any.
    The page stands still on its first picture; with #1.5 behind its address, at 1.5 s.
    """
    facts = {
        "name": one_line(name),
        "summary": curve_words(curve),
        "duration": curve.duration,
        "start": float(curve.times[0]),
        "even": curve.rate,
        "rate": float(rate),
        "sound": sound,
        "labels": [f"uniform {curve.rate:.2f}×", f"adaptive {curve.speeds.min():.2f}× to {curve.speeds.max():.2f}×"],
        "notes": list(notes),
        **_points(curve),
    }
    even, own = (base64.b64encode(video).decode() for video in videos)
    parts = {
        "title": html.escape(f"{facts['name']}: structkit speedup"),
        "facts": json.dumps(facts).replace("<", "\\u003c"),
        "even": even,
        "own": own,
    }
    # In one pass: what is put in is text, whatever it says.
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], TEMPLATE.read_text("utf-8"))


def curve_words(curve: SpeedCurve) -> str:
    """A curve in one line: how long the clip and the result are, and how fast, by which method."""
    natural = curve.facts.get("natural_rate")
    told = f"{clock(curve.seconds)} in {clock(curve.duration)}, {curve.rate:.2f} times as fast"
    told += f", from {curve.speeds.min():.2f} to {curve.speeds.max():.2f}"
    told += f"; natural up to {natural:.2f}" if isinstance(natural, int | float) else ""
    return told + (f"; by {curve.facts['method']}" if "method" in curve.facts else "")


def _points(curve: SpeedCurve) -> dict[str, list[float]]:
    """Speeds and times of the clip at equal steps of the result, for the drawing."""
    shown = curve.shown
    count = int(np.clip(2 * len(curve.speeds), 2, POINTS))
    at = np.linspace(0, curve.duration, count)
    times = np.interp(at, shown, curve.times)
    speeds = np.exp(np.interp(at, (shown[1:] + shown[:-1]) / 2, np.log(curve.speeds)))
    return {"speeds": np.round(speeds, 3).tolist(), "times": np.round(times, 3).tolist()}
