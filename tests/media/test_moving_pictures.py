"""Clips: what goes out comes in again, and whatever comes in is a clip, a note, or an error in words."""

from __future__ import annotations

import errno
import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from structkit.errors import DeviceError, InputError, OptionError, OutputError, StructkitError
from structkit.media import moving_pictures
from structkit.media.moving_pictures import Clip, clip_of, clip_tensor, read_clip, write_clip
from structkit.media.video import Frame, VideoReader
from structkit.media.video_writer import VideoWriter

ANIMATED = ["gif", "webp", "png"]


def clip(count: int = 5, height: int = 16, width: int = 24, rate: Fraction = Fraction(10), colours: int = 4) -> Clip:
    """A bright square on its way over a slope; `colours` levels a channel at most."""
    y, x = np.mgrid[:height, :width]
    frames = np.stack([np.stack([9 * x, 12 * y, 0 * x + 20 * i], -1) for i in range(count)]).astype(np.uint8)
    for i in range(count):
        frames[i, 4:10, 2 + 2 * i : 8 + 2 * i] = (250, 60, 30)
    step = 256 // colours
    return Clip((frames // step * step).astype(np.uint8), rate)


def film(path: Path, times: list[Fraction], width: int = 24, height: int = 16) -> Path:
    with VideoWriter(path, width=width, height=height) as writer:
        for i, time in enumerate(times):
            writer.write(Frame(np.full((height, width, 3), 20 + 25 * i, np.uint8), time))
    return path


def test_every_level_of_a_clip_comes_back_from_its_tensor():
    frames = np.arange(256, dtype=np.uint8).repeat(3).reshape(2, 8, 16, 3)
    tensor = clip_tensor(Clip(frames, Fraction(5)))
    assert (tensor.shape, tensor.dtype, tensor.is_contiguous()) == ((1, 3, 2, 8, 16), torch.float32, True)
    assert (tensor.min(), tensor.max()) == (-1, 1)
    back = clip_of(tensor, rate=Fraction(5), name="x", notes=("n",))
    assert np.array_equal(back.frames, frames) and (back.rate, back.name, back.notes) == (5, "x", ("n",))
    assert np.array_equal(clip_of(tensor[0], rate=Fraction(5)).frames, frames)


def test_values_outside_are_clamped_and_those_that_are_no_numbers_refused():
    assert clip_of(torch.full((1, 3, 1, 2, 2), 7.0), rate=Fraction(1)).frames.max() == 255
    bad = torch.zeros(1, 3, 2, 4, 4)
    bad[0, 0, 1, 2, 2] = torch.nan
    with pytest.raises(StructkitError, match=r"walk: 1 of 16 values are not finite"):
        clip_of(bad, rate=Fraction(1), name="walk")
    with pytest.raises(OptionError, match=r"a tensor of shape \(2, 3, 1, 4, 4\); a clip is"):
        clip_of(torch.zeros(2, 3, 1, 4, 4), rate=Fraction(1))


@pytest.mark.parametrize("frames", [np.zeros((1, 2, 2)), np.zeros((0, 2, 2, 3), np.uint8), np.zeros((1, 2, 2, 3))])
def test_a_clip_that_cannot_be_is_refused(frames):
    with pytest.raises(InputError, match="they must be uint8"):
        Clip(frames, Fraction(1))
    with pytest.raises(InputError, match="0 frames a second"):
        Clip(np.zeros((1, 2, 2, 3), np.uint8), Fraction(0))


@pytest.mark.parametrize("rate", [float("nan"), float("inf"), "25", None])
def test_a_rate_that_is_none_and_frames_that_are_no_array_are_refused(rate):
    with pytest.raises(InputError, match="frames a second; it must be a number more than 0"):
        Clip(np.zeros((1, 2, 2, 3), np.uint8), rate)
    with pytest.raises(InputError, match="frames are of type list; they must be an array"):
        Clip([[1]], Fraction(1))


@pytest.mark.parametrize("kind", ANIMATED)
@pytest.mark.parametrize("rate", [Fraction(10), Fraction(25), Fraction(30), Fraction(24000, 1001)])
def test_an_animated_picture_keeps_frames_and_rate(tmp_path, kind, rate):
    made = clip(rate=rate)
    assert write_clip(made, tmp_path / f"c.{kind}") == ()
    back = read_clip(tmp_path / f"c.{kind}")
    assert np.array_equal(back.frames, made.frames)
    assert (back.notes, back.name) == ((), str(tmp_path / f"c.{kind}"))
    tick = {"gif": 0.01, "webp": 0.001, "png": 1e-6}[kind]
    assert abs(1 / back.rate - 1 / rate) * 5 <= tick


@pytest.mark.parametrize("kind", ANIMATED)
def test_equal_frames_in_a_row_stay_as_many(tmp_path, kind):
    frames = clip(4).frames[[0, 1, 1, 1, 2, 3]]
    write_clip(Clip(frames, Fraction(20)), tmp_path / f"c.{kind}")
    back = read_clip(tmp_path / f"c.{kind}")
    assert np.array_equal(back.frames, frames) and back.rate == 20


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm"])
def test_a_video_keeps_the_number_of_frames_their_rate_and_about_their_colours(tmp_path, suffix):
    made = clip(7, 32, 48, Fraction(30000, 1001))
    write_clip(made, tmp_path / f"c.{suffix}", quality=90)
    back = read_clip(tmp_path / f"c.{suffix}")
    assert (back.count, back.rate, back.notes) == (7, made.rate, ())
    assert np.abs(back.frames.astype(int) - made.frames).mean() < 10


def test_a_clip_of_one_frame_is_written_and_an_animation_of_one_is_a_still(tmp_path):
    one = clip(1)
    write_clip(one, tmp_path / "c.mp4"), write_clip(one, tmp_path / "c.gif")
    assert read_clip(tmp_path / "c.mp4").count == 1
    with pytest.raises(InputError, match="a still GIF picture, where a clip is needed"):
        read_clip(tmp_path / "c.gif")


@pytest.mark.parametrize("kind", ANIMATED)
def test_the_same_clip_gives_the_same_bytes(tmp_path, kind):
    made = clip(colours=128)
    write_clip(made, tmp_path / f"a.{kind}"), write_clip(made, tmp_path / f"b.{kind}")
    assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


def test_a_gif_of_many_colours_is_near_in_the_mean_over_small_squares(tmp_path):
    """The dither keeps the colours of a slope that no palette of 256 has all of."""
    y, x = np.mgrid[:32, :64]
    frames = np.stack([np.stack([4 * x, 8 * y, 60 + x + y + 10 * i], -1) for i in range(4)]).astype(np.uint8)
    write_clip(Clip(frames, Fraction(10)), tmp_path / "c.gif")
    back = read_clip(tmp_path / "c.gif").frames
    blocks = [f.astype(float).reshape(4, 8, 4, 16, 4, 3).mean((2, 4)) for f in (frames, back)]
    assert np.abs(blocks[0] - blocks[1]).mean() < 4
    still = np.stack([frames[0], frames[0] + np.uint8(1)])
    assert len(np.unique(still.reshape(-1, 3), axis=0)) > 256


def test_the_dither_of_a_gif_stands_still(tmp_path):
    y, x = np.mgrid[:32, :64]
    ground = np.stack([4 * x, 8 * y, 60 + x + y], -1).astype(np.uint8)
    frames = np.stack([ground] * 3)
    for i in range(3):
        frames[i, :8, :8] = 80 * i
    write_clip(Clip(frames, Fraction(10)), tmp_path / "c.gif")
    back = read_clip(tmp_path / "c.gif").frames
    assert (back[:, 8:] == back[0, 8:]).all()


def test_a_webp_with_quality_is_smaller_and_near(tmp_path):
    rng = np.random.default_rng(0)
    made = Clip(rng.integers(90, 130, (3, 32, 32, 3), dtype=np.uint8), Fraction(8))
    write_clip(made, tmp_path / "a.webp"), write_clip(made, tmp_path / "b.webp", quality=60)
    assert (tmp_path / "b.webp").stat().st_size < (tmp_path / "a.webp").stat().st_size / 2
    assert np.abs(read_clip(tmp_path / "b.webp").frames.astype(int) - made.frames).mean() < 15


def test_a_gif_is_never_faster_than_viewers_show_it(tmp_path):
    [note] = write_clip(clip(rate=Fraction(60)), tmp_path / "c.gif")
    assert note == "slowed down to 50 frames a second: viewers show a faster GIF at ten"
    assert read_clip(tmp_path / "c.gif").rate == 50


def test_an_odd_side_of_a_video_is_said(tmp_path):
    [note] = write_clip(clip(3, 15, 23), tmp_path / "c.mp4")
    assert note.startswith("23 x 15 pixels made 24 x 16")
    assert write_clip(clip(3, 15, 23), tmp_path / "c.webp") == ()
    assert read_clip(tmp_path / "c.webp").frames.shape == (3, 15, 23, 3)


@pytest.mark.parametrize(
    ("name", "options", "kind", "message"),
    [
        ("c.gif", {"quality": 50}, OptionError, "quality does not apply to GIF; it applies to WebP and videos"),
        ("c.webp", {"quality": 0}, OptionError, "quality 0; it goes from 1 to 100"),
        ("c.mp4", {"quality": 101}, OptionError, "quality 101"),
        ("c.avi", {}, OutputError, "c.avi: .avi videos are read, not written"),
        ("c.jpg", {}, OutputError, r"unknown format of clips; end the name in one of .mp4 .* .gif .webp .png"),
        ("c.avif", {}, OutputError, r"c.avif: unknown format of clips; end the name in one of .mp4 .* .gif"),
        ("c", {}, OutputError, "unknown format of clips"),
        ("c.mp4", {"format": "mkv"}, OutputError, "the name of a clip says its format; end it in .mkv"),
        ("c.mp4", {"format": ".gif"}, OutputError, "c.mp4: the name of a clip says its format; end it in .gif"),
        ("c.gif", {"format": "mp4"}, OutputError, "the name of a clip says its format; end it in .mp4"),
        ("none/c.gif", {}, OutputError, "no such folder"),
        ("none/c.mp4", {}, OutputError, "no such folder"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path, name, options, kind, message):
    with pytest.raises(kind, match=message):
        write_clip(clip(), tmp_path / name, **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["gif", "mp4"])
def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch, kind):
    (path := tmp_path / f"c.{kind}").write_bytes(b"mine")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match="the disk is full; free some space"):
        write_clip(clip(), path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name] and path.read_bytes() == b"mine"


def test_path_bytes_stream_and_reader_are_one_clip(tmp_path):
    write_clip(clip(4, 32, 32), tmp_path / "c.mp4"), write_clip(clip(4, 32, 32), tmp_path / "c.webp")
    for name in ("c.mp4", "c.webp"):
        data = (tmp_path / name).read_bytes()
        first, *others = (
            read_clip(source) for source in (tmp_path / name, str(tmp_path / name), data, io.BytesIO(data))
        )
        assert all(np.array_equal(first.frames, other.frames) and first.rate == other.rate for other in others)
    with VideoReader(tmp_path / "c.mp4") as reader:
        assert np.array_equal(read_clip(reader).frames, read_clip(tmp_path / "c.mp4").frames)
    assert read_clip(data, name="walk").name == "walk"


def test_little_memory_is_said_without_the_bytes_themselves(monkeypatch):
    def none(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(moving_pictures, "_opened", none)
    with pytest.raises(DeviceError, match=r"^a clip: memory ran out"):
        read_clip(b"GIF89a" * 1000)


def test_some_frames_of_a_clip_are_those_in_their_places(tmp_path):
    write_clip(clip(6), tmp_path / "c.png")
    whole, part = read_clip(tmp_path / "c.png"), read_clip(tmp_path / "c.png", first=2, frames=3)
    assert np.array_equal(part.frames, whole.frames[2:5]) and part.rate == whole.rate
    assert read_clip(tmp_path / "c.png", first=4, frames=9).count == 2
    fact = "6 frames, and the first 6 are to be passed over; a clip has at least one"
    with pytest.raises(InputError, match=fact):
        read_clip(tmp_path / "c.png", first=6)


@pytest.mark.parametrize(("side", "size"), [(12, (12, 8)), (23, (23, 15)), (24, (24, 16)), (99, (24, 16))])
def test_frames_are_reduced_as_they_come_and_never_enlarged(tmp_path, side, size):
    write_clip(clip(), tmp_path / "c.png")
    assert read_clip(tmp_path / "c.png", side=side).frames.shape == (5, size[1], size[0], 3)


def test_reducing_keeps_flat_colours_and_the_mean():
    flat = np.full((30, 50, 3), 77, np.uint8)
    assert (moving_pictures.fitted(flat, (20, 12)) == 77).all()
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert abs(moving_pictures.fitted(noise, (8, 8)).mean() - noise.mean()) < 2


def test_a_clip_that_memory_should_not_hold_is_refused_on_the_way(tmp_path, monkeypatch):
    write_clip(clip(), tmp_path / "c.png")
    monkeypatch.setattr(moving_pictures, "MOST_BYTES", 3 * 16 * 24 * 3)
    with pytest.raises(InputError, match="of frames in memory after 4 of them, the limit for a clip; cut it shorter"):
        read_clip(tmp_path / "c.png")
    assert read_clip(tmp_path / "c.png", frames=3).count == 3


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_a_still_picture_is_no_clip(kind):
    Image.fromarray(clip().frames[0]).save(data := io.BytesIO(), kind)
    with pytest.raises(InputError, match=r"photo: a still \w+ picture, where a clip is needed; name a video, or an"):
        read_clip(data.getvalue(), name="photo")


def test_pages_of_a_tiff_are_no_clip():
    frames = [Image.fromarray(frame) for frame in clip().frames]
    frames[0].save(data := io.BytesIO(), "TIFF", save_all=True, append_images=frames[1:])
    with pytest.raises(InputError, match="a still TIFF picture"):
        read_clip(data.getvalue())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "x: an empty file"),
        (b"no video at all", "x: not a video of a known container; videos read: MP4/MOV"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "x: HEIC picture: convert it to .jpg"),
        (b"GIF89a" + bytes(30), "x: damaged or truncated GIF; copy or export it again"),
        (bytes(2**21), "x: not a video"),
    ],
)
def test_what_is_no_video_is_refused(data, message):
    for source in (data, io.BytesIO(data)):
        with pytest.raises(InputError, match=message):
            read_clip(source, name="x")


def test_a_file_that_is_not_there_and_a_folder_are_refused(tmp_path):
    for path, fact in ((tmp_path / "no.mp4", "no such file"), (tmp_path, "a folder, not a file")):
        with pytest.raises(InputError, match=fact):
            read_clip(path)


@pytest.mark.parametrize("options", [{"first": -1}, {"frames": 0}, {"side": 0}, {"frames": 2.5}, {"first": "1"}])
def test_ranges_that_cannot_be_are_refused(options):
    with pytest.raises(OptionError, match="whole numbers, 0 or more, 1 or more, 1 or more"):
        read_clip(b"", **options)


def test_the_limit_of_pixels_holds_for_both_kinds(tmp_path):
    for name in ("c.mp4", "c.gif"):
        write_clip(clip(3, 16, 32), tmp_path / name)
        with pytest.raises(InputError, match="raise --max-pixels"):
            read_clip(tmp_path / name, max_pixels=511)
        assert read_clip(tmp_path / name, max_pixels=512).count == 3


def test_uneven_times_of_a_video_are_taken_as_even_at_the_mean_rate_and_said(tmp_path):
    uneven = [Fraction(i * i, 20) for i in range(5)]  # the last at 16/20 s
    found = read_clip(film(tmp_path / "c.mp4", uneven))
    assert (found.count, found.rate) == (5, 5)
    assert found.notes == ("frames at uneven times: taken as evenly spaced, 5 a second",)


def test_times_in_milliseconds_are_even(tmp_path):
    found = read_clip(film(tmp_path / "c.mkv", [Fraction(i, 30) for i in range(9)]))
    assert (abs(found.rate - 30) < Fraction(1, 10), found.notes) == (True, ())


def test_a_turned_video_with_oblong_pixels_comes_upright_and_square(tmp_path):
    path = tmp_path / "c.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(2, 1)
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((16, 32, 3), 90, np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    assert read_clip(path).frames.shape == (3, 16, 64, 3)
    assert read_clip(path, side=32).frames.shape == (3, 8, 32, 3)


def test_a_video_with_a_corrupt_tail_is_refused_or_taken_to_its_last_good_frame(tmp_path):
    write_clip(clip(9, 32, 48), tmp_path / "c.mkv")
    whole = (tmp_path / "c.mkv").read_bytes()
    (tmp_path / "c.mkv").write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(InputError, match=r"truncated MKV/WebM.*--tolerant"):
        read_clip(tmp_path / "c.mkv")
    found = read_clip(tmp_path / "c.mkv", tolerant=True)
    assert 0 < found.count < 9 and any("truncated" in note for note in found.notes)
