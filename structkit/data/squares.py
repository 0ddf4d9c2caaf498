"""The squares that networks see, made of pictures of any shape, and the way back.

squash: the whole picture, its aspect changed (Mokady et al., ICLR 2020).
crop: the square in its middle (Press et al., ICLR 2019; Benaim et al., ICCV 2019).
The published resizing is bilinear without antialias; here it is `kernels.pyramid.resize`.
Laws: constants stay; mirroring commutes; a smooth picture comes back as it was; the crop of a square is its squash; by
strips the values are bit for bit the same as at once.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from structkit.errors import OptionError
from structkit.kernels.pyramid import Shape, resize

FITS = ("squash", "crop")
STRIP = 2**20  # pixels of a strip, about: a large picture takes no more memory as a tensor
LEAST_COLUMNS = 16  # of a strip; of one column PyTorch's resampling (2.14) gives wrong values


def to_square(images: Tensor, size: int, fit: str) -> Tensor:
    """Squares (B, 3, size, size) in [-1, 1] of images (B, 3, H, W) in [-1, 1]; differentiable.

    Raises OptionError for an unknown fit.
    """
    top, left, height, width = window(images.shape[-2:], fit)
    return resize(images[..., top : top + height, left : left + width], (size, size)).clamp(-1, 1)


def to_square_by_rows(rows: Callable[[slice], Tensor], shape: Shape, size: int, fit: str) -> Tensor:
    """The `to_square` of one large picture, bit for bit, in the memory of a strip.

    rows: gives some rows of the picture, (1, 3, h, W) in [-1, 1].
    """
    top, left, height, width = window(shape, fit)
    parts = row_strips(height, shape[1])
    if len(parts) == 1:
        return to_square(rows(slice(0, shape[0])), size, fit)
    # Columns are resampled after rows, and each by itself.  What stays is taken beforehand: behind something small that
    # stays the memory of a strip is not used again.
    narrow = torch.empty(1, 3, height, size)
    for part in parts:
        seen = rows(slice(top + part.start, top + part.stop))[..., left : left + width]
        narrow[:, :, part] = resize(seen, (seen.shape[-2], size))
        del seen
    return resize(narrow, (size, size)).clamp(-1, 1)


def from_square(fields: Tensor, shape: Shape, fit: str) -> Tensor:
    """Fields of pictures, such as masks and colours, (B, C, *shape), from those of their squares, (B, C, S, S).

    The inverse of `to_square`; exactly 0 outside the crop.  Cubic, and so a few percent over the range of the fields
    beside sharp edges: a caller who needs a range clamps.
    Raises OptionError.
    """
    top, left, height, width = window(shape, fit)
    below, right = shape[0] - top - height, shape[1] - left - width
    return F.pad(resize(fields, (height, width)), (left, right, top, below))


class LargeFields:
    """Fields of squares at the resolution of a large picture, by columns: `from_square`, bit for bit.

    strips: the columns that make up the picture, each strip of about STRIP pixels.
    """

    def __init__(self, fields: Tensor, shape: Shape, fit: str) -> None:
        """fields: (B, C, S, S).  Raises OptionError."""
        self.fields, self.shape, self.fit = fields, shape, fit
        self.strips = strips(shape[1], max(LEAST_COLUMNS, STRIP // shape[0]))
        _, _, _, width = window(shape, fit)
        at_once = len(self.strips) == 1 or width == 1
        self._wide = None if at_once else resize(fields, (fields.shape[-2], width))

    def columns(self, where: slice, channels: slice = slice(None)) -> Tensor:
        """Some columns of the fields, (B, C, H, w).  where: one of the strips."""
        if self._wide is None:
            return from_square(self.fields[:, channels], self.shape, self.fit)[..., where]
        top, left, height, width = window(self.shape, self.fit)
        first, last = (min(max(end - left, 0), width) for end in (where.start, where.stop))
        before, behind = left + first - where.start, where.stop - left - last
        below = self.shape[0] - top - height
        if first == last:
            return self._wide.new_zeros(*self._wide[:, channels].shape[:2], self.shape[0], where.stop - where.start)
        # Two columns for one: see LEAST_COLUMNS.
        start, stop = (first, last) if last - first > 1 else (max(0, last - 2), max(2, last))
        found = resize(self._wide[:, channels, :, start:stop], (height, stop - start))[..., first - start :]
        return F.pad(found[..., : last - first], (before, behind, top, below))


def row_strips(height: int, width: int) -> list[slice]:
    """The rows that make up a picture, each strip of at most STRIP pixels, or of one row."""
    return strips(height, max(1, STRIP // width))


def strips(length: int, most: int) -> list[slice]:
    """The parts of a side of `length` px: as few as can be of at most `most` px each, and as even as can be."""
    count = -(-length // most)
    return [slice(*ends) for ends in pairwise(length * i // count for i in range(count + 1))]


def window(shape: Shape, fit: str) -> tuple[int, int, int, int]:
    """The part of a picture that is seen: top, left, height and width, px.

    Where the square cannot lie exactly in the middle the crop takes one more row or column: published, it is off by
    half a pixel, and the mirrored picture gives another crop.
    """
    if fit not in FITS:
        raise OptionError(f"--fit is {fit!r}: choose one of {', '.join(FITS)}")
    height, width = (side if fit == "squash" else min(shape) + (side - min(shape)) % 2 for side in shape)
    return (shape[0] - height) // 2, (shape[1] - width) // 2, height, width
