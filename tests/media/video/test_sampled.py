"""Small samples on a regular grid of times: which frame, how small, what is repeated, where a cut is."""

from fractions import Fraction
from itertools import pairwise
from math import ceil

import av
import numpy as np
import pytest

from structkit.errors import InputError
from structkit.media.cuts import CutFinder
from structkit.media.sampled import SampledVideo
from structkit.media.video import VideoReader


@pytest.fixture
def grey(tmp_path):
    """grey(planes, times, ...): a film of (H, W) uint8 greys; times: ticks of 1/base s."""

    def make(greys, times=None, *, suffix=".mkv", base=1000):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}{suffix}"
        with av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as output:
            stream = output.add_stream("ffv1" if suffix == ".mkv" else "libx264", rate=25, time_base=Fraction(1, base))
            stream.height, stream.width = greys[0].shape
            stream.pix_fmt = "yuv420p"
            for number, plane in enumerate(greys):
                planes = np.concatenate([plane, np.full_like(plane[: len(plane) // 2], 128)])
                frame = av.VideoFrame.from_ndarray(planes.astype(np.uint8), "yuv420p")
                frame.pts, frame.time_base = times[number] if times else 40 * number, Fraction(1, base)
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        return path

    return make


@pytest.fixture
def numbered(grey):
    """numbered(times, ...): a film of plain greys that tell a frame's number."""
    return lambda times, **how: grey([np.full((48, 64), 20 + 4 * n) for n in range(len(times))], times, **how)


def numbers(samples) -> list[int]:
    """The number of each sample's frame."""
    return [round((sample.pixels.mean() * 219 / 255 - 4) / 4) for sample in samples]


@pytest.mark.parametrize("fps", [10, 12.5, 24, 25, 30, 50, 60])
def test_each_sample_is_the_frame_that_is_shown_at_its_time(numbered, fps):
    times = [round(1000 * n / fps) for n in range(7, 57)]
    video = SampledVideo(numbered(times), side=16)
    samples = list(video)
    looked_up = [times[0] + 40 * number + 10 for number in range(len(samples))]
    wanted = [sum(time <= at for time in times) - 1 for at in looked_up]
    assert numbers(samples) == wanted
    assert [s.repeated for s in samples] == [False] + [a == b for a, b in pairwise(wanted)]
    assert video.start == Fraction(times[0], 1000) and abs(video.end - Fraction(57) / Fraction(fps)) < Fraction(3, 1000)
    assert video.count == len(samples) == ceil((video.end - video.start) * 25 - Fraction(1, 4))


def test_stamps_that_jitter_show_no_frame_twice(numbered):
    rng = np.random.default_rng(5)
    times = [0, *(3600 * n + round(rng.uniform(-720, 720)) for n in range(1, 45))]
    samples = list(SampledVideo(numbered(times, suffix=".mp4", base=90_000), side=16))
    assert numbers(samples) == list(range(45))


def test_an_exact_duplicate_is_a_repeated_sample(grey):
    shown = [number * 15 // 25 for number in range(12)]  # 15 frames a second made 25, as converters do it
    path = grey([np.full((32, 32), 20 + 9 * number) for number in shown])
    wanted = [False] + [a == b for a, b in pairwise(shown)]
    assert [sample.repeated for sample in SampledVideo(path, side=16)] == wanted


@pytest.mark.parametrize(("size", "aspect", "side", "wanted"), [
    ((64, 96), None, 16, (16, 24)),
    ((64, 96), None, 500, (64, 96)),
    ((63, 97), None, 20, (20, 31)),
    ((64, 96), Fraction(2, 3), 32, (32, 32)),
    ((96, 64), None, 16, (24, 16)),
])  # fmt: skip
def test_the_short_side_is_reduced_and_never_enlarged(film, size, aspect, side, wanted):
    options = {} if size[0] % 2 == 0 else {"codec": "ffv1", "suffix": ".mkv", "layout": "yuv444p"}
    path = film(size=size, aspect=aspect, **options)
    samples = list(SampledVideo(path, side=side))
    assert {sample.pixels.shape for sample in samples} == {(*wanted, 3)}
    whole = next(iter(VideoReader(path))).pixels.astype(float)
    if aspect is None and whole.shape[0] % side == 0 == whole.shape[1] % side:
        height, width = wanted
        means = whole.reshape(height, whole.shape[0] // height, width, -1, 3).mean((1, 3))
        assert abs(samples[0].pixels - means).max() < 4


def test_a_turned_video_gives_upright_samples(film):
    turn = 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30
    path = film(size=(32, 64), turn=turn)
    sample, frame = next(iter(SampledVideo(path, side=16))), next(iter(VideoReader(path)))
    assert sample.pixels.shape == (32, 16, 3) and frame.pixels.shape == (64, 32, 3)
    means = frame.pixels.reshape(32, 2, 16, 2, 3).mean((1, 3))
    assert abs(sample.pixels - means).max() < 4


def test_a_reader_may_be_handed_in_and_samples_be_taken_twice(film):
    reader = VideoReader(film())
    video = SampledVideo(reader, side=16, rate=Fraction(50))
    once, again = list(video), list(video)
    assert video.reader is reader and len(once) == 24
    assert all((a.pixels == b.pixels).all() for a, b in zip(once, again, strict=True))


def test_one_frame_is_one_sample(film):
    video = SampledVideo(film(times=[0]), side=16)
    samples = list(video)
    assert len(samples) == video.count == 1 and not samples[0].repeated and not samples[0].cut


def test_a_jump_of_hours_is_damage(numbered):
    path = numbered([0, 40, 80, 9 * 3_600_000])
    with pytest.raises(InputError, match=r"no frame from 0.08 s to 32400 s"):
        list(SampledVideo(path, side=16))
    video = SampledVideo(path, side=16, tolerant=True)
    assert numbers(video) == [0, 1, 2] and any("the video ends there" in note for note in video.notes)
    assert len(list(VideoReader(path))) == 4


def test_a_cut_is_found_and_a_pan_and_a_flash_are_none():
    rng = np.random.default_rng(3)
    scenes = [np.kron(rng.integers(40 * n, 40 * n + 120, (3, 24, 3)), np.ones((16, 16, 1))) for n in range(4)]

    def pan(scene, step, count=20):
        return [scene[:, step * n : step * n + 64].astype(np.uint8) for n in range(count)]

    def cuts(frames):
        finder = CutFinder()
        told = [cut for frame in frames for cut in finder.push(frame)] + finder.finish()
        assert len(told) == len(frames)
        return [number for number, cut in enumerate(told) if cut]

    for step in (0, 1, 3, 16):
        assert cuts(pan(scenes[0], step)) == []
        found = cuts([frame for scene in scenes for frame in pan(scene, step)])
        assert found == ([20, 40, 60] if step < 16 else [])  # so fast that all differs anyway
    for length in (1, 2, 3):
        flashed = pan(scenes[1], 1)
        for number in range(9, 9 + length):
            flashed[number] = (flashed[number] // 4 + 190).astype(np.uint8)
        assert cuts(flashed) == []
    fade = [(frame * (1 - n / 19)).astype(np.uint8) for n, frame in enumerate(pan(scenes[2], 1))]
    assert cuts(fade) == []


def test_samples_tell_of_cuts(grey):
    rng = np.random.default_rng(2)
    first, second = (np.kron(rng.integers(low, low + 90, (6, 8)), np.ones((8, 8))) for low in (20, 120))
    path = grey([(first if number < 24 else second) + number % 3 for number in range(40)])
    assert [n for n, sample in enumerate(SampledVideo(path, side=16)) if sample.cut] == [24]
