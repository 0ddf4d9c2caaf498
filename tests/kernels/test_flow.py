"""Laws of motion between pictures: what moved is found, what is warped is what a slow gather gives."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from structkit.errors import OptionError
from structkit.kernels.flow import (
    agreement,
    carry_field,
    motion,
    resize_flow,
    stretch_of,
    warp,
    warp_field,
    warp_reference,
)
from structkit.kernels.patches import extract, patch_grid

SHAPES = [(1, 3, 8, 9), (2, 1, 1, 1), (1, 2, 1, 17), (3, 4, 13, 7)]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def texture(height, width, seed=0):
    """Smooth blobs of several sizes, (1, 3, height, width)."""
    picture = torch.zeros(1, 3, height, width)
    for cell in (24, 10, 5):
        coarse = torch.randn(1, 3, 3 + height // cell, 3 + width // cell, generator=generator(seed + cell))
        picture += F.interpolate(coarse, (height, width), mode="bicubic", align_corners=False) * cell**0.5 / 12
    return picture.clamp(-1, 1)


def moved(picture, rows, columns, height, width):
    """A window of the picture, of which the other at (0, 0) is found at (rows, columns)."""
    return picture[..., 20 - rows : 20 - rows + height, 20 - columns : 20 - columns + width]


@pytest.mark.parametrize(("rows", "columns"), [(0, 0), (1, 0), (-2, 3), (5, -7), (0, 12)])
def test_a_picture_that_moved_has_that_motion(rows, columns):
    wide = texture(140, 170)
    first, second = moved(wide, 0, 0, 100, 130), moved(wide, rows, columns, 100, 130)
    flow = motion(first, second)
    expected = torch.tensor([rows, columns]).view(1, 2, 1, 1)
    inner = (flow - expected)[..., 15:-15, 15:-15]
    assert inner.norm(dim=1).mean() < 0.15 and inner.norm(dim=1).quantile(0.95) < 0.5


def test_motion_beyond_the_finest_level_is_scaled():
    wide = F.interpolate(texture(160, 180), scale_factor=3, mode="bicubic")
    first, second = wide[..., 60:420, 60:480], wide[..., 54:414, 51:471]
    inner = motion(first, second)[..., 45:-45, 45:-45]
    assert torch.allclose(inner.mean((0, 2, 3)), torch.tensor([6.0, 9.0]), atol=0.3)


def test_what_tells_nothing_of_motion_moves_as_its_surroundings_do():
    wide = texture(120, 120)
    wide[..., 55:75, 55:75] = 0.1  # flat, far from its edges nothing changes
    flow = motion(moved(wide, 0, 0, 80, 80), moved(wide, 2, 2, 80, 80))
    assert (flow[..., 40:50, 40:50] - 2).abs().max() < 0.3


def test_two_things_that_move_apart_have_each_its_own_motion():
    ground, thing = texture(80, 100, 1), texture(80, 100, 2)
    first, second = ground.clone(), ground.roll(-2, -1)
    first[..., 25:55, 35:65] = thing[..., 25:55, 35:65]
    second[..., 25:55, 39:69] = thing[..., 25:55, 35:65]
    flow = motion(first, second)
    assert flow[0, 1, 30:50, 40:60].mean() == pytest.approx(4, abs=0.5)
    assert flow[0, 1, 10:70, 10:28].mean() == pytest.approx(-2, abs=0.4)


def test_equal_pictures_and_flat_ones_have_no_motion():
    picture = texture(50, 60)
    assert motion(picture, picture).abs().max() < 1e-4
    flat = torch.full((2, 3, 16, 40), 0.3)
    assert motion(flat, flat).abs().max() == 0
    assert motion(flat[..., :1, :1], flat[..., :1, :1]).shape == (2, 2, 1, 1)


def test_mirroring_and_transposing_the_pictures_do_so_to_the_motion():
    wide = texture(110, 130)
    first, second = moved(wide, 0, 0, 72, 88), moved(wide, 2, -3, 72, 88)
    flow = motion(first, second)
    mirrored = motion(first.flip(-1), second.flip(-1)).flip(-1) * torch.tensor([1.0, -1.0]).view(1, 2, 1, 1)
    turned = motion(first.mT, second.mT).mT.flip(1)
    torch.testing.assert_close(turned, flow, rtol=0, atol=0.01)
    assert (mirrored - flow)[
        ..., 10:-10, 10:-10
    ].abs().max() < 0.1  # each difference is with the next pixel: not the same mirrored


def test_a_batch_is_its_pictures_one_by_one():
    one, other = texture(40, 50, 1), texture(40, 50, 2)
    both = motion(torch.cat([one, other]), torch.cat([one.roll(1, -1), other.roll(-2, -2)]))
    alone = torch.cat([motion(one, one.roll(1, -1)), motion(other, other.roll(-2, -2))])
    torch.testing.assert_close(both, alone, rtol=0, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cubic", [False, True])
def test_warping_equals_its_reference_also_beyond_the_border(shape, cubic):
    images = torch.randn(shape, generator=generator(), dtype=torch.float64)
    flow = torch.randn(shape[0], 2, *shape[2:], generator=generator(1), dtype=torch.float64) * 4
    torch.testing.assert_close(
        warp(images, flow, cubic=cubic), warp_reference(images, flow, cubic=cubic), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("cubic", [False, True])
def test_no_motion_leaves_a_picture_as_it_is(cubic):
    picture = texture(33, 47)
    torch.testing.assert_close(warp(picture, torch.zeros(1, 2, 33, 47), cubic=cubic), picture, rtol=0, atol=2e-5)


def test_a_whole_step_there_and_back_is_the_picture_itself():
    picture, step = texture(30, 40), torch.zeros(1, 2, 30, 40)
    step[:, 0], step[:, 1] = 3, -2
    returned = warp(warp(picture, step), -step)
    torch.testing.assert_close(returned[..., 4:-4, 4:-4], picture[..., 4:-4, 4:-4], rtol=0, atol=2e-5)


def test_there_and_back_agree_where_both_pictures_show_the_same():
    there = torch.full((1, 2, 20, 24), 2.0)
    trusted = agreement(there, -there)
    assert trusted.shape == (1, 1, 20, 24)
    assert (trusted[..., :18, :22] == 1).all() and (trusted[..., 18:, :] == 0).all() and (trusted[..., 22:] == 0).all()
    assert (agreement(there, there) < 1e-3).all()


def test_a_scaled_flow_is_as_much_longer():
    flow = torch.tensor([1.0, -2.0]).view(1, 2, 1, 1).expand(1, 2, 8, 10)
    assert torch.allclose(
        resize_flow(flow, (16, 30)), torch.tensor([2.0, -6.0]).view(1, 2, 1, 1).expand(1, 2, 16, 30), atol=1e-5
    )
    assert resize_flow(flow, (8, 10)) is flow


def test_a_moved_field_makes_the_moved_picture():
    picture = texture(30, 34)
    grid = patch_grid((30, 34), 7)
    flow = torch.zeros(1, 2, 30, 34)
    flow[:, 0], flow[:, 1] = 2, -3
    field, other = torch.arange(grid[0] * grid[1]), torch.full((grid[0] * grid[1],), -1)
    trusted = torch.ones(1, 1, 30, 34, dtype=torch.bool)
    trusted[..., :8] = False
    found = warp_field(field, grid, flow, trusted, other).view(grid)
    assert (found[:, :5] == -1).all() and (found[:, 5:] >= 0).all()
    patches, expected = extract(picture[0], 7), extract(warp(picture, flow)[0], 7).view(*grid, -1)
    torch.testing.assert_close(patches[found[:-2, 5:]], expected[:-2, 5:], rtol=0, atol=1e-4)


def test_errors_name_the_shapes():
    with pytest.raises(OptionError, match=r"motion from \(1, 3, 8, 8\) to \(1, 3, 8, 9\): expected two of one shape"):
        motion(torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 9))
    with pytest.raises(OptionError, match=r"\(1, 3, 8, 8\) warped along \(1, 2, 4, 4\): expected a flow"):
        warp(torch.zeros(1, 3, 8, 8), torch.zeros(1, 2, 4, 4))


def still(rows: int, columns: int, down: float = 0.0, across: float = 0.0) -> Tensor:
    return torch.tensor([down, across]).view(1, 2, 1, 1).expand(1, 2, rows, columns).clone()


def copied(grid: tuple[int, int], keys: tuple[int, int], down: int, across: int) -> Tensor:
    """The field of a picture that is a block of the keys, from this place on."""
    rows, columns = torch.arange(grid[0])[:, None] + down, torch.arange(grid[1]) + across
    return (rows * keys[1] + columns).reshape(-1)


def test_a_carried_field_of_a_copied_block_is_that_of_the_block_further_on():
    grid, keys = (6, 8), (20, 30)
    carried, rest = carry_field(copied(grid, keys, 4, 5), torch.zeros(2, *grid), grid, keys, still(10, 12, 1, -2))
    assert torch.equal(carried, copied(grid, keys, 5, 3)) and not rest.any()


def test_slow_motion_of_a_carried_field_adds_up_to_whole_pixels():
    grid, keys = (6, 8), (20, 30)
    field, rest = copied(grid, keys, 4, 5), torch.zeros(2, *grid)
    for _ in range(10):
        field, rest = carry_field(field, rest, grid, keys, still(10, 12, 0, 0.3))
    assert torch.equal(field, copied(grid, keys, 4, 8)) and rest.abs().max() < 1e-5


def test_stretched_fields_are_told_from_copied_ones_and_from_seams():
    grid, keys = (12, 12), (40, 40)
    whole, other = (copied(grid, keys, *place).view(grid) for place in ((2, 3), (25, 20)))
    seam = torch.cat([whole[:, :6], other[:, 6:]], 1)
    stretched = whole[:, torch.arange(12) // 2]
    assert stretch_of(whole.reshape(-1), grid, keys).max() == stretch_of(seam.reshape(-1), grid, keys).max() == 0
    assert stretch_of(stretched.reshape(-1), grid, keys).min() > 0.3
