"""Windows of a clip: its own frames, the first and the last at every level, mirrored and moved as asked for."""

from __future__ import annotations

import pytest
import torch

from structkit.data.clips import ClipWindows
from structkit.data.levels import levels
from structkit.errors import InputError

SHAPES = [(3, 2, 3), (4, 3, 5), (7, 4, 6)]  # strides 3, 2, 1


def clip(frames: int = 9) -> torch.Tensor:
    return torch.rand(1, 3, frames, 8, 12, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_a_window_has_every_so_many_frames_from_its_first_to_its_last():
    windows, starts = ClipWindows(clip(), SHAPES, 7), torch.tensor([0, 2])
    assert windows.count == 3
    for level, stride in enumerate((3, 2, 1)):
        found = windows.windows(level, starts)
        assert found.shape == (2, 3, *SHAPES[level])
        for window, start in zip(found, starts, strict=True):
            frames = clip()[0, :, start : start + 7 : stride].transpose(0, 1)
            torch.testing.assert_close(window.transpose(0, 1), levels(frames, [SHAPES[level][1:]])[0])


def test_only_windows_that_are_to_be_mirrored_are():
    windows, starts = ClipWindows(clip(), SHAPES, 7), torch.tensor([1, 1])
    plain, mirrored = windows.windows(2, starts, torch.tensor([False, True]))
    assert torch.equal(mirrored, plain.flip(-1)) and torch.equal(plain, windows.windows(2, starts)[0])


def test_a_picture_is_its_own_only_window():
    picture = clip()[:, :, 0]
    windows = ClipWindows(picture, [(2, 3), (8, 12)], 1)
    assert windows.count == 1
    torch.testing.assert_close(windows.windows(1, torch.zeros(3, dtype=torch.long)), picture.expand(3, -1, -1, -1))


def test_in_memory_are_the_coarsest_level_and_the_one_that_was_asked_for_last():
    windows = ClipWindows(clip(), SHAPES, 7)
    for level in (0, 1, 2, 0):
        windows.whole(level)
    assert windows.whole(0) is windows.whole(0) and sorted(windows._kept) == [0, 2]


@pytest.mark.parametrize(("frames", "words"), [(6, "6 frames"), (1, "1 frame")])
def test_a_clip_shorter_than_its_window_is_refused_with_the_window_that_it_allows(frames, words):
    window = {6: "6 or less", 1: "1"}[frames]
    with pytest.raises(InputError, match=rf"the clip has {words}, and a window 7: use --window {window}, or a longer"):
        ClipWindows(clip(frames), SHAPES, 7)
