"""Laws of clips that are made of a clip's patches."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from structkit.configs import ClipConfig
from structkit.engines.patch.clips import ClipSynthesis, clip_plan, noisy_start, sample_clip
from structkit.engines.patch.synthesis import HeldPart
from structkit.kernels.patches import extract

from ..pictures import red_spots_on_green


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def film(frames: int = 4, height: int = 24, width: int = 30) -> Tensor:
    """(1, 3, T, H, W): spots that go to the right, darker from top to bottom."""
    picture = red_spots_on_green(height, width) * 0.5
    picture = picture + torch.linspace(0.5, -0.5, height)[:, None]
    return torch.stack([picture.roll(2 * step, -1) for step in range(frames)], 2)


def sampled(clip: Tensor, seed: int = 0, *, shape: tuple[int, ...] | None = None, loop: bool = False, **options):
    return sample_clip(
        clip, ClipConfig(**options), shape=shape or tuple(clip.shape[2:]), loop=loop, generator=generator(seed)
    )


def test_without_variety_a_clip_stays_itself():
    clip = film()
    assert float((sampled(clip, variety=0.0) - clip).square().mean()) < 0.01 * float(clip.var())


def test_a_seed_gives_one_sample_and_another_another():
    clip = film()
    assert torch.equal(sampled(clip, 1), sampled(clip, 1))
    assert float((sampled(clip, 1) - sampled(clip, 2)).abs().mean()) > 0.05


def test_more_variety_is_further_from_the_clip():
    clip = film()
    near, far = (
        sum(float((sampled(clip, seed, variety=v) - clip).square().mean()) for seed in range(3)) for v in (0.05, 0.8)
    )
    assert near < far


@pytest.mark.parametrize("shape", [(4, 24, 30), (9, 30, 24), (3, 20, 44), (2, 24, 30), (1, 24, 30)])
def test_a_sample_has_the_shape_that_is_asked_for_and_the_clips_colours(shape):
    made = sampled(film(), shape=shape)
    assert tuple(made.shape) == (1, 3, *shape) and bool(made.isfinite().all())
    assert float(made.amin()) >= float(film().amin()) - 0.1 and float(made.amax()) <= float(film().amax()) + 0.1


def test_a_sample_is_made_of_the_clips_patches():
    clip = film()
    mine, theirs = (extract(x[0], (2, 4, 4)) for x in (sampled(clip), clip))
    noise = extract(torch.rand(clip.shape, generator=generator())[0] * 2 - 1, (2, 4, 4))
    apart, far = (torch.cdist(rows, theirs).amin(1).square().mean() for rows in (mine, noise))
    assert float(apart) < 0.1 * float(far)


def test_upright_keeps_things_at_their_height():
    clip = film()
    rows = clip.mean((0, 1, 2, 4))

    def strayed(upright: float) -> float:
        samples = [sampled(clip, seed, upright=upright, variety=1.0) for seed in range(3)]
        return sum(float((made.mean((0, 1, 2, 4)) - rows).square().mean()) for made in samples)

    assert strayed(1.0) < 0.5 * strayed(0.0)


def test_a_held_part_stands_in_the_result_to_the_last_bit():
    clip = film()
    known = torch.zeros(1, 1, *clip.shape[2:])
    known[:, :, :2] = 1
    for upright in (0.0, 1.0):
        config = ClipConfig(upright=upright)
        made = ClipSynthesis(
            clip, config, tuple(clip.shape[2:]), generator=generator(), held=HeldPart(clip.flip(4), known)
        )
        result = made.run(noisy_start(clip.flip(4), 0.5, generator()), clip_plan(config))
        assert torch.equal(result[:, :, :2], clip.flip(4)[:, :, :2])
        assert not torch.equal(result[:, :, 2:], clip.flip(4)[:, :, 2:])


def test_in_a_loop_the_last_frame_leads_to_the_first():
    clip = film(frames=15)  # spots of one period, 30 px: the 16th frame would be the first
    there = (clip[:, :, 1:] - clip[:, :, :-1]).abs().mean()
    made = sampled(clip[:, :, :12], loop=True, variety=0.1)
    joint = (made[:, :, 0] - made[:, :, -1]).abs().mean()
    cut = (clip[:, :, 0] - clip[:, :, 11]).abs().mean()
    assert float(joint) < 1.5 * float(there) < 1.5 * float(cut)


def test_progress_ends_at_one_and_never_goes_back():
    shares: list[float] = []
    sample_clip(
        film(),
        ClipConfig(),
        shape=(4, 24, 30),
        generator=generator(),
        progress=lambda share, note: shares.append(share),
    )
    assert shares == sorted(shares) and shares[-1] == 1
