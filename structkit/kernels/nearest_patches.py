"""Exact nearest patches: for each query the key with the smallest weighted distance, without the N x M matrix.

What: argmin_j weights[j] * |queries[i] - keys[j]|^2, as in GPNN (Granot et al., CVPR 2022, sec. 3.2), whose completeness score is
a weight per key.
Laws: the answer is that of the reference (ties to the lowest index) for any tile size and number of threads.
How, on CPU: patches rounded to 8 bits give all distances as integer matrix products, a quarter of the cost of float32.  They
are kept only as one minimum per block of keys.  The triangle inequality, with the known rounding error of every patch, then
leaves a few blocks per query that can hold the nearest key, and these are compared in float32.  Rounding thus costs time where
it is coarse (two blocks per query on photographs, ninety on noiseless gradients), never exactness.
Measured: tests/benchmarks/nearest_patches.csv.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from structkit.errors import InputError, OptionError
from structkit.kernels.patches import Nearest

BLOCK = 32  # keys that share one entry of the screen
ROWS, TILE = 512, 1024  # queries and keys per matrix product, TILE a multiple of BLOCK: larger ones leave the cache
SCREEN = 2**23  # entries of the screen held at a time (32 MB)
PAIRS = 512  # (query, block) pairs compared at a time: 10 MB at D = 147


def nearest_patches(queries: Tensor, keys: Tensor, *, weights: Tensor | None = None) -> Nearest:
    """Index and mean squared distance of each query's nearest key.

    queries (N, D), keys (M, D) float32; weights (M,) not negative, multiply the distances to a key (bidirectional similarity), but
    not the distance returned.  Memory beyond the inputs: O(N + M) and a constant.  Ties go to the lowest index.
    Raises InputError for values that are not finite, OptionError for shapes that do not match.
    """
    _check(queries, keys, weights)
    with torch.no_grad():
        if queries.device.type == "cuda":
            from structkit.kernels.nearest_patches_triton import nearest_index

            index = nearest_index(queries, keys, weights)
        else:
            index = _nearest_index(queries, keys, weights)
        return Nearest(index, _distance(queries, keys, index))


def nearest_patches_reference(queries: Tensor, keys: Tensor, *, weights: Tensor | None = None) -> Nearest:
    """The same with the whole (N, M, D) table of differences in float64."""
    distance = (queries.double()[:, None] - keys.double()).square().mean(2)
    index = (distance if weights is None else distance * weights.double()).argmin(1)
    return Nearest(index, distance.gather(1, index[:, None])[:, 0].float())


class _Codes:
    """Rows of a patch table in 8 bits: row = step * (codes + 0.5) + centre, up to `error`, the norm of the remainder in steps."""

    def __init__(self, rows: Tensor, centre: float, step: float) -> None:
        exact = (rows - centre) / step - 0.5
        rounded = exact.round().clamp_(-128, 127)
        # The second term bounds the rounding of `exact` itself in float32.
        self.error = (exact - rounded).norm(dim=1) + 1e-5 * math.sqrt(rows.shape[1])
        self.squares = rounded.square().sum(1, dtype=torch.float64).int()
        width = -(-rows.shape[1] // 32) * 32  # the products run at half speed for other widths
        self.codes = torch.zeros(len(rows), width, dtype=torch.int8)
        self.codes[:, : rows.shape[1]] = rounded


def _nearest_index(queries: Tensor, keys: Tensor, weights: Tensor | None) -> Tensor:
    centre, step = _scale(queries, keys)
    roots = torch.ones(len(keys)) if weights is None else weights.float().sqrt()
    padding = -len(keys) % TILE
    order = torch.arange(len(keys) + padding).clamp_(max=len(keys) - 1)  # padded with copies of the last key, which never win
    # Within a tile, entry e of block b stands in column e * (TILE / BLOCK) + b: the minimum over e then reads whole cache lines.
    order = order.reshape(-1, TILE // BLOCK, BLOCK).transpose(1, 2).reshape(-1)
    codes = _Codes(keys[order], centre, step)
    by_block = lambda column: column.reshape(-1, BLOCK, TILE // BLOCK).amax(1).reshape(-1)  # noqa: E731
    slack, steepest = by_block(codes.error * roots[order]), by_block(roots[order])
    blocks = len(slack)
    index = torch.empty(len(queries), dtype=torch.int64)
    rows = max(64, min(ROWS, SCREEN // blocks))
    for start in range(0, len(queries), rows):
        part = queries[start : start + rows]
        mine = _Codes(part, centre, step)
        low = _screen(mine, codes, None if weights is None else weights[order].float())
        # |q - k| >= |coded q - coded k| - error of q - error of k; a block's bound is that of its worst key.
        bound = low.sqrt_().mul_(1 - 1e-6).sub_(slack).addr_(mine.error, steepest, alpha=-1).clamp_(min=0)
        index[start : start + rows] = _compare(part, keys, weights, bound.mul_(step * (1 - 1e-5)))
    return index


def _scale(queries: Tensor, keys: Tensor) -> tuple[float, float]:
    """Centre and step of the 8-bit codes: the steps of an 8-bit picture in [-1, 1] where the values fit, else 255 of the range."""
    tables = [table for table in (queries, keys) if table.numel()]
    low, high = min(float(table.min()) for table in tables), max(float(table.max()) for table in tables)
    if low >= -1 and high <= 1:
        low, high = -1.0, 1.0
    return (low + high) / 2, (high - low) / 255 or 1.0


def _screen(queries: _Codes, keys: _Codes, weights: Tensor | None) -> Tensor:
    """(N, blocks) float32: minimum over each block of keys of weight * squared distance between codes."""
    n, tiles = len(queries.codes), len(keys.codes) // TILE
    low = torch.empty(n, tiles, TILE // BLOCK)
    product = torch.empty(n, TILE, dtype=torch.int32)
    scores = product if weights is None else torch.empty(n, TILE)
    for tile in range(tiles):
        own = slice(tile * TILE, (tile + 1) * TILE)
        torch._int_mm(queries.codes, keys.codes[own].T, out=product)
        torch.sub(keys.squares[own], product, alpha=2, out=product)
        if weights is None:  # the squared norm of the query shifts a whole row: added last
            low[:, tile] = product.view(n, BLOCK, -1).amin(1)
        else:
            scores.copy_(product.add_(queries.squares[:, None])).mul_(weights[own])
            low[:, tile] = scores.view(n, BLOCK, -1).amin(1)
    low = low.reshape(n, -1)
    return low if weights is not None else low.add_(queries.squares[:, None])


def _compare(queries: Tensor, keys: Tensor, weights: Tensor | None, bound: Tensor) -> Tensor:
    """Index of the nearest key, given a lower bound (N, blocks) of the root of the weighted squared distance to each block."""
    first = bound.argmin(1)
    score, index = _best_of_blocks(queries, keys, weights, torch.arange(len(queries)), first)
    query, block = (bound < score.sqrt()[:, None]).nonzero().T
    others = block != first[query]
    query, block = query[others], block[others]
    other_score, other_index = _best_of_blocks(queries, keys, weights, query, block)
    best = score.scatter_reduce(0, query, other_score, "amin")
    index[score > best] = len(keys)
    wins = other_score == best[query]
    return index.scatter_reduce_(0, query[wins], other_index[wins], "amin")


def _best_of_blocks(queries: Tensor, keys: Tensor, weights: Tensor | None, query: Tensor, block: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted squared distance and index of the nearest key for each pair (query, block of keys)."""
    scores, indices = torch.empty(len(query)), torch.empty(len(query), dtype=torch.int64)
    for start in range(0, len(query), PAIRS):
        part = slice(start, start + PAIRS)
        members = (block[part, None] * BLOCK + torch.arange(BLOCK)).clamp_(max=len(keys) - 1)
        gathered = keys.index_select(0, members.reshape(-1)).view(*members.shape, -1)
        distance = gathered.sub_(queries[query[part], None]).square_().sum(2)
        score, column = (distance if weights is None else distance.mul_(weights[members])).min(1)
        scores[part], indices[part] = score, members.gather(1, column[:, None])[:, 0]
    return scores, indices


def _distance(queries: Tensor, keys: Tensor, index: Tensor) -> Tensor:
    """(N,) mean squared distance of each query to its key, 4096 rows at a time to bound memory."""
    parts = zip(queries.split(4096), index.split(4096), strict=True)
    return torch.cat([(q - keys[i]).square_().mean(1) for q, i in parts])


def _check(queries: Tensor, keys: Tensor, weights: Tensor | None) -> None:
    if queries.dim() != 2 or keys.dim() != 2 or queries.shape[1] != keys.shape[1] or not len(keys):
        raise OptionError(f"patches of shapes {tuple(queries.shape)} and {tuple(keys.shape)}: expected (N, D) and (M, D), M at least 1")
    if queries.shape[1] > 2**15:  # a squared distance of 8-bit codes must fit 31 bits
        raise OptionError(f"patches of {queries.shape[1]} values: at most {2**15} are supported, use a smaller patch")
    if weights is not None and weights.shape != (len(keys),):
        raise OptionError(f"{tuple(weights.shape)} weights for {len(keys)} keys: expected one per key")
    for name, values in (("queries", queries), ("keys", keys), ("weights", weights)):
        if values is not None and not values.isfinite().all():
            raise InputError(f"the {name} of a patch search hold values that are not finite")
    if weights is not None and bool((weights < 0).any()):
        raise OptionError("the weights of a patch search must not be negative")
