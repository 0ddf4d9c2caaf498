"""Exact nearest patches: for each query the key with the smallest (weighted) distance, without the N x M matrix."""

from __future__ import annotations

import torch
from torch import Tensor

from structkit.errors import InputError, OptionError
from structkit.kernels.patches import Nearest


def nearest_patches(queries: Tensor, keys: Tensor, *, weights: Tensor | None = None, precision: str = "auto") -> Nearest:
    """Index and mean squared distance of each query's nearest key: argmin_j weights[j] * mean((queries[i] - keys[j])^2).

    queries (N, D), keys (M, D) float32; weights (M,) positive, multiply the distances to a key (bidirectional similarity).
    Memory: O(N + M); the N x M matrix never exists.  Ties go to the lowest index.  Raises InputError for non-finite values.
    """
    _check(queries, keys, weights)
    index = torch.empty(len(queries), dtype=torch.int64, device=queries.device)
    for start in range(0, len(queries), 1024):
        rows = queries[start : start + 1024]
        best = torch.full((len(rows),), torch.inf, device=queries.device)
        for first in range(0, len(keys), 4096):
            tile = keys[first : first + 4096]
            score = rows.square().sum(1, keepdim=True) + tile.square().sum(1) - 2 * rows @ tile.T
            if weights is not None:
                score = score * weights[first : first + 4096]
            low = score.amin(1)
            better = low < best
            index[start : start + 1024][better] = score[better].argmin(1) + first
            best = torch.minimum(best, low)
    return Nearest(index, (queries - keys[index]).square().mean(1))


def nearest_patches_reference(queries: Tensor, keys: Tensor, *, weights: Tensor | None = None) -> Nearest:
    """The same with the whole N x M matrix in float64."""
    distance = (queries.double()[:, None] - keys.double()).square().mean(2)
    score = distance if weights is None else distance * weights.double()
    index = score.argmin(1)
    return Nearest(index, distance.gather(1, index[:, None])[:, 0].float())


def _check(queries: Tensor, keys: Tensor, weights: Tensor | None) -> None:
    if queries.dim() != 2 or keys.dim() != 2 or queries.shape[1] != keys.shape[1] or not len(keys):
        raise OptionError(f"patches of shapes {tuple(queries.shape)} and {tuple(keys.shape)}: expected (N, D) and (M, D), M at least 1")
    if weights is not None and weights.shape != (len(keys),):
        raise OptionError(f"{tuple(weights.shape)} weights for {len(keys)} keys: expected one per key")
    for name, values in (("queries", queries), ("keys", keys), ("weights", weights)):
        if values is not None and not values.isfinite().all():
            raise InputError(f"the {name} of a patch search hold values that are not finite")
