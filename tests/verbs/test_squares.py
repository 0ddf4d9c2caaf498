"""The squares of pictures and the way back: large pictures pass by strips, and the share that was found is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import structkit
from structkit.data import squares as strips_of
from structkit.engines.transfer.layer import Layer
from structkit.verbs import squares

from ..content_models import FakeDifference
from .pictures import GREY, RED, flat, model, noise, with_glasses

NOTHING = "the model finds next to none of its content here (0.00% of the picture)"


@pytest.mark.parametrize("use", [structkit.remove, structkit.segment])
def test_the_share_that_was_found_is_told_and_where_it_is_next_to_nothing_a_note_says_so(use):
    for picture, share in ((with_glasses(48, 48), 1 / 3), (noise(20, 20), 0), (flat(RED), 1)):
        made = use(picture, model(size=24), device="cpu")
        assert made.found == pytest.approx(share, abs=0.05) and (NOTHING in made.notes) == (share == 0)
    network = model(size=32)
    for count, told in ((5, True), (6, False)):  # of 1024: both sides of 0.5%
        few = (torch.arange(1024) < count).float().view(1, 1, 32, 32)
        network.segment = lambda squares, few=few: few.expand(len(squares), -1, -1, -1)
        network.remove = lambda squares: Layer(network.segment(squares), squares)
        made = use(flat(GREY, 32, 32), network, device="cpu")
        assert made.found == count / 1024 and any("finds next to none" in note for note in made.notes) == told


def test_the_share_is_of_the_whole_picture_and_of_what_shows_of_it():
    assert structkit.segment(flat(RED, 16, 32), model(fit="crop"), device="cpu").found == 0.5
    alpha = np.full((32, 32), 255, np.uint8)
    alpha[:, :8] = 0
    assert structkit.segment(replace(flat(RED, 32, 32), alpha=alpha), model(), device="cpu").found == 0.75
    assert structkit.transfer(flat(0), flat(RED), model(), device="cpu").found is None
    assert structkit.remove(flat(0), model(FakeDifference), device="cpu").found is None


VERBS = {
    "remove": lambda picture, network: structkit.remove(picture, network, device="cpu"),
    "transfer": lambda picture, network: structkit.transfer(picture, with_glasses(), network, device="cpu"),
    "mask": lambda picture, network: structkit.segment(picture, network, device="cpu"),
    "soft": lambda picture, network: structkit.segment(picture, network, device="cpu", soft=True),
    "overlay": lambda picture, network: structkit.segment(picture, network, device="cpu", overlay=True),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("fit", ["squash", "crop"])
def test_a_large_picture_comes_out_as_if_it_were_small_and_no_tensor_is_larger_than_a_strip(monkeypatch, verb, fit):
    alpha = np.full((150, 90), 255, np.uint8)
    pictures = [with_glasses(150, 90), with_glasses(90, 151, bits=16), with_glasses(150, 90, alpha=alpha)]
    at_once = [VERBS[verb](picture, model(fit=fit)) for picture in pictures]
    sizes = []

    def sized(function):
        def call(*given, **named):
            made = function(*given, **named)
            sizes.append(made[0, 0].numel())
            return made

        return call

    monkeypatch.setattr(strips_of, "STRIP", 1000)
    monkeypatch.setattr(strips_of, "LEAST_COLUMNS", 2)
    monkeypatch.setattr(squares, "to_tensor", sized(squares.to_tensor))
    monkeypatch.setattr(strips_of.LargeFields, "columns", sized(strips_of.LargeFields.columns))
    for picture, whole in zip(pictures, at_once, strict=True):
        made = VERBS[verb](picture, model(fit=fit))
        assert made.pixels.dtype == whole.pixels.dtype and np.array_equal(made.pixels, whole.pixels)
    own = sizes if verb != "transfer" else [size for size in sizes if size != 32 * 32]  # the donor is small
    assert len(own) > 50 and max(own) <= 1000
