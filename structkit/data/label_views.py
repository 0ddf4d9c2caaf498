"""Views of pictures and of their labels: scaled, cut, mirrored alike, and the pictures in other colours, or blurred.

Each view is decided by numbers in [0, 1) that the caller draws, so that processes that draw alike see alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from structkit.data.label_maps import UNCOUNTED

PLACED, COLOURED, BLURRED = 4, 4, 2  # numbers that a view's place, its colours and its blur take
GREY = (0.299, 0.587, 0.114)  # luminance of red, green and blue
SIGMAS = 0.15, 1.15  # px, of a blur; half of the pictures have none


def placed(
    pictures: Tensor,
    labels: Tensor | None,
    numbers: Tensor,
    scales: tuple[float, float] = (0.5, 1.5),
    shape: tuple[int, int] | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Views of pictures (B, 3, h, w) in [0, 1] and their labels (B, h, w) uint8: scaled, cut, half of them mirrored.

    numbers: (B, 4).
    scales: bounds of the scale; the smallest shows most.
    shape: (height, width) of the views; None: that of the pictures.
    Beyond their edges pictures go on mirrored, and labels are UNCOUNTED.
    """
    mirrored, scale, x, y = numbers.float().unbind(1)
    low, high = scales
    height, width = shape or pictures.shape[-2:]
    zoom = low + (high - low) * scale
    wide, tall = width / pictures.shape[-1] / zoom, height / pictures.shape[-2] / zoom  # in units of the picture
    middle = torch.stack([(2 * x - 1) * (1 - wide).abs(), (2 * y - 1) * (1 - tall).abs()], 1)
    affine = torch.zeros(len(numbers), 2, 3, device=pictures.device)
    affine[:, 0, 0] = torch.where(mirrored < 0.5, -wide, wide)
    affine[:, 1, 1], affine[:, :, 2] = tall, middle
    grid = F.affine_grid(affine, [len(numbers), 1, height, width], align_corners=False)
    views = F.grid_sample(pictures, grid, "bilinear", "reflection", align_corners=False)
    if labels is None:
        return views, None
    # 0 is what grid_sample gives beyond the edges: the classes are counted from 1 in it.
    inner = ((labels.float() + 1) % (UNCOUNTED + 1))[:, None]
    found = F.grid_sample(inner, grid, "nearest", "zeros", align_corners=False)[:, 0]
    return views, torch.where(found == 0, UNCOUNTED, found - 1).to(torch.uint8)


def coloured(pictures: Tensor, numbers: Tensor, strengths: Sequence[float]) -> Tensor:
    """Pictures (B, 3, h, w) in [0, 1] in other colours: brightness, contrast, saturation and hue are changed.

    numbers: (B, 4).
    strengths: how much each of them may change: factors in 1 - s .. 1 + s, and hues by -s .. s turns.
    """
    brightness, contrast, saturation, hue = (
        strength * (2 * number - 1)[:, None, None, None]
        for strength, number in zip(strengths, numbers.float().unbind(1), strict=True)
    )
    weights = torch.tensor(GREY, device=pictures.device)[:, None, None]
    views = pictures * (1 + brightness)
    views = views.lerp((views * weights).sum(1, keepdim=True).mean((2, 3), keepdim=True).expand_as(views), -contrast)
    grey = (views * weights).sum(1, keepdim=True)
    views = grey + (1 + saturation) * _turned(views - grey, 2 * torch.pi * hue)
    return views.clamp(0, 1)


def _turned(colours: Tensor, angles: Tensor) -> Tensor:
    """Colours (B, 3, h, w) turned around the axis of greys by angles (B, 1, 1, 1)."""
    cosine, sine = angles.cos(), angles.sin() / 3**0.5
    red, green, blue = colours.split(1, 1)
    mean = (red + green + blue) / 3 * (1 - cosine)
    return torch.cat(
        [
            cosine * own + mean + sine * (one - other)
            for own, one, other in ((red, blue, green), (green, red, blue), (blue, green, red))
        ],
        1,
    )


def blurred(pictures: Tensor, numbers: Tensor) -> Tensor:
    """Pictures (B, 3, h, w), half of them blurred by a Gaussian of SIGMAS.

    numbers: (B, 2): whether, and how much.
    """
    low, high = SIGMAS
    sigma = low + (high - low) * numbers[:, 1].float()
    offsets = torch.arange(-4, 5, device=pictures.device)
    kernels = torch.softmax(-(offsets**2) / (2 * sigma[:, None] ** 2), 1)  # (B, 9)
    kernels = torch.where(numbers[:, :1] < 0.5, kernels, (offsets == 0).float()).repeat_interleave(3, 0)[:, None]
    flat = F.pad(pictures.flatten(0, 1)[None], (4, 4, 4, 4), mode="replicate")
    rows = F.conv2d(flat, kernels[..., None, :], groups=flat.shape[1])
    return F.conv2d(rows, kernels[..., None], groups=flat.shape[1])[0].unflatten(0, pictures.shape[:2])
