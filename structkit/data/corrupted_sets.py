"""Sets of pictures that were corrupted before: CIFAR-C's arrays, ImageNet-C's folders, and what `corrupt` writes.

CIFAR-C (Hendrycks & Dietterich, ICLR 2019): KIND.npy has the pictures of severity 1, then those of 2, up to 5, uint8,
and labels.npy their labels.  ImageNet-C: folders KIND/SEVERITY/CLASS/, which may stand in a folder of their category.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from structkit.data.labelled import LabelledPictures, read_labelled
from structkit.errors import InputError

SEVERITIES = (1, 2, 3, 4, 5)
LABELS = "labels.npy"


class CorruptedSet:
    """A folder of corrupted pictures.

    kinds: those that are there, in the order of their names.
    classes: the names of the classes, in the order of the labels; those of CIFAR-C are numbers.
    """

    def __init__(
        self, folder: str | Path, *, part: str = "test", max_pixels: int | None = None, tolerant: bool = False
    ) -> None:
        """part, max_pixels, tolerant: as for `read_labelled`.

        Raises InputError for a folder that is missing, or has no kinds.
        """
        self.folder = Path(folder)
        self.reading: dict[str, Any] = {"part": part, "max_pixels": max_pixels, "tolerant": tolerant}
        if not self.folder.is_dir():
            fact = "a file, where a folder is needed" if self.folder.exists() else "no such folder"
            raise InputError(f"{self.folder}: {fact}; name one of KIND.npy and labels.npy, or of KIND/SEVERITY/CLASS/")
        self.arrays = {path.stem: path for path in self.folder.glob("*.npy") if path.name != LABELS}
        self.folders = {} if self.arrays else self._kind_folders()
        self.kinds = sorted(self.arrays or self.folders)
        if not self.kinds:
            fact = "no corrupted pictures"
            raise InputError(
                f"{self.folder}: {fact}; they stand as KIND.npy and labels.npy, or as KIND/SEVERITY/CLASS/"
            )
        self.labels = self._labels() if self.arrays else None

    def severities(self, kind: str) -> tuple[int, ...]:
        """The severities of a kind that are there."""
        if self.arrays:
            return SEVERITIES
        return tuple(s for s in SEVERITIES if (self.folders[kind] / str(s)).is_dir())

    def pictures(self, kind: str, severity: int) -> LabelledPictures:
        """The pictures of a kind and a severity, opened when they are asked for.  Raises InputError."""
        if not self.arrays:
            return read_labelled(self.folders[kind] / str(severity), checked=False, **self.reading)
        file = self.arrays[kind]
        pictures, labels = _loaded(file), self.labels
        assert labels is not None
        if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[3] != 3 or len(pictures) % 5:
            fact = f"{pictures.dtype} {pictures.shape}; five severities of as many pictures are needed"
            raise InputError(f"{file}: {fact}, uint8 (5 N, H, W, 3); download it again")
        count = len(pictures) // 5
        if len(labels) not in (count, 5 * count):
            fact = f"{len(labels):,} labels for {len(pictures):,} pictures of {file.name}"
            raise InputError(f"{self.folder / LABELS}: {fact}; download both again")
        at = np.arange((severity - 1) * count, severity * count)
        own = labels[at] if len(labels) > count else labels
        classes = [str(i) for i in range(int(labels.max()) + 1)]
        names = [f"{i}" for i in range(count)]
        return LabelledPictures(classes, torch.from_numpy(own), names, pictures, at, f"{file}, severity {severity}")

    def _labels(self) -> np.ndarray:
        file = self.folder / LABELS
        if not file.is_file():
            raise InputError(f"{file}: no such file, and the arrays beside it need it; download it too")
        labels = _loaded(file)
        if labels.ndim != 1 or labels.dtype.kind not in "iu" or not len(labels) or labels.min() < 0:
            fact = f"labels are {labels.dtype} {labels.shape}"
            raise InputError(f"{file}: {fact}; they must be whole numbers (N,) that count from 0; download it again")
        return np.array(labels, np.int64)

    def _kind_folders(self) -> dict[str, Path]:
        """The folders of the kinds, here or in a folder of a category."""
        inside = [path for path in self.folder.iterdir() if path.is_dir()]
        found = [path for path in inside if _has_severities(path)]
        found += [
            path for category in inside if category not in found for path in category.iterdir() if _has_severities(path)
        ]
        return {path.name: path for path in found}


def _has_severities(folder: Path) -> bool:
    return folder.is_dir() and any((folder / str(severity)).is_dir() for severity in SEVERITIES)


def _loaded(file: Path) -> np.ndarray:
    """The array of a file, which stays on disk.  Raises InputError."""
    try:
        return np.load(file, mmap_mode="r")
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{file}: no NumPy array of numbers that can be read; download it again") from error
