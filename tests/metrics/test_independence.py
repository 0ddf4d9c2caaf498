"""Laws of the probes and of the test of independence."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from structkit.errors import InputError, StructkitError
from structkit.metrics.independence import dependence, probe, zero_ratio

pytestmark = pytest.mark.usefixtures("one_thread")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(count: int, width: int, seed: int = 0) -> Tensor:
    return torch.randn(count, width, generator=seeded(seed))


def crossed(count: int, sign: int, seed: int) -> Tensor:
    """Two numbers that are large, with equal signs (sign 1) or opposite ones (-1), among six others: each for itself
    says nothing.
    """
    codes = noise(count, 8, seed)
    codes[:, 0] = torch.where(torch.rand(count, generator=seeded(seed)) < 0.5, 2.0, -2.0)
    codes[:, 1] = sign * codes[:, 0]
    codes[:, :2] += 0.3 * noise(count, 2, seed + 100)
    return codes


@pytest.mark.parametrize("hidden", [0, 256])
def test_codes_of_one_kind_cannot_be_told_apart(hidden):
    found = probe(noise(400, 24), noise(400, 24, seed=1), hidden=hidden, generator=seeded())
    assert 0.42 < found.accuracy < 0.58 and found.bits < 0.02


@pytest.mark.parametrize("hidden", [0, 256])
def test_codes_that_lie_apart_are_told_apart(hidden):
    found = probe(noise(200, 16), noise(200, 16, seed=1) + 2.5, hidden=hidden, generator=seeded())
    assert found.accuracy > 0.99 and found.bits > 0.95


def test_what_only_two_numbers_together_say_takes_a_network():
    one, other = crossed(300, 1, 0), crossed(300, -1, 1)
    assert probe(one, other, generator=seeded()).accuracy < 0.6
    assert probe(one, other, hidden=64, generator=seeded()).accuracy > 0.97


def test_a_weak_sign_is_found_as_well_as_can_be():
    found = probe(noise(1000, 10), noise(1000, 10, seed=1) + 0.5, generator=seeded())  # the best there is: 78.5 %
    assert 0.76 < found.accuracy < 0.81
    assert 0.3 < found.bits < 0.4


def test_a_scarce_kind_counts_as_much_as_the_other():
    found = probe(noise(900, 6), noise(100, 6, seed=1), generator=seeded())
    assert 0.4 < found.accuracy < 0.6 and found.bits < 0.03


def test_scale_and_place_do_not_matter_nor_numbers_that_never_change():
    one, other = noise(200, 6), noise(200, 6, seed=1) + 0.4
    scale = torch.tensor([1e-3, 1, 10, 100, 1, 0])
    found, again = (
        probe(one[:, :5], other[:, :5], generator=seeded()),
        probe(scale * one + 7, scale * other + 7, generator=seeded()),
    )
    assert again.accuracy == pytest.approx(found.accuracy, abs=0.01)


def test_equal_seeds_give_equal_figures_and_the_world_s_randomness_is_left_alone():
    one, other, state = noise(100, 8), noise(100, 8, seed=1) + 0.3, torch.get_rng_state()
    assert probe(one, other, hidden=16, generator=seeded(3)) == probe(one, other, hidden=16, generator=seeded(3))
    assert torch.equal(torch.get_rng_state(), state)


def test_a_twin_helps_nobody():
    """The same codes as either kind: a probe that had learnt their twins would be wrong each time."""
    codes = noise(300, 64)
    assert 0.45 < probe(codes, codes, hidden=64, generator=seeded()).accuracy < 0.55


def test_the_zero_ratio():
    present = noise(50, 4)
    assert zero_ratio(torch.zeros(9, 4), present) == 0 and zero_ratio(-0.5 * present, present) == pytest.approx(0.5)
    assert math.isnan(zero_ratio(torch.zeros(9, 4), torch.zeros(9, 4)))


def test_independent_codes_are_found_so_and_any_dependence_is_seen():
    one = noise(150, 3)
    apart, square = (
        dependence(one, noise(150, 5, seed=1), generator=seeded()),
        dependence(one, one[:, :1].square(), generator=seeded()),
    )
    assert abs(apart.correlation) < 0.05 and apart.p > 0.05
    assert square.correlation > 0.08 and square.p == pytest.approx(1 / 200)
    assert dependence(one, 3 * one - 1, generator=seeded()).correlation == pytest.approx(1)


def test_how_codes_are_turned_does_not_matter_for_dependence():
    one, other = noise(60, 4), noise(60, 2, seed=1)
    other[:, 0] += one[:, 1]
    assert dependence(one, -other.flip(1), generator=seeded()) == dependence(one, other, generator=seeded())


def test_in_many_numbers_independent_codes_still_have_none():
    assert (
        abs(dependence(noise(80, 400), noise(80, 400, seed=1), permutations=1, generator=seeded()).correlation) < 0.05
    )


def test_what_cannot_be_probed():
    with pytest.raises(
        InputError, match="19 and 30 codes; a probe learns from at least 20 of each kind: give more pictures"
    ):
        probe(noise(19, 4), noise(30, 4), generator=seeded())
    bad = noise(30, 4)
    bad[3, 2] = math.nan
    with pytest.raises(StructkitError, match="1 of 240 values of a code are not finite; check the model's weights"):
        probe(bad, noise(30, 4), generator=seeded())
    with pytest.raises(InputError, match="5 and 6 codes; two codes of the same pictures, at least 4"):
        dependence(noise(5, 2), noise(6, 2), generator=seeded())
