"""The probe of texture: what a swap of statistics keeps, who falls by it, and who follows the donor."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import structkit
from structkit.errors import InputError, OptionError
from structkit.verbs.texture import channel_statistics, deranged, with_statistics

from ..label_models import SLANTS, TONES, by_rule, slant_of, striped, tiny_classifier, tone_of
from ..labelled_toys import class_tree, labelled

HOW = {"device": "cpu"}


def pictures(count: int = 5, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, 9, 7, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_swapped_picture_has_the_statistics_of_its_donor_and_its_own_statistics_change_nothing():
    some, others = pictures(), pictures(seed=1) ** 2
    swapped = with_statistics(some, *channel_statistics(others))
    for own, theirs in zip(channel_statistics(swapped), channel_statistics(others), strict=True):
        assert torch.allclose(own, theirs, atol=1e-12)
    assert torch.allclose(with_statistics(some, *channel_statistics(some)), some, atol=1e-12)
    back = with_statistics(swapped, *channel_statistics(some))
    assert torch.allclose(back, some, atol=1e-12)


def test_a_flat_picture_becomes_the_mean_colour_of_its_donor():
    flat = torch.full((1, 3, 4, 4), 0.3)
    mean, deviation = channel_statistics(pictures(1).float())
    assert torch.allclose(with_statistics(flat, mean, deviation), mean.expand(1, 3, 4, 4), atol=1e-3)


@pytest.mark.parametrize("count", [2, 3, 10])
def test_each_picture_gives_once_and_never_to_itself(count):
    generator = torch.Generator().manual_seed(0)
    draws = [deranged(count, generator) for _ in range(20)]
    for donors in draws:
        assert sorted(donors.tolist()) == list(range(count)) and (donors != torch.arange(count)).all()
    assert count == 2 or len({tuple(donors.tolist()) for donors in draws}) > 1


def test_whoever_looks_at_tones_follows_the_donor_and_whoever_looks_at_shapes_does_not_fall():
    tones = structkit.score_texture(by_rule(tone_of, TONES), striped(), **HOW)
    assert tones.clean.accuracy == 1 and tones.followed == 1 and tones.followed_clean == 0
    assert tones.fall == pytest.approx(tones.changed) and 0.3 < tones.fall < 0.8
    slants = structkit.score_texture(by_rule(slant_of, SLANTS), striped(classes=SLANTS), **HOW)
    assert (slants.accuracy, slants.fall, slants.followed, slants.changed) == (1, 0, 0, 0)


def test_the_draws_follow_the_seed_and_the_means_are_theirs():
    model, data = tiny_classifier(), labelled(each=6)
    found = structkit.score_texture(model, data, draws=4, **HOW)
    assert len(found.swapped) == 4 and found.accuracy == pytest.approx(np.mean(found.swapped))
    assert found.deviation == pytest.approx(np.std(found.swapped)) and 0 <= found.clipped < 0.5
    assert structkit.score_texture(model, data, draws=4, **HOW).swapped == found.swapped
    tones, data = by_rule(tone_of, TONES), striped(20)
    assert len({structkit.score_texture(tones, data, seed=seed, draws=2, **HOW).swapped for seed in range(4)}) > 1


def test_a_picture_that_cannot_be_read_gives_to_nobody(tmp_path, monkeypatch):
    class_tree(tmp_path, each=2)
    whole = structkit.score_texture(tiny_classifier(), tmp_path, **HOW)
    (tmp_path / "flat" / "bad.png").write_bytes(b"no picture")
    found = structkit.score_texture(tiny_classifier(), tmp_path, **HOW)
    assert found.swapped == whole.swapped and [name for name, _ in found.rejected] == ["flat/bad.png"]
    monkeypatch.setattr("structkit.verbs.labelled_view.CHUNK", 4)
    assert structkit.score_texture(tiny_classifier(), tmp_path, **HOW).swapped == whole.swapped


def test_what_cannot_be_probed(tmp_path):
    with pytest.raises(OptionError, match="--draws is 0: it must be at least 1"):
        structkit.score_texture(tiny_classifier(), labelled(each=1), draws=0, **HOW)
    class_tree(tmp_path, each=1, classes=2)
    (tmp_path / "flat" / "0.png").write_bytes(b"")
    with pytest.raises(InputError, match="one picture, and another gives it its statistics"):
        structkit.score_texture(tiny_classifier(), tmp_path, **HOW)
