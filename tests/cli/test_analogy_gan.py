"""structkit analogy with trained pairs: --engine gan, and --model."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

import structkit
from structkit import checkpoint, models
from structkit.configs import PAIR_PRESETS
from structkit.engines.pair.training import PairTraining
from structkit.media.pictures import Picture, read_picture, write_picture
from structkit.media.video import VideoReader
from structkit_cli.__main__ import main

from .conftest import paint
from .test_analogy_video import film
from .test_resume import contents
from .test_train_analogy import engine  # noqa: F401

TINY = {"size": 30, "coarsest": 18, "width": 4, "widest": 4, "steps": 2, "taper": 1.0}
GAN = ("analogy", "house.png", "cake.png", "--engine", "gan", "--dtype", "float32", "--device", "cpu")
DRAW = ("analogy", "--model", "pair.safetensors", "--device", "cpu")


@pytest.fixture(autouse=True)
def pictures(run, tmp_path, monkeypatch) -> Path:
    """The current folder, with house.png and cake.png; what is trained is tiny."""
    monkeypatch.setitem(PAIR_PRESETS, "fast", TINY)
    paint(tmp_path / "house.png", 1, side=32), paint(tmp_path / "cake.png", 2, side=32)
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory, one_thread) -> bytes:
    """A trained pair of the two pictures; its bytes are those of one thread, as the commands' are."""
    folder = tmp_path_factory.mktemp("trained")
    given = [paint(folder / f"{seed}.png", seed, side=32) for seed in (1, 2)]
    structkit.train_analogy(*given, folder / "pair.safetensors", dtype="float32", device="cpu", **TINY)
    return (folder / "pair.safetensors").read_bytes()


@pytest.fixture
def pair(pictures, trained) -> Path:
    (pictures / "pair.safetensors").write_bytes(trained)
    return pictures / "pair.safetensors"


def same(one: str, other: str | Picture) -> bool:
    return np.array_equal(read_picture(one).pixels, (read_picture(other) if isinstance(other, str) else other).pixels)


def test_it_trains_draws_and_keeps_the_pair_beside_the_output(run, pictures, trained):
    ran = run(*GAN, "-o", "out.png")
    assert (ran.code, ran.paths) == (0, ["out.png"])
    assert sorted(p.name for p in pictures.iterdir()) == [
        "cake.png",
        "house.png",
        "out.log.jsonl",
        "out.png",
        "out.safetensors",
    ]
    assert (pictures / "out.safetensors").read_bytes() == trained
    assert same("out.png", structkit.analogy("house.png", model=structkit.load("out.safetensors"), device="cpu")[0])
    assert re.search(r"structkit: level 3, 30 x 30 px \(4 of 4\): 2 steps in \d+:\d\d; adversarial ", ran.err)
    assert run(*GAN, "-o", "quiet.png", "--quiet").err == ""


def test_the_same_pair_is_used_again_and_another_is_refused_by_name(run, pictures, pair, monkeypatch):
    monkeypatch.setattr(PairTraining, "step", None)  # nothing is trained here
    assert run(*GAN, "-o", "a.png", "--model", "pair.safetensors", "--inject", "0").paths == ["a.png"]
    assert run(*GAN, "-o", "b.png", "--model", "pair.safetensors", "--count", "2").paths == ["b-1.png", "b-2.png"]
    other = run(*GAN, "-o", "c.png", "--model", "pair.safetensors", "--minutes", "5")
    assert other.code == 1 and other.err.startswith(
        "structkit: error: pair.safetensors: exists and is of another training (minutes is "
    )
    paint(pictures / "cake.png", 3, side=32)
    assert (
        "exists and is of another training (inputs.target is "
        in run(*GAN, "-o", "c.png", "--model", "pair.safetensors").err
    )


def test_both_directions_are_drawn_from_one_training(run, pictures, monkeypatch):
    begun, begin = [], PairTraining.begin
    monkeypatch.setattr(
        PairTraining, "begin", lambda self, stage, draw: [begun.append(stage), begin(self, stage, draw)]
    )
    assert run(*GAN, "-o", "out.png", "--both").paths == ["out.png", "out-swapped.png"]
    assert begun == [0, 1, 2, 3] and len(list(pictures.glob("*.safetensors"))) == 1
    model = structkit.load("out.safetensors")
    assert same(
        "out-swapped.png", structkit.analogy("house.png", "cake.png", model=model, swapped=True, device="cpu")[0]
    )


def test_in_a_batch_each_pair_is_trained_and_what_is_done_is_skipped(run, pictures, monkeypatch):
    for seed in (3, 4):
        paint(pictures / f"in/{seed}.png", seed, side=24)
    batch = ("analogy", "in", *GAN[2:], "-o", "out")
    assert run(*batch).paths == ["out/3.png", "out/4.png"]
    assert sorted(p.name for p in (pictures / "out").glob("*.safetensors")) == ["3.safetensors", "4.safetensors"]
    before = contents(pictures / "out")
    monkeypatch.setattr(PairTraining, "step", None)
    assert run(*batch).paths == [] and contents(pictures / "out") == before
    ran = run(*batch, "--refine", "chain", "--exists", "overwrite")
    assert ran.paths == ["out/3.png", "out/4.png"]  # drawn anew, without training


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_keeps_what_is_trained(run, pictures, trained, monkeypatch, number, code):
    step = PairTraining.step

    def interrupted(self, draw):
        if draw.stage == 2:
            signal.raise_signal(number)
        return step(self, draw)

    with monkeypatch.context() as patch:
        patch.setattr(PairTraining, "step", interrupted)
        ran = run(*GAN, "-o", "out.png", "--quiet")
    assert ran.code == code and ran.out == b""
    kept, last = ran.err.splitlines()
    assert kept == "structkit: what is trained so far is kept in out.resume.safetensors; the same command goes on"
    assert last.startswith("structkit: interrupted: 0 written")
    assert run(*GAN, "-o", "out.png").code == 0
    assert (pictures / "out.safetensors").read_bytes() == trained


def test_killed_before_any_step_that_reaches_the_disk_and_started_again_it_ends_in_the_same_files(
    run, pictures, monkeypatch
):
    run(*GAN, "-o", "calm/out.png", "--quiet")
    whole = {name: data for name, data in contents(pictures / "calm").items()}
    for at in range(2, 60, 7):
        (child := os.fork()) or _die_at(at, monkeypatch)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
            break
    assert at > 9
    assert run(*GAN, "-o", "out/out.png", "--quiet", "--exists", "overwrite").code == 0
    after = {name: data for name, data in contents(pictures / "out").items() if not name.startswith(".structkit-")}
    assert after == whole


def _die_at(at: int, monkeypatch) -> None:
    """In a child process: run the command, and end as kill -9 does before its n-th write-out, renaming or removal."""
    steps = itertools.count(1)

    def lethal(function):
        return lambda *given, **named: os._exit(9) if next(steps) == at else function(*given, **named)

    for name in ("fsync", "replace", "unlink", "rmdir", "mkdir"):
        monkeypatch.setattr(os, name, lethal(getattr(os, name)))
    os._exit(main([*GAN, "-o", "out/out.png", "--quiet", "--exists", "overwrite"]))


def test_a_model_alone_draws_from_noise(run, pair):
    ran = run(*DRAW, "--count", "2", "--both", "--compare", "strips/", "-o", "out/", "--seed", "3")
    names = [
        f"{folder}/pair{word}{n}.png"
        for word in ("", "-swapped")
        for folder, n in (("out", "-1"), ("out", "-2"), ("strips", ""))
    ]
    assert (ran.code, ran.paths) == (0, names)
    model = structkit.load(pair, "cpu")
    drawn = structkit.analogy(model=model, count=2, seed=3, device="cpu")
    assert same("out/pair-1.png", drawn[0]) and same("out/pair-2.png", drawn[1])
    assert same("out/pair-swapped-2.png", structkit.analogy(model=model, swapped=True, seed=4, device="cpu")[0])


def test_partners_and_analogies_of_the_same_seeds_are_pairs(run, pair):
    assert run(*DRAW, "--count", "2", "--draw", "partner", "-o", "partners/").paths == [
        "partners/pair-1.png",
        "partners/pair-2.png",
    ]
    [second] = structkit.analogy(model=structkit.load(pair, "cpu"), seed=1, draw="partner", device="cpu")
    assert same("partners/pair-2.png", second)


def test_a_source_is_given_the_look_of_the_pair(run, pair, pictures):
    assert run(*DRAW, "house.png").paths == ["house-pair.png"]
    assert run(*DRAW, "house.png", "--inject", "3", "-o", "fine.png").code == 0 and not same(
        "fine.png", "house-pair.png"
    )
    paint(pictures / "in/other.png", 7, side=40)
    assert run(*DRAW, "in", "-o", "out").paths == ["out/other.png"]
    assert same("out/other.png", structkit.analogy("in/other.png", model=structkit.load(pair, "cpu"), device="cpu")[0])
    assert run(*DRAW, "in", "-o", "out").paths == []  # skipped
    assert run(*DRAW, "in", "-o", "out", "--inject", "0").code == 1  # the result of other options is kept


def test_transparency_is_that_of_the_source(run, pair, pictures):
    alpha = np.full((32, 32), 255, np.uint8)
    alpha[:, 16:] = 0
    write_picture(Picture(read_picture("house.png").pixels, alpha), pictures / "holed.png")
    assert run(*DRAW, "holed.png", "-o", "out.png").code == 0 and read_picture("out.png").alpha[:, -1].max() == 0
    ran = run("analogy", "holed.png", *GAN[2:], "-o", "out.jpg")
    assert (ran.code, list(pictures.glob("out.*safetensors"))) == (
        1,
        [],
    ) and "JPEG cannot hold the transparency of holed.png" in ran.err


def test_patches_sharpen_in_any_size(run, pair, pictures):
    write_picture(Picture(np.full((40, 40, 3), (255, 0, 0), np.uint8)), pictures / "red.png")
    ran = run(
        "analogy",
        "house.png",
        "red.png",
        *DRAW[1:],
        "--refine",
        "patches",
        "--size",
        "48x36",
        "-o",
        "out.png",
        "--json",
    )
    record, _ = map(json.loads, ran.out.splitlines())
    assert record["with"] == {"target": "red.png", "model": "pair.safetensors"} and record["status"] == "written"
    picture = read_picture("out.png")
    assert picture.pixels.shape == (36, 48, 3) and (picture.pixels == (255, 0, 0)).all()


def test_a_video_is_given_the_look_of_the_pair(run, pair, pictures):
    film(pictures / "moving.mp4", 2)
    ran = run(*DRAW, "moving.mp4")
    assert ran.paths == ["moving-pair.mp4"], ran.err
    with VideoReader("moving-pair.mp4") as reader:
        assert sum(1 for _ in reader) == 2
    assert run("analogy", "moving.mp4", *GAN[2:], "-o", "out.mp4").paths == ["out.mp4"]
    assert checkpoint.read_card("out.safetensors")["config"]["mode"] == "video"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["analogy", "--engine", "gan"], "Missing argument 'SOURCE'"),
        (["analogy", "house.png", "--engine", "gan", "--model", "pair.safetensors"], "Missing argument 'TARGET'"),
        (
            ["analogy", "house.png", "cake.png", "--inject", "3"],
            "--inject is for a trained pair: leave it out, say --engine gan, or name a",
        ),
        (["analogy", "house.png", "cake.png", "--refine", "chain"], "--refine is for a trained pair"),
        (
            ["analogy", "house.png", "cake.png", "--minutes", "3"],
            "--minutes is of a training: leave it out, or say --engine gan",
        ),
        ([*DRAW, "--preset", "paper"], "--preset is of a training: leave it out, or say --engine gan"),
        ([*GAN, "--strength", "0.9"], "--strength is of the patch engine, not of a trained pair: leave it out"),
        ([*GAN, "--max-side", "64"], "--max-side is of the patch engine, not of a trained pair: leave it out"),
        ([*DRAW, "--mode", "style"], "--mode is of the patch engine, not of a trained pair: leave it out"),
        ([*GAN, "--size", "64x64"], "--size needs --refine patches: a trained pair makes results of its own size"),
        ([*GAN, "--coarsest", "8"], "--coarsest is 8: it must be between 12 and 256"),
        ([*GAN, "--inject", "9"], "--inject is 9: the pair will have the levels 0 to 3"),
        ([*DRAW, "--inject", "9"], "--inject is 9: this pair has the levels 0 to 3"),
        ([*GAN, "--model", "pair.png"], "--model is pair.png: a checkpoint is a file whose name ends in .safetensors"),
        ([*GAN, "-o", "-"], "--output - leaves no place for the trained pair: name one with --model PAIR.safetensors"),
        (
            ["analogy", ".", *GAN[2:], "--model", "pair.safetensors", "-o", "out"],
            "--model pair.safetensors is one pair, and there may be",
        ),
        (
            ["analogy", "house.png", "cake.png", *DRAW[1:]],
            "--model pair.safetensors has a look of its own: leave TARGET out",
        ),
        ([*DRAW, "--draw", "partner", "--refine", "chain"], "--refine chain is for analogies, not for --draw partner"),
        (["analogy", "house.png", "cake.png", "--draw", "partner"], "--draw is for a trained pair: leave it out"),
        ([*DRAW, "house.png", "--both"], "--both is for the pair's own two pictures, and SOURCE is another one"),
    ],
)
def test_options_that_would_do_nothing_are_refused_in_one_line(run, pair, monkeypatch, arguments, message):
    monkeypatch.setattr(PairTraining, "step", None)
    ran = run(*arguments)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, b"", 1) and message in ran.err


def test_what_is_no_trained_pair_is_refused(run, pair, pictures, monkeypatch):
    def refused(name: str) -> str:
        ran = run("analogy", "--model", name, "-o", "out.png")
        assert (ran.code, ran.out, ran.err.count("\n")) == (3, b"", 1)
        return ran.err.removeprefix("structkit: error: ").rstrip()

    damaged = bytearray(pair.read_bytes())
    first = 8 + int.from_bytes(damaged[:8], "little")  # number of the first tensor
    damaged[first : first + 4] = b"\xff\xff\xff\xff"  # is no number now
    (pictures / "damaged.safetensors").write_bytes(damaged)
    (pictures / "cut.safetensors").write_bytes(damaged[:-10])
    checkpoint.save(pictures / "other.safetensors", {"a": torch.zeros(1)}, {"kind": "other"})
    assert refused("nowhere.safetensors") == "nowhere.safetensors: no such file; check the path"
    assert refused("house.png").startswith("house.png: not a safetensors file")
    assert refused("cut.safetensors").startswith("cut.safetensors: truncated: ")
    fact = (
        "damaged.safetensors: 1 of 8 values of amplitudes are not finite; the file is damaged, or its training "
        "went astray"
    )
    assert refused("damaged.safetensors").startswith(fact)
    assert "other.safetensors: a checkpoint of kind 'other', written by" in refused("other.safetensors")
    glasses = models.Kind("what puts glasses on", ("transfer", "remove"), "transfer", "", "")
    monkeypatch.setitem(models.KINDS, "other", glasses)
    fact = "what puts glasses on, which serves transfer, remove and not analogy; make one with structkit train analogy"
    assert refused("other.safetensors") == f"other.safetensors: {fact}"


def test_an_unfinished_pair_is_drawn_from_with_a_warning(run, pair, pictures):
    model = structkit.load(pair)
    model.generators, model.amplitudes = model.generators[:3], model.amplitudes[:3]
    model.save(pictures / "pair.safetensors", complete=False)
    ran = run(*DRAW, "-o", "out.png")
    assert (
        ran.code == 0
        and "structkit: warning: out.png: the training of the pair is not finished: 3 of 4 levels" in ran.err
    )
