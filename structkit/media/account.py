"""An account of the pictures of a video: those that its container states, those that came, and those that were decoded.

Decoders and demuxers pass over much that they cannot read, and tell nobody.
"""

from collections import Counter
from heapq import heappop, heappush

import av

PLACEHOLDER = 20  # bytes; a packet of MPEG-4 that is no longer may say only that a picture is shown again
EVEN = 0.9  # the share of the steps between frames that must be alike for the others to be gaps
MOST_STEPS = 1000  # of different lengths that are kept; a stream that has more is not even
HALVES = 2  # packets for a frame, where each holds one of its two fields
REORDERED = ("h264", "hevc", "mpeg4")  # codecs whose frames may be shown in another order than they are stored
MOST_HELD = 16  # frames that a decoder of H.264 or HEVC holds back, to put them in order


class Account:
    """An account of the packets of one stream of pictures, in the order in which they come, and of their frames.

    packets: that came, those too that are not to be shown.
    frames: that were decoded.
    end: of the last packet that is to be shown, in ticks of the stream.
    late: from the first such packet to the first frame, ticks.
    is_counted: the container states no times, and its packets, held pictures too, are numbered from 0.
    Of what stands before the first frame nothing is expected: a recording may begin anywhere.
    """

    def __init__(self, codec: str, *, is_counted: bool = False) -> None:
        self._codec, self._is_numbered = codec, is_counted and codec in REORDERED
        self.packets, self.frames, self.end, self.late = 0, 0, 0, 0
        self._owed = 0  # the frames that the packets should have given
        self._early: list[int | None] = []  # the times of packets before the first frame, ticks
        self._first: int | None = None  # the time of the first frame, ticks
        self._of_fields = False
        self._last: int | None = None  # the time of the last frame, ticks
        self._steps: Counter[int] = Counter()  # from one frame to the next, ticks
        self._stored: Counter[int] = Counter()  # from one packet to the next, ticks
        self._decoded: int | None = None  # when the last packet is decoded, ticks
        self._durations: Counter[int] = Counter()  # of the packets that are to be shown, ticks
        self._begin: int | None = None  # the lowest time of such a packet
        self._places: list[int] = []  # the numbers of the packets of which no frame came so far
        self._held: int | None = None  # the most frames that the decoder holds back

    def enter(self, packet: av.Packet) -> None:
        """Enter a packet that is about to be decoded; where packets are numbered, its number becomes its time."""
        if not packet.size:
            return
        self.packets += 1
        if self._is_numbered and packet.dts is not None:
            packet.pts = packet.dts
            heappush(self._places, packet.dts)
        if packet.pts is not None and not packet.is_discard:
            self.end = max(self.end, packet.pts + (packet.duration or 0))
            self._begin = packet.pts if self._begin is None else min(self._begin, packet.pts)
            self._durations[packet.duration or 0] += len(self._durations) < MOST_STEPS
        if packet.dts is not None:
            if self._decoded is not None and len(self._stored) < MOST_STEPS:
                self._stored[packet.dts - self._decoded] += 1
            self._decoded = packet.dts
        if packet.is_discard or self._is_hidden(packet):
            return
        if not self.frames:
            self._early.append(packet.pts)
        elif self._first is None or packet.pts is None or packet.pts >= self._first:
            self._owed += 1

    def book(self, frame: av.VideoFrame, reorders: bool) -> None:
        """Enter a frame that was decoded, and set its time where packets are numbered and have no other.

        reorders: whether the decoder gives the frames in another order than that of their packets.
        """
        if not self.frames:
            self._first = frame.pts
            if self._begin is not None and frame.pts is not None:
                self.late = max(0, frame.pts - self._begin)
            self._owed = sum(self._first is None or time is None or time >= self._first for time in self._early)
        self.frames += 1
        self._of_fields |= frame.interlaced_frame
        if self._places and frame.pts is not None:
            frame.pts = self._place(frame, reorders)
        if self._last is not None and frame.pts is not None and len(self._steps) < MOST_STEPS:
            self._steps[frame.pts - self._last] += 1
        self._last = frame.pts

    def _place(self, frame: av.VideoFrame, reorders: bool) -> int:
        """The number of a frame among those that are shown; `frame.pts` is that of its packet.

        Packets stand in the order of decoding, so that each frame has the lowest number of those that came.  A number
        that is older than what the decoder can hold back is one of a packet that gave no frame.
        """
        if self._held is None:
            self._held = (frame.dts or frame.pts) - frame.pts if self._codec == "mpeg4" else MOST_HELD
            least = frame.pts
        else:
            least = frame.pts if not reorders else 0 if frame.dts is None else frame.dts - self._held
        while len(self._places) > 1 and self._places[0] < least:
            heappop(self._places)
        return heappop(self._places)

    @property
    def undecoded(self) -> int:
        """The number of pictures that came and gave no frame."""
        return max(0, (self._owed // HALVES if self._is_halved() else self._owed) - self.frames)

    def _is_halved(self) -> bool:
        """True if packets come at twice the frames' rate, so that each holds one field."""
        packet, frame = (counted.most_common(1)[0][0] if counted else 0 for counted in (self._durations, self._steps))
        return self._of_fields and not (packet and 0 < frame < 1.5 * packet)

    @property
    def gaps(self) -> int:
        """The number of frames that would fit into the gaps of a stream whose frames are evenly spaced but for those.

        0 for a stream that is not even.
        """
        return _room(self._steps)

    @property
    def late_gaps(self) -> int:
        """The number of frames that would fit into gaps of the frames that are none of the packets.

        Where packets are stored in another order than they are shown, the last of them are missing there.
        """
        return max(0, _room(self._steps) - _room(self._stored))

    @property
    def uncovered(self) -> int:
        """The number of pictures by which the packets fall short of the time that they span, where all are as long.

        0 where their lengths differ.
        """
        if len(self._durations) != 1 or not (step := max(self._durations)):
            return 0
        return max(0, (self.end - self._begin) // step - self._durations.total())

    def _is_hidden(self, packet: av.Packet) -> bool:
        """True for a packet that is only decoded, for others to refer to, or that repeats the picture before."""
        if self._codec.startswith(("vp8", "libvpx")) and "vp9" not in self._codec:
            return not memoryview(packet)[0] & 0x10  # show_frame: RFC 6386, 9.1
        return self._codec == "mpeg4" and packet.size <= PLACEHOLDER


def _room(steps: Counter[int]) -> int:
    """The number of frames that would fit into the gaps of an even stream; 0 for one that is not even."""
    step, _ = steps.most_common(1)[0] if steps else (0, 0)
    total = steps.total()
    usual = sum(count for other, count in steps.items() if abs(other - step) <= max(2, step / 50))
    wide = {other: count for other, count in steps.items() if other > 1.5 * step > 0}
    if usual < EVEN * total or usual + sum(wide.values()) < total:
        return 0
    return sum((round(other / step) - 1) * count for other, count in wide.items())
