"""structkit train segmenter: from two folders and a map to a model; what is told, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from structkit.header import read_card

from ..segmenter_models import PALETTE, classes_of, scene

QUICK = ("--size", "32x24", "--width", "0.05", "--batch", "2", "--steps", "2", "--dtype", "float32", "--device", "cpu")
SOURCE = ("--source", "images/", "labels/", "--labels", "map.json")
MAP = [
    {"id": 10 + i, "name": name, "colour": list(colour)}
    for i, (name, colour) in enumerate(zip(("sky", "road", "car"), PALETTE, strict=True))
]


@pytest.fixture
def engine(real_engine):
    """No stand-in."""


@pytest.fixture
def train(run, tmp_path):
    """Train in a folder with images/, labels/, night/ and map.json."""
    for name in ("images", "labels", "night"):
        (tmp_path / name).mkdir()
    for i in range(4):
        one = scene(24 + 2 * i, 32)
        Image.fromarray(one.pixels).save(tmp_path / "images" / f"{i}.png")
        Image.fromarray(one.pixels // 3).save(tmp_path / "night" / f"{i}.png")
        Image.fromarray(classes_of(one) + 10).save(tmp_path / "labels" / f"{i}.png")
    (tmp_path / "map.json").write_text(json.dumps(MAP))
    return lambda *words: run("train", "segmenter", *words, "-o", "seg.safetensors")


def test_a_model_of_the_classes_is_made_told_and_used(train, run, tmp_path):
    ran = train(*SOURCE, "--target", "night/", "--adapt", "bn", *QUICK)
    assert (ran.code, ran.paths) == (0, ["seg.safetensors"]), ran.err
    assert "learned from: 3 pictures of 3 classes, 1 held out for the scores; adapted to: 4 pictures" in ran.err
    card = read_card("seg.safetensors")
    assert card["facts"]["classes"] == ["sky", "road", "car"] and "miou" in card["scores"]
    assert set(card["run"]["inputs"]) == {"source", "labels", "classes", "target"}
    again = train(*SOURCE, "--target", "night/", "--adapt", "bn", *QUICK)
    assert again.code == 0 and "is there already" in again.err
    assert run("segment", "night/0.png", "--model", "seg.safetensors", "--device", "cpu", "-o", "made.png").code == 0
    with Image.open(tmp_path / "made.png") as image:
        assert image.mode == "P" and image.size == (32, 24) and np.asarray(image).max() <= 2


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ((), 2, "--source is missing: name the folder of pictures, and that of their label files"),
        (("--source", "images/"), 2, "--source takes IMAGES LABELS, and --size came in their place"),
        ((*SOURCE, "--target", "night/"), 2, "--adapt is none"),
        ((*SOURCE, "--adapt", "selftrain"), 2, "name them with --target"),
        ((*SOURCE, "--alpha", "0.5"), 2, "--alpha"),
        (("--source", "images/", "labels/"), 1, "without a palette; say what the labels mean: --labels camvid"),
        (("--source", "images/", "labels/", "--labels", "voc"), 2, "name camvid, cityscapes, or a file of classes"),
        (("--source", "images/", "nowhere/", "--labels", "camvid"), 1, "nowhere/: no such folder"),
        (("--source", "images/", "labels/", "--labels", "nothing.csv"), 1, "nothing.csv: no such file"),
        ((*SOURCE, "--target", "map.json", "--adapt", "bn"), 1, "a file, where a folder of pictures is needed"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else "",
)
def test_what_cannot_be_is_refused_in_words(train, words, code, told):
    ran = train(*words, *QUICK)
    assert (ran.code, told in ran.err) == (code, True), ran.err


def test_the_two_folders_can_be_set_in_a_file_and_in_the_environment(train, run, monkeypatch, tmp_path):
    (tmp_path / "c.toml").write_text('[train.segmenter]\nsource = ["images", "labels"]\nlabels = "map.json"\n')
    ran = run("train", "segmenter", "--config", "c.toml", "--print-config")
    assert ran.code == 0 and b'source = ["images", "labels"]' in ran.out
    (tmp_path / "again.toml").write_bytes(ran.out)
    assert run("train", "segmenter", "--config", "again.toml", "--print-config").out == ran.out
    assert train("--config", "c.toml", *QUICK).code == 0
    monkeypatch.setenv("STRUCTKIT_TRAIN_SEGMENTER_SOURCE", "a folder:labels")
    assert b'source = ["a folder", "labels"]' in run("train", "segmenter", "--print-config").out


@pytest.mark.parametrize("value", ['"images"', '["images"]', '["a", "b", "c"]'])
def test_a_file_with_other_than_two_folders_is_refused(train, run, tmp_path, value):
    (tmp_path / "c.toml").write_text(f"[train.segmenter]\nsource = {value}\n")
    ran = run("train", "segmenter", "--config", "c.toml", "--print-config")
    assert ran.code == 2 and "source" in ran.err and "unexpected" not in ran.err
