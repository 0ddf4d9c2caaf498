"""A writer of videos: frames -> a file, with all that goes beside the pictures of the video that they came from.

The times of the frames, or those that a time map gives them, are kept: to the tick in MP4 and MOV, to the nearest
millisecond in MKV and WebM, which count in those.
The same frames give the same bytes: a fixed number of threads, nothing that depends on what lay in memory before, and
no date, library or version in the file.
"""

import math
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, Self

import av
import numpy as np

from structkit.configs.media import VIDEO_QUALITY
from structkit.errors import InputError, OptionError, OutputError
from structkit.media import yuv
from structkit.media.containers import VIDEO_SUFFIXES, WRITTEN
from structkit.media.files import atomic_path
from structkit.media.soundtrack import Soundtrack
from structkit.media.timing import IDENTITY, TimeMap
from structkit.media.video import Frame, VideoReader, reason

RATE = Fraction(25)  # 1/s, said of a video of which nothing is known
TICKS = 90_000, 1_000_000  # a second, at least and at most
SLOWEST = Fraction(1, 1001)  # 1/s, the lowest nominal rate that is said
MILLISECONDS = ("matroska", "webm")  # count in them, whatever the times are
MOST_SIDE = 16384  # px, of both encoders
LONGEST = 2**31 - 1  # ticks that FFmpeg's muxers give one frame

# Frames are never reordered: MP4 counts durations in the order of decoding, and only without B-frames are they those of
# the frames, the last one's too, where the rate varies.  It costs bytes: 12 and 92 % on two clips of 640 x 360.
# No macroblock tree: with AVX-512, x264 (core 165) takes what lies in memory beyond the last row of blocks for motion
# towards it, where a row is not a multiple of 8 blocks (128 px), and so quantises the last blocks by chance.  Without
# it still parts are quantised finer: from 6 % fewer to 69 % more bytes on five clips, at -0.8 to +1.5 dB.
ENCODERS = {
    "libx264": {"preset": "medium", "bf": "0", "mbtree": "0"},
    "libvpx-vp9": {"deadline": "good", "cpu-used": "3", "tile-columns": "2"},
}
WORST = {"libx264": 51, "libvpx-vp9": 63}  # the rate factor at quality 0
# x264 writes its version and options into the first frame.
CLEAN = {"libx264": "filter_units=remove_types=6", "libvpx-vp9": "null"}
# The bytes depend on the number of threads, so that it is not the machine's.
ALIKE = {"threads": "4", "flags": "+bitexact"}
MUXERS = {
    "mp4": {"movflags": "+faststart"},
    "mov": {"movflags": "+faststart"},
    "matroska": {"avoid_negative_ts": "disabled"},  # the default would move the frames where sound begins before zero
    "webm": {"avoid_negative_ts": "disabled"},
}


class VideoWriter:
    """A writer of one video, as a context manager: H.264 (VP9 in WebM), 4:2:0, BT.709.

    path: .mp4, .m4v, .mov, .mkv or .webm; or a binary stream, which gets an MP4.
    width, height: of every frame, px.
    like: the video that the frames came from.  Its sound, subtitles, chapters, cover art, timecode and tags, and the
    titles, languages and flags of its tracks are carried over where the container holds them; else there is a note.
    rate: 1/s, the nominal one; the times of the frames are the authority.
    quality: 1 to 100; the rate factor of H.264 (VP9) is 51 (63) * (1 - quality / 100).
    timing: from the times of the frames to those in the file, by default the same; sound, subtitles and chapters
    follow.
    beside: the map of sound, subtitles and chapters, where it is another: frames that are resampled have times of the
    output, and what goes beside them still has those of `like`.  Their rate then tells the tick.
    audio: how sound follows a map that is no shift: "stretch" keeps its pitch, "varispeed" plays it like a tape, and
    "drop" leaves sound out.
    4:2:0 needs even sides: an odd one is made one pixel longer by repeating the edge, with a note.
    Frames that would begin before zero are moved to zero, and the sound with them, with a note.  A frame that is less
    than a tick after the one before follows that one by a tick; under a map that is no shift it takes that one's place,
    so that the whole stays as long as the map says.  There is a note on either.
    frames: the number of those that are in the file, when the context has ended.
    The file takes its name when the context ends without an error; else nothing is left.
    Raises OptionError (size, quality, rate), OutputError (suffix, folder, disk), InputError (damaged sound; frames of
    another size or out of order; none).
    """

    def __init__(
        self,
        path: str | Path | BinaryIO,
        *,
        width: int,
        height: int,
        like: VideoReader | None = None,
        rate: Fraction | None = None,
        quality: int | None = None,
        timing: TimeMap = IDENTITY,
        beside: TimeMap | None = None,
        audio: str = "stretch",
    ) -> None:
        self._target = path
        self.name = str(path) if isinstance(path, str | Path) else str(getattr(path, "name", "<stream>"))
        self._muxer = muxer_of(path) if isinstance(path, str | Path) else "mp4"
        self._codec = "libvpx-vp9" if self._muxer == "webm" else "libx264"
        if width < 1 or height < 1 or max(width, height) > MOST_SIDE:
            raise OptionError(f"{self.name}: {width} x {height} pixels; a side of a video has 1 to {MOST_SIDE}")
        if quality is not None and not 1 <= quality <= 100:
            raise OptionError(f"{self.name}: quality {quality}; it goes from 1 to 100")
        if rate is not None and rate <= 0:
            raise OptionError(f"{self.name}: {rate} frames a second; it must be more than 0")
        self.width, self.height = width, height
        self._like, self._quality = like, VIDEO_QUALITY if quality is None else quality
        nominal = Fraction(rate or (like and like.rate) or RATE)
        self._rate = max(SLOWEST, nominal.limit_denominator(SLOWEST.denominator))
        self._tick = (
            Fraction(1, 1000)
            if self._muxer in MILLISECONDS
            else _tick(like.time_base.denominator if like and beside is None else self._rate.numerator)
        )
        self._notes: list[str] = []
        self._subsampler = yuv.Subsampler(width, height)
        self._even = self._subsampler.width, self._subsampler.height
        if self._even != (width, height):
            self._note(f"{width} x {height} pixels made {self._even[0]} x {self._even[1]}: 4:2:0 needs even sides")
        self._sound: Soundtrack | None = None
        self._filter: av.bitstream.BitStreamFilterContext | None = None  # made when the encoder is open
        self._waiting: Frame | None = None  # a frame is encoded when the next one tells its duration
        self._at = 0  # its time, in ticks
        self._first, self._shown = 0, 0  # ticks: the first frame's time, and how long all of them are shown
        self.frames = 0
        self._durations: dict[int, int] = {}  # ticks, by the frame's tick, of frames inside the encoder
        self._gap, self._timing, self._audio = 1 / self._rate, timing, audio
        self._beside = timing if beside is None else beside

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._output = stack.enter_context(self._opened(stack.enter_context(self._file())))
            self._video = self._encoder()
            if self._like:
                beside = Soundtrack(self._like, self._output, self._muxer, self._beside, audio=self._audio)
                self._sound = stack.enter_context(beside)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with suppress(_AbandonedWriter), self._stack:
            # An error of our own, since `atomic_path` would take the caller's OSError for the disk's.
            if kind is not None:
                raise _AbandonedWriter
            self._finish()

    @property
    def seconds(self) -> Fraction:
        """How long the frames are shown in the file: of all when the context has ended, and 0 before."""
        return self._shown * self._tick

    @property
    def notes(self) -> tuple[str, ...]:
        """The differences between the file and its input, one line each."""
        return (*self._notes, *(self._sound.notes if self._sound else ()))

    def write(self, frame: Frame) -> None:
        """Append a frame.  Its time must be after that of the frame before."""
        if isinstance(frame.pixels, av.VideoFrame):
            if not yuv.is_encodable(frame.pixels, self.width, self.height):
                raise InputError(f"{self.name}: a picture that must be converted before it can be encoded")
        elif frame.pixels.shape != (self.height, self.width, 3) or frame.pixels.dtype != np.uint8:
            fact = f"a frame of {frame.pixels.dtype} {frame.pixels.shape}"
            raise InputError(f"{self.name}: {fact}; all frames must be uint8 ({self.height}, {self.width}, 3)")
        if self._waiting is None:
            self._begin_at(self._timing.at(frame.time))
            self._first = self._ticks(self._timing.at(frame.time))
        elif frame.time <= self._waiting.time:
            fact = f"a frame at {float(frame.time):.6f} s after one at {float(self._waiting.time):.6f} s"
            raise InputError(f"{self.name}: {fact}; times must increase")
        at = self._ticks(self._timing.at(frame.time))
        if self._waiting is not None:
            self._gap = frame.time - self._waiting.time
            tick = f"{self._tick} s, the {self._muxer} tick"
            if at <= self._at and self._timing.shift is None:  # else the whole would last longer than the map says
                self._note(f"frames that would be shown for less than {tick}, left out")
                self._waiting = frame
                return
            if at <= self._at:
                at = self._at + 1
                self._note(f"frames closer than {tick}: each follows the one before by one")
            self._encode(at - self._at)
        self._waiting, self._at = frame, at

    def _finish(self) -> None:
        """Write the last frame, what the encoder still holds, and the rest of the sound."""
        if self._waiting is None:
            raise InputError(f"{self.name}: no frames to write; a video has at least one")
        start, end = self._waiting.time, self._waiting.time + (self._waiting.duration or self._gap)
        shown = max(1, self._ticks(self._timing.at(end) - self._timing.at(start)))
        self._shown = self._at + shown - self._first
        if self._sound:
            self._sound.end = (self._at + shown) * self._tick
        self._encode(shown)
        with self._output_errors():
            self._mux(self._video.encode(None))
            if self._sound:
                self._sound.mux_until(None)

    def _begin_at(self, time: Fraction) -> None:
        """Move the maps on, if the first frame would begin before zero."""
        if time < 0:
            self._note(f"frames begin {float(-time):.3f} s before zero: moved to zero, with the sound")
            later = TimeMap.shifted(-time)
            self._timing, self._beside = self._timing.then(later), self._beside.then(later)
        if self._sound:
            self._sound.timing = self._beside

    def _encode(self, duration: int) -> None:
        """Encode the waiting frame, shown for so many ticks."""
        if duration > LONGEST:
            fact = (
                f"a frame is shown for {float(duration * self._tick):.6g} s, from {float(self._waiting.time):.6g} s on"
            )
            most = f"{float(LONGEST * self._tick):.6g}"
            raise InputError(
                f"{self.name}: {fact}; a frame of this {self._muxer} lasts {most} s at most: mend its times"
            )
        self.frames += 1
        picture = self._waiting.pixels
        if not isinstance(picture, av.VideoFrame):
            picture = self._subsampler(picture)
        picture.pict_type = 0  # the encoder's choice
        picture.time_base, picture.pts = self._tick, self._at
        self._durations[picture.pts] = duration
        with self._output_errors():
            self._mux(self._video.encode(picture))

    def _mux(self, packets: Iterable[av.Packet]) -> None:
        """Mux pictures, each after the sound that begins before it."""
        for encoded in packets:
            self._filter = self._filter or av.bitstream.BitStreamFilterContext(CLEAN[self._codec], self._video)
            for packet in self._filter.filter(encoded):
                packet.stream, packet.time_base = self._video, self._tick
                packet.duration = self._durations.pop(packet.pts)
                if self._sound:
                    self._sound.mux_until(packet.pts * self._tick)
                self._output.mux(packet)

    def _note(self, note: str) -> None:
        if note not in self._notes:
            self._notes.append(note)

    def _ticks(self, time: Fraction) -> int:
        return round(time / self._tick)

    def _encoder(self) -> av.VideoStream:
        # 0 would be a lossless profile that few can play.
        factor = max(1, WORST[self._codec] * (1 - self._quality / 100))
        options = {**ENCODERS[self._codec], **ALIKE, **yuv.TAGS, "crf": f"{factor:.0f}"}
        made = self._output.add_stream(self._codec, rate=self._rate, options=options, time_base=self._tick)
        made.width, made.height = self._even
        made.pix_fmt = "yuv420p"
        return made

    @contextmanager
    def _file(self) -> Iterator[Path]:
        """A path to write to, hidden beside the target.

        For a stream it is a path whose bytes are poured into the stream at the end.
        """
        if isinstance(self._target, str | Path):
            with atomic_path(self._target) as temp:
                yield temp
            return
        with tempfile.TemporaryDirectory(prefix="structkit-") as folder:
            yield (temp := Path(folder) / "video.mp4")
            with self._output_errors(), temp.open("rb") as file:
                shutil.copyfileobj(file, self._target)

    @contextmanager
    def _opened(self, temp: Path) -> Iterator[av.container.OutputContainer]:
        """The container, closed in any case; a failure to close it counts only where nothing else failed."""
        options = {"fflags": "+bitexact", **MUXERS[self._muxer]}
        # The time before a late first frame is counted in these ticks, by default in milliseconds.
        if self._muxer not in MILLISECONDS:
            options["movie_timescale"] = str(self._tick.denominator)
        with self._output_errors():
            output = av.open(f"file:{temp}", "w", format=self._muxer, options=options)
        try:
            yield output
        except BaseException:
            with suppress(av.FFmpegError, ValueError):
                output.close()
            raise
        with self._output_errors():
            output.close()

    @contextmanager
    def _output_errors(self) -> Iterator[None]:
        try:
            yield
        except (av.FFmpegError, ValueError, OSError) as error:
            raise OutputError(
                f"{self.name}: cannot be written ({reason(error)}); choose another path or free some space"
            ) from error


class _AbandonedWriter(Exception):
    """A failure of the caller's block: nothing is to be left."""


def muxer_of(path: str | Path) -> str:
    """FFmpeg's muxer for a path's suffix.  Raises OutputError."""
    suffix = Path(path).suffix.lower()
    if suffix in WRITTEN:
        return WRITTEN[suffix]
    fact = f"{suffix} videos are read, not written" if suffix in VIDEO_SUFFIXES else "unknown video format"
    raise OutputError(f"{path}: {fact}; end the name in one of {' '.join(WRITTEN)}")


def _tick(parts: int) -> Fraction:
    """The coarsest time base, s, that is a whole part of 1 / `parts` s and fine enough for any other time."""
    least, most = TICKS
    return Fraction(1, min(parts * math.ceil(least / parts), most))
