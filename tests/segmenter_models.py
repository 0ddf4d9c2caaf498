"""A stand-in segmenter, which takes each pixel for the class whose colour is nearest, and pictures of its classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from structkit.configs import SegmenterConfig
from structkit.engines.padain.segmenter import Segmenter
from structkit.media.pictures import Picture, write_picture

CLASSES = ("sky", "road", "car")
PALETTE = ((70, 130, 180), (128, 64, 128), (0, 0, 142))


def nearest_colour(self: Segmenter, pictures: torch.Tensor) -> torch.Tensor:
    """Logits (B, K, h, w): the nearer a colour, the larger."""
    colours = torch.tensor(self.palette, dtype=torch.float32, device=pictures.device) / 127.5 - 1
    return -(pictures[:, None] - colours[None, :, :, None, None]).square().sum(2)


def install(monkeypatch) -> None:
    """Let segmenters see by colours."""
    monkeypatch.setattr(Segmenter, "logits", nearest_colour)


def model(size: str = "32x24") -> Segmenter:
    torch.manual_seed(0)
    return Segmenter(SegmenterConfig(size=size, width=0.05), CLASSES, PALETTE).eval()


def scene(height: int = 24, width: int = 32, *, bits: int = 8, alpha: np.ndarray | None = None) -> Picture:
    """Sky in the upper half, road below it, and in the right quarter of that a car."""
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[: height // 2], pixels[height // 2 :] = PALETTE[:2]
    pixels[height // 2 :, -(width // 4) :] = PALETTE[2]
    return Picture(pixels, alpha, "scene").at(bits)


def classes_of(picture: Picture) -> np.ndarray:
    """The true classes of a scene, (H, W) uint8."""
    found = np.zeros((picture.height, picture.width), np.uint8)
    found[picture.height // 2 :] = 1
    found[picture.height // 2 :, -(picture.width // 4) :] = 2
    return found


def saved_scene(path: Path, **how) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(scene(**how), path)
    return path
