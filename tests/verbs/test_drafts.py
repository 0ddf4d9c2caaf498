"""Drafts through the Python interface: which leads to which result, what they say of themselves, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import structkit
from structkit.errors import InputError, OptionError
from structkit.media.pictures import Picture, encode_picture, read_picture, write_picture

FAST = {"rounds": 1, "patch": 5, "strength": 0.1, "device": "cpu"}


def blocks(seed: int, height: int = 30, width: int = 36, alpha: np.ndarray | None = None) -> Picture:
    small = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    return Picture(np.kron(small, np.ones((8, 8, 1), np.uint8))[:height, :width], alpha, f"blocks {seed}")


SOURCE, TARGET = blocks(1), blocks(2)


def analogy(source=SOURCE, **options) -> Picture:
    return structkit.analogy(source, TARGET, **{**FAST, **options})[0]


@pytest.fixture(scope="module")
def drafts() -> list[Picture]:
    return structkit.analogy_drafts(SOURCE, TARGET, **FAST)


def test_the_result_says_its_draft_which_is_the_first_and_leads_to_the_same_picture(drafts):
    result = analogy()
    assert result.draft == drafts[0].draft
    assert result.draft["scores"].keys() == {"layout", "edges", "parts", "incoherence", "incompleteness", "total"}
    for like in (drafts[0], drafts[0].draft["name"], result):
        again = analogy(like=like)
        assert np.array_equal(again.pixels, result.pixels)
        assert again.draft == {"name": drafts[0].draft["name"], "scores": None}


def test_drafts_that_begin_where_the_user_says_lead_to_results_that_do():
    first, *_, last = structkit.analogy_drafts(SOURCE, TARGET, **FAST, coarsest=20)
    assert {draft.draft["name"].split("-")[1] for draft in (first, last)} == {"20"}
    pixels = [analogy(coarsest=20, **like).pixels for like in ({}, {"like": first}, {"like": last})]
    assert np.array_equal(pixels[0], pixels[1]) and not np.array_equal(pixels[0], pixels[2])


def test_a_draft_and_its_file_under_any_name_lead_to_the_same_result_which_is_its_own(drafts, tmp_path):
    worst = drafts[-1]
    own = analogy(like=worst)
    assert not np.array_equal(own.pixels, analogy().pixels)
    for name in ("a.png", "b.jpg", "c.webp"):  # also where the file is made into another
        write_picture(worst, tmp_path / name)
        for like in (tmp_path / name, str(tmp_path / name)):
            assert np.array_equal(analogy(like=like).pixels, own.pixels)


def test_drafts_come_from_the_highest_total_to_the_lowest_and_each_has_a_name(drafts):
    totals = [draft.draft["scores"]["total"] for draft in drafts]
    assert totals == sorted(totals, reverse=True) and len(drafts) > 3
    assert len({draft.draft["name"] for draft in drafts}) == len(drafts)


def test_drafts_have_the_aspect_of_the_result_its_size_up_to_256_px_and_its_alpha():
    alpha = np.zeros((30, 36), np.uint8)
    alpha[:, 20:] = 255
    quick = {**FAST, "mode": "paint", "coarsest": 60, "strength": 0}  # a draft with places, and one without
    [small, *_] = structkit.analogy_drafts(blocks(1, alpha=alpha), TARGET, **quick)
    assert small.pixels.shape == (30, 36, 3) and np.array_equal(small.alpha, alpha)
    [large, *_] = structkit.analogy_drafts(SOURCE, TARGET, size=(450, 300), **quick)
    assert large.pixels.shape == (256, 384, 3)


def test_a_result_keeps_no_name_of_a_draft_in_its_file(drafts):
    result = analogy(like=drafts[0])
    assert (
        read_picture(encode_picture(drafts[0])).metadata.exif and not read_picture(encode_picture(result)).metadata.exif
    )
    assert analogy(match="colour").draft is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"like": "nonsense"}, "'nonsense' is no draft of --mode analogy"),
        ({"like": "raw-48-0.5", "mode": "texture"}, "'raw-48-0.5' is no draft of --mode texture"),
        ({"like": SOURCE}, "--like blocks 1 is no draft"),
        ({"like": "raw-48-0.5", "match": "colour"}, "--match colour is the published analogy and has no --like"),
        ({"like": "raw-48-0.5", "coarsest": 20}, "--coarsest 20 and --like raw-48-0.5 both say where"),
    ],
)
def test_what_no_analogy_can_go_on_from_is_refused(options, message):
    with pytest.raises(OptionError, match=message):
        analogy(**options)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        analogy(like=tmp_path / "nowhere.png")


@pytest.mark.parametrize("options", [{"mode": "style"}, {"match": "colour"}])
def test_where_there_is_nothing_to_pick_there_are_no_drafts(options):
    with pytest.raises(OptionError, match="--drafts"):
        structkit.analogy_drafts(SOURCE, TARGET, **FAST, **options)
