"""Laws of PixMix and of the fractals it mixes in."""

from __future__ import annotations

import numpy as np
import pytest

from structkit.data import pixmix
from structkit.data.fractals import fractal
from structkit.data.pixmix import PixMix, add, multiply
from structkit.errors import OptionError


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=seed))


def picture(height: int = 16, width: int = 16, seed: int = 0) -> np.ndarray:
    return rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def of_levels(pixels: np.ndarray) -> np.ndarray:
    return pixels.astype(np.float32) / np.float32(255)


def test_without_rounds_and_operations_a_mixture_is_the_picture():
    pixels = picture()
    assert all(np.array_equal(PixMix(severity=0, rounds=0)(pixels, rng(s)), of_levels(pixels)) for s in range(5))


def test_equal_generators_make_equal_mixtures_and_others_make_others():
    pixels, mix = picture(), PixMix(pictures=5)
    assert np.array_equal(mix(pixels, rng(3)), mix(pixels, rng(3)))
    assert len({mix(pixels, rng(seed)).tobytes() for seed in range(12)}) > 9  # a tenth of them keep the picture


def test_a_sum_is_weighted_about_middle_grey():
    one, other = of_levels(picture(seed=1)), of_levels(picture(seed=2))
    for first, second in ((0.7, 0.2), (1.4, -0.3)):
        signed = first * (2 * one - 1) + second * (2 * other - 1)
        assert np.allclose(add(one, other, first, second), ((signed + 1) / 2).clip(0, 1), atol=1e-6)


def test_a_product_is_one_of_powers_about_middle_grey():
    one, other = of_levels(picture(seed=1)) * 0.9 + 0.05, of_levels(picture(seed=2)) * 0.9 + 0.05
    for first, second in ((0.7, 0.2), (1.4, -0.3)):
        expected = np.exp(first * np.log(2 * one) + second * np.log(2 * other)) / 2
        assert np.allclose(multiply(one, other, first, second), expected.clip(0, 1), atol=1e-5)


def test_middle_grey_changes_nothing_and_weights_of_one_and_zero_neither():
    one, grey = of_levels(picture(seed=1)), np.full((16, 16, 3), 0.5, np.float32)
    for combine in (add, multiply):
        assert np.allclose(combine(one, grey, 1.0, 0.3), one, atol=1e-6)
        assert np.allclose(combine(one, of_levels(picture(seed=2)), 1.0, 0.0), one, atol=1e-6)


def test_black_and_white_make_no_number_that_is_none():
    black, white = np.zeros((2, 2, 3), np.float32), np.ones((2, 2, 3), np.float32)
    with np.errstate(all="raise", under="ignore"):
        for one in (black, white):
            for other in (black, white):
                for first, second in ((1.0, -1.0), (2.0, -1.0), (0.0, 1.0), (0.5, 0.5)):
                    made = multiply(one, other, first, second)
                    assert np.isfinite(made).all() and made.min() >= 0 and made.max() <= 1
    assert multiply(black, black, 1.0, -0.9).max() == 0


def test_weights_either_share_the_picture_or_subtract_the_other():
    pairs = [PixMix().weights(rng(seed)) for seed in range(400)]
    shared = [(a, b) for a, b in pairs if b >= 0]
    assert 150 < len(shared) < 250
    assert all(0 <= a <= 1 and b <= 1 for a, b in shared)
    assert all(1 <= a <= 2 and -1 <= b < 0 for a, b in pairs if b < 0)
    assert np.mean([a for a, _ in shared]) == pytest.approx(3 / 4, abs=0.04)  # of Beta(3, 1)
    assert np.mean([b for _, b in shared]) == pytest.approx(1 / 4, abs=0.04)
    apart = np.array([(a, b) for a, b in pairs if b < 0])
    assert apart.mean(0) == pytest.approx([5 / 4, -1 / 4], abs=0.04)


def test_the_other_picture_is_a_fractal_or_its_own_and_is_added_or_multiplied_as_often(monkeypatch):
    seen, pixels = [], picture()
    monkeypatch.setattr(pixmix, "fractal", lambda index, side, seed: seen.append((index, side)) or fractal(0, side))
    for name in ("add", "multiply"):
        monkeypatch.setattr(pixmix, name, lambda one, *others, name=name: seen.append(name) or one)
    mix = PixMix(severity=0, pictures=7)
    made = [mix(pixels, rng(seed)) for seed in range(500)]
    fractals, added, multiplied = [one for one in seen if len(one) == 2], seen.count("add"), seen.count("multiply")
    assert added + multiplied == pytest.approx(1000, rel=0.1)  # two rounds on average
    assert added == pytest.approx(500, rel=0.15) and len(fractals) == pytest.approx(500, rel=0.15)
    assert {index for index, _ in fractals} == set(range(7)) and {side for _, side in fractals} == {24}
    assert all(np.array_equal(one, of_levels(pixels)) for one in made)


def test_half_of_the_mixtures_start_from_the_picture_after_an_operation():
    starts = [PixMix(rounds=0)(picture(), rng(seed)) for seed in range(200)]
    assert 60 < sum(not np.array_equal(one, of_levels(picture())) for one in starts) < 110  # some change nothing


@pytest.mark.parametrize("shape", [(1, 1), (5, 31), (40, 3)])
def test_pictures_of_any_shape_are_mixed_into_range(shape):
    pixels = picture(*shape)
    pixels.setflags(write=False)
    for seed in range(12):
        made = PixMix(pictures=3)(pixels, rng(seed))
        assert made.shape == pixels.shape and made.dtype == np.float32 and made.min() >= 0 and made.max() <= 1


def test_a_fractal_is_that_of_its_index_side_and_seed():
    assert np.array_equal(fractal(1, 24), fractal.__wrapped__(1, 24))
    others = [fractal(1, 24), fractal(2, 24), fractal(1, 24, seed=1), fractal(0, 24)]
    assert len({one.tobytes() for one in others}) == 4
    assert fractal(1, 24).shape == (24, 24, 3) and fractal(1, 24).dtype == np.uint8


def test_fractals_have_structure():
    """Neighbouring pixels differ in a good part of nearly every fractal, and are equal in a good part too."""
    edges = [np.mean(np.abs(np.diff(fractal(i, 48).astype(int), axis=1)).max(-1) > 16) for i in range(40)]
    assert np.mean([0.03 < share < 0.8 for share in edges]) > 0.9


@pytest.mark.parametrize("options", [{"severity": -1}, {"rounds": -1}, {"beta": 0}, {"pictures": 0}])
def test_what_cannot_be_is_refused(options):
    with pytest.raises(OptionError, match=r"severity|PixMix"):
        PixMix(**options)
