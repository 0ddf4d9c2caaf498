"""Laws of the measures of masks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from structkit.errors import InputError
from structkit.metrics.overlap import (
    best_threshold,
    class_iou,
    confusion,
    cut,
    difference,
    iou,
    iou_by_level,
    otsu,
    soft_iou,
)


def mask(*shape: int, share: float = 0.3, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < share


def levels(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def test_a_mask_covers_itself_and_nothing_of_its_complement():
    m = mask(5, 9, 7)
    assert iou(m, m).tolist() == [1] * 5 and iou(m, ~m).tolist() == [0] * 5


def test_iou_is_symmetric_and_counts_each_picture_for_itself():
    m, n = mask(5, 9, 7), mask(5, 9, 7, seed=1)
    assert torch.equal(iou(m, n), iou(n, m))
    assert torch.equal(iou(m, n), torch.stack([iou(a, b) for a, b in zip(m, n, strict=True)]))
    assert iou(torch.tensor([[True, True, False]]), torch.tensor([[False, True, True]])) == pytest.approx(1 / 3)


def test_two_empty_masks_agree_and_an_empty_one_covers_nothing():
    nothing = torch.zeros(4, 4, dtype=torch.bool)
    assert iou(nothing, nothing) == soft_iou(nothing.byte(), nothing) == 1
    assert iou(nothing, ~nothing) == soft_iou(nothing.byte(), ~nothing) == 0
    assert iou_by_level(nothing.byte(), nothing)[1:].tolist() == [1] * 255


def test_of_hard_masks_soft_iou_is_iou():
    m, n = mask(3, 9, 7), mask(3, 9, 7, seed=1)
    assert torch.allclose(soft_iou(255 * m.byte(), n), iou(m, n))
    assert soft_iou(torch.full((2, 2), 51, dtype=torch.uint8), torch.ones(2, 2, dtype=torch.bool)) == pytest.approx(0.2)


def test_a_level_is_set_from_the_threshold_on():
    every = torch.arange(256, dtype=torch.uint8)[None]
    assert int(cut(every).sum()) == 128 and bool(cut(every)[0, 128])
    for level in range(256):
        assert int(cut(every, level / 255).sum()) == 256 - level


def test_the_curve_is_the_iou_at_every_level():
    soft, truth = levels(9, 7), mask(9, 7)
    expected = torch.stack([iou(soft >= level, truth) for level in range(256)])
    assert torch.allclose(iou_by_level(soft, truth), expected)


def test_the_best_threshold_is_one_for_all_and_can_be_rounded():
    truths = mask(4, 12, 12)
    soft = torch.where(
        truths, levels(4, 12, 12) // 4 + 60, levels(4, 12, 12, seed=1) // 5
    )  # 60 .. 123 inside, 0 .. 51 outside
    threshold, best = best_threshold(
        torch.stack([iou_by_level(s, t) for s, t in zip(soft, truths, strict=True)]).mean(0)
    )
    assert best == 1 and iou(cut(soft, round(threshold, 3)), truths).tolist() == [1] * 4


def test_of_thresholds_that_are_as_good_the_nearest_to_one_half_is_best():
    truth = mask(8, 8)
    assert best_threshold(iou_by_level(255 * truth.byte(), truth)) == (0.5, 1)


def test_otsu_parts_two_heaps_and_leaves_a_hard_mask_as_it_is():
    truth = mask(32, 32)
    soft = torch.where(truth, 150 + levels(32, 32) // 8, 40 + levels(32, 32, seed=1) // 4)
    assert torch.equal(cut(soft, otsu(soft)), truth)
    assert otsu(255 * truth.byte()) == otsu(torch.zeros(4, 4, dtype=torch.uint8)) == 0.5


def test_otsu_is_the_best_of_all_cuts():
    soft = levels(16, 16) // 3 + levels(16, 16, seed=1) // 2

    def between(level: int) -> float:
        low, high = soft[soft < level].double(), soft[soft >= level].double()
        return float(len(low) * len(high) * (low.mean() - high.mean()) ** 2) if len(low) and len(high) else 0.0

    assert cut(soft, otsu(soft)).sum() == (soft >= max(range(256), key=between)).sum()


def test_pictures_differ_where_one_channel_does_by_more_than_the_tolerance():
    one = torch.full((3, 2, 3), 100, dtype=torch.uint8)
    other = one.clone()
    other[0, 0, 0], other[1, 0, 1], other[2, 1, 2] = 108, 109, 91
    assert (
        difference(one, other).tolist()
        == difference(other, one).tolist()
        == [[False, True, False], [False, False, True]]
    )
    assert difference(one, other, tolerance=9).sum() == 0 and difference(one, other, tolerance=0).sum() == 3


def test_pictures_of_two_sizes_cannot_be_laid_upon_each_other():
    with pytest.raises(
        InputError, match="pictures of 7 x 9 and 9 x 7 px; they must be of one size to be compared: resize one of them"
    ):
        iou(mask(9, 7), mask(7, 9))


def some_classes(seed: int, shape=(2, 9, 7), classes: int = 4) -> torch.Tensor:
    return torch.randint(0, classes, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_a_confusion_counts_each_pixel_whose_truth_is_known_once():
    truth, labels = some_classes(0), some_classes(1, classes=5)
    truth[0, 0], labels[1, 3] = 255, 255
    found = confusion(labels, truth, 4)
    assert found.shape == (4, 5) and int(found.sum()) == int((truth != 255).sum())
    for one in range(4):
        for other in range(5):
            taken = (labels >= 4) if other == 4 else labels == other
            assert int(found[one, other]) == int(((truth == one) & taken).sum())


def test_confusions_of_pictures_add_up():
    truth, labels = some_classes(2), some_classes(3)
    parts = [confusion(a, b, 4) for a, b in zip(labels, truth, strict=True)]
    assert torch.equal(confusion(labels, truth, 4), sum(parts))


def test_the_iou_of_a_class_is_that_of_its_mask():
    truth, labels = some_classes(4, (30, 20)), some_classes(5, (30, 20))
    ious = class_iou(confusion(labels, truth, 4))
    for label in range(4):
        assert float(ious[label]) == pytest.approx(float(iou(labels == label, truth == label)))


def test_a_class_without_truth_has_no_iou_and_one_that_is_missed_has_zero():
    truth, labels = torch.tensor([[0, 0, 1]], dtype=torch.uint8), torch.tensor([[0, 2, 255]], dtype=torch.uint8)
    ious = class_iou(confusion(labels, truth, 4)).tolist()
    assert ious[:2] == [0.5, 0] and all(value != value for value in ious[2:])
