"""structkit train analogy with a video for SOURCE."""

from __future__ import annotations

import hashlib
import io
import types
from pathlib import Path

import pytest
import torch

from structkit import checkpoint
from structkit.engines.pair_training import PairTraining

from .conftest import paint
from .test_analogy_video import film

TINY = ("--size", "30", "--coarsest", "18", "--width", "4", "--widest", "4", "--steps", "2", "--dtype", "float32", "--device", "cpu")
TRAIN = ("train", "analogy", "moving.mp4", "cake.png", "-o", "pair.safetensors", *TINY)


@pytest.fixture
def engine():
    """No stand-in."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def inputs(run, tmp_path) -> Path:
    """The current folder, with moving.mp4, of 7 frames, and cake.png."""
    film(tmp_path / "moving.mp4", 7), paint(tmp_path / "cake.png", 2, side=32)
    return tmp_path


@pytest.fixture
def learned(monkeypatch) -> list[int]:
    """How many frames each training is given."""
    found, begin = [], PairTraining.__init__
    monkeypatch.setattr(PairTraining, "__init__", lambda self, *pair, **how: found.append(len(pair[0])) or begin(self, *pair, **how))
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
    monkeypatch.setattr("sys.stdin", types.SimpleNamespace(buffer=io.BytesIO(Path("moving.mp4").read_bytes()), isatty=lambda: False))
    ran = run(*("-" if word == "moving.mp4" else word for word in TRAIN), "--exists", "overwrite")
    assert ran.code == 0 and "there already" in ran.err  # it is the same training
    assert Path("pair.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("moving.mp4", "cake.png", "--mode", "sketch"), "--mode sketch is for pictures, and moving.mp4 is a video: leave it out"),
        (("cake.png", "cake.png", "--mode", "video"), "--mode video is for videos, and cake.png is a picture: leave it out"),
        (("cake.png", "cake.png", "--frames", "9"), "--frames is for videos, and cake.png is a picture: leave it out"),
        (("cake.png", "moving.mp4"), "moving.mp4 is a video, and TARGET must be a picture: name one of its frames"),
    ],
)
def test_what_cannot_be_is_a_usage_error(run, inputs, arguments, message):
    ran = run("train", "analogy", *arguments, "-o", "pair.safetensors", *TINY)
    assert (ran.code, ran.err) == (2, f"structkit: error: {message}\n")
    assert not (inputs / "pair.safetensors").exists()


def test_a_damaged_video_is_one_line(run, inputs):
    data = (inputs / "moving.mp4").read_bytes()
    (inputs / "moving.mp4").write_bytes(data[: len(data) * 2 // 3])
    ran = run(*TRAIN)
    assert (ran.code, ran.err.count("\n")) == (1, 1) and "moving.mp4: " in ran.err
