"""Interlaced video: every frame is made one of a single moment, and nothing else is touched."""

from fractions import Fraction

import av
import numpy as np
import pytest

from structkit.errors import InputError
from structkit.media.sampled import SampledVideo
from structkit.media.video import VideoReader

COUNT, STEP = 10, 5  # frames; px that a bar moves from one field to the next


def moment(number: int, shape=(64, 96)) -> np.ndarray:
    """A bar before a slope, at the time of field `number`."""
    x = np.tile(np.arange(shape[1]), (shape[0], 1))
    return np.where((x - 8 - STEP * number) % shape[1] < 16, 220, 60 + x).astype(np.uint8)


@pytest.fixture
def laced(tmp_path):
    """laced(flag): a film whose odd rows are a field later than its even ones, or earlier; flagged or not."""

    def make(flagged: bool, *, shape=(64, 96), suffix=".mkv") -> str:
        path = str(tmp_path / f"{flagged}{suffix}")
        with av.open(path, "w") as output:
            options = {"crf": "4"} | ({"flags": "+ilme+ildct"} if flagged else {})  # the lower field first
            stream = output.add_stream("libx264", rate=25, options=options)
            stream.height, stream.width = shape
            stream.pix_fmt = "yuv420p"
            for number in range(COUNT):
                rows = moment(2 * number + 1, shape)
                rows[1::2] = moment(2 * number, shape)[1::2]
                frame = np.concatenate([rows, np.full((shape[0] // 2, shape[1]), 128, np.uint8)])
                frame = av.VideoFrame.from_ndarray(frame, "yuv420p")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        return path

    return make


def luma(frame) -> np.ndarray:
    return frame.pixels[..., 0].astype(float) * 219 / 255 + 16


def test_an_interlaced_frame_is_made_one_of_its_earlier_moment(laced):
    video = VideoReader(laced(True))
    frames = list(video)
    assert video.notes == ("interlaced: each frame shows the earlier of its two fields, deinterlaced (bwdif)",)
    assert [frame.time for frame in frames] == [Fraction(n, 25) for n in range(COUNT)]
    for number, frame in enumerate(frames):
        assert abs(luma(frame) - moment(2 * number)).mean() < 1.5 < abs(luma(frame) - moment(2 * number + 1)).mean()


def test_what_is_not_flagged_stays_as_it_is(laced):
    video = VideoReader(laced(False))
    for number, frame in enumerate(video):
        assert abs(luma(frame)[1::2] - moment(2 * number)[1::2]).mean() < 1.5
        assert abs(luma(frame)[::2] - moment(2 * number + 1)[::2]).mean() < 1.5
    assert video.notes == ()


def test_samples_are_deinterlaced(laced):
    samples = list(SampledVideo(laced(True), side=64))
    for number, sample in enumerate(samples):
        assert abs(luma(sample) - moment(2 * number)).mean() < 1.5


def test_damage_behind_interlaced_frames_takes_none_of_them(laced):
    with open(laced(True, suffix=".ts"), "rb") as file:
        data = file.read()
    whole = list(VideoReader(data))
    video = VideoReader(data[: len(data) * 2 // 3 // 188 * 188], tolerant=True)
    frames = list(video)
    assert 3 < len(frames) < len(whole) == COUNT
    assert all((a.pixels == b.pixels).all() for a, b in zip(frames[:-2], whole, strict=False))


def test_damage_behind_interlaced_frames_is_an_error_where_nothing_else_is_asked(laced):
    with open(laced(True), "rb") as file:
        data = file.read()
    with pytest.raises(InputError, match="damaged"):
        list(VideoReader(data[: len(data) * 2 // 3] + bytes(len(data) // 3 + 9)))


def test_a_picture_too_low_for_the_filter_is_left_as_it_is(laced):
    video = VideoReader(laced(True, shape=(4, 96)))
    assert len(list(video)) == COUNT
    assert video.notes == ("interlaced: both fields are taken as one frame",)
