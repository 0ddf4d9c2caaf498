"""Animated pictures as clips: their times, their parts, and what is left of those that were cut."""

from __future__ import annotations

import io
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from structkit.errors import InputError
from structkit.media import formats, moving_pictures
from structkit.media.animations import TICKS
from structkit.media.moving_pictures import Clip, read_clip, write_clip

from .test_moving_pictures import ANIMATED, clip


def animation(durations: list[float], kind: str = "png", **options) -> bytes:
    """An animated picture whose frames are shown for so many ms each."""
    frames = [Image.fromarray(frame) for frame in clip(len(durations)).frames]
    frames[0].save(b := io.BytesIO(), kind, save_all=True, append_images=frames[1:], duration=durations, **options)
    return b.getvalue()


@pytest.mark.parametrize("kind", ANIMATED)
def test_uneven_durations_of_an_animated_picture_are_taken_as_even_and_said(kind):
    found = read_clip(animation([100, 250, 100, 330, 100], kind))
    assert found.count == 5 and found.notes == ("frames at uneven times: taken as evenly spaced, 5.682 a second",)


@pytest.mark.parametrize("kind", ANIMATED)
@pytest.mark.parametrize("durations", [[50, 50, 50, 50, 2000], [900, 50, 50, 50, 2000], [50, 100, 50, 2000]])
def test_a_pause_is_one_frame_and_slows_nothing_down(kind, durations):
    found = read_clip(animation(durations, kind))
    assert (found.count, found.rate) == (5, 20) and found.notes == ("a pause of 2 s is left out",)


@pytest.mark.parametrize("kind", ANIMATED)
def test_some_frames_are_those_in_their_places_where_equal_ones_were_stored_as_one(tmp_path, monkeypatch, kind):
    frames = clip(6).frames[[0, 0, 0, 0, 1, 1, 2, 3, 3, 3, 4, 5]]
    write_clip(Clip(frames, Fraction(20)), tmp_path / f"c.{kind}")
    for first in range(12):
        for count in (1, 3, 20):
            found = read_clip(tmp_path / f"c.{kind}", first=first, frames=count)
            assert np.array_equal(found.frames, frames[first : first + count]) and found.rate == 20
    with pytest.raises(InputError, match="12 frames, and the first 12 are to be passed over"):
        read_clip(tmp_path / f"c.{kind}", first=12)
    monkeypatch.setattr(moving_pictures, "MOST_BYTES", 8 * 16 * 24 * 3)
    with pytest.raises(InputError, match="of frames in memory after 12 of them"):
        read_clip(tmp_path / f"c.{kind}")
    assert read_clip(tmp_path / f"c.{kind}", frames=8).count == 8


@pytest.mark.parametrize("kind", ["WEBP", "GIF", "AVIF"])
def test_a_damaged_animated_picture_is_told_as_damaged_and_no_still(tmp_path, kind):
    data = animation([50] * 4, kind)
    with pytest.raises(InputError, match=r"x: damaged or truncated \w+; copy or export it again from the original"):
        read_clip(data[: len(data) // (9 if kind == "GIF" else 2)], name="x", tolerant=True)


@pytest.mark.parametrize(("kind", "duration"), [("gif", 0), ("gif", 10), ("png", 0), ("webp", 0)])
def test_frames_without_a_duration_last_as_long_as_viewers_show_them(kind, duration):
    found = read_clip(animation([duration] * 4, kind))
    assert (found.count, found.rate) == (4, 10)
    assert found.notes == ("frames that say no duration, or too short a one: 1/10 s each, as viewers show them",)


def test_transparency_is_laid_over_white_and_said():
    frames = [np.dstack([frame, np.full(frame.shape[:2], 255, np.uint8)]) for frame in clip(3).frames]
    frames[1][:8, :, 3] = 0
    images = [Image.fromarray(frame) for frame in frames]
    images[0].save(data := io.BytesIO(), "WEBP", save_all=True, append_images=images[1:], duration=100, lossless=True)
    found = read_clip(data.getvalue())
    assert found.notes == ("transparency is left out: it is laid over white",)
    assert (found.frames[1, :8] == 255).all() and np.array_equal(found.frames[0], clip(3).frames[0])


def test_the_still_in_front_of_an_animated_png_is_no_frame_of_it():
    data = animation([100] * 4, default_image=True)
    assert np.array_equal(read_clip(data).frames, clip(4).frames[1:])


@pytest.mark.parametrize("kind", ["gif", "png"])
def test_an_animated_picture_that_was_cut_is_refused_or_taken_to_its_last_good_frame(tmp_path, kind):
    write_clip(clip(8, 32, 48), tmp_path / f"c.{kind}")
    whole = (tmp_path / f"c.{kind}").read_bytes()
    cut = whole[: len(whole) * 2 // 3]
    with pytest.raises(InputError, match=r"x: damaged or truncated .* after \d frames .*; .* with --tolerant"):
        read_clip(cut, name="x")
    found = read_clip(cut, tolerant=True)
    assert 1 < found.count < 8 and np.array_equal(found.frames, clip(8, 32, 48).frames[: found.count])
    assert found.notes[-1].endswith(": the clip ends there") and f"after {found.count} frames" in found.notes[-1]


@pytest.mark.parametrize("kind", ANIMATED)
def test_an_animated_picture_is_cut_anywhere_without_a_traceback(tmp_path, kind):
    write_clip(clip(4), tmp_path / f"c.{kind}")
    whole = (tmp_path / f"c.{kind}").read_bytes()
    for size in range(1, len(whole) - 1, max(1, len(whole) // 60)):
        for tolerant in (False, True):
            try:
                assert read_clip(whole[:size], tolerant=tolerant).count < 5 and tolerant
            except InputError as error:
                assert size < 32 or "damaged or truncated" in str(error)


def test_the_suffixes_that_may_move_are_those_of_the_formats_that_do():
    suffixes = {suffix for one in formats.FORMATS if one.name in TICKS for suffix in one.suffixes}
    assert set(formats.MOVING) == {*suffixes, ".apng"}
