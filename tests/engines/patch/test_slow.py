"""Laws of slow motion, and of what lies between two frames."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from structkit.configs import ClipConfig
from structkit.engines.patch.morph import Morph
from structkit.engines.patch.slow import slow_clip
from structkit.errors import OptionError

from .scenes import pan


def slowed(clip: Tensor, factor: int, *, seed: int = 0, **options) -> Tensor:
    return slow_clip(clip, ClipConfig(**options), factor=factor, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_known_frames_stand_to_the_last_bit(factor):
    clip = pan(4, step=3)
    made = slowed(clip, factor)
    assert made.shape == (1, 3, 3 * factor + 1, 24, 32)
    assert torch.equal(made[:, :, ::factor], clip)


def test_frames_between_are_nearer_to_those_left_out_than_a_cross_fade_is():
    true = pan(9, step=2)
    half = true[:, :, ::2]
    made = slowed(half, 2)[:, :, 1::2]
    fade = (half[:, :, 1:] + half[:, :, :-1]) / 2
    inner = (..., slice(4, -4))
    apart, faded = ((x - true[:, :, 1::2])[inner].square().mean() for x in (made, fade))
    assert float(apart) < 0.3 * float(faded)


def test_a_still_clip_stays_still():
    clip = pan(1).expand(1, 3, 3, 24, 32)
    assert torch.allclose(slowed(clip, 3), clip[:, :, :1].expand(1, 3, 7, 24, 32), atol=1e-5)


def test_windows_give_the_frames_that_are_asked_for():
    clip = pan(7, step=2)
    made = slowed(clip, 4, window=16)
    assert made.shape[2] == 25 and torch.equal(made[:, :, ::4], clip)
    assert float((made - slowed(clip, 4)).square().mean()) < 0.01 * float(clip.var())


def test_one_frame_has_none_between():
    assert torch.equal(slowed(pan(1), 5), pan(1))


def test_a_morph_begins_and_ends_with_its_frames_and_mirrors_in_time():
    one, other = pan(3)[:, :, 0], pan(3)[:, :, 2]
    there, back = Morph(one, other), Morph(other, one)
    assert torch.allclose(there.at(0.0)[0], one, atol=0.05) and torch.allclose(there.at(1.0)[0], other, atol=0.05)
    assert torch.allclose(there.at(0.25)[0], back.at(0.75)[0], atol=1e-4)


def test_a_factor_below_one_is_refused():
    with pytest.raises(OptionError, match="0 times: 1 or more"):
        slowed(pan(2), 0)
