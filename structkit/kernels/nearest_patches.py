"""Exact nearest patches: for each query the key with the smallest weighted distance, without the N x M matrix.

What: argmin_j weights[j] * |queries[i] - keys[j]|^2, as in GPNN (Granot et al., CVPR 2022, sec. 3.2), whose completeness score is
a weight per key.
Laws: the answer is that of the reference (ties to the lowest index) for any tile size and number of threads.
How, on CPU: patches rounded to 8 bits give all distances as integer matrix products, a quarter of the cost of float32.  They
are kept only as one minimum per block of keys.  The triangle inequality, with the known rounding error of every patch, then
leaves a few blocks per query that can hold the nearest key (one to six of 1300 on photographs), and these are compared value by
value.  Where many are left (flat but grainy regions, white paper) the query is compared with all keys in float64 products.  Rounding thus
costs time, never exactness.
Measured: tests/benchmarks/nearest_patches.csv.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from structkit.errors import InputError, OptionError
from structkit.kernels.patches import Nearest

BLOCK = 32  # keys that share one entry of the screen
ROWS, TILE = 512, 1024  # queries and keys per matrix product, TILE a multiple of BLOCK: larger ones leave the cache
SCREEN = 2**22  # entries of the screen held at a time (16 MB)
FEW, PATIENCE = 8, 1 / 16  # blocks, and share of all blocks, up to which comparing is cheaper than a product in float64
ROWS_64, TILE_64 = 256, 2048  # queries and keys per product in float64
SAME = 1e-12
PAIRS = 512  # (query, block) pairs compared at a time: 10 MB at D = 147


def nearest_patches(queries: Tensor, keys: Tensor, *, weights: Tensor | None = None) -> Nearest:
    """Index and mean squared distance of each query's nearest key.

    queries (N, D), keys (M, D) float32; weights (M,) not negative, multiply the distances to a key (bidirectional similarity), but
    not the distance returned.  Memory beyond the inputs: O(N + M) and a constant.  Ties go to the lowest index.
    Raises InputError for values that are not finite, OptionError for shapes that do not match.
    """
    _check(queries, keys, weights)
    queries, keys = queries.float(), keys.float()
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


class _Screen8:
    """Lower bounds of the distances from products of patches rounded to 8 bits.

    row = step * (codes + 0.5) + centre, up to `error`, the norm of the remainder: |q - k| >= |coded q - coded k| - errors.
    The steps are those of an 8-bit picture in [-1, 1] where all values lie there, else 255 of their range: nothing is clipped.
    """

    dtype, multiply = torch.int32, staticmethod(torch._int_mm)

    def __init__(self, queries: Tensor, keys: Tensor) -> None:
        low, high = min(float(queries.min()), float(keys.min())), max(float(queries.max()), float(keys.max()))
        if low >= -1 and high <= 1:
            low, high = -1.0, 1.0
        self.centre, self.step = (low + high) / 2, (high - low) / 255 or 1.0

    def encode(self, rows: Tensor) -> _Table:
        exact = (rows - self.centre) / self.step - 0.5
        rounded = exact.round().clamp_(-128, 127)
        # The second term bounds the rounding of `exact` itself in float32.
        error = (exact - rounded).norm(dim=1) + 1e-5 * math.sqrt(rows.shape[1])
        codes = torch.zeros(len(rows), -(-rows.shape[1] // 32) * 32, dtype=torch.int8)  # other widths run at half the speed
        codes[:, : rows.shape[1]] = rounded
        return _Table(codes, rounded.square().sum(1, dtype=torch.float64).int(), error)

    def bound(self, low: Tensor, queries: _Table, slack: Tensor, steepest: Tensor) -> Tensor:
        return low.sqrt_().mul_(1 - 1e-6).sub_(slack).addr_(queries.error, steepest, alpha=-1).clamp_(min=0).mul_(self.step)

    def by_weight(self, weights: Tensor) -> Tensor:
        return weights.sqrt()


class _Table(NamedTuple):
    """Rows of patches for a screen: codes (N, K), their squared norms (N,), and bounds of their errors (N,)."""

    codes: Tensor
    squares: Tensor
    error: Tensor


def _nearest_index(queries: Tensor, keys: Tensor, weights: Tensor | None) -> Tensor:
    index = torch.empty(len(queries), dtype=torch.int64)
    weights = None if weights is None else weights.float()
    if not len(queries):
        return index
    hard = _search(_Screen8(queries, keys), queries, keys, weights, torch.arange(len(queries)), index)
    if len(hard):
        index[hard] = _nearest_in_float64(queries[hard], keys, weights)
    return index


def _nearest_in_float64(queries: Tensor, keys: Tensor, weights: Tensor | None) -> Tensor:
    """All distances in float64, by products: what remains where a screen cannot decide (paper, grain, many keys alike)."""
    centre = keys.mean(0, dtype=torch.float64)  # small numbers keep their digits
    offered = keys.double() - centre
    squares = offered.square().sum(1)
    index = torch.empty(len(queries), dtype=torch.int64)
    for rows in torch.arange(len(queries)).split(ROWS_64):
        own = queries[rows].double() - centre
        norms = own.square().sum(1, keepdim=True)
        least = torch.full((len(rows),), math.inf, dtype=torch.float64)
        for start in range(0, len(keys), TILE_64):
            part = slice(start, start + TILE_64)
            score = torch.addmm(squares[part], own, offered[part].T, alpha=-2).add_(norms).clamp_(min=0)
            if weights is not None:
                score.mul_(weights[part])
            # Equal keys may differ in the last digits of a product: within 1e-12 of the norms the lowest index wins.
            best = score.amin(1)
            found = (score <= (best + SAME * norms[:, 0])[:, None]).byte().argmax(1) + start
            better = best < least - SAME * norms[:, 0]
            index[rows] = torch.where(better, found, index[rows])
            least = torch.minimum(least, best)
    return index


def _search(
    screen: _Screen8,
    queries: Tensor,
    keys: Tensor,
    weights: Tensor | None,
    rows: Tensor,
    index: Tensor,
) -> Tensor:
    """Fill index[rows]; return those rows to which the screen leaves too many blocks."""
    # Padded with copies of the last key, which never win.  Within a tile, entry e of block b stands in column
    # e * (TILE / BLOCK) + b: the minimum over e then reads whole cache lines.
    order = torch.arange(-(-len(keys) // TILE) * TILE).clamp_(max=len(keys) - 1)
    order = order.reshape(-1, TILE // BLOCK, BLOCK).transpose(1, 2).reshape(-1)
    table = screen.encode(keys[order])
    factors = None if weights is None else weights[order]
    steepness = screen.by_weight(torch.ones(len(order)) if factors is None else factors)
    steepest, slack = (column.reshape(-1, BLOCK, TILE // BLOCK).amax(1).reshape(-1) for column in (steepness, steepness * table.error))
    most = max(FEW, PATIENCE * len(slack))
    hard = []
    for part in rows.split(max(64, min(ROWS, SCREEN // len(slack)))):
        own = screen.encode(queries[part])
        bound = screen.bound(_block_minima(screen, own, table, factors), own, slack, steepest)
        index[part], undecided = _compare(queries[part], keys, weights, bound.mul_(1 - 1e-5), most)
        hard.append(part[undecided])
    return torch.cat(hard)


def _block_minima(screen: _Screen8, queries: _Table, keys: _Table, weights: Tensor | None) -> Tensor:
    """(N, blocks) float32: minimum over each block of keys of weight * squared distance between codes."""
    n, tiles = len(queries.codes), len(keys.codes) // TILE
    low = torch.empty(n, tiles, TILE // BLOCK)
    product = torch.empty(n, TILE, dtype=screen.dtype)
    scores = product if weights is None else torch.empty(n, TILE)
    for tile in range(tiles):
        own = slice(tile * TILE, (tile + 1) * TILE)
        screen.multiply(queries.codes, keys.codes[own].T, out=product)
        torch.sub(keys.squares[own], product, alpha=2, out=product)
        if weights is not None:  # otherwise the squared norm of the query shifts a whole row, and is added last
            scores.copy_(product.add_(queries.squares[:, None])).mul_(weights[own])
        low[:, tile] = scores.view(n, BLOCK, -1).amin(1)
    low = low.reshape(n, -1)
    return low if weights is not None else low.add_(queries.squares[:, None])


def _compare(queries: Tensor, keys: Tensor, weights: Tensor | None, bound: Tensor, most: float) -> tuple[Tensor, Tensor]:
    """Index of the nearest key, given a lower bound (N, blocks) of the root of the weighted squared distance to each block.

    Also returns which queries (N,) have more than `most` blocks to look at: they are left undecided.
    """
    first = bound.argmin(1, keepdim=True)
    score, index = _best_of_blocks(queries, keys, weights, torch.arange(len(queries)), first[:, 0])
    possible = (bound < score.sqrt()[:, None]).scatter_(1, first, False)
    undecided = possible.sum(1) > most
    query, block = possible.logical_and_(~undecided[:, None]).nonzero().T
    other_score, other_index = _best_of_blocks(queries, keys, weights, query, block)
    best = score.scatter_reduce(0, query, other_score, "amin")
    index[score > best] = len(keys)
    wins = other_score == best[query]
    return index.scatter_reduce_(0, query[wins], other_index[wins], "amin"), undecided


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
