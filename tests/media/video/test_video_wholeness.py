"""What a container promises is compared with what comes: lost frames are said, and whole files raise no doubt."""

import struct
from fractions import Fraction
from io import BytesIO
from itertools import pairwise

import av
import pytest

from structkit.errors import InputError
from structkit.media.video import VideoReader

from .made_clips import FRAMES, KINDS, OTHERS, clip

CHANGED = ("interlaced", "bits a channel")  # notes on what is in a file, not on what is missing


def read(data: bytes, **how) -> tuple[list[Fraction], list[str]]:
    """The times of the frames, and the notes on what is missing."""
    with VideoReader(data, name="a.file", **how) as video:
        times = [frame.time for frame in video]
        return times, [note for note in video.notes if not any(word in note for word in CHANGED)]


def says_it(data: bytes, frames: int = FRAMES) -> bool:
    """The law: an error, a note, or all frames."""
    try:
        times, notes = read(data)
    except InputError:
        return True
    return bool(notes) or len(times) == frames


@pytest.mark.parametrize("kind", [*KINDS, *OTHERS])
def test_a_whole_file_gives_all_its_frames_and_no_doubt(kind):
    times, notes = read(clip(kind))
    assert (len(times), notes) == (FRAMES, [])
    # 0.2 s where a container rounds, or its sound begins before the pictures
    assert all(0 < b - a < Fraction(3, 25) for a, b in pairwise(times)) and 0 <= times[0] < Fraction(1, 5)


@pytest.mark.parametrize("kind", [*KINDS, *OTHERS])
def test_bytes_lost_on_the_way_are_said(kind):
    data = clip(kind)
    for share in (0.2, 0.4, 0.6, 0.8):
        at = int(share * len(data))
        assert says_it(data[:at] + data[at + 97 :]) and says_it(data[:at] + bytes(150) + data[at + 150 :])


@pytest.mark.parametrize("kind", ["mkv live", "flv", "ogv", "wmv", "mpg", "ts h264", "m2ts"])
def test_a_file_that_is_cut_is_read_with_a_note_or_refused(kind):
    data = clip(kind)
    for share in (0.5, 0.6, 0.9):
        assert says_it(data[: int(share * len(data)) | 1])
    with VideoReader(clip("mkv live")[:-2]) as video:
        assert len(list(video)) == FRAMES - 1
        assert video.notes == ("damaged: the file ends in the middle of a piece: frames may be missing",)


@pytest.mark.parametrize("kind", ["ts h264", "ts mpeg2", "m2ts"])
def test_a_lost_packet_of_a_transport_stream_is_said(kind):
    data, step = clip(kind), 192 if kind == "m2ts" else 188
    for at in range(0, len(data) - step, step * (len(data) // step // 40)):
        assert says_it(data[:at] + data[at + step :])


def test_a_stream_may_say_that_it_starts_anew():
    """A packet with the indicator of a discontinuity (ISO/IEC 13818-1, 2.4.3.4) explains a jump of its counter."""
    data = bytearray(clip("ts mpeg2"))
    pids = [(at, (data[at + 1] & 31) << 8 | data[at + 2]) for at in range(0, len(data), 188)]
    at = [at for at, pid in pids if pid == 256 and data[at + 3] & 0x20 and data[at + 4]][3]
    data[at + 5] |= 0x80
    for later, pid in pids:
        if pid == 256 and later >= at:
            data[later + 3] = data[later + 3] & 0xF0 | (data[later + 3] + 5) & 15
    assert read(bytes(data)) == read(clip("ts mpeg2"))


def box(data: bytes, *path: bytes) -> int:
    """Where a box of an MP4 is, by the names of those that it is in."""
    at = 0
    for name in path:
        at = data.index(name, at) + 4
    return at - 8


def test_an_mp4_without_the_samples_that_its_table_states_is_damaged():
    data = bytearray(clip("mov mjpeg"))
    at = box(data, b"moov", b"stbl", b"stsz")
    assert struct.unpack_from(">I", data, at + 16) == (FRAMES,)
    struct.pack_into(">I", data, at + 16, 25)
    with pytest.raises(
        InputError,
        match=r"^a.file: damaged MP4/MOV after 25 frames \(0.96 s\) \(it states 30 frames, 25 are there\); copy or exp",
    ):
        read(bytes(data))


@pytest.mark.parametrize("kind", ["mp4 h264", "mov mjpeg", "mp4 hevc"])
@pytest.mark.parametrize("start", [0, 10])
def test_frames_that_an_edit_hides_are_not_missing(kind, start):
    data = bytearray(clip(kind))
    at = box(data, b"moov", b"elst")
    length, begins = struct.unpack_from(">Ii", data, at + 16)
    struct.pack_into(">Ii", data, at + 16, length // 2, begins + start * 512)
    times, notes = read(bytes(data))
    assert len(times) == 15 and notes == [] and times[0] == 0


def test_a_packet_that_gives_no_frame_is_said():
    data = clip("mp4 hevc")
    with av.open(BytesIO(data)) as container:
        packet = min((bytes(p) for p in container.demux(video=0) if p.size), key=len)  # to which no other refers
    filler = packet[:4] + bytes([38 << 1]) + packet[5:]  # a unit without pictures: H.265, table 7-1
    times, notes = read(data.replace(packet, filler))
    assert len(times) == FRAMES - 1
    assert notes == ["damaged: 1 of its pictures cannot be decoded: frames are missing"]


def test_a_hidden_picture_is_not_missing():
    """Of VP8 (RFC 6386, 9.1), to which others refer; it has a packet of its own."""
    data = clip("webm vp8")
    with av.open(BytesIO(data)) as container:
        packet = min((bytes(p) for p in container.demux(video=0) if p.size), key=len)
    times, notes = read(data.replace(packet, bytes([packet[0] & ~0x10]) + packet[1:]))
    assert (len(times), notes) == (FRAMES - 1, [])


def test_of_joined_recordings_that_are_not_read_there_is_a_word():
    assert read(clip("mp4 h264") * 2)[1] == ["another recording follows the first in the file, and is not read"]
    for kind in ("mpg", "mkv h264"):
        with pytest.raises(InputError, match="it is more than one recording: split it, or convert it to one"):
            read(clip(kind) * 2)
    times, notes = read(clip("avi mpeg4") * 2)
    assert (len(times), notes) == (2 * FRAMES, [])


def test_clusters_of_unknown_length_are_read():
    """As browsers write them."""
    data = bytearray(clip("mkv live"))
    found, at = 0, 0
    while (at := data.find(b"\x1fC\xb6u", at + 4)) >= 0:
        width = 9 - data[at + 4].bit_length()
        data[at + 4 : at + 4 + width] = ((1 << 7 * width + 1) - 1).to_bytes(width)
        found += 1
    assert found > 2 and read(bytes(data)) == read(clip("mkv live"))


def test_zeros_behind_a_program_stream_do_no_harm():
    assert read(clip("mpg") + bytes(1 << 20)) == read(clip("mpg"))


def test_frames_that_an_even_stream_leaves_out_are_said(film):
    """Broadcasts come at one rate; of a camera's own files that vary it is not expected."""
    times = [n for n in range(0, 2000, 40) if n not in (800, 840)]
    assert read(film(".ts", times=times).read_bytes())[1] == [
        "damaged: 2 of its pictures do not come: frames are missing"
    ]
    uneven = [n + 11 * (n // 40 % 3) for n in times]
    assert all(read(film(suffix, times=uneven).read_bytes())[1] == [] for suffix in (".ts", ".mkv", ".mp4"))
    assert read(film(".mkv", times=times).read_bytes())[1] == []


def test_damage_may_be_borne(film):
    path = film(".mkv", size=(96, 128), options={"crf": "4", "bf": "0", "threads": "1"}, times=range(0, 1200, 40))
    data = path.read_bytes()
    with av.open(str(path)) as container:
        packet = bytes(list(container.demux(video=0))[15])
    hurt = data.replace(packet, packet[:4] + b"\x65" * (len(packet) - 4))
    with pytest.raises(InputError, match="damaged MKV/WebM after"):
        read(hurt)
    video, whole = VideoReader(hurt, tolerant=True), list(VideoReader(data))
    frames = list(video)
    assert 5 < len(frames) < 30
    assert all((a.pixels == b.pixels).all() and a.time == b.time for a, b in zip(frames, whole, strict=False))
    assert frames[-1].duration == Fraction(1, 25)  # not until the end that the file states
    (note,) = [note for note in video.notes if "the video ends there" in note]
    assert note.startswith(f"damaged MKV/WebM after {len(frames)} frames (")


def test_damage_before_the_first_frame_is_not_borne(film):
    with pytest.raises(InputError, match=r"before its first frame|not a video|truncated"):
        read(film(".mkv").read_bytes()[:700] + bytes(300), tolerant=True)


@pytest.mark.parametrize("kind", ["ts h264", "ts mpeg2", "m2ts"])
@pytest.mark.parametrize("count", [2, 3])
def test_the_times_of_joined_transport_streams_go_on(kind, count):
    one, data = read(clip(kind))[0], clip(kind) * count
    times, notes = read(data)
    assert notes == [f"{count} recordings joined in one file: the times go on from one to the next"]
    assert times == [one[0] + Fraction(n, 25) for n in range(count * FRAMES)]


def test_the_sound_of_joined_transport_streams_stays_with_its_pictures(film):
    paths = [film(".ts", times=range(0, 1000, 40), sound={"aac": start}) for start in (Fraction(0), Fraction(1, 5))]
    one, other = (_apart(path.read_bytes()) for path in paths)
    both = _apart(b"".join(path.read_bytes() for path in paths))
    assert both[: len(one)] == one and both[len(one) :] == other


def _apart(data: bytes) -> list[Fraction]:
    """How much later each packet of sound is heard than the last frame whose packet stands before it, s."""
    video, shown, apart = VideoReader(data), Fraction(0), []
    with video.demuxer() as container:
        for packet in container.demux():
            if packet.pts is not None and packet.stream.type == "video":
                shown = packet.dts * packet.time_base
            elif packet.pts is not None:
                apart.append(packet.pts * packet.time_base - shown)
    return apart


def test_frames_of_avi_are_numbered(film, burst):
    """The container states no times; H.264 reorders its frames on the way into it."""
    path = film(".avi", codec="libx264", options={"bf": "3"}, times=range(0, 800, 40), sound={"pcm_s16le": Fraction(0)})
    with VideoReader(path) as video:
        frames = list(video)
    assert [frame.time for frame in frames] == [Fraction(n, 25) for n in range(20)]
    assert {frame.duration for frame in frames} == {Fraction(1, 25)} and video.notes == ()
    assert [int(f.pixels[:, :, 2].mean()) for f in frames] == pytest.approx([40 + 10 * n for n in range(20)], abs=5)
    assert burst(path) == pytest.approx(0.2, abs=0.003)
