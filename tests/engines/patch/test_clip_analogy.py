"""Laws of analogies of two clips: laid out like the source, made of the target, and what moves becomes what moves."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from structkit.configs import AnalogyConfig
from structkit.engines.patch import clip_analogy
from structkit.engines.patch.analogy import analogy
from structkit.engines.patch.clip_analogy import ClipPair, analogy_clip, clip_plan_of, ranks, speed, windows
from structkit.errors import OptionError
from structkit.kernels.nearest_patches import nearest_patches
from structkit.kernels.patches import extract
from structkit.metrics.structure import explained_structure

from ..pictures import dark_spots_on_light, grain, red_spots_on_green

SHAPE = (6, 24, 32)
GREY, WHITE = (-0.2, -0.2, -0.2), (0.8, 0.8, 0.8)
RED, GREEN = (0.8, -0.5, -0.6), (-0.5, 0.5, -0.5)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def stream(water: tuple, land: tuple, columns: slice, *, down: int = 2, frames: int = SHAPE[0]) -> Tensor:
    """(1, 3, T, H, W): a stream that flows down some columns by `down` px a frame, between land that rests."""
    flowing, ground = (grain(*SHAPE[1:], colour, 0.15, seed) for seed, colour in ((1, water), (2, land)))
    clip = ground[:, :, None].repeat(1, 1, frames, 1, 1)
    for i in range(frames):
        clip[:, :, i, :, columns] = flowing.roll(down * i, 2)[..., columns]
    return clip


SOURCE, TARGET = stream(GREY, WHITE, slice(6, 16)), stream(RED, GREEN, slice(16, 26), down=1)


def made_of(source: Tensor, target: Tensor = TARGET, *, seed: int = 0, shape: tuple = (), **options) -> Tensor:
    config = AnalogyConfig(**{"patch": 5, "coarsest": 12, "rounds": 2, **options})
    return analogy_clip(source, target, config, shape=shape or tuple(source.shape[2:]), generator=generator(seed))


def distance(clip: Tensor, target: Tensor) -> float:
    return float(nearest_patches(extract(clip[0], (3, 5, 5)), extract(target[0], (3, 5, 5))).distance.mean())


def change(clip: Tensor) -> Tensor:
    """From each frame to the next."""
    return (clip[:, :, 1:] - clip[:, :, :-1]).abs().mean((0, 1, 3, 4))


@pytest.fixture(scope="module", params=["structure", "motion"])
def made(request) -> Tensor:
    return made_of(SOURCE, match=request.param)


def test_what_flows_in_the_source_looks_like_what_flows_in_the_target(made):
    redness = (made[:, 0] - made[:, 1]).mean((0, 1, 2))
    assert redness[8:14].mean() > 0.6 and redness[20:].mean() < -0.4


def test_the_result_moves_where_the_source_does(made):
    moves = (made[:, :, 1:] - made[:, :, :-1]).abs().mean((0, 1, 2, 3))
    assert moves[8:14].mean() > 3 * moves[22:].mean()


def test_the_result_is_made_of_the_targets_patches(made):
    assert distance(made, TARGET) < 0.1 * distance(SOURCE, TARGET)


def test_a_seed_gives_one_result():
    one, same = (made_of(SOURCE, rounds=1, seed=3) for _ in range(2))
    assert torch.equal(one, same)


def test_a_clip_of_one_frame_gives_the_bits_of_the_pictures_analogy():
    source, target = dark_spots_on_light(), red_spots_on_green()
    config = AnalogyConfig(match="colour", rounds=2, coarsest=16)
    alone = analogy(source, target, config, shape=(48, 48), generator=generator()).picture
    clip = analogy_clip(source[:, :, None], target[:, :, None], config, shape=(1, 48, 48), generator=generator())
    assert torch.equal(clip[:, :, 0], alone.clamp(-1, 1))


@pytest.mark.parametrize("match", ["structure", "colour", "motion"])
def test_a_still_source_and_a_still_target_give_a_still_result(match):
    still = [
        stream(*colours, slice(6, 16), down=0, frames=4)[:, :, :, :20] for colours in ((GREY, WHITE), (RED, GREEN))
    ]
    made = made_of(*still, match=match, coarsest=10)
    assert float(change(made).max()) < 0.02 * float(made.std())


@pytest.mark.parametrize(
    ("shape", "frames", "match"),
    [
        ((1, 24, 32), 6, "structure"),
        ((2, 24, 32), 1, "structure"),
        ((5, 25, 19), 2, "motion"),
        ((3, 16, 40), 9, "colour"),
    ],
)
def test_clips_of_any_length_and_size_go_together(shape, frames, match):
    source = stream(GREY, WHITE, slice(6, 16), frames=shape[0])
    made = made_of(source, stream(RED, GREEN, slice(6, 16), frames=frames), shape=shape, match=match, rounds=1)
    assert tuple(made.shape) == (1, 3, *shape) and bool(made.isfinite().all()) and float(made.abs().max()) <= 1


@pytest.mark.parametrize("mode", ["style", "texture", "paint"])
def test_each_mode_is_of_clips_too(mode):
    made = made_of(SOURCE, mode=mode, rounds=1)
    assert distance(made, TARGET) < distance(SOURCE, TARGET)


@pytest.mark.parametrize(("match", "alike"), [("motion", True), ("structure", False)])
def test_of_the_source_only_the_published_form_sees_nothing_but_its_speeds(monkeypatch, match, alike):
    monkeypatch.setattr(clip_analogy, "speed", lambda clip: speed(TARGET if clip is TARGET else SOURCE))
    one, other = (made_of(clip, match=match, rounds=1) for clip in (SOURCE, SOURCE.flip(3)))
    assert torch.equal(one, other) == alike


def test_ranks_stay_when_all_is_faster():
    speeds = torch.rand(1, 1, 4, 9, 9, generator=generator()) ** 3
    assert torch.equal(ranks(speeds), ranks(8 * speeds))


def test_faster_has_no_lower_rank_and_ranks_go_from_0_to_1():
    speeds = torch.rand(500, generator=generator()).sort().values
    found = ranks(speeds)
    assert bool((found.diff() >= 0).all()) and (float(found[0]), float(found[-1])) == (0, 1)
    assert len(found.unique()) == clip_analogy.RANKS


def test_where_all_moves_alike_there_is_no_rank():
    assert not ranks(torch.full((1, 1, 2, 3, 3), 0.7)).any()


def test_speed_is_that_of_the_stream_and_none_on_land():
    found = speed(stream(GREY, WHITE, slice(6, 16), down=1))
    assert tuple(found.shape) == (1, 1, *SHAPE)
    assert float(found[..., 8:14].median()) == pytest.approx(1, abs=0.3) and float(found[..., 24:].max()) < 0.1
    assert not speed(SOURCE[:, :, :1]).any()


@pytest.mark.parametrize("count", [1, 16, 17, 40, 100])
def test_windows_cover_all_frames_and_share_some(count):
    parts = list(windows(count, 16, 6))
    assert (parts[0].start, parts[-1].stop) == (0, count)
    assert all(part.stop - part.start <= 16 for part in parts)
    assert all(6 <= a.stop - b.start < 16 for a, b in itertools.pairwise(parts))


def test_no_seam_is_seen_between_windows(monkeypatch):
    monkeypatch.setattr(clip_analogy, "VOXELS", 1)
    monkeypatch.setattr(clip_analogy, "LEAST_WINDOW", 8)
    monkeypatch.setattr(clip_analogy, "SHARED", 3)
    told = []
    source = stream(GREY, WHITE, slice(6, 16), frames=13)
    made = analogy_clip(
        source,
        TARGET,
        AnalogyConfig(patch=5, coarsest=12, rounds=2),
        shape=(13, *SHAPE[1:]),
        generator=generator(),
        progress=lambda share, note: told.append((share, note)),
    )
    moves = change(made)
    assert float(moves.max()) < 2 * float(moves.median())
    assert [share for share, _ in told] == sorted(share for share, _ in told) and told[-1][0] == 1
    assert told[-1][1] == "part 2, done"


def test_the_first_windows_frames_are_held(monkeypatch):
    """Of those that two parts share, the first half is the same to the bit; the others come nearer to the new ones."""
    monkeypatch.setattr(clip_analogy, "VOXELS", 1)
    monkeypatch.setattr(clip_analogy, "LEAST_WINDOW", 8)
    monkeypatch.setattr(clip_analogy, "SHARED", 3)
    parts = []
    part = ClipPair.part

    def kept(self, frames, known, progress):
        parts.append((known.clone(), part(self, frames, known, progress)))
        return parts[-1][1]

    monkeypatch.setattr(ClipPair, "part", kept)
    source = stream(GREY, WHITE, slice(6, 16), frames=13)
    made_of(source, rounds=1)
    known, after = parts[1]
    assert known.shape[2] == 3 and torch.equal(known, parts[0][1][:, :, -3:])
    assert torch.equal(after[:, :, :2], known[:, :, :2]) and not torch.equal(after[:, :, 2], known[:, :, 2])


@pytest.mark.parametrize("mode", ["analogy", "style"])
def test_most_strength_keeps_more_of_the_sources_layout_than_none(mode):
    source = stream(GREY, WHITE, slice(6, 16), down=0, frames=3)
    marks = source.clone()
    marks[..., 8:12, 19:29], marks[..., 16:20, 8:14] = -0.7, 0.9
    kept = []
    for strength in (0.0, 1.0):
        result = made_of(marks, TARGET[:, :, :3], mode=mode, strength=strength, coarsest=None, rounds=1)
        kept.append(explained_structure(marks[:, :, 1], result[:, :, 1]))
    assert kept[0] < kept[1] - 0.05, kept


def test_what_the_user_says_beats_the_plan():
    plan = clip_plan_of(AnalogyConfig(match="motion"), SHAPE)
    assert (plan.alpha, plan.rounds, plan.small_rounds) == (0.005, 2, 4)
    plan = clip_plan_of(AnalogyConfig(completeness=0.0, rounds=3), SHAPE)
    assert (plan.alpha, plan.rounds, plan.small_rounds) == (None, 3, 3)


def test_a_source_keeps_its_frames():
    with pytest.raises(OptionError, match="an analogy of 6 frames in 5: a source keeps its frames"):
        made_of(SOURCE, shape=(5, 24, 32))
