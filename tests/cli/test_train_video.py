"""A video and a trained pair: structkit train analogy with a video for SOURCE, and structkit analogy with the model."""

from __future__ import annotations

import hashlib
import io
import json
import types
from pathlib import Path

import pytest

from structkit import checkpoint
from structkit.configs import PAIR_PRESETS
from structkit.engines.pair.training import PairTraining
from structkit.media.video import VideoReader

from .conftest import paint
from .test_analogy_video import film, times

TINY = (
    "--size",
    "30",
    "--coarsest",
    "18",
    "--width",
    "4",
    "--widest",
    "4",
    "--steps",
    "2",
    "--dtype",
    "float32",
    "--device",
    "cpu",
)
DRAW = ("analogy", "moving.mp4", "--model", "pair.safetensors", "--device", "cpu")
TRAIN = ("train", "analogy", "moving.mp4", "cake.png", "-o", "pair.safetensors", *TINY)


@pytest.fixture
def engine(real_engine):
    """No stand-in."""


@pytest.fixture(autouse=True)
def inputs(run, tmp_path) -> Path:
    """The current folder, with moving.mp4, of 7 frames, and cake.png."""
    film(tmp_path / "moving.mp4", 7), paint(tmp_path / "cake.png", 2, side=32)
    return tmp_path


@pytest.fixture
def learned(monkeypatch) -> list[int]:
    """How many frames each training is given."""
    found, begin = [], PairTraining.__init__
    monkeypatch.setattr(
        PairTraining, "__init__", lambda self, *pair, **how: found.append(len(pair[0])) or begin(self, *pair, **how)
    )
    return found


def test_a_video_is_learned_from_and_the_card_says_so(run, inputs, learned):
    ran = run(*TRAIN)
    assert (ran.code, ran.paths, learned) == (0, ["pair.safetensors"], [7])
    card = checkpoint.read_card("pair.safetensors")
    assert card["config"]["mode"] == "video"
    assert card["run"]["inputs"]["source"] == hashlib.sha256(Path("moving.mp4").read_bytes()).hexdigest()
    assert "config.mode: video" in run("info", "pair.safetensors").paths


def test_frames_says_from_how_many(run, learned):
    assert run(*TRAIN, "--frames", "4").code == 0
    assert learned == [4]


def test_from_standard_input(run, monkeypatch):
    run(*TRAIN)
    before = Path("pair.safetensors").read_bytes()
    monkeypatch.setattr(
        "sys.stdin", types.SimpleNamespace(buffer=io.BytesIO(Path("moving.mp4").read_bytes()), isatty=lambda: False)
    )
    ran = run(*("-" if word == "moving.mp4" else word for word in TRAIN), "--exists", "overwrite")
    assert ran.code == 0 and "there already" in ran.err  # it is the same training
    assert Path("pair.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("moving.mp4", "cake.png", "--mode", "sketch"),
            "--mode sketch is for pictures, and moving.mp4 is a video: leave it out",
        ),
        (
            ("cake.png", "cake.png", "--mode", "video"),
            "--mode video is for videos, and cake.png is a picture: leave it out",
        ),
        (("cake.png", "cake.png", "--frames", "9"), "--frames is for videos, and cake.png is a picture: leave it out"),
        (("cake.png", "moving.mp4"), "moving.mp4 is a video, and TARGET must be a picture: name one of its frames"),
    ],
)
def test_what_cannot_be_is_a_usage_error(run, inputs, arguments, message):
    ran = run("train", "analogy", *arguments, "-o", "pair.safetensors", *TINY)
    assert (ran.code, ran.err) == (2, f"structkit: error: {message} (see: structkit train analogy --help)\n")
    assert not (inputs / "pair.safetensors").exists()


def test_a_damaged_video_is_one_line(run, inputs):
    data = (inputs / "moving.mp4").read_bytes()
    (inputs / "moving.mp4").write_bytes(data[: len(data) * 2 // 3])
    ran = run(*TRAIN)
    assert (ran.code, ran.err.count("\n")) == (1, 1) and "moving.mp4: " in ran.err


def test_the_model_translates_the_video(run):
    run(*TRAIN)
    ran = run(*DRAW, "-o", "out.mp4", "--json")
    record = json.loads(ran.out.splitlines()[0])
    assert (ran.code, record["status"], record["frames"]) == (0, "written", 7) and record["flicker"] > 0
    assert times("out.mp4") == times("moving.mp4")
    again = run(*DRAW, "-o", "-")
    assert again.out == Path("out.mp4").read_bytes()


def test_patches_of_a_target_give_any_size(run):
    run(*TRAIN)
    ran = run(*DRAW, "cake.png", "--refine", "patches", "--size", "40x34", "-o", "out.mp4")
    assert (ran.code, ran.paths) == (0, ["out.mp4"])
    with VideoReader("out.mp4") as reader:
        assert (reader.width, reader.height) == (40, 34)


def test_what_a_video_of_a_pair_cannot_have(run):
    run(*TRAIN)
    for arguments, message in (
        (("--refine", "chain"), "--refine chain is for pictures, and moving.mp4 is a video: leave one of them out"),
        (("--inject", "9"), "--inject is 9: this pair has the levels 0 to 3"),
        (("cake.png",), "--model pair.safetensors has a look of its own: leave TARGET out"),
        (("--size", "64x64"), "--size needs --refine patches"),
    ):
        ran = run(*DRAW, *arguments, "-o", "out.mp4")
        assert ran.code == 2 and message in ran.err and ran.err.count("\n") == 1
    assert not Path("out.mp4").exists()


def test_a_level_that_the_pair_of_a_video_will_not_have_is_refused_before_it_is_trained(run, monkeypatch):
    preset = {"size": 40, "coarsest": 14, "width": 4, "widest": 4, "steps": 1, "taper": 1.0}
    monkeypatch.setitem(PAIR_PRESETS, "fast", preset)
    monkeypatch.setattr(PairTraining, "step", None)
    ran = run(
        "analogy", "moving.mp4", "cake.png", "--engine", "gan", "--inject", "5", "--device", "cpu", "-o", "out.mp4"
    )
    assert (ran.code, ran.err.endswith("--inject is 5: the pair will have the levels 0 to 4\n")) == (2, True)
