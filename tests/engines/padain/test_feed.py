"""The batches of a classifier: each picture as often as any other, by whoever and in whatever order they are made."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from structkit.configs import ClassifierConfig
from structkit.data.augmix import AugMix
from structkit.data.labelled import LabelledPictures, read_labelled
from structkit.data.pixmix import PixMix
from structkit.engines.padain import feed as feeds
from structkit.engines.padain.feed import PictureFeed
from structkit.training.draw import Draw
from structkit.training.parallel import ALONE, Processes

from ...labelled_toys import SIDE, TINY, class_tree, labelled


def numbered(count: int) -> LabelledPictures:
    """Pictures of one colour each, whose red level and label say which one it is."""
    pictures = np.zeros((count, 8, 8, 3), np.uint8)
    pictures[..., 0] = np.arange(count)[:, None, None]
    names = [str(i) for i in range(count)]
    return LabelledPictures(names, torch.arange(count), names, pictures, np.arange(count))


def feed(learned: LabelledPictures, **options) -> PictureFeed:
    return PictureFeed(learned, ClassifierConfig(**TINY | options).filled(), "cpu")


def test_every_picture_is_seen_as_often_as_any_other_and_with_its_label():
    made, seen = feed(numbered(10), side=8, crop="none"), Counter()
    for step in range(1, 6):
        views, labels = made.take(Draw(0, 0, step), 5, 4, ALONE)
        assert (views[0, :, 0, 4, 4] * 255).round().long().tolist() == labels.tolist()
        seen.update(labels.tolist())
    assert set(seen) == set(range(10)) and set(seen.values()) == {2}


def test_passes_have_orders_of_their_own_which_the_seed_decides():
    orders = [
        [feed(numbered(12), side=8).take(Draw(seed, 0, step), 9, 12, ALONE)[1].tolist() for step in (1, 2)]
        for seed in (0, 0, 1)
    ]
    assert orders[0] == orders[1] != orders[2]
    assert orders[0][0] != orders[0][1] and sorted(orders[0][0]) == sorted(orders[0][1])


def test_a_batch_may_be_larger_than_all_pictures():
    _, labels = feed(numbered(3), side=8).take(Draw(0, 0, 1), 5, 8, ALONE)
    assert sorted(Counter(labels.tolist()).values()) == [2, 3, 3]


def test_two_processes_see_together_what_one_sees():
    whole, labels = feed(labelled()).take(Draw(0, 0, 3), 5, 12, ALONE)
    parts = [feed(labelled()).take(Draw(0, 0, 3), 5, 12, Processes(rank, 2)) for rank in (0, 1)]
    assert torch.equal(torch.cat([views for views, _ in parts], 1), whole)
    assert torch.equal(torch.cat([some for _, some in parts]), labels)


def test_steps_out_of_turn_are_those_in_turn():
    """Before a training with --minutes some steps are timed, in another order."""
    made = feed(labelled())
    in_turn = [made.take(Draw(0, 0, step), 6, 5, ALONE)[0] for step in range(1, 7)]
    for step in (2, 1, 2, 3, 6, 6, 4):
        assert torch.equal(made.take(Draw(0, 0, step), 6, 5, ALONE)[0], in_turn[step - 1])


def test_a_worker_makes_the_same_views():
    options = {"augmix": True, "crop": "resized"}
    alone, helped = feed(labelled(2), **options), feed(labelled(2), **options | {"workers": 1})
    for step in (1, 2, 3):
        mine, theirs = (one.take(Draw(0, 0, step), 3, 4, ALONE) for one in (alone, helped))
        assert torch.equal(mine[0], theirs[0]) and torch.equal(mine[1], theirs[1])
    assert helped.views is None  # after the last step the worker has ended


def test_workers_are_not_given_more_decoded_pictures_than_is_fit(tmp_path, monkeypatch):
    learned = read_labelled(class_tree(tmp_path / "tree", each=1))
    each = learned.pixels(0).nbytes
    for most, light in ((6 * each, False), (6 * each - 1, True)):
        monkeypatch.setattr(feeds, "MOST_SENT", most)
        assert (feed(learned, crop="resized", workers=2).pictures is not learned) == light
    assert feed(learned, crop="resized", workers=0).pictures is learned


def test_mean_and_deviation_are_those_of_all_pictures():
    learned = labelled()
    mean, deviation = feed(learned).statistics()
    pixels = learned.array(SIDE).double() / 255
    assert mean == pytest.approx(pixels.mean((0, 2, 3)).tolist(), abs=1e-6)
    assert deviation == pytest.approx(pixels.std((0, 2, 3), correction=0).tolist(), abs=1e-6)


@pytest.mark.parametrize(
    ("options", "mixing"),
    [
        ({"augmix": True}, AugMix(severity=3)),
        ({"pixmix": True}, PixMix(severity=3, beta=3)),
        ({"pixmix": True, "severity": 5}, PixMix(severity=5, beta=3)),
        ({"preset": "imagenet", "pixmix": True, "width": None}, PixMix(severity=1, beta=4)),
    ],
)
def test_mixing_is_as_strong_as_asked_for_and_as_published(options, mixing):
    made = feed(labelled(2), **options)
    made.take(Draw(0, 0, 1), 9, 2, ALONE)
    assert made.views is not None and made.views.views.mixing == mixing
