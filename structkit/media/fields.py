"""Fields: an interlaced frame holds two, of two moments, as every other row; a deinterlaced one shows a single moment.

FFmpeg's filter bwdif keeps the rows of the earlier field, and makes the others from both, from the frame before and
from the frame behind.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from fractions import Fraction

import av

from structkit.errors import InputError

# One frame for each frame; those that are not flagged as interlaced pass as they are.
BWDIF = "mode=send_frame:parity=auto:deint=interlaced"
BASE = Fraction(1, 1000)  # of the numbers that frames have in the graph, in place of times
DONE = "interlaced: each frame shows the earlier of its two fields, deinterlaced (bwdif)"
TOO_SMALL = "interlaced: both fields are taken as one frame"  # since bwdif takes no picture of so few rows


def deinterlaced(frames: Iterator[av.VideoFrame], note: Callable[[str], None]) -> Iterator[av.VideoFrame]:
    """The same number of frames, with their times: up to the first interlaced one as they are, from there by bwdif.

    note: called with what is done, when interlaced frames come.
    An InputError that ends the frames comes after the last of them.
    """
    bwdif, failure = None, None
    try:
        for frame in frames:
            if bwdif is None and not frame.interlaced_frame:
                yield frame
                continue
            if bwdif is None or not bwdif.takes(frame):
                yield from bwdif.rest() if bwdif else ()
                bwdif = FieldFilter(frame)
            if frame.interlaced_frame:
                note(bwdif.note)
            yield from bwdif.frames(frame)
    except InputError as error:
        failure = error
    if bwdif:
        yield from bwdif.rest()
    if failure:
        raise failure


class FieldFilter:
    """A graph of bwdif, for frames of one size and form.

    like: a frame of that size and form.
    note: what becomes of interlaced frames; those that are too small for bwdif pass as they are.
    """

    def __init__(self, like: av.VideoFrame) -> None:
        self._kind = _kind(like)
        self._stamps: deque[tuple[int | None, int | None, Fraction]] = deque()  # of the frames that are held
        self._count = 0
        self._graph = av.filter.Graph()
        source = self._graph.add_buffer(width=like.width, height=like.height, format=like.format, time_base=BASE)
        self.note = DONE
        try:
            self._graph.link_nodes(source, self._graph.add("bwdif", BWDIF), self._graph.add("buffersink")).configure()
        except (av.FFmpegError, ValueError):
            self.note = TOO_SMALL

    def takes(self, frame: av.VideoFrame) -> bool:
        """True for a frame of the size and form of the first one."""
        return _kind(frame) == self._kind

    def frames(self, frame: av.VideoFrame) -> Iterator[av.VideoFrame]:
        """The frames that are ready now that this one has come."""
        if self.note == TOO_SMALL:
            yield frame
            return
        self._stamps.append((frame.pts, frame.dts, frame.time_base))
        self._count += 1
        frame.pts, frame.time_base = self._count, BASE
        self._graph.push(frame)
        yield from self._made()

    def rest(self) -> Iterator[av.VideoFrame]:
        """The frames that are left at the end."""
        if self._stamps:
            self._graph.push(None)
            yield from self._made()

    def _made(self) -> Iterator[av.VideoFrame]:
        while self._stamps:
            try:
                frame = self._graph.pull()
            except (BlockingIOError, EOFError):
                return
            frame.pts, frame.dts, frame.time_base = self._stamps.popleft()
            yield frame


def _kind(frame: av.VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name
