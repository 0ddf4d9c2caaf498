"""The clip that new ones are made of: even sizes, one scale, and errors in words."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from structkit.configs import MAX_CLIP_SIDE
from structkit.errors import InputError, OptionError
from structkit.media.moving_pictures import Clip, write_clip
from structkit.verbs.clip_canvas import material


def clip(width: int, height: int, frames: int = 3) -> Clip:
    made = np.random.default_rng(0).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)
    return Clip(made, Fraction(10), "walk")


@pytest.mark.parametrize(
    ("own", "max_side", "size"),
    [
        ((64, 48), None, (64, 48)),
        ((65, 49), None, (64, 48)),
        ((512, 288), None, (MAX_CLIP_SIDE, 144)),
        ((301, 100), None, (256, 84)),
        ((512, 288), 128, (128, 72)),
        ((40, 30), 512, (40, 30)),
    ],
)
def test_a_clip_is_reduced_to_an_even_size_and_never_enlarged(own, max_side, size):
    made = material(clip(*own), None, max_side)
    assert (made.width, made.height) == size and made.notes == ()


def test_a_pixel_too_many_is_left_out_and_nothing_resampled():
    given = clip(65, 49)
    assert np.array_equal(material(given, None, None).frames, given.frames[:, :48, :64])


@pytest.mark.parametrize(
    ("own", "asked", "size"),
    [
        ((256, 144), (512, 144), (256, 144)),  # wider: the clip's own scale
        ((256, 144), (128, 144), (256, 144)),
        ((512, 288), (512, 144), (256, 144)),  # reduced first
        ((512, 288), (512, 288), (512, 288)),  # larger along both sides: a larger clip
        ((512, 288), (64, 36), (64, 36)),
        ((512, 288), (1024, 300), (533, 300)),
    ],
)
def test_patches_have_the_scale_of_the_result(own, asked, size):
    made = material(clip(*own), asked, None)
    assert (made.width, made.height) == size
    again = material(made, asked, None)
    assert np.array_equal(again.frames, made.frames)


def test_a_clip_that_must_be_enlarged_is_said_to_be():
    made = material(clip(64, 36), (128, 72), None)
    assert (made.width, made.notes) == (128, ("enlarged 2.0 times, the result cannot be sharper",))


def test_a_file_is_as_its_clip_in_memory(tmp_path):
    write_clip(given := clip(300, 100), tmp_path / "a.png")
    made = material(tmp_path / "a.png", None, None)
    assert np.array_equal(made.frames, material(given, None, None).frames)


def test_what_is_too_short_or_too_narrow_is_refused(tmp_path):
    with pytest.raises(
        InputError, match=r"walk: 2 frames, and a clip needs 3 at least; give a longer one, or draw from"
    ):
        material(clip(32, 32, frames=2), None, None)
    with pytest.raises(InputError, match="walk: 3000 x 1 px is too narrow"):
        material(clip(3000, 1), None, None)
    with pytest.raises(OptionError, match="--size is 8x32"):
        material(clip(32, 32), (8, 32), None)
