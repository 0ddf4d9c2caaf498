"""Frames to learn from: evenly spread, never too many, and small."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from structkit.data.frames import spread_frames
from structkit.data.levels import levels


def video(count: int, height: int = 6, width: int = 8) -> list[SimpleNamespace]:
    """Frames that are as bright as their numbers; anything that yields frames will do."""
    return [SimpleNamespace(pixels=np.full((height, width, 3), i, np.uint8), time=Fraction(i)) for i in range(count)]


def numbers(frames: torch.Tensor) -> list[int]:
    return [round(float(frame.mean() + 1) * 127.5) for frame in frames]


@pytest.mark.parametrize("most", [1, 2, 3, 5, 8])
def test_they_are_evenly_spread_and_more_than_half_of_what_may_be(most):
    for count in range(1, 40):
        got = numbers(spread_frames(video(count), (6, 8), most))
        stride = got[1] - got[0] if len(got) > 1 else count
        assert got == list(range(0, count, stride)) and len(got) <= most
        assert len(got) == count or 2 * len(got) > most


def test_large_frames_are_reduced_like_the_finest_level_and_small_ones_stay():
    noise = np.random.default_rng(1).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    one = [SimpleNamespace(pixels=noise)]
    whole = spread_frames(one, (60, 80), 9)
    assert whole.shape == (1, 3, 30, 40) and whole.min() == -1 and whole.max() == 1
    torch.testing.assert_close(spread_frames(one, (15, 20), 9), levels(whole, [(15, 20)])[0])
