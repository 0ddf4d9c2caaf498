"""Two folders as Python functions: a model is trained, loaded and used; and what folders cannot be."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import structkit
from structkit import checkpoint
from structkit.data.folders import read_folder
from structkit.engines.transfer.model import ContentTransfer
from structkit.engines.transfer.training import TransferTraining
from structkit.errors import DeviceError, InputError, OptionError, OutputError, StructkitError
from structkit.media.pictures import Picture, write_picture
from structkit.recipes import material
from structkit.training.model import Model

from .faces import TINY, TINY_DIFFERENCE, face, fill

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def difference(folders, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("models") / "difference.safetensors"
    structkit.train_difference(*folders, path, **TINY_DIFFERENCE)
    return path


def weights(model: Model) -> dict[str, torch.Tensor]:
    return model.state_dict()


def same(one: Picture, other: Picture) -> bool:
    return np.array_equal(one.pixels, other.pixels)


def test_what_was_trained_is_what_is_loaded_in_float32_whatever_it_was_trained_in(folders, tmp_path):
    trained = structkit.train_transfer(*folders, tmp_path / "m.safetensors", **{**TINY, "dtype": "bfloat16"})
    loaded = structkit.load(tmp_path / "m.safetensors", "cpu")
    assert isinstance(trained, ContentTransfer) and not trained.training and trained.dtype == torch.float32
    assert all(torch.equal(value, weights(loaded)[name]) for name, value in weights(trained).items())


def test_there_and_back_through_every_verb(path):
    model = structkit.load(path, "cpu")
    canvas, donor = face(900, False, 96), face(901, True, 64)
    for verb in (
        lambda: structkit.transfer(canvas, donor, model, device="cpu"),
        lambda: structkit.remove(donor, model, device="cpu"),
        lambda: structkit.segment(donor, model, device="cpu", soft=True),
    ):
        result = verb()
        assert result.pixels.dtype == np.uint8 and same(result, verb())
    assert structkit.transfer(canvas, donor, model, device="cpu").pixels.shape == (96, 96, 3)
    assert structkit.segment([canvas, donor], model, device="cpu")[1].pixels.shape == (64, 64, 3)


def test_a_difference_there_and_back(difference):
    model = structkit.load(difference, "cpu")
    made = structkit.transfer(face(900, False), face(901, True), model, donor_b=face(902, False), device="cpu")
    assert made.pixels.shape == structkit.remove(face(901, True), model, device="cpu").pixels.shape == (32, 32, 3)


def test_the_card_says_on_what_it_was_trained_how_and_how_well(path, folders):
    card = checkpoint.read_card(path)
    run = card["run"]
    assert run["inputs"] == {
        role: read_folder(f, 32, "squash").sha256 for role, f in zip(("with", "without"), folders, strict=True)
    }
    assert run["config"] == card["config"] and run["config"]["painter_steps"] == 2 and run["config"]["rate"] == 1e-3
    assert (run["dtype"], run["processes"], run["minutes"], card["complete"]) == ("float32", 1, None, True)
    scores = card["scores"]
    assert set(scores) >= {"mask_with", "mask_without", "error_with", "error_without"}
    assert all(0 <= score <= 2 for score in scores.values())


def test_the_card_of_a_difference_names_a_and_b(difference):
    assert set(checkpoint.read_card(difference)["run"]["inputs"]) == {"a", "b"}


def test_a_folders_digest_is_that_of_names_and_bytes(folders, path):
    lines = sorted(f"{hashlib.sha256(file.read_bytes()).hexdigest()} {file.name}\n" for file in folders[0].iterdir())
    assert checkpoint.read_card(path)["run"]["inputs"]["with"] == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_the_same_call_returns_what_is_there_and_another_is_refused_by_name(folders, path, tmp_path):
    before, events = path.read_bytes(), []
    structkit.train_transfer(*folders, path, report=events.append, **TINY)
    assert (path.read_bytes(), events) == (before, [])
    with pytest.raises(
        OutputError, match=r"band.safetensors: exists and is of another training \(config.steps is 4 there, 5 here\)"
    ):
        structkit.train_transfer(*folders, path, **{**TINY, "steps": 5})
    more = fill(tmp_path / "more", True, 25)
    with pytest.raises(OutputError, match=r"another training \(inputs.with is [0-9a-f.]+ there,"):
        structkit.train_transfer(more, folders[1], path, **TINY)
    assert path.read_bytes() == before


def test_lists_and_pictures_in_memory_serve_as_folders_do(folders, path, tmp_path, monkeypatch):
    """Names count too, so that the digests differ; what is learnt does not."""
    monkeypatch.chdir(tmp_path)
    wanted = weights(structkit.load(path, "cpu"))
    for name, folder in zip(("with", "without"), folders, strict=True):
        files = sorted(folder.iterdir(), key=lambda file: int(file.stem))
        (tmp_path / f"{name}.txt").write_text("".join(f"{file}\n" for file in files))
    listed = structkit.train_transfer("@with.txt", "@without.txt", "l.safetensors", **TINY)
    assert all(torch.equal(value, weights(listed)[name]) for name, value in wanted.items())
    pictures = [face(i, True) for i in range(8)], [face(i, False) for i in range(100, 108)]
    assert structkit.train_transfer(*pictures, "p.safetensors", **TINY).size == 32


def test_a_pattern_of_all_pictures_in_a_folder_is_the_same_training(folders, path):
    """The output of which is there already."""
    before = path.read_bytes(), path.stat().st_mtime_ns
    structkit.train_transfer(*(f"{folder}/*.png" for folder in folders), path, **TINY)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_an_output_whose_preview_a_pattern_would_have_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for i in range(4):
        write_picture(face(i, i < 2), Path(f"{'with' if i < 2 else 'plain'}{i}.png"))
    fact = r"--output is without\.safetensors: its preview would be one of with\*\.png: name a place elsewhere$"
    with pytest.raises(OptionError, match=fact):
        structkit.train_transfer("with*.png", "plain*.png", "without.safetensors", **TINY)
    structkit.train_transfer("with*.png", "plain*.png", "m.safetensors", **TINY)


def test_what_there_is_is_told_and_what_is_held_out(folders, tmp_path):
    notes: list[str] = []
    fill(tmp_path / "few", True, 5, start=50)
    write_picture(face(1, True), tmp_path / "few/again.png")
    (tmp_path / "few/broken.png").write_bytes(b"no picture")
    (tmp_path / "few/readme.txt").write_text("of the user")
    structkit.train_transfer(
        tmp_path / "few", folders[0], tmp_path / "m.safetensors", tell=notes.append, **{**TINY, "painter_size": 64}
    )
    some, all_ = tmp_path / "few", folders[0]
    assert notes[0].startswith(f"{some}: left out, unreadable: 1 of 7 pictures; the first: {some}/broken.png")
    assert notes[1:5] == [
        f"{some}: smaller than 64 px: enlarged, and no sharper for it (6 pictures; the first: 50.png)",
        f"{some}: 1 other file passed over",
        f"{all_}: smaller than 64 px: enlarged, and no sharper for it (24 pictures; the first: 0.png)",
        f"{some} and {all_} share 1 picture (again.png), which blur the difference; leave them out of one",
    ]
    assert re.fullmatch(
        rf"{some}: 6 pictures, {all_}: 24 pictures; \d of them (is|are) held out, for the scores", notes[5]
    )
    assert set(checkpoint.read_card(tmp_path / "m.safetensors")["scores"]) == {"mask_without", "error_without"}


def test_of_few_pictures_none_is_held_out_and_there_are_no_scores(tmp_path):
    notes: list[str] = []
    pictures = [face(i, True) for i in range(3)], [face(i, False) for i in range(5, 7)]
    structkit.train_transfer(*pictures, tmp_path / "m.safetensors", tell=notes.append, **TINY)
    assert notes[0] == "the pictures: 3 pictures, the pictures: 2 pictures; too few to hold any out for scores"
    assert checkpoint.read_card(tmp_path / "m.safetensors")["scores"] == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"minutes": 0}, "--minutes is 0: it must be above 0, or left out"),
        ({"minutes": float("nan")}, "--minutes is nan"),
        ({"seed": -1}, "--seed is -1"),
        ({"dtype": "float16"}, "--dtype is 'float16': choose auto, float32 or bfloat16"),
        ({"size": 24, "painter_size": 96}, "--size is 24: it must be a power of two"),
        ({"painter_size": 48}, "--painter-size is 48: it must be a multiple of 32"),
        ({"painter": 0}, "--painter is 0 and --rounds 2: both are 0, or neither is"),
        ({"separate": 8}, "--separate is 8: it must be below"),
        ({"strength": 1}, "unexpected keyword argument 'strength': the options are preset"),
    ],
)
def test_a_training_that_cannot_be_leaves_nothing(folders, tmp_path, options, message):
    with pytest.raises(OptionError, match=message):
        structkit.train_transfer(*folders, tmp_path / "m.safetensors", **{**TINY, **options})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "names", [("empty", "without"), ("with", "empty"), ("foreign", "without"), ("broken", "without"), ("no", "without")]
)
def test_folders_with_nothing_to_learn_from(folders, tmp_path, names):
    root = folders[0].parent
    for name in ("empty", "foreign", "broken"):
        (tmp_path / name).mkdir()
    (tmp_path / "foreign/notes.txt").touch()
    (tmp_path / "broken/1.png").write_bytes(b"no picture")
    facts = {
        "empty": "empty: no pictures; pictures read: .*; name a folder that holds some",
        "foreign": "foreign: no pictures among 1 file; pictures read: ",
        "broken": r"broken: none of 1 picture can be read; the first: .*1\.png",
        "no": "no: no such folder; name a folder, or a list of pictures as @list.txt",
    }
    one, other = (tmp_path / name if name in facts else root / name for name in names)
    with pytest.raises(InputError, match=next(facts[name] for name in names if name in facts)):
        structkit.train_transfer(one, other, tmp_path / "m.safetensors", **TINY)
    assert not (tmp_path / "m.safetensors").exists()


def test_one_folder_is_not_two(folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("again").symlink_to(folders[0])
    Path("folder.txt").write_text(f"{folders[0]}\n")
    Path("files.txt").write_text("".join(f"{file}\n" for file in folders[0].iterdir()))
    monkeypatch.setattr(material, "read_folder", None)  # all this is seen before a picture is read
    for other in (folders[0], f"{folders[0]}/", "again", [folders[0]], "@folder.txt"):
        with pytest.raises(
            OptionError,
            match=r"with: the folder of both kinds of pictures; name two that differ in what is to be learnt$",
        ):
            structkit.train_transfer(folders[0], other, "m.safetensors", **TINY)
    for other in (folders[0].parent, "@files.txt"):  # one folder within the other, and one that is listed
        with pytest.raises(InputError, match=r"with: all its pictures \(24\) are in .* too"):
            structkit.train_transfer(folders[0], other, "m.safetensors", **TINY)


def test_pictures_that_are_copies_are_not_two_kinds(tmp_path):
    one, other = ([face(i, True) for i in range(6)] for _ in range(2))
    with pytest.raises(
        InputError, match=r"all its pictures \(6\) are in the pictures too; name two folders that differ"
    ):
        structkit.train_transfer(one, other, tmp_path / "m.safetensors", **TINY)


def test_a_training_in_time_says_its_plan_and_keeps_what_was_asked_for(folders, tmp_path):
    notes: list[str] = []
    structkit.train_transfer(*folders, tmp_path / "m.safetensors", minutes=60, tell=notes.append, **TINY)
    assert notes[1].startswith("--minutes 60: all steps, in about ")
    run = checkpoint.read_card(tmp_path / "m.safetensors")["run"]
    assert (run["minutes"], run["config"]["steps"]) == (60, 4)


MANY = {"steps": 90_000, "device": "cpu", "dtype": "float32"}


@pytest.mark.parametrize(
    ("train", "options", "plan"),
    [
        (
            structkit.train_transfer,
            {**TINY, **MANY, "rounds": 9, "painter_steps": 5000},
            r"codes \d+, painter \d+, placer (\d+ x )?\d+",
        ),
        (structkit.train_difference, {**TINY_DIFFERENCE, **MANY}, r"codes \d+"),
    ],
)
def test_in_a_time_that_is_too_short_something_is_trained_and_it_is_said_before_and_after_and_of_each_result(
    folders, tmp_path, train, options, plan
):
    notes: list[str] = []
    model = train(*folders, tmp_path / "m.safetensors", minutes=1e-4, tell=notes.append, **options)
    needed = r"too short to learn (16|32) px well: that takes \S+ minutes or more here"
    assert re.fullmatch(rf"--minutes 0.0001: steps: {plan}; {needed}", notes[1])
    short = "the model is doubtful: it was trained for less time than the fewest steps that make sense take"
    assert short in notes and short in structkit.remove(face(3, True), model, device="cpu").notes
    assert checkpoint.read_card(tmp_path / "m.safetensors")["run"]["config"]["steps"] == 90_000


def test_too_little_memory_for_the_pictures(folders, tmp_path, monkeypatch):
    def too_large(*_, **__):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(material, "split", too_large)
    with pytest.raises(
        DeviceError, match=r"^cpu ran out of memory: use a smaller --size or --batch, or another --device$"
    ):
        structkit.train_transfer(*folders, tmp_path / "m.safetensors", **TINY)
    assert list(tmp_path.iterdir()) == []


def test_losses_that_are_no_numbers_name_the_stage_the_step_and_what_is_kept(folders, tmp_path, monkeypatch):
    step = TransferTraining.step

    def astray(self, draw):
        return {name: loss * (torch.nan if draw.stage else 1) for name, loss in step(self, draw).items()}

    monkeypatch.setattr(TransferTraining, "step", astray)
    message = (
        r"m.safetensors: the training went astray at stage painter, round 1, step 2: the loss beneath is not "
        r"finite; stage codes, step 4 is"
    )
    with pytest.raises(StructkitError, match=message):
        structkit.train_transfer(*folders, tmp_path / "m.safetensors", **TINY)
