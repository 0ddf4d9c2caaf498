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
from structkit.configs import DifferenceConfig, TransferConfig
from structkit.data.folders import read_folder
from structkit.engines.transfer.model import ContentTransfer
from structkit.engines.transfer.training import TransferTraining
from structkit.errors import DeviceError, InputError, OptionError, OutputError, StructkitError
from structkit.media.pictures import Picture, write_picture
from structkit.recipes import domains, material
from structkit.training.lock import held
from structkit.training.model import Model

pytestmark = pytest.mark.usefixtures("one_thread")

CODES = {"size": 16, "width": 4, "widest": 8, "separate": 2, "narrow": 4, "batch": 4, "steps": 4}
TINY = {
    **CODES,
    "painter": 4,
    "rounds": 2,
    "painter_steps": 2,
    "placer_steps": 2,
    "painter_size": 32,
    "device": "cpu",
    "dtype": "float32",
}
TINY_DIFFERENCE = {
    name: TINY[name] for name in ("size", "width", "widest", "separate", "batch", "steps", "device", "dtype")
}


def face(seed: int, content: bool, side: int = 32) -> Picture:
    """Noise in large blocks, with a red band across it or not."""
    blocks = np.random.default_rng(seed).integers(0, 200, (4, 4, 3), dtype=np.uint8)
    pixels = np.kron(blocks, np.ones((side // 4, side // 4, 1), np.uint8))
    if content:
        pixels[side // 3 : side // 2] = (255, 0, 0)
    return Picture(pixels, None, f"{seed}.png")


def fill(folder: Path, content: bool, count: int = 24, start: int = 0, side: int = 32) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(start, start + count):
        write_picture(face(i, content, side), folder / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[Path, Path]:
    """Never written to."""
    root = tmp_path_factory.mktemp("domains")
    return fill(root / "with", True), fill(root / "without", False, start=100)


@pytest.fixture(scope="module")
def path(folders, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("models") / "band.safetensors"
    structkit.train_transfer(*folders, path, **TINY)
    return path


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


@pytest.mark.parametrize("output", ["with/m.safetensors", "without/deep/m.safetensors", "link/m.safetensors"])
def test_an_output_among_the_pictures_is_refused_before_they_are_read(tmp_path, monkeypatch, output):
    monkeypatch.chdir(tmp_path)
    fill(Path("with"), True, 3), fill(Path("without/deep"), False, 3)
    Path("link").symlink_to("with")
    monkeypatch.setattr(material, "read_folder", None)
    fact = (
        f"--output is {output}: in .*, a folder that is learnt from, and so would be the preview: name a place "
        "outside it$"
    )
    Path("with.txt").write_text("with\n"), Path("without.txt").write_text("without\n")
    for one, other in (("with", "without"), ([Path("with")], [Path("without")]), ("@with.txt", "@without.txt")):
        with pytest.raises(OptionError, match=fact):
            structkit.train_transfer(one, other, output, **TINY)


def test_beside_the_folders_and_beside_listed_pictures_there_is_room(folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for i in range(4):
        write_picture(face(i, i < 2), Path(f"{i}.png"))
    structkit.train_transfer(["0.png", "1.png"], ["2.png", "3.png"], "m.safetensors", **TINY)
    with pytest.raises(
        OutputError, match=r"m2\.preview\.png: an input, and the preview of the training would be written over it"
    ):
        write_picture(face(9, True), Path("m2.preview.png"))
        structkit.train_transfer(["0.png", "m2.preview.png"], ["2.png", "3.png"], "m2.safetensors", **TINY)


@pytest.mark.parametrize(
    ("output", "options", "fact"),
    [
        ("band.safetensors", {"steps": 5}, r"exists and is of another training \(config.steps is 4 there, 5 here\)"),
        ("band.safetensors", {"seed": 3}, r"exists and is of another training \(seed is 0 there, 3 here\)"),
        ("text.safetensors", {}, "exists and is no checkpoint; overwrite it, or name another output"),
        ("logged.safetensors", {}, "logged.log.jsonl: exists, and is of no training that goes on; move it away"),
        ("no/m.safetensors", {}, "no such folder no; create it first"),
        ("folder.safetensors", {}, "a folder; name the file to write"),
    ],
)
def test_an_output_that_cannot_be_is_refused_before_the_pictures_are_read(
    folders, path, tmp_path, monkeypatch, output, options, fact
):
    monkeypatch.chdir(tmp_path)
    Path("band.safetensors").write_bytes(path.read_bytes())
    (
        Path("text.safetensors").write_text("of the user"),
        Path("logged.log.jsonl").write_text("of the user"),
        Path("folder.safetensors").mkdir(),
    )

    def reading(*_, **__):
        raise StructkitError("it reads")

    monkeypatch.setattr(material, "read_folder", reading)
    with pytest.raises(OutputError, match=fact):
        structkit.train_transfer(*folders, output, **{**TINY, **options})
    for said in (
        {**options, "overwrite": True},
        {},
    ):  # what may be replaced, or is this very training for all that is known yet
        if output == "band.safetensors":
            with pytest.raises(StructkitError, match=r"^it reads$"):
                structkit.train_transfer(*folders, output, **{**TINY, **said})


@pytest.mark.parametrize("options", [{}, {"steps": 5}, {"overwrite": True}])
def test_a_training_beside_another_is_refused_before_the_pictures_are_read(folders, tmp_path, monkeypatch, options):
    monkeypatch.setattr(material, "read_folder", None)
    with (
        held(tmp_path / ".structkit-m.lock"),
        pytest.raises(OutputError, match=r"m\.safetensors: another process is training it now; wait"),
    ):
        structkit.train_transfer(*folders, tmp_path / "m.safetensors", **{**TINY, **options})


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


def test_to_end_in_time_there_are_fewer_rounds_first_and_smaller_pictures_last():
    asked = TransferConfig().filled()
    choices = [(c.seen, c.size, c.rounds) for c in domains.TRANSFER.choices(asked)]
    assert choices[0] == (128, 64, 20) and choices[-1] == (64, 32, 1)
    assert choices == sorted(choices, reverse=True) and {rounds for seen, _, rounds in choices if seen == 128} == {
        *range(6, 21)
    }
    assert [c.size for c in domains.DIFFERENCE.choices(DifferenceConfig().filled())] == [64, 32]
    assert {c.rounds for c in domains.TRANSFER.choices(TransferConfig(rounds=2).filled())} == {2, 1}
    assert all(c.filled() == c for c in domains.TRANSFER.choices(asked))


def test_without_a_painter_there_are_no_rounds_to_give_up():
    choices = domains.TRANSFER.choices(TransferConfig(painter=0, rounds=0).filled())
    assert [(c.size, c.rounds) for c in choices] == [(64, 0), (32, 0)]


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
