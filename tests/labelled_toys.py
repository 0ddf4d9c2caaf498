"""Small sets of labelled pictures, in memory and as folders, whose classes differ in the slant of their stripes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from structkit.data.labelled import LabelledPictures
from structkit.media.pictures import Picture, write_picture

CLASSES = ["flat", "steep", "slanted"]
SIDE = 16
TINY: dict[str, Any] = {"width": 4, "side": SIDE, "epochs": 2, "batch": 12, "checks": 2, "workers": 0}


def stripes(label: int, seed: int, side: int = SIDE) -> np.ndarray:
    """A picture (side, side, 3) uint8 of coloured stripes, whose slant is that of the class."""
    random = np.random.default_rng([label, seed])
    y, x = np.mgrid[:side, :side]
    along = (y, x, x + y)[label]
    wave = 0.5 + 0.4 * np.sign(np.sin(along * random.uniform(1.2, 1.6) + random.uniform(0, 6)))
    colour, grain = random.uniform(0.3, 1, 3), random.normal(0, 0.05, (side, side, 3))
    return np.uint8(255 * (wave[..., None] * colour + grain).clip(0, 1))


def labelled(each: int = 8, seed: int = 0, side: int = SIDE, classes: int = 3) -> LabelledPictures:
    """So many pictures of each class."""
    labels = [label for label in range(classes) for _ in range(each)]
    pictures = np.stack([stripes(label, 1000 * seed + i, side) for i, label in enumerate(labels)])
    names = [f"{CLASSES[label]}/{i}.png" for i, label in enumerate(labels)]
    return LabelledPictures(CLASSES[:classes], torch.tensor(labels), names, pictures, np.arange(len(labels)))


def class_tree(folder: Path, each: int = 5, seed: int = 0, classes: int = 3, side: int = SIDE) -> Path:
    """A folder of folders with so many pictures of each class."""
    for label, name in enumerate(CLASSES[:classes]):
        (folder / name).mkdir(parents=True)
        for i in range(each):
            write_picture(Picture(stripes(label, 1000 * seed + i, side)), folder / name / f"{i}.png")
    return folder
