"""Laws of the ladder of speeds: what a pass of the whole clip says, in chunks, at each factor and at each frame."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from structkit.engines.speednet.ladder import FACTORS, PUBLISHED_FACTORS, SpeedLadder
from structkit.errors import OptionError


class Stand(torch.nn.Module):
    """A stand-in for a network: differences in time, a box over `halo` frames on each side, and a place's maximum."""

    def __init__(self, halo=5, temperature=2.0):
        super().__init__()
        self.halo, self.temperature, self.calls = halo, temperature, []
        generator = torch.Generator().manual_seed(0)
        reach = 4 if halo is None else halo
        self.weight = torch.nn.Parameter(torch.randn(1, 3, 2 * reach + 1, 3, 3, generator=generator))

    def logits(self, frames):
        self.calls.append(tuple(frames.shape))
        found = torch.nn.functional.conv3d(frames, self.weight, padding=(self.weight.shape[2] // 2, 1, 1))
        found = found.amax((1, 3, 4)) / 20
        return found if self.halo is not None else found + found.mean(1, keepdim=True)


def frames_of(count, side=8, seed=0):
    random = np.random.default_rng(seed)
    return [random.integers(0, 256, (side, side + 2, 3), np.uint8) for _ in range(count)]


def judged(model, frames, factors=(1.0, 1.5, 2.0, 4.0), together=17, **options):
    ladder = SpeedLadder(model, factors, **options)
    for start in range(0, len(frames), together):
        ladder.push(frames[start : start + together])
    return ladder.finish()


def whole(model, frames, factor, halo):
    """The predictions of one pass over a whole version, whose ends are repeated, and the frames that they are of."""
    places = [int(np.floor(i * factor)) for i in range(len(frames)) if np.floor(i * factor) < len(frames)]
    kept = [frames[place] for place in places]
    kept = [kept[0]] * halo + kept + [kept[-1]] * halo
    clip = torch.from_numpy(np.stack(kept)).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
    with torch.no_grad():
        found = torch.sigmoid(model.logits(clip)[0] / model.temperature)
    return places, found[halo : halo + len(places)].double().numpy()


@pytest.mark.parametrize("count", [40, 97, 200])
@pytest.mark.parametrize("chunk", [8, 33])
def test_chunks_say_what_the_whole_clip_says_at_each_factor_and_frame(count, chunk):
    model, frames = Stand(), frames_of(count)
    found = judged(model, frames, window=4, chunk=chunk)
    assert found.shape == (4, count)
    for row, factor in enumerate((1.0, 1.5, 2.0, 4.0)):
        places, expected = whole(model, frames, factor, model.halo)
        assert np.allclose(found[row, places], expected, atol=1e-4)
        assert np.allclose(found[row], np.interp(np.arange(count), places, expected), atol=1e-4)


def test_the_parts_in_which_frames_come_change_nothing():
    frames = frames_of(120)
    assert np.array_equal(judged(Stand(), frames, together=1), judged(Stand(), frames, together=120))


def test_where_the_whole_clip_has_its_say_windows_overlap_and_their_middles_count():
    model, frames = Stand(halo=None), frames_of(100)
    found = judged(model, frames, (1.0, 2.0), window=16)
    assert {shape[2] for shape in model.calls} == {16} and np.isfinite(found).all()
    _, middle = whole(Stand(halo=None), frames[4:20], 1.0, 0)
    assert np.allclose(found[0, 8:16], middle[4:12], atol=1e-4)


def test_each_frame_goes_through_the_network_about_once_at_each_factor():
    model = Stand()
    judged(model, frames_of(400), (1.0, 2.0), chunk=50)
    assert sum(shape[2] for shape in model.calls) == (8 + 4) * (50 + 10)


def test_a_version_that_is_too_short_is_not_judged_and_the_clip_itself_always_is():
    found = judged(Stand(), frames_of(30), FACTORS, window=10)
    assert np.isfinite(found[:4]).all() and np.isnan(found[4:]).all()
    assert np.isfinite(judged(Stand(), frames_of(1), FACTORS, window=10)[0]).all()
    assert judged(Stand(), []).shape == (4, 0)


def test_memory_does_not_grow_with_the_clip():
    ladder = SpeedLadder(Stand(), FACTORS, chunk=16)
    held = []
    for _ in range(6):
        ladder.push(frames_of(60))
        held.append(sum(len(version.waiting) for version in ladder.versions))
    assert max(held) <= len(FACTORS) * (16 + 2 * 5)


def test_predictions_follow_the_temperature():
    frames = frames_of(60)
    mild, sharp = (judged(Stand(temperature=t), frames, (1.0,))[0] for t in (4.0, 1.0))
    odds = [np.log(p / (1 - p)) for p in (mild, sharp)]
    assert np.allclose(4 * odds[0], odds[1], atol=1e-3)


def test_larger_frames_are_seen_at_the_size_of_the_model():
    model = Stand()
    judged(model, frames_of(20, side=24), (1.0,), side=8)
    assert {shape[3:] for shape in model.calls} == {(8, 9)}


def test_bfloat16_is_near():
    frames = frames_of(60)
    exact, rough = (judged(Stand(), frames, (1.0,), dtype=dtype) for dtype in (torch.float32, torch.bfloat16))
    assert 0 < np.abs(exact - rough).max() < 0.05


def test_the_published_factors_are_powers():
    assert PUBLISHED_FACTORS[0] == 1 and PUBLISHED_FACTORS[-1] == pytest.approx(9.31, abs=0.01)


@pytest.mark.parametrize("factors", [(), (0.5, 1), (1, 1), (2, 1)])
def test_factors_in_no_order_are_refused(factors):
    with pytest.raises(OptionError, match="they must increase, from 1 or more"):
        SpeedLadder(Stand(), factors)
