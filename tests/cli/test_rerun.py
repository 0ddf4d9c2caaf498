"""Batches that are run again: what their records keep to say, and how outputs that stay are told of."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from structkit.configs import PICTURE_QUALITY
from structkit_cli.run.parts import NAME

from .conftest import paint


def rows(ran) -> list[dict]:
    """The records of a run with --json, but the summary."""
    return [json.loads(line) for line in ran.out.splitlines()[:-1]]


def torn(path: Path) -> Path:
    """A JPEG with a part of its data missing."""
    image = Image.open(paint(path.with_suffix(".png"), 5, side=64))
    image.save(whole := io.BytesIO(), "JPEG")
    path.with_suffix(".png").unlink()
    path.write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    return path


def test_a_rerun_says_again_what_was_to_say_of_a_result(run, tmp_path):
    """Damage that was tolerated once does not pass in silence because the result is there."""
    torn(tmp_path / "in/a.jpg"), paint(tmp_path / "in/b.png", 1)
    command = ("sample", "in", "-n", "1", "-o", "out", "--json")
    first = rows(made := run(*command, "--tolerant"))
    assert len(first[0]["warnings"]) == 1 and first[1]["warnings"] == [] and "warning: out/a.png: " in made.err
    for more in ((), ("--tolerant",)):
        again = rows(ran := run(*command, *more))
        assert (ran.code, [r["status"] for r in again]) == (0, ["skipped"] * 2)
        assert [(r["warnings"], r["sha256"]) for r in again] == [(r["warnings"], r["sha256"]) for r in first]
        assert ran.err.splitlines()[0] == made.err.splitlines()[0]


def test_facts_that_a_damaged_manifest_tells_are_passed_over(run, tmp_path):
    paint(tmp_path / "in/a.png", 1)
    run("sample", "in", "-n", "1", "-o", "out")
    journal = tmp_path / "out" / NAME
    for facts in (3, {"warnings": "many"}, {"warnings": [1]}):
        journal.write_text(json.dumps({**json.loads(journal.read_text()), "facts": facts}) + "\n")
        assert rows(ran := run("sample", "in", "-n", "1", "-o", "out", "--json"))[0]["warnings"] == []
        assert ran.code == 0


def test_a_record_keeps_its_inputs_as_long_as_these_are_there(run, tmp_path):
    """Each for itself: the target that was moved is brought up to date, and the source that is still there stays."""
    paint(tmp_path / "d/a.png", 1), paint(tmp_path / "d2/a.png", 1), paint(tmp_path / "t.png", 2)
    run("analogy", "d", "t.png", "-o", "out")
    (tmp_path / "t.png").rename(tmp_path / "u.png")
    assert run("analogy", "d2", "u.png", "-o", "out").paths == []
    assert json.loads((tmp_path / "out" / NAME).read_text())["inputs"] == {"source": "../d/a.png", "target": "../u.png"}
    paint(tmp_path / "d/a.png", 3)
    assert run("analogy", "d", "u.png", "-o", "out").paths == ["out/a.png"]


def test_a_place_where_no_file_is_any_more_is_told_as_such(run, tmp_path):
    paint(tmp_path / "in/a.png", 1)
    run("sample", "in", "-n", "1", "-o", "out")
    (tmp_path / "in").rename(tmp_path / "new")
    paint(tmp_path / "new/a.png", 2)
    ran = run("sample", "new", "-n", "1", "-o", "out")
    fact = "out/a.png exists and was made from in/a.png, which is no longer there: name another place with --output"
    assert ran.code == 1 and f"error: {fact}, or say --exists overwrite\n" in ran.err


def test_a_quality_that_is_the_usual_one_is_no_other_option(run, tmp_path):
    paint(tmp_path / "in/a.png", 1)
    command = ("sample", "in", "-n", "1", "-o", "out", "--format", "jpeg")
    usual = str(PICTURE_QUALITY["JPEG"])
    assert run(*command).code == 0
    assert run(*command, "--quality", usual).code == 0
    assert run(*command).code == 0
    assert "made with other options" in run(*command, "--quality", "80").err


@pytest.mark.parametrize("count", [3, 5])
def test_refusals_that_are_alike_are_told_a_few_times_and_counted(run, tmp_path, count):
    for i in range(count):
        paint(tmp_path / f"in/{i}.png", i)
    run("sample", "in", "-n", "1", "-o", "out")
    (tmp_path / "out/0.png").write_bytes(b"retouched")
    ran = run("sample", "in", "-n", "1", "-o", "out", "--seed", "1", "--json")
    told = [line for line in ran.err.splitlines() if "structkit: error: out/" in line]
    assert (ran.code, len(told), len(rows(ran))) == (1, min(count, 4), count)
    assert all(r["status"] == "failed" and "exists and" in r["error"] for r in rows(ran))
    assert ("structkit: error: 1 more output kept: made with other options\n" in ran.err) is (count == 5)


def test_warnings_about_skipped_outputs_that_are_alike_are_told_a_few_times_and_counted(run, tmp_path):
    for i in range(5):
        torn(tmp_path / f"in/{i}.jpg")
    made = run("sample", "in", "-n", "1", "-o", "out", "--tolerant", "--json")
    ran = run("sample", "in", "-n", "1", "-o", "out", "--json")
    told = [row["warnings"] for row in rows(made)]
    assert [row["warnings"] for row in rows(ran)] == told and len({warning for (warning,) in told}) == 5
    fact = told[0][0].removeprefix("in/0.jpg: ")
    named = [f"structkit: warning: out/{i}.png: in/{i}.jpg: {fact}" for i in range(3)]
    assert ran.err.splitlines()[:-1] == [*named, f"structkit: warning: 2 more skipped outputs: {fact}"]
