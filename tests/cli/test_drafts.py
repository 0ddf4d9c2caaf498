"""`structkit analogy --drafts` and `--like`: where drafts go, what records tell, what goes on from which, refusals."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from structkit.configs import AnalogyConfig
from structkit.engines.patch.draft_ways import drafts_of
from structkit.media.pictures import read_picture
from structkit.verbs.drafts import shown_draft

from .conftest import paint
from .test_analogy_video import film
from .test_json import SCHEMA, faults

NAMES = [draft.name for draft in drafts_of(AnalogyConfig(), (8, 8))]
FILES = [f"d/house-cake-draft-{rank:02d}.png" for rank in range(1, len(NAMES) + 1)]


def records(ran) -> list[dict]:
    """The records of the outputs of a run with --json."""
    found = [json.loads(line) for line in ran.out.splitlines()]
    assert [faults(record, SCHEMA) for record in found] == [[]] * len(found)
    return found[:-1]


def test_drafts_stand_behind_the_result_from_best_to_worst_and_say_their_names(run, pair):
    ran = run("analogy", *pair, "--drafts", "d")
    assert (ran.code, ran.paths) == (0, ["house-cake.png", *FILES])
    assert [shown_draft(read_picture(file)) for file in FILES] == NAMES


def test_records_tell_the_draft_that_was_chosen_and_each_draft_with_its_scores(run, pair):
    result, *drafts = records(run("analogy", *pair, "--drafts", "d", "--json"))
    assert [record["role"] for record in (result, *drafts)] == ["result"] + ["draft"] * len(NAMES)
    assert [record["draft"]["name"] for record in drafts] == NAMES
    totals = [record["draft"]["scores"]["total"] for record in drafts]
    assert totals == sorted(totals, reverse=True) and result["draft"] == drafts[0]["draft"]
    for broken in ({"name": "x"}, {"name": "x", "scores": {"layout": 1}}, {"name": 1, "scores": None}):
        assert faults({**result, "draft": broken}, SCHEMA)


def test_the_result_goes_on_from_the_first_draft_and_without_drafts_nobody_hears_of_one(run, engine, pair):
    run("analogy", *pair, "--drafts", "d")
    run("analogy", *pair, "-o", "alone.png")
    assert [shown_draft(call["like"]) if "like" in call else None for call in engine.calls] == [None, NAMES[0], None]


def test_every_file_leads_to_its_own_draft_under_whatever_name(run, engine, pair):
    run("analogy", *pair, "--drafts", "d")
    for number, name in enumerate(NAMES):
        shutil.copy(FILES[number], "picked.png")
        assert run("analogy", *pair, "-o", f"{number}.png", "--like", "picked.png").code == 0
        assert engine.calls[-1]["like"] == name


def test_the_same_command_with_like_in_the_place_of_drafts_goes_on_from_one_also_where_it_says_the_beginning(run, pair):
    command = ("analogy", *pair, "--coarsest", "20", "-o")
    assert run(*command, "a.png", "--drafts", "d").code == run(*command, "b.png", "--like", FILES[2]).code == 0
    ran = run(*command[:-2], "21", "-o", "c.png", "--like", FILES[2])
    assert ran.code == 2 and "--coarsest 21 and --like moments-20-0.5-placed both say where an analogy beg" in ran.err


def test_a_draft_by_its_name_or_its_file_is_the_same_to_a_run_that_skips(run, engine, pair):
    run("analogy", *pair, "--drafts", "d")
    skipping = ("-o", "out/", "--exists", "skip")
    assert run("analogy", *pair, *skipping, "--like", FILES[1]).code == 0
    count = len(engine.calls)
    assert run("analogy", *pair, *skipping, "--like", NAMES[1]).code == 0 and len(engine.calls) == count
    for other in (("--like", NAMES[0]), ()):
        ran = run("analogy", *pair, *skipping, *other)
        assert ran.code == 1 and "was made with other options" in ran.err and len(engine.calls) == count


def test_a_result_is_the_same_to_a_run_that_skips_with_drafts_beside_it_or_without(run, pair):
    command = ("analogy", *pair, "-o", "out/", "--exists", "skip", "--json")
    run(*command)
    assert {r["status"] for r in records(run(*command, "--drafts", "d")) if r["role"] == "result"} == {"skipped"}


def test_a_batch_makes_what_is_missing_again_and_tells_of_the_rest_what_it_told(run, engine, pair, tmp_path):
    for name in ("a", "deep/b"):
        paint(tmp_path / f"in/{name}.png", 3)
    command = ("analogy", "in", "cake.png", "-o", "out", "--drafts", "d", "--json")
    first = records(run(*command))
    assert Path("d/deep/b-draft-03.png").exists() and len(first) == 2 * (1 + len(NAMES))
    kept = [(record["output"], record["sha256"], record["draft"]) for record in first]
    calls = len(engine.calls)
    again = records(run(*command))
    assert {record["status"] for record in again} == {"skipped"} and len(engine.calls) == calls
    Path("d/a-draft-03.png").unlink()
    mended = records(run(*command))
    assert [record["output"] for record in mended if record["status"] == "written"] == ["d/a-draft-03.png"]
    assert len(engine.calls) == calls + 1  # the drafts, and no result
    for found in (again, mended):
        assert sorted((r["output"], r["sha256"], r["draft"]["name"]) for r in found) == sorted(
            (output, digest, facts["name"]) for output, digest, facts in kept
        )


def test_both_directions_have_their_own_drafts_and_a_strip_shows_results_alone(run, engine, pair):
    ran = run("analogy", *pair, "--both", "--drafts", "d", "--compare", "strip.png", "-o", "o/")
    assert ran.code == 0 and len(set(ran.paths)) == 2 * (2 + len(NAMES))
    assert Path("d/house-cake-swapped-draft-01.png").exists()


def test_drafts_that_are_there_are_kept_unless_it_is_said(run, engine, pair):
    run("analogy", *pair, "--drafts", "d")
    Path(FILES[4]).write_bytes(b"mine"), Path("house-cake.png").unlink()
    for more in ((), ("--exists", "skip")):
        ran = run("analogy", *pair, "--drafts", "d", *more)
        assert ran.code != 0 and "d/house-cake-draft-0" in ran.err and Path(FILES[4]).read_bytes() == b"mine"
    assert run("analogy", *pair, "--drafts", "d", "--exists", "overwrite").code == 0
    assert shown_draft(read_picture(FILES[4])) == NAMES[4]


def test_a_folder_of_drafts_among_the_inputs_is_left_out(run, pair, tmp_path):
    paint(tmp_path / "in/a.png", 3)
    for _ in range(2):
        ran = run("analogy", "in", "cake.png", "-o", "out", "--drafts", "in/d", "--json")
        assert {record["input"] for record in records(ran)} == {"in/a.png"}
    assert run("analogy", "in", "cake.png", "-o", "out", "--drafts", "in").code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--like", NAMES[0], "--match", "colour"), "--match colour is the published analogy and has no --like: leave"),
        (("--like", NAMES[0], "--match", "motion"), "--match motion is the published analogy and has no --like: leave"),
        (("--drafts", "d", "--match", "colour"), "--match colour is the published analogy and has no --drafts: leave"),
        (("--like", NAMES[0], "--coarsest", "20"), f"--coarsest 20 and --like {NAMES[0]} both say where an analogy"),
        (("--like", "nonsense"), "'nonsense' is no draft of --mode analogy, whose names are such as moments-48-0.5"),
        (("--like", "raw-48-0.5", "--mode", "texture"), "'raw-48-0.5' is no draft of --mode texture, whose names are"),
        (("--like", "cake.png"), "--like cake.png is no draft: give a file that --drafts wrote, or a draft's name"),
        (("--like", NAMES[0], "--drafts", "d"), "--drafts writes drafts to pick from, and --like has one already: "),
        (("--drafts", "d", "--mode", "style"), "--mode style has a single draft, and nothing to pick from: leave"),
        (("--drafts", "d", "-n", "2"), "--drafts are those of one result: leave it out, or --count"),
        (
            ("--drafts", "d.png"),
            "--drafts d.png is a file, and there may be several outputs: name a folder",
        ),
        (("--like", NAMES[0], "--engine", "gan"), "--like is of the patch engine, not of a trained pair: leave it out"),
        (
            ("--drafts", "d", "--model", "m.safetensors"),
            "--drafts is of the patch engine, not of a trained pair",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(run, engine, pair, arguments, message):
    ran = run("analogy", *pair, *arguments)
    assert (ran.code, engine.calls, ran.err.count("\n")) == (2, [], 1) and message in ran.err
    assert not Path("d").exists()


@pytest.mark.parametrize("option", [("--drafts", "d"), ("--like", NAMES[0])])
def test_videos_have_neither(run, engine, pair, option):
    film(Path("film.mkv"))
    ran = run("analogy", "film.mkv", "cake.png", *option)
    assert ran.code == 2 and f"{option[0]} is for pictures, and film.mkv is a video: leave one of them out" in ran.err


def test_a_draft_of_another_mode_is_refused_by_its_file_too_and_one_that_is_not_there_as_any_picture(run, engine, pair):
    run("analogy", *pair, "--drafts", "d", "--mode", "paint")
    ran = run("analogy", *pair, "--like", "d/house-cake-draft-01.png", "-o", "o.png", "--mode", "texture")
    assert ran.code == 2 and "--like d/house-cake-draft-01.png: 'raw-" in ran.err
    ran = run("analogy", *pair, "--like", "nowhere.png", "-o", "o.png")
    assert (ran.code, ran.err) == (1, "structkit: error: nowhere.png: no such file; check the path\n")
