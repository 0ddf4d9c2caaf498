"""Schedules of learning rates."""

from __future__ import annotations

import math
from collections.abc import Sequence

LAST = 0.1  # the rate at the end, in units of the first


def falling(done: float, share: float) -> float:
    """The learning rate, in units of the first: 1, and over the last `share` of the steps down a cosine to a tenth."""
    return 1 - (1 - LAST) * (1 - math.cos(math.pi * max(0.0, (done - 1 + share) / share))) / 2 if share else 1.0


def rising_and_falling(done: float, rise: float) -> float:
    """The learning rate, in units of its height: over the first part of the steps up to 1, then down a cosine to 0.

    done: the part of the steps that will be done with this one, above 0 to 1.  rise: the part in which it rises.
    """
    if done < rise:
        return done / rise
    return (1 + math.cos(math.pi * (done - rise) / (1 - rise))) / 2 if rise < 1 else 1.0


def cosine(done: float, least: float) -> float:
    """The learning rate, in units of the first: from 1 down a cosine to `least`.

    done: the part of the steps that was done before this one, 0 to below 1.
    """
    return least + (1 - least) * (1 + math.cos(math.pi * done)) / 2


def stepped(done: float, turns: Sequence[float], fall: float) -> float:
    """The learning rate, in units of the first: multiplied by `fall` at each turn.

    done: as for `cosine`.  turns: parts of all steps, rising.
    """
    return fall ** sum(done >= turn for turn in turns)


def straight(done: float, rise: float) -> float:
    """The learning rate, in units of its height: after a rise, which is not its own, in a straight line to 0.

    done: as for `cosine`.  rise: the part of the steps in which the rate rises.
    """
    return min(1.0, (1 - done) / (1 - rise)) if rise < 1 else 1.0
