"""How often labels are right, and what is taken for what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from structkit.metrics.detection import wilson


def accuracy(truth: Sequence[int], told: Sequence[int], prefix: str = "") -> dict[str, float]:
    """The share of labels that are right, and its interval of 95 % confidence; each name begins with `prefix`."""
    right = right_of(truth, told)
    low, high = wilson(right, len(truth))
    found = {"accuracy": right / len(truth), "accuracy_low": low, "accuracy_high": high}
    return {f"{prefix}{name}": round(value, 6) for name, value in found.items()}


def right_of(truth: Sequence[int], told: Sequence[int]) -> int:
    """The number of labels that are right."""
    return sum(a == b for a, b in zip(truth, told, strict=True))


def chance(truth: Sequence[int]) -> float:
    """The share that is right of whoever always names the commonest class."""
    return max(Counter(truth).values()) / len(truth)


def is_no_better(truth: Sequence[int], told: Sequence[int]) -> bool:
    """True where always naming one class may be as good, with 95 % confidence."""
    return wilson(right_of(truth, told), len(truth))[0] <= chance(truth)


def confusion(truth: Sequence[int], told: Sequence[int], classes: Sequence[str]) -> dict[str, dict[str, int]]:
    """The number of cases of each class that were taken for each; of what never was there is nothing."""
    rows: dict[str, dict[str, int]] = {classes[label]: {} for label in sorted(set(truth))}
    for (true, one), count in sorted(Counter(zip(truth, told, strict=True)).items()):
        rows[classes[true]][classes[one]] = count
    return rows


def mistakes(rows: Mapping[str, Mapping[str, int]]) -> list[tuple[str, str, int]]:
    """The class, that for which it was taken, and how often, of a confusion: class by class, the commonest first."""
    return [
        (true, one, count)
        for true, row in rows.items()
        for one, count in sorted(row.items(), key=lambda entry: -entry[1])
        if one != true
    ]


def share_words(scores: Mapping[str, float], prefix: str = "") -> str:
    """An accuracy in words: the share, and its interval."""
    low, high = (100 * scores[f"{prefix}accuracy_{end}"] for end in ("low", "high"))
    return f"{100 * scores[f'{prefix}accuracy']:.0f} % right ({low:.0f} to {high:.0f} with 95 % confidence)"
