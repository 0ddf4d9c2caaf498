"""Laws of channels that are compared beside the colours: a result follows them, and without them nothing changes."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from structkit.configs import AnalogyConfig
from structkit.engines.patch.analogy import analogy
from structkit.engines.patch.channels import Channels, ChannelStack
from structkit.engines.patch.clip_analogy import analogy_clip
from structkit.engines.patch.synthesis import Synthesis, SynthesisPlan, SynthesisState
from structkit.engines.patch.video import analogy_frames
from structkit.errors import OptionError
from structkit.kernels.patches import extract

pytestmark = pytest.mark.usefixtures("few_drafts")

SIDE, PATCH = 48, 5
FAST = {"rounds": 2, "coarsest": 30, "patch": PATCH}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(height: int = SIDE, width: int = SIDE, seed: int = 0) -> Tensor:
    return torch.rand(1, 3, height, width, generator=generator(seed)) * 0.6 - 0.3


def in_halves(height: int = SIDE, width: int = SIDE) -> tuple[Tensor, Tensor]:
    """A target, red on its left and blue on its right, and the map of these halves."""
    labels = -torch.ones(1, 1, height, width)
    labels[..., width // 2 :] = 1
    return noise(height, width, 5) + torch.cat([-0.6 * labels, 0 * labels, 0.6 * labels], 1), labels


def disc(height: int = SIDE, width: int = SIDE, radius: float = 14) -> Tensor:
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    inside = (y - height / 2).square() + (x - width / 2).square() < radius**2
    return torch.where(inside, 1.0, -1.0)[None, None]


def astray(result: Tensor, labels: Tensor, *, margin: int = PATCH) -> float:
    """The share of a result's pixels, of those more than a margin inside of a label, that are made of the other."""
    side = 2 * margin + 1
    inside = F.max_pool2d(labels, side, 1, margin) == -F.max_pool2d(-labels, side, 1, margin)
    is_blue = (result[:, 2:] > result[:, :1]).float() * 2 - 1
    return float((is_blue != labels)[inside].float().mean())


def made(channels: Tensor | None, weight: float = 100.0, source: Tensor | None = None, **options) -> Tensor:
    target, labels = in_halves()
    guides = [] if channels is None else [Channels(channels, labels, weight)]
    config = AnalogyConfig(**{**FAST, **options})
    source = noise(seed=1) if source is None else source
    return analogy(source, target, config, shape=(SIDE, SIDE), guides=guides, generator=generator()).picture


FORMS = [
    {},
    {"completeness": 1.0},
    {"match": "colour"},
    {"mode": "style"},
    {"mode": "paint"},
]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_map_of_large_weight_is_followed_exactly_where_it_can_be(form):
    assert astray(made(None, **form), disc()) > 0.2
    assert astray(made(disc(), **form), disc()) == 0


def test_a_map_is_followed_where_patches_are_searched_for_approximately(monkeypatch):
    for limit in ("EXACT_ALWAYS", "EXACT_ONCE"):
        monkeypatch.setattr(f"structkit.engines.patch.synthesis.{limit}", 0)
    assert astray(made(None), disc()) > 0.2
    assert astray(made(disc()), disc()) < 0.01


def test_what_the_source_shows_is_still_seen_inside_of_a_label():
    """Of two labels alike in size, each is made of what is nearest in colour among its own."""
    target, labels = in_halves()
    target[:, 1, :24] += 0.6
    source = noise(seed=1)
    source[:, 1, :24] += 0.6
    config = AnalogyConfig(match="colour", **FAST)
    guides = [Channels(disc(), labels, 100.0)]
    result = analogy(source, target, config, shape=(SIDE, SIDE), guides=guides, generator=generator()).picture
    assert float(result[:, 1, :20].mean()) > 0.3 > 0.2 > float(result[:, 1, 28:].mean())


def test_without_weight_or_without_levels_a_map_changes_nothing():
    target, labels = in_halves()
    config, plain = AnalogyConfig(**FAST), made(None)
    for idle in (Channels(disc(), labels, 0.0), Channels(disc(), labels, 9.0, to=8)):
        guides = {"guides": [idle], "generator": generator()}
        assert torch.equal(analogy(noise(seed=1), target, config, shape=(SIDE, SIDE), **guides).picture, plain)


def test_the_order_of_maps_changes_nothing():
    target, labels = in_halves()
    ramp = torch.linspace(-1, 1, SIDE).expand(1, 1, SIDE, SIDE)
    maps = [Channels(disc(), labels, 1.0), Channels(ramp, ramp.mT, 1.0), Channels(ramp.flip(-1), ramp.mT, 1.0)]
    config = AnalogyConfig(**FAST)
    results = [
        analogy(noise(seed=1), target, config, shape=(SIDE, SIDE), guides=order, generator=generator()).picture
        for order in (maps, maps[::-1], [maps[1], maps[2], maps[0]])
    ]
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


def test_the_number_of_threads_changes_nothing():
    threads = torch.get_num_threads()
    try:
        results = []
        for count in (1, 2):
            torch.set_num_threads(count)
            results.append(made(disc(), 1.0))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*results)


def test_a_distance_is_the_mean_over_colours_and_by_its_weight_over_each_map():
    stack = ChannelStack(
        [Channels(noise(9, 9, 1), noise(9, 9, 2), 0.7), Channels(noise(9, 9, 3)[:, :1], noise(9, 9, 4)[:, :1], 40.0)], 3
    )
    level, (one, other) = stack.at((9, 9), (9, 9)), (noise(9, 9, 5), noise(9, 9, 6))
    query, key = (extract(whole[0], 9) for whole in (level.of_result(one), level.of_target(other)))
    parts = [
        (one, other, 1.0),
        (noise(9, 9, 1), noise(9, 9, 2), 0.7),
        (noise(9, 9, 3)[:, :1], noise(9, 9, 4)[:, :1], 40.0),
    ]
    meant = sum(weight * float((a - b).square().mean()) for a, b, weight in parts)
    assert level.factor * float((query - key).square().mean()) == pytest.approx(meant, rel=1e-5)
    assert [group.count for group in level.groups] == [3, 3, 1]


def test_a_map_counts_up_to_its_last_level():
    stack = ChannelStack([Channels(disc(), disc(), 1.0, to=20)], 3)
    assert stack.at((20, 30), (25, 25)).groups and not stack.at((21, 30), (25, 25)).groups


def test_sources_that_follow_others_are_as_good_as_those_from_the_beginning():
    (target, labels), ramp = in_halves(), torch.linspace(-1, 1, SIDE).expand(1, 1, SIDE, SIDE)

    def begun(sources) -> Synthesis:
        maps = [Channels(source, other, 2.0) for source, other in zip(sources, (labels, ramp.mT), strict=True)]
        return Synthesis(target, (SIDE, SIDE), coarsest=30, patch=PATCH, generator=generator(), beside=maps)

    def run(synthesis: Synthesis) -> Tensor:
        synthesis.generator.manual_seed(0)
        return synthesis.run(SynthesisState(noise(seed=1)), [0, 1], SynthesisPlan(2, 2)).picture

    moved = begun([ramp, disc()])
    before = run(moved)
    moved.beside.follow([disc(), ramp])
    assert torch.equal(run(moved), run(begun([disc(), ramp]))) and not torch.equal(run(moved), before)


def test_a_video_of_one_frame_is_the_picture_and_a_map_that_changes_is_seen_at_once():
    target, labels = in_halves()
    how = {"shape": (SIDE, SIDE), "generator": generator()}
    maps = [disc(), disc(), disc(radius=20)]
    frames = analogy_frames(
        [noise(seed=1)] * 3,
        target,
        AnalogyConfig(**FAST),
        guides=([Channels(own, labels, 100.0)] for own in maps),
        **how,
    )
    first, second, third = frames
    assert torch.equal(first, made(disc()).clamp(-1, 1)) and torch.equal(first, second)
    assert astray(third, disc(radius=20), margin=3) == 0
    assert astray(second, disc(radius=20), margin=3) > 0.1


@pytest.mark.parametrize("match", ["structure", "motion", "colour"])
def test_two_videos_follow_the_maps_of_their_frames(match):
    target, labels = in_halves(32, 32)
    clips = [torch.stack([noise(32, 32, s).roll(step, -1) for step in range(6)], 2) for s in (1, 2)]
    clips[1] = torch.stack([target] * 6, 2)
    mine = torch.stack([disc(32, 32, radius) for radius in (12, 12, 12, 9, 9, 9)], 2)
    guide = Channels(mine, torch.stack([labels] * 6, 2), 100.0)
    config = AnalogyConfig(match=match, patch=5, rounds=2, coarsest=20)
    result = analogy_clip(*clips, config, shape=(6, 32, 32), guides=[guide], generator=generator())
    for frame in (0, 5):  # patches reach over three
        assert astray(result[:, :, frame], mine[:, :, frame]) < 0.02


def test_maps_of_a_long_clip_are_followed_in_all_of_its_windows(monkeypatch):
    monkeypatch.setattr("structkit.engines.patch.clip_analogy.VOXELS", 0)
    (target, labels), frames = in_halves(20, 20), 20
    mine = torch.stack([disc(20, 20, 4 if step < 10 else 9) for step in range(frames)], 2)
    guide = Channels(mine, labels[:, :, None], 100.0)
    config = AnalogyConfig(match="colour", patch=3, rounds=1, coarsest=14)
    source, how = noise(20, 20)[:, :, None].expand(-1, -1, frames, -1, -1), {"shape": (frames, 20, 20)}
    result = analogy_clip(source, target[:, :, None], config, guides=[guide], generator=generator(), **how)
    for frame in range(frames):
        assert astray(result[:, :, frame], mine[:, :, frame], margin=2) < 0.1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"weight": -1.0}, "the weight of channels is -1: it must be 0 or more"),
        ({"weight": math.nan}, "the weight of channels is nan"),
        ({"source": torch.zeros(1, 2, 8, 8)}, "they must be as many"),
        ({"source": torch.zeros(1, 1, 2, 8, 8)}, "they must be as many"),
    ],
)
def test_channels_that_cannot_be_are_refused(changed, message):
    with pytest.raises(OptionError, match=message):
        replace(Channels(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)), **changed)


def test_channels_of_other_axes_are_refused():
    flat = Channels(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8))
    with pytest.raises(OptionError, match="channels"):
        clip = torch.zeros(1, 3, 2, 16, 16)
        Synthesis(clip, (2, 16, 16), coarsest=8, patch=(2, 5, 5), generator=generator(), beside=[flat])
