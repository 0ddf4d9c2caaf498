"""structkit score corruptions and structkit score texture: tables, records, charts, and what is refused."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import pytest

from structkit.errors import OutputError
from structkit_cli.run import label_scorer

from ..label_models import tiny_classifier
from ..labelled_toys import class_tree
from ..speed_models import tiny_action
from .test_json import faults

SCHEMA = json.loads((files("structkit_cli") / "label_score_records.schema.json").read_text())
QUICK = ("--kind", "fog,contrast,saturate", "--severity", "1,3", "--device", "cpu")


@pytest.fixture
def engine(real_engine):
    """No stand-in."""


@pytest.fixture
def here(run, tmp_path):
    """A model and labelled pictures in the current folder."""
    tiny_classifier().save(tmp_path / "c.safetensors", complete=True)
    class_tree(tmp_path / "fruit", each=2)
    return lambda measure, *words: run("score", measure, "fruit", "--model", "c.safetensors", *words)


def test_the_table_has_a_line_for_each_kind_and_mean(here):
    ran = here("corruptions", *QUICK)
    rows = [line.split() for line in ran.paths]
    assert ran.code == 0 and rows[0] == ["corruption", "1", "3", "mean"]
    assert [row[0] for row in rows] == [
        "corruption",
        "fog",
        "contrast",
        "weather",
        "digital",
        "mean",
        "clean",
        "saturate",
    ]
    assert rows[5][:3] == ["mean", "of", "2"] and rows[7][1] == "(extra)"
    for row in rows[1:3]:
        first, third, mean = (float(word) for word in row[1:])
        assert mean == pytest.approx((first + third) / 2, abs=0.11)
    assert float(rows[5][3]) == pytest.approx((float(rows[1][3]) + float(rows[2][3])) / 2, abs=0.11)


def test_the_record_is_that_of_the_schema_and_says_what_the_table_says(here):
    [line] = here("corruptions", *QUICK, "--json", "--seed", "3").paths
    record = json.loads(line)
    assert faults(record, SCHEMA) == [] and record["exit"] == 0 and record["seed"] == 3
    assert record["errors"].keys() == {"fog", "contrast", "saturate"} and record["counted"] == ["fog", "contrast"]
    assert record["pictures"] == 6 and record["frost"] is record["imagenet"] is record["robustbench"] is None
    assert set(record["clean"]["classes"]) == {"flat", "steep", "slanted"}
    assert json.loads(here("corruptions", *QUICK, "--json", "--seed", "3").paths[0]) | {"ms": 0} == record | {"ms": 0}


def test_all_kinds_give_the_figures_of_the_leaderboard_and_drawn_frost_is_said(here):
    ran = here("corruptions", "--device", "cpu", "--json", "--count", "3")
    record = json.loads(ran.out)
    assert faults(record, SCHEMA) == [] and record["frost"] == "drawn" and "frost is drawn here" in ran.err
    assert record["robustbench"]["corruptions_acc"] == pytest.approx(100 * (1 - record["mean"]), abs=1e-3)
    assert record["pictures"] == 3 and len(record["counted"]) == 15
    assert "frost" not in here("corruptions", "--device", "cpu", "--kind", "frost", "--severity", "1", "-q").err


def test_what_corrupt_writes_scores_as_what_is_made_here(here, run):
    assert run("corrupt", "fruit", "--kind", "fog,saturate", "--severity", "2,5", "-o", "out").code == 0
    words = ("--kind", "fog,saturate", "--severity", "2,5", "--device", "cpu", "--json")
    made, given = (json.loads(here("corruptions", *words, *more).out) for more in ((), ("--corrupted", "out")))
    assert made["errors"] == given["errors"] and made["clean"] == given["clean"]


def test_a_chart_is_written_once(here):
    for name, head in (("errors.svg", b"<svg"), ("errors.png", b"\x89PNG")):
        assert here("corruptions", *QUICK, "--chart", name).code == 0
        assert Path(name).read_bytes().startswith(head)
    ran = here("corruptions", *QUICK, "--chart", "errors.svg")
    assert ran.code == 2 and "errors.svg exists: name another file with --chart" in ran.err


def test_what_was_found_is_told_where_a_chart_cannot_be_written(here, monkeypatch):
    def full(path, data):
        raise OutputError(f"{path}: no space left")

    monkeypatch.setattr(label_scorer, "write_atomically", full)
    ran = here("corruptions", *QUICK, "--chart", "errors.svg")
    assert ran.code == 3 and "no space left" in ran.err and ran.paths[0].startswith("corruption")


def test_texture_is_a_line_of_figures_and_a_record_of_the_schema(here):
    ran = here("texture", "--device", "cpu")
    [line] = ran.paths
    words = line.split()
    assert ran.code == 0 and words[::2][:4] == ["clean", "swapped", "swapped_sd", "fall"]
    assert words[-2:] == ["files", "6"]
    record = json.loads(here("texture", "--device", "cpu", "--draws", "2", "--json").out)
    assert faults(record, SCHEMA) == [] and len(record["draws"]) == 2
    assert record["fall"] == pytest.approx(record["clean"]["accuracy"] - record["swapped"], abs=1e-5)


@pytest.mark.parametrize("measure", ["corruptions", "texture"])
def test_a_picture_that_cannot_be_read_is_told_and_left_out(here, measure):
    Path("fruit/flat/bad.png").write_bytes(b"no picture")
    ran = here(measure, "--json", "--device", "cpu", *(QUICK[:4] if measure == "corruptions" else ()))
    record = json.loads(ran.out)
    assert ran.code == record["exit"] == 1 and record["pictures"] == 6 and faults(record, SCHEMA) == []
    assert [one["file"] for one in record["rejected"]] == ["flat/bad.png"] and "error: flat/bad.png: not a" in ran.err


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ("fruit", 2, "--model is missing: name a checkpoint of structkit train classifier"),
        ("nowhere --model c.safetensors", 1, "nowhere: no such file or folder"),
        ("fruit --model nothing.safetensors", 3, "nothing.safetensors: no such file"),
        ("fruit --model action.safetensors", 3, "and not score corruptions; make one with structkit train classifier"),
        ("fruit --model c.safetensors --kind fogg", 2, "--kind is 'fogg': choose from"),
        ("fruit --model c.safetensors --severity 0", 2, "--severity is '0': give 1 to 5"),
        ("fruit --model c.safetensors --count 1", 2, "--count is 1: it must be between 2"),
        ("fruit --model c.safetensors --chart errors.gif", 2, "a suffix that names no format: use one of .png .svg"),
        ("fruit --model c.safetensors --chart no/errors.png", 3, "no/errors.png: no such folder no; create it first"),
        ("fruit --model c.safetensors --corrupted nowhere", 1, "nowhere: no such folder"),
        ("empty --model c.safetensors", 1, "empty: 0 folders of pictures, and a class is told from others"),
        ("other --model c.safetensors", 1, "are none of the model's (cat, dog)"),
        ("fruit/flat/0.png --model c.safetensors", 1, "a file that holds no labelled pictures"),
        ("fruit --model c.safetensors --device cuda:99", 3, "there is no such device here"),
    ],
)
def test_what_cannot_be(run, here, tmp_path, words, code, told):
    (tmp_path / "empty").mkdir()
    tiny_action().save(tmp_path / "action.safetensors", complete=True)
    class_tree(tmp_path / "tree", each=1, classes=2)
    (tmp_path / "tree").rename(tmp_path / "other")
    for old, new in (("flat", "cat"), ("steep", "dog")):
        (tmp_path / "other" / old).rename(tmp_path / "other" / new)
    ran = run("score", "corruptions", *words.split())
    assert (ran.code, ran.out) == (code, b"") and told in ran.err
