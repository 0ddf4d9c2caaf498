"""Windows of a video: where they begin and end, and what they hold."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from structkit.data.windows import (
    TOGETHER,
    VideoWindow,
    seen_windows,
    stretches,
    video_windows,
    window_at,
    window_tensor,
)
from structkit.errors import InputError
from structkit.media.sampled import SampledVideo

from ..speed_models import film


@pytest.fixture
def sampled(tmp_path):
    return lambda count, **how: SampledVideo(film(tmp_path / f"{count}.mp4", count=count, **how), side=32)


@pytest.mark.parametrize(("count", "frames"), [(16, 8), (17, 8), (23, 9), (40, 16), (8, 8)])
def test_every_frame_is_in_a_window_and_all_windows_are_equally_long(sampled, count, frames):
    video = sampled(count)
    every = [sample.pixels for sample in video]
    found = list(video_windows(video, frames))
    covered = np.zeros(count, int)
    for window in found:
        first, last = round(25 * window.start), round(25 * window.end)
        assert last - first == len(window.frames) == frames
        covered[first:last] += 1
        assert all(np.array_equal(a, b) for a, b in zip(window.frames, every[first:last], strict=True))
    assert covered.min() >= 1 and len(found) == 1 + -(-(count - frames) // (frames // 2))


def test_the_only_window_of_a_short_video_is_all_of_it(sampled):
    [window] = video_windows(sampled(11), 16)
    assert (window.start, window.end, len(window.frames)) == (0, 0.44, 11)


@pytest.mark.parametrize(("time", "first"), [(0.0, 0), (0.1, 0), (0.4, 6), (0.68, 13), (0.96, 16)])
def test_a_time_is_in_the_middle_of_its_window_as_far_as_the_video_goes(sampled, time, first):
    window = window_at(sampled(24), 8, time)
    assert round(25 * window.start) == first and round(25 * window.end) == first + 8


def test_a_time_outside_of_the_video_is_refused(sampled):
    with pytest.raises(InputError, match=r"24.mp4: no frame at 3 s: the video goes from 0 to 0.96 s; name a time in"):
        window_at(sampled(24), 8, 3.0)


def test_what_is_too_short_or_too_small_to_see_motion_in_is_refused(sampled):
    with pytest.raises(InputError, match=r"5.mp4: 0.20 s, and 0.32 s are the least in which motion is seen"):
        list(video_windows(sampled(5), 8))
    with pytest.raises(InputError, match=r"9.mp4: 40 x 24 px, and 32 px are the least in which motion is seen"):
        list(video_windows(sampled(9, height=24), 8))


def test_windows_are_seen_one_for_one_however_many_are_together():
    random = np.random.default_rng(0)
    shapes = [(8, 32, 40)] * (2 * TOGETHER + 1) + [(9, 32, 32)]
    windows = [
        VideoWindow(random.integers(0, 256, (*shape, 3), np.uint8), float(i), i + 1.0) for i, shape in enumerate(shapes)
    ]
    found = list(seen_windows(iter(windows), lambda clips: clips.mean((2, 3, 4)), "cpu"))
    assert [window.start for window, _ in found] == [window.start for window in windows]
    for (kept, seen), window in zip(found, windows, strict=True):
        assert kept.frames is None
        assert torch.allclose(seen, window_tensor([window]).mean((2, 3, 4))[0], atol=1e-6)


def test_pixels_become_numbers_from_minus_one_to_one():
    frames = np.zeros((8, 2, 2, 3), np.uint8)
    frames[0, 0, 1] = (255, 0, 51)
    made = window_tensor([VideoWindow(frames, 0, 1)])
    assert made.shape == (1, 3, 8, 2, 2)
    assert made[0, :, 0, 0, 1].tolist() == pytest.approx([1, -1, -0.6], abs=1e-6)


def test_stretches_are_spread_over_all_of_a_video(sampled):
    video = sampled(50)
    every = [sample.pixels for sample in video]
    whole = stretches(video, 8, 10, 99)
    assert np.array_equal(np.concatenate(whole), np.stack(every))
    some = stretches(video, 8, 10, 3)
    assert [len(one) for one in some] == [10, 10, 10]
    assert [np.array_equal(one[0], every[first]) for one, first in zip(some, (0, 20, 40), strict=True)] == [True] * 3
    assert stretches(sampled(7), 8, 16, 4) == []
