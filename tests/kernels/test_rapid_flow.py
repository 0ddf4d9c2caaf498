"""Laws of rapid motion: what moved is found, and light, noise and flatness move nothing."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from structkit.errors import OptionError
from structkit.kernels.rapid_flow import cell_means, cell_means_reference, rapid_motion


def texture(height, width, seed=0):
    """Smooth blobs of several sizes, (1, 3, height, width)."""
    picture = torch.zeros(1, 3, height, width)
    for cell in (24, 10, 5):
        generator = torch.Generator().manual_seed(seed + cell)
        coarse = torch.randn(1, 3, 3 + height // cell, 3 + width // cell, generator=generator)
        picture += F.interpolate(coarse, (height, width), mode="bicubic", align_corners=False) * cell**0.5 / 12
    return picture.clamp(-1, 1)


def moved(picture, rows, columns, height, width):
    """A window of the picture, of which the other at (0, 0) is found at (rows, columns)."""
    return picture[..., 20 - rows : 20 - rows + height, 20 - columns : 20 - columns + width]


def noise(shape, level, seed):
    return level * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("rows", "columns"), [(0, 0), (1, 0), (-2, 3), (5, -7), (0, 12)])
@pytest.mark.parametrize("shape", [(80, 142), (93, 131)])
def test_a_picture_that_moved_has_that_motion(rows, columns, shape):
    wide = texture(140, 190)
    found = rapid_motion(moved(wide, 0, 0, *shape), moved(wide, rows, columns, *shape))
    apart = (found.flow - torch.tensor([rows, columns]).view(1, 2, 1, 1))[..., 15:-15, 15:-15].norm(dim=1)
    assert apart.mean() < 0.12 and apart.quantile(0.95) < 0.4
    assert found.unlike[..., 15:-15, 15:-15].mean() < 0.1


def test_half_a_pixel_is_seen():
    wide = texture(120, 180)
    fine = F.interpolate(wide, scale_factor=2, mode="bicubic")
    first, second = (F.avg_pool2d(fine[..., 21 - by : 181 - by, 20:300], 2) for by in (0, 1))
    flow = rapid_motion(first, second).flow[..., 10:-10, 10:-10]
    assert torch.allclose(flow.mean((0, 2, 3)), torch.tensor([0.5, 0.0]), atol=0.05)


def test_a_larger_picture_is_seen_small_and_its_motion_is_scaled():
    wide = F.interpolate(texture(160, 180), scale_factor=3, mode="bicubic")
    found = rapid_motion(wide[..., 60:420, 60:480], wide[..., 54:414, 51:471])
    assert found.flow.shape == (1, 2, 360, 420) and found.texture.shape == found.unlike.shape == (1, 1, 360, 420)
    assert torch.allclose(found.flow[..., 45:-45, 45:-45].mean((0, 2, 3)), torch.tensor([6.0, 9.0]), atol=0.3)


def test_equal_pictures_and_flat_ones_have_no_motion():
    picture = texture(50, 60)
    assert rapid_motion(picture, picture).flow.abs().max() < 1e-4
    flat = torch.full((2, 3, 20, 40), 0.3)
    found = rapid_motion(flat, flat)
    assert found.flow.abs().max() == 0 and found.texture.max() < 1e-6
    for height, width in ((1, 1), (1, 9), (2, 3), (17, 1)):
        assert rapid_motion(flat[..., :height, :width], flat[..., :height, :width]).flow.shape == (2, 2, height, width)


def test_light_that_changes_evenly_is_no_motion():
    wide = texture(130, 170) * 0.6
    first, second = moved(wide, 0, 0, 80, 120), moved(wide, 1, -2, 80, 120)
    for light in (0.1, -0.3):
        flow = rapid_motion(first, second + light).flow
        torch.testing.assert_close(flow, rapid_motion(first, second).flow, rtol=0, atol=0.03)


def test_what_tells_nothing_of_motion_moves_as_its_surroundings_do():
    wide = texture(120, 120)
    wide[..., 58:68, 58:68] = 0.1  # flat
    flow = rapid_motion(moved(wide, 0, 0, 80, 80), moved(wide, 2, 2, 80, 80)).flow
    assert (flow[..., 40:46, 40:46] - 2).abs().max() < 0.4


def test_flat_noise_has_little_texture_and_what_was_replaced_is_unlike():
    picture = texture(80, 120)
    flat = rapid_motion(noise((1, 1, 80, 120), 0.01, 1), noise((1, 1, 80, 120), 0.01, 2))
    assert flat.texture.mean() < 0.1 * rapid_motion(picture, picture).texture.mean()
    other = picture.clone()
    other[..., 30:60, 40:80] = texture(30, 40, seed=9)
    unlike = rapid_motion(picture, other).unlike
    assert unlike[..., 36:54, 46:74].mean() > 0.3 > 30 * unlike[..., :15, :].mean()


def test_what_changes_in_one_place_does_not_move_its_surroundings():
    picture = texture(80, 120)
    dark, light = picture.clone(), picture.clone()
    dark[..., 34:46, 54:66], light[..., 34:46, 54:66] = -0.9, 0.9
    flow = rapid_motion(dark, light).flow.norm(dim=1)
    away = torch.ones_like(flow, dtype=torch.bool)
    away[..., 24:56, 44:76] = False
    assert flow[away].max() < 0.05


def test_mirroring_the_pictures_does_so_to_the_motion():
    wide = texture(110, 140)
    first, second = moved(wide, 0, 0, 64, 96), moved(wide, 2, -3, 64, 96)
    flow = rapid_motion(first, second).flow
    mirrored = rapid_motion(first.flip(-1), second.flip(-1)).flow.flip(-1) * torch.tensor([1.0, -1.0]).view(1, 2, 1, 1)
    turned = rapid_motion(first.mT, second.mT).flow.mT.flip(1)
    torch.testing.assert_close(turned, flow, rtol=0, atol=0.01)
    torch.testing.assert_close(mirrored, flow, rtol=0, atol=0.01)


def test_a_batch_is_its_pictures_one_by_one(monkeypatch):
    pictures = torch.cat([texture(40, 52, seed) for seed in range(5)])
    others = torch.cat([picture.roll((seed % 3, -1), (0, 1))[None] for seed, picture in enumerate(pictures.unbind())])
    both = rapid_motion(pictures, others)
    monkeypatch.setattr("structkit.kernels.rapid_flow.TOGETHER", 2 * 40 * 52)
    few = rapid_motion(pictures, others)
    for part in ("flow", "texture", "unlike"):
        alone = torch.cat(
            [getattr(rapid_motion(a[None], b[None]), part) for a, b in zip(pictures, others, strict=True)]
        )
        torch.testing.assert_close(getattr(both, part), alone, rtol=0, atol=1e-4)
        torch.testing.assert_close(getattr(few, part), alone, rtol=0, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 3, 8, 10), (2, 1, 1, 1), (1, 2, 1, 17), (3, 4, 13, 7)])
def test_means_over_windows_equal_their_reference(shape):
    values = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.testing.assert_close(cell_means(values), cell_means_reference(values))


def test_the_error_names_the_shapes():
    with pytest.raises(OptionError, match=r"motion from \(1, 3, 8, 8\) to \(1, 3, 8, 9\): expected two of one shape"):
        rapid_motion(torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 9))
