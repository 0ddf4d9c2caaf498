"""Whatever bytes come in: frames or an InputError of one line, never another exception."""

import warnings
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from structkit.errors import InputError
from structkit.media.video import VideoReader

KINDS = [".mp4", ".mkv", ".webm", ".avi", ".ts"]


@pytest.fixture(scope="module")
def file(film):
    return {suffix: film(suffix, times=range(0, 240, 40)).read_bytes() for suffix in KINDS}


def survives(data: bytes) -> int | None:
    """The law; the number of frames."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            frames = list(VideoReader(data, name="some.file", max_pixels=1 << 16))
        except InputError as error:
            assert str(error).startswith("some.file: ") and "\n" not in str(error) and len(str(error)) < 300
            return None
    assert len({frame.pixels.shape for frame in frames}) == 1
    assert all(a.time < b.time for a, b in pairwise(frames))
    return len(frames)


@pytest.mark.parametrize("kind", KINDS)
def test_the_files_are_good(file, kind):
    assert survives(file[kind]) == 6


@pytest.mark.parametrize("kind", KINDS)
@settings(
    max_examples=25,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_mutated_files_are_videos_or_input_errors(file, kind, data):
    mutated = bytearray(file[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(mutated) - 1) | st.integers(0, min(600, len(mutated) - 1)))
        piece = data.draw(st.binary(max_size=4))
        match data.draw(st.sampled_from(["overwrite", "insert", "delete"])):
            case "overwrite":
                mutated[at : at + len(piece)] = piece
            case "insert":
                mutated[at:at] = piece
            case "delete":
                del mutated[at : at + 1 + len(piece)]
        mutated = mutated or bytearray(b"\0")
    survives(bytes(mutated))


@settings(max_examples=40, deadline=None, database=None, derandomize=True)
@given(
    st.sampled_from(
        [b"\0\0\0\x18ftypisom", b"\x1aE\xdf\xa3", b"RIFF\0\0\0\0AVI ", b"OggS", b"FLV\1", b"0&\xb2u", b"\0\0\1\xba"]
    ),
    st.binary(),
)
@example(b"\x1aE\xdf\xa3", b"\x01" + b"\xff" * 6 + b"\xfe" + bytes(99))
@example(b"\x1aE\xdf\xa3", b"\x00" + b"\xff" * 8 + bytes(99))
@example(b"\x1aE\xdf\xa3", b"\x80" + b"\x00" + b"\xff" * 99)
def test_any_bytes_after_a_good_beginning(head, tail):
    survives(head + tail)
