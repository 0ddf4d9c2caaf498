"""structkit train classifier: from a folder of classes to a model that names them; what is told and refused."""

from __future__ import annotations

import json

import pytest

from structkit.header import read_card

from ..labelled_toys import class_tree

QUICK = ("--width", "4", "--side", "16", "--epochs", "1", "--batch", "6", "--dtype", "float32", "--device", "cpu")

REMARK = "note: pAdaIN (p 0.5, places: early) acted in training alone: the model has no such layer"


@pytest.fixture
def engine(real_engine):
    """No stand-in."""


@pytest.fixture
def train(run, tmp_path):
    class_tree(tmp_path / "classes")
    return lambda *words: run("train", "classifier", "classes", *words, "-o", "c.safetensors")


def test_the_scores_on_pictures_held_out_are_told_and_in_the_card(train, run):
    ran = train(*QUICK, "--padain", "0.5", "--padain-sites", "early")
    assert (ran.code, ran.paths) == (0, ["c.safetensors"]), ran.err
    assert "held out for the scores: 3" in ran.err and "of 3 pictures held out" in ran.err
    card = read_card("c.safetensors")
    assert card["facts"]["classes"] == ["flat", "slanted", "steep"] and card["scores"]["held"] == 3
    told = run("info", "c.safetensors")
    for line in (
        "what pictures show, by name",
        "config.padain: 0.5",
        "config.network: resnet18",
        "run.inputs.pictures: ",
    ):
        assert line in told.out.decode()
    again = train(*QUICK, "--padain", "0.5", "--padain-sites", "early")
    assert again.code == 0 and "is there already" in again.err


def test_it_ends_in_time(train):
    ran = train(*QUICK[:4], "--epochs", "100000", "--minutes", "0.04", "--json", "--device", "cpu")
    *stages, summary = (json.loads(line) for line in ran.paths)
    assert ran.code == 0 and [stage["stage"] for stage in stages] == ["classifier"]
    assert any(note.startswith("--minutes 0.04: ") and "steps" in note for note in summary["notes"])


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--network", "resnet19"], 2, "--network is 'resnet19': choose one of resnet18"),
        (["--network", "densenet40", "--side", "2"], 2, "--side is 2: it must be between 8 and 1024"),
        (["--network", "torchvision:resnet18"], 2, "--width is not of torchvision:resnet18: leave it out"),
        (["--pairing", "halves"], 2, "--pairing is of pAdaIN, and --padain is 0: leave it out, or say --padain 0.01"),
        (["--padain", "0.5", "--padain-sites", "layer9"], 2, "no place for Permuted AdaIN"),
        (["--padain", "0.5", "--padain-sites", "("], 2, "--padain-sites is '(': no pattern"),
        (["--no-jsd"], 2, "--no-jsd is of --augmix, which is off: leave it out"),
        (["--augmix", "--pixmix"], 2, "--augmix and --pixmix are two ways to change a picture: choose one"),
        (["--milestones", "1"], 2, "--milestones is of --schedule steps, and it is one-cycle: leave it out"),
        (["--warm-up", "9"], 2, "--warm-up is 9: it must be at most --epochs, which is 1"),
        (["--held", "0.9"], 2, "--held is 0.9: it must be between 0 and 0.5"),
    ],
)
def test_what_cannot_be(train, words, code, told):
    ran = train(*QUICK, *words)
    assert ran.code == code and told in " ".join(ran.err.split()), ran.err


def test_a_folder_with_one_class_is_refused(run, tmp_path):
    class_tree(tmp_path / "classes", classes=1)
    ran = run("train", "classifier", "classes", *QUICK, "-o", "c.safetensors")
    assert ran.code == 1 and "classes: 1 folder of pictures (flat), and a class is told from others" in ran.err
