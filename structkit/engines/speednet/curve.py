"""Speeds of a clip that lasts exactly as long as asked, and moves fast where that does not show.

What: from how probably each moment looks sped up at each of several factors, the factor that it tolerates, V(t)
(SpeedNet, section 4.2, as recalled: the paper's text gives neither thresholds nor weights); from that and the rate
asked for, the speeds S(t) (section 4.3).
Differs from the paper: it minimises sum w (S - V)^2 + beta (mean S - R)^2 + alpha sum S'^2.  That can give speeds below
zero, and a mean speed of R is not a clip of 1/R the length: the harmonic mean is.  Here s = log S minimises
sum w (s - log V - mu)^2 + alpha sum s'^2 within bounds, with the mu at which the harmonic mean is R exactly.  V(t) is
the largest factor below which at most one is refused, in place of the largest that is not refused (`mode="max"`).
Where more is asked for than looks natural, the threshold rises as far as the rate needs: the paper's stays, and then
all moments that look sped up at once are alike.
"""

from __future__ import annotations

import numpy as np

from structkit.errors import OptionError

RATE = 25.0  # values a second to which the weight of smoothness refers
ACROSS = 0.1  # of the weight of smoothness, across a cut: there a jump is not seen
BOX = 13  # cells over which predictions are averaged: 0.5 s
MARGIN = 0.05  # of a prediction around the threshold: there a cell is judged as its nearest clear neighbour
HALVINGS = 200  # at most, of the interval of mu; 60 or so make it as small as numbers are
MOST_DOUBT, STEPS = 16.0, 12  # the largest threshold that is tried, as a logit; halvings on the way to the one
LEAST_WEIGHT = 0.1
CLOSE = 1e-9  # of a rate: nearer to a bound, it is the bound


def tolerated(
    predictions: np.ndarray,
    factors: np.ndarray,
    *,
    mode: str = "runs",
    threshold: float = 0.5,
    box: int = BOX,
    margin: float = MARGIN,
) -> np.ndarray:
    """The largest factor at which each cell still looks natural, V(t), (N,); 1 where none does.

    predictions (F, N): how probably each cell looks sped up at each factor; NaN where a factor was not judged, which
    counts as refused.
    factors (F,): increasing.
    mode: "runs": the largest factor such that it and all below are natural, but for one; 1 where factor 1 itself looks
    sped up.  "max": the largest natural one, as published.
    threshold: the probability from which a cell looks sped up.
    box: cells over which predictions are averaged.
    margin: within this of the threshold a cell is judged as its nearest neighbour beyond it is (hysteresis); it is that
    of a threshold of 0.5, and narrower towards 0 and 1.
    Raises OptionError for shapes that do not belong together, and another mode.
    """
    predictions, factors = np.asarray(predictions, np.float64), np.asarray(factors, np.float64)
    if predictions.ndim != 2 or factors.shape != predictions.shape[:1] or not predictions.size:
        raise OptionError(f"predictions {predictions.shape} of factors {factors.shape}: expected (F, N) and (F,)")
    if mode not in ("runs", "max"):
        raise OptionError(f"speeds are tolerated by {mode!r}: choose one of runs, max")
    natural = np.stack([_natural(row, threshold, box, margin) for row in predictions])
    if mode == "runs":
        missed = np.cumsum(~natural, 0)
        natural &= (missed <= 1) & natural[0]
    return np.where(natural, factors[:, None], 1.0).max(0).clip(1.0)


def tolerated_at(
    predictions: np.ndarray, factors: np.ndarray, durations: np.ndarray, rate: float, *, mode: str = "runs"
) -> np.ndarray:
    """What each cell tolerates, (N,), where the clip as a whole is to be `rate` times as fast; see `tolerated`.

    durations (N,): of the cells, s.
    Beyond the rate that looks natural, the threshold is the lowest one that allows for the rate.  So what looks least
    sped up becomes faster first, where all cells would tolerate alike.
    """
    found = tolerated(predictions, factors, mode=mode)
    if natural_rate(found, durations) >= rate:
        return found
    low, high = 0.0, MOST_DOUBT
    for _ in range(STEPS):
        middle = (low + high) / 2
        found = tolerated(predictions, factors, mode=mode, threshold=_probability(middle))
        low, high = (middle, high) if natural_rate(found, durations) < rate else (low, middle)
    return tolerated(predictions, factors, mode=mode, threshold=_probability(high))


def confidence(prediction: np.ndarray) -> np.ndarray:
    """Weights (N,) in [0.1, 1] of how clear the predictions (N,) at the clip's own speed are."""
    clear = np.abs(2 * np.asarray(prediction, np.float64) - 1)
    return LEAST_WEIGHT + (1 - LEAST_WEIGHT) * np.nan_to_num(clear)


def natural_rate(tolerated: np.ndarray, durations: np.ndarray) -> float:
    """How many times as fast the clip is as a whole if each cell is as fast as it tolerates: the harmonic mean."""
    return float(np.sum(durations) / np.sum(durations / tolerated))


def optimised(
    tolerated: np.ndarray,
    weights: np.ndarray | None,
    durations: np.ndarray,
    rate: float,
    *,
    least: float | np.ndarray = 1.0,
    most: float | np.ndarray = 8.0,
    smooth: float = 100.0,
    cuts: np.ndarray | None = None,
) -> np.ndarray:
    """Speeds (N,) near what is tolerated, smooth, within bounds, that make the clip exactly `rate` times as short.

    tolerated (N,), weights (N,) or None, durations (N,) s: of each cell.
    least, most: bounds of the speeds, of all or of each cell (N,); towards a lower bound from above the speed falls
    smoothly, as far as the rate allows.
    smooth: alpha, for cells of 1/25 s; other cells have the same curve in time.
    cuts (N,) bool: true at the first cell behind a cut, where smoothness counts a tenth.
    The harmonic mean of the result is `rate` to 1e-9.
    Raises OptionError for a rate that the bounds do not allow, with those that they do.
    """
    durations = np.asarray(durations, np.float64)
    count = len(durations)
    least, most = (np.broadcast_to(np.asarray(bound, np.float64), count) for bound in (least, most))
    least = np.minimum(least, most)  # what must not be fast goes before what should
    slowest, fastest = (natural_rate(bound, durations) for bound in (least, most))
    if not slowest * (1 - CLOSE) <= rate <= fastest * (1 + CLOSE):
        raise OptionError(out_of_reach(rate, slowest, fastest, float(durations.sum())))
    for bound, its_rate in ((least, slowest), (most, fastest)):
        if abs(rate / its_rate - 1) <= CLOSE:
            return bound.copy()
    low, high = np.log(least), np.log(most)
    weights = np.ones(count) if weights is None else np.asarray(weights, np.float64)
    wanted = np.log(np.asarray(tolerated, np.float64))
    # Per second: the sum over cells of weight * length, and of the squared steps over their distance in time.
    stiff = smooth / RATE**2 * 2 / (durations[1:] + durations[:-1])
    if cuts is not None:
        stiff = stiff * np.where(np.asarray(cuts, bool)[1:], ACROSS, 1.0)
    # With no weight on mu itself the problem is affine in it: the solution for log V + mu is that for log V, plus mu.
    middle = _smoothed(wanted, weights * durations, stiff)
    for slope in (1.0, 4.0, np.inf):
        ramped = _ramped(high, durations, slope * RATE / np.sqrt(max(smooth, 1e-12))) if np.isfinite(slope) else high
        ramped = np.maximum(ramped, low)
        if natural_rate(np.exp(ramped), durations) >= rate:
            break
    return np.exp(of_rate(middle, low, ramped, durations, rate))


def out_of_reach(rate: float, slowest: float, fastest: float, seconds: float) -> str:
    """The message for a rate beyond the reachable ones."""
    if fastest - slowest < 0.005:
        only = f"here it can only be {fastest:.4g} times as fast, {seconds / fastest:.1f} s"
        fact = f"a clip of {seconds:.1f} s cannot be made {rate:.4g} times as fast"
        return f"{fact}: {only}; change --max-speed and what is kept slow"
    lengths = f"{seconds / fastest:.1f} to {seconds / slowest:.1f} s"
    return (
        f"a clip of {seconds:.1f} s cannot be made {rate:.4g} times as fast: here it can be made {slowest:.4g} to "
        f"{fastest:.4g} times as fast, {lengths}; ask for a rate between, or change --max-speed and what is kept slow"
    )


def of_rate(middle: np.ndarray, low: np.ndarray, high: np.ndarray, durations: np.ndarray, rate: float) -> np.ndarray:
    """Log speeds (N,) of the middle (N,), moved up or down by one number until their harmonic mean is the rate.

    low, high (N,): log bounds, which all of them keep to; where those do not allow the rate it is the nearest.
    """
    wanted = float(durations.sum()) / rate

    def clipped(mu: float) -> np.ndarray:
        return np.clip(middle + mu, low, high)

    slowest, fastest = float((low - middle).min()), float((high - middle).max())
    for _ in range(HALVINGS):
        mu = (slowest + fastest) / 2
        if not slowest < mu < fastest:
            break
        if np.sum(durations * np.exp(-clipped(mu))) > wanted:
            slowest = mu
        else:
            fastest = mu
    return clipped(fastest)


def _natural(prediction: np.ndarray, threshold: float, box: int, margin: float) -> np.ndarray:
    """True (N,) where a smoothed prediction (N,) is below the threshold; near it, where its nearest clear neighbour
    is."""
    if np.isnan(prediction).any():
        return np.zeros(len(prediction), bool)
    smoothed = _box(prediction, box)
    clear = np.flatnonzero(np.abs(smoothed - threshold) > margin * 4 * threshold * (1 - threshold))
    if not len(clear):
        return smoothed < threshold
    places = np.arange(len(smoothed))
    behind = np.searchsorted(clear, places).clip(max=len(clear) - 1)
    before = (behind - 1).clip(0)
    nearer = np.where(places - clear[before] < clear[behind] - places, clear[before], clear[behind])
    nearer = np.where(places >= clear[-1], clear[-1], np.where(places <= clear[0], clear[0], nearer))
    return smoothed[nearer] < threshold


def _probability(logit: float) -> float:
    return 1 / (1 + float(np.exp(-logit)))


def _box(values: np.ndarray, width: int) -> np.ndarray:
    """The mean of the values (N,) within half a width on each side; of those that there are, at the ends."""
    half = min(width // 2, len(values) - 1)
    if half <= 0:
        return values
    sums = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(len(values))
    first, last = (places - half).clip(0), (places + half + 1).clip(max=len(values))
    return (sums[last] - sums[first]) / (last - first)


def _smoothed(wanted: np.ndarray, weights: np.ndarray, stiff: np.ndarray) -> np.ndarray:
    """The s (N,) that minimises sum weights (s - wanted)^2 + sum stiff (step of s)^2; stiff (N - 1,)."""
    diagonal = weights.copy()
    diagonal[:-1] += stiff
    diagonal[1:] += stiff
    return tridiagonal(diagonal, -stiff, weights * wanted)


def tridiagonal(diagonal: np.ndarray, beside: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The solution (N,) of a symmetric tridiagonal system, by cyclic reduction: every other unknown is eliminated.

    diagonal, right (N,); beside (N - 1,).  The diagonal dominates.  17 rounds of numpy for 108,000 cells.
    """
    count = len(diagonal)
    if count == 1:
        return right / diagonal
    # Each odd row takes away its even neighbours, of which the last row may lack one.
    even, odd = diagonal[0::2], diagonal[1::2]
    left, after = beside[0::2], beside[1::2]  # from an odd row to the even one before it, and behind it
    before_share = left / even[: len(left)]
    after_share = after / even[1 : len(after) + 1]
    reduced, rest = odd - before_share * left, right[1::2] - before_share * right[0::2][: len(left)]
    reduced[: len(after)] -= after_share * after
    rest[: len(after)] -= after_share * right[0::2][1 : len(after) + 1]
    inner = len(odd) - 1
    solved = tridiagonal(reduced, -after_share[:inner] * left[1 : inner + 1], rest)
    found = np.empty(count)
    found[1::2] = solved
    remaining = right[0::2].copy()
    remaining[: len(left)] -= left * solved
    remaining[1 : len(after) + 1] -= after * solved[: len(after)]
    found[0::2] = remaining / even
    return found


def _ramped(high: np.ndarray, durations: np.ndarray, slope: float) -> np.ndarray:
    """The upper bounds (N,), lowered on both sides of lower ones so that they rise by at most `slope` a second."""
    places = np.cumsum(durations) - durations / 2
    forward = np.minimum.accumulate(high - slope * places) + slope * places
    backward = np.minimum.accumulate((high + slope * places)[::-1])[::-1] - slope * places
    return np.minimum(high, np.minimum(forward, backward))
