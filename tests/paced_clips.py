"""Small clips with still and moving parts, and sound, for tests of what makes clips shorter."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

SHAPE = (48, 64)


def pictures(seconds: float, rate: int, moving: tuple[float, float]) -> np.ndarray:
    """(T, 48, 64, 3) uint8: a textured ground, over which a square runs in the moving part, s; else nothing moves."""
    grain = np.random.default_rng(0).integers(60, 160, (SHAPE[0] // 4, SHAPE[1] // 4, 3), dtype=np.uint8)
    ground = np.kron(grain, np.ones((4, 4, 1), np.uint8))
    made = np.stack([ground] * round(seconds * rate))
    for number in range(len(made)):
        since = number / rate - moving[0]
        if 0 <= since < moving[1] - moving[0]:
            left = round(120 * since) % (SHAPE[1] - 16)
            made[number, 14:34, left : left + 16] = (250, 60, 30)
    return made


def paced_clip(
    path: Path,
    *,
    seconds: float = 2.0,
    rate: int = 25,
    moving: tuple[float, float] = (0.8, 1.4),
    tone: tuple[float, float] | None = (0.0, 1.0),
) -> Path:
    """A clip on disk.  tone: the part in which a tone is heard, s; None for a clip without sound."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        shown = container.add_stream("libx264", rate=rate, options={"threads": "1", "preset": "ultrafast"})
        shown.height, shown.width, shown.pix_fmt = *SHAPE, "yuv420p"
        heard = None if tone is None else container.add_stream("aac", rate=8000, layout="mono")
        for pixels in pictures(seconds, rate, moving):
            container.mux(shown.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(shown.encode(None))
        if heard is not None and tone is not None:
            at = np.arange(round(seconds * 8000))
            wave = 0.4 * np.sin(at / 4) * ((at >= tone[0] * 8000) & (at < tone[1] * 8000))
            for first in range(0, len(wave), 1024):
                piece = wave[None, first : first + 1024].astype(np.float32)
                frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = 8000, first, Fraction(1, 8000)
                container.mux(heard.encode(frame))
            container.mux(heard.encode(None))
    return path


def length(path: Path) -> float:
    """The length of the pictures of a video, s."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        last = max(((frame.pts + frame.duration) * frame.time_base for frame in container.decode(stream)), default=0)
        return float(last - (stream.start_time or 0) * stream.time_base)
