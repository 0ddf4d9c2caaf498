"""The squares that networks see, made of pictures of any shape, and the way back.

squash: the whole picture, its aspect changed (Mokady et al., ICLR 2020).
crop: the square in its middle (Press et al., ICLR 2019; Benaim et al., ICCV 2019).
The published resizing is bilinear without antialias; here it is `kernels.pyramid.resize`.
Laws: constants stay; mirroring commutes; a smooth picture comes back as it was; the crop of a square is its squash.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from structkit.errors import OptionError
from structkit.kernels.pyramid import Shape, resize

FITS = ("squash", "crop")


def to_square(images: Tensor, size: int, fit: str) -> Tensor:
    """Squares (B, 3, size, size) in [-1, 1] of images (B, 3, H, W) in [-1, 1]; differentiable.

    Raises OptionError for an unknown fit.
    """
    top, left, height, width = window(images.shape[-2:], fit)
    return resize(images[..., top : top + height, left : left + width], (size, size)).clamp(-1, 1)


def from_square(fields: Tensor, shape: Shape, fit: str) -> Tensor:
    """Fields (B, C, *shape) of those of squares (B, C, S, S), such as masks and colours: the way back of `to_square`;
    exactly 0 outside the crop.

    The inverse of `to_square`; exactly 0 outside the crop.  Cubic, and so a few percent over the range of the fields
    beside sharp edges: a caller who needs a range clamps.
    Raises OptionError.
    """
    top, left, height, width = window(shape, fit)
    below, right = shape[0] - top - height, shape[1] - left - width
    return F.pad(resize(fields, (height, width)), (left, right, top, below))


def window(shape: Shape, fit: str) -> tuple[int, int, int, int]:
    """The part of a picture that is seen: top, left, height and width, px.

    Where the square cannot lie exactly in the middle the crop takes one more row or column: published, it is off by
    half a pixel, and the mirrored picture gives another crop.
    """
    if fit not in FITS:
        raise OptionError(f"--fit is {fit!r}: choose one of {', '.join(FITS)}")
    height, width = (side if fit == "squash" else min(shape) + (side - min(shape)) % 2 for side in shape)
    return (shape[0] - height) // 2, (shape[1] - width) // 2, height, width
