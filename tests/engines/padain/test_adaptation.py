"""The arithmetic of adaptation, against its formulas written out."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from structkit.engines.padain.adaptation import (
    ClassBalance,
    ClassCounts,
    blended_statistics,
    domain_loss,
    hidden,
    mixed,
    rarity,
    segmentation_loss,
    soft_labels,
    spread_out,
    trusted_labels,
)
from structkit.engines.padain.layer import Swap

SEED = 3


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(SEED), dtype=torch.float64)


def numbers(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(SEED))


def labels_of(*shape: int, classes: int = 4) -> torch.Tensor:
    return torch.randint(classes, shape, generator=torch.Generator().manual_seed(SEED), dtype=torch.uint8)


def test_soft_labels_are_probabilities_cut_off_and_have_no_gradient():
    logits = normal(2, 3, 4, 5).requires_grad_()
    soft = soft_labels(5 * logits, 0.9)
    assert not soft.requires_grad
    torch.testing.assert_close(soft, torch.minimum(torch.softmax(5 * logits, 1), torch.tensor(0.9)).detach())
    assert soft.sum(1).min() < 0.95  # they are not made 1 in all again


@pytest.mark.parametrize("target", [False, True])
def test_the_domain_loss_is_the_cross_entropy_of_38_logits_with_19_soft_labels(target):
    judged, soft = normal(2, 38, 2, 3), soft_labels(normal(2, 19, 2, 3), 0.9)
    expected = 0.0
    for b in range(2):
        for y in range(2):
            for x in range(3):
                all_of = torch.logsumexp(judged[b, :, y, x], 0)
                for k in range(19):
                    expected -= soft[b, k, y, x] * (judged[b, 19 * target + k, y, x] - all_of)
    torch.testing.assert_close(domain_loss(judged, soft, target=target), expected / 12)


def test_halves_give_each_source_sample_the_statistics_of_its_target():
    source, target = normal(3, 2, 4, 5), 3 * normal(3, 2, 4, 5).flip(0) + 1
    found = Swap(pairing="halves")(torch.cat([source, target]).float(), 0)
    torch.testing.assert_close(found[3:], target.float())
    torch.testing.assert_close(found[:3].mean((2, 3)), target.float().mean((2, 3)))
    torch.testing.assert_close(found[:3].std((2, 3)), target.float().std((2, 3)), rtol=1e-3, atol=1e-3)
    odd = torch.cat([source, target])[:5].float()
    assert Swap(pairing="halves")(odd, 0).shape == odd.shape


def test_the_loss_is_the_mean_over_the_pixels_whose_class_is_known():
    logits, labels = normal(2, 4, 3, 5), labels_of(2, 3, 5)
    labels[0, 0] = 255
    each = -logits.log_softmax(1).gather(1, labels.long().clamp(max=3)[:, None])[:, 0]
    torch.testing.assert_close(segmentation_loss(logits, labels), each[labels != 255].mean())
    weights = torch.tensor([1.0, 2.0, 5.0, 0.5], dtype=torch.float64)
    expected = nn.functional.cross_entropy(logits, labels.long(), weights, ignore_index=255)
    torch.testing.assert_close(segmentation_loss(logits, labels, weights), expected)
    assert segmentation_loss(logits, torch.full_like(labels, 255)) == 0


def test_trust_weighs_pixels_and_not_their_number():
    logits, labels = normal(2, 4, 3, 5), labels_of(2, 3, 5)
    half = segmentation_loss(logits, labels, trust=torch.full((2, 3, 5), 0.5))
    torch.testing.assert_close(half, segmentation_loss(logits, labels) / 2)


def test_pixels_of_a_mixed_picture_come_from_one_of_both_with_their_labels():
    source, target = torch.ones(3, 3, 8, 8), torch.zeros(3, 3, 8, 8)
    own, theirs = labels_of(3, 8, 8), torch.full((3, 8, 8), 3, dtype=torch.uint8)
    own[0, :2] = 255
    own[1][own[1] == 3] = 0  # three classes: two of them are put on
    pictures, labels, trust = mixed(source, own, target, theirs, torch.full((3, 8, 8), 0.25), numbers(3, 4))
    pasted = pictures[:, 0] == 1
    assert torch.equal(pictures, pasted[:, None].expand_as(pictures).float())
    assert torch.equal(labels, torch.where(pasted, own, theirs))
    assert torch.equal(trust, torch.where(pasted, 1.0, 0.25))
    assert not (pasted & (own == 255)).any()
    for picture, truth in zip(pasted, own, strict=True):
        there = [k for k in range(4) if (truth == k).any()]
        put = [k for k in there if picture[truth == k].all()]
        assert all(not picture[truth == k].any() for k in there if k not in put)
        assert len(put) == math.ceil(len(there) / 2)


def test_trust_is_the_share_of_a_pictures_confident_pixels():
    logits = torch.zeros(2, 3, 2, 2)
    logits[0, 1, 0] = 20  # half of the first picture
    labels, trust = trusted_labels(logits, 0.9)
    assert trust.unique().tolist() == [0.0, 0.5]
    assert labels[0, 0].tolist() == [1, 1] and labels.dtype == torch.uint8
    assert trusted_labels(logits, 0.3)[1].unique().tolist() == [1.0]


def test_hidden_squares_are_black_and_the_rest_is_as_it_was():
    pictures = torch.ones(1, 3, 8, 12)
    found = hidden(pictures, torch.tensor([[[0.1, 0.9, 0.1], [0.9, 0.9, 0.1]]]), 0.5)
    assert found[0, 0, ::4, ::4].tolist() == [[0, 1, 0], [1, 1, 0]]
    assert found.mean() == 0.5


def test_statistics_are_blended_between_both_ends():
    own, target = nn.BatchNorm2d(2), nn.BatchNorm2d(2)
    target.running_mean += 1
    target.running_var += 2
    for alpha, mean, var in ((0.0, 0.0, 1.0), (0.25, 0.25, 1.5), (1.0, 1.0, 3.0)):
        found = blended_statistics(own, target, alpha)
        assert found["running_mean"].tolist() == [mean] * 2 and found["running_var"].tolist() == [var] * 2
        assert set(found) == {"running_mean", "running_var"}


def test_rare_classes_are_drawn_by_their_published_weights():
    shares = torch.tensor([[0.9, 0.1, 0.0, 0.0], [0.5, 0.0, 0.5, 0.0]])
    balance = ClassBalance(shares)
    torch.testing.assert_close(balance.shares, torch.tensor([0.7, 0.05, 0.25, 0.0]))
    weights = [1 / math.log(1.01 + share) for share in (0.7, 0.05, 0.25)]
    torch.testing.assert_close(rarity(balance.shares)[:3], torch.tensor(weights))
    found = balance.weights()
    torch.testing.assert_close(found[1] / found[0], torch.tensor((weights[1] / weights[0]) ** 0.5))
    torch.testing.assert_close((found * balance.shares).sum(), torch.tensor(1.0))
    count = 3000
    drawn = [balance.index((i + 0.5) / count, 0.0) for i in range(count)]
    expected = (weights[0] + weights[1]) / sum(weights)  # the first picture has the first two classes
    assert abs(drawn.count(0) / count - expected) < 0.01
    assert {balance.index(0.01, which) for which in (0.0, 0.6)} == {0, 1}
    assert balance.index(0.999999, 0.999999) == 1
    balance.bounds = [0.99 * bound for bound in balance.bounds]  # as if rounded
    assert balance.index(0.999999, 0.999999) == 1


def test_counts_give_the_iou_of_classes_that_are_there():
    counts = ClassCounts(3)
    counts.add(torch.tensor([0, 0, 1, 255]), torch.tensor([0, 1, 1, 2]))
    iou = counts.iou()
    assert iou[:2].tolist() == [0.5, 0.5] and iou[2].isnan()
    assert counts.mean_iou() == 0.5
    assert ClassCounts(3).mean_iou() == 0.0


@pytest.mark.parametrize("count", [1, 2, 3, 10, 62, 406])
def test_indices_are_spread_out_and_all_different(count):
    assert sorted(spread_out(count, 1000)) == list(range(count))
    assert len(spread_out(count, 8)) == min(count, 8)
    if count > 100:
        assert (
            max(abs(a - b) for a, b in zip(sorted(spread_out(count, 20)), range(0, count, count // 20), strict=False))
            < 30
        )
