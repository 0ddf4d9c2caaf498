"""Small videos in which things move at a known speed, as files and as proxies in memory."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from structkit.data.proxies import Proxy


def drifting(frames: int, speed: float, *, seed: int = 0, height: int = 40, width: int = 56) -> np.ndarray:
    """Frames (T, height, width, 3) uint8 of a soft texture that moves to the right, px a frame, over a still one."""
    generator = np.random.default_rng(seed)
    coarse = generator.uniform(0, 1, (3, 12, 3))
    x = np.linspace(0, 12, 4 * width, endpoint=False)
    texture = np.stack([[np.interp(x, np.arange(13), [*row, row[0]]) for row in plane.T] for plane in coarse], 0)
    found = []
    for number in range(frames):
        moved = np.roll(texture, round(speed * number), 2)[:, :, :width]  # (3, 3, width)
        bands = np.repeat(moved.transpose(0, 2, 1), -(-height // 3), 0)[:height]
        found.append(255 * bands)
    return np.stack(found).astype(np.uint8)


def write_video(path: Path, frames: np.ndarray, rate: float = 25, *, codec: str = "libx264", **options: str) -> Path:
    """A video of frames (T, H, W, 3) uint8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(rate).limit_denominator(1000), options=options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")))
        container.mux(stream.encode(None))
    return path


def proxy(frames: np.ndarray, name: str = "a.mp4", breaks: tuple[int, ...] = ()) -> Proxy:
    """The proxy of frames in memory.  breaks: first frames of runs, besides 0."""
    grey = frames.astype(np.float32).mean(3)
    motion = np.abs(np.diff(grey, axis=0)).mean((1, 2))
    first = np.zeros(len(frames), bool)
    first[[0, *breaks]] = True
    thumbnail = np.zeros((16, 16), np.float32)
    seconds = len(frames) / 25
    return Proxy(name, name, frames, np.array([0, *motion], np.float32), first, 25.0, 0.0, seconds, thumbnail)
