"""An account of the pictures of a video: those that its container states, those that came, and those that were decoded.

Decoders and demuxers pass over much that they cannot read, and tell nobody.
"""

from heapq import heappop, heappush

import av

PLACEHOLDER = 20  # bytes; a packet of MPEG-4 that is no longer may say only that a picture is shown again
HALVES = 2  # packets for a frame, where each holds one of its two fields


class Account:
    """An account of the packets of one stream of pictures, in the order in which they come, and of their frames.

    packets: that came, those too that are not to be shown.
    frames: that were decoded.
    end: of the last packet that is to be shown, in ticks of the stream.
    is_numbered: the container states no times, and its packets, held pictures too, are numbered from 0.
    Of what stands before the first frame nothing is expected: a recording may begin anywhere.
    """

    def __init__(self, codec: str, *, is_numbered: bool = False) -> None:
        self._codec, self._is_numbered = codec, is_numbered
        self.packets, self.frames, self.end = 0, 0, 0
        self._owed = 0  # the frames that the packets should have given
        self._early: list[int | None] = []  # the times of packets before the first frame, ticks
        self._first: int | None = None  # the time of the first frame, ticks
        self._of_fields = False
        self._places: list[int] = []  # the numbers of the packets of which no frame came so far

    def enter(self, packet: av.Packet) -> None:
        """Enter a packet that is about to be decoded."""
        if not packet.size:
            return
        self.packets += 1
        if packet.pts is not None and not packet.is_discard:
            self.end = max(self.end, packet.pts + (packet.duration or 0))
        if self._is_numbered and packet.dts is not None:
            heappush(self._places, packet.dts)
        if packet.is_discard or self._is_hidden(packet):
            return
        if not self.frames:
            self._early.append(packet.pts)
        elif self._first is None or packet.pts is None or packet.pts >= self._first:
            self._owed += 1

    def book(self, frame: av.VideoFrame) -> None:
        """Enter a frame that was decoded, and set its time where packets are numbered and have no other.

        Packets stand in the order of decoding, so that each frame has the lowest number of those that came.
        """
        if not self.frames:
            self._first = frame.pts
            self._owed = sum(self._first is None or time is None or time >= self._first for time in self._early)
        self.frames += 1
        self._of_fields |= frame.interlaced_frame
        if self._places:
            frame.pts = heappop(self._places)

    @property
    def undecoded(self) -> int:
        """The number of pictures that came and gave no frame."""
        return max(0, (self._owed // HALVES if self._of_fields else self._owed) - self.frames)

    def _is_hidden(self, packet: av.Packet) -> bool:
        """True for a packet that is only decoded, for others to refer to, or that repeats the picture before."""
        if self._codec.startswith(("vp8", "libvpx")) and "vp9" not in self._codec:
            return not memoryview(packet)[0] & 0x10  # show_frame: RFC 6386, 9.1
        return self._codec == "mpeg4" and packet.size <= PLACEHOLDER
