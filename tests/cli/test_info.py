"""structkit info: what a checkpoint says of itself."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch

import structkit_weights
from structkit import checkpoint
from structkit.configs import PairConfig
from structkit.engines.pair.model import PairAnalogy

from .content import save_models
from .test_train_analogy import engine, faults  # noqa: F401


@pytest.fixture
def pair(run, tmp_path):
    """pair.safetensors, made smaller than it was asked for, in the current folder."""
    config = PairConfig(size=30).filled()
    asked = {"config": {**PairConfig(size=40).filled().__dict__}, "inputs": {"source": "00ff"}, "minutes": 1}
    PairAnalogy(config, [(20, 20), (30, 30)], 1).save(tmp_path / "pair.safetensors", run=asked, complete=True)
    return tmp_path / "pair.safetensors"


def test_it_says_what_it_is_what_it_serves_and_how_it_was_made(run, pair):
    ran = run("info", "pair.safetensors")
    assert (ran.code, ran.err) == (0, "")
    assert ran.paths[:2] == [
        "pair.safetensors: structural analogy between two pictures",
        "use: structkit analogy --model pair.safetensors",
    ]
    facts = dict(line.split(": ", 1) for line in ran.paths[2:])
    assert facts["kind"] == "pair-analogy" and facts["config.size"] == "30" and facts["facts.trained_levels"] == "1"
    assert facts["sha256"] == hashlib.sha256(pair.read_bytes()).hexdigest() and facts["bytes"] == str(
        pair.stat().st_size
    )


def test_what_a_verb_needs_beside_the_model_is_left_open(run, tmp_path):
    save_models(tmp_path)
    use = ", ".join(
        f"structkit {verb} ... --model d.safetensors" for verb in ("transfer", "remove", "score independence")
    )
    assert run("info", "d.safetensors").paths[1] == f"use: {use}"


def test_of_what_was_asked_for_only_what_came_otherwise_is_told(run, pair):
    facts = [line for line in run("info", "pair.safetensors").paths if line.startswith("run.")]
    assert facts == ["run.config.size: 40", "run.inputs.source: 00ff", "run.minutes: 1"]


def test_the_record_is_that_of_the_schema_and_has_the_whole_card(run, pair, faults):  # noqa: F811
    [record] = map(json.loads, run("info", "pair.safetensors", "--json").out.splitlines())
    assert faults(record) == [] and record["verbs"] == ["analogy"] and record["card"] == checkpoint.read_card(pair)


def test_what_is_no_checkpoint_is_refused(run, pair, tmp_path):
    def refused(name: str) -> str:
        ran = run("info", name)
        assert (ran.code, ran.out, ran.err.count("\n")) == (3, b"", 1)
        return ran.err.removeprefix("structkit: error: ").rstrip()

    (tmp_path / "text.safetensors").write_text("hello, this is no checkpoint")
    (tmp_path / "cut.safetensors").write_bytes(pair.read_bytes()[:-9])
    checkpoint.save(tmp_path / "clip.safetensors", {"a": torch.zeros(1)}, {"kind": "clip"})
    checkpoint.save(tmp_path / "p.resume.safetensors", {"a": torch.zeros(1)}, {"kind": "resume"})
    assert refused("nowhere.safetensors") == "nowhere.safetensors: no such file; check the path"
    assert (
        refused("text.safetensors")
        == "text.safetensors: not a safetensors file; name a checkpoint that structkit wrote"
    )
    assert refused("cut.safetensors").startswith("cut.safetensors: truncated: ")
    assert refused("clip.safetensors").startswith(
        "clip.safetensors: a checkpoint of kind 'clip', written by structkit "
    )
    assert "the state of an unfinished training, not a model" in refused("p.resume.safetensors")
    assert run("info").code == 2


def test_names_cannot_move_the_cursor(run, pair):
    pair.rename("a\x1b[2J.safetensors")
    assert b"\x1b" not in run("info", "a\x1b[2J.safetensors").out


def test_a_model_that_ships_is_known_by_its_name(run, pair, tmp_path, monkeypatch):
    (tmp_path / "weights").mkdir()
    shipped = pair.rename(tmp_path / "weights" / "glasses.safetensors")
    monkeypatch.setattr(structkit_weights, "FOLDER", shipped.parent)
    ran = run("info", "glasses")
    assert (ran.code, ran.err) == (0, "")
    assert ran.paths[:2] == [
        "glasses: structural analogy between two pictures",
        "use: structkit analogy --model glasses",
    ]
    [record] = map(json.loads, run("info", "glasses", "--json").out.splitlines())
    assert record["path"] == str(shipped)
    drawn = run("analogy", "--model", "glasses", "--device", "cpu", "-o", "drawn.png")
    assert (drawn.code, drawn.paths) == (0, ["drawn.png"])
    for path in ("./glasses", "weights/../glasses"):
        named = run("info", path)
        assert (named.code, named.err) == (3, f"structkit: error: {Path(path)}: no such file; check the path\n")
    empty = run("info", "")
    assert empty.code == 2 and "the name of a model is the empty text: name a checkpoint" in empty.err
    unknown = run("info", "beard")
    assert unknown.code == 3 and "no model of that name ships with structkit (glasses)" in unknown.err
