"""Laws of windows, and of loops."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from torch import Tensor

from structkit.configs import ClipConfig
from structkit.engines.patch import clips
from structkit.engines.patch.clips import sample_clip
from structkit.engines.patch.repeats import around_resized, near_loop, with_way_back
from structkit.engines.patch.windows import HELD, SHARED, by_windows, frames_around, spans, window_frames
from structkit.media.moving_pictures import clip_tensor, read_clip

from .scenes import pan, steps, swing

SMALL = 20, 28  # px: height and width of frames


def balloons() -> Tensor:
    """(1, 3, 13, 72, 128): the clip of the examples."""
    return clip_tensor(read_clip(Path(__file__).parents[3] / "examples" / "balloons.mp4", side=128))


def sampled(clip: Tensor, frames: int, *, seed: int = 0, loop: bool = False, **options) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (frames, *clip.shape[3:])
    return sample_clip(clip, ClipConfig(**options), shape=shape, loop=loop, generator=generator)


@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize(("frames", "window"), [(16, 16), (17, 16), (40, 16), (100, 24), (250, 40)])
def test_windows_cover_all_frames_and_share_their_borders(frames, window, loop):
    windows = spans(frames, window, loop=loop)
    assert all(len(one) <= max(window, len(windows[0])) for one in windows)
    assert {at % frames for one in windows for at in one} == set(range(frames))
    if len(windows) > 1:
        assert all(a.stop - b.start == SHARED for a, b in itertools.pairwise(windows))
        assert max(map(len, windows)) <= window
        assert windows[-1].stop == frames + HELD * loop


def test_of_the_frames_that_a_window_has_made_the_next_holds_some_and_lets_others_go():
    seen = []

    def make(number, window, held):
        frames = torch.full((1, 3, len(window), 2, 2), float(number))
        if held is not None:
            seen.append(held.known[0, 0, :, 0, 0])
            assert bool((held.picture[:, :, :SHARED] == number - 1).all())
        return frames

    windows = spans(60, 24, loop=True)
    made = by_windows((60, 2, 2), windows, make)
    assert len(seen) == len(windows) - 1 and all(bool((known[:HELD] == 1).all()) for known in seen)
    assert all(bool((known[HELD - 1 : SHARED + 1].diff() < 0).all()) and known[SHARED] == 0 for known in seen)
    assert bool((seen[-1][-HELD:] == 1).all()) and not bool(seen[0][SHARED:].any())
    new = [window.start + (HELD if number else 0) for number, window in enumerate(windows)]
    assert made[0, 0, :, 0, 0].tolist() == [float(sum(first <= t for first in new) - 1) for t in range(60)]


def test_the_frames_around_one_are_as_many_as_there_can_be():
    assert [frames_around(m, 10, 4) for m in (0, 5, 9.5)] == [slice(0, 4), slice(3, 7), slice(6, 10)]
    assert frames_around(2, 3, 4) == slice(0, 4)


def test_a_window_is_longer_the_smaller_its_frames():
    config = ClipConfig()
    assert (
        window_frames(config, (72, 128)) > window_frames(config, (144, 256)) > window_frames(config, (1080, 1920)) - 1
    )
    assert window_frames(ClipConfig(window=30), (72, 128)) == 30


@pytest.mark.slow
def test_what_fits_a_window_has_the_bits_that_it_has_without_any():
    clip = swing(16, 8, *SMALL)
    assert torch.equal(sampled(clip, 16, window=16, rounds=1), sampled(clip, 16, rounds=1))


@pytest.mark.slow
def test_a_long_clip_by_windows_moves_alike_at_their_borders():
    clip = swing(40, 9, *SMALL)
    made = sampled(clip, 40, window=16)
    change, borders = steps(made), [window.start + HELD - 1 for window in spans(40, 16)[1:]]
    inside = [i for i in range(39) if i not in borders]
    assert float(change[borders].mean()) < 1.5 * float(change[inside].mean())
    assert 0.5 * float(steps(clip).mean()) < float(change.mean()) < 1.5 * float(steps(clip).mean())


def test_by_windows_the_same_seed_gives_the_same_clip_and_another_another():
    clip = swing(20, 9, 16, 16)
    one, same, other = (sampled(clip, 20, seed=seed, window=16, rounds=1) for seed in (0, 0, 1))
    assert len(spans(20, 16)) > 1 and torch.equal(one, same) and not torch.equal(one, other)


def test_a_long_sample_keeps_to_its_time():
    clip = swing(40, 9, *SMALL) * torch.linspace(0.2, 1, 40)[:, None, None]
    bright = sampled(clip, 40, window=16).square().mean((0, 1, 3, 4))
    assert float(bright[:10].mean()) < 0.5 * float(bright[-10:].mean())


@pytest.mark.parametrize(("have", "want"), [(24, 8), (8, 24)])
def test_longer_and_shorter_samples_than_the_clip(have, want):
    clip = swing(have, 9, *SMALL)
    made = sampled(clip, want, window=16, rounds=1)
    assert made.shape[2] == want and float(steps(made).mean()) > 0.4 * float(steps(clip).mean())


def test_windows_of_a_loop_meet():
    clip = swing(30, 10, *SMALL)
    made = sampled(clip, 30, loop=True, window=16)
    change = steps(torch.cat([made, made[:, :, :1]], 2))
    assert float(change[-1]) < 1.3 * float(change[:-1].amax())


@pytest.mark.parametrize("clip", [swing(30, 11), pan(30)], ids=["swing", "pan"])
def test_no_joint_is_seen_in_a_loop_and_the_motion_stays(clip):
    made = sampled(clip, 15, loop=True)
    change = steps(torch.cat([made, made[:, :, :1]], 2))
    assert float(change[-1]) < 1.3 * float(change[:-1].amax())
    assert float(change.mean()) > 0.4 * float(steps(clip).mean())


def test_a_period_is_found():
    clip = swing(40, 16)
    near = near_loop(clip, (16, 24, 32), None)
    assert float((near[:, :, 0] - near[:, :, -1]).abs().mean()) < 1.3 * float(steps(clip).amax())
    assert float(steps(near).mean()) > 0.8 * float(steps(clip).mean())


def test_what_only_goes_one_way_is_taken_backwards_too_and_what_comes_back_is_not():
    there = balloons()
    both = with_way_back(there, 13)
    assert torch.equal(both, torch.cat([there, there[:, :, 1:-1].flip(2)], 2))
    assert with_way_back(swing(40, 16), 16).shape[2] == 40


@pytest.mark.slow
def test_no_frame_of_a_loop_is_blurred():
    """Balloons rise by more than their height: what hurries back to its beginning would be a smear there."""
    there, made = balloons(), sampled(balloons(), 13, loop=True)
    edges, own = (clip.diff(dim=4).square().mean((0, 1, 3, 4)) for clip in (made, there))
    assert float(edges.amin()) > 0.85 * float(own.mean())


def test_a_loop_in_another_shape_is_one_from_whichever_frame_on():
    loop = swing(12, 12)
    other = around_resized(loop, (18, 24, 32))
    turned = around_resized(loop.roll(4, 2), (18, 24, 32))
    assert other.shape[2] == 18 and torch.allclose(turned, other.roll(6, 2), atol=1e-5)


def test_the_arrangement_of_all_windows_is_no_larger_than_one(monkeypatch):
    sides = []
    made = clips.ClipSynthesis

    def noted(clip, config, shape, **how):
        sides.append((clip.shape[2:].numel(), shape[0] * shape[1] * shape[2]))
        return made(clip, config, shape, **how)

    monkeypatch.setattr(clips, "ClipSynthesis", noted)
    sampled(swing(30, 9, *SMALL), 30, window=16, rounds=1)
    assert max(max(pair) for pair in sides) <= 16 * SMALL[0] * SMALL[1]
