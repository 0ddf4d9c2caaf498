"""structkit speedup --heatmap: the clip itself under colours, beside what else the command makes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from structkit.media.video import VideoReader

from ..speed_models import film, tiny_speednet


@pytest.fixture
def engine(real_engine):
    """No stand-in."""


@pytest.fixture
def here(run, tmp_path):
    """A model and a clip in the current folder."""
    tiny_speednet().save(tmp_path / "speed.safetensors", complete=True)
    film(tmp_path / "clip.mp4", "across", 30)
    return lambda *words: run("speedup", *words, "--device", "cpu")


@pytest.mark.parametrize("kind", [[], ["--heatmap-kind", "speed"]])
def test_the_clip_is_written_under_colours_and_lasts_as_long(here, kind):
    how = ("--method", "motion", "--model", "speed.safetensors", "--heatmap", "heat.mp4", *kind)
    ran = here("clip.mp4", "--dry-run", *how, "--json")
    assert ran.code == 0, ran.err
    records = [json.loads(line) for line in ran.paths]
    [heat] = [record for record in records if record.get("role") == "heatmap"]
    assert (heat["output"], heat["status"], heat["frames"]) == ("heat.mp4", "written", 30)
    times = [[frame.time for frame in VideoReader(name)] for name in ("clip.mp4", "heat.mp4")]
    assert times[0] == times[1]


def test_it_stands_beside_the_result(here):
    how = ("--method", "motion", "--model", "speed.safetensors", "--heatmap", "heat.mp4")
    ran = here("clip.mp4", *how, "-o", "short.mp4")
    assert (ran.code, ran.paths) == (0, ["short.mp4", "heat.mp4"]), ran.err


def test_another_kind_or_another_model_makes_another_one(here):
    how = ("--method", "motion", "--heatmap", "heat.mp4", "--dry-run", "--exists", "skip")
    assert here("clip.mp4", "--model", "speed.safetensors", *how).code == 0
    ran = here("clip.mp4", "--model", "speed.safetensors", *how, "--heatmap-kind", "speed")
    assert ran.code == 1 and "heat.mp4 exists and was made with other options" in ran.err
    before = Path("heat.mp4").read_bytes()
    words = ("--model", "speed.safetensors", *how[:-1], "overwrite", "--heatmap-kind", "speed")
    assert here("clip.mp4", *words).code == 0 and Path("heat.mp4").read_bytes() != before
    tiny_speednet(seed=3).save(Path("other.safetensors"), complete=True)
    again = here("clip.mp4", "--model", "other.safetensors", *how)
    assert "heat.mp4" in again.paths or "heat.mp4 exists" in again.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--heatmap-kind", "cam"], "--heatmap-kind is of --heatmap: name the video to write with it, or leave it out"),
        (["--heatmap", "heat.png", "--model", "speed.safetensors"], "heat.png"),
        (["--heatmap", "heat.mp4", "--heatmap-kind", "jet"], "--heatmap-kind is 'jet': choose one of cam, speed"),
    ],
)
def test_what_cannot_be(here, words, told):
    ran = here("clip.mp4", *words)
    assert ran.code == 2 and told in ran.err


def test_without_a_model_there_is_nothing_to_show(here, tmp_path, monkeypatch):
    monkeypatch.setattr("structkit_weights.FOLDER", tmp_path)
    ran = here("clip.mp4", "--heatmap", "heat.mp4")
    assert ran.code == 2 and "--heatmap shows what a model sees: name one of structkit train speednet" in ran.err
