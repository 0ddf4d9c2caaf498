"""Laws of the training-free patch engine."""

from __future__ import annotations

import pytest
import torch

from structkit.configs import AnalogyConfig
from structkit.engines.patch import analogy as patch
from structkit.engines.patch.draft_ways import drafts_of
from structkit.engines.patch.synthesis import SMALL, Synthesis, synthesis_shapes
from structkit.errors import OptionError
from structkit.metrics.structure import explained_structure, patch_distance

from ..pictures import dark_spots_on_light, grain, red_spots_on_green

pytestmark = pytest.mark.usefixtures("few_drafts")

FAST = {"rounds": 2}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def analogy(source, target, shape=(48, 48), *, seed=0, **options):
    return patch.analogy(
        source, target, AnalogyConfig(**{**FAST, **options}), shape=shape, generator=generator(seed)
    ).picture


@pytest.mark.parametrize(
    "options", [{}, {"mode": "style"}, {"mode": "texture"}, {"mode": "paint"}, {"match": "colour"}]
)
def test_a_result_has_the_shape_asked_for_and_only_colours_of_the_target(options):
    target = red_spots_on_green(50, 70)
    result = analogy(dark_spots_on_light(), target, (48, 72), **options)
    assert result.shape == (1, 3, 48, 72)
    low, high = target.amin((2, 3)), target.amax((2, 3))
    # Enlarging a target may ring, by the cubic filter, a little beyond its range.
    assert (result.amin((2, 3)) >= low - 0.35).all() and (result.amax((2, 3)) <= high + 0.35).all()
    assert patch_distance(result, target) < 0.5 * patch_distance(dark_spots_on_light(), target)


def test_a_result_is_laid_out_like_the_source_though_no_colour_is_shared():
    source, target = dark_spots_on_light(), red_spots_on_green()
    result = analogy(source, target)
    assert explained_structure(source, result) > 0.7
    assert explained_structure(source, target) < 0.3


def test_mirroring_the_source_mirrors_the_layout_of_the_result():
    source, target = dark_spots_on_light(), red_spots_on_green()
    mirrored = source.flip(-1)
    result, other = analogy(source, target), analogy(mirrored, target)
    assert explained_structure(result.flip(-1), other) > 0.7
    assert explained_structure(result, other) < 0.4
    assert explained_structure(mirrored, other) > 0.7 > 0.4 > explained_structure(source, other)


def strength_tells(draw, **options) -> bool:
    """Whether more strength keeps more structure, and less is more coherent.

    On a target whose lightness falls in one step: its patches lie as the source's do, or as its own, never both.
    """
    source, target = dark_spots_on_light(), grain(48, 48, (0.1, 0.2, 0.0), 0.5, 9)
    target[..., 30:] -= 0.5
    weak, strong = (draw(source, target, strength=strength, rounds=3, **options) for strength in (0.0, 1.0))
    keeps_more = explained_structure(source, strong) > explained_structure(source, weak) + 0.2
    return keeps_more and patch_distance(weak, target) < 0.7 * patch_distance(strong, target)


@pytest.mark.parametrize("options", [{}, {"mode": "texture"}])
def test_more_strength_keeps_more_structure_and_less_is_more_coherent(options):
    assert strength_tells(analogy, **options)


def test_strength_does_not_tell_where_it_is_ignored():
    def deaf(source, target, *, strength, **how):
        return analogy(source, target, **how)

    assert not strength_tells(deaf)


def test_the_same_seed_gives_the_same_result_and_another_another():
    source, target = dark_spots_on_light(80, 80), red_spots_on_green(80, 80)  # beyond the small levels: PatchMatch too
    one, same, other = (
        analogy(source, target, (80, 80), mode="paint", coarsest=48, rounds=1, seed=seed) for seed in (0, 0, 1)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_the_published_form_compares_raw_colours():
    """A light figure on a dark ground takes the target's light parts, whatever they are there."""
    source, target = -dark_spots_on_light(), -red_spots_on_green()
    published = analogy(source, target, match="colour")
    assert not torch.equal(published, analogy(source, target))


def test_a_picture_with_its_own_patches_stays_as_it_is():
    picture = red_spots_on_green()
    result = analogy(picture, picture, coarsest=48)
    assert (result - picture).abs().mean() < 0.02


@pytest.mark.parametrize("shape", [(48, 48), (30, 36)], ids=["as it is", "reduced"])
def test_hidden_pixels_of_the_target_are_not_used_in_any_draft(monkeypatch, shape):
    target = red_spots_on_green()
    usable = torch.ones(1, 1, 48, 48)
    usable[..., :, 24:] = 0
    target[..., :, 24:] = torch.tensor([-1.0, -1.0, 1.0])[None, :, None, None]  # blue, and dark as the figure is

    def made(mask) -> patch.Analogy:
        how = {"shape": shape, "usable": mask, "generator": generator()}
        return patch.analogy(dark_spots_on_light(), target, AnalogyConfig(**FAST), **how)

    seen = made(None)
    monkeypatch.setattr(patch, "drafts_of", drafts_of)  # all of them
    hidden = made(usable)
    drafts = [draft.state.picture for draft in hidden.drafts]
    assert any(draft.draft.placed for draft in hidden.drafts)
    assert max(float(picture[:, 2].max()) for picture in (hidden.picture, *drafts)) < 0.3
    assert seen.picture[:, 2].max() > 0.6


def test_completeness_brings_all_of_the_target_into_the_result():
    source, target = grain(48, 48, (-0.4, 0.4, -0.5), 0.1, 5), red_spots_on_green()
    without, complete = (analogy(source, target, match="colour", completeness=c, rounds=8) for c in (0.0, 1.0))
    assert patch_distance(target, complete) < patch_distance(target, without)


def test_progress_rises_to_one():
    told: list[float] = []
    config = AnalogyConfig(rounds=1)
    patch.analogy(
        dark_spots_on_light(),
        red_spots_on_green(),
        config,
        shape=(80, 80),
        generator=generator(),
        progress=lambda share, note: told.append(share),
    )
    assert told == sorted(told) and told[-1] == 1


@pytest.mark.parametrize("shape", [(512, 512), (300, 200), (64, 64), (40, 90), (17, 17), (2000, 65)])
def test_one_level_has_the_side_at_which_layout_is_judged(shape):
    shapes = synthesis_shapes(shape, coarsest=20)
    assert shapes[-1] == shape
    shorts = [min(s) for s in shapes]
    assert shorts == sorted(set(shorts))
    assert min(shape) < SMALL or SMALL in shorts
    assert shorts[0] >= min(18, min(shape))


def test_the_target_is_brought_to_the_scale_of_the_result():
    made = Synthesis(torch.zeros(1, 3, 50, 100), (128, 96), coarsest=24, patch=7, generator=generator())
    assert made.key_shapes[-1] == (96, 192)


def test_match_colour_has_no_other_mode():
    with pytest.raises(OptionError, match="--match colour is the published analogy and has no --mode paint"):
        AnalogyConfig(match="colour", mode="paint")
