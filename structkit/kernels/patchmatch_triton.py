"""The step of PatchMatch on CUDA: gather, compare and keep the better in one kernel, without a table of gathered rows.

A step has one candidate per query and cannot be joined with the next, which asks for the matches that this one leaves.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

ROWS = 64  # queries per program


def keep_better(
    left: Tensor, right: Tensor, weights: Tensor | None, index: Tensor, best: Tensor, candidates: Tensor
) -> tuple[Tensor, Tensor]:
    """Field and scores after one step: candidates c where weights[c] * left[i] . right[c] < best[i], else
    index.

    left (N, D), right (M, D), weights (M,) or None, and best (N,) float32; index, candidates (N,) int64 in [0, M).
    Returns new (N,) index and best.
    """
    index, best, candidates = index.contiguous(), best.contiguous(), candidates.contiguous()
    chosen, score = torch.empty_like(index), torch.empty_like(best)
    count, values = left.shape
    factors = right if weights is None else weights.contiguous()
    constants = {"WEIGHTED": weights is not None, "ROWS": ROWS, "DEPTH": triton.next_power_of_2(values)}
    fields = (left, right, factors, index, best, candidates, chosen, score)
    _keep_better[(triton.cdiv(count, ROWS),)](*fields, count, values, **constants)
    return chosen, score


@triton.jit
def _keep_better(
    left,
    right,
    weights,
    index,
    best,
    candidates,
    chosen,
    score,
    N,
    D,
    WEIGHTED: tl.constexpr,
    ROWS: tl.constexpr,
    DEPTH: tl.constexpr,
):
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    depth = tl.arange(0, DEPTH)
    real = rows < N
    inside = real[:, None] & (depth < D)[None, :]
    candidate = tl.load(candidates + rows, mask=real, other=0)
    q = tl.load(left + rows[:, None].to(tl.int64) * D + depth[None, :], mask=inside, other=0.0)
    k = tl.load(right + candidate[:, None] * D + depth[None, :], mask=inside, other=0.0)
    value = tl.sum(q * k, 1)
    if WEIGHTED:
        value *= tl.load(weights + candidate, mask=real, other=0.0)
    before = tl.load(best + rows, mask=real, other=0.0)
    better = value < before  # strict: the field keeps a tie
    tl.store(chosen + rows, tl.where(better, candidate, tl.load(index + rows, mask=real, other=0)), mask=real)
    tl.store(score + rows, tl.where(better, value, before), mask=real)
