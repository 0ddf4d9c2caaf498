"""How often labels are right: shares, intervals, chance, confusions."""

from __future__ import annotations

import pytest

from structkit.metrics.accuracy import accuracy, chance, confusion, is_no_better, mistakes, right_of, share_words
from structkit.metrics.detection import wilson

TRUTH, TOLD = [0, 0, 0, 1, 1, 2], [0, 1, 1, 1, 1, 0]


def test_a_share_has_the_interval_of_its_count():
    found = accuracy(TRUTH, TOLD, "first_")
    low, high = wilson(3, 6)
    assert found == {"first_accuracy": 0.5, "first_accuracy_low": round(low, 6), "first_accuracy_high": round(high, 6)}
    assert share_words(found, "first_") == "50 % right (19 to 81 with 95 % confidence)"


def test_chance_is_the_commonest_class():
    assert chance(TRUTH) == 0.5 and chance([1]) == 1


@pytest.mark.parametrize(("right", "doubtful"), [(50, True), (57, True), (80, False)])
def test_a_share_that_may_be_chance_is_no_better(right, doubtful):
    truth = [0, 1] * 50
    told = [label if i < right else 1 - label for i, label in enumerate(truth)]
    assert right_of(truth, told) == right and is_no_better(truth, told) is doubtful


def test_mistakes_are_those_of_the_confusion_the_commonest_first():
    rows = confusion(TRUTH, TOLD, ["a", "b", "c"])
    assert rows == {"a": {"a": 1, "b": 2}, "b": {"b": 2}, "c": {"a": 1}}
    assert mistakes(rows) == [("a", "b", 2), ("c", "a", 1)]
    assert mistakes({"a": {"b": 1, "c": 4}}) == [("a", "c", 4), ("a", "b", 1)]
