"""Models that ship: each has a card, loads by its kind and is small; and a bare name finds it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import structkit
import structkit_weights
from structkit import checkpoint, models
from structkit.errors import CheckpointError, OptionError
from structkit.media.files import sha256_file

SHIPPED = structkit_weights.names()
EXAMPLE = Path(__file__).parents[1] / "examples" / "avatar.png"
MOST_BYTES = 20_000_000
FIELDS = (
    "Data",
    "Licence",
    "Command",
    "Hardware",
    "Minutes",
    "Scores",
    "Date",
    "SHA-256",
)  # each begins a line of a card


def field(card: str, name: str) -> str:
    """What a card says after `Name:`, which stands at the start of a line, or of an item in a list."""
    found = re.findall(rf"^(?:[-*] )?{name}: *(.+)$", card, re.MULTILINE)
    assert len(found) == 1, f"{name}: {len(found)} times"
    return found[0]


def test_what_the_readme_says_ships():
    assert {"glasses", "beard", "streets"} <= set(SHIPPED)


def test_the_glasses_of_the_example_come_off_and_nothing_else_changes():
    """What the README's line does: `structkit remove examples/avatar.png --model glasses`."""
    avatar = structkit.read_picture(EXAMPLE)
    bare, mask = structkit.remove(avatar, "glasses", device="cpu"), structkit.segment(avatar, "glasses", device="cpu")
    frame = (avatar.pixels == (37, 85, 124)).all(2)  # the colour that it is drawn in
    assert frame.sum() > 2000 and (mask.pixels[frame] == 255).mean() > 0.95
    assert np.abs(bare.pixels[frame].astype(int) - (37, 85, 124)).max(1).mean() > 60
    changed = (bare.pixels != avatar.pixels).any(2)
    assert changed[300:].sum() == changed[:130].sum() == 0 and 0.02 < changed.mean() < 0.15


@pytest.mark.parametrize("name", SHIPPED)
def test_a_model_that_ships_loads_by_its_kind_and_is_small_and_finished(name):
    path = structkit_weights.find(name)
    assert path.stat().st_size < MOST_BYTES
    model, card = structkit.load(name, "cpu"), checkpoint.read_card(path)
    assert model.kind == card["kind"] and models.kind_of(path, card).verbs and card["complete"] is True


@pytest.mark.parametrize("name", SHIPPED)
def test_a_model_that_ships_has_a_card_that_is_about_it(name):
    path = structkit_weights.find(name)
    card = path.with_suffix(".md").read_text(encoding="utf-8")
    said = {of: field(card, of) for of in FIELDS}
    assert models.kind_of(path, checkpoint.read_card(path)).made_by in said["Command"]
    assert sha256_file(path) in said["SHA-256"]
    assert (
        re.search(r"\d", said["Scores"])
        and re.search(r"\d", said["Minutes"])
        and re.search(r"\d{4}-\d{2}-\d{2}", said["Date"])
    )


def test_there_is_no_card_without_a_model():
    assert {path.stem for path in structkit_weights.FOLDER.glob("*.md")} == set(SHIPPED)


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """Two models ship, and the current folder is an empty one."""
    folder, here = tmp_path / "weights", tmp_path / "here"
    folder.mkdir()
    here.mkdir()
    for name in ("glasses", "beard"):
        checkpoint.save(folder / f"{name}.safetensors", {"a": torch.zeros(1)}, {"kind": name})
    (folder / "glasses.md").write_text("a card")
    monkeypatch.setattr(structkit_weights, "FOLDER", folder)
    monkeypatch.chdir(here)
    return folder


def test_a_bare_name_finds_what_ships(shipped):
    assert structkit_weights.names() == ("beard", "glasses")
    for name in structkit_weights.names():
        assert structkit_weights.find(name) == models.resolve_model(name) == shipped / f"{name}.safetensors"
    assert [
        structkit_weights.find(name) for name in ("", "hat", "glasses.md", "../weights/glasses", "glasses.safetensors")
    ] == [None] * 5


def test_a_file_wins_and_a_folder_does_not(shipped, tmp_path):
    (tmp_path / "here" / "beard").mkdir()
    (tmp_path / "here" / "glasses").write_bytes((shipped / "beard.safetensors").read_bytes())
    assert models.resolve_model("beard") == shipped / "beard.safetensors"
    assert checkpoint.read_card(models.resolve_model("glasses"))["kind"] == "beard"


@pytest.mark.parametrize("name", ["./glasses", "glasses.safetensors", "deep/glasses", "/glasses"])
def test_only_a_bare_name_is_one(shipped, name):
    with pytest.raises(CheckpointError, match="no such file; check the path"):
        checkpoint.read_card(models.resolve_model(name))


def test_a_path_is_a_file_and_the_empty_text_is_nothing(shipped):
    assert models.resolve_model(Path("glasses")) == Path("glasses")
    with pytest.raises(
        OptionError, match=r"^the name of a model is the empty text: name a checkpoint, or a model that ships with"
    ):
        structkit.load("")


def test_another_name_is_an_error_that_lists_what_ships(shipped, monkeypatch):
    for call in (models.resolve_model, structkit.load):
        with pytest.raises(CheckpointError) as caught:
            call("hat")
        said = "hat: no such file, and no model of that name ships with structkit (beard, glasses); name a checkpoint"
        assert str(caught.value) == said
    monkeypatch.setattr(structkit_weights, "FOLDER", shipped.parent / "here")
    with pytest.raises(CheckpointError, match=r"ships with structkit \(none\); name a checkpoint$"):
        models.resolve_model("glasses")
