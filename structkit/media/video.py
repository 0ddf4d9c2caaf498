"""A reader of videos, frame by frame: a file -> upright RGB frames with their times.

One frame is in memory at a time (and the few that the decoder needs for its own), so that a film takes no more than a
clip.
The container's time stamps are the authority: no frame rate is assumed, none is made constant.
Damage is an error that says how far the video could be read.  What came is compared with what the container states, and
where frames are only likely to be missing there is a note.  Damage inside of a frame that its decoder does not notice,
as in VP8, VP9 and Motion JPEG, stays unseen.
"""

import io
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from fractions import Fraction
from typing import BinaryIO, Self

import av
import numpy as np

from structkit.configs.media import MAX_FRAME_PIXELS
from structkit.errors import InputError
from structkit.media import chains, completeness, containers, yuv
from structkit.media.account import Account
from structkit.media.codecs import SOUND_CODECS, VIDEO_CODECS
from structkit.media.fields import FieldFilter, deinterlaced
from structkit.media.files import COPY_OR_TOLERATE, Source, one_line, open_source, read_pieces
from structkit.media.frames import Frame, StoredFrame
from structkit.media.picture_notes import picture_notes
from structkit.media.subtitles import TEXT
from structkit.media.tags import is_cover
from structkit.media.transport import MendedRecording, TransportSurvey

MAX_PIXELS = MAX_FRAME_PIXELS
TURNED_BACK = Fraction(1, 2)  # s; frames whose times go back by more are two recordings in one file
LONGEST_HOLD = Fraction(2 * 60 * 60)  # s, of a frame on a regular grid of times: recorders of screens hold for minutes
MOST_ASPECT = 8  # of a stored pixel, its longer side over the shorter; what states more is damaged
MOST_SIDE = 16384  # px, to which square pixels may widen a frame: the limit of encoders
MOST_OF_THE_DISK = 0.5  # of the space that is free, for the copy of a stream
COPIED = 1 << 20  # bytes at once


class DamagedVideo(InputError):
    """Damage of a video, behind which nothing of it is read.

    fact: what is wrong, and where.
    """

    def __init__(self, name: str, fact: str, remedy: str) -> None:
        super().__init__(f"{name}: {fact}; {remedy}")
        self.fact = fact


class VideoReader:
    """A reader of the frames of a video's first picture stream, in the order they are shown.

    A reader may be iterated again, and twice at once.
    source: a path, the file's bytes, or a binary stream (copied to a temporary file first).
    name: the video's name in messages.
    width, height: of the frames as handed out.
    frames, duration (s), rate (1/s): those that the container states, for progress bars; None where it does not.
    start: the time of the first frame, s; end: where the last one ends, s, as the container states, or None.
    time_base: the tick of the times, s.
    notes: changes on the way in; more may come while frames are read.
    tolerant: whether damage behind the first frame is a note, and the end of the video, instead of an error; so is a
    file that is cut short.
    blocks: whether pixels that share one stored colour are handed out as blocks of one, as programs that score videos
    read them; else colours are interpolated between blocks, as players show them.
    Frames whose size changes on the way are scaled to the first's.  A frame without a time, or not after the one
    before, follows that one by a tick, with a note; where times go back by more than half a second it is an error.
    Raises InputError: missing, not a video, a codec or container off the white-list, without frames, truncated,
    damaged, or over `max_pixels`; the last two also while it is iterated, and then the message says how far the video
    could be read.
    """

    def __init__(
        self,
        source: Source,
        *,
        name: str | None = None,
        max_pixels: int = MAX_PIXELS,
        tolerant: bool = False,
        blocks: bool = False,
    ) -> None:
        self._max_pixels, self.tolerant, self._blocks = max_pixels, tolerant, blocks
        # A limit for FFmpeg, which counts its own padding, where a stream grows on the way.
        self._fence = str(2 * max_pixels + 2**20)
        self._copy = None
        with open_source(source, name) as (self.name, stream):
            is_whole = isinstance(source, bytes | bytearray | memoryview | str | os.PathLike) and stream.seekable()
            self._source = source if is_whole else self._spooled(stream)
        with open_source(self._source, self.name) as (_, stream):
            self.container, self._short = containers.recognise(self.name, stream)
            if self._short and not tolerant:
                raise DamagedVideo(self.name, self._short, COPY_OR_TOLERATE)
            self._survey = self._surveyed(stream)
        self._notes: dict[str, None] = {}
        if self._short:
            self._note(self._short)
        if self._survey and self._survey.joins:
            self._note(f"{self._survey.joins + 1} recordings joined in one file: the times go on from one to the next")
        with self.demuxer() as container, closing(self._decoded(container, "SLICE")) as decoded:
            stream = self._stream(container)
            self._check_size(stream.codec_context.width, stream.codec_context.height)
            self.time_base: Fraction = stream.time_base
            self.frames: int | None = stream.frames or None
            self.duration = self._length(container, stream)
            self.rate: Fraction | None = stream.average_rate or stream.guessed_rate or None
            self._origin = self._start(container)
            stated = stream.duration and (stream.start_time or 0) + stream.duration
            self.end: Fraction | None = stated * self.time_base - self._origin if stated else None
            self._describe(container, stream, next(decoded))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._copy:
            self._copy.close()

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes on the way in, one line each, in the order in which they came up."""
        return tuple(self._notes)

    @property
    def origin(self) -> Fraction:
        """The container's time, s, that is called zero.

        Its start in the kinds whose clock starts anywhere (MPEG), else 0.
        """
        return self._origin

    def __iter__(self) -> Iterator[Frame]:
        """The frames, each handed out when the next one has told its duration."""
        convert = self.converter()
        with closing(self.stored_frames()) as frames:
            for frame in frames:
                yield Frame(convert(frame.picture), frame.time, frame.duration)

    def stored_frames(self, longest: Fraction | None = None) -> Iterator[StoredFrame]:
        """The frames before their pixels are converted, deinterlaced, each when the next one has told its duration.

        longest: s; a frame that is shown for longer than that is damage.
        """
        waiting, gap, end = None, None, self.end
        with self.demuxer() as container:
            try:
                for number, picture in enumerate(deinterlaced(self._decoded(container), self._note)):
                    if (picture.width, picture.height) != self._coded:
                        self._note("the frame size changes on the way: all frames are scaled to the first's")
                    time = self._time(picture, waiting and waiting.time, number)
                    if waiting:
                        if longest and time - waiting.time > longest:
                            fact = f"no frame from {float(waiting.time):.2f} s to {float(time):.6g} s"
                            raise DamagedVideo(self.name, fact, COPY_OR_TOLERATE)
                        gap = time - waiting.time
                        yield replace(waiting, duration=gap)
                    waiting = StoredFrame(picture, time)
            except DamagedVideo as damage:
                if not (self.tolerant and waiting):
                    raise
                self._note(f"{damage.fact}: the video ends there")
                end = gap and waiting.time + gap
            left = end - waiting.time if end is not None else 0
            left = (gap or 0) if longest and left > longest else left
            yield replace(waiting, duration=left) if left > 0 else waiting

    def converter(self, size: tuple[int, int] | None = None) -> Callable[[av.VideoFrame], np.ndarray]:
        """A function from a stored frame's picture to its pixels, (H, W, 3) uint8 RGB, upright and square.

        size: (width, height) px, to which it is reduced, each new pixel the mean of those that it covers.
        """
        flags = yuv.BLOCK_FLAGS if self._blocks and self._stored == self._coded else yuv.SCALE_FLAGS
        stored = self._stored
        if size not in (None, (self.width, self.height)):
            stored, flags = (size[::-1] if self._is_turned else size), yuv.AREA_FLAGS
        scaler = yuv.Scaler(flags)
        return lambda picture: self._turn(yuv.to_rgb(scaler, picture, *stored))

    @contextmanager
    def demuxer(self, **extra: str) -> Iterator[av.container.InputContainer]:
        """The container of the file, opened anew.

        extra: options of FFmpeg's demuxer.
        FFmpeg gets a stream of bytes, and the right to open nothing else.
        """
        codecs = ",".join((*VIDEO_CODECS, *SOUND_CODECS, *sorted(TEXT)))
        options = {"protocol_whitelist": "", "codec_whitelist": codecs, "max_pixels": self._fence} | extra
        with open_source(self._source, self.name) as (_, stream):
            if self._survey and self._survey.places:
                stream = io.BufferedReader(MendedRecording(stream, self._survey), 1 << 20)
            try:
                opened = av.open(stream, "r", format=self.container.demuxer, options=options, metadata_errors="replace")
            except (av.FFmpegError, ValueError, OverflowError) as error:
                raise self._damaged(error) from error
            with opened:
                yield opened

    def _surveyed(self, stream: BinaryIO) -> TransportSurvey | None:
        """The survey of a transport stream; None for a file of another kind."""
        if self.container.demuxer != "mpegts":
            return None
        stream.seek(0)
        return TransportSurvey(stream, containers.mpegts_stride(stream.read(containers.HEAD)))

    def _spooled(self, stream: BinaryIO) -> str:
        """The path of a copy that lives as long as the reader, of a stream that cannot be read twice."""
        head = read_pieces(stream, containers.HEAD)
        containers.identify(self.name, head)
        self._copy = tempfile.NamedTemporaryFile(prefix="structkit-")  # noqa: SIM115
        left = int(shutil.disk_usage(tempfile.gettempdir()).free * MOST_OF_THE_DISK)
        while head:
            if (left := left - len(head)) < 0:
                self._copy.close()
                fact = f"a stream without an end, or longer than half of the free space in {tempfile.gettempdir()}"
                raise InputError(f"{self.name}: {fact}; save it as a file, or set TMPDIR to a larger disk")
            self._copy.write(head)
            head = stream.read(COPIED)
        self._copy.flush()
        return self._copy.name

    def _stream(self, container: av.container.InputContainer) -> av.VideoStream:
        """The first stream of moving pictures that is not a cover."""
        found = [s for s in container.streams.video if not is_cover(s)]
        if not found:
            raise InputError(f"{self.name}: no moving pictures in it; is it a sound file?")
        codec = found[0].codec_context and found[0].codec_context.name
        if codec not in VIDEO_CODECS:
            raise InputError(
                f"{self.name}: its codec ({codec or 'unknown'}) is not read; convert it to H.264, for example"
            )
        return found[0]

    def _decoded(self, container: av.container.InputContainer, threads: str = "AUTO") -> Iterator[av.VideoFrame]:
        """The frames as stored: at least one, or an error.

        threads: how the decoder shares its work, in FFmpeg's words.
        """
        stream = self._stream(container)
        stream.thread_type = threads
        stream.codec_context.options = {"max_pixels": self._fence}
        codec = stream.codec_context
        account = Account(codec.name, is_counted=self.container.is_counted)
        time, reach = Fraction(0), Fraction(0)
        try:
            for packet in container.demux():  # packets of all streams tell how far the file goes
                if packet.pts is not None:
                    reach = max(reach, (packet.pts + (packet.duration or 0)) * packet.time_base)
                if packet.stream.index != stream.index:  # a packet's own index is 0 at the end of every stream
                    continue
                if packet.is_corrupt:
                    raise self._damaged(completeness.hole(self._survey), account.frames, time)
                account.enter(packet)
                for frame in packet.decode():
                    if frame.is_corrupt:
                        raise self._damaged("a frame cannot be decoded in full", account.frames, time)
                    account.book(frame, codec.has_b_frames)
                    if account.frames == 1 and account.late:
                        gap = f"{float(account.late * stream.time_base):.2f} s"
                        self._note(f"the first {gap} cannot be decoded: the file begins in the middle of a recording")
                    yield frame
                    time = (frame.pts or 0) * stream.time_base - self._origin
        except (av.FFmpegError, ValueError) as error:
            raise self._damaged(error, account.frames, time) from error
        if not account.frames:
            fact = self._short or "a video without frames"
            raise InputError(f"{self.name}: {fact}; export it again from the original")
        self._check_completeness(stream, account, reach, time)

    def _check_completeness(self, stream: av.VideoStream, account: Account, reach: Fraction, time: Fraction) -> None:
        """Note where frames are likely to be missing, and raise DamagedVideo where it is certain.

        reach: where the last packet ends, s; time: of the last frame, s.
        """
        stated = Fraction(stream.container.duration or 0, av.time_base)
        with open_source(self._source, self.name) as (_, file):
            chain = chains.follow(self.container.demuxer, file, self._survey)
        if fact := completeness.early_end(self.container, stated, reach) or completeness.shortfall(
            chain, account, stream, lambda: self._packets(stream.index)
        ):
            raise self._damaged(fact, account.frames, time)
        if self.container.demuxer == "mov":
            stated, reach = (self.end or 0) + self._origin, account.end * stream.time_base
        if doubt := completeness.doubt(self.container, chain, account, stream) or completeness.early_stop(
            self.container, stated, reach
        ):
            self._note(doubt)

    def _packets(self, index: int) -> int:
        """The number of packets of a stream, those that an edit hides too."""
        with self.demuxer(advanced_editlist="0") as whole:
            return sum(packet.size > 0 for packet in whole.demux(whole.streams[index]))

    def _damaged(self, fact: object, count: int = 0, time: Fraction = Fraction(0)) -> "DamagedVideo":
        far = f"after {count} frames ({float(time):.2f} s)" if count else "before its first frame"
        return DamagedVideo(
            self.name,
            f"damaged {self.container.label} {far} ({reason(fact)})",
            COPY_OR_TOLERATE if count else "copy or export it again from the original",
        )

    def _check_size(self, width: int, height: int) -> None:
        if width * height > self._max_pixels:
            fact = f"{width} x {height} pixels = {width * height / 1e6:.6g} megapixels a frame"
            raise InputError(
                f"{self.name}: {fact}, over the limit of {self._max_pixels / 1e6:.6g}; shrink it or raise --max-pixels"
            )

    def _describe(self, container: av.container.InputContainer, stream: av.VideoStream, first: av.VideoFrame) -> None:
        """Take from the first frame the size with square pixels, the turn, and what is worth a note."""
        matrix = next((bytes(data) for data in first.side_data if data.type.name == "DISPLAYMATRIX"), None)
        self._turn = yuv.upright(matrix) if matrix else np.asarray
        ticks = first.pts if first.pts is not None else first.dts
        self.start = Fraction(0) if ticks is None else ticks * self.time_base - self._origin
        self._coded = first.width, first.height
        aspect = Fraction(stream.sample_aspect_ratio or 1)
        self._stored = yuv.square(*self._coded, aspect)
        if not 1 / MOST_ASPECT <= aspect <= MOST_ASPECT or max(self._stored) > max(MOST_SIDE, *self._coded):
            self._stored = self._coded
            self._note(f"the shape of its pixels, {aspect.numerator}:{aspect.denominator}, ignored: taken as square")
        self._check_size(*self._stored)
        self._is_turned = self._turn(np.empty((1, 2))).shape == (2, 1)
        self.width, self.height = self._stored[::-1] if self._is_turned else self._stored
        if len([s for s in container.streams.video if not is_cover(s)]) > 1:
            self._note("more than one stream of pictures: the first is read")
        for note in picture_notes(stream.codec_context, first, matrix):
            self._note(note)
        if first.interlaced_frame:
            self._note(FieldFilter(first).note)

    def _note(self, note: str) -> None:
        self._notes[note] = None

    def _start(self, container: av.container.InputContainer) -> Fraction:
        starts = [
            s.start_time * s.time_base
            for s in container.streams
            if s.type in ("video", "audio") and s.start_time is not None
        ]
        return Fraction(0) if self.container.has_origin or not starts else min(starts)

    @staticmethod
    def _length(container: av.container.InputContainer, stream: av.VideoStream) -> Fraction | None:
        if stream.duration:
            return stream.duration * stream.time_base
        return Fraction(container.duration, 1_000_000) if container.duration else None

    def _time(self, frame: av.VideoFrame, last: Fraction | None, number: int) -> Fraction:
        """The time at which a frame is shown, s: after that of the one before."""
        ticks = frame.pts if frame.pts is not None else frame.dts
        if ticks is None:
            self._note("frames without a time: they follow the one before")
            return Fraction(0) if last is None else last + (1 / self.rate if self.rate else self.time_base)
        time = ticks * self.time_base - self._origin
        if last is None or time > last:
            return time
        if last - time > TURNED_BACK:
            fact = f"the times go back from {float(last):.2f} s to {float(time):.2f} s after {number} frames"
            raise DamagedVideo(self.name, fact, "it is more than one recording: split it, or convert it to one")
        self._note("frames whose times are not in order: they follow the one before by one tick")
        return last + self.time_base


def reason(fact: object) -> str:
    """The reason of a failure, in one line: a text, or an error's own words without FFmpeg's numbers."""
    return one_line(getattr(fact, "strerror", None) or fact) or type(fact).__name__
