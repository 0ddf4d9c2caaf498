"""Exact nearest patches: for each query the key with the smallest weighted distance, without the N x M matrix.

What: argmin_j weights[j] * |queries[i] - keys[j]|^2, as in GPNN (Granot et al., CVPR 2022, sec. 3.2), whose
completeness score is a weight per key.
Laws: the answer is that of the reference for any tile size, number of threads and processor; of equally near keys, to
1e-12 of the query's squared contrast, it is the first.
How, on CPU: a screen gives lower bounds of all distances as float32 matrix products and keeps one minimum per block of
keys.  A few blocks per query can then hold the nearest key (one to four of 1300 on photographs), and these are compared
value by value.  Where many are left (flat but grainy regions, white paper) the query is compared with all keys in
float64 products.  The screen sees a patch as its leading principal components and the norm of what they leave: a third
of the numbers, so a third of the work.  A loose screen costs time, never exactness.  No instruction is needed that only
some processors have: a screen of 8-bit codes takes as long as this one where there are such instructions (VNNI), and 30
to 50 times as long elsewhere.
Measured: tests/benchmarks/nearest_patches.csv.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from structkit.errors import InputError, OptionError
from structkit.kernels.patches import Nearest, finite

BLOCK = 16  # keys that share one entry of the screen
ROWS, TILE = 512, 1024  # queries and keys per matrix product, TILE a multiple of BLOCK: larger ones leave the cache
SCREEN = 2**22  # entries of the screen held at a time (16 MB)
COMPONENTS, SAMPLE = 45, 2048  # leading components of a patch, and the keys that they are computed from
WORTH = 2e7  # comparisons from which finding the components pays
FEW, PATIENCE = 8, 1 / 16  # blocks, and share of all blocks, up to which comparing is cheaper than a product in float64
ROWS_64, TILE_64 = 256, 2048  # queries and keys per product in float64
SAME = 1e-12  # of a patch's squared contrast: by so much squared distances may differ and count as one
PAIRS = 128  # (query, block) pairs compared at a time: 2.4 MB at D = 147
ROUNDING = 2.0**-24  # of one operation in float32, relative


def nearest_patches(queries: Tensor, keys: Tensor, *, weights: Tensor | None = None) -> Nearest:
    """Index and mean squared distance of each query's nearest key.

    queries (N, D), keys (M, D) float32; weights (M,) not negative, multiply the distances to a key (bidirectional
    similarity), but not the distance returned.  Memory beyond the inputs: O(N + M) and a constant.  Ties go to the
    lowest index.
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
    """The oracle of `nearest_patches`: the whole (N, M, D) table of differences in float64."""
    distance = (queries.double()[:, None] - keys.double()).square().mean(2)
    index = (distance if weights is None else distance * weights.double()).argmin(1)
    return Nearest(index, distance.gather(1, index[:, None])[:, 0].float())


class _Screen:
    """Lower bounds of weighted squared distances, as the products of a row of each query with one of each key.

    A patch r becomes c = (r - mean) A and the norm of the rest of r - mean, A being orthonormal columns: by Pythagoras
    and the triangle inequality |c_q - c_k|^2 <= |q - k|^2.  Without A, c is r - mean.  The product is |c_q|^2 + |c_k|^2
    - 2 c_q . c_k, less what it can have been rounded by.
    """

    def __init__(self, keys: Tensor, axes: Tensor | None) -> None:
        """axes (D, K) float64, or None for all values of a patch."""
        self.mean, self.axes = keys.mean(0, dtype=torch.float64), axes

    def queries(self, rows: Tensor) -> Tensor:
        """(N, D) -> (N, W): c, 1, |c|^2."""
        codes, squares = self._coded(rows)
        return torch.cat([codes, torch.ones_like(squares), squares], 1)

    def keys(self, rows: Tensor, weights: Tensor | None) -> Tensor:
        """(M, D) -> (M, W): -2 c, |c|^2, 1, times the weights; the last two are less by all that rounding can add."""
        codes, squares = self._coded(rows)
        # A sum of W products is off by at most W roundings of the sum of their absolute values, which is at most 2
        # (|c_q|^2 + |c_k|^2). The codes, their squares and what is multiplied by weights are rounded, too.
        left = 1 - (2 * codes.shape[1] + 32) * ROUNDING
        made = torch.cat([-2 * codes, left * squares, torch.full_like(squares, left)], 1)
        return made if weights is None else made.mul_(weights[:, None])

    def _coded(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        parts = []
        for part in rows.split(4096):
            codes = part.double() - self.mean
            if self.axes is not None:
                inside = codes @ self.axes
                codes = torch.cat([inside, (codes - inside @ self.axes.T).norm(dim=1, keepdim=True)], 1)
            parts.append(codes.float())
        codes = torch.cat(parts) if parts else rows
        return codes, codes.square().sum(1, keepdim=True)


def _nearest_index(queries: Tensor, keys: Tensor, weights: Tensor | None) -> Tensor:
    index = torch.empty(len(queries), dtype=torch.int64)
    weights = None if weights is None else weights.float()
    left = torch.arange(len(queries))
    large = keys.shape[1] > 2 * COMPONENTS and len(queries) * len(keys) >= WORTH
    for axes in [_components(keys), None] if large else [None]:
        if len(left):
            left = _search(_Screen(keys, axes), queries, keys, weights, left, index)
    if len(left):
        index[left] = _nearest_in_float64(queries[left], keys, weights)
    return index


def _components(keys: Tensor) -> Tensor:
    """Leading principal components (D, COMPONENTS) float64 of evenly spread keys."""
    sample = keys[:: -(-len(keys) // SAMPLE)].double()
    sample -= sample.mean(0)
    return torch.linalg.eigh(sample.T @ sample).eigenvectors[:, -COMPONENTS:]


def _nearest_in_float64(queries: Tensor, keys: Tensor, weights: Tensor | None) -> Tensor:
    """The nearest keys by all distances, products in float64: for queries that no screen decides (paper, grain, many
    keys alike).
    """
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
            score = _weighted(score, weights, part)
            best = score.amin(1)
            found = start + _first_of(score, best, _weighted(SAME * norms, weights, part))
            better = best < least - _weighted(SAME * norms, weights, found[:, None])[:, 0]
            index[rows] = torch.where(better, found, index[rows])
            least = torch.minimum(least, best)
    return index


def _search(
    screen: _Screen, queries: Tensor, keys: Tensor, weights: Tensor | None, rows: Tensor, index: Tensor
) -> Tensor:
    """Rows to which the screen leaves too many blocks; index is filled in at all others."""
    # Padded with copies of the last key, which never win.  Within a tile, entry e of block b stands in column
    # e * (TILE / BLOCK) + b: the minimum over e then reads whole cache lines.
    tile = min(TILE, -(-len(keys) // BLOCK) * BLOCK)
    order = torch.arange(-(-len(keys) // tile) * tile).clamp_(max=len(keys) - 1)
    order = order.reshape(-1, tile // BLOCK, BLOCK).transpose(1, 2).reshape(-1)
    table = screen.keys(keys, weights)[order]
    most = max(FEW, PATIENCE * len(order) / BLOCK)
    hard = []
    for part in rows.split(max(64, min(ROWS, SCREEN * BLOCK // len(order)))):
        own = screen.queries(queries[part])
        bound, same = _block_minima(own, table, tile), SAME * own[:, -1:].double()
        index[part], undecided = _compare(queries[part], keys, weights, same, bound, most)
        hard.append(part[undecided])
    return torch.cat(hard)


def _block_minima(queries: Tensor, table: Tensor, tile: int) -> Tensor:
    """Minima (N, blocks) float32, over each block of keys of the products of queries (N, W) and table (M, W)."""
    low = torch.empty(len(queries), len(table) // tile, tile // BLOCK)
    product = torch.empty(len(queries), tile)
    for i, keys in enumerate(table.split(tile)):
        torch.mm(queries, keys.T, out=product)
        low[:, i] = product.view(len(queries), BLOCK, -1).amin(1)
    return low.flatten(1)


def _compare(
    queries: Tensor, keys: Tensor, weights: Tensor | None, same: Tensor, bound: Tensor, most: float
) -> tuple[Tensor, Tensor]:
    """Index of the nearest key, given a lower bound (N, blocks) of the weighted squared distance to each block.

    same (N, 1): by how much squared distances may differ and count as one.  Also returns which queries (N,) have more
    than `most` blocks to look at: they are left undecided.
    """
    first = bound.argmin(1, keepdim=True)
    score, index = _best_of_blocks(queries, keys, weights, same, torch.arange(len(queries)), first[:, 0])
    possible = (bound < (score * (1 + 1e-6)).float()[:, None]).scatter_(1, first, False)
    alike = (score == 0).nonzero()[
        :, 0
    ]  # nothing is nearer, and of many that are alike (white paper) only an earlier one counts
    possible[alike] = (bound[alike] <= 0) & (torch.arange(bound.shape[1]) < first[alike])
    undecided = possible.sum(1) > most
    query, block = possible.logical_and_(~undecided[:, None]).nonzero().T
    other_score, other_index = _best_of_blocks(queries, keys, weights, same, query, block)
    best = score.scatter_reduce(0, query, other_score, "amin")
    index[score > best + _weighted(same, weights, index[:, None])[:, 0]] = len(keys)
    wins = other_score <= best[query] + _weighted(same[query], weights, other_index[:, None])[:, 0]
    return index.scatter_reduce_(0, query[wins], other_index[wins], "amin"), undecided


def _best_of_blocks(
    queries: Tensor, keys: Tensor, weights: Tensor | None, same: Tensor, query: Tensor, block: Tensor
) -> tuple[Tensor, Tensor]:
    """Weighted squared distance, in float64, and index of the nearest key for each pair (query, block of keys)."""
    scores, indices = torch.empty(len(query), dtype=torch.float64), torch.empty(len(query), dtype=torch.int64)
    for start in range(0, len(query), PAIRS):
        part = slice(start, start + PAIRS)
        members = (block[part, None] * BLOCK + torch.arange(BLOCK)).clamp_(max=len(keys) - 1)
        gathered = keys.index_select(0, members.reshape(-1)).view(*members.shape, -1).double()
        distance = gathered.sub_(queries[query[part], None]).square_().sum(2)
        distance = _weighted(distance, weights, members)
        score = distance.amin(1)
        column = _first_of(distance, score, _weighted(same[query[part]], weights, members))
        scores[part], indices[part] = score, members.gather(1, column[:, None])[:, 0]
    return scores, indices


def _first_of(scores: Tensor, best: Tensor, same: Tensor) -> Tensor:
    """First column (N,) of scores (N, M) that is the best (N,), or as good: within `same`, (N, M) or (N, 1)."""
    return (scores <= best[:, None] + same).byte().argmax(1)


def _weighted(values: Tensor, weights: Tensor | None, index: Tensor) -> Tensor:
    """Values (N, M) or (N, 1) times the weights of keys (N, M), or (M,), where there are any."""
    return values if weights is None else values * weights[index]


def _distance(queries: Tensor, keys: Tensor, index: Tensor) -> Tensor:
    """Mean squared distances (N,) of the queries to their keys, 4096 rows at a time to bound memory."""
    parts = zip(queries.split(4096), index.split(4096), strict=True)
    return torch.cat([(q - keys[i]).square_().mean(1) for q, i in parts])


def _check(queries: Tensor, keys: Tensor, weights: Tensor | None) -> None:
    if queries.dim() != 2 or keys.dim() != 2 or queries.shape[1] != keys.shape[1] or not len(keys):
        raise OptionError(
            f"patches of shapes {tuple(queries.shape)} and {tuple(keys.shape)}: expected (N, D) and (M, D), M "
            "at least 1"
        )
    if queries.shape[1] > 2**15:  # so that rounding stays far below 1
        raise OptionError(f"patches of {queries.shape[1]} values: at most {2**15} are supported, use a smaller patch")
    if weights is not None and weights.shape != (len(keys),):
        raise OptionError(f"{tuple(weights.shape)} weights for {len(keys)} keys: expected one per key")
    for name, values in (("queries", queries), ("keys", keys), ("weights", weights)):
        if values is not None and not finite(values):
            raise InputError(f"the {name} of a patch search hold values that are not finite")
    if weights is not None and bool((weights < 0).any()):
        raise OptionError("the weights of a patch search must not be negative")
