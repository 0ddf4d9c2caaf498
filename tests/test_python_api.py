"""The verbs as Python functions: sizes, alpha, notes, seeds, errors."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest

import structkit
from structkit.configs import MAX_SIDE
from structkit.device import resolve
from structkit.errors import DeviceError, InputError, OptionError
from structkit.media.pictures import Picture
from structkit.recipes.run import TrainingOptions
from structkit.verbs.canvas import result_size

OWN = ("output", "began")  # of the options of a training: one has a place of its own, one is not asked for
FAST = {"rounds": 1, "patch": 5, "device": "cpu"}


def picture(
    height: int, width: int, *, alpha: np.ndarray | None = None, seed: int = 0, name: str = "picture"
) -> Picture:
    blocks = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    return Picture(np.kron(blocks, np.ones((8, 8, 1), np.uint8))[:height, :width], alpha, name)


def test_a_result_is_as_large_as_the_source_and_never_enlarged():
    [result] = structkit.analogy(picture(24, 40), picture(32, 32, seed=1), **FAST)
    assert result.pixels.shape == (24, 40, 3)


@pytest.mark.parametrize(
    ("shape", "size", "max_side", "expected"),
    [
        ((1000, 2000), None, None, (MAX_SIDE, MAX_SIDE // 2)),
        ((100, 200), None, None, (200, 100)),
        ((100, 200), None, 50, (50, 25)),
        ((100, 200), (64, 48), None, (64, 48)),
    ],
)
def test_sizes(shape, size, max_side, expected):
    assert result_size(picture(*shape), size, max_side) == expected


def test_sizes_that_cannot_be():
    with pytest.raises(OptionError, match="--size and --max-side both say how large"):
        structkit.analogy(picture(32, 32), picture(32, 32), size=(32, 32), max_side=32, **FAST)
    with pytest.raises(OptionError, match="--size is 8x32: each side must be 16 to 8192 px"):
        structkit.retarget(picture(32, 32), (8, 32), **FAST)
    with pytest.raises(
        InputError, match=r"banner: the result would be 512 x 10 px, each side must be at least 16: give a larger size"
    ):
        structkit.analogy(picture(20, 1024, name="banner"), picture(32, 32), **FAST)
    with pytest.raises(InputError, match=r"line: 5000 x 1 px is too narrow .* crop it, or give a --size of another"):
        structkit.sample(picture(1, 5000, name="line"), **FAST)


def test_the_sources_alpha_is_carried_over_and_the_targets_holes_are_not_used():
    hole = np.full((32, 32), 255, np.uint8)
    hole[:, 16:] = 0
    target = picture(32, 32, seed=1)
    target.pixels[:, 16:] = (255, 0, 255)
    target.pixels[:, :16, 1] = 200
    source = picture(32, 32, alpha=hole)
    [result] = structkit.analogy(source, Picture(target.pixels, hole, "holed"), **FAST)
    assert np.array_equal(result.alpha, hole)
    assert result.pixels[..., 1].min() > 150
    nothing = Picture(target.pixels, np.zeros((32, 32), np.uint8), "empty")
    with pytest.raises(InputError, match="empty: every pixel is transparent"):
        structkit.analogy(source, nothing, **FAST)


def test_samples_are_those_of_the_seeds_that_follow():
    source, target = picture(24, 24), picture(24, 24, seed=1)
    both = structkit.analogy(source, target, count=2, seed=5, mode="paint", **FAST)
    alone = structkit.analogy(source, target, seed=6, mode="paint", **FAST)
    assert np.array_equal(both[1].pixels, alone[0].pixels)
    assert len(structkit.sample(source, count=2, **FAST)) == 2


def test_transparency_is_sampled_and_retargeted_with_the_colours():
    alpha = np.zeros((32, 32), np.uint8)
    alpha[8:24] = 255
    given = picture(32, 32, alpha=alpha)
    assert structkit.sample(given, **FAST)[0].alpha.shape == (32, 32)
    assert structkit.retarget(given, (48, 32), **FAST).alpha.shape == (32, 48)


def test_notes_of_the_inputs_and_an_enlarged_target_are_told():
    source = Picture(picture(32, 32).pixels, None, "one", ("animated: first of 3 frames",))
    [result] = structkit.analogy(source, picture(16, 16, name="two"), **FAST)
    assert result.notes == ("one: animated: first of 3 frames", "two: enlarged 2.0 times, the result cannot be sharper")


def test_no_metadata_goes_from_the_source_to_a_new_picture():
    assert (
        structkit.analogy(picture(24, 24), picture(24, 24), **FAST)[0].metadata
        == Picture(picture(24, 24).pixels).metadata
    )


def test_options_that_cannot_be():
    one = picture(24, 24)
    with pytest.raises(OptionError, match="unexpected keyword argument 'strenght': the options are"):
        structkit.analogy(one, one, strenght=1)
    with pytest.raises(OptionError, match="--strength is 2: it must be between 0 and 1"):
        structkit.analogy(one, one, strength=2)
    with pytest.raises(OptionError, match="unexpected keyword argument 'dtype'"):
        structkit.analogy(one, one, dtype="float32")
    with pytest.raises(OptionError, match="--count is 0: it must be at least 1"):
        structkit.analogy(one, one, count=0)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = structkit.nothing


@pytest.mark.parametrize("name", ["cuda:99", "tpu", "cuda:x", "", "cuda:"])
def test_a_device_that_is_not_here(name):
    with pytest.raises(DeviceError, match="there is no such device here: choose cpu"):
        resolve(name)


def test_a_flat_picture_is_no_obstacle():
    flat = Picture(np.full((32, 32, 3), 128, np.uint8))
    assert structkit.analogy(flat, picture(32, 32), **FAST)[0].pixels.shape == (32, 32, 3)
    assert (structkit.analogy(picture(32, 32), flat, **FAST)[0].pixels == 128).all()


@pytest.mark.parametrize("options", [{"coarsest": 4096}, {"patch": 15}, {"coarsest": 8, "patch": 15}])
def test_small_pictures_and_extreme_options(options):
    for shape in ((16, 16), (16, 60)):
        [result] = structkit.analogy(picture(*shape), picture(17, 40, seed=2), device="cpu", **{"rounds": 1, **options})
        assert result.pixels.shape == (*shape, 3)


def test_the_public_names_are_seen_before_they_are_loaded():
    assert set(structkit.__all__) <= set(dir(structkit))
    code = "import sys, structkit; dir(structkit); sys.exit(any(m in sys.modules for m in ('torch', 'numpy', 'PIL')))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    assert all(inspect.getdoc(getattr(structkit, name)) for name in structkit.__all__ if name != "__version__")


def test_type_checkers_see_the_names_that_are_loaded_when_they_are_used():
    tree = ast.parse(inspect.getsource(structkit))
    shown = {name.name for node in tree.body if isinstance(node, ast.If) for way in node.body for name in way.names}
    assert shown == {name for name in structkit.__all__ if name != "__version__"}
    assert structkit._MODULES.keys() == shown


def test_a_training_function_names_all_its_options():
    inputs = {structkit.train_analogy: 2, structkit.train_transfer: 2, structkit.train_difference: 2}
    inputs |= dict.fromkeys((structkit.train_genvideo, structkit.train_speednet, structkit.train_action), 1)
    for train, count in inputs.items():
        names = list(inspect.signature(train).parameters)
        assert names[count:] == ["output", *(f.name for f in fields(TrainingOptions) if f.name not in OWN), "options"]
        assert "minutes: the time in which" in train.__doc__


def test_the_module_is_the_command():
    ran = subprocess.run([sys.executable, "-m", "structkit", "--version"], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, f"structkit {structkit.__version__}\n")
