"""Laws of analogies of videos: calm where the source is, made of the target, following the source, one frame at a
time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import pytest
import torch
from torch import Tensor

from structkit.configs import AnalogyConfig
from structkit.engines.patch import video
from structkit.engines.patch.analogy import Analogy, analogy
from structkit.engines.patch.drafts import Draft, small_shape
from structkit.engines.patch.synthesis import SMALL, SynthesisPlan
from structkit.engines.patch.video import analogy_frames, detail_of
from structkit.kernels.flow import warp
from structkit.kernels.nearest_patches import nearest_patches
from structkit.kernels.patches import Nearest, patch_grid
from structkit.kernels.pyramid import resize
from structkit.metrics.structure import explained_structure, patch_distance

from ..pictures import discs, grain, red_spots_on_green

pytestmark = pytest.mark.usefixtures("few_drafts")

SHAPE = (48, 56)
FAST = {"rounds": 1, "coarsest": 30}
FIGURE, GROUND = grain(*SHAPE, (-0.8, -0.8, -0.7), 0.05, 1), grain(*SHAPE, (0.7, 0.7, 0.6), 0.05, 2)


def scene(column: float, *, second: bool = True) -> Tensor:
    """A dark disc at `column` (as a share of the height) that carries its texture along, and one that rests."""
    step = round(column * SHAPE[0])
    spots = [(0.4, column, 0.2)]
    ground = discs(*SHAPE, [(0.8, 1.0, 0.12)], FIGURE, GROUND) if second else GROUND
    return discs(*SHAPE, spots, FIGURE.roll(step, -1), ground)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def film(frames, target=None, *, shape=SHAPE, seed=0, usable=None, **options) -> list[Tensor]:
    target = red_spots_on_green() if target is None else target
    config = AnalogyConfig(**{**FAST, **options})
    return list(analogy_frames(frames, target, config, shape=shape, usable=usable, generator=generator(seed)))


def change(frames) -> float:
    return sum(float((a - b).abs().mean()) for a, b in zip(frames[1:], frames[:-1], strict=True)) / (len(frames) - 1)


MOVING = [scene(0.3 + 0.04 * i) for i in range(4)]


@pytest.fixture(scope="module")
def filmed() -> list[Tensor]:
    """The analogy of MOVING with red spots on green."""
    return film(MOVING)


def test_the_first_frame_is_the_picture_that_an_analogy_makes():
    target = red_spots_on_green()
    alone = analogy(MOVING[0], target, AnalogyConfig(**FAST), shape=SHAPE, generator=generator()).picture
    assert torch.equal(film(MOVING[:1], target)[0], alone.clamp(-1, 1))


def test_a_source_that_rests_gives_a_result_that_rests_to_the_last_bit():
    noisy = [MOVING[0] + 0.005 * torch.randn(MOVING[0].shape, generator=generator(i)) for i in range(3)]
    first, *later = film(noisy)
    assert all(torch.equal(first, frame) for frame in later)


def test_what_rests_in_a_source_that_moves_rests_in_the_result(filmed):
    assert change([frame[..., 34:, 44:] for frame in MOVING]) == 0
    assert all(torch.equal(filmed[0][..., 34:, 44:], frame[..., 34:, 44:]) for frame in filmed)


def test_the_result_moves_as_the_source_does_and_keeps_its_look(filmed):
    target, results = red_spots_on_green(), filmed
    for source, result in zip(MOVING, results, strict=True):
        assert result.shape == (1, 3, *SHAPE) and result.abs().max() <= 1
        assert explained_structure(source, result) > 0.7
        assert patch_distance(result, target) < 1.4 * patch_distance(results[0], target)
    assert explained_structure(MOVING[-1], results[0]) < explained_structure(MOVING[-1], results[-1]) - 0.1


def test_it_is_calmer_than_analogies_frame_by_frame(filmed):
    alone = [film([frame])[0] for frame in MOVING]
    assert change(filmed) < 0.9 * change(alone)


def test_strokes_do_not_melt_under_a_camera_that_moves(monkeypatch):
    """A flat scene, painted with a grainy target, seen through a window that moves on by 1.3 px a frame."""
    monkeypatch.setattr(video, "analogy", partial(analogy, like=Draft("moments", 30, 0.5)))
    height, width = shape = (72, 76)
    flat = [torch.full((1, 3, height, width + 24), shade) for shade in (-0.6, 0.6)]
    wide = discs(height, width + 24, [(0.5, 0.6, 0.3), (0.4, 1.3, 0.25)], *flat)
    ways = (torch.tensor([0.0, 1.3 * i]).view(1, 2, 1, 1).expand(-1, -1, *wide.shape[-2:]) for i in range(7))
    pan = [warp(wide, way)[..., :width] for way in ways]
    grains = grain(36, 36, (-0.5, -0.2, 0.1), 0.4, 3), grain(36, 36, (0.4, 0.3, 0.1), 0.4, 4)
    figure, ground = (resize(strokes, (72, 72)) for strokes in grains)
    first, *later = film(pan, discs(72, 72, [(0.5, 0.5, 0.3)], figure, ground), shape=shape, rounds=None)
    kept = [detail_of(frame) / detail_of(first) for frame in later]
    assert all(0.7 < share < 1.15 for share in kept), kept


@pytest.mark.parametrize("mode", ["analogy", "style"])
def test_the_stronger_the_more_of_the_source_is_seen_in_later_frames(monkeypatch, mode):
    """On a target whose lightness falls in one step: its patches lie as the source's do, or as its own, never both."""
    monkeypatch.setattr(video, "analogy", partial(analogy, like=Draft("transported", 30, 0.5)))
    target, kept = grain(48, 48, (0.1, 0.2, 0.0), 0.5, 9), []
    target[..., 30:] -= 0.5
    for strength in (0.0, 1.0):
        result = film(MOVING[:3], target, mode=mode, strength=strength, rounds=3)[-1]
        kept.append(explained_structure(MOVING[2], result))
    assert kept[0] < kept[1] - 0.05, kept


def test_slow_changes_are_seen_when_they_have_added_up():
    """Each step is less than noise, six of them are not."""
    first = scene(0.35, second=False)
    fade = [torch.lerp(first, scene(0.35), 0.012 * i) for i in range(7)]
    results = film(fade)
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0][..., 34:, 44:], results[-1][..., 34:, 44:])
    assert torch.equal(results[0][..., :20, :10], results[-1][..., :20, :10])


def test_after_a_cut_the_scene_is_made_as_if_it_came_first():
    other = discs(*SHAPE, [(0.5, 0.9, 0.3)], GROUND.flip(-2), FIGURE.flip(-1))
    cut = film([*MOVING[:2], other, other])
    assert torch.equal(cut[2], film([other])[0]) and torch.equal(cut[2], cut[3])


def test_frames_are_taken_one_at_a_time_and_do_not_depend_on_later_ones(filmed):
    taken = []

    def source() -> Iterator[Tensor]:
        for i, frame in enumerate(MOVING):
            taken.append(i)
            yield frame

    results = analogy_frames(source(), red_spots_on_green(), AnalogyConfig(**FAST), shape=SHAPE, generator=generator())
    assert taken == []
    some = [next(results), next(results)]
    assert taken == [0, 1]
    assert all(torch.equal(a, b) for a, b in zip(some, filmed[:2], strict=True))


def test_the_same_seed_gives_the_same_film_and_another_another():
    target = grain(48, 48, (0.1, 0.2, 0.0), 0.5, 9)
    one, same, other = (film(MOVING[:3], target, mode="paint", seed=seed) for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not torch.equal(one[-1], other[-1])


def test_what_is_searched_exactly_in_each_frame_stays_small_where_the_layout_is_large(monkeypatch):
    searched, shape = [], (96, 108)

    def watched(queries: Tensor, keys: Tensor) -> Nearest:
        searched.append((len(queries), len(keys)))
        return nearest_patches(queries, keys)

    monkeypatch.setattr(video, "nearest_patches", watched)
    assert film([resize(frame, shape) for frame in MOVING[:2]], shape=shape, patch=5, match="colour", coarsest=90)[
        1
    ].shape == (1, 3, *shape)
    assert searched and all(max(pair) <= 1.2 * SMALL**2 for pair in searched)
    assert (
        small_shape((1080, 1920), least=8) == (64, 114) and math.prod(small_shape((40, 4000), least=8)) < 4.1 * SMALL**2
    )


@pytest.fixture(scope="module")
def usual() -> list[Tensor]:
    return film(MOVING[:2])


@pytest.mark.parametrize("options", [{"mode": "style"}, {"mode": "texture"}, {"mode": "paint"}, {"match": "colour"}])
def test_every_way_to_make_an_analogy_makes_films_of_its_own(usual, options):
    results = film(MOVING[:2], **options)
    assert [frame.shape for frame in results] == [(1, 3, *SHAPE)] * 2
    assert all(
        frame.isfinite().all() and not torch.equal(frame, other) for frame, other in zip(results, usual, strict=True)
    )


@pytest.mark.parametrize(
    "option",
    [
        {"mode": "style"},
        {"match": "colour"},
        {"strength": 0.0},
        {"completeness": 1.0},
        {"patch": 5},
        {"rounds": 3},
        {"coarsest": 20},
    ],
)
def test_options_count_in_later_frames_too(monkeypatch, option):
    """Where the first one is the same; of the modes only style is one of how, the others are of what the first frame
    holds.
    """

    def first(source: Tensor, target: Tensor, config: AnalogyConfig, **_) -> Analogy:
        field = torch.zeros(math.prod(patch_grid(SHAPE, config.patch)), dtype=torch.int64)
        return Analogy(source, field, config.coarsest, SynthesisPlan(1, 1), lambda other: -other)

    monkeypatch.setattr(video, "analogy", first)
    one, other = film(MOVING[:2]), film(MOVING[:2], **option)
    assert torch.equal(one[0], other[0]) and not torch.equal(one[1], other[1])


def test_hidden_pixels_of_the_target_are_not_used_in_any_frame():
    target, usable = red_spots_on_green(), torch.ones(1, 1, 48, 48)
    usable[..., 24:] = 0
    target[..., 24:] = torch.tensor([-1.0, -1.0, 1.0])[None, :, None, None]
    assert all(frame[:, 2].max() < 0.3 for frame in film(MOVING[:3], target, usable=usable))


def test_no_frames_make_no_frames_and_tiny_ones_tiny_ones():
    assert film([]) == []
    assert film([frame[..., :17, :16] for frame in MOVING[:2]], shape=(17, 16))[1].shape == (1, 3, 17, 16)
