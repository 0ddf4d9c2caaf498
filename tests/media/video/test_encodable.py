"""Pictures that are encoded as the decoder gives them: where nothing is to be done to them, nothing is."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from structkit.errors import InputError
from structkit.media.retiming import retime
from structkit.media.timing import TimeMap
from structkit.media.video import Frame, VideoReader
from structkit.media.video_writer import VideoWriter
from structkit.media.yuv import TAGS

HALVED = TimeMap(((Fraction(0), Fraction(0)),), Fraction(1, 2), Fraction(1, 2))


def film(path: Path, *, tags: dict | None = None, pixel_format: str = "yuv420p", size=(64, 48), count: int = 8) -> Path:
    """A film of coloured noise, smooth enough to be encoded well."""
    random = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        how = {"crf": "8", **(TAGS if tags is None else tags)}
        stream = container.add_stream("libx264", rate=25, options=how)
        stream.width, stream.height, stream.pix_fmt = *size, pixel_format
        for _ in range(count):
            small = random.integers(30, 220, (size[1] // 8 + 1, size[0] // 8 + 1, 3), dtype=np.uint8)
            pixels = np.kron(small, np.ones((8, 8, 1), np.uint8))[: size[1], : size[0]]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame = frame.reformat(format=pixel_format, dst_colorspace="ITU709")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def kept(path: Path) -> list[bool]:
    """Whether each picture of a video stays as it is."""
    with VideoReader(path) as reader:
        convert = reader.converter(encodable=True)
        return [isinstance(convert(frame.picture), av.VideoFrame) for frame in reader.stored_frames()]


def test_a_picture_that_can_be_encoded_stays_as_it_is_and_is_nearer_to_the_source_than_a_converted_one(tmp_path):
    path = film(tmp_path / "film.mp4")
    assert all(kept(path))
    with VideoReader(path) as reader:
        source = [frame.pixels.astype(int) for frame in reader]
        plain = retime(reader, tmp_path / "plain.mp4", HALVED, quality=95)
        painted = retime(reader, tmp_path / "painted.mp4", HALVED, quality=95, paint=lambda pixels, time: pixels)
    assert plain.frames == painted.frames == 4
    with VideoReader(tmp_path / "plain.mp4") as one, VideoReader(tmp_path / "painted.mp4") as other:
        for ours, theirs in zip(one, other, strict=True):
            near, far = (min(np.abs(shown - f.pixels).mean() for shown in source) for f in (ours, theirs))
            assert ours.time == theirs.time
            assert near < 0.5 and near < far


@pytest.mark.parametrize(
    "how",
    [
        {"tags": {**TAGS, "colorspace": "smpte170m"}},
        {"tags": {**TAGS, "color_range": "pc"}},
        {"tags": {}},  # small, so that it is likely in BT.601
        {"pixel_format": "yuv444p"},
        {"pixel_format": "yuv420p10le"},
        {"size": (64, 50), "pixel_format": "yuv422p"},
    ],
)
def test_a_picture_in_other_colours_is_converted(tmp_path, how):
    assert not any(kept(film(tmp_path / "film.mp4", count=2, **how)))


def test_a_picture_that_is_reduced_is_converted(tmp_path):
    with VideoReader(film(tmp_path / "film.mp4", count=2)) as reader:
        convert = reader.converter((32, 24), encodable=True)
        assert [convert(frame.picture).shape for frame in reader.stored_frames()] == [(24, 32, 3)] * 2


def test_a_writer_refuses_a_picture_that_must_be_converted(tmp_path):
    with VideoReader(film(tmp_path / "film.mp4", count=2, pixel_format="yuv444p")) as reader:
        [picture, *_] = (frame.picture for frame in reader.stored_frames())
    with (
        pytest.raises(InputError, match="a picture that must be converted before it can be encoded"),
        VideoWriter(tmp_path / "out.mp4", width=64, height=48) as writer,
    ):
        writer.write(Frame(picture, Fraction(0)))
    assert not (tmp_path / "out.mp4").exists()
