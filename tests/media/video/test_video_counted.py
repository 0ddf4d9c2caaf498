"""Times in containers that count frames: each frame is shown at its packet's place, whichever packets give none."""

from fractions import Fraction
from io import BytesIO

import av
import pytest

from structkit.media.video import VideoReader

from .made_clips import clip


def again(data: bytes, change=lambda number, packet: packet, first: int = 0) -> bytes:
    """An AVI of the packets of pictures from the `first` on, changed: change(number, bytes) -> bytes."""
    made = BytesIO()
    with av.open(BytesIO(data)) as source, av.open(made, "w", format="avi") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate([p for p in source.demux(video=0) if p.size][first:]):
            kept = av.Packet(change(number, bytes(packet)))
            kept.pts = kept.dts = number
            kept.stream, kept.time_base, kept.is_keyframe = stream, Fraction(1, 25), packet.is_keyframe
            output.mux(kept)
    return made.getvalue()


def times(data: bytes) -> tuple[list[Fraction], tuple[str, ...]]:
    with VideoReader(data) as video:
        return [25 * frame.time for frame in video], video.notes


def not_coded(vop: bytes) -> bytes:
    """The picture of MPEG-4 that is shown again, for one that refers to others (ISO/IEC 14496-2, 6.2.5)."""
    bits = f"{int.from_bytes(vop[4:7]):024b}"
    head = bits[: bits.index("0", 2) + 8]  # the type, the seconds, 1, the time in 5 bits at 25 frames a second, 1
    return vop[:4] + int((head + "001111111111111")[:16], 2).to_bytes(2)


@pytest.mark.parametrize("bframes", [0, 2])
def test_a_picture_that_is_only_held_leaves_the_others_in_their_places(film, bframes):
    options = {"bf": str(bframes), "g": "12"}
    data = film(".avi", times=range(0, 1600, 40), options=options).read_bytes()
    held = [n for n in range(1, 39) if n % 5 == 4 and n % 12 and (not bframes or n % 3 == 2)]
    shown, notes = times(again(data, lambda n, packet: not_coded(packet) if n in held else packet))
    # A picture that others do not refer to is stored behind the one that is shown after it.
    assert shown == [n for n in range(40) if n + (bframes > 0) not in held] and held and notes == ()


def test_an_avi_that_begins_in_the_middle_keeps_its_clock(film):
    options = {"bf": "2", "g": "12", "x264-params": "open-gop=0:scenecut=0"}
    data = film(".avi", codec="libx264", times=range(0, 1600, 40), options=options).read_bytes()
    shown, notes = times(again(data, first=5))
    assert shown == list(range(7, 35))
    assert notes[0] == "the first 0.28 s cannot be decoded: the file begins in the middle of a recording"


def test_frames_that_are_not_reordered_keep_their_numbers():
    assert times(clip("avi mpeg4")) == (list(range(30)), ())
