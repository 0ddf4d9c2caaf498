"""Voting: a picture from patches, each pixel the mean of all patch values that cover it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from structkit.errors import OptionError
from structkit.kernels.patches import extract, patch_grid, patch_sides

Window = Literal["gaussian"] | None


def vote(values: Tensor, index: Tensor, query_grid: Sequence[int], *, patch: int | Sequence[int], window: Window = None) -> Tensor:
    """values (C, *space), index (N,) into its patch grid, one per position of `query_grid` -> (C, *(query_grid + patch - 1))."""
    sides = patch_sides(patch, values.dim() - 1)
    source = patch_grid(values.shape[1:], sides)
    if index.numel() != math.prod(query_grid):
        raise OptionError(f"{index.numel()} indices for a grid of {tuple(query_grid)} patches: expected one per patch")
    weights = patch_window(sides, window).to(values)
    position = torch.unravel_index(index.reshape(tuple(query_grid)), source)
    total = values.new_zeros(values.shape[0], *(g + p - 1 for g, p in zip(query_grid, sides, strict=True)))
    norm = torch.zeros_like(total[:1])
    for offset in itertools.product(*(range(side) for side in sides)):
        covered = (slice(None), *(slice(o, o + g) for o, g in zip(offset, query_grid, strict=True)))
        picked = values[(slice(None), *(at + o for at, o in zip(position, offset, strict=True)))]
        total[covered] += picked * weights[offset]
        norm[covered] += weights[offset]
    return total / norm


def vote_reference(values: Tensor, index: Tensor, query_grid: Sequence[int], *, patch: int, window: Window = None) -> Tensor:
    """The same for pictures by folding an (N, D) table of patches."""
    weights = patch_window((patch, patch), window).to(values).reshape(-1)
    size = tuple(g + patch - 1 for g in query_grid)
    rows = extract(values, patch)[index.reshape(-1)].T * weights.repeat(values.shape[0])[:, None]
    norm = F.fold(weights[:, None].expand(-1, rows.shape[1])[None], size, patch)
    return (F.fold(rows[None], size, patch) / norm)[0]


def patch_window(sides: Sequence[int], window: Window) -> Tensor:
    """Weight of each patch value in the vote, shape `sides`: 1, or a Gaussian of sigma 1.7 half-patches per axis."""
    if window not in (None, "gaussian"):
        raise OptionError(f"vote window is {window!r}: choose None or 'gaussian'")
    result = torch.ones(tuple(sides))
    for axis, side in enumerate(sides):
        profile = torch.exp(-0.5 * (torch.linspace(-1, 1, side) / 1.7) ** 2) if window else torch.ones(side)
        result = result * profile.reshape(-1, *(1,) * (len(sides) - axis - 1))
    return result
