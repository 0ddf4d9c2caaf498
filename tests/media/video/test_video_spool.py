"""Streams that can be read only once are copied, as far as they are videos and the disk has room."""

import io
from collections import namedtuple

import pytest

from structkit.errors import InputError
from structkit.media.video import VideoReader

from .made_clips import FRAMES, clip


class EndlessStream(io.RawIOBase):
    """A stream that begins with some bytes, and goes on with zeros for ever."""

    def __init__(self, head: bytes = b"") -> None:
        super().__init__()
        self._head, self.read_so_far = io.BytesIO(head), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        some = self._head.read(len(buffer)) or bytes(len(buffer))
        buffer[: len(some)] = some
        self.read_so_far += len(some)
        return len(some)


@pytest.fixture
def small_disk(monkeypatch):
    usage = namedtuple("Usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(8 << 20, 2 << 20, 6 << 20))


def test_a_stream_that_is_no_video_is_refused_by_its_first_bytes():
    stream = EndlessStream()
    with pytest.raises(InputError, match="not a video of a known container"):
        VideoReader(stream, name="a pipe")
    assert stream.read_so_far < 1 << 16


def test_a_stream_without_an_end_does_not_fill_the_disk(small_disk):
    stream = EndlessStream(clip("mp4 h264"))
    with pytest.raises(InputError, match=r"^a pipe: a stream without an end, or longer than half of the free space in"):
        VideoReader(stream, name="a pipe")
    assert stream.read_so_far < 6 << 20


def test_a_stream_that_fits_is_read(small_disk):
    assert len(list(VideoReader(io.BufferedReader(io.BytesIO(clip("mp4 h264")))))) == FRAMES
