"""structkit classify: a table, records or a file of labels."""

from __future__ import annotations

import csv
import json
from importlib.resources import files
from pathlib import Path

import pytest

from ..label_models import tiny_classifier
from ..labelled_toys import CLASSES, class_tree
from ..speed_models import WAYS, film, tiny_action
from .test_json import faults

SCHEMA = json.loads((files("structkit_cli") / "table_records.schema.json").read_text())


@pytest.fixture
def engine(real_engine):
    """No stand-in."""


@pytest.fixture
def here(run, tmp_path):
    """A model and some videos in the current folder."""
    tiny_action().save(tmp_path / "action.safetensors", complete=True)
    for i, way in enumerate(WAYS[:2]):
        film(tmp_path / "clips" / "below" / f"{way}.mp4", way, seed=i)
    return lambda *words: run("classify", *words, "--model", "action.safetensors", "--device", "cpu")


def test_each_video_has_a_line_with_its_likeliest_labels(here):
    ran = here("clips", "--top", "2")
    head, *lines = ran.paths
    assert ran.code == 0 and head.startswith("input ") and len(lines) == 2
    name, first, chance, second, other = lines[0].split()
    assert name == "clips/below/across.mp4" and {first, second} < set(WAYS) and float(chance) >= float(other) > 0


def test_records_are_those_of_the_schema_and_their_probabilities_have_the_sum_one(here):
    *records, summary = (json.loads(line) for line in here("clips", "--json").paths)
    found = [faults(record, SCHEMA) for record in (*records, summary)]
    assert found == [[]] * 3 and summary["exit"] == 0 and summary["inputs"] == 2
    for record in records:
        assert sum(one["probability"] for one in record["labels"]) == pytest.approx(1, abs=1e-5)


def test_a_file_of_labels_has_a_row_for_each(here):
    assert here("clips", "-o", "labels.csv").paths == ["labels.csv"]
    rows = list(csv.DictReader(Path("labels.csv").read_text().splitlines()))
    assert len(rows) == 6 and list(rows[0]) == ["input", "rank", "label", "probability"]
    assert here("clips", "-o", "labels.json", "--top", "1").code == 0
    assert [len(one["labels"]) for one in json.loads(Path("labels.json").read_text())] == [1, 1]
    assert here("clips", "-o", "labels.csv").code == 2
    assert here("clips", "-o", "labels.csv", "--exists", "overwrite").code == 0


def test_a_video_that_cannot_be_read_is_told_and_passed_over(here, tmp_path):
    (tmp_path / "clips" / "broken.mp4").write_bytes(b"no video")
    film(tmp_path / "clips" / "short.mp4", count=5)
    ran = here("clips", "--json")
    *records, summary = (json.loads(line) for line in ran.paths)
    assert (ran.code, summary["failed"], summary["foreign"], len(records)) == (1, 1, 1, 2)
    assert "clips/short.mp4: 0.20 s" in ran.err
    assert here("clips/short.mp4").code == 1 and here("clips/short.mp4").out == b""


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["clips", "--top", "0"], 2, "--top is 0: it must be between 1 and 9999"),
        (["clips", "-o", "labels.png"], 2, "--output labels.png has a suffix that names no format: use one of .json"),
        (["empty"], 4, "nothing to do: there is no file that classify reads"),
        (["nothing.mp4"], 1, "nothing.mp4"),
    ],
)
def test_what_cannot_be(here, tmp_path, words, code, told):
    (tmp_path / "empty").mkdir()
    ran = here(*words)
    assert ran.code == code and told in ran.err


def test_a_model_must_be_given_and_name_things(run, tmp_path):
    film(tmp_path / "a.mp4")
    ran = run("classify", "a.mp4")
    assert ran.code == 2 and "--model is missing: name a checkpoint of structkit train action" in ran.err
    ran = run("classify", "a.mp4", "--model", "glasses")
    assert ran.code == 3 and "and not classify; make one with structkit train action" in ran.err


@pytest.fixture
def pictures(run, tmp_path):
    """A model of pictures and some pictures in the current folder."""
    tiny_classifier().save(tmp_path / "c.safetensors", complete=True)
    class_tree(tmp_path / "fruit", each=2)
    return lambda *words: run("classify", *words, "--model", "c.safetensors", "--device", "cpu")


def test_pictures_are_named_by_a_model_of_pictures(pictures):
    ran = pictures("fruit")
    head, *lines = ran.paths
    assert ran.code == 0 and head.startswith("input ") and len(lines) == 6
    assert lines[0].startswith("fruit/flat/0.png ") and set(lines[0].split()[1::2]) == set(CLASSES)
    *records, summary = (json.loads(line) for line in pictures("fruit", "--json").paths)
    assert [faults(record, SCHEMA) for record in (*records, summary)] == [[]] * 7 and summary["inputs"] == 6
    assert pictures("fruit", "-o", "labels.csv", "--top", "1").code == 0
    assert len(Path("labels.csv").read_text().splitlines()) == 7


def test_a_video_given_to_a_model_of_pictures_is_refused_and_the_others_are_named(pictures, tmp_path):
    film(tmp_path / "fruit" / "a.mp4")
    *records, summary = (json.loads(line) for line in pictures("fruit", "--json").paths)
    assert (len(records), summary["foreign"], summary["failed"]) == (6, 1, 0)
    ran = pictures("fruit/flat/0.png", "fruit/a.mp4")
    assert ran.code == 1 and len(ran.paths) == 2
    assert "error: fruit/a.mp4: a video, and this model names what a picture shows" in ran.err


@pytest.mark.parametrize("more", [(), ("-o", "labels.csv")])
def test_a_worker_takes_its_own_device_and_ends_after_the_others(here, monkeypatch, more):
    asked, ended = [], []
    for name in ("tables", "batch"):
        monkeypatch.setattr(f"structkit_cli.run.{name}.wait_for_others", ended.append)
    monkeypatch.setattr("structkit_cli.run.plan.Maker.device", lambda _, *how: asked.append(how) or "cpu")
    for name, value in (("RANK", "1"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    assert here("clips", *more).code == 0 and (asked, ended) == ([("cpu", 1)], [0])
    for path in Path("clips/below").iterdir():
        path.write_bytes(path.read_bytes()[:64])
    failed = here("clips", *more, *(("--exists", "overwrite") if more else ()))
    assert failed.code == 1 and ended[1:] == [1] and "1 of 2 inputs" in failed.err


@pytest.mark.parametrize("where", ["-", "labels/", "labels.txt"])
def test_what_cannot_be_written_is_refused_by_the_name_that_was_given(here, where):
    *shards, whole = (here("clips", "-o", where, "--shard", shard) for shard in ("1/3", "3/3", "1/1"))
    for ran in shards:
        assert ran.code == whole.code == 2 and ran.err.splitlines()[-1] == whole.err.splitlines()[-1]


def test_each_of_several_workers_tells_its_share_and_writes_a_file_of_its_own(here):
    whole = [json.loads(line) for line in here("clips", "--json").paths[:-1]]
    told = []
    for shard in ("1/3", "2/3", "3/3"):
        ran = here("clips", "--json", "--shard", shard)
        *records, summary = map(json.loads, ran.paths)
        assert ran.code == 0 and faults(summary, SCHEMA) == []
        assert summary["shard"] == shard and summary["inputs"] == len(records) and f"shard {shard} (--shard)" in ran.err
        told += records
        wrote = here("clips", "-o", "labels.json", "--shard", shard)
        assert wrote.code == 0 and wrote.err.count(f"structkit: shard {shard} ") == 1
        assert (f"structkit: shard {shard}: 1 written" in wrote.err) == bool(records)
    assert sorted(told, key=str) == sorted(whole, key=str) and not Path("labels.json").exists()
    assert sorted(path.name for path in Path().glob("labels-*-of-3.json")) == [
        "labels-1-of-3.json",
        "labels-2-of-3.json",
    ]
