"""Laws of clips that go on."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from structkit.configs import ClipConfig
from structkit.engines.patch.continuation import continuation
from structkit.engines.patch.extend import extend_clip
from structkit.errors import OptionError

from .scenes import pan, steps, swing


def extended(clip: Tensor, *, before: int = 0, after: int = 0, seed: int = 0, **options) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return extend_clip(clip, ClipConfig(**options), before=before, after=after, generator=generator)


@pytest.mark.parametrize(("before", "after"), [(0, 5), (3, 2), (0, 0)])
def test_known_frames_stand_to_the_last_bit(before, after):
    clip = swing(10, 8)
    made = extended(clip, before=before, after=after)
    assert made.shape == (1, 3, before + 10 + after, 24, 32) and bool(made.isfinite().all())
    assert torch.equal(made[:, :, before : before + 10], clip)


def test_a_seed_gives_one_continuation_and_another_another():
    clip = pan(14)
    first = extended(clip, after=3, seed=1, variety=1.0)
    assert torch.equal(extended(clip, after=3, seed=1, variety=1.0), first)
    assert any(not torch.equal(extended(clip, after=3, seed=seed, variety=1.0), first) for seed in (2, 3))


def test_motion_goes_on_with_its_speed_and_without_a_jump():
    for clip, after in ((swing(20, 9), 6), (pan(20), 6)):
        made, usual = extended(clip, after=after), float(steps(clip).median())
        new = steps(made)[len(steps(clip)) :]
        assert 0.5 * usual < float(new.median()) < 1.5 * usual
        assert float(new.amax()) < 2.5 * float(steps(clip).amax())


def test_a_pan_goes_on_to_the_same_side():
    wide = pan(20)
    clip = wide[:, :, :14]
    made = extended(clip, after=4, variety=0.0)
    seen = made[:, :, -1, :, 4:20]  # of what is in view all the time
    there, back = ((wide[:, :, i, :, 4:20] - seen).abs().mean() for i in (17, 9))
    assert float(there) < 0.5 * float(back)


def test_a_clip_that_came_back_goes_on_as_it_did_before():
    clip = swing(22, 10)
    made = extended(clip[:, :, :17], after=5, variety=0.0)
    true = swing(22, 10)[:, :, 17:]
    assert float((made[:, :, 17:] - true).abs().mean()) < 0.3 * float((clip[:, :, 16:17] - true).abs().mean())


def test_a_last_frame_that_only_repeats_does_not_stop_the_motion():
    clip = swing(20, 9)
    clip = torch.cat([clip, clip[:, :, -1:]], 2)
    assert float(steps(extended(clip, after=5))[-4:].amin()) > 0.2 * float(steps(clip).median())


def test_what_comes_before_is_what_would_follow_with_time_turned_round():
    clip = swing(12, 8)
    assert torch.equal(extended(clip, before=4), extended(clip.flip(2), after=4).flip(2))


def test_many_frames_go_by_windows():
    clip = swing(20, 9, 16, 24)
    made = extended(clip, after=16, window=16)
    assert torch.equal(made[:, :, :20], clip)
    assert float(steps(made).amax()) < 2 * float(steps(clip).amax())


def test_one_frame_and_two_go_on():
    for frames in (1, 2):
        clip = swing(frames, 8)
        assert torch.equal(extended(clip, before=2, after=3)[:, :, 2 : 2 + frames], clip)


def test_a_continuation_plays_frames_of_the_clip_in_their_order():
    clip = swing(20, 9)
    rough, sources = continuation(clip, 17, variety=0.5, generator=torch.Generator().manual_seed(0))
    assert rough.shape[2] == len(sources) == 17 and all(0 <= one < 20 for one in sources)
    assert sum(b == a + 1 for a, b in itertools.pairwise(sources)) >= 12


def test_fewer_frames_than_none_are_refused():
    with pytest.raises(OptionError, match="-1 frames: 0 or more"):
        extended(swing(4, 8), after=-1)
