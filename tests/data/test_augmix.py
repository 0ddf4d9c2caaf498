"""Laws of AugMix and its operations."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from structkit.data.augmix import OPERATIONS, OVERLAPPING, AugMix, OperationDraw
from structkit.errors import OptionError

LEVELS = (0.1, 1.7, 3.0, 7.4)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=seed))


def picture(height: int = 9, width: int = 12, seed: int = 0) -> np.ndarray:
    return rng(seed).integers(20, 230, (height, width, 3), dtype=np.uint8)


def bilinear(pixels: np.ndarray, matrix: tuple[float, ...]) -> np.ndarray:
    """A picture whose pixel (x, y) shows the place that the matrix says, counted in pixels' middles; black beyond."""
    a, b, c, d, e, f = matrix
    height, width = pixels.shape[:2]
    y, x = np.mgrid[:height, :width] + 0.5
    u, v = a * x + b * y + c, d * x + e * y + f
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    u, v = u - 0.5, v - 0.5
    left, top = np.floor(u).astype(int), np.floor(v).astype(int)
    right, low = (u - left)[..., None], (v - top)[..., None]

    def at(row: np.ndarray, column: np.ndarray) -> np.ndarray:
        return pixels[row.clip(0, height - 1), column.clip(0, width - 1)].astype(float)

    upper = at(top, left) * (1 - right) + at(top, left + 1) * right
    lower = at(top + 1, left) * (1 - right) + at(top + 1, left + 1) * right
    return np.where(inside[..., None], upper * (1 - low) + lower * low, 0)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", ["autocontrast", "equalize", "posterize", "solarize"])
def test_operations_on_levels_are_pillows(name, seed):
    shape = rng(seed).integers(1, 40, 2)
    pixels = picture(*shape, seed) // (16 if seed % 2 else 1)
    pixels[..., 1] = 7 if seed == 3 else pixels[..., 1]  # a flat channel
    image = Image.fromarray(pixels)
    for level in LEVELS:
        expected = {
            "autocontrast": lambda: ImageOps.autocontrast(image),
            "equalize": lambda: ImageOps.equalize(image),
            "posterize": lambda level=level: ImageOps.posterize(image, max(1, 4 - int(0.4 * level))),
            "solarize": lambda level=level: ImageOps.solarize(image, 256 - int(25.6 * level)),
        }[name]()
        assert np.array_equal(OPERATIONS[name](pixels, level, False), np.asarray(expected))


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", ["shear_x", "shear_y", "translate_x", "translate_y"])
def test_operations_on_places_are_bilinear_with_black_beyond(name, level, back):
    pixels = picture(24, 30)
    sign = -1 if back else 1
    shear, right, down = sign * 0.03 * level, sign * int(level), sign * int(0.8 * level)
    matrix = {
        "shear_x": (1, shear, 0, 0, 1, 0),
        "shear_y": (1, 0, 0, shear, 1, 0),
        "translate_x": (1, 0, right, 0, 1, 0),
        "translate_y": (1, 0, 0, 0, 1, down),
    }[name]
    made = OPERATIONS[name](pixels, level, back).astype(float)
    assert np.abs(made - bilinear(pixels, matrix)).max() < 1.01
    assert name.startswith("shear") or np.array_equal(made, bilinear(pixels, matrix))


def test_rotations_are_by_whole_degrees_about_the_middle():
    pixels = picture(21, 21)
    for level, degrees in ((0.3, 0), (1.0, 3), (3.0, 9), (9.9, 29)):
        turned = [OPERATIONS["rotate"](pixels, level, back) for back in (False, True)]
        for made, angle in zip(turned, (degrees, -degrees), strict=True):
            assert np.array_equal(made, np.asarray(Image.fromarray(pixels).rotate(angle, Image.Resampling.BILINEAR)))
            assert np.array_equal(made[10, 10], pixels[10, 10])


def test_the_overlapping_operations_are_pillows_enhancements():
    pixels = picture()
    kinds = {
        "color": ImageEnhance.Color,
        "contrast": ImageEnhance.Contrast,
        "brightness": ImageEnhance.Brightness,
        "sharpness": ImageEnhance.Sharpness,
    }
    assert kinds.keys() == OVERLAPPING.keys()
    for name, kind in kinds.items():
        assert np.array_equal(OVERLAPPING[name](pixels, 5.0, False), kind(Image.fromarray(pixels)).enhance(1.0))
        assert np.array_equal(OVERLAPPING[name](pixels, 2.0, True), kind(Image.fromarray(pixels)).enhance(0.46))


@pytest.mark.parametrize("all_operations", [False, True])
def test_every_operation_is_drawn_as_often_as_the_others_and_no_other(all_operations, monkeypatch):
    seen = []
    for table in (OPERATIONS, OVERLAPPING):
        for name in table:
            monkeypatch.setitem(table, name, lambda p, level, back, name=name: seen.append((name, level, back)) or p)
    draw, generator = OperationDraw(3, all_operations), rng()
    for _ in range(3000):
        draw(picture(1, 1), generator.random(3))
    names, levels, signs = zip(*seen, strict=True)
    expected = set(OPERATIONS) | (set(OVERLAPPING) if all_operations else set())
    counts = {name: names.count(name) for name in set(names)}
    assert counts.keys() == expected
    assert max(counts.values()) < 1.4 * min(counts.values())
    assert 0.1 <= min(levels) < 0.13 and 2.95 < max(levels) <= 3
    assert 0.45 < np.mean(signs) < 0.55


@pytest.mark.parametrize("alpha", [0.2, 1.0, 7.0])
def test_the_weights_of_a_mixture_are_convex(alpha):
    mix, generator = AugMix(alpha=alpha), rng()
    for _ in range(200):
        chains, own = mix.weights(generator)
        assert chains.min() >= 0 and 0 <= own <= 1
        assert 255 * chains.sum() + own == pytest.approx(1, abs=1e-6)


def test_of_no_severity_a_mixture_is_the_picture():
    pixels = picture()
    assert np.array_equal(AugMix(severity=0)(pixels, rng()), pixels.astype(np.float32) / np.float32(255))


def test_equal_generators_make_equal_mixtures_and_others_make_others():
    pixels = picture(32, 32)
    mix = AugMix()
    assert np.array_equal(mix(pixels, rng(1)), mix(pixels, rng(1)))
    assert len({mix(pixels, rng(seed)).tobytes() for seed in range(10)}) == 10


@pytest.mark.parametrize(("depth", "expected"), [(None, {1, 2, 3}), (2, {2})])
def test_chains_have_one_to_three_operations_or_as_many_as_said(depth, expected, monkeypatch):
    counts = []
    monkeypatch.setattr(OperationDraw, "__call__", lambda draw, pixels, draws: counts.append(1) or pixels)
    depths = set()
    for seed in range(60):
        counts.clear()
        AugMix(width=1, depth=depth)(picture(1, 1), rng(seed))
        depths.add(len(counts))
    assert depths == expected


def test_a_mixture_is_the_weighted_sum_of_its_chains():
    """With chains of a known operation: the mean colour of a picture changes by as much as the weights say."""
    pixels = picture(8, 8)
    for seed in range(20):
        mix = AugMix(width=2, depth=1)
        generator = rng(seed)
        made = mix(pixels, generator)
        again = rng(seed)
        chains, own = mix.weights(again)
        changed = [OperationDraw(3, False)(pixels, again.random((1, 3))[0]) for _ in range(2)]
        expected = own * (pixels / 255) + sum(w * c.astype(float) for w, c in zip(chains, changed, strict=True))
        assert np.abs(made - expected).max() < 1e-6


def test_mixtures_are_in_range_and_not_rounded():
    pixels = np.where(picture(16, 16) > 125, 255, 0).astype(np.uint8)
    made = np.stack([AugMix()(pixels, rng(seed)) for seed in range(30)])
    assert made.dtype == np.float32 and made.min() >= 0 and made.max() <= 1
    assert np.abs(255 * made - np.round(255 * made)).max() > 0.3


@pytest.mark.parametrize("shape", [(1, 1), (5, 31), (40, 3)])
def test_pictures_of_any_shape_are_mixed(shape):
    pixels = picture(*shape)
    pixels.setflags(write=False)
    assert all(AugMix(all_operations=True)(pixels, rng(seed)).shape == pixels.shape for seed in range(20))


@pytest.mark.parametrize(
    "options", [{"severity": -1}, {"severity": 11}, {"width": 0}, {"depth": 0}, {"alpha": 0}, {"alpha": float("nan")}]
)
def test_what_cannot_be_is_refused(options):
    with pytest.raises(OptionError, match=r"severity|AugMix"):
        AugMix(**options)
