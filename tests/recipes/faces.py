"""Pictures with and without a red band, and a training on them that takes no time."""

from pathlib import Path

import numpy as np

from structkit.media.pictures import Picture, write_picture

CODES = {"size": 16, "width": 4, "widest": 8, "separate": 2, "narrow": 4, "batch": 4, "steps": 4}
TINY = {
    **CODES,
    "painter": 4,
    "rounds": 2,
    "painter_steps": 2,
    "placer_steps": 2,
    "painter_size": 32,
    "device": "cpu",
    "dtype": "float32",
}
TINY_DIFFERENCE = {
    name: TINY[name] for name in ("size", "width", "widest", "separate", "batch", "steps", "device", "dtype")
}


def face(seed: int, content: bool, side: int = 32) -> Picture:
    """Noise in large blocks, with a red band across it or not."""
    blocks = np.random.default_rng(seed).integers(0, 200, (4, 4, 3), dtype=np.uint8)
    pixels = np.kron(blocks, np.ones((side // 4, side // 4, 1), np.uint8))
    if content:
        pixels[side // 3 : side // 2] = (255, 0, 0)
    return Picture(pixels, None, f"{seed}.png")


def fill(folder: Path, content: bool, count: int = 24, start: int = 0, side: int = 32) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(start, start + count):
        write_picture(face(i, content, side), folder / f"{i}.png")
    return folder
