"""A rough clip painted anew: its course stays, and its texture is that of the patches."""

from __future__ import annotations

import torch
from torch import Tensor

from structkit.configs import ClipConfig
from structkit.engines.patch.repaint import repaint_clip
from structkit.kernels.pyramid import resize

CONFIG = ClipConfig(patch=5)


def drift(frames: int = 6, height: int = 24, width: int = 32) -> Tensor:
    """(1, 3, T, H, W): stripes of a fine pattern, which drift by a pixel a frame."""
    t, y, x = torch.meshgrid(*(torch.arange(n).float() for n in (frames, height, width)), indexing="ij")
    waves = [torch.sin(0.9 * (x - t) + 0.3 * y), torch.cos(0.25 * (x - t)), torch.sin(0.2 * y)]
    return 0.8 * torch.stack(waves)[None]


def error(one: Tensor, other: Tensor) -> float:
    return float((one - other).square().mean())


def painted(rough: Tensor, patches: Tensor, shape: tuple[int, ...]) -> Tensor:
    return repaint_clip(rough, patches, CONFIG, shape=shape, generator=torch.Generator().manual_seed(0))


def test_a_clip_repainted_with_its_own_patches_is_that_clip():
    clip = drift()
    assert error(painted(clip, clip, (6, 24, 32)), clip) < 1e-3


def test_a_blurred_clip_comes_nearer_to_the_sharp_one():
    clip = drift()
    rough = resize(clip, (6, 12, 16))
    made = painted(rough, clip, (6, 24, 32))
    assert made.shape == clip.shape
    assert error(made, clip) < 0.7 * error(resize(rough, (6, 24, 32)), clip)


def test_any_length_and_size_comes_out_finite_and_in_range():
    for shape in ((1, 24, 32), (9, 30, 20), (4, 17, 40)):
        made = painted(drift(4, 16, 16), drift(), shape)
        assert made.shape == (1, 3, *shape) and bool(made.isfinite().all()) and float(made.abs().max()) <= 1
