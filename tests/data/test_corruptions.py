"""Corruptions of pictures: laws of all kinds, closed forms, seeds, constants."""

from __future__ import annotations

import io
import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from structkit.configs.corrupt import kinds_of, severities_of
from structkit.data.corruptions import (
    CATEGORIES,
    CORRUPTIONS,
    EXTRA,
    SEVERITIES,
    content_name,
    corrupted,
    corrupted_batch,
    origin_of,
    parameters,
    seed_of,
)
from structkit.data.corruptions.tables import TABLES
from structkit.errors import InputError, OptionError

ALL = (*CORRUPTIONS, *EXTRA)
EXACT = ("defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate", "jpeg_compression")  # nothing is drawn
EXACT += ("gaussian_blur", "saturate")
BLURS = ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "elastic_transform", "pixelate", "gaussian_blur")


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


def scenes(count: int = 8, side: int = 32) -> np.ndarray:
    """Pictures with shades, edges and some grain: (count, side, side, 3) uint8."""
    draw = np.random.default_rng(5)
    row, column = np.mgrid[:side, :side] / side
    made = np.empty((count, side, side, 3))
    for one in made:
        one[:] = draw.uniform(40, 200, 3) + 30 * (row * draw.normal() + column * draw.normal())[..., None]
        for _ in range(12):
            y, x, size = *draw.random(2), draw.uniform(0.05, 0.3)
            one[(row - y) ** 2 + (column - x) ** 2 < size**2] = draw.uniform(0, 255, 3)
    return (made + draw.normal(0, 6, made.shape)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("kind", ALL)
def test_a_picture_is_corrupted_alike_alone_and_in_any_batch(kind, monkeypatch):
    pixels, seeds = noise(5, 33, 40), np.array([7, 1, 2**63 - 1, 0, 9])
    for severity in (1, 5):
        together = corrupted_batch(pixels, kind, severity, seeds)
        assert together.shape == pixels.shape and together.dtype == np.uint8
        turned = corrupted_batch(pixels[::-1], kind, severity, seeds[::-1])[::-1]
        alone = [corrupted(one, kind, severity, int(seed)) for one, seed in zip(pixels, seeds, strict=True)]
        assert np.array_equal(together, alone) and np.array_equal(together, turned)


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind not in EXACT])
def test_no_two_seeds_draw_the_same(kind):
    pixels = scenes(1)[0]
    one, again, other = (corrupted(pixels, kind, 3, seed) for seed in (1, 1, 2))
    assert np.array_equal(one, again) and not np.array_equal(one, other)


def test_other_kinds_and_severities_draw_other_numbers_by_one_seed():
    flat = np.full((40, 40, 3), 128, np.uint8)
    asked = [("gaussian_noise", 1), ("gaussian_noise", 2), ("speckle_noise", 1)]
    noises = [corrupted(flat, *one, 5).astype(float).ravel() for one in asked]
    assert all(abs(np.corrcoef(one, other)[0, 1]) < 0.1 for one, other in itertools.combinations(noises, 2))


@pytest.mark.parametrize("kind", EXACT)
def test_where_nothing_is_drawn_seeds_change_nothing(kind):
    assert np.array_equal(corrupted(noise(9, 9), kind, 4, 1), corrupted(noise(9, 9), kind, 4, 2))


def test_seeds_tell_pictures_kinds_severities_and_runs_apart():
    asked = [(name, kind, severity, run) for name in "ab" for kind in ALL for severity in SEVERITIES for run in (0, 1)]
    seeds = [seed_of(*one) for one in asked]
    assert len(set(seeds)) == len(asked) and all(0 <= seed < 2**63 for seed in seeds)
    assert seeds == [seed_of(*one) for one in asked]
    assert seed_of("a", "fog", 3, 0) == 1469200776783741719  # the same on any machine, in any version


def test_the_name_of_a_content_is_of_its_pixels_alone():
    pixels = noise(4, 6)
    assert content_name(pixels) == content_name(np.asfortranarray(pixels.copy()))
    assert len({content_name(p) for p in (pixels, pixels[::-1], pixels.reshape(6, 4, 3), noise(4, 6, seed=1))}) == 4


@pytest.mark.parametrize("kind", ALL)
def test_any_size_is_corrupted_and_the_input_stays(kind):
    for shape in ((1, 1), (1, 7), (5, 3), (2, 40), (70, 9)):
        pixels = noise(*shape)
        before = pixels.copy()
        for severity in (1, 5):
            assert corrupted(pixels, kind, severity, 3).shape == pixels.shape
        assert np.array_equal(pixels, before)


@pytest.mark.parametrize("kind", BLURS)
@pytest.mark.parametrize("side", [32, 230])
def test_a_picture_of_one_colour_stays_so_where_pixels_only_mix(kind, side):
    pixels = np.full((1, side, side, 3), (1, 127, 254), np.uint8)
    for severity in SEVERITIES:
        assert np.array_equal(corrupted_batch(pixels, kind, severity, [4]), pixels)


@pytest.mark.parametrize("side", [32, 64])
@pytest.mark.parametrize("kind", [kind for kind in ALL if kind not in ("elastic_transform", "saturate")])
def test_a_higher_severity_changes_more(kind, side):
    # Published constants of saturation go both ways, and those of elastic transforms trade one move for another.
    pixels = scenes(24 if side == 32 else 8, side)
    seeds = np.arange(len(pixels))
    made = [corrupted_batch(pixels, kind, severity, seeds).astype(float) for severity in SEVERITIES]
    if kind == "frost":  # its constants also darken the picture: what counts is how much of it is lost
        change = [1 - np.corrcoef(one.ravel(), pixels.ravel())[0, 1] for one in made]
    else:
        change = [np.abs(one - pixels).mean() for one in made]
    assert change[0] > 0 and change[4] > 1.1 * change[0]
    assert all(after > 0.9 * before for before, after in itertools.pairwise(change))


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind != "jpeg_compression"])
def test_a_large_picture_looks_as_a_smaller_one_enlarged(kind):
    small = scenes(3, 224)
    large = small.repeat(2, 1).repeat(2, 2)
    severity = 5 if kind == "elastic_transform" else 3
    of_small = corrupted_batch(small, kind, severity, range(3)).astype(float)
    of_large = corrupted_batch(large, kind, severity, range(3)).astype(float)
    reduced = of_large.reshape(3, 224, 2, 224, 2, 3).mean((2, 4))
    assert np.abs(reduced - small).mean() / np.abs(of_small - small).mean() == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("kind", [*CATEGORIES["noise"], "speckle_noise"])
def test_noise_is_that_of_pixels_up_to_224_px_and_of_cells_above(kind):
    flat = np.full((224, 230, 3), 120, np.uint8)
    fine = corrupted(flat, kind, 5, 0).astype(int)
    assert all((np.diff(fine, axis=axis) != 0).mean() > 0.2 for axis in (0, 1))
    coarse = corrupted(flat.repeat(2, 0).repeat(2, 1), kind, 5, 0)
    assert np.array_equal(coarse, fine.repeat(2, 0).repeat(2, 1))


@pytest.mark.parametrize("kind", ["gaussian_noise", "shot_noise"])
def test_detail_within_a_grain_of_noise_stays(kind):
    detail = np.indices((448, 448)).sum(0)[..., None] % 2 * 40
    made = corrupted((100 + detail).repeat(3, 2).astype(np.uint8), kind, 1, 0).astype(int)
    inside = (made > 0) & (made < 255)
    steps = np.diff(made, axis=1)[:, ::2]
    assert (np.abs(steps) == 40)[(inside[:, 1:] & inside[:, :-1])[:, ::2]].mean() > 0.9


def test_gaussian_noise_has_its_mean_and_deviation():
    pixels = np.full((4, 64, 64, 3), 128, np.uint8)
    made = corrupted_batch(pixels, "gaussian_noise", 5, range(4)).astype(float)
    sigma = parameters("gaussian_noise", 5, 64)["sigma"]
    assert abs(made.mean() - 127.5) < 0.5 and abs(made.std() / (255 * sigma) - 1) < 0.02  # levels are cut


def test_speckle_noise_grows_with_the_level():
    pixels = np.repeat(np.array([0, 50, 100], np.uint8), 64 * 64).reshape(1, 192, 64, 1).repeat(3, 3)
    made = corrupted_batch(pixels, "speckle_noise", 1, [2])[0].astype(float)
    sigma = parameters("speckle_noise", 1, 64)["sigma"]
    deviations = [made[64 * i : 64 * i + 64].std() for i in range(3)]
    assert deviations[0] == 0 and np.allclose(deviations[1:], np.array([50, 100]) * sigma, rtol=0.05)


def test_shot_noise_counts_photons():
    pixels = np.full((4, 32, 32, 3), 64, np.uint8)
    made = corrupted_batch(pixels, "shot_noise", 3, range(4))
    photons = np.round(made / 255 * 100)  # 100 on average where the level is full
    assert np.array_equal(made, np.floor(photons / 100 * 255 + 1e-6))
    expected = 64 / 255 * 100
    assert abs(photons.mean() - expected) < 0.2 and abs(photons.var() / expected - 1) < 0.06


def test_impulses_are_black_or_full_in_equal_parts_and_leave_the_rest():
    pixels = np.full((4, 64, 64, 3), 99, np.uint8)
    made = corrupted_batch(pixels, "impulse_noise", 5, range(4))
    amount = parameters("impulse_noise", 5, 64)["amount"]
    shares = [(made == level).mean() for level in (0, 255, 99)]
    assert np.allclose(shares, [amount / 2, amount / 2, 1 - amount], atol=0.01) and sum(shares) == 1


def exact(levels) -> int:
    """A level of exact arithmetic: clipped and cut."""
    return int(min(max(levels, 0), 255))


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("side", [32, 224])
def test_brightness_contrast_and_saturation_are_exact(severity, side):
    pixels = np.zeros((side, side, 3), np.uint8)
    pixels[:8, :8] = noise(8, 8)
    pixels[:2, :2] = [[(0, 0, 0), (255, 255, 255)], [(7, 7, 7), (0, 255, 0)]]
    constant = {kind: parameters(kind, severity, side) for kind in ("brightness", "contrast", "saturate")}
    constant = {kind: {k: Fraction(str(v)) for k, v in own.items()} for kind, own in constant.items()}
    means = [Fraction(int(pixels[..., c].astype(int).sum()), side * side) for c in range(3)]
    made = {kind: corrupted(pixels, kind, severity, 0) for kind in constant}
    for y, x in np.ndindex(8, 8):
        colour = [Fraction(int(level)) for level in pixels[y, x]]
        value, least = max(colour), min(colour)
        brighter = min(value + 255 * constant["brightness"]["added"], Fraction(255))
        assert made["brightness"][y, x].tolist() == [exact(c * brighter / value if value else brighter) for c in colour]
        factor = constant["contrast"]["factor"]
        assert made["contrast"][y, x].tolist() == [
            exact((c - m) * factor + m) for c, m in zip(colour, means, strict=True)
        ]
        saturation = (value - least) / value if value else Fraction(0)
        wanted = min(saturation * constant["saturate"]["factor"] + constant["saturate"]["added"], Fraction(1))
        grey = [Fraction(0), Fraction(1), Fraction(1)]  # has hue 0, red
        away = [(value - c) / (value - least) for c in colour] if value > least else grey
        assert made["saturate"][y, x].tolist() == [exact(value - a * wanted * value) for a in away]


@pytest.mark.parametrize(
    ("side", "blocks", "quality"),
    [(32, (30, 28, 27, 24, 20), (80, 65, 58, 50, 40)), (224, (134, 112, 89, 67, 56), (25, 18, 15, 10, 7))],
)
def test_pixelate_and_jpeg_are_pillows(side, blocks, quality):
    pixels = scenes(1, side)[0]
    for severity in SEVERITIES:
        coarse = Image.fromarray(pixels).resize((blocks[severity - 1],) * 2, Image.Resampling.BOX)
        expected = np.asarray(coarse.resize((side, side), Image.Resampling.BOX))
        assert np.array_equal(corrupted(pixels, "pixelate", severity, 0), expected)
        Image.fromarray(pixels).save(kept := io.BytesIO(), "JPEG", quality=quality[severity - 1])
        assert np.array_equal(corrupted(pixels, "jpeg_compression", severity, 0), np.asarray(Image.open(kept)))


def test_below_32_px_the_constants_are_those_of_32():
    for kind in TABLES:
        for severity in SEVERITIES:
            assert parameters(kind, severity, 20) == parameters(kind, severity, 32)


def test_other_constants_lie_between_and_lengths_grow_with_the_picture():
    for kind, constants in TABLES.items():
        for name, constant in constants.items():
            for side in (33, 64, 100, 223):
                low, high = sorted((constant.small[2] / 32**constant.power, constant.large[2] / 224**constant.power))
                at = constant.at(3, side) / side**constant.power
                slack = 0.5 / side**constant.power if constant.whole else 1e-12
                assert low - slack <= at <= high + slack, (kind, name)
            if not constant.whole:
                assert math.isclose(constant.at(3, 448), constant.large[2] * 2**constant.power)
    assert parameters("jpeg_compression", 5, 2000) == {"quality": 7}
    assert parameters("defocus_blur", 5, 448)["radius"] == 20


def test_words_say_where_constants_come_from():
    assert [origin_of("fog", side) for side in (20, 32, 100, 448)] == [
        "those of 32 px",
        "as published for 32 px",
        "between those of 32 and 224 px",
        "those of 224 px, lengths times 2",
    ]
    assert origin_of("frost", 224) == "as published for 224 px; frost is drawn, not photographed"


def test_names_of_kinds_and_severities():
    assert kinds_of("all") == CORRUPTIONS and len(CORRUPTIONS) == 15 and kinds_of("extra") == EXTRA
    assert kinds_of("fog, Blur,fog") == ("fog", *CATEGORIES["blur"]) and kinds_of("zoom-blur") == ("zoom_blur",)
    assert severities_of("1-3,5") == (1, 2, 3, 5) and severities_of(" 4 ") == (4,) and severities_of("2-2,2") == (2,)
    with pytest.raises(OptionError, match=r"--kind is 'frog': choose from all, extra, noise, .*; did you mean fog\?"):
        kinds_of("frog")
    for text in ("", "0", "6", "3-1", "1-", "two", "1.5", "-2"):
        with pytest.raises(OptionError, match=r"--severity is .*: give 1 to 5, a list or a range of them"):
            severities_of(text)


def test_what_cannot_be_corrupted_is_refused():
    pixels = noise(4, 4)
    with pytest.raises(OptionError, match="'mist' is no corruption: choose one of gaussian_noise"):
        corrupted(pixels, "mist", 3, 0)
    for severity in (0, 6, 2.5):
        with pytest.raises(OptionError, match="it must be a whole number from 1 to 5"):
            corrupted(pixels, "fog", severity, 0)
    for seed in (-1, 2**63):
        with pytest.raises(OptionError, match="at least 0 and below 2"):
            corrupted(pixels, "fog", 3, seed)
    for other in (pixels / 255, pixels[..., :2], pixels[:0], pixels[None]):
        with pytest.raises(InputError, match="they must be uint8"):
            corrupted(other, "fog", 3, 0)
    with pytest.raises(OptionError, match="there are 1 seeds for 2 pictures"):
        corrupted_batch(noise(2, 4, 4), "fog", 3, [0])
