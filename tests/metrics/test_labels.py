"""Figures of labels and of corruption errors: their definitions, and when they mean something."""

from __future__ import annotations

import pytest
import torch

from structkit.configs.corrupt import CATEGORIES, CORRUPTIONS
from structkit.errors import StructkitError
from structkit.metrics.labels import (
    ALEXNET,
    ALEXNET_CLEAN,
    LabelTally,
    category_means,
    is_imagenet,
    mean_over,
    relative_to_alexnet,
)

WNIDS = [f"n{i:08d}" for i in range(1000)]


def test_a_tally_of_batches_is_the_tally_of_all():
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(50, 8, generator=generator), torch.randint(8, (50,), generator=generator)
    whole, parts = LabelTally(8), LabelTally(8)
    named = whole.add(logits, labels)
    together = [parts.add(*batch) for batch in zip(logits.split(7), labels.split(7), strict=True)]
    assert torch.equal(torch.cat(together), named) and len(parts) == len(whole) == 50
    for name in ("accuracy", "error", "near_accuracy"):
        assert getattr(parts, name) == getattr(whole, name)
    right = named == labels
    assert whole.accuracy == right.double().mean() == 1 - whole.error
    ranks = (logits > logits.gather(1, labels[:, None])).sum(1)
    assert whole.near_accuracy == (ranks < 5).double().mean()
    classes = [str(i) for i in range(8)]
    by_class = whole.by_class(classes)
    assert by_class["3"] == pytest.approx(float(right[labels == 3].double().mean()))
    assert LabelTally.by_class(parts, classes) == by_class


def test_a_class_without_pictures_has_no_accuracy_and_of_few_classes_all_are_near():
    tally = LabelTally(3)
    tally.add(torch.eye(3)[[0, 1]], torch.tensor([0, 0]))
    assert tally.by_class(["a", "b", "c"]) == {"a": 0.5} and tally.near_accuracy == 1


def test_values_that_are_not_finite_are_an_error():
    with pytest.raises(StructkitError, match="not finite numbers"):
        LabelTally(2).add(torch.tensor([[0.0, torch.nan]]), torch.tensor([0]))


def test_the_categories_share_out_the_fifteen_kinds_and_alexnet_has_each():
    assert set(ALEXNET) == set(CORRUPTIONS) == {kind for kinds in CATEGORIES.values() for kind in kinds}
    errors = {kind: i / 15 for i, kind in enumerate(CORRUPTIONS)}
    means = category_means(errors, CATEGORIES)
    weights = {name: len(kinds) for name, kinds in CATEGORIES.items()}
    whole = sum(means[name] * weights[name] for name in means) / 15
    assert whole == pytest.approx(mean_over(errors, CORRUPTIONS))
    assert category_means({"fog": 0.5}, CATEGORIES) == {"weather": 0.5}
    assert mean_over(errors, ["fog", "spatter"]) is None and mean_over(errors, []) is None


def test_alexnets_errors_are_the_published_ones():
    told = "88.6 89.4 92.3 82.0 82.6 78.6 79.8 86.7 82.7 81.9 56.5 85.3 64.6 71.8 60.7"
    assert [f"{100 * ALEXNET[kind]:.1f}" for kind in CORRUPTIONS] == told.split() and ALEXNET_CLEAN == 0.435


def test_alexnet_has_an_mce_of_one_by_both_measures():
    for figures in relative_to_alexnet(ALEXNET | {"saturate": 0.5}, ALEXNET_CLEAN):
        assert list(figures) == list(ALEXNET) and list(figures.values()) == pytest.approx([1] * 15)
    plain, relative = relative_to_alexnet({"fog": 0.8 * ALEXNET["fog"]}, 0.2)
    assert plain["fog"] == pytest.approx(0.8)
    assert relative["fog"] == pytest.approx((0.8 * ALEXNET["fog"] - 0.2) / (ALEXNET["fog"] - ALEXNET_CLEAN))


@pytest.mark.parametrize(
    ("classes", "side", "is_one"),
    [
        (WNIDS, 224, True),
        (WNIDS, 64, False),
        (WNIDS[:999], 224, False),
        ([str(i) for i in range(1000)], 224, False),
        (["cat", "dog"], 224, False),
    ],
)
def test_only_the_classes_of_imagenet_at_its_side_are_imagenet(classes, side, is_one):
    assert is_imagenet(classes, side) is is_one
