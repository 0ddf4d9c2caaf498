"""The two versions of a moment: how fast they are, where their frames come from, and that a seed gives them again."""

from __future__ import annotations

import pytest
import torch

from structkit.data.speeds import FAST, NATURAL, SpeedSampler, regular


def drawn(kind: str, fast: bool, *, frames: int = 16, pool: int = 48, count: int = 1500) -> torch.Tensor:
    generator, sampler = torch.Generator().manual_seed(3), SpeedSampler(frames, kind)
    return torch.stack([sampler.indices(pool, fast, generator) for _ in range(count)])


@pytest.mark.parametrize("kind", ["bernoulli", "dither", "mix"])
@pytest.mark.parametrize(("fast", "speeds"), [(False, NATURAL), (True, FAST)])
def test_frames_go_forward_within_the_moment_at_the_mean_speed(kind, fast, speeds):
    found = drawn(kind, fast, frames=32, pool=96)
    gaps = found.diff(dim=1).double()
    assert found.min() >= 0 and found.max() < 96 and gaps.min() >= 1
    assert float(gaps.mean()) == pytest.approx(sum(speeds) / 2, rel=0.008 if kind == "dither" else 0.03)


def test_by_chance_gaps_are_of_any_length_and_evenly_of_two():
    assert drawn("bernoulli", True).diff(dim=1).max() > 5
    assert sorted(drawn("dither", True).diff(dim=1).unique().tolist()) == [1, 2, 3]


def test_where_too_few_frames_are_left_they_are_drawn_again():
    found = drawn("bernoulli", True, pool=36, count=300)
    assert found.shape == (300, 16) and found.max() < 36 and found.diff(dim=1).min() >= 1


def test_a_moment_that_chance_never_leaves_enough_of_is_thinned_out_evenly():
    # All frames but one would have to stay, which none of a hundred draws of the fast version does.
    found = drawn("bernoulli", True, frames=60, pool=136, count=3)
    assert found.shape == (3, 60) and found.max() < 136


def test_the_same_seed_gives_the_same_frames():
    assert torch.equal(drawn("mix", True, count=9), drawn("mix", True, count=9))


def test_without_chance_the_speeds_are_one_and_two():
    sampler, generator = SpeedSampler(8, "mix", augmented=False), torch.Generator()
    assert torch.equal(sampler.indices(24, False, generator), torch.arange(8))
    assert torch.equal(sampler.indices(24, True, generator), 2 * torch.arange(8))
    assert regular(5, 1.25).tolist() == [0, 1, 2, 3, 5]
