"""Videos through the Python interface: times and sound stay, sizes are even, what fails leaves nothing behind."""

from __future__ import annotations

from fractions import Fraction
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

import structkit
from structkit.errors import DeviceError, InputError, OptionError
from structkit.media.pictures import Picture
from structkit.media.video import Frame, VideoReader
from structkit.media.video_writer import VideoWriter
from structkit.verbs import analogy_video

pytestmark = pytest.mark.usefixtures("few_drafts")

FAST = {"rounds": 1, "patch": 5, "coarsest": 24, "device": "cpu"}
TIMES = (Fraction(0), Fraction(1, 10), Fraction(1, 4), Fraction(3, 10))


def still(step: int, height: int = 32, width: int = 46) -> np.ndarray:
    """(height, width, 3) uint8: a disc on its way across a ramp."""
    y, x = np.mgrid[:height, :width]
    disc = np.hypot(y - height / 2, x - 12 - 3 * step) < 8
    return np.where(disc[..., None], (40, 60, 200), np.stack([120 + 2 * x, 200 - y, 90 + 0 * x], -1)).astype(np.uint8)


@pytest.fixture(scope="module")
def moving(tmp_path_factory) -> Path:
    """Four frames at uneven times."""
    path = tmp_path_factory.mktemp("clips") / "moving.mkv"
    with VideoWriter(path, width=46, height=32) as writer:
        for step, time in enumerate(TIMES):
            writer.write(Frame(still(step), time))
    return path


@pytest.fixture(scope="module")
def look() -> Picture:
    blocks = np.random.default_rng(1).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Picture(np.kron(blocks, np.ones((8, 8, 1), np.uint8)), name="look")


def frames(source) -> list[Frame]:
    with VideoReader(source) as reader:
        return list(reader)


def test_each_frame_keeps_its_time(moving, look, tmp_path):
    made = structkit.analogy_video(moving, look, tmp_path / "out.mp4", **FAST)
    result = frames(tmp_path / "out.mp4")
    assert [frame.time for frame in result] == list(TIMES) and made.frames == 4
    assert result[0].pixels.shape == (32, 46, 3)
    assert 0 < made.flicker < 5
    assert not np.array_equal(result[0].pixels, result[-1].pixels)


def test_the_first_frame_is_the_analogy_of_the_first_picture(moving, look, tmp_path):
    structkit.analogy_video(moving, look, tmp_path / "out.mp4", quality=100, **FAST)
    [alone] = structkit.analogy(Picture(frames(moving)[0].pixels), look, **FAST)
    assert (
        np.abs(frames(tmp_path / "out.mp4")[0].pixels.astype(int) - alone.pixels).mean() < 6
    )  # what 4:2:0 leaves of the colours


def test_the_same_seed_gives_the_same_bytes_in_a_file_and_in_a_stream(moving, look, tmp_path):
    stream = BytesIO()
    structkit.analogy_video(moving, look, tmp_path / "out.mp4", seed=3, **FAST)
    structkit.analogy_video(moving.read_bytes(), look, stream, seed=3, **FAST)
    assert stream.getvalue() == (tmp_path / "out.mp4").read_bytes()


def test_a_reader_that_was_handed_in_stays_open(moving, look, tmp_path):
    with VideoReader(BytesIO(moving.read_bytes())) as reader:
        for name in ("a.mp4", "b.mp4"):
            structkit.analogy_video(reader, look, tmp_path / name, **FAST)
        assert len(list(reader)) == 4


def test_sizes_are_even_unless_they_are_said(look, tmp_path):
    with VideoWriter(tmp_path / "in.mp4", width=60, height=40) as writer:
        writer.write(Frame(still(0, 40, 60), Fraction(0)))
    made = structkit.analogy_video(tmp_path / "in.mp4", look, tmp_path / "a.mp4", max_side=51, **FAST)
    assert (made.frames, made.flicker) == (1, None) and not any("even" in note for note in made.notes)
    assert frames(tmp_path / "a.mp4")[0].pixels.shape == (34, 50, 3)
    made = structkit.analogy_video(tmp_path / "in.mp4", look, tmp_path / "b.mp4", size=(33, 28), **FAST)
    assert frames(tmp_path / "b.mp4")[0].pixels.shape == (28, 34, 3)
    assert any("33 x 28 pixels made 34 x 28: 4:2:0 needs even sides" in note for note in made.notes)


def test_the_sound_goes_along(look, sounding, sound_of, tmp_path):
    source = sounding([still(step) for step in range(3)])
    structkit.analogy_video(source, look, tmp_path / "out.mp4", **FAST)
    assert sound_of(tmp_path / "out.mp4") == sound_of(source) != []


def test_progress_counts_frames_to_the_end(moving, look, tmp_path):
    told = []
    structkit.analogy_video(
        moving, look, tmp_path / "out.mp4", progress=lambda share, note: told.append((share, note)), **FAST
    )
    assert [share for share, _ in told] == sorted(share for share, _ in told) and len(told) == 4
    assert told[-1][1].startswith("frame 4")


def test_notes_of_all_three_are_told(moving, tmp_path):
    small = Picture(np.full((16, 16, 3), 90, np.uint8), name="small.png", notes=("animated: first of 3 frames",))
    made = structkit.analogy_video(moving, small, tmp_path / "out.mp4", **FAST)
    assert made.notes == (
        "small.png: animated: first of 3 frames",
        "small.png: enlarged 2.0 times, the result cannot be sharper",
    )
    assert made.flicker == 0


def test_damage_on_the_way_leaves_nothing_behind(moving, look, tmp_path):
    data = moving.read_bytes()
    (tmp_path / "cut.mkv").write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(InputError, match=r"cut\.mkv"):
        structkit.analogy_video(tmp_path / "cut.mkv", look, tmp_path / "out.mp4", **FAST)
    assert [path.name for path in tmp_path.iterdir()] == ["cut.mkv"]


def test_too_little_memory_is_one_line(moving, look, tmp_path, monkeypatch):
    def exhausted(frames, *_, **__):
        yield next(iter(frames))
        raise MemoryError

    monkeypatch.setattr(analogy_video, "analogy_frames", exhausted)
    with pytest.raises(DeviceError, match="cpu ran out of memory: use a smaller --max-side or --size"):
        structkit.analogy_video(moving, look, tmp_path / "out.mp4", **FAST)
    assert list(tmp_path.iterdir()) == []


def test_options_that_cannot_be(moving, look, tmp_path):
    with pytest.raises(OptionError, match="--size and --max-side both say how large"):
        structkit.analogy_video(moving, look, tmp_path / "o.mp4", size=(32, 32), max_side=32)
    with pytest.raises(InputError, match="the result would be 16 x 11 px, each side must be at least 16"):
        structkit.analogy_video(moving, look, tmp_path / "o.mp4", max_side=16)
    with pytest.raises(DeviceError, match="there is no such device here"):
        structkit.analogy_video(moving, look, tmp_path / "o.mp4", device="cuda:99")
