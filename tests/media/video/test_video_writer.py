"""Writing videos: times and pixels come back, the same frames give the same bytes, and a failure leaves nothing."""

import io
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest

from structkit.errors import InputError, OptionError, OutputError
from structkit.media import yuv
from structkit.media.containers import WRITTEN
from structkit.media.video import Frame, VideoReader
from structkit.media.video_writer import VideoWriter

EXACT = [".mp4", ".m4v", ".mov"]


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    y, x = np.mgrid[:32, :48] * 5
    return [Frame(np.stack([x, y, 20 * i + 0 * x], -1).astype(np.uint8), Fraction(i, 25)) for i in range(8)]


def write(path, frames: list[Frame], **how) -> tuple[str, ...]:
    height, width = frames[0].pixels.shape[:2]
    with VideoWriter(path, **{"width": width, "height": height, **how}) as video:
        for frame in frames:
            video.write(frame)
    return video.notes


def at(frames: list[Frame], times) -> list[Frame]:
    return [replace(frame, time=Fraction(time)) for frame, time in zip(frames, times, strict=False)]


@pytest.mark.parametrize("suffix", WRITTEN)
def test_frames_and_times_come_back(tmp_path, frames, suffix):
    path = tmp_path / f"a{suffix.upper()}"
    assert write(path, frames) == ()
    back = list(VideoReader(path))
    assert [f.time for f in back] == [f.time for f in frames]
    assert max(np.abs(a.pixels.astype(int) - b.pixels).mean() for a, b in zip(back, frames, strict=True)) < 4
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", EXACT)
@pytest.mark.parametrize(
    ("times", "rate"),
    [
        ([Fraction(1001 * i, 30000) for i in range(8)], Fraction(30000, 1001)),
        ([Fraction(i, 24) for i in (0, 1, 5, 6, 7, 30, 31, 99)], Fraction(24)),
        ([Fraction(i, 90000) for i in (0, 1, 2, 4000, 4001, 8000, 90000, 90001)], None),
        ([Fraction(i, 25) for i in range(100, 108)], Fraction(25)),  # a late first frame
        ([Fraction(i * 37, 1000) for i in range(3, 11)], Fraction(1000)),
    ],
)
def test_times_come_back_to_the_tick(tmp_path, frames, suffix, times, rate):
    write(tmp_path / f"a{suffix}", at(frames, times), rate=rate)
    assert [f.time for f in VideoReader(tmp_path / f"a{suffix}")] == times


@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_where_milliseconds_are_counted_times_come_back_to_the_nearest(tmp_path, frames, suffix):
    times = [Fraction(1001 * i, 30000) for i in range(8)]
    write(tmp_path / f"a{suffix}", at(frames, times), rate=Fraction(30000, 1001))
    assert [f.time for f in VideoReader(tmp_path / f"a{suffix}")] == [Fraction(round(t * 1000), 1000) for t in times]


@pytest.mark.parametrize("suffix", WRITTEN)
def test_frames_that_are_too_close_follow_by_a_tick(tmp_path, frames, suffix):
    """As in a burst of frames between ordinary ones: no more than the burst is moved, and all durations are kept."""
    close = [Fraction(i, 10**7) for i in (0, 1, 2, 3)]
    notes = write(tmp_path / f"a{suffix}", at(frames, [*close, Fraction(1, 25), Fraction(2, 25)]), rate=Fraction(25))
    tick = Fraction(1, 1000 if suffix in (".mkv", ".webm") else 90000)
    muxer = WRITTEN[suffix]
    assert notes == (f"frames closer than {tick} s, the {muxer} tick: each follows the one before by one",)
    assert [f.time for f in VideoReader(tmp_path / f"a{suffix}")] == [
        0,
        tick,
        2 * tick,
        3 * tick,
        Fraction(1, 25),
        Fraction(2, 25),
    ]


def test_a_frame_that_lasts_longer_than_the_container_counts_is_the_inputs_fault(tmp_path, frames):
    with pytest.raises(InputError, match=r"a.mp4: a frame is shown for 1e\+06 s, .* lasts 23860.9 s at most"):
        write(tmp_path / "a.mp4", at(frames, [0, 10**6]))


def test_a_rate_of_next_to_nothing(tmp_path, frames):
    write(tmp_path / "a.mp4", at(frames, [0, 4000, 8000]), rate=Fraction(1, 4000))
    assert [f.time for f in VideoReader(tmp_path / "a.mp4")] == [0, 4000, 8000]


@pytest.mark.parametrize("suffix", WRITTEN)
def test_times_of_the_input_come_back_whatever_they_are(film, tmp_path, suffix):
    source = VideoReader(film(".mkv", times=[0, 3, 100, 101, 333, 999]))
    write(tmp_path / f"a{suffix}", list(source), like=source)
    assert [f.time for f in VideoReader(tmp_path / f"a{suffix}")] == [f.time for f in source]


@pytest.mark.parametrize("suffix", EXACT)
@pytest.mark.parametrize(
    "times", [[Fraction(i, 25) for i in range(8)], [0, 5, *(5 + Fraction(i, 50) for i in range(1, 7))]]
)
def test_every_frame_keeps_its_duration(tmp_path, frames, suffix, times):
    made = at(frames, times)
    made[-1] = replace(made[-1], duration=Fraction(3, 4))
    write(tmp_path / f"a{suffix}", made)
    video = VideoReader(tmp_path / f"a{suffix}")
    assert [f.duration for f in video] == [*(b - a for a, b in pairwise(times)), Fraction(3, 4)]
    assert video.duration == times[-1] + Fraction(3, 4)


def test_a_last_frame_of_unknown_duration_is_as_long_as_the_one_before(tmp_path, frames):
    write(tmp_path / "a.mp4", at(frames, [0, 1, 2, 5, 7]))
    assert VideoReader(tmp_path / "a.mp4").duration == 9


def test_frames_before_zero_are_moved_to_zero(tmp_path, frames):
    notes = write(tmp_path / "a.mp4", at(frames, [Fraction(i - 3, 25) for i in range(8)]))
    assert notes == ("frames begin 0.120 s before zero: moved to zero, with the sound",)
    assert [f.time for f in VideoReader(tmp_path / "a.mp4")] == [f.time for f in frames]


@pytest.mark.parametrize("suffix", WRITTEN)
@pytest.mark.parametrize("size", [(33, 47), (1, 1), (32, 47)])
def test_odd_sides_are_one_pixel_longer(tmp_path, suffix, size):
    made = [Frame(np.full((*size, 3), 40 * i, np.uint8), Fraction(i, 25)) for i in range(3)]
    notes = write(tmp_path / f"a{suffix}", made)
    video = VideoReader(tmp_path / f"a{suffix}")
    assert (video.height, video.width) == tuple(side + side % 2 for side in size)
    assert notes == (f"{size[1]} x {size[0]} pixels made {video.width} x {video.height}: 4:2:0 needs even sides",)
    assert np.abs(list(video)[2].pixels.astype(int) - 80).max() <= 3


@pytest.mark.parametrize("suffix", WRITTEN)
def test_the_same_frames_give_the_same_bytes(film, tmp_path, suffix):
    source = VideoReader(film(sound={"aac": Fraction(0)}, size=(48, 64)))
    for name in "ab":
        write(tmp_path / f"{name}{suffix}", list(source), like=source)
    data = (tmp_path / f"a{suffix}").read_bytes()
    assert data == (tmp_path / f"b{suffix}").read_bytes()
    assert b"x264 - core" not in data and str(tmp_path).encode() not in data


def soiled(seed: int) -> np.ndarray:
    """Leave small negative numbers, such as motion to the left, in free memory: what an encoder reads before it has
    written it.

    In blocks that malloc takes from its heap; it keeps that memory as long as the returned one, the last, is held.
    """
    numbers = np.random.default_rng(seed).integers(-64, 0, 30_000, dtype=np.int16)
    return [numbers.copy() for _ in range(400)][-1]


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
@pytest.mark.parametrize("width", [46, 130, 200])
def test_what_lay_in_memory_before_does_not_show(tmp_path, suffix, width):
    y, x = np.mgrid[:32, :width]
    ramp = np.stack([120 + 2 * x % 100, 200 - y, 90 + 0 * x], -1)
    made = [
        Frame(np.where(np.hypot(y - 16, x - 3 * i)[..., None] < 8, 40, ramp).astype(np.uint8), Fraction(i, 8))
        for i in range(4)
    ]
    seen = set()
    for seed in range(6):
        held = soiled(seed)
        write(tmp_path / f"a{suffix}", made)
        seen.add((tmp_path / f"a{suffix}").read_bytes())
        del held
    assert len(seen) == 1


@pytest.mark.parametrize("suffix", WRITTEN)
def test_the_colours_are_what_the_tags_say(tmp_path, suffix):
    """Read by FFmpeg alone, through the tags; standard size, where an untagged video would be taken for BT.601."""
    colours = np.array(
        [[200, 30, 60], [30, 180, 40], [20, 40, 220], [255, 255, 255], [0, 0, 0], [128, 128, 128]], np.uint8
    )
    made = [Frame(np.broadcast_to(c, (32, 32, 3)).copy(), Fraction(i, 25)) for i, c in enumerate(colours)]
    write(tmp_path / f"a{suffix}", made, quality=100)
    with av.open(str(tmp_path / f"a{suffix}")) as container:
        stream = container.streams.video[0]
        tags = [
            getattr(stream.codec_context, name)
            for name in ("colorspace", "color_primaries", "color_trc", "color_range")
        ]
        assert tags == [1, 1, 1, 1]  # BT.709, limited range: ITU-T H.273
        levels = [
            tuple(int(np.frombuffer(plane, np.uint8)[0]) for plane in frame.planes)
            for frame in container.decode(stream)
        ]
    expected = [bt709(c) for c in colours / 255]
    assert np.abs(np.array(levels) - expected).max() <= 1


@pytest.mark.parametrize("size", [(2, 2), (7, 5), (34, 18), (97, 131)])
def test_the_quick_way_from_rgb_gives_the_bytes_of_the_exact_one(size):
    """Down to noise, where every rounding shows; odd edges are repeated."""
    rng = np.random.default_rng(0)
    quick, exact = yuv.Subsampler(size[1], size[0]), yuv.Scaler(yuv.SCALE_FLAGS)
    for pixels in (rng.integers(0, 256, (*size, 3)), 255 * rng.integers(0, 2, (*size, 3)), np.full((*size, 3), 255)):
        pixels = pixels.astype(np.uint8)
        even = np.pad(pixels, ((0, size[0] % 2), (0, size[1] % 2), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(even, format="rgb24")
        made = exact(frame, "in_range=pc:out_range=tv:out_color_matrix=bt709", "yuv420p")
        assert np.array_equal(quick(pixels).to_ndarray(), made.to_ndarray())


def bt709(rgb: np.ndarray) -> list[int]:
    """ITU-R BT.709-6, 3: levels of Y, Cb, Cr in 8 bits."""
    y = rgb @ [0.2126, 0.7152, 0.0722]
    return [round(v) for v in (16 + 219 * y, 128 + 224 * (rgb[2] - y) / 1.8556, 128 + 224 * (rgb[0] - y) / 1.5748)]


def test_quality_changes_the_size(tmp_path, frames):
    rng = np.random.default_rng(0)
    noisy = [replace(f, pixels=rng.integers(0, 256, f.pixels.shape).astype(np.uint8)) for f in frames]
    for suffix in (".mp4", ".webm"):
        sizes = []
        for quality in (1, None, 100):
            write(tmp_path / f"a{suffix}", noisy, quality=quality)
            sizes.append((tmp_path / f"a{suffix}").stat().st_size)
        assert sizes == sorted(set(sizes))


def test_the_index_stands_first(tmp_path, frames):
    write(tmp_path / "a.mp4", frames)
    data = (tmp_path / "a.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_a_stream_gets_an_mp4(tmp_path, frames):
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    pipe = Pipe()
    write(pipe, frames)
    write(tmp_path / "a.mp4", frames)
    assert pipe.getvalue() == (tmp_path / "a.mp4").read_bytes()


def test_a_stream_that_takes_nothing_is_named(frames):
    class Full(io.BytesIO):
        name = "full"

        def write(self, data) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(
        OutputError,
        match=r"^full: cannot be written \(No space left on device\); choose another path or free some space",
    ):
        write(Full(), frames)


@pytest.mark.parametrize("error", [ValueError("mine"), OSError("mine"), KeyboardInterrupt()])
def test_a_failure_leaves_nothing_and_is_the_callers_own(tmp_path, frames, error):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"before")
    with pytest.raises(type(error)) as caught, VideoWriter(path, width=48, height=32) as video:
        video.write(frames[0])
        raise error
    assert caught.value is error
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"] and path.read_bytes() == b"before"
    pipe = io.BytesIO()
    with pytest.raises(type(error)), VideoWriter(pipe, width=48, height=32) as video:
        video.write(frames[0])
        raise error
    assert pipe.getvalue() == b""


def test_what_cannot_be_written_is_refused(tmp_path, frames):
    def refused(kind, match: str, name: str = "a.mp4", made=frames, **how) -> None:
        with pytest.raises(kind, match=match) as caught:
            write(tmp_path / name, made, **how)
        assert str(caught.value).startswith(str(tmp_path / name)) and list(tmp_path.iterdir()) == []

    refused(OutputError, "unknown video format; end the name in one of .mp4 .m4v .mov .mkv .webm", "a.gif")
    refused(OutputError, ".avi videos are read, not written; end the name in one of .mp4", "a.avi")
    refused(OutputError, "no such folder", "none/a.mp4")
    refused(OptionError, "0 x 32 pixels; a side of a video has 1 to 16384", width=0)
    refused(OptionError, "quality 101; it goes from 1 to 100", quality=101)
    refused(OptionError, "quality 0; it goes from 1 to 100", quality=0)
    refused(OptionError, "-5 frames a second; it must be more than 0", rate=Fraction(-5))
    refused(InputError, r"a frame of uint8 \(32, 48, 3\); all frames must be uint8 \(32, 50, 3\)", width=50)
    refused(
        InputError,
        "a frame at 0.000000 s after one at 0.040000 s; times must increase$",
        made=at(frames, [0, Fraction(1, 25), 0]),
    )
    refused(InputError, "times must increase", "a.mkv", at(frames, [0, 0]))
    with (
        pytest.raises(InputError, match=r"a\.mp4: no frames to write; a video has at least one"),
        VideoWriter(tmp_path / "a.mp4", width=4, height=4),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
