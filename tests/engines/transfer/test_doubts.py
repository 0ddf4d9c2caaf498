"""Signs of a bad model: each tells a bad one from a good one, and a good one has none."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from structkit.engines.transfer.doubts import ENOUGH, LIMITS, beneath, doubts, elsewhere, sentences, signs
from structkit.engines.transfer.layer import Layer

SIDE, BAND = 32, slice(8, 16)


def folder(count: int, seed: int, *, content: bool) -> Tensor:
    """(N, 3, S, S) uint8: plain pictures of random greys, with a white band across them or not."""
    grey = torch.randint(40, 160, (count, 1, 1, 1), generator=torch.Generator().manual_seed(seed))
    pictures = grey.expand(count, 3, SIDE, SIDE).clone().to(torch.uint8)
    if content:
        pictures[:, :, BAND] = 255
    return pictures


WITH, WITHOUT = folder(100, 1, content=True), folder(100, 2, content=False)


class Net:
    """Finds `rows` of each picture that has something white, or of all, and paints beneath them what it sees below the
    band, or black.
    """

    painter = None

    def __init__(self, rows: slice, *, everywhere: bool = False, blind: bool = False) -> None:
        self.rows, self.everywhere, self.blind = rows, everywhere, blind

    def segment(self, squares: Tensor) -> Tensor:
        mask = torch.zeros_like(squares[:, :1])
        mask[:, :, self.rows] = 1
        return mask * (self.everywhere | (squares.amax((1, 2, 3), keepdim=True) > 0.99))

    def remove(self, squares: Tensor) -> Layer:
        below = squares[:, :, -1:, -1:].expand_as(squares)
        return Layer(self.segment(squares), -torch.ones_like(below) if self.blind else below)


@pytest.mark.parametrize(
    ("net", "signs"),
    [
        (Net(BAND), []),
        (Net(slice(10, 14)), []),
        (Net(slice(4, 28)), ["far too large"]),
        (Net(BAND, everywhere=True), ["pictures without the content"]),
        (Net(BAND, blind=True), ["a blur"]),
        (Net(slice(0, 0)), []),  # that masks cover nothing is told while it trains
    ],
)
def test_a_good_model_has_no_doubts_and_a_bad_one_its_own(net, signs):
    found = doubts(net, (WITH, WITHOUT), (WITH[:5], WITHOUT[:7]))
    assert len(found) == len(signs) and all(sign in sentence for sign, sentence in zip(signs, found, strict=True)), (
        found
    )


class Found(Net):
    """Finds the band, whatever its grey."""

    def segment(self, squares: Tensor) -> Tensor:
        return (squares[:, :1] != squares[:, :1, -1:]).float()


@pytest.mark.parametrize(("count", "sure"), [(8, False), (ENOUGH - 1, True), (ENOUGH, True)])
def test_of_few_pictures_it_is_not_said_that_they_do_not_differ(count, sure):
    with_, without, net = WITH[:count].clone(), WITHOUT[:count], Found(BAND)
    with_[:, :, BAND], with_[::2, :, BAND] = 110, 190  # not much brighter than the greys: of 8 no mean is sure
    assert (elsewhere(net.segment(with_.float()), with_, without) < LIMITS["elsewhere"]) == sure
    folders = (with_, without), (with_[:0], without[:0])
    assert doubts(net, *folders) == [] and ("elsewhere" in signs(net, *folders)) == (count >= ENOUGH)


def test_masks_that_lie_here_and_there_need_no_place_where_folders_differ():
    """Each covers a row of its own: in no place does one expect the content."""
    masks = torch.eye(SIDE)[:, None, :, None].expand(-1, -1, -1, SIDE)
    assert elsewhere(masks, WITHOUT[:50], WITHOUT[50:]) == 0
    assert elsewhere(torch.ones_like(masks), WITHOUT[:50], WITHOUT[50:]) == 1


def test_what_is_beneath_is_measured_against_the_mean_picture():
    assert beneath(Net(BAND), WITH, WITHOUT[:30], WITHOUT) == 0
    mean = Net(BAND)
    mean.remove = lambda squares: Layer(squares[:, :1], (WITHOUT.float().mean(0) / 127.5 - 1).expand_as(squares))
    assert beneath(mean, WITH[:9], WITHOUT, WITHOUT) == pytest.approx(1)


def test_each_sign_has_its_sentence_above_its_limit_and_none_at_it():
    assert not list(sentences(LIMITS)) and not list(sentences({}))
    for name, limit in LIMITS.items():
        [sentence] = sentences(LIMITS | {name: 1.1 * limit})
        assert f"(at most {limit:g} is usual)" in sentence
