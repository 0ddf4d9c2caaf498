"""`structkit genvideo` with trained models: --engine vaegan, and --model."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import structkit
from structkit import models
from structkit.configs import GENVIDEO_PRESETS
from structkit.engines.genvideo.training import GenvideoTraining
from structkit.media.moving_pictures import Clip, read_clip, write_clip
from structkit.media.pictures import read_picture

from .conftest import paint, small_clip

TINY = {"size": 20, "coarsest": 16, "width": 4, "latent": 2, "steps": 1, "taper": 1.0}
VAEGAN = ("genvideo", "birds.png", "--engine", "vaegan", "--dtype", "float32", "--device", "cpu")
DRAW = ("genvideo", "--model", "birds.safetensors", "--device", "cpu")


@pytest.fixture
def engine(real_engine):
    """No stand-in."""


@pytest.fixture(autouse=True)
def birds(run, tmp_path, monkeypatch) -> Path:
    """The current folder, with birds.png of 13 frames; what is trained is tiny."""
    monkeypatch.setitem(GENVIDEO_PRESETS, "fast", TINY)
    write_clip(small_clip(13, 18, 32), tmp_path / "birds.png")
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory, one_thread) -> bytes:
    """A model of the clip; its bytes are those of one thread, as the commands' are."""
    folder = tmp_path_factory.mktemp("trained")
    write_clip(small_clip(13, 18, 32), folder / "birds.png")
    structkit.train_genvideo(folder / "birds.png", folder / "m.safetensors", dtype="float32", device="cpu", **TINY)
    return (folder / "m.safetensors").read_bytes()


@pytest.fixture
def model(birds, trained) -> Path:
    (birds / "birds.safetensors").write_bytes(trained)
    return birds / "birds.safetensors"


def test_it_trains_draws_and_keeps_the_model_beside_the_output(run, birds, trained):
    ran = run(*VAEGAN, "-n", "2", "-o", "out/", "--compare", "c.png")
    assert (ran.code, ran.paths) == (0, ["out/birds-genvideo-1.mp4", "out/birds-genvideo-2.mp4", "c.png"]), ran.err
    assert (birds / "out/birds-genvideo.safetensors").read_bytes() == trained
    assert sorted(p.name for p in (birds / "out").iterdir()) == [
        "birds-genvideo-1.mp4",
        "birds-genvideo-2.mp4",
        "birds-genvideo.log.jsonl",
        "birds-genvideo.safetensors",
    ]
    assert re.search(r"structkit: will take about [\d.]+ minutes, and [\d.e-]+ GiB of memory", ran.err)
    assert read_clip(ran.paths[0]).frames.shape == (13, 10, 20, 3)


def test_the_same_model_is_used_again_and_another_is_refused_by_name(run, model, monkeypatch):
    monkeypatch.setattr(GenvideoTraining, "step", None)  # nothing is trained here
    assert run(*VAEGAN, "-o", "a.png", "--model", "birds.safetensors").paths == ["a.png"]
    ran = run(*VAEGAN, "-o", "b.png", "--model", "birds.safetensors", "--vae-levels", "1")
    assert ran.code == 1 and "birds.safetensors: exists and is of another training (config.vae_levels is " in ran.err
    ran = run(*VAEGAN, "-o", "b.png", "--model", "birds.safetensors", "--seed", "5")
    assert ran.code == 1 and "or draw from that model with --model alone, without CLIP and --engine" in ran.err


def test_a_model_alone_draws_what_the_function_draws(run, model):
    ran = run(*DRAW, "-n", "2", "--seed", "5", "--format", "png")
    assert ran.paths == ["birds-genvideo-1.png", "birds-genvideo-2.png"], ran.err
    [made] = structkit.genvideo(model=structkit.load(model), seed=6, device="cpu")
    assert np.array_equal(read_clip("birds-genvideo-2.png").frames, made.frames)


def test_a_model_draws_other_sizes_and_lengths_and_shows_its_clip(run, model):
    ran = run(*DRAW, "--size", "40x16", "--frames", "9", "-o", "o.webp", "--compare", "page.html")
    assert ran.paths == ["o.webp", "page.html"], ran.err
    assert read_clip("o.webp").frames.shape == (9, 16, 40, 3)
    assert '"label": "clip", "width": 20, "height": 11' in Path("page.html").read_text()


def test_a_clip_beside_a_model_is_injected_or_gives_its_patches(run, model):
    with_clip = ("genvideo", "birds.png", *DRAW[1:])
    assert run(*with_clip, "--inject", "1", "-o", "a.png").code == run(*DRAW, "--inject", "1", "-o", "b.png").code == 0
    assert not np.array_equal(read_clip("a.png").frames, read_clip("b.png").frames)
    ran = run(*with_clip, "--refine", "patches", "-o", "c.png")
    assert ran.code == 0 and read_clip("c.png").frames.shape == (13, 18, 32, 3), ran.err


def test_patches_of_the_clip_paint_what_was_trained_first(run, model):
    ran = run(*VAEGAN, "--model", "birds.safetensors", "--refine", "patches", "-o", "o.png")
    assert ran.code == 0 and read_clip("o.png").frames.shape == (13, 18, 32, 3), ran.err


def test_a_clip_that_is_shorter_than_a_window_is_learned_in_shorter_ones(run, birds):
    write_clip(small_clip(8, 18, 32), birds / "birds.png")
    ran = run(*VAEGAN, "-o", "o.png")
    assert ran.code == 0 and "birds.png: 8 frames, fewer than the 13 of a window: it learns windows of 7" in ran.err
    assert read_clip("o.png").count == 7


def test_of_a_picture_pictures_are_drawn_and_it_takes_pictures(run, birds):
    paint(birds / "still.png", 1, side=24)
    ran = run("genvideo", "still.png", *VAEGAN[2:], "-n", "2", "-o", "out/", "--model", "still.safetensors")
    assert ran.paths == ["out/still-genvideo-1.png", "out/still-genvideo-2.png"], ran.err
    draw, inject = ("--model", "still.safetensors", "--device", "cpu"), ("--inject", "1")
    assert run("genvideo", *draw, "-n", "2", "-o", "two/").paths == [f"two/still-genvideo-{i}.png" for i in (1, 2)]
    assert read_picture("two/still-genvideo-1.png").width == 20
    for name in ("o.jpg", "o.png", "o.gif", "o.mp4"):
        ran = run("genvideo", "still.png", *draw, *inject, "-o", name, "--compare", f"c-{name}.png")
        assert (ran.code, ran.paths) == (0, [name, f"c-{name}.png"]), ran.err
    assert "birds.png: animated: first of 13 frames" in run("genvideo", "birds.png", *draw, *inject, "-o", "f.png").err
    write_clip(small_clip(3, 18, 32), "birds.mp4")
    ran = run("genvideo", "birds.mp4", *draw, *inject, "-o", "g.png")
    assert ran.code == 0 and "birds.mp4: only its first frame is used: the model is of a picture" in ran.err
    given = ("still.png", Path("still.png"), read_picture("still.png"), Clip(read_picture("still.png").pixels[None], 1))
    made = [structkit.genvideo(one, model="still.safetensors", inject=1, device="cpu")[0].frames for one in given]
    assert all(np.array_equal(one, made[0]) for one in made)


def test_a_model_of_another_kind_is_refused_before_its_weights_are_read(run, birds):
    ran = run("genvideo", "--model", "glasses")
    kind = models.KINDS["content-transfer"]
    assert ran.code == 3 and f"{kind.words}, which serves " in ran.err and "and not genvideo" in ran.err
    assert run("genvideo", "--model", "none.safetensors").code == 3


def test_it_is_listed_among_the_uses_of_its_model(run, model):
    assert "structkit genvideo ... --model birds.safetensors" in run("info", "birds.safetensors").out.decode()
