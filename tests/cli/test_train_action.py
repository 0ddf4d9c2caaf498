"""structkit train action: from a folder of classes to a model that names them; what is told, and what is refused."""

from __future__ import annotations

import json

import pytest

from structkit.header import read_card

from ..speed_models import class_folders, tiny_speednet

SHORT = ("--batch", "4", "--steps", "3", "--dtype", "float32", "--device", "cpu")
QUICK = ("--width", "0.1", "--side", "32", "--frames", "8", *SHORT)


@pytest.fixture
def engine(real_engine):
    """No stand-in."""


@pytest.fixture
def train(run, tmp_path):
    class_folders(tmp_path / "classes", each=3)
    return lambda *words: run("train", "action", "classes", *words, "-o", "action.safetensors")


def test_the_scores_on_videos_held_out_are_told_and_in_the_card(train):
    ran = train(*QUICK)
    assert (ran.code, ran.paths) == (0, ["action.safetensors"]), ran.err
    assert "across 3, blink 3, down 3 videos; 3 of them are held out" in ran.err
    assert "from random weights: of 3 videos held out" in ran.err and "always naming one class: 33 % right" in ran.err
    card = read_card("action.safetensors")
    assert card["facts"]["classes"] == ["across", "blink", "down"] and "confusion" in card["scores"]
    again = train(*QUICK)
    assert again.code == 0 and "is there already" in again.err


def test_a_baseline_is_told_beside_it(train, tmp_path):
    tiny_speednet().save(tmp_path / "speed.safetensors", complete=True)
    how = [*SHORT, "--init", "speed.safetensors", "--baseline", "--json"]
    ran = train(*how)
    *stages, summary = (json.loads(line) for line in ran.paths)
    assert [stage["stage"] for stage in stages] == ["tuning", "random weights"] and summary["exit"] == 0
    told = "\n".join(summary["notes"])
    assert "from the given weights: of 3 videos" in told and "from random weights, by the same steps:" in told


def test_it_ends_in_time(train):
    ran = train(*QUICK[:-4], "--steps", "100000", "--minutes", "0.03", "--dtype", "float32", "--device", "cpu")
    assert ran.code == 0 and "--minutes 0.03: steps: random weights" in ran.err


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--baseline"], 2, "--baseline trains from random weights, and without --init so does all: leave it out"),
        (["--init", "glasses"], 3, "begins from a model of the speed of clips; make one with structkit train speednet"),
        (["--init", "nothing.safetensors"], 3, "nothing.safetensors: no such file"),
        (["--held", "0.9"], 2, "--held is 0.9: it must be between 0 and 0.5"),
    ],
)
def test_what_cannot_be(train, words, code, told):
    ran = train(*QUICK, *words)
    assert ran.code == code and told in ran.err.replace("\n", " ")


def test_a_folder_with_one_class_is_refused(run, tmp_path):
    class_folders(tmp_path / "classes", each=1, ways=("down",))
    ran = run("train", "action", "classes", *QUICK, "-o", "a.safetensors")
    assert ran.code == 1 and "classes: 1 folder of videos (down), and a class is told from others" in ran.err
