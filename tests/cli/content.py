"""What the tests of transfer, remove and segment share: pictures, and checkpoints of stand-ins."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from structkit.media.pictures import Picture, read_picture, write_picture

from ..content_models import FakeConfig, FakeDifference, FakeTransfer

RED, BLACK = (255, 0, 0), (0, 0, 0)
MODELS = {"m.safetensors": FakeTransfer, "other.safetensors": FakeTransfer, "d.safetensors": FakeDifference}


def save_models(folder: Path) -> None:
    """m and other: of content transfer, of 16 and 8 px.  d: of domain difference."""
    for name, kind in MODELS.items():
        kind(FakeConfig(size=8 if name.startswith("other") else 16)).save(folder / name)


def band(path: Path, colour=RED, side: int = 24) -> Path:
    """A dark picture with a band of a colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((side, side, 3), np.uint8)
    pixels[..., 1] = np.arange(side) * 4
    pixels[side // 3 : 2 * side // 3] = colour
    write_picture(Picture(pixels), path)
    return path


def pixels(path: Path) -> np.ndarray:
    return read_picture(path).pixels
