"""Pictures <-> tensors: the one place where levels become numbers in [-1, 1] and back."""

from collections.abc import Iterable
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from structkit.errors import InputError, OptionError, StructkitError
from structkit.media.exif import Metadata
from structkit.media.pictures import Picture
from structkit.media.sixteen import at_bits


def to_range(unit: Tensor) -> Tensor:
    """The range of pixels inside engines: [0, 1] -> [-1, 1]."""
    return unit * 2 - 1


def from_range(signed: Tensor) -> Tensor:
    """The inverse of `to_range`: [-1, 1] -> [0, 1]."""
    return (signed + 1) / 2


def to_tensor(picture: Picture) -> Tensor:
    """The colours of a picture, (1, 3, H, W) float32 in [-1, 1].  Alpha is left out: see `alpha_to_tensor`."""
    return to_range(_unit(picture.pixels)).permute(2, 0, 1)[None].contiguous()


def alpha_to_tensor(picture: Picture) -> Tensor:
    """The alpha of a picture, (1, 1, H, W) float32 in [0, 1]: a weight, not a colour.

    Ones where the picture has none.
    """
    if picture.alpha is None:
        return torch.ones(1, 1, picture.height, picture.width)
    return _unit(picture.alpha)[None, None]


def filled(picture: Picture) -> Tensor:
    """The colours of a picture, (1, 3, H, W) in [-1, 1], with the mean of what is seen where nothing is seen.

    So hidden colours never show.
    Raises InputError where nothing is seen at all.
    """
    colours = to_tensor(picture)
    if picture.alpha is None:
        return colours
    return laid_over(colours, alpha_to_tensor(picture), mean_seen([picture]))


def mean_seen(parts: Iterable[Picture]) -> Tensor:
    """The mean of the colours that are seen, (1, 3, 1, 1) in [-1, 1], of a picture in parts.

    Sums of several parts are added in float64.
    Raises InputError where nothing is seen at all.
    """
    shown, total, weight = False, torch.zeros(1, 3, 1, 1, dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for picture in parts:
        alpha = alpha_to_tensor(picture)
        shown = shown or bool((alpha > 0.5).any())
        total += (to_tensor(picture) * alpha).sum((2, 3), keepdim=True)
        weight += alpha.sum()
    if not shown:
        raise InputError(f"{picture.name}: every pixel is transparent, there is nothing to see: use another picture")
    return total.float() / weight.float()


def laid_over(colours: Tensor, alpha: Tensor, background: Tensor) -> Tensor:
    """Colours (1, 3, H, W) over a background, as far as alpha (1, 1, H, W) lets it show."""
    return background + alpha * (colours - background)


def from_tensor(
    tensor: Tensor,
    *,
    alpha: Tensor | np.ndarray | None = None,
    bits: Literal[8, 16] = 8,
    name: str = "picture",
    notes: tuple[str, ...] = (),
    metadata: Metadata = Metadata(),
) -> Picture:
    """A picture from (1, 3, H, W) or (3, H, W) in [-1, 1]; values outside are clamped, halves round up.

    alpha: (1, 1, H, W) or (H, W) in [0, 1], or a picture's own alpha array, taken over at `bits`.
    `from_tensor(to_tensor(p), bits=p.bits)` has p's pixels, level for level.
    Raises StructkitError for NaN or infinity, OptionError for a shape or `bits` that a picture cannot have.
    """
    if bits not in (8, 16):
        raise OptionError(f"{name}: bits {bits}; a picture has 8 or 16 bits a channel")
    if tensor.ndim not in (3, 4) or tensor.shape[-3] != 3 or (tensor.ndim == 4 and len(tensor) != 1):
        raise OptionError(f"{name}: a tensor of shape {tuple(tensor.shape)}; a picture is (1, 3, H, W) or (3, H, W)")
    planes = tensor.detach().reshape(tensor.shape[-3:])
    pixels = np.stack([_levels(plane, bits, name, from_range) for plane in planes], -1)
    if isinstance(alpha, Tensor):
        alpha = _levels(alpha.detach().reshape(tensor.shape[-2:]), bits, name)
    return Picture(pixels, None if alpha is None else at_bits(alpha, bits), name, notes, metadata)


def _unit(levels: np.ndarray) -> Tensor:
    """The levels as float32 in [0, 1]."""
    return torch.from_numpy(levels.astype(np.float32) / np.float32(np.iinfo(levels.dtype).max))


def _levels(plane: Tensor, bits: int, name: str, to_unit=lambda plane: plane) -> np.ndarray:
    """The levels of a plane, (H, W).

    In float64: there `x + 0.5` is exact enough that a value just below a half stays below.
    """
    bad = int((~plane.isfinite()).sum())
    if bad:
        raise StructkitError(
            f"{name}: {bad} of {plane.numel()} values are not finite; check the model's weights; no picture is made of "
            "them"
        )
    top = 2**bits - 1
    levels = (to_unit(plane.cpu().double()) * top).clamp(0, top).add(0.5).floor()
    return levels.numpy().astype(np.uint8 if bits == 8 else np.uint16)
