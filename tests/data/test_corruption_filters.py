"""What corruptions are made of, beside the published loops and SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.random import default_rng

from structkit.data.corruptions import blurs, digital, filters, weather
from structkit.data.corruptions.blurs import disk, glass_blur, moved, trail
from structkit.data.corruptions.filters import clipped_zoom, correlate, fast_length, gaussian, warp
from structkit.data.corruptions.frosted import PANES, PHOTOS, SIDE, photo
from structkit.data.corruptions.grains import GrainGrid
from structkit.data.corruptions.levels import truncated
from structkit.data.corruptions.weather import plasma


def picture(*shape: int, seed: int = 0) -> np.ndarray:
    """Levels, (*shape, 3) float32."""
    return default_rng(seed).integers(0, 256, (*shape, 3)).astype(np.float32)


@pytest.mark.parametrize("border", ["edge", "reflect", "symmetric"])
@pytest.mark.parametrize("most", [0, 10**6])
def test_correlation_is_the_sum_of_shifted_pictures(border, most, monkeypatch):
    monkeypatch.setattr(filters, "MOST_TAPS", most)  # by a Fourier transform, and tap by tap
    x = picture(2, 9, 7)
    taps = {(-3, 2): 0.5, (0, 0): 0.2, (2, -6): -0.4, (1, 1): 0.7}
    padded = np.pad(x, ((0, 0), (6, 6), (6, 6), (0, 0)), border)
    expected = sum(w * padded[:, 6 + r : 15 + r, 6 + c : 13 + c] for (r, c), w in taps.items())
    assert np.allclose(correlate(x, taps, border), expected, atol=2e-3)
    ahead = {(1, 2): 1.0}  # all on one side
    assert np.allclose(correlate(x, ahead, border), padded[:, 7:16, 8:15], atol=2e-3)


@pytest.mark.parametrize("border", ["edge", "symmetric"])
@pytest.mark.parametrize("sigma", [0.1, 0.7, 3.0])
@pytest.mark.parametrize("most", [0, 10**6])
def test_a_gaussian_blur_is_the_sum_of_its_weights(border, sigma, most, monkeypatch):
    monkeypatch.setattr(filters, "MOST_RADIUS", most)
    x, radius = picture(2, 6, 5), int(4 * sigma + 0.5)
    weights = [math.exp(-0.5 * (i / sigma) ** 2) for i in range(-radius, radius + 1)]
    padded = np.pad(x, ((0, 0), (radius, radius), (radius, radius), (0, 0)), border)
    rows = sum(w * padded[:, i : i + 6] for i, w in enumerate(weights)) / sum(weights)
    expected = sum(w * rows[:, :, i : i + 5] for i, w in enumerate(weights)) / sum(weights)
    assert np.allclose(gaussian(x, sigma, border=border), expected, atol=2e-3)


def test_filters_are_scipys():
    scipy = pytest.importorskip("scipy.ndimage")
    x = picture(1, 21, 34)
    for border, mode in (("edge", "nearest"), ("symmetric", "reflect")):
        for sigma, truncate in ((1.3, 4.0), (9.0, 3.0), (40.0, 3.0)):
            expected = scipy.gaussian_filter(x[0].astype(float), (sigma, sigma, 0), mode=mode, truncate=truncate)
            assert np.allclose(gaussian(x, sigma, truncate=truncate, border=border)[0], expected, atol=2e-3)
    for factor in (1.0, 1.01, 1.12, 1.3, 2.5):
        cut = [math.ceil(side / factor) for side in (21, 34)]
        start = [(side - one) // 2 for side, one in zip((21, 34), cut, strict=True)]
        middle = x[0, start[0] : start[0] + cut[0], start[1] : start[1] + cut[1]]
        larger = scipy.zoom(middle, (factor, factor, 1), order=1)
        trim = [(larger.shape[i] - side) // 2 for i, side in enumerate((21, 34))]
        expected = larger[trim[0] : trim[0] + 21, trim[1] : trim[1] + 34]
        assert np.allclose(clipped_zoom(x, factor)[0], expected, atol=2e-3)
    rows, columns = (default_rng(i).uniform(-30, 60, (1, 21, 34)).astype(np.float32) for i in (1, 2))
    for border, mode in (("symmetric", "reflect"), ("reflect", "mirror"), ("edge", "nearest")):
        expected = [scipy.map_coordinates(x[0, ..., c], [rows[0], columns[0]], order=1, mode=mode) for c in range(3)]
        assert np.allclose(warp(x, rows, columns, border)[0], np.stack(expected, -1), atol=5e-3)


def test_an_enlargement_keeps_a_slope_a_slope():
    x = np.arange(50, dtype=np.float32).reshape(1, 1, 50, 1).repeat(50, 1)
    made = clipped_zoom(x, 1.25)
    steps = np.diff(made[0, 0, :, 0])
    assert np.allclose(steps, (40 - 1) / (50 - 1), atol=1e-4) and np.allclose(made, made[:, :1])
    assert np.array_equal(clipped_zoom(x, 1.0), x)
    for factor in (1.25, 2.5, 4.5):  # the middle stays in the middle
        assert abs(clipped_zoom(x, factor)[0, 0, 24:26, 0].mean() - 24.5) < 0.1


def test_a_warp_by_whole_pixels_is_a_shift():
    x = picture(2, 6, 8)
    rows, columns = np.mgrid[:6, :8].astype(np.float32)
    both = (np.stack([field, field]) for field in (rows + 2, columns - 3))
    padded = np.pad(x, ((0, 0), (0, 2), (3, 0), (0, 0)), "reflect")
    assert np.array_equal(warp(x, *both, "reflect"), padded[:, 2:, :8])


def test_lengths_for_fourier_transforms_are_the_next_smooth_ones():
    smooth = sorted(2**a * 3**b * 5**c for a in range(12) for b in range(8) for c in range(6))
    for count in (*range(1, 130), 527, 687, 1021):
        assert fast_length(count) == next(number for number in smooth if number >= count)


def test_levels_are_cut_and_a_hair_below_a_whole_one_is_that_one():
    levels = np.array([-3.0, 0.9, 7.5, 127.99999, 128.0, 300.0], np.float32)
    assert truncated(levels).tolist() == [0, 0, 7, 128, 128, 255]
    assert truncated(np.array([7.999, 8 - 1e-12])).tolist() == [7, 8]


def published_glass(x: np.ndarray, steps: np.ndarray, reach: int) -> np.ndarray:
    """The published loop over one picture, in its order; steps (h', w', 2) of each inner pixel."""
    x = x.copy()
    height, width = x.shape[:2]
    for h in range(height - reach, reach, -1):
        for w in range(width - reach, reach, -1):
            right, down = steps[h - reach - 1, w - reach - 1]
            x[h, w], x[h + down, w + right] = x[h + down, w + right], x[h, w]
    return x


@pytest.mark.parametrize(("shape", "reach", "rounds"), [((13, 17), 1, 2), ((24, 19), 3, 3), ((30, 31), 4, 1)])
def test_glass_is_the_published_loop_bit_for_bit(shape, reach, rounds):
    x = picture(3, *shape).astype(np.uint8)
    made = glass_blur(x, [default_rng(i) for i in range(3)], sigma=0.1, reach=reach, rounds=rounds)
    for i in range(3):
        draw, expected = default_rng(i), x[i]
        for _ in range(rounds):
            expected = published_glass(
                expected, draw.integers(-reach, reach, (*(s - 2 * reach for s in shape), 2)), reach
            )
        assert np.array_equal(made[i], expected)  # so narrow a Gaussian leaves all as it is
    assert not np.array_equal(made, x)


def test_grains_cut_a_picture_into_cells_of_one_size():
    fine = GrainGrid.of((224, 400))
    assert fine.is_fine and fine.shape == (224, 400)
    grid = GrainGrid.of((560, 600))  # of 2.5 px
    assert grid.shape == (224, 240) and np.bincount(grid.rows).tolist() == [3, 2] * 112
    x = picture(1, 560, 600)
    means = grid.means(x)
    assert np.allclose(means[0, 1, 0], x[0, 3:5, :3].mean((0, 1)), atol=1e-3)
    assert np.array_equal(grid.spread(means)[0, 3:5, :3], np.broadcast_to(means[0, 1, 0], (2, 3, 3)))


def test_glass_above_224_px_moves_whole_grains():
    x = np.zeros((1, 448, 448, 3), np.uint8)
    x[0, ..., 0], x[0, ..., 1] = (np.arange(448) // 2)[:, None], np.arange(448) // 2
    made = glass_blur(x, [default_rng(0)], sigma=0.1, reach=4, rounds=1)[0].astype(int)
    cells = made.reshape(224, 2, 224, 2, 3)
    assert np.array_equal(cells, np.broadcast_to(cells[:, :1, :, :1], cells.shape))
    expected = published_glass(x[0, ::2, ::2], default_rng(0).integers(-2, 2, (220, 220, 2)), 2)
    assert np.array_equal(cells[:, 0, :, 0], expected)


def test_a_disk_is_a_soft_disk():
    for radius, alias in ((3, 0.1), (6, 0.5), (8, 0.5), (10, 0.5), (8.3, 0.5), (21.4, 0.5), (1.5, 0.1)):
        taps = disk(radius, alias)
        assert all(abs(taps[r, c] - taps[c, -r]) < 1e-12 for r, c in taps)  # quarter turns change nothing
        total = {8: 1.012975, 10: 1.010786}.get(radius, 1)  # as published, its own blur is mirrored where the grid ends
        assert abs(sum(taps.values()) - total) < 1e-6
        area = sum(weight > 0.5 * max(taps.values()) for weight in taps.values())
        assert abs(area / (math.pi * radius**2) - 1) < 0.3
    assert disk(0.3, 0.4).keys() == {(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1)}


def published_motion(x: np.ndarray, radius: int, sigma: float, angle: float) -> np.ndarray:
    """One picture (h, w, 3), shifted step by step along the direction, as ImageMagick does."""
    weights = np.exp(-0.5 * (np.arange(2 * radius + 1) / sigma) ** 2)
    made = np.zeros(x.shape)
    for i, weight in enumerate(weights / weights.sum()):
        down = -math.ceil(i * math.sin(math.radians(angle)) - 0.5)
        right = -math.ceil(i * math.cos(math.radians(angle)) - 0.5)
        if abs(down) >= x.shape[0] or abs(right) >= x.shape[1]:
            break
        rows = (np.arange(x.shape[0]) - down).clip(0, x.shape[0] - 1)
        columns = (np.arange(x.shape[1]) - right).clip(0, x.shape[1] - 1)
        made += weight * x[rows][:, columns]
    return made


@pytest.mark.parametrize(("radius", "sigma"), [(6, 1.0), (9, 2.5), (70, 40.0)])
def test_motion_is_the_published_sum_of_shifts(radius, sigma):
    x, angles = picture(4, 23, 30), [-100.0, -45.0, 0.0, 30.0]
    made = moved(x, angles, radius=radius, sigma=sigma)
    for i, angle in enumerate(angles):
        assert np.allclose(made[i], published_motion(x[i], radius, sigma, angle), atol=2e-3)


def test_motion_is_within_45_degrees_of_the_horizontal_and_snow_of_the_vertical():
    x = np.zeros((1, 31, 31, 3), np.uint8)
    x[0, 15, 15] = 255
    row, column = np.mgrid[:31, :31] - 15
    slopes = []
    for seed in range(30):
        made = blurs.motion_blur(x, [default_rng(seed)], radius=6, sigma=4.0)[0, ..., 0]
        down, along = (made * row).sum() / made.sum(), (made * column).sum() / made.sum()
        assert along < 0 and abs(down) < -along + 0.3  # to one side, as published
        slopes.append(down / along)
    assert min(slopes) < -0.6 and max(slopes) > 0.6
    how = {"mean": 0.1, "spread": 0.3, "zoom": 1.0, "threshold": 0.5, "radius": 8, "sigma": 8.0, "kept": 1.0}
    for seed in range(10):
        flakes = weather.snow(np.zeros((1, 60, 60, 3), np.uint8), [default_rng(seed)], **how)[0, ..., 0]
        across = np.abs(np.diff(flakes, axis=1)).mean()
        assert np.abs(np.diff(flakes, axis=0)).mean() < 1.1 * across


def test_motion_of_a_long_trail_takes_the_fourier_way():
    assert len(trail(70, 40.0, 0.0, (200, 200))) > filters.MOST_TAPS
    x = picture(1, 160, 150)
    expected = published_motion(x[0], 70, 40.0, 20.0)
    assert np.allclose(moved(x, [20.0], radius=70, sigma=40.0)[0], expected, atol=2e-3)


def published_plasma(size: int, decay: float, draw: np.random.Generator) -> np.ndarray:
    """Diamonds and squares on a torus, as published; steps in the order of `weather.plasma`."""
    grid, step, wibble = np.zeros((size, size)), size, 100.0
    while step >= 2:
        half, count = step // 2, size // step
        middles, rights, downs = (2 * draw.random((3, count, count), dtype=np.float32) - 1) * wibble * wibble
        for y, x in np.ndindex(count, count):
            ends = [grid[step * (y + i) % size, step * (x + j) % size] for i in (0, 1) for j in (0, 1)]
            grid[step * y + half, step * x + half] = sum(ends) / 4 + middles[y, x]
        for y, x in np.ndindex(count, count):
            top, left = step * y, step * x
            for row, column, noise in ((top, left + half, rights[y, x]), (top + half, left, downs[y, x])):
                ends = [(row - half, column), (row + half, column), (row, column - half), (row, column + half)]
                grid[row, column] = sum(grid[r % size, c % size] for r, c in ends) / 4 + noise
        step, wibble = half, wibble / decay
    grid -= grid.min()
    return grid / grid.max()


def test_fog_is_the_published_plasma():
    for decay in (3.0, 1.4):
        made = plasma((32, 30), [default_rng(3), default_rng(4)], decay)
        expected = [published_plasma(32, decay, default_rng(seed))[:, :30] for seed in (3, 4)]
        assert np.allclose(made, expected, atol=1e-5)


def test_fog_is_added_and_brought_back_to_the_brightest_level():
    x = picture(1, 32, 32).astype(np.uint8)
    x[x > 200] = 200
    cloud = plasma((32, 32), [default_rng(1)], 2.0)[..., None]
    expected = (x / 255 + 1.5 * cloud) * (200 / 255) / (200 / 255 + 1.5)
    assert np.allclose(weather.fog(x, [default_rng(1)], strength=1.5, decay=2.0), 255 * expected, atol=1e-2)


def test_a_fog_of_any_shape_has_no_seam():
    for shape in ((32, 150), (150, 32), (90, 300)):
        cloud = plasma(shape, [default_rng(0)], 3.0)[0]
        assert cloud.shape == shape and cloud.min() >= 0 and cloud.max() <= 1
        for axis in (0, 1):
            steps = np.abs(np.diff(cloud, axis=axis)).max(1 - axis)
            assert steps.max() < 0.2


def test_an_affine_map_without_jitter_leaves_a_picture_as_it_is():
    x = picture(2, 12, 20).astype(np.uint8)
    draws = [default_rng(0), default_rng(1)]
    assert np.allclose(digital.elastic_transform(x, draws, alpha=0, sigma=1, jitter=0.0), x, atol=2e-3)


def test_an_affine_map_moves_three_points_by_up_to_the_jitter():
    size, jitter = 60, 5.0
    x = np.zeros((1, size, size, 3), np.uint8)
    marks = [(50, 50), (10, 50), (10, 10)]  # rows and columns: the centre, a third of the side away
    for i, (row, column) in enumerate(marks):
        x[0, row - 1 : row + 2, column - 1 : column + 2, i] = 255
    made = digital.elastic_transform(x, [default_rng(8)], alpha=0, sigma=1, jitter=jitter)[0]
    moves = default_rng(8).uniform(-jitter, jitter, (3, 2))
    for i, (row, column) in enumerate(marks):
        rows, columns = np.mgrid[:size, :size]
        there = [(field * made[..., i]).sum() / made[..., i].sum() for field in (columns, rows)]
        assert np.allclose(there, np.array([column, row]) + moves[i], atol=0.3)


def test_waves_of_an_elastic_transform_are_as_high_as_they_should_be():
    x = np.zeros((1, 96, 96, 3), np.uint8)
    x[..., 0], x[..., 1] = np.arange(96)[:, None], np.arange(96)
    made = digital.elastic_transform(x, [default_rng(0)], alpha=30.0, sigma=2.0, jitter=0.0)[0]
    moves = (made - x[0])[10:-10, 10:-10, :2]
    assert np.allclose(moves.std((0, 1)), 30 / math.sqrt(3) / (2 * math.sqrt(math.pi) * 2), rtol=0.15)


def test_snow_falls_on_both_halves_alike_and_only_brightens():
    x = np.full((1, 40, 40, 3), 60, np.uint8)
    how = {"mean": 0.1, "spread": 0.3, "zoom": 2.0, "threshold": 0.5, "radius": 5, "sigma": 3.0, "kept": 1.0}
    made = weather.snow(x, [default_rng(0)], **how)[0] - 60
    assert made.min() > -1e-3 and made.max() > 50
    assert np.allclose(made, made[::-1, ::-1], atol=1e-3) and np.allclose(made[..., :1], made, atol=1e-3)


def test_photographs_of_frost_have_the_colours_of_the_published_ones_and_no_seam():
    for number in range(PHOTOS):
        made, pane = photo(number), PANES[number]
        assert made.shape == (SIDE, SIDE, 3) and np.array_equal(made, made.round())
        assert np.abs(made.mean((0, 1)) - pane.tint).max() < 6 and 25 < made.std((0, 1)).mean() < 50
        line = made.mean(-1) - made.mean()
        across = [np.abs(np.diff(line, axis=axis)).mean() for axis in (0, 1)]
        seams = [np.abs(line[0] - line[-1]).mean(), np.abs(line[:, 0] - line[:, -1]).mean()]
        assert all(seam < 1.5 * step for seam, step in zip(seams, across, strict=True))


def test_frost_is_a_part_of_a_photograph_laid_over():
    x = np.zeros((1, 20, 24, 3), np.uint8)
    made = weather.frost(x, [default_rng(6)], kept=1.0, weight=0.5, scale=1.0)[0]
    draw = default_rng(6)
    layer, row, column = photo(int(draw.integers(PHOTOS))), draw.integers(SIDE), draw.integers(SIDE)
    assert np.allclose(made, 0.5 * np.roll(layer, (-row, -column), (0, 1))[:20, :24], atol=1e-3)


def test_a_zoom_blur_is_the_mean_of_the_picture_and_its_enlargements():
    x = picture(1, 30, 30).astype(np.uint8)
    made = blurs.zoom_blur(x, [default_rng(0)], step=0.02, count=4)
    enlarged = [clipped_zoom(x.astype(np.float32), 1 + 0.02 * i) for i in range(4)]
    assert np.allclose(made, (x + sum(enlarged)) / 5, atol=1e-3)
