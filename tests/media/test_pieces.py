"""Streams that are read in pieces: all that they give, in memory once, and no more than a limit."""

import tracemalloc
from io import BytesIO

import pytest

from structkit.errors import InputError
from structkit.media import files


def test_a_stream_is_read_in_pieces_up_to_its_limit():
    asked = []

    class Endless(BytesIO):
        def read(self, most=-1):
            asked.append(most)
            return b"x" * most

    assert files.read_pieces(Endless(), 3 * files.PIECE + 5) == b"x" * (3 * files.PIECE + 5)
    assert max(asked) <= files.PIECE
    assert files.read_pieces(BytesIO(b"abc"), 10) == b"abc"
    assert files.read_pieces(BytesIO(b"cdef"), 4, b"ab") == b"abcd"


@pytest.mark.parametrize("read", [files.read_once, lambda stream, name: files.read_pieces(stream, 2**30)])
def test_what_is_read_is_in_memory_once(read):
    class Pipe(BytesIO):
        left = 24

        def read(self, most=-1):
            self.left -= 1
            return b"x" * most if self.left >= 0 else b""

    tracemalloc.start()
    data = read(Pipe(), "pipe")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(data) > 20 * files.PIECE and peak < 1.3 * len(data)


def test_what_never_ends_is_an_error(monkeypatch):
    with pytest.raises(InputError, match=r"^/dev/zero: a megabyte of zeros, which is neither a picture nor a video"):
        files.sha256_file("/dev/zero")
    monkeypatch.setattr(files, "MOST_IN_MEMORY", 2**21)
    with pytest.raises(InputError, match=r"^pipe: over 2 MiB, the limit for what can be read only once; save it"):
        files.read_once(BytesIO(b"x" * 2**22), "pipe")
