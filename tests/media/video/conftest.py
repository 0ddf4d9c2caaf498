"""Videos made on the spot with FFmpeg, and a plain reading of what lies in a file."""

import struct
from collections.abc import Callable
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest

from structkit.media.video import VideoReader
from structkit.media.video_writer import VideoWriter

CODECS = {".webm": "libvpx-vp9", ".avi": "mpeg4"}
SRT = b"1\n00:00:00,100 --> 00:00:00,300\nFirst <i>words</i>\n\n2\n00:00:00,320 --> 00:00:00,480\nZweite\nZeile\n\n"


def still(number: int, height: int, width: int) -> np.ndarray:
    """(height, width, 3) uint8: smooth, and bright where `number` says."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    return np.stack([200 * x + 5 * number, 200 * y, 40 + 10 * number + 0 * x], -1).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def film(tmp_path_factory) -> Callable[..., Path]:
    """film(suffix, ...): a small video of our own making, without the code under test.

    times: ticks of 1 ms.  sound: {codec: first time, s}, at `hertz`.  sound_first: it is stream 0.  aspect: of one
    pixel.
    turn: nine numbers of the display matrix.
    """
    folder = tmp_path_factory.mktemp("films")

    def make(
        suffix: str = ".mp4",
        *,
        times=range(0, 480, 40),
        size=(32, 48),
        codec: str | None = None,
        layout: str = "yuv420p",
        options: dict | None = None,
        sound: dict[str, Fraction] | None = None,
        hertz: int = 48000,
        sound_first: bool = False,
        words: bool = False,
        aspect: Fraction | None = None,
        turn: tuple | None = None,
    ) -> Path:
        path = folder / f"{len(list(folder.iterdir()))}{suffix}"
        with av.open(str(path), "w", options={"avoid_negative_ts": "disabled"} if suffix != ".ts" else {}) as output:
            output.metadata["title"] = "A title"
            tracks = []

            def add_sound() -> None:
                for name, start in (sound or {}).items():
                    needed = {"bit_rate": 64_000} if name.startswith("wma") else {}
                    tracks.append((output.add_stream(name, rate=hertz, layout="mono", **needed), start))

            if sound_first:
                add_sound()
            tick = Fraction(1, 25 if suffix == ".avi" else 1000)
            video = output.add_stream(
                codec or CODECS.get(suffix, "libx264"), rate=25, time_base=tick, options=options or {}
            )
            video.height, video.width = size
            video.pix_fmt = layout
            if aspect:
                video.codec_context.sample_aspect_ratio = aspect
            packets = []
            if not sound_first:
                add_sound()
            texts = av.open(BytesIO(SRT), "r", format="srt") if words else None
            if texts:
                written = output.add_stream_from_template(texts.streams[0])
                written.metadata["language"] = "fra"
            for number, time in enumerate(times):
                frame = av.VideoFrame.from_ndarray(still(number, *size), format="rgb24").reformat(format=layout)
                frame.pts, frame.time_base = round(Fraction(time, 1000) / tick), tick
                packets += video.encode(frame)
            packets += video.encode(None)
            for track, start in tracks:
                track.metadata["language"] = "deu"
                packets += tone(track, start, max(times) / 1000)
            if texts:
                for packet in texts.demux(texts.streams[0]):
                    if packet.size:
                        packet.stream = written
                        packets.append(packet)
            for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
                output.mux(packet)
        if turn:
            data = path.read_bytes()
            at = data.index(b"tkhd") + 44  # of a version 0 box: its matrix
            path.write_bytes(data[:at] + struct.pack(">9i", *turn) + data[at + 36 :])
        return path

    return make


def tone(track: av.AudioStream, start: Fraction, seconds: float) -> list[av.Packet]:
    """A soft sine of 440 Hz with one loud burst, 0.2 s after its start."""
    packets, hertz = [], track.rate
    for number in range(round(seconds * hertz / 1024)):
        n = np.arange(1024) + 1024 * number
        wave = np.where(abs(n - hertz / 5) < hertz / 1000, 0.9, 0.1) * np.sin(2 * np.pi * 440 / hertz * n)
        frame = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = hertz, int(start * hertz) + 1024 * number, Fraction(1, hertz)
        packets += track.encode(frame)
    return packets + track.encode(None)


@pytest.fixture(scope="session")
def burst() -> Callable[[Path], float]:
    """When the burst of `tone` is heard, s."""

    def find(path: Path) -> float:
        with av.open(str(path)) as container:
            found = [
                (float(f.pts * f.time_base), f.to_ndarray().astype(float), f.sample_rate)
                for f in container.decode(audio=0)
                if f.pts is not None
            ]
        start, wave, hertz = max(found, key=lambda frame: abs(frame[1]).max())
        return start + abs(wave).max(0).argmax() / hertz

    return find


@pytest.fixture(scope="session")
def packets() -> Callable[..., list[tuple[Fraction, bytes]]]:
    """packets(path, "audio", track): time (s) and bytes of each packet."""

    def read(path: Path | BytesIO, kind: str, track: int = 0) -> list[tuple[Fraction, bytes]]:
        with av.open(path if isinstance(path, BytesIO) else str(path)) as container:
            return [(p.pts * p.time_base, bytes(p)) for p in container.demux(**{kind: track}) if p.size]

    return read


@pytest.fixture
def copied(tmp_path):
    """copied(path, suffix): the video read and written with all that is in it; the new path and the notes."""

    def copy(path, suffix):
        with (
            VideoReader(path) as source,
            VideoWriter(tmp_path / f"out{suffix}", width=source.width, height=source.height, like=source) as video,
        ):
            for frame in source:
                video.write(frame)
        return tmp_path / f"out{suffix}", video.notes

    return copy
