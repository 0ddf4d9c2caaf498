"""structkit train genvideo: what it leaves, what it says, and that nothing stops it for good."""

from __future__ import annotations

import hashlib
import re
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from structkit import load, train_genvideo
from structkit.configs import GenvideoConfig
from structkit.errors import InputError, OptionError
from structkit.header import read_card
from structkit.media.moving_pictures import Clip, write_clip
from structkit.recipes.genvideo import ClipMaterial

from .conftest import paint
from .test_resume import contents

TINY = (
    *("--size", "20", "--coarsest", "14", "--width", "4", "--latent", "2", "--layers", "3", "--vae-levels", "1"),
    *("--steps", "3", "--dtype", "float32", "--device", "cpu"),
)
TRAIN = ("train", "genvideo", "clip.gif", "-o", "m.safetensors", *TINY)
MORTAL = str(Path(__file__).with_name("mortal.py"))


@pytest.fixture
def engine(real_engine):
    """No stand-in."""


def moving(frames: int = 13) -> Clip:
    """A clip in memory, 30 x 24 px."""
    pixels = np.random.default_rng(1).integers(0, 256, (frames, 3, 4, 3), dtype=np.uint8)
    return Clip(pixels.repeat(8, 1).repeat(8, 2)[:, :, :30], Fraction(10))


@pytest.fixture(autouse=True)
def clips(run, tmp_path) -> Path:
    """The current folder, with clip.gif, short.gif and still.png."""
    write_clip(moving(), tmp_path / "clip.gif"), write_clip(moving(7), tmp_path / "short.gif")
    paint(tmp_path / "still.png", 1, side=24)
    return tmp_path


def test_it_says_what_it_will_take_and_leaves_a_model_that_makes_clips(run, clips):
    ran = run(*TRAIN)
    assert (ran.code, ran.paths) == (0, ["m.safetensors"])
    assert len(re.findall(r"structkit: will take about [\d.]+ minutes, and [\d.e-]+ GiB of memory\n", ran.err)) == 1
    assert re.search(r"level 0, 14 x 11 px, 4 frames \(1 of 4\): 3 steps in .*; kl \S+ reconstruction", ran.err)
    card = read_card("m.safetensors")
    assert card["run"]["inputs"] == {"clip": hashlib.sha256(Path("clip.gif").read_bytes()).hexdigest()}
    assert card["facts"]["rate"] == "10" and card["facts"]["shapes"][-1] == [13, 16, 20]
    assert card["complete"] and card["scores"]["reconstruction"] > 0
    model = load("m.safetensors", "cpu", verb="genvideo")
    assert model.samples(2, torch.Generator().manual_seed(1)).shape == (2, 3, 13, 16, 20)
    assert "new clips from one clip" in run("info", "m.safetensors").out.decode()
    again = run(*TRAIN)
    assert again.code == 0 and "is there already" in again.err and "will take" not in again.err


def test_a_picture_is_learned_too_and_says_so_where_an_option_is_for_clips(run):
    assert run("train", "genvideo", "still.png", "-o", "p.safetensors", *TINY).code == 0
    assert load("p.safetensors", "cpu").samples(1, torch.Generator()).shape == (1, 3, 20, 20)
    refused = run("train", "genvideo", "still.png", "-o", "q.safetensors", *TINY, "--window", "5")
    assert refused.code == 2 and "--window is for clips, and still.png is a picture: leave it out" in refused.err


def test_a_clip_shorter_than_the_window_is_refused_and_learned_with_the_window_that_is_named(run, clips):
    short = ("train", "genvideo", "short.gif", "-o", "s.safetensors", *TINY)
    refused = run(*short)
    assert refused.code == 1 and "the clip has 7 frames, and a window 13: use --window 7 or less" in refused.err
    of_steps = run(*short, "--strides", "4,2,1", "--window", "9")
    assert "has 7 frames, and a window 9: with --strides 4,2,1 use --window 5, or a longer clip" in of_steps.err
    assert "use --strides 1, or a longer clip" in run(*short, "--strides", "8").err
    assert not list(clips.glob("s.*"))
    assert run(*short, "--window", "7").code == 0
    assert load("s.safetensors", "cpu").shapes[-1] == (7, 16, 20)


def test_with_minutes_it_ends_in_time_and_says_the_plan(run):
    ran = run(*TRAIN, "--minutes", "0.1", "--steps", "100000")
    assert ran.code == 0 and re.search(r"--minutes 0.1: \d+ \d+ .*steps at the levels up to", ran.err)
    assert "needs at most about" in ran.err and "will take" not in ran.err


def test_clips_in_memory_are_learned_and_what_cannot_be_is_refused(clips):
    options = {"size": 16, "coarsest": 12, "width": 4, "latent": 2, "layers": 3, "steps": 1, "device": "cpu"}
    model = train_genvideo(moving(16), "m.safetensors", **options, hflip=True, frames=14)
    assert model.real.shape == (1, 3, 14, 12, 16) and model.rate == 10
    with pytest.raises(InputError, match=r"no-such\.mp4"):
        train_genvideo("no-such.mp4", "n.safetensors", **options)
    with pytest.raises(OptionError, match=r"--size is 5: it must be between 16"):
        train_genvideo("clip.gif", "n.safetensors", **options | {"size": 5})


@pytest.mark.parametrize("source", ["memory", "gif", "mp4", "turned.gif"])
def test_whatever_a_clip_comes_from_no_more_of_it_is_held_than_is_learned(clips, source):
    frames = moving(16).frames.repeat(4, 1).repeat(4, 2)  # 120 x 96 px
    clip = Clip(frames.swapaxes(1, 2) if source == "turned.gif" else frames, Fraction(10))
    if source != "memory":
        write_clip(clip, clips / f"large.{source}")
    config = GenvideoConfig(size=20, coarsest=14, frames=14).filled()
    material = ClipMaterial(clip if source == "memory" else clips / f"large.{source}")
    material.read(config, None)
    assert material.clip.shape == ((1, 3, 14, 25, 20) if source == "turned.gif" else (1, 3, 14, 16, 20))


@pytest.mark.slow
def test_killed_at_any_moment_and_started_again_it_ends_in_the_same_bytes(clips):
    command = ("train", "genvideo", "clip.gif", *TINY, "--quiet", "--steps", "12", "--hflip")
    ran = subprocess.run(
        [sys.executable, MORTAL, "calm.safetensors", "m.safetensors", *command], capture_output=True, text=True
    )
    assert ran.stdout.split() == ["calm.safetensors", "0", *[str(-signal.SIGPROF)] * 3, "m.safetensors", "0"], (
        ran.stderr
    )
    after = {name: data for name, data in contents(clips).items() if not name.startswith(".structkit-")}
    outputs = [f"{stem}.{suffix}" for stem in ("calm", "m") for suffix in ("log.jsonl", "safetensors")]
    assert sorted(after) == sorted(["clip.gif", "short.gif", "still.png", *outputs])
    assert [after[name] for name in outputs[:2]] == [after[name] for name in outputs[2:]]
