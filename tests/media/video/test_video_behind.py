"""What stands behind a video in its file: another one, a tag, zeros; and headers that lie about their length."""

import struct
import tracemalloc
from contextlib import suppress
from io import BytesIO

import av
import pytest

from structkit.errors import InputError
from structkit.media.transport import TransportSurvey
from structkit.media.video import VideoReader

from .made_clips import FRAMES, KINDS, OTHERS, clip

TAG = b"TAG" + b"A title".ljust(124, b"\0") + b"\xff"  # ID3v1


def read(data: bytes) -> tuple[int, list[str]]:
    """The number of frames, and the notes on what is missing."""
    with VideoReader(data, name="a.file") as video:
        return len(list(video)), [note for note in video.notes if not note.startswith(("interlaced", "10 bits"))]


@pytest.mark.parametrize("behind", [TAG, bytes(300), bytes(5000) + TAG, bytes(3)])
@pytest.mark.parametrize("kind", [*KINDS, *OTHERS])
def test_a_tag_or_zeros_behind_the_last_piece_do_no_harm(kind, behind):
    assert read(clip(kind) + behind) == (FRAMES, [])


@pytest.mark.parametrize("kind", ["mkv h264", "webm vp9"])
def test_anything_may_stand_behind_a_segment_of_known_size(kind):
    assert read(clip(kind) + b"A program's own words, of any length.") == (FRAMES, [])


@pytest.mark.parametrize("kind", ["mkv h264", "flv", "ts h264", "mpg", "ogv"])
def test_bytes_before_the_last_piece_are_not_behind_it(kind):
    data = clip(kind)
    at = len(data) * 3 // 4
    try:
        count, notes = read(data[:at] + TAG + data[at:])
    except InputError:
        return
    assert notes or count == FRAMES


def fragmented(flags: str) -> bytes:
    """An MP4 in fragments."""
    made, options = BytesIO(), {"movflags": f"empty_moov+default_base_moof+{flags}"}
    with av.open(BytesIO(clip("mp4 h264"))) as source, av.open(made, "w", format="mp4", options=options) as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    return made.getvalue()


def test_of_joined_fragments_there_is_a_word():
    data = fragmented("frag_custom")
    assert data.count(b"moof") == 1
    assert read(data * 2) == (FRAMES, ["another recording follows the first in the file, and is not read"])


def test_streams_may_repeat_their_index():
    data = fragmented("frag_keyframe")
    index = data[data.index(b"moov") - 4 :]
    index = index[: struct.unpack(">I", index[:4])[0]]
    at = data.rindex(b"moof") - 4
    assert read(data[:at] + index + data[at:]) == (FRAMES, [])


def test_a_header_of_any_stated_length_takes_little_memory():
    data = bytearray(clip("wmv"))
    struct.pack_into("<Q", data, 16, 1 << 25)
    data += bytes(1 << 25)
    tracemalloc.start()
    with suppress(InputError):
        read(bytes(data))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < len(data) + (16 << 20)


def test_a_survey_of_many_gaps_keeps_their_number():
    some = bytearray(188)
    some[:4], some[4:24] = b"\x47\x41\0\x10", b"\0\0\1\xe0\0\0\x80\x80\5\x21\0\1\0\1".ljust(20, b"\xff")
    packets = bytearray(bytes(some) * 40_000)
    packets[3::188] = bytes(0x10 | 2 * n % 16 for n in range(40_000))
    survey = TransportSurvey(BytesIO(bytes(packets)), 188)
    assert (survey.missing, survey.first, survey.joins) == (39_999, 188, 0)
