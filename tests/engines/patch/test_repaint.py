"""A rough clip painted anew: its course stays, and its texture is that of the patches."""

from __future__ import annotations

import torch
from torch import Tensor

from structkit.configs import ClipConfig
from structkit.engines.patch.repaint import repaint_clip
from structkit.engines.patch.synthesis import Synthesis
from structkit.kernels.pyramid import resize

CONFIG = ClipConfig(patch=5)


def drift(frames: int = 6, height: int = 24, width: int = 32) -> Tensor:
    """(1, 3, T, H, W): stripes of a fine pattern, which drift by a pixel a frame."""
    t, y, x = torch.meshgrid(*(torch.arange(n).float() for n in (frames, height, width)), indexing="ij")
    waves = [torch.sin(0.9 * (x - t) + 0.3 * y), torch.cos(0.25 * (x - t)), torch.sin(0.2 * y)]
    return 0.8 * torch.stack(waves)[None]


def error(one: Tensor, other: Tensor) -> float:
    return float((one - other).square().mean())


def painted(rough: Tensor, patches: Tensor, shape: tuple[int, ...], config: ClipConfig = CONFIG) -> Tensor:
    return repaint_clip(rough, patches, config, shape=shape, generator=torch.Generator().manual_seed(0))


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
    for shape in ((1, 24, 32), (9, 30, 20), (4, 17, 40), (4, 4, 20)):
        made = painted(drift(4, 16, 16), drift(), shape)
        assert made.shape == (1, 3, *shape) and bool(made.isfinite().all()) and float(made.abs().max()) <= 1


def test_a_window_is_painted_with_the_frames_around_its_time(monkeypatch):
    seen: list[tuple[int, ...]] = []

    class Watched(Synthesis):
        def __init__(self, target: Tensor, shape: tuple[int, ...], **how) -> None:
            seen.append((*(round(float(target[..., t, 0, 0].mean()) * 100) for t in (0, -1)), shape[0]))
            super().__init__(target, shape, **how)

    monkeypatch.setattr("structkit.engines.patch.repaint.Synthesis", Watched)
    config = ClipConfig(patch=3, rounds=1, window=16)
    dated = (torch.arange(40) / 100)[None, None, :, None, None].expand(1, 3, 40, 8, 8)
    for frames, wanted in ((4, [(0, 15, 4)]), (40, [(at, at + 15, 16) for at in (0, 6, 12, 18, 24)])):
        seen.clear()
        made = painted(dated[:, :, :frames], dated, (frames, 8, 8), config)
        assert seen == wanted and error(made, dated[:, :, :frames]) < 1e-4
