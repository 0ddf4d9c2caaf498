"""Measures of structure: is a picture laid out like another one, and made of the patches of a third?

Measures for pictures (1, 3, H, W) in [-1, 1].  None of them cares which colours stand for which: that is what an
analogy changes.  They are meant for small pictures (about 64 px), where layout is decided; there they order results as
slower measures do.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from structkit.kernels.nearest_patches import nearest_patches
from structkit.kernels.patches import extract

STANDING_OUT = ((5, 15), (9, 27))  # px: sides of what is seen as a part, and of what it stands out from


def explained_structure(source: Tensor, result: Tensor) -> float:
    """The share of the variance of the source's smoothed colours that the result's colours and texture explain, 0 .. 1.

    A quadratic regression at equal positions; pictures of equal size.
    """
    grey = result.mean(1, keepdim=True)
    texture = (_smooth(grey.square(), 7) - _smooth(grey, 7).square()).clamp_min(0).sqrt()
    told = torch.cat([_smooth(result, 5), texture], 1).flatten(2)[0].T.double()
    told = torch.cat([told, told.square(), torch.ones_like(told[:, :1])], 1)
    wanted = _smooth(source, 5).flatten(2)[0].T.double()
    wanted = wanted - wanted.mean(0)
    # A ridge keeps the answer defined where the result is flat.
    gram = told.T @ told + 1e-6 * len(told) * torch.eye(told.shape[1], dtype=told.dtype, device=told.device)
    left = wanted - told @ torch.linalg.solve(gram, told.T @ wanted)
    return 1 - float(left.square().sum() / wanted.square().sum().clamp_min(1e-12))


def edge_agreement(source: Tensor, result: Tensor) -> float:
    """The agreement of local edge directions, -1 .. 1, weighted by the strength of the edges in both pictures.

    Pictures of equal size.
    """
    a, b = _double_angle(source), _double_angle(result)
    strength_a, strength_b = a.norm(dim=1), b.norm(dim=1)
    weight = (strength_a * strength_b).sqrt()
    cosine = (a * b).sum(1) / (strength_a * strength_b).clamp_min(1e-12)
    return float((weight * cosine).sum() / weight.sum().clamp_min(1e-12))


def contrast_agreement(source: Tensor, result: Tensor) -> float:
    """The agreement of where contrast stands out from what is around it, 0 .. 1, whatever its colours are.

    Small parts count as large ones do: eyes in a face, boats on a lake.  Pictures of equal size.
    """
    found = []
    for near, around in STANDING_OUT:
        a, b = (_standing_out(picture, near, around) for picture in (source, result))
        found.append(float((a * b).sum() / (a.norm() * b.norm()).clamp_min(1e-9)))
    return sum(found) / len(found)


def _standing_out(picture: Tensor, near: int, around: int) -> Tensor:
    """The contrast (1, 1, h, w) to means over `near` px, where it is more than the mean of that over `around` px."""
    contrast = _smooth((picture - _smooth(picture, near)).square().sum(1, keepdim=True), 3).sqrt()
    return (contrast - _smooth(contrast, around)).clamp_min(0)


def patch_distance(picture: Tensor, target: Tensor, *, patch: int = 7) -> float:
    """The mean root mean squared distance of the picture's patches to the nearest patch of the target.

    Sizes may differ.
    """
    return float(nearest_patches(extract(picture[0], patch), extract(target[0], patch)).distance.sqrt().mean())


def _double_angle(picture: Tensor) -> Tensor:
    """The smoothed structure tensor as (1, 2, h, w): direction at twice its angle, so that opposite gradients agree."""
    grey = _smooth(picture.mean(1, keepdim=True), 3)
    across, down = grey[..., 1:-1, 2:] - grey[..., 1:-1, :-2], grey[..., 2:, 1:-1] - grey[..., :-2, 1:-1]
    return _smooth(torch.cat([across.square() - down.square(), 2 * across * down], 1), 7)


def _smooth(x: Tensor, side: int) -> Tensor:
    return F.avg_pool2d(F.pad(x, (side // 2,) * 4, mode="replicate"), side, 1)
