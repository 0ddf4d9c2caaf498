"""Laws of drafts: how they are named, made and chosen, and what strength does to them."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import Tensor

from structkit.configs import AnalogyConfig
from structkit.engines.patch import analogy as patch
from structkit.engines.patch.analogy import Analogy
from structkit.engines.patch.draft_ways import COLOURS, Draft, drafts_of
from structkit.engines.patch.drafts import DraftScores, DraftTable
from structkit.engines.patch.synthesis import Synthesis
from structkit.errors import OptionError
from structkit.metrics.structure import edge_agreement, explained_structure

from ..pictures import dark_spots_on_light, grain, red_spots_on_green

STRENGTHS = (0.0, 0.01, 0.25, 0.5, 0.75, 1.0)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def analogy(source: Tensor, target: Tensor, *, like: Draft | None = None, **options) -> Analogy:
    config = AnalogyConfig(**options)
    return patch.analogy(source, target, config, shape=source.shape[2:], like=like, generator=generator())


@pytest.mark.parametrize("mode", COLOURS)
@pytest.mark.parametrize("coarsest", [None, 8])
def test_a_name_leads_to_its_draft_and_no_other(mode, coarsest):
    for strength in STRENGTHS:
        for shape in [(24, 24), (256, 340), (1024, 700)]:
            drafts = drafts_of(AnalogyConfig(mode=mode, strength=strength, coarsest=coarsest), shape)
            assert drafts and len({draft.name for draft in drafts}) == len(drafts)
            assert [Draft.named(draft.name, mode) for draft in drafts] == drafts


@pytest.mark.parametrize(
    "name", ["", "raw", "luminance-48-0.5", "raw-4-1", "raw-48-1000", "raw-48-1-place", "raw-48--1"]
)
def test_a_name_of_no_draft_is_refused_with_an_example_of_one(name):
    with pytest.raises(OptionError, match=rf"{name!r} is no draft of --mode analogy, .* such as \S+$") as told:
        Draft.named(name, "analogy")
    Draft.named(str(told.value).split()[-1], "analogy")


def table_of(source: Tensor, target: Tensor, config: AnalogyConfig) -> DraftTable:
    made = Synthesis(target, source.shape[2:], coarsest=12, patch=7, generator=(draw := generator()))
    return DraftTable(source, made, config, draw)


def test_a_draft_has_the_same_bytes_alone_and_among_others_in_any_order():
    side = 50  # beyond what is searched exactly in every round: its search draws
    source, target = dark_spots_on_light(side, side), red_spots_on_green(side, side)
    config = AnalogyConfig(rounds=2)
    drafts = [Draft("transported", 50, 0.5), Draft("moments", 38, 1.0, placed=True), Draft("transported", 38, 1.0)]
    alone = table_of(source, target, config).make(drafts[2])
    made = table_of(source, target, config).best(drafts, lambda share, note: None)
    turned = table_of(source, target, config).best(drafts[::-1], lambda share, note: None)
    assert [one.draft for one in made] == [one.draft for one in turned]  # the best first
    among = {one.draft: one for one in made}
    assert set(among) == set(drafts)
    for other in (*turned, alone):
        one = among[other.draft]
        assert one.scores == other.scores and torch.equal(one.state.picture, other.state.picture)
    assert not torch.equal(among[drafts[0]].state.picture, among[drafts[2]].state.picture)


@functools.cache
def dial(pair: str, strength: float) -> tuple[Tensor, Tensor, Analogy]:
    """The source, the target and their analogy."""
    source, target = dark_spots_on_light(40, 40), red_spots_on_green(40, 40)
    if pair == "light on dark":
        source, target = target, source
    if pair == "a step":  # patches lie as the source's do, or as the target's, never both
        target = grain(40, 40, (0.1, 0.2, 0.0), 0.5, 9)
        target[..., 25:] -= 0.5
    return source, target, analogy(source, target, strength=strength, rounds=1)


PAIRS = ("light on dark", "a step")


def test_going_on_from_a_draft_gives_what_choosing_it_gives():
    source, target, made = dial("a step", 0.5)
    assert torch.equal(analogy(source, target, like=made.chosen.draft, strength=0.5, rounds=1).picture, made.picture)
    for one in made.drafts[::4]:
        alone = analogy(source, target, like=one.draft, strength=0.5, rounds=1)
        assert torch.equal(alone.chosen.state.picture, one.state.picture)


@pytest.mark.parametrize("pair", PAIRS)
def test_the_draft_of_the_best_total_is_chosen(pair):
    *_, made = dial(pair, 0.5)
    totals = {one.draft: one.scores.total(0.5) for one in made.drafts}
    assert len(set(totals.values())) > 3
    assert totals[made.chosen.draft] == max(totals.values())


def scores(**other: float) -> DraftScores:
    kept = dict.fromkeys(("layout", "edges", "parts"), 0.5)
    return DraftScores(**{**kept, "incoherence": 0.4, "incompleteness": 0.4, **other})


def test_more_strength_weighs_patches_less_beside_structure():
    for patches in ("incoherence", "incompleteness"):
        lost = [scores().total(s) - scores(**{patches: 0.8}).total(s) for s in (0.0, 0.5, 1.0)]
        assert lost[0] > lost[1] > lost[2] > 0
    for structure in ("layout", "edges", "parts"):
        won = [scores(**{structure: 0.8}).total(s) - scores().total(s) for s in (0.0, 0.5, 1.0)]
        assert won[0] > 0 and won == pytest.approx([won[0]] * 3)


def test_a_style_has_one_draft_and_the_rest_some_to_choose_from():
    count = {mode: len(drafts_of(AnalogyConfig(mode=mode), (64, 64))) for mode in COLOURS}
    assert count.pop("style") == 1 and all(some > 1 for some in count.values())


@pytest.mark.parametrize("pair", PAIRS)
def test_strength_is_a_dial_of_structure(pair):
    source, *_ = dial(pair, 0.0)
    pictures = [dial(pair, strength)[2].picture for strength in (0.0, 0.5, 1.0)]
    kept = [explained_structure(source, picture) for picture in pictures]
    assert kept[1] > kept[0] - 0.02 and kept[2] > kept[1] - 0.02 and kept[2] > kept[0] + 0.2
    assert (pictures[0] - pictures[2]).abs().mean() > 0.05


@functools.cache
def styled(side: int, strength: float) -> tuple[Tensor, Tensor]:
    """The source, and it in the style of another picture."""
    source, target = dark_spots_on_light(side, side), red_spots_on_green(side, side)
    return source, analogy(source, target, mode="style", strength=strength, rounds=1).picture


@pytest.mark.parametrize("side", [64, 96])
def test_strength_is_a_dial_of_a_style_in_small_pictures_too(side):
    weak, middle, strong = (styled(side, strength)[1] for strength in (0.0, 0.5, 1.0))
    for one, other in [(weak, middle), (middle, strong), (weak, strong)]:
        assert (one - other).abs().mean() > 0.02
    source, _ = styled(side, 1.0)
    edges = [edge_agreement(source, picture) for picture in (weak, middle, strong)]
    assert edges == sorted(edges) and edges[2] > edges[0] + 0.2


def test_strength_one_keeps_every_outline():
    source, _, made = dial("a step", 1.0)
    assert edge_agreement(source, made.picture) > 0.9
    assert edge_agreement(*styled(96, 1.0)) > 0.6


@pytest.mark.parametrize("options", [{}, {"mode": "style"}, {"like": Draft("raw", 92, 4.0)}])
def test_a_figure_of_two_pixels_width_survives_at_strength_one(options):
    target = red_spots_on_green(96, 96)
    source = grain(96, 96, (0.7, 0.7, 0.6), 0.05, 2)
    source[..., 20:76, 47:49] = -0.8
    result = analogy(source, target, strength=1.0, rounds=1, **options).picture[..., 24:72, :]
    figure, around = result[..., 47:49], torch.cat([result[..., 38:44], result[..., 52:58]], 3)
    assert (figure.mean((2, 3)) - around.mean((2, 3))).norm() > 2 * around.std((2, 3)).norm()
