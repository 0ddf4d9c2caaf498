"""Laws of the ways to begin an analogy: their names, and that one alone is the same as among others."""

from __future__ import annotations

import pytest
import torch

from structkit.configs import AnalogyConfig
from structkit.engines.patch.analogy import analogy, analogy_drafts
from structkit.engines.patch.draft_ways import COLOURS, Draft, drafts_of
from structkit.errors import OptionError

from ..pictures import dark_spots_on_light, red_spots_on_green


def drawn() -> torch.Generator:
    return torch.Generator().manual_seed(3)


@pytest.mark.parametrize("mode", COLOURS)
def test_the_name_of_every_draft_says_all_of_it(mode):
    for strength in (0, 1e-4, 0.01, 0.3, 0.5, 0.77, 1):
        for coarsest in (None, 8, 4096):
            drafts = drafts_of(AnalogyConfig(mode=mode, strength=strength, coarsest=coarsest), (300, 400))
            assert [Draft.named(draft.name, mode) for draft in drafts] == drafts
            assert len({draft.name for draft in drafts}) == len(drafts)


@pytest.mark.parametrize(
    "name", ["", "moments", "moments-48", "moments-7-0.5", "moments-48-101", "luminance-48-0.5", "moments-48-0.5-", " "]
)
def test_a_name_that_is_no_drafts_is_refused(name):
    with pytest.raises(OptionError, match=r"is no draft of --mode analogy, whose names are such as moments-48-0\.5"):
        Draft.named(name, "analogy")


SMALL, LARGE = (30, 36), (66, 66)
FEW = {"rounds": 2, "coarsest": 60}  # levels, which are so large that patches are searched at random


@pytest.mark.parametrize(
    ("mode", "shape", "options"),
    [("analogy", SMALL, {"rounds": 1}), ("texture", SMALL, {"rounds": 1}), ("paint", LARGE, FEW)],
    ids=["colours", "noise", "searched"],
)
def test_a_draft_alone_is_the_same_as_among_others_and_the_best_leads_to_the_same_result(mode, shape, options):
    source, target = dark_spots_on_light(), red_spots_on_green()
    config = AnalogyConfig(mode=mode, strength=0.1, patch=5, **options)
    best = analogy(source, target, config, shape=shape, generator=drawn())
    drafts = analogy_drafts(source, target, config, shape=shape, generator=drawn())
    assert [made.draft for made in drafts] == [made.draft for made in best.drafts]
    assert {made.draft for made in drafts} == set(drafts_of(config, shape))
    totals = [made.scores.total(config.strength) for made in drafts]
    assert totals == sorted(totals, reverse=True)
    for made in drafts:
        alone = analogy(source, target, config, shape=shape, like=made.draft, generator=drawn())
        assert alone.chosen.draft == made.draft and torch.equal(alone.chosen.state.picture, made.state.picture)
        assert torch.equal(alone.picture, best.picture) == (made.draft == best.chosen.draft)


def test_a_draft_that_is_none_of_those_made_begins_where_its_name_says():
    config = AnalogyConfig(rounds=1)
    how = {"shape": (30, 36), "generator": drawn()}
    made = analogy(dark_spots_on_light(), red_spots_on_green(), config, like=Draft("raw", 8, 0.1), **how)
    assert made.picture.shape[2:] == (30, 36) and made.drafts == [made.chosen] and made.chosen.scores is None
