"""What a container promises is compared with what comes: lost frames are said, and whole files raise no doubt."""

import struct
from contextlib import suppress
from fractions import Fraction
from io import BytesIO
from itertools import pairwise

import av
import numpy as np
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


def test_gaps_in_the_times_of_a_program_stream_are_a_doubt(film):
    """Its packets have no counters; of a transport stream, whose have, and of a camera's files, no rate is asked."""
    times = [n for n in range(0, 2000, 40) if n not in (800, 840)]
    made = BytesIO()
    with av.open(BytesIO(clip("mpg"))) as source, av.open(made, "w", format="mpeg") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.size and number not in (8, 9):  # pictures to which no other refers
                packet.stream = stream
                output.mux(packet)
    assert read(made.getvalue())[1] == ["gaps in its times: 2 pictures would fit into them, and may be missing"]
    uneven = [n + 11 * (n // 40 % 3) for n in times]
    assert all(read(film(suffix, times=uneven).read_bytes())[1] == [] for suffix in (".ts", ".mkv", ".mp4"))
    assert all(read(film(suffix, times=times).read_bytes())[1] == [] for suffix in (".ts", ".mkv"))


@pytest.mark.parametrize("kind", ["ts h264", "ts mpeg2"])
def test_a_damaged_header_of_a_picture_in_a_transport_stream_is_said(kind):
    """Its counters go on, and so does the even rate but for the gap."""
    data = clip(kind)
    starts = [at for at in range(len(data) - 9) if data[at : at + 4] == b"\0\0\1\xe0"]
    for at in starts[1:-2:3]:  # at the end the gap is none
        assert says_it(data[: at + 2] + bytes(1) + data[at + 3 :])
        times = data[: at + 11] + bytes([data[at + 11] ^ 0x20]) + data[at + 12 :]  # goes back, or far ahead
        with suppress(InputError):
            assert not any("joined" in note for note in read(times)[1])


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_joined_transport_streams_can_be_written_with_their_sound(film, copied, packets, suffix):
    """Also where the sound ends behind the pictures, and begins before those of the other recording."""
    one = film(".ts", times=range(0, 1000, 40), sound={"aac": Fraction(1, 5)}).read_bytes()
    other = film(".ts", times=range(0, 600, 40), sound={"aac": Fraction(0)}).read_bytes()
    out, _ = copied(one + other, suffix)
    sounds = [[time for time, _ in packets(BytesIO(part), "audio")] for part in (one, other)]
    heard = [time for time, _ in packets(out, "audio")]
    assert len(list(VideoReader(out))) == 25 + 15 and len(heard) == sum(map(len, sounds))
    assert all(Fraction(1, 60) < b - a for a, b in pairwise(heard))  # of 1/47 s each


def turned(data: bytes, turn: int, later: int = 0) -> bytes:
    """A transport stream whose counters are moved on, and whose clock is `later` by so many ticks."""
    some = np.frombuffer(bytearray(data), np.uint8).reshape(-1, 188)
    some[:, 3] = some[:, 3] & 0xF0 | (some[:, 3] + turn) & 15
    for packet in some:
        if packet[4:7].tobytes() == b"\0\0\1" or (packet[1] & 0x40 and packet[3] & 0x20):
            _later(packet, later)
    return some.tobytes()


def _later(packet: np.ndarray, ticks: int) -> None:
    at = 4 + (1 + int(packet[4]) if packet[3] & 0x20 else 0)
    if packet[at : at + 3].tobytes() != b"\0\0\1" or packet[at + 3] < 0xBD:
        return
    for place in {2: [9], 3: [9, 14]}.get(int(packet[at + 7]) >> 6, []):
        b = packet[at + place : at + place + 5]
        time = (
            (int(b[0]) >> 1 & 7) << 30 | int(b[1]) << 22 | int(b[2]) >> 1 << 15 | int(b[3]) << 7 | int(b[4]) >> 1
        ) + ticks
        b[:] = [
            b[0] & 0xF1 | time >> 29 & 14,
            time >> 22 & 255,
            time >> 14 & 254 | 1,
            time >> 7 & 255,
            time << 1 & 254 | 1,
        ]


@pytest.mark.parametrize("kind", ["ts h264", "ts mpeg2"])
def test_pieces_of_one_stream_whose_counters_begin_anew_are_read(kind):
    data, alone = clip(kind), read(clip(kind))[0]
    pieces = data + turned(data, 0, 30 * 3600) + turned(data, 0, 60 * 3600)
    times, notes = read(pieces)
    assert notes == [] and times == [alone[0] + Fraction(n, 25) for n in range(3 * FRAMES)]


@pytest.mark.parametrize("kind", ["ts h264", "ts mpeg2"])
def test_a_recording_whose_clock_is_later_follows_at_once(kind):
    data = clip(kind)
    times, notes = read(data + turned(data, 0, 90_000 * 3600))
    assert notes == ["2 recordings joined in one file: the times go on from one to the next"]
    assert len(times) == 2 * FRAMES and max(b - a for a, b in pairwise(times)) < Fraction(3, 20)


def test_packets_that_are_missing_on_all_tracks_at_once_are_said():
    """The same as a join, but that the counters do not begin anew."""
    data = clip("ts h264")
    times, notes = read(data + turned(data, 5, 30 * 3600))
    assert len(times) == 2 * FRAMES
    assert notes == [
        f"damaged: packets are missing at byte {len(data) + 188}, or recordings were joined there: "
        "frames may be missing"
    ]


@pytest.mark.parametrize("sound_first", [True, False])
def test_recordings_with_and_without_sound_are_joined(film, copied, sound_first):
    one = film(".ts", sound={"aac": Fraction(0)}).read_bytes()
    other = film(".ts").read_bytes()
    times, notes = read(one + other if sound_first else other + one)
    assert len(times) == 24 and notes == ["2 recordings joined in one file: the times go on from one to the next"]
    _, notes = copied(one + other if sound_first else other + one, ".mkv")
    assert notes == ()


def test_sound_that_begins_too_late_to_be_known_is_left_out_with_a_note(film, copied):
    data = film(".ts", times=range(0, 2400, 40), options={"bf": "3"}).read_bytes()
    _, notes = copied(data + film(".ts", sound={"aac": Fraction(0)}).read_bytes(), ".mkv")
    assert notes == ("aac sound left out: it begins too late in the file",)


@pytest.mark.parametrize("count", [1, 2])
def test_a_first_recording_of_few_frames_is_read(film, count):
    one = film(".ts", times=range(0, 40 * count, 40), sound={"mp2": Fraction(0)}).read_bytes()
    other = film(".ts", sound={"mp2": Fraction(0)}).read_bytes()
    times, notes = read(one + other)
    assert len(times) == count + 12 and len(notes) == 1 and all(0 < b - a < Fraction(1, 5) for a, b in pairwise(times))


def test_packets_that_cannot_be_bridged_are_named():
    data = clip("ts h264")
    at = next(
        at
        for at in range(len(data) // 2 // 188 * 188, len(data), 188)
        if data[at + 1] & 0x5F == 1 and data[at + 2] == 0
    )
    with pytest.raises(
        InputError, match=r"packets are missing in 1 place, first at byte \d+, or recordings were joined"
    ):
        read(data[:at] + data[at + 188 :])


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
    assert len(times) == count * FRAMES
    for part in range(count):
        mine = times[part * FRAMES : (part + 1) * FRAMES]
        assert [time - mine[0] for time in mine] == [time - one[0] for time in one]
    steps = [b - a for a, b in zip(times[FRAMES - 1 :: FRAMES], times[FRAMES::FRAMES], strict=False)]
    assert all(0 <= step - Fraction(1, 25) <= (kind != "ts mpeg2") * Fraction(1, 10) for step in steps)  # for the sound


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


def test_of_interlaced_frames_that_have_a_packet_each_none_is_lost_in_silence():
    made = BytesIO()
    with av.open(made, "w", format="matroska") as output:
        stream = output.add_stream("mpeg2video", rate=25, options={"flags": "+ilme+ildct", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 48, 64, "yuv420p"
        packets = []
        for number in range(12):
            picture = np.full((64, 48, 3), 20 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
            frame.pts = number
            packets += stream.encode(frame)
        for number, packet in enumerate([*packets, *stream.encode(None)]):
            kept = av.Packet(b"\0\0\1\xb2" + bytes(28) if number == 11 else bytes(packet))  # user data, no picture
            kept.pts, kept.dts, kept.duration = packet.pts, packet.dts, packet.duration
            kept.stream, kept.time_base, kept.is_keyframe = stream, packet.time_base, packet.is_keyframe
            output.mux(kept)
    times, notes = read(made.getvalue())
    assert len(times) == 11 and notes == ["damaged: 1 of its pictures cannot be decoded: frames are missing"]
