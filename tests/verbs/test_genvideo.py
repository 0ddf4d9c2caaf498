"""New clips through the Python interface, by patches and by a trained model."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

import structkit
from structkit.configs import GenvideoConfig
from structkit.engines.genvideo.model import PatchVaeGan
from structkit.engines.genvideo.networks import level_network
from structkit.errors import CheckpointError, InputError, OptionError
from structkit.media.moving_pictures import Clip, write_clip
from structkit.media.pictures import Picture
from structkit.verbs.clip_model import fitted_to

FAST = {"rounds": 1, "patch": 5, "device": "cpu"}
TINY = {"size": 24, "coarsest": 16, "width": 4, "latent": 4, "steps": 1, "window": 5, "strides": "2,1"}


@pytest.fixture(scope="module")
def walk() -> Clip:
    """A square on its way over a textured slope: seven frames of 24 x 32 px."""
    y, x = np.mgrid[:24, :32]
    grain = np.random.default_rng(0).integers(0, 40, (24, 32))
    frames = np.stack([np.stack([5 * x + grain, 8 * y, 90 + grain], -1)] * 7).clip(0, 255).astype(np.uint8)
    for i in range(7):
        frames[i, 8:14, 3 + 3 * i : 10 + 3 * i] = (250, 60, 30)
    return Clip(frames, Fraction(12), "walk", ("noted",))


def model(window: int = 5, **options) -> PatchVaeGan:
    """A model with the weights it begins with, of a clip of eight frames, or of a picture."""
    config = GenvideoConfig(**TINY | {"window": window} | options).filled()
    shapes = [(3, 12, 16), (5, 15, 20), (5, 18, 24)] if window > 1 else [(1, 12, 16), (1, 15, 20), (1, 18, 24)]
    with torch.random.fork_rng():
        torch.manual_seed(1)
        made = PatchVaeGan(config, shapes, frames=8 if window > 1 else 1, rate="12")
        for level in range(len(shapes)):
            made.add_level(level_network(config, level, made.axes), 0.1)
        made.clip.copy_(torch.randint(0, 256, made.clip.shape, dtype=torch.uint8))
    return made.eval()


def test_a_new_clip_has_the_clips_size_length_rate_and_notes(walk):
    [made] = structkit.genvideo(walk, **FAST)
    assert made.frames.shape == walk.frames.shape and made.rate == 12
    assert (made.name, made.notes) == ("genvideo of walk", ("walk: noted",))
    assert not np.array_equal(made.frames, walk.frames)


def test_the_ith_result_is_that_of_its_seed(walk, tmp_path):
    first, second = structkit.genvideo(walk, count=2, seed=3, **FAST)
    [other] = structkit.genvideo(walk, seed=4, **FAST)
    assert np.array_equal(second.frames, other.frames) and not np.array_equal(first.frames, second.frames)
    write_clip(walk, tmp_path / "walk.png")
    [read] = structkit.genvideo(tmp_path / "walk.png", seed=4, **FAST)
    assert np.array_equal(read.frames, other.frames)


def test_size_and_frames_are_those_of_the_result(walk):
    [made] = structkit.genvideo(walk, size=(48, 24), frames=5, **FAST)
    assert made.frames.shape == (5, 24, 48, 3)


def test_a_loop_is_as_long_as_the_clip(walk):
    [made] = structkit.genvideo(walk, loop=True, **FAST)
    assert made.frames.shape == walk.frames.shape


def test_an_extended_clip_holds_the_clip_bit_for_bit(walk):
    pytest.importorskip("structkit.engines.patch.extend")
    [made] = structkit.genvideo(walk, extend=3, extend_back=2, **FAST)
    assert made.frames.shape == (12, 24, 32, 3) and np.array_equal(made.frames[2:9], walk.frames)


def test_a_slowed_clip_holds_the_clip_bit_for_bit_at_the_same_rate(walk):
    pytest.importorskip("structkit.engines.patch.slow")
    [made] = structkit.genvideo(walk, slow=3, **FAST)
    assert (made.count, made.rate) == (19, 12) and np.array_equal(made.frames[::3], walk.frames)


def test_a_coarsest_level_below_a_patch_is_raised_and_said(walk):
    how = FAST | {"patch": 11, "coarsest": 8}
    [made], [other] = structkit.genvideo(walk, **how), structkit.genvideo(walk, **how | {"coarsest": 12})
    assert np.array_equal(made.frames, other.frames) and other.notes == ("walk: noted",)
    assert made.notes[1:] == ("--coarsest 8 raised to 12 px: a level is larger than a patch",)


def test_progress_goes_from_result_to_result(walk):
    told: list[float] = []
    structkit.genvideo(walk, count=2, progress=lambda share, note: told.append(share), **FAST)
    assert told == sorted(told) and {0.5, 1.0} <= set(told)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loop": True, "extend": 3}, "--extend goes on from the clip's end, and a --loop has none"),
        ({"slow": 2, "frames": 9}, "--slow keeps the clip's frames and puts others between, --frames makes new ones"),
        ({"size": (32, 32), "extend_back": 1}, "--size makes all frames anew, and --extend-back keeps those"),
        ({"count": 0}, "--count is 0: it must be at least 1"),
        ({"seed": -1}, "--seed is -1"),
        ({"variety": 2}, "--variety is 2: it must be between 0 and 1"),
        ({"strength": 2}, "unexpected keyword argument 'strength'"),
        ({"extend": 1.5}, "--extend is 1.5: it must be a whole number"),
    ],
)
def test_what_makes_no_sense_is_refused(walk, options, message):
    with pytest.raises(OptionError, match=message):
        structkit.genvideo(walk, **FAST | options)


def test_a_clip_is_needed_and_a_still_is_none(tmp_path):
    with pytest.raises(OptionError, match="without a model a new clip needs a clip"):
        structkit.genvideo(**FAST)
    with pytest.raises(InputError, match="no such file"):
        structkit.genvideo(tmp_path / "none.mp4", **FAST)


# By a trained model.


def test_a_model_draws_alone_in_its_own_size_length_and_rate():
    made, other = structkit.genvideo(model=model(), count=2, device="cpu")
    assert made.frames.shape == (5, 18, 24, 3) and made.rate == 12
    assert not np.array_equal(made.frames, other.frames)
    [again] = structkit.genvideo(model=model(), seed=1, device="cpu")
    assert np.array_equal(again.frames, other.frames)


def test_a_model_draws_in_another_size_and_length():
    [made] = structkit.genvideo(model=model(), size=(40, 18), frames=9, device="cpu")
    assert made.frames.shape == (9, 18, 40, 3)


def test_from_a_level_on_the_clip_itself_is_refined(walk):
    own, given = (structkit.genvideo(clip, model=model(), inject=2, device="cpu")[0] for clip in (None, walk))
    assert own.frames.shape == given.frames.shape == (5, 18, 24, 3)
    assert not np.array_equal(own.frames, given.frames)
    with pytest.raises(OptionError, match="--inject is 3: the model has the levels 0 to 2"):
        structkit.genvideo(model=model(), inject=3, device="cpu")


def test_patches_paint_anew_in_the_size_of_the_clip_they_come_from(walk):
    [own] = structkit.genvideo(model=model(), refine="patches", device="cpu")
    [given] = structkit.genvideo(walk, model=model(), refine="patches", device="cpu")
    [asked] = structkit.genvideo(walk, model=model(), refine="patches", size=(40, 30), device="cpu")
    assert own.frames.shape == (5, 18, 24, 3)
    assert given.frames.shape == (5, 24, 32, 3)
    assert asked.frames.shape == (5, 30, 40, 3)
    assert given.notes == ("walk: noted",)


def test_a_model_of_a_picture_draws_pictures():
    [made] = structkit.genvideo(model=model(window=1), device="cpu")
    assert made.frames.shape == (1, 18, 24, 3)
    with pytest.raises(OptionError, match="--frames is 9, and the model is of a picture"):
        structkit.genvideo(model=model(window=1), frames=9, device="cpu")


@pytest.mark.parametrize(("frames", "window"), [(3, 3), (5, 5), (8, 7), (12, 9), (13, None), (40, None)])
def test_a_short_clip_is_learned_in_the_window_with_the_most_strides(frames, window):
    short = Clip(np.zeros((frames, 8, 8, 3), np.uint8), Fraction(1), "short")
    config, notes = fitted_to(GenvideoConfig(), short)
    assert config.window == window and bool(notes) == (window is not None)
    assert fitted_to(GenvideoConfig(window=3, strides="2,1"), short) == (GenvideoConfig(window=3, strides="2,1"), ())


def test_what_a_model_has_no_use_for_is_refused(walk):
    with pytest.raises(OptionError, match="a trained model draws from what it has learned: leave CLIP out, or say"):
        structkit.genvideo(walk, model=model(), device="cpu")
    with pytest.raises(OptionError, match="--loop is not what a trained model can do"):
        structkit.genvideo(model=model(), loop=True, device="cpu")
    with pytest.raises(OptionError, match="--size is 8x8: each side must be 16 to 8192 px"):
        structkit.genvideo(model=model(), size=(8, 8), device="cpu")
    with pytest.raises(OptionError, match="unexpected keyword argument 'variety'"):
        structkit.genvideo(model=model(), variety=0.3, device="cpu")


def test_an_unfinished_model_says_so_and_an_untrained_one_is_refused():
    unfinished = model()
    unfinished.card = {"complete": False}
    del unfinished.levels[2]
    [made] = structkit.genvideo(model=unfinished, device="cpu")
    assert made.frames.shape == (5, 14, 20, 3)
    assert made.notes == ("the training of the model is not finished: 2 of 3 levels",)
    with pytest.raises(CheckpointError, match="the model has no trained level; train it again"):
        structkit.genvideo(model=PatchVaeGan(model().config, [(5, 18, 24)], frames=5), device="cpu")


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"clip": np.zeros((3, 16, 16, 3))}, InputError, "ndarray, where a clip is needed: give a Clip, or the path"),
        ({"clip": 123}, InputError, "int, where a clip is needed"),
        ({"clip": ["walk.png"]}, InputError, "list, where a clip is needed"),
        ({"clip": Picture(np.zeros((16, 16, 3), np.uint8))}, InputError, "Picture, where a clip is needed"),
        ({"clip": None, "model": 7}, OptionError, "the model is 7: give the path of one, or what"),
        ({"clip": None, "model": "none.safetensors"}, CheckpointError, "none.safetensors"),
        ({"size": (32,)}, OptionError, r"--size is \(32,\): give \(width, height\) in px, two whole numbers"),
        ({"size": "32x18"}, OptionError, "--size is '32x18'"),
        ({"size": 32}, OptionError, "--size is 32"),
        ({"count": "2"}, OptionError, "--count is '2': give a whole number"),
        ({"frames": "9"}, OptionError, "frames"),
    ],
)
def test_what_is_of_another_type_is_refused_in_words(walk, given, kind, message):
    with pytest.raises(kind, match=message):
        structkit.genvideo(**{"clip": walk, "device": "cpu"} | given)
