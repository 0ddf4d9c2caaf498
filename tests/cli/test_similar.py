"""structkit similar: a table, records or a sheet of the pieces that move alike."""

from __future__ import annotations

import csv
import json
import shutil
from importlib.resources import files
from pathlib import Path

import pytest
from PIL import Image

from ..speed_models import film, tiny_speednet
from .test_json import faults

SCHEMA = json.loads((files("structkit_cli") / "table_records.schema.json").read_text())


@pytest.fixture
def engine(real_engine):
    """No stand-in."""


@pytest.fixture
def here(run, tmp_path):
    """A model, a query and a gallery in the current folder."""
    tiny_speednet().save(tmp_path / "speed.safetensors", complete=True)
    film(tmp_path / "query.mp4", "across", 24)
    for i, way in enumerate(("across", "down")):
        film(tmp_path / "clips" / f"{way}.mp4", way, seed=i + 1)
    return lambda *words: run("similar", *words, "--model", "speed.safetensors", "--device", "cpu")


def test_a_table_on_stdout_with_the_most_alike_first(here):
    ran = here("query.mp4", "clips")
    assert ran.code == 0, ran.err
    head, *rows = (line.split() for line in ran.paths)
    assert head == ["rank", "similarity", "from-to", "video"] and [row[0] for row in rows] == [
        str(i + 1) for i in range(len(rows))
    ]
    assert {row[3] for row in rows} == {"clips/across.mp4", "clips/down.mp4"}
    assert [float(row[1]) for row in rows] == sorted((float(row[1]) for row in rows), reverse=True)


def test_the_query_among_others_is_left_out_and_a_copy_comes_first(here, tmp_path):
    shutil.copy(tmp_path / "query.mp4", tmp_path / "clips" / "copy.mp4")
    ran = here("query.mp4", ".", "-n", "1", "--json")
    match, _ = (json.loads(line) for line in ran.paths)
    assert match["video"] == "clips/copy.mp4" and match["similarity"] == pytest.approx(1, abs=1e-5)


def test_records_are_those_of_the_schema(here):
    ran = here("query.mp4", "clips", "--json")
    *matches, summary = (json.loads(line) for line in ran.paths)
    found = [faults(record, SCHEMA) for record in (*matches, summary)]
    assert found == [[]] * len(found) and matches and {match["record"] for match in matches} == {"match"}
    assert (summary["verb"], summary["inputs"], summary["failed"], summary["exit"]) == ("similar", 3, 0, 0)
    assert faults({**matches[0], "rank": 0}, SCHEMA) and faults({"record": "match"}, SCHEMA)


def test_a_table_a_document_and_a_sheet_are_written_and_kept(here):
    for name in ("found.csv", "found.json", "sheet.png"):
        ran = here("query.mp4", "clips", "-o", name, "-n", "2")
        assert (ran.code, ran.paths) == (0, [name]), ran.err
    rows = list(csv.DictReader(Path("found.csv").read_text().splitlines()))
    assert [row["rank"] for row in rows] == ["1", "2"] and list(rows[0])[:3] == ["rank", "video", "start"]
    assert [match["video"] for match in json.loads(Path("found.json").read_text())] == [row["video"] for row in rows]
    with Image.open("sheet.png") as sheet:
        assert sheet.height > 3 * 32
    again = here("query.mp4", "clips", "-o", "found.csv", "-n", "2")
    assert again.code == 2 and "found.csv exists" in again.err
    kept = here("query.mp4", "clips", "-o", "found.csv", "-n", "2", "--exists", "skip")
    assert kept.code == 1 and "found.csv exists and is not as structkit wrote it" in kept.err  # as of all single files
    assert here("query.mp4", "clips", "-o", "found.csv", "-n", "1", "--exists", "overwrite").code == 0
    assert len(Path("found.csv").read_text().splitlines()) == 2


def test_within_one_video_the_rest_of_it_is_looked_through(here):
    ran = here("query.mp4", "--at", "0:00.2", "--json")
    *matches, summary = (json.loads(line) for line in ran.paths)
    assert summary["inputs"] == 1 and {match["video"] for match in matches} == {"query.mp4"}
    assert all(match["start"] >= match["query_end"] - 1e-6 for match in matches)


def test_a_video_that_cannot_be_read_is_told_and_passed_over(here, tmp_path):
    (tmp_path / "clips" / "broken.mp4").write_bytes((tmp_path / "query.mp4").read_bytes()[:500])
    film(tmp_path / "clips" / "short.mp4", count=6)
    ran = here("query.mp4", "clips")
    assert ran.code == 1 and len(ran.paths) > 2
    assert "clips/broken.mp4" in ran.err and "clips/short.mp4: 0.24 s, and 0.32 s are the least" in ran.err
    for status in ("written", "skipped"):  # what is missing in a file is told whenever that is left as it is
        ran = here("query.mp4", "clips", "-o", "found.csv", "--exists", "skip")
        assert "warning: found.csv: clips/broken.mp4 and 1 other input could not be read" in ran.err, status
        assert ran.code == (1 if status == "written" else 0)
    assert len(Path("found.csv").read_text().splitlines()) > 2


def test_of_inputs_none_of_which_can_be_read_no_file_is_written(here, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    ran = here("query.mp4", "broken.mp4", "-o", "found.csv")
    assert ran.code == 1 and not Path("found.csv").exists()
    assert "error: broken.mp4 could not be read, as told above, and nothing is left to write" in ran.err


def test_a_table_without_matches_has_its_head(here):
    film(Path("only.mp4"), count=8)
    assert here("only.mp4", "--at", "0:00.1", "-o", "found.csv").code == 0
    head = "rank,video,start,end,similarity,query_start,query_end\n"
    assert Path("found.csv").read_text() == head


def test_a_query_that_cannot_be_read_is_told_before_the_gallery_is_looked_at(here, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    ran = here("nothing.mp4", "broken.mp4")
    assert ran.code == 1 and "nothing.mp4" in ran.err and "broken.mp4" not in ran.err
    [summary] = (json.loads(line) for line in here("nothing.mp4", "broken.mp4", "--json").paths)
    assert faults(summary, SCHEMA) == [] and (summary["exit"], summary["failed"]) == (1, 1)


def test_a_gallery_of_the_query_alone_is_refused_with_the_way_out(here, tmp_path):
    (tmp_path / "alone").mkdir()
    shutil.copy(tmp_path / "query.mp4", tmp_path / "alone")
    ran = here("alone/query.mp4", "alone")
    assert ran.code == 2 and "no video but alone/query.mp4" in ran.err and "--at 0:05" in ran.err
    assert here("alone/query.mp4", "alone", "--at", "0:00.2").code == 0


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["query.mp4"], 2, "--at is missing: one video, and nothing says which piece of it is looked for"),
        (["query.mp4", "clips", "--at", "soon"], 2, "--at is 'soon': give a time, such as 0:05"),
        (["query.mp4", "--at", "0:09"], 1, "query.mp4: no frame at 9 s: the video goes from 0 to 0.96 s"),
        (["clips", "query.mp4"], 2, "QUERY clips may be many videos: name one file"),
        (["query.mp4", "clips", "-o", "found.txt"], 2, "--output found.txt has a suffix that names no format"),
        (["query.mp4", "clips", "-o", "-"], 2, "--output - means nothing here: the table goes to stdout by itself"),
        (["query.mp4", "clips", "--exists", "skip"], 2, "--exists is about a file, and none is written"),
        (["query.mp4", "empty"], 4, "nothing to do: there is no file that similar reads"),
        (["nothing.mp4", "clips"], 1, "nothing.mp4"),
        (["query.mp4", "nothing.mp4"], 1, "nothing.mp4"),
    ],
)
def test_what_cannot_be(here, tmp_path, words, code, told):
    (tmp_path / "empty").mkdir()
    ran = here(*words)
    assert ran.code == code and told in ran.err


def test_a_model_must_be_given_and_fit(run, tmp_path):
    film(tmp_path / "query.mp4")
    ran = run("similar", "query.mp4", "--at", "0")
    assert ran.code == 2 and "--model is missing: name a checkpoint of structkit train speednet" in ran.err
    ran = run("similar", "query.mp4", "--at", "0", "--model", "glasses")
    assert ran.code == 3 and "and not similar; make one with structkit train speednet" in ran.err
