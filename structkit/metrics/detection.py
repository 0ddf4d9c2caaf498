"""Measures of a detector: a score of each example, and whether it is one of what is looked for."""

from __future__ import annotations

import math

import torch
from torch import Tensor

NORMAL = 1.959964  # standard deviations that hold 95 % of a normal distribution
HALVINGS = 60


def wilson(right: float, count: int) -> tuple[float, float]:
    """The interval of a share that 95 % confidence allows (Wilson, JASA 1927).  right: of `count` cases."""
    if not count:
        return 0.0, 1.0
    share, z = right / count, NORMAL
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return max(0.0, middle - half), min(1.0, middle + half)


def area_under_curve(found: Tensor, others: Tensor) -> float:
    """The chance that an example of what is looked for has a higher score than another; 0.5 is a guess.

    found, others: the scores of both, (N,), (M,); equal scores count as half.
    """
    if not (len(found) and len(others)):
        return 0.5
    differences = found.double()[:, None] - others.double()[None]
    return float((differences > 0).double().mean() + (differences == 0).double().mean() / 2)


def threshold(found: Tensor, others: Tensor) -> float:
    """The threshold on scores at which the most examples are on their side: `found` (N,) above, `others` (M,) below.

    Where several are as good, the middle one.
    """
    scores = torch.cat([found, others]).double().sort().values
    cuts = torch.cat([scores[:1] - 1, (scores[1:] + scores[:-1]) / 2])
    right = (found.double()[None] > cuts[:, None]).double().mean(1) + (
        others.double()[None] <= cuts[:, None]
    ).double().mean(1)
    best = (right >= right.max() - 1e-9).nonzero()[:, 0]
    return float(cuts[best[len(best) // 2]])


def temperature(found: Tensor, others: Tensor, *, least: float = 0.05, most: float = 20.0) -> float:
    """The temperature at which sigmoid(logit / temperature) is the best probability (Guo et al., ICML 2017).

    found, others: logits of both, (N,), (M,).
    The likelihood's slope over 1 / temperature falls, so that halving finds its zero.
    """
    signed = torch.cat([found, -others]).double()
    low, high = math.log(1 / most), math.log(1 / least)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        slope = (signed * torch.sigmoid(-signed * math.exp(middle))).mean()
        low, high = (middle, high) if slope > 0 else (low, middle)
    return math.exp(-(low + high) / 2)
