"""Exact nearest patches on CUDA: a matrix product whose epilogue is the running minimum.

One program holds ROWS queries and walks over all keys; neither the scores nor copies of the inputs reach memory.
Products are full float32 (TF32 would lose neighbours) around the keys' mean, which keeps the cancellation of
|q|^2 + |k|^2 - 2 q.k small: keys whose distances differ by less than 1e-6 of the patches' squared contrast may change
places.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

ROWS, TILE, DEPTH = 64, 128, 32  # queries, keys and values per step


def nearest_index(queries: Tensor, keys: Tensor, weights: Tensor | None) -> Tensor:
    """Index (N,) int64 of each query's nearest key, as `nearest_patches`: queries (N, D), keys (M, D), weights (M,) or
    None.
    """
    queries, keys = queries.float().contiguous(), keys.float().contiguous()
    index = torch.empty(len(queries), dtype=torch.int64, device=queries.device)
    if len(queries):
        factors = keys if weights is None else weights.float().contiguous()
        shape = (len(queries), len(keys), keys.shape[1])
        constants = {"WEIGHTED": weights is not None, "ROWS": ROWS, "TILE": TILE, "DEPTH": DEPTH}
        _nearest[(triton.cdiv(len(queries), ROWS),)](queries, keys, keys.mean(0), factors, index, *shape, **constants)
    return index


@triton.jit
def _nearest(
    queries,
    keys,
    mean,
    weights,
    index,
    N,
    M,
    D,
    WEIGHTED: tl.constexpr,
    ROWS: tl.constexpr,
    TILE: tl.constexpr,
    DEPTH: tl.constexpr,
):
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    best = tl.full((ROWS,), float("inf"), tl.float32)
    nearest = tl.zeros((ROWS,), tl.int64)
    for first in range(0, M, TILE):
        columns = first + tl.arange(0, TILE)
        product = tl.zeros((ROWS, TILE), tl.float32)
        row_squares = tl.zeros((ROWS,), tl.float32)
        column_squares = tl.zeros((TILE,), tl.float32)
        for start in range(0, D, DEPTH):
            depth = start + tl.arange(0, DEPTH)
            inside = depth < D
            centre = tl.load(mean + depth, mask=inside, other=0.0)
            q_mask = (rows < N)[:, None] & inside[None, :]
            k_mask = (columns < M)[:, None] & inside[None, :]
            q = tl.load(queries + rows[:, None].to(tl.int64) * D + depth[None, :], mask=q_mask, other=0.0)
            k = tl.load(keys + columns[:, None].to(tl.int64) * D + depth[None, :], mask=k_mask, other=0.0)
            q, k = q - centre[None, :], k - centre[None, :]
            product = tl.dot(q, tl.trans(k), acc=product, input_precision="ieee")
            row_squares += tl.sum(q * q, 1)
            column_squares += tl.sum(k * k, 1)
        score = tl.maximum(row_squares[:, None] + column_squares[None, :] - 2.0 * product, 0.0)
        if WEIGHTED:
            score *= tl.load(weights + columns, mask=columns < M, other=0.0)[None, :]
        score = tl.where((columns < M)[None, :], score, float("inf"))
        low = tl.min(score, 1)
        where = first + tl.argmin(score, 1, tie_break_left=True).to(tl.int64)
        nearest = tl.where(low < best, where, nearest)  # strict: an earlier tile keeps a tie
        best = tl.minimum(low, best)
    tl.store(index + rows, nearest, mask=rows < N)
