"""A folder of classes as training data: what is read, held out, left out and refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import structkit
from structkit.configs import ActionConfig
from structkit.errors import CheckpointError, InputError, OptionError, OutputError
from structkit.recipes.action import MOST_BYTES, ClassFolders, held_frames

from ..speed_models import FRAMES, SIDE, WAYS, class_folders, film, tiny_speednet

HOW = {"width": 0.1, "side": SIDE, "frames": FRAMES, "batch": 4, "steps": 2, "device": "cpu", "dtype": "float32"}


@pytest.fixture(scope="module")
def classes(tmp_path_factory, one_thread):
    return class_folders(tmp_path_factory.mktemp("made") / "classes", each=4)


def test_the_more_videos_the_less_of_each_is_in_memory():
    config = ActionConfig(frames=16, side=64).filled()
    frame = 3 * 64 * 1.8 * 64
    for videos in (10, 1000, 5000, 20_000, 10**6):
        longest, most = held_frames(videos, config)
        assert 16 <= longest <= 4 * 16 and most >= 1
        assert videos * longest * most * frame <= MOST_BYTES or (longest, most) == (16, 1)
    assert held_frames(10, config)[1] > 100 and held_frames(10**6, config) == (16, 1)


def read(folder: Path) -> ClassFolders:
    """The material of a folder, read."""
    material = ClassFolders(folder)
    config = material.fitted(ActionConfig(**{name: HOW[name] for name in ("width", "side", "frames")}))
    material.find(folder.parent / "none.safetensors")
    material.read(config, SimpleNamespace(say=lambda *notes: None))
    return material


def test_the_classes_are_the_folders_and_a_quarter_of_each_is_held_out(classes, tmp_path):
    told = []
    model = structkit.train_action(classes, tmp_path / "action.safetensors", tell=told.append, **HOW)
    assert model.classes == tuple(sorted(WAYS)) and model.card["scores"]["held"] == 3
    assert told[0] == "across 4, blink 4, down 4 videos; 3 of them are held out, for the scores"
    material = read(classes)
    assert len(material.held) == 3 and len(material.learned) == 9
    assert {video.name for video in material.held}.isdisjoint(video.name for video in material.learned)


def test_the_same_files_are_held_out_whatever_they_are_called(classes, tmp_path):
    for way in classes.iterdir():
        (tmp_path / "renamed" / way.name).mkdir(parents=True)
        for path in way.iterdir():
            shutil.copy(path, tmp_path / "renamed" / way.name / f"z{9 - int(path.stem)}.mp4")
    one, other = ([video.stretches[0] for video in read(folder).held] for folder in (classes, tmp_path / "renamed"))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_what_cannot_be_learned_from_is_left_out_and_told_with_the_reason(classes, tmp_path):
    folder = tmp_path / "classes"
    shutil.copytree(classes, folder)
    film(folder / "stray.mp4")
    film(folder / "down" / "short.mp4", count=6)
    film(folder / "down" / "small.mp4", count=9, height=24)
    (folder / "down" / "broken.mp4").write_bytes((folder / "down" / "0.mp4").read_bytes()[:600])
    shutil.copy(folder / "down" / "1.mp4", folder / "across" / "copy.mp4")
    (folder / "down" / "notes.txt").write_text("no video")
    told = []
    structkit.train_action(folder, tmp_path / "action.safetensors", tell=told.append, **HOW)
    left = {line.split(": ")[1]: line for line in told if line.startswith("left out: ")}
    assert set(left) >= {"stray.mp4", "down/short.mp4", "down/small.mp4"}
    assert left["stray.mp4"].endswith("in no folder of a class") and left["down/short.mp4"].endswith("than 0.32 s")
    assert left["down/small.mp4"].endswith("40 x 24 px, and 32 are needed")
    assert "down/broken.mp4" in left or any("broken" in line for line in told)
    same = [line for line in told if "the same as" in line]
    assert same == ["left out: down/1.mp4: the same as across/copy.mp4"]


def test_it_begins_from_a_model_of_speed_and_takes_its_network(classes, tmp_path):
    start = tiny_speednet(4)
    start.save(tmp_path / "speed.safetensors", complete=True)
    how = {name: value for name, value in HOW.items() if name not in ("width", "side", "frames")}
    model = structkit.train_action(
        classes, tmp_path / "a.safetensors", init=str(tmp_path / "speed.safetensors"), baseline=True, rate=1e-7, **how
    )
    assert model.config.width == start.config.width and model.config.side == start.config.side
    assert "init" in model.card["run"]["inputs"] and "random_accuracy" in model.card["scores"]
    mine, given = (one.network.trunk.state_dict() for one in (model, start))
    assert all(torch.allclose(mine[name], given[name], atol=1e-4) for name, _ in start.network.trunk.named_parameters())


def test_a_finished_training_is_returned_as_it_is_and_another_is_refused(classes, tmp_path):
    output = tmp_path / "action.safetensors"
    structkit.train_action(classes, output, **HOW)
    before = output.read_bytes()
    structkit.train_action(classes, output, **HOW)
    assert output.read_bytes() == before
    with pytest.raises(OutputError):
        structkit.train_action(classes, output, **HOW | {"steps": 3})


def test_what_is_no_folder_of_classes_is_refused(classes, tmp_path):
    output = tmp_path / "out.safetensors"
    with pytest.raises(InputError, match="no such folder; name a folder that has one folder of videos for each class"):
        structkit.train_action(tmp_path / "nowhere", output, **HOW)
    with pytest.raises(InputError, match="a file, where a folder is needed"):
        structkit.train_action(film(tmp_path / "a.mp4"), output, **HOW)
    one = tmp_path / "one"
    shutil.copytree(classes / "down", one / "down")
    with pytest.raises(InputError, match=r"one: 1 folder of videos \(down\), and a class is told from others"):
        structkit.train_action(one, output, **HOW)
    film(one / "short" / "a.mp4", count=6)
    with pytest.raises(InputError, match="short: no video of it can be learned from; give it others"):
        structkit.train_action(one, output, **HOW)
    with pytest.raises(OptionError, match="in the folder that is learned from: name a place outside it"):
        structkit.train_action(classes, classes / "out.safetensors", **HOW)
    with pytest.raises(CheckpointError, match=r"transfer of a content.*begins from a model of the speed of clips"):
        structkit.train_action(classes, output, init="glasses", **HOW)
    assert not output.exists()


def test_few_videos_leave_none_to_hold_out(tmp_path):
    told = []
    folder = class_folders(tmp_path / "classes", each=2, ways=WAYS[:2])
    model = structkit.train_action(folder, tmp_path / "a.safetensors", tell=told.append, **HOW)
    assert told[0].endswith("too few to hold any out for scores") and model.card["scores"] == {}


@pytest.mark.parametrize(("frames", "held"), [(40, 32), (1, FRAMES)])
def test_long_videos_are_held_as_stretches_within_the_memory(tmp_path, monkeypatch, frames, held):
    monkeypatch.setattr("structkit.recipes.action.MOST_BYTES", 3 * frames * 3 * SIDE * 1.8 * SIDE)
    folder = class_folders(tmp_path / "classes", each=1, ways=WAYS[:2])
    film(folder / "down" / "long.mp4", "down", count=100)
    material = read(folder)
    assert {video.name: [len(s) for s in video.stretches] for video in material.learned}["down/long.mp4"] == [held]
