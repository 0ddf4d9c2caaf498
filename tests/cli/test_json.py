"""--json: the records say what happened, and records.schema.json says what a record is."""

from __future__ import annotations

import hashlib
import json
import re
from importlib.resources import files

import pytest

from .conftest import paint

SCHEMA = json.loads((files("structkit_cli") / "records.schema.json").read_text())
TYPES = {"string": str, "integer": int, "number": float, "object": dict, "array": list, "null": type(None)}


def faults(value, schema) -> list[str]:
    """What is wrong with a value, by the few words of JSON Schema that the file uses."""
    known = {"$schema", "title", "description", "oneOf", "$defs", "$ref", "type", "const", "enum", "minimum", "pattern"}
    assert schema.keys() <= known | {"items", "required", "properties", "additionalProperties"}
    if "oneOf" in schema:
        found = [faults(value, option) for option in schema["oneOf"]]
        return [] if found.count([]) == 1 else [f"{len(found)} alternatives: {found}"]
    if "$ref" in schema:
        return faults(value, SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[1]])
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    bad = []
    if types and not any(isinstance(value, TYPES[t]) and not isinstance(value, bool) for t in types):
        bad.append(f"{value!r} is no {types}")
    if ("const" in schema and value != schema["const"]) or ("enum" in schema and value not in schema["enum"]):
        bad.append(f"{value!r} is not allowed")
    if isinstance(value, int) and value < schema.get("minimum", value):
        bad.append(f"{value} is too small")
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        bad.append(f"{value!r} does not match")
    if isinstance(value, list):
        bad += [fault for item in value for fault in faults(item, schema.get("items", {}))]
    if isinstance(value, dict):
        properties, more = schema.get("properties", {}), schema.get("additionalProperties", {})
        bad += [f"{name} is missing" for name in schema.get("required", []) if name not in value]
        bad += [f"{name} is unknown" for name in value if name not in properties and more is False]
        bad += [f for name, v in value.items() for f in faults(v, properties.get(name, more or {}))]
    return bad


@pytest.fixture
def records(run):
    def records(*arguments: str) -> tuple[int, list[dict]]:
        ran = run(*arguments, "--json")
        found = [json.loads(line) for line in ran.out.splitlines()]
        assert [faults(record, SCHEMA) for record in found] == [[]] * len(found)
        return ran.code, found

    return records


def test_one_picture(records, pair, tmp_path):
    code, (one, summary) = records("analogy", *pair, "-o", "o.png", "--seed", "99")
    assert one.pop("ms") >= 0 and summary.pop("ms") >= 0
    assert one == {
        "record": "output",
        "input": "house.png",
        "with": {"target": "cake.png"},
        "output": "o.png",
        "role": "result",
        "status": "written",
        "error": None,
        "device": "cpu",
        "seed": 99,
        "warnings": ["made up"],
        "sha256": hashlib.sha256((tmp_path / "o.png").read_bytes()).hexdigest(),
    }
    counts = {"inputs": 1, "written": 1, "skipped": 0, "failed": 0, "foreign": 0, "unread": []}
    assert summary == {
        "record": "summary",
        "verb": "analogy",
        "version": summary["version"],
        "device": "cpu",
        "exit": 0,
        **counts,
    }
    assert code == 0


def test_a_batch_with_a_failure_then_again(records, pair, tmp_path):
    paint(tmp_path / "in/1.png", 3), paint(tmp_path / "in/3.png", 3)
    (tmp_path / "in/2.png").write_bytes(b"no picture"), (tmp_path / "in/notes.txt").touch()
    code, found = records("analogy", "in", "cake.png", "-o", "out")
    assert [(r["input"], r["status"]) for r in found[:-1]] == [
        ("in/1.png", "written"),
        ("in/2.png", "failed"),
        ("in/3.png", "written"),
    ]
    assert found[1]["output"] == "out/2.png" and "not a picture" in found[1]["error"] and found[1]["sha256"] is None
    assert (code, found[-1]["exit"], found[-1]["failed"], found[-1]["foreign"]) == (1, 1, 1, 1)
    again = records("analogy", "in", "cake.png", "-o", "out")[1]
    assert [r["status"] for r in again[:-1]] == ["skipped", "failed", "skipped"]
    assert [r["sha256"] for r in again[:-1]] == [r["sha256"] for r in found[:-1]]


def test_pictures_that_are_passed_over_are_in_the_summary(records, pair, tmp_path, run):
    paint(tmp_path / "in/1.png", 3)
    (tmp_path / "in/a.heic").touch(), (tmp_path / "in/notes.txt").touch()
    _, found = records("sample", "in", "-n", "1", "-o", "out")
    assert (found[-1]["foreign"], found[-1]["unread"]) == (2, ["in/a.heic"])
    said = "2 other files passed over, 1 of them a picture of a format that is not read (in/a.heic)"
    assert said in run("sample", "in", "-n", "1", "-o", "out").err
    (tmp_path / "in/1.png").unlink()
    said = said.replace(" passed over", "")
    assert f"among the inputs ({said})\n" in run("sample", "in", "-n", "1", "-o", "out").err


def test_samples_and_strips_have_a_record_each(records, pair):
    _, found = records("analogy", *pair, "--count", "2", "--compare", "s.png", "--seed", "4")
    assert [(r["role"], r["seed"]) for r in found[:-1]] == [("result", 4), ("result", 5), ("comparison", 4)]


def test_nothing_to_do_and_no_device_have_a_summary_too(records, pair, tmp_path):
    (tmp_path / "empty").mkdir()
    code, found = records("sample", "empty", "-o", "out")
    assert (code, [r["record"] for r in found], found[0]["exit"]) == (4, ["summary"], 4)
    code, found = records("sample", *pair, "-o", "out/", "--device", "cuda")
    assert (code, [r["record"] for r in found], found[1]["exit"]) == (3, ["output", "summary"], 3)


def test_names_that_are_no_text_are_still_json(records, tmp_path, run):
    paint(tmp_path / "a\n.png", 1)
    assert records("sample", "a\n.png", "-n", "1")[1][0]["output"] == "a\n-sample.png"


def test_the_check_itself_can_fail(records, pair):
    good = records("analogy", *pair)[1][0]
    for bad in (
        {"sha256": "abc"},
        {"status": "odd"},
        {"seed": None},
        {"extra": 1},
        {"warnings": [1]},
        {"with": {"target": 1}},
    ):
        assert faults({**good, **bad}, SCHEMA)
    assert faults({k: v for k, v in good.items() if k != "ms"}, SCHEMA)
