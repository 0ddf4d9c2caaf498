"""Labelled pictures as training data: what is read, held out, left out, told and refused; and trainings that stop."""

from __future__ import annotations

import shutil
import signal

import numpy as np
import pytest

import structkit
from structkit.errors import InputError, OptionError, OutputError
from structkit.recipes.labels import LEAST_STEPS, classifier_least

from ..engines.padain.test_classifier import training
from ..labelled_toys import CLASSES, TINY, class_tree, labelled

HOW = TINY | {"epochs": 1, "checks": 1, "device": "cpu", "dtype": "float32"}


@pytest.fixture(scope="module")
def tree(tmp_path_factory, one_thread):
    """A folder with five pictures of each class."""
    return class_tree(tmp_path_factory.mktemp("made") / "classes")


def test_the_classes_are_the_folders_and_a_fifth_of_each_is_held_out(tree, tmp_path):
    told = []
    model = structkit.train_classifier(tree, tmp_path / "m.safetensors", tell=told.append, **HOW)
    assert model.classes == sorted(CLASSES) and model.card["scores"]["held"] == 3
    assert told[0] == "learned from: flat 4, slanted 4, steep 4 pictures; held out for the scores: 3"
    assert model.card["run"]["inputs"].keys() == {"pictures"}


def test_a_part_for_tests_is_what_is_held_out(tmp_path):
    class_tree(tmp_path / "data" / "train", each=3)
    class_tree(tmp_path / "data" / "test", each=2, seed=5, classes=2)
    told = []
    model = structkit.train_classifier(tmp_path / "data", tmp_path / "m.safetensors", tell=told.append, **HOW)
    assert model.card["scores"]["held"] == 4 and model.card["run"]["inputs"].keys() == {"pictures", "test"}
    assert told[0].endswith(f"held out for the scores: 4 ({tmp_path / 'data' / 'test'})")
    with pytest.raises(OptionError, match=r"--held is 0.1, and .*test is what is held out: leave --held out"):
        structkit.train_classifier(tmp_path / "data", tmp_path / "n.safetensors", held=0.1, **HOW)
    (tmp_path / "data" / "test" / "flat").rename(tmp_path / "data" / "test" / "even")
    with pytest.raises(InputError, match=r"test: a class that .*train has not: even; give both the same folders"):
        structkit.train_classifier(tmp_path / "data", tmp_path / "n.safetensors", **HOW)


def test_pictures_of_the_test_that_are_learned_from_are_told(tmp_path):
    class_tree(tmp_path / "data" / "train", each=3)
    class_tree(tmp_path / "data" / "test", each=2)
    told = []
    structkit.train_classifier(tmp_path / "data", tmp_path / "m.safetensors", tell=told.append, **HOW)
    assert any("6 pictures of it are in" in line and "their scores are too high" in line for line in told)


def test_arrays_are_learned_from_as_folders_are(tmp_path):
    made = labelled(5)
    np.save(tmp_path / "x.npy", made.pictures)
    np.save(tmp_path / "y.npy", made.labels.numpy())
    (tmp_path / "out").mkdir()
    model = structkit.train_classifier(tmp_path / "x.npy", tmp_path / "out" / "m.safetensors", **HOW)
    assert model.classes == ["0", "1", "2"] and model.card["scores"]["held"] == 3


def test_what_cannot_be_read_is_left_out_counted_and_told_with_the_reason(tree, tmp_path):
    folder = tmp_path / "classes"
    shutil.copytree(tree, folder)
    (folder / "flat" / "broken.png").write_bytes((folder / "flat" / "0.png").read_bytes()[:60])
    (folder / "flat" / "text.jpg").write_text("no picture")
    shutil.copy(folder / "flat" / "0.png", folder / "stray.png")
    told = []
    structkit.train_classifier(folder, tmp_path / "m.safetensors", tell=told.append, **HOW)
    left = {line.split(": ")[1] for line in told if line.startswith("left out: ")}
    assert left == {"flat/broken.png", "flat/text.jpg", "stray.png"}
    assert any("left out: 3 of 18 pictures" in line for line in told)


def test_what_is_no_folder_of_classes_is_refused(tree, tmp_path):
    output = tmp_path / "m.safetensors"
    with pytest.raises(InputError, match="no such folder; name one that has a folder of pictures for each class"):
        structkit.train_classifier(tmp_path / "nowhere", output, **HOW)
    one = class_tree(tmp_path / "one", classes=1)
    with pytest.raises(InputError, match=r"1 folder of pictures \(flat\), and a class is told from others"):
        structkit.train_classifier(one, output, **HOW)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="0 folders of pictures, and a class is told from others"):
        structkit.train_classifier(tmp_path / "empty", output, **HOW)
    with pytest.raises(OptionError, match="in the folder that is learned from: name a place outside it"):
        structkit.train_classifier(tree, tree / "m.safetensors", **HOW)
    assert not output.exists()


def test_too_few_to_hold_out_and_none_wanted(tmp_path):
    told = []
    class_tree(tmp_path / "single", each=1)
    model = structkit.train_classifier(tmp_path / "single", tmp_path / "a.safetensors", tell=told.append, **HOW)
    assert told[0].endswith("too few to hold any out, so there are no scores") and model.card["scores"] == {}
    class_tree(tmp_path / "more", each=3)
    model = structkit.train_classifier(tmp_path / "more", tmp_path / "b.safetensors", held=0, tell=told.append, **HOW)
    assert told[-1].endswith("none is held out, so there are no scores") and model.card["scores"] == {}
    with pytest.raises(OptionError, match="--keep best: there are no pictures held out to tell by"):
        structkit.train_classifier(tmp_path / "more", tmp_path / "c.safetensors", held=0, keep="best", **HOW)


def test_a_finished_training_is_returned_as_it_is_and_another_is_refused(tree, tmp_path):
    output = tmp_path / "m.safetensors"
    structkit.train_classifier(tree, output, **HOW)
    before = output.read_bytes()
    structkit.train_classifier(tree, output, **HOW)
    assert output.read_bytes() == before
    with pytest.raises(OutputError):
        structkit.train_classifier(tree, output, padain=0.5, **HOW)


def test_a_training_that_was_stopped_ends_in_the_same_bytes(tree, tmp_path):
    how = HOW | {"epochs": 12, "padain": 0.3, "ema": 0.9, "augmix": True, "batch": 8}

    def stop(event):
        if event.step == 10:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        structkit.train_classifier(tree, tmp_path / "stopped.safetensors", report=stop, **how)
    assert structkit.load(tmp_path / "stopped.safetensors").card["complete"] is False
    for name in ("stopped", "calm"):
        structkit.train_classifier(tree, tmp_path / f"{name}.safetensors", **how)
    assert (tmp_path / "stopped.safetensors").read_bytes() == (tmp_path / "calm.safetensors").read_bytes()


def test_the_fewest_steps_are_two_passes_or_a_hundred_and_never_more_than_there_are():
    assert classifier_least(training(config={"epochs": 20, "batch": 2})) == [LEAST_STEPS]
    assert classifier_least(training(config={"epochs": 20})) == [40]
    assert classifier_least(training(learned=labelled(100), config={"epochs": 20, "batch": 2})) == [300]
