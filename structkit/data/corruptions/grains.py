"""Grains of a picture: the cells that noise and glass see as one; pixels, up to 224 px."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from structkit.data.corruptions.tables import grain_of


@dataclass(frozen=True)
class GrainGrid:
    """The grains of a picture (h, w).

    size: the side of a grain, px, at least 1.
    rows, columns: the grain that each row and each column of the picture lies in.
    """

    size: float
    rows: np.ndarray
    columns: np.ndarray

    @classmethod
    def of(cls, shape: tuple[int, int]) -> GrainGrid:
        """The grains of a picture of this shape: 224 along its short side, or as many as it has px."""
        size = grain_of(min(shape))
        rows, columns = (np.floor(np.arange(side) / size + 1e-9).astype(np.int64) for side in shape)
        return cls(size, rows, columns)

    @property
    def shape(self) -> tuple[int, int]:
        """The number of grains down and across."""
        return int(self.rows[-1]) + 1, int(self.columns[-1]) + 1

    @property
    def is_fine(self) -> bool:
        """True if each grain is a pixel."""
        return self.size == 1

    def spread(self, values: np.ndarray) -> np.ndarray:
        """The values of grains, (N, *self.shape, C), as those of their pixels, (N, h, w, C)."""
        return values if self.is_fine else values[:, self.rows][:, :, self.columns]

    def means(self, x: np.ndarray) -> np.ndarray:
        """The mean of the pixels (N, h, w, C) of each grain, (N, *self.shape, C)."""
        if self.is_fine:
            return x
        for axis, line in ((1, self.rows), (2, self.columns)):
            starts, counts = np.unique(line, return_index=True, return_counts=True)[1:]
            x = np.add.reduceat(x, starts, axis, dtype=np.float32)
            x /= counts.astype(np.float32).reshape([-1 if i == axis else 1 for i in range(x.ndim)])
        return x

    def moved(self, source: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The row and the column, (N, h, w) each, of the pixel that each pixel comes from.

        source: (N, *self.shape) the grain that each grain comes from, counted in raster order, of each picture anew.
        """
        height, width = self.shape
        down, along = source // width - np.arange(height)[:, None], source % width - np.arange(width)
        moves = np.stack([down, along], -1)
        if not self.is_fine:
            moves = np.floor(self.spread(moves) * self.size + 0.5).astype(np.int64)
        rows, columns = np.arange(len(self.rows))[:, None] + moves[..., 0], np.arange(len(self.columns)) + moves[..., 1]
        return rows.clip(0, len(self.rows) - 1), columns.clip(0, len(self.columns) - 1)
