"""Videos whose pictures flash while their sound bursts, so that one can be held against the other."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from structkit.media.timing import TimeMap
from structkit.media.video import VideoReader
from structkit.media.video_writer import VideoWriter

BURST = 0.08  # s
SIZE = (16, 32)  # (height, width), px


def bursts(times: Sequence[float], seconds: float, rate: int, channels: int, length: float = BURST) -> np.ndarray:
    """(n, channels) float32: a tone of 1 kHz from each time on, in silence; channel k has 1 / (k + 1) of the level."""
    n = np.arange(round(seconds * rate)) / rate
    is_on = np.zeros(n.shape, bool)
    for time in times:
        is_on |= (n >= time) & (n < time + length)
    wave = np.where(is_on, 0.6 * np.sin(2 * np.pi * 1000 * n), 0).astype(np.float32)
    return wave[:, None] / np.arange(1, channels + 1, dtype=np.float32)


def flashing(
    path: Path,
    times: Sequence[float],
    *,
    seconds: float = 3.0,
    fps: int = 25,
    codec: str = "aac",
    rate: int = 16_000,
    layout: str = "mono",
    start: float = 0.0,
    end: float | None = None,
    begin: float = 0.0,
    gaps: Sequence[tuple[float, float]] = (),
    drift: float = 0.0,
    tracks: int = 1,
) -> Path:
    """A video that flashes and bursts at `times`, s.

    start, end: of the sound, s.  begin: of the pictures.  gaps: from when to when its packets are missing.
    drift: how much of a second the clock of the sound's time stamps loses in a second; pictures keep to that clock.
    """
    with av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as output:
        video = output.add_stream("libx264", rate=fps, time_base=Fraction(1, 1000), options={"preset": "ultrafast"})
        video.height, video.width = SIZE
        video.pix_fmt = "yuv420p"
        sounds = [output.add_stream(codec, rate=rate, layout=layout) for _ in range(tracks)]
        packets = []
        for number in range(round((seconds - begin) * fps)):
            time = begin + number / fps
            is_lit = any(t <= time + 1e-6 < t + BURST for t in times)
            frame = av.VideoFrame.from_ndarray(np.full((*SIZE, 3), 235 if is_lit else 20, np.uint8), format="rgb24")
            frame.pts, frame.time_base = round(time * 1000), Fraction(1, 1000)
            packets += video.encode(frame.reformat(format="yuv420p"))
        packets += video.encode(None)
        for sound in sounds:
            channels = len(av.AudioLayout(layout).channels)
            wave = bursts([(t - start) for t in times], (end or seconds) - start, rate, channels)
            packets += encoded(sound, wave, start, layout, gaps, drift)
        for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
            output.mux(packet)
    return path


def encoded(sound, wave: np.ndarray, start: float, layout: str, gaps, drift: float) -> list[av.Packet]:
    """The packets of a track."""
    size, rate, packets = sound.codec_context.frame_size or 1024, sound.rate, []
    for at in range(0, len(wave), size):
        piece = np.ascontiguousarray(wave[at : at + size].T)
        if sound.codec_context.format.name.startswith("s16"):
            piece = (piece.T.reshape(1, -1) * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(piece, format="s16", layout=layout)
        else:
            frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, round(start * rate) + at, Fraction(1, rate)
        packets += sound.encode(frame)
    packets += sound.encode(None)
    kept = []
    for packet in packets:
        time = float(packet.pts * packet.time_base)
        if not any(a <= time < b for a, b in gaps):
            packet.pts = packet.dts = packet.pts + round(drift * time / packet.time_base)
            kept.append(packet)
    return kept


def retimed(path: Path, out: Path, timing: TimeMap, **how) -> tuple[str, ...]:
    """Write a video through a map; the notes."""
    with (
        VideoReader(path, tolerant=how.pop("tolerant", False)) as source,
        VideoWriter(out, width=source.width, height=source.height, like=source, timing=timing, **how) as video,
    ):
        for frame in source:
            video.write(frame)
    return video.notes


def flashes(path: Path) -> list[float]:
    """When the pictures begin to be bright, s."""
    lit = [(float(frame.time), frame.pixels.mean() > 128) for frame in VideoReader(path)]
    return [time for (_, before), (time, now) in zip([(0, False), *lit], lit, strict=False) if now and not before]


def heard(path: Path, track: int = 0) -> tuple[np.ndarray, int, float]:
    """The sound of a file, (n, channels), its rate, and the time of its first sample, by the times of its frames."""
    pieces, first, rate, packed = [], None, 0, None
    with av.open(str(path)) as container:
        for frame in container.decode(audio=track):
            packed = packed or av.AudioResampler("flt", frame.layout.name, frame.sample_rate)
            if frame.pts is None:  # what a decoder gives at the end of Windows Media
                continue
            time, rate, channels = float(frame.pts * frame.time_base), frame.sample_rate, len(frame.layout.channels)
            first = time if first is None else first
            pieces += [
                (round((time - first) * rate), f.to_ndarray().reshape(-1, channels)) for f in packed.resample(frame)
            ]
    wave = np.zeros((max(at + len(piece) for at, piece in pieces), pieces[0][1].shape[1]), np.float32)
    for at, piece in pieces:
        wave[at : at + len(piece)] = piece
    return wave, rate, first


def onsets(wave: np.ndarray, rate: int, first: float = 0.0, apart: float = 0.04) -> list[float]:
    """When sound sets in after silence, s."""
    loud = np.flatnonzero(abs(wave).max(1) > 0.15)
    breaks = np.flatnonzero(np.diff(loud, prepend=-rate) > apart * rate)
    return [first + float(loud[k]) / rate for k in breaks]


def curve(speed, seconds: float, step: float = 0.2, begin: float = 0.0) -> TimeMap:
    """The map of a speed that is a function of time, with a knot every `step` s, to a microsecond."""
    times = [Fraction(round((begin + k * step) * 1000), 1000) for k in range(round((seconds - begin) / step) + 1)]
    speeds = [Fraction(float(speed(float(time) + step / 2))).limit_denominator(1000) for time in times[:-1]]
    exact = TimeMap.of_speeds(times, speeds)
    knots = tuple((time, Fraction(round(exact.at(time) * 10**6), 10**6)) for time in times)
    return TimeMap(knots, exact.before, exact.after)


def swinging(time: float) -> float:
    """A speed between 0.8 and 3.2."""
    return 2 + 1.2 * np.sin(2 * np.pi * time / 9)
