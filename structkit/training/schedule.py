"""Schedules of learning rates."""

from __future__ import annotations

import math

LAST = 0.1  # the rate at the end, in units of the first


def falling(done: float, share: float) -> float:
    """The learning rate, in units of the first: 1, and over the last `share` of the steps down a cosine to a tenth."""
    return 1 - (1 - LAST) * (1 - math.cos(math.pi * max(0.0, (done - 1 + share) / share))) / 2 if share else 1.0
