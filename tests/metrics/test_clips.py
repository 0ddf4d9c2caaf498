"""Laws of the measures of clips: how they differ, how they move, what they are made of."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
import torch

from structkit.errors import InputError
from structkit.kernels.patches import extract
from structkit.media.moving_pictures import clip_tensor, read_clip
from structkit.media.video import VideoReader
from structkit.metrics import clips
from structkit.metrics.clips import SpreadTally, diversity, motion, narrowed, resemblance

SHARED = next((found for folder in Path(__file__).parents if (found := folder / "shared" / "score").is_dir()), None)


def noise(seed: int, frames: int = 5, height: int = 12, width: int = 14) -> torch.Tensor:
    """A clip of independent pixels, (1, 3, T, H, W) in [-1, 1]."""
    return torch.rand(1, 3, frames, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_copies_have_no_diversity():
    real = noise(0)
    assert diversity(real, [real] * 3) == 0
    assert SpreadTally(real).add(real) == 0


def test_the_diversity_is_its_definition_written_out():
    real, samples = noise(0), [noise(seed) / 2 for seed in (1, 2, 3)]
    weights = np.array([0.299, 0.587, 0.114])[:, None, None, None]
    grey = [(clip[0].double().numpy() * weights).sum(0) for clip in (real, *samples)]
    assert diversity(real, samples) == pytest.approx(np.std(grey[1:], axis=0).mean() / np.std(grey[0]), rel=1e-5)
    tally = SpreadTally(real)
    apart = np.sqrt(np.square(grey[1] - grey[0]).mean()) / np.std(grey[0])
    assert tally.add(samples[0]) == pytest.approx(apart, rel=1e-5)


def test_clips_that_have_nothing_to_do_with_one_another_differ_as_much_as_two_draws():
    real, one, other = (noise(seed, 8, 32, 32) for seed in range(3))
    tally = SpreadTally(real)
    assert tally.add(one) == pytest.approx(math.sqrt(2), rel=0.05)
    tally.add(other)
    assert 0.5 < tally.diversity < 0.65  # of two normal draws: 1 / sqrt(pi) = 0.56


def test_diversity_asks_neither_for_the_order_of_samples_nor_for_brightness_and_contrast():
    real, samples = noise(0), [noise(seed) for seed in (1, 2, 3)]
    expected = diversity(real, samples)
    assert diversity(real, samples[::-1]) == pytest.approx(expected, rel=1e-5)
    assert diversity(real / 2 + 0.3, [sample / 2 + 0.3 for sample in samples]) == pytest.approx(expected, rel=1e-4)
    mirrored = [clip.flip(2, 4) for clip in (real, *samples)]
    assert diversity(mirrored[0], mirrored[1:]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("count", "have"), [(0, "none"), (1, "1")])
def test_diversity_takes_two_samples(count, have):
    with pytest.raises(InputError, match=f"2 samples or more of the real clip's size are needed, and there is {have};"):
        diversity(noise(0), [noise(1)] * count)


def test_a_sample_of_another_size_has_no_voxels_to_compare():
    said = "4 frames of 14 x 12 px, and the real clip has 5 frames of 14 x 12 px: the spread is measured voxel by voxel"
    with pytest.raises(InputError, match=said):
        diversity(noise(0), [noise(1), noise(2, frames=4)])


def test_a_still_sample_has_no_motion_and_a_copy_that_of_the_real_clip():
    real = noise(0)
    assert motion(real, real) == 1
    assert motion(real, real[:, :, :1].expand_as(real)) == 0


def test_motion_counts_changes_whatever_the_size_and_whichever_way():
    ramp = torch.linspace(-1, 1, 9).reshape(1, 1, 9, 1, 1).expand(1, 3, 9, 4, 4)
    assert motion(ramp, ramp[:, :, ::2]) == pytest.approx(2)
    assert motion(ramp, ramp.flip(2)) == pytest.approx(1)
    assert motion(ramp, ramp[..., :2, :3]) == pytest.approx(1)
    assert motion(ramp, ramp / 2 + 0.4) == pytest.approx(0.5)


def test_beside_a_clip_that_stands_still_any_motion_is_without_end():
    still = torch.zeros(1, 3, 3, 4, 4)
    assert motion(still, still + 1) == 1
    assert motion(still, noise(0)) == math.inf


def test_one_frame_has_no_motion():
    with pytest.raises(InputError, match="the real clip has 1 frame; it is measured from one frame to the next"):
        motion(noise(0, frames=1), noise(1))
    with pytest.raises(InputError, match="the sample has 1 frame"):
        motion(noise(0), noise(1, frames=1))


@pytest.mark.parametrize("generator", [None, drawn()])
def test_a_copy_is_made_of_the_real_clip_at_its_own_places(generator):
    assert resemblance(noise(0), noise(0), generator=generator) == (0, 1)


def test_a_part_of_a_clip_is_made_of_it_elsewhere_and_leaves_the_rest_out():
    real = noise(0)
    part = real[..., 1:, 1:, 3:]
    assert resemblance(part, real) == (0, 0)
    assert resemblance(real, part).distance > 0.05


def test_the_resemblance_is_its_definition_written_out():
    one, other = noise(0, 4, 9, 11), noise(1, 5, 8, 12)
    rows = []
    for clip in (one, other):
        grid = [side - patch + 1 for side, patch in zip(clip.shape[2:], (3, 7, 7), strict=True)]
        places = list(np.ndindex(*grid))
        rows.append((places, [clip[0, :, t : t + 3, y : y + 7, x : x + 7].double() for t, y, x in places]))
    (here, mine), (there, theirs) = rows
    table = torch.stack([torch.stack([(a - b).square().mean() for b in theirs]) for a in mine])
    nearest = table.argmin(1)
    near = [max(abs(a - b) for a, b in zip(here[i], there[j], strict=True)) <= 2 for i, j in enumerate(nearest)]
    found = resemblance(one, other)
    assert found.distance == pytest.approx(float(table.amin(1).mean()), rel=1e-5)
    assert found.in_place == pytest.approx(fmean(near))


def test_the_tiles_in_which_patches_are_compared_change_nothing(monkeypatch):
    one, other = noise(0), noise(1)
    expected = resemblance(one, other)
    monkeypatch.setattr(clips, "ROWS", 37)
    assert resemblance(one, other) == pytest.approx(expected)


def test_of_few_patches_all_are_drawn():
    one, other = noise(0), noise(1)
    assert resemblance(one, other, generator=drawn()) == pytest.approx(resemblance(one, other))


@pytest.mark.parametrize(("most", "most_keys"), [(20, 50), (20, 96), (400, 50)])
def test_patches_are_drawn_as_other_programs_draw_them(monkeypatch, most, most_keys):
    monkeypatch.setattr(clips, "CLIP_QUERIES", most), monkeypatch.setattr(clips, "CLIP_KEYS", most_keys)
    one, other = noise(0, 4), noise(1, 4)
    rows = [extract(clip[0], (3, 7, 7)) for clip in (one, other)]
    assert len(rows[1]) == 96
    generator, expected = drawn(), drawn()
    for _ in range(2):  # one generator for one search after another
        mine = rows[0][torch.randperm(96, generator=expected)[:most]]
        theirs = rows[1] if most_keys == 96 else rows[1][torch.randperm(96, generator=expected)[:50]]
        distance = torch.cdist(mine, theirs).square().amin(1).mean() / mine.shape[1]
        assert resemblance(one, other, generator=generator).distance == pytest.approx(float(distance), rel=1e-4)


def test_what_is_drawn_differs_little_from_all(monkeypatch):
    one, other = (noise(seed, 6, 24, 24) for seed in range(2))
    monkeypatch.setattr(clips, "CLIP_KEYS", 600)
    found = resemblance(one, other, generator=drawn())
    assert found == resemblance(one, other, generator=drawn()) != resemblance(one, other, generator=drawn(1))
    exact = resemblance(one, other)
    assert exact.distance < found.distance < 1.2 * exact.distance  # fewer to choose from are never nearer


def test_frames_are_reduced_to_means_of_the_pixels_that_they_cover():
    clip = noise(0, 3, 20, 256)
    assert narrowed(clip).shape == (1, 3, 3, 10, 128)
    blocks = clip.reshape(1, 3, 3, 10, 2, 128, 2).mean((4, 6))
    torch.testing.assert_close(narrowed(clip), blocks)
    assert narrowed(clip[..., :128]) is not None and torch.equal(narrowed(clip[..., :128]), clip[..., :128])


def test_a_clip_smaller_than_a_patch_is_refused():
    said = "one of two clips has 2 frames of 14 x 12 px, less than a patch of 3 frames of 7 x 7 px; use a longer"
    with pytest.raises(InputError, match=said):
        resemblance(noise(0, frames=2), noise(1))
    with pytest.raises(InputError, match="the other of two clips has 5 frames of 14 x 6 px"):
        resemblance(noise(0), noise(1, height=6))


@pytest.mark.slow
@pytest.mark.skipif(SHARED is None, reason="no other program's scores, and no clips, lie beside the project")
@pytest.mark.parametrize(("clip", "method"), [("fish", "HPVAEGAN"), ("skydivers", "VGPNN")])
def test_figures_are_those_of_another_program_on_published_samples(clip, method):
    spec = importlib.util.spec_from_file_location("video_score", SHARED / "video_score.py")
    other = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(other)
    folder = SHARED.parent / "data" / "singlevideo"
    paths = [folder / f"hpvaegan13/{clip}.mp4", *sorted((folder / f"refs/hpvaegan13/{method}").glob(f"{clip}_*"))[:2]]
    theirs = [other.frames(str(path)) for path in paths]
    ours = [clip_tensor(read_clip(VideoReader(path, blocks=True))) for path in paths]
    for one, same in zip(ours, theirs, strict=True):
        assert (one[0] - same).abs().max() < 1e-5
    real, *samples = ours
    generator, same_generator = drawn(), drawn()
    halved = [other.half(one) for one in theirs]
    for sample, half in zip(samples, halved[1:], strict=True):
        found = resemblance(sample, real, generator=generator)
        assert found == pytest.approx(other.nearest(half, halved[0], same_generator), rel=0.01)
    for sample, half in zip(samples, halved[1:], strict=True):
        found = resemblance(real, sample, generator=generator)
        assert found == pytest.approx(other.nearest(halved[0], half, same_generator), rel=0.01)
    grey = [(one * torch.tensor([0.299, 0.587, 0.114])[:, None, None, None]).sum(0) for one in theirs]
    spread = torch.stack(grey[1:]).std(0, correction=0).mean() / grey[0].std()
    assert diversity(real, samples) == pytest.approx(float(spread), rel=0.01)
    moves = [float((one[:, 1:] - one[:, :-1]).abs().mean()) for one in theirs]
    assert fmean(motion(real, sample) for sample in samples) == pytest.approx(fmean(moves[1:]) / moves[0], rel=0.01)
