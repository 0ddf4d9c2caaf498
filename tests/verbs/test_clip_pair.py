"""Analogies of two videos through the Python interface: times, sound and sizes, notes, and what is refused."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import structkit
from structkit.errors import InputError, OptionError
from structkit.media.pictures import Picture
from structkit.media.video import Frame, VideoReader
from structkit.media.video_writer import VideoWriter
from structkit.verbs import clip_pair

FAST = {"rounds": 1, "patch": 5, "coarsest": 16, "device": "cpu"}
TIMES = (Fraction(0), Fraction(1, 10), Fraction(1, 4), Fraction(3, 10))


def still(step: int, height: int = 24, width: int = 30) -> np.ndarray:
    """(height, width, 3) uint8: a disc on its way across a ramp."""
    y, x = np.mgrid[:height, :width]
    disc = np.hypot(y - height / 2, x - 8 - 2 * step) < 6
    return np.where(disc[..., None], (40, 60, 200), np.stack([120 + 3 * x, 200 - y, 90 + 0 * x], -1)).astype(np.uint8)


def film(path: Path, times=TIMES, *, height: int = 24, width: int = 30, turn: int = 1) -> Path:
    with VideoWriter(path, width=width, height=height) as writer:
        for step, time in enumerate(times):
            writer.write(Frame(np.ascontiguousarray(still(step, height, width)[..., ::turn]), time))
    return path


@pytest.fixture(scope="module")
def moving(tmp_path_factory) -> Path:
    """Four frames at uneven times."""
    return film(tmp_path_factory.mktemp("clips") / "moving.mkv")


@pytest.fixture(scope="module")
def look(tmp_path_factory) -> Path:
    """Five frames of other colours, ten a second."""
    path = tmp_path_factory.mktemp("clips") / "look.mkv"
    return film(path, [Fraction(i, 10) for i in range(5)], turn=-1)


def frames(source) -> list[Frame]:
    with VideoReader(source) as reader:
        return list(reader)


def test_each_frame_keeps_its_time_and_sound_goes_along(moving, look, sounding, sound_of, tmp_path):
    made = structkit.analogy_video(moving, look, tmp_path / "out.mp4", **FAST)
    result = frames(tmp_path / "out.mp4")
    assert [frame.time for frame in result] == list(TIMES) and made.frames == 4
    assert result[0].pixels.shape == (24, 30, 3) and 0 < made.flicker < 5
    source = sounding([still(step) for step in range(3)])
    structkit.analogy_video(source, look, tmp_path / "loud.mp4", **FAST)
    assert sound_of(tmp_path / "loud.mp4") == sound_of(source) != []


def test_the_colours_are_the_targets(moving, look, tmp_path):
    structkit.analogy_video(moving, look, tmp_path / "out.mp4", **FAST)
    result, source, target = (np.stack([f.pixels for f in frames(p)]) for p in (tmp_path / "out.mp4", moving, look))
    mean = [clip.reshape(-1, 3).mean(0) for clip in (result, source, target)]
    assert np.abs(mean[0] - mean[2]).sum() < 0.5 * np.abs(mean[0] - mean[1]).sum()


def test_readers_that_were_handed_in_stay_open_and_a_seed_gives_the_same_bytes(moving, look, tmp_path):
    structkit.analogy_video(moving, look, tmp_path / "a.mp4", seed=3, **FAST)
    with VideoReader(moving) as source, VideoReader(look) as target:
        structkit.analogy_video(source, target, tmp_path / "b.mp4", seed=3, **FAST)
        assert len(list(source)) == 4 and len(list(target)) == 5
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@pytest.mark.parametrize(
    ("options", "shape"), [({}, (18, 22)), ({"size": (20, 26)}, (26, 20)), ({"max_side": 31}, (24, 30))]
)
def test_the_longest_side_is_that_of_clips_unless_another_is_said(moving, look, tmp_path, monkeypatch, options, shape):
    monkeypatch.setattr(clip_pair, "MAX_CLIP_SIDE", 23)
    structkit.analogy_video(moving, look, tmp_path / "out.mp4", **FAST, **options)
    assert frames(tmp_path / "out.mp4")[0].pixels.shape[:2] == shape


def test_progress_goes_to_the_end(moving, look, tmp_path):
    told = []
    structkit.analogy_video(moving, look, tmp_path / "out.mp4", progress=lambda share, note: told.append(share), **FAST)
    assert told == sorted(told) and told[-1] == 1


def test_what_is_not_used_of_a_target_is_told_and_so_is_another_rate(look, tmp_path, monkeypatch):
    monkeypatch.setattr(clip_pair, "MOST_LOOK", 3)
    fast = film(tmp_path / "fast.mp4", [Fraction(i, 30) for i in range(3)])
    made = structkit.analogy_video(fast, look, tmp_path / "out.mp4", **FAST)
    assert f"{look}: its first 3 frames are used" in made.notes
    assert f"{look}: its 10 frames a second are shown at the source's 30" in made.notes


def test_a_source_of_too_many_frames_is_refused_and_nothing_is_left(moving, look, tmp_path, monkeypatch):
    monkeypatch.setattr(clip_pair, "MOST_VOXELS", 3 * 24 * 30)
    with pytest.raises(InputError, match="more than 3 frames of 30 x 24 px, the most that an analogy of videos takes"):
        structkit.analogy_video(moving, look, tmp_path / "out.mp4", **FAST)
    assert not list(tmp_path.iterdir())


def test_damage_of_the_target_leaves_nothing_behind(moving, look, tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    (tmp_path / "cut.mkv").write_bytes(look.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"cut\.mkv: truncated"):
        structkit.analogy_video(moving, tmp_path / "cut.mkv", folder / "out.mp4", **FAST)
    assert not list(folder.iterdir())


def test_motion_alone_needs_two_videos(moving, tmp_path):
    picture = Picture(still(0), name="look")
    with pytest.raises(OptionError, match="--match motion compares how things move"):
        structkit.analogy_video(moving, picture, tmp_path / "out.mp4", match="motion")
    with pytest.raises(OptionError, match="--match motion compares how things move"):
        structkit.analogy(picture, picture, match="motion")
