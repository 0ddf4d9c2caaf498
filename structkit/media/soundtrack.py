"""All that goes beside the pictures of one video on its way into another: sound, subtitles, chapters, cover, tags.

Streams are copied packet by packet where the container can hold them.  Copied packets keep their bytes, and their time
stamps go through the map of the pictures, so that picture and sound stay together to the tick.
Of what the container cannot hold, sound is encoded anew, text is brought to the container's form, and anything else is
left out; there is a note on each.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from fractions import Fraction
from math import floor
from typing import Any, Self

import av

from structkit.errors import InputError, OptionError
from structkit.media import subtitles, tags
from structkit.media.files import one_line
from structkit.media.routes import (
    RetimedTranscode,
    StreamCopy,
    StreamRoute,
    SubtitleConversion,
    Transcode,
    is_mixable,
)
from structkit.media.timing import IDENTITY, TimeMap
from structkit.media.video import SOUND_CODECS, VideoReader, reason

# Sound that mp4, mov and matroska hold alike, and plain samples that the last two do.
COMMON = {"aac", "mp3", "mp3float", "ac3", "eac3", "alac"}
PCM = {"pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be"}
# The codecs that players expect in each container, by the names of FFmpeg's decoders.  FFmpeg itself would hold more.
HOLDS = {
    "mp4": COMMON | {"opus", "flac", "mov_text"},
    "mov": COMMON | PCM | {"mov_text"},
    "matroska": COMMON.union(
        PCM,
        {"mp2", "mp2float", "opus", "vorbis", "flac", "dca", "truehd", "pcm_s32le", "pcm_f32le", "pcm_u8"},
        {"subrip", "srt", "ass", "ssa", "webvtt", "pgssub", "dvdsub", "dvbsub"},
    ),
    "webm": {"opus", "vorbis", "webvtt"},
}
ENCODERS = {"mp4": "aac", "mov": "aac", "matroska": "aac", "webm": "libopus"}
COVERS = {
    "png": ("image/png", "png"),
    "mjpeg": ("image/jpeg", "jpg"),
    "bmp": ("image/bmp", "bmp"),
}  # by FFmpeg's decoders
COVERED = ("mp4", "matroska")  # muxers that write them
TIMECODE = re.compile(r"\d\d:[0-5]\d:[0-5]\d[:;.](\d{1,3})")
FASTEST = 120  # frames a second that a track of timecodes counts
# Our words for the streams that are left out, by FFmpeg's names of their types.
LEFT_OUT = {"attachment": "attachments", "data": "data tracks"}
NAMES = {"ssa": "ASS", "ass": "ASS"}  # FFmpeg's decoders -> what their streams are called
AUDIO = {"stretch": "stretched", "varispeed": "played like a tape", "drop": "left out"}  # in the words of our notes
LOOSE = Fraction(1, 10)  # s, by which sound may begin before the pictures, or go on behind them, untold
PRIMING = 3  # packets of silence, at most, with which encoders begin, before zero
LATEST_END = 2**60  # of a chapter, ticks; one that is said to end later is damaged


class Soundtrack:
    """All that goes with the picture, sound, subtitles, chapters, cover art and tags, kept in step with it.

    Enter it before the first packet is muxed.
    video: where all of it comes from.
    output: the container that it goes to; its first stream is the picture.
    muxer: FFmpeg's name of that container.
    timing: the map from the times of the video's frames to those of the output.  A shift may still be added to it until
    `mux_until` is first called.
    audio: how sound follows a map that is no shift: "stretch" keeps its pitch, "varispeed" plays it like a tape; both
    encode it anew.  "drop" leaves sound out, under any map.
    end: where the pictures end, s of the output, to be set before what is left is muxed.  Sound that is retimed is cut,
    or filled up with silence, to there.
    notes: the differences from the input.
    Raises InputError where sound, subtitles or chapters are damaged, and OptionError for another `audio`.
    """

    def __init__(
        self,
        video: VideoReader,
        output: av.container.OutputContainer,
        muxer: str,
        timing: TimeMap = IDENTITY,
        *,
        audio: str = "stretch",
    ) -> None:
        if audio not in AUDIO:
            raise OptionError(f"{audio} is no way to treat sound; choose {', '.join(AUDIO)}")
        self._video, self._output, self._muxer, self.timing = video, output, muxer, timing
        self._audio, self.end = audio, None
        self._routes: dict[int, StreamRoute] = {}  # by the stream's index in the input
        self._covers: list[av.Packet] = []  # to be muxed before anything else
        self.notes: list[str] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            container = stack.enter_context(self._video.demuxer())
            try:
                chosen = [s for s in container.streams if s.type in ("audio", "subtitle") and self._take(s)]
                self._take_covers([s for s in container.streams.video if tags.is_cover(s)])
            except (av.FFmpegError, ValueError) as error:
                raise self._damaged(error) from error
            self._chapters = container.chapters() if hasattr(container, "chapters") else []  # not in the first PyAV 14
            self._tag(container, next(s for s in container.streams.video if not tags.is_cover(s)))
            self._note_left_out(container)
            self._packets = self._demuxed(container, chosen)
            self._next = next(self._packets, None)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._packets.close()
        self._stack.close()

    def mux_until(self, time: Fraction | None) -> None:
        """Mux the packets that begin before `time`, s of the output; if it is None, all that are left."""
        if self._chapters:
            self._output.set_chapters(list(self._mapped_chapters()))
            self._chapters = []
        self._output.mux(self._covers)
        self._covers = []
        for route in self._retimed():
            route.timing, route.end = self.timing, self.end
        while (packet := self._next) is not None and (
            time is None or self.timing.at(packet.dts * packet.time_base - self._video.origin) < time
        ):
            route = self._routes[packet.stream.index]
            if self._is_due(packet) if isinstance(route, RetimedTranscode) else self._retime(packet):
                self._mux(route, route.packets(packet))
            self._next = next(self._packets, None)
        for route in self._routes.values():
            self._mux(route, route.packets(None) if time is None else route.until(time))
        if any(route.damaged for route in self._retimed()):
            self._note(["damaged sound: silence where it cannot be decoded"])

    def _retimed(self) -> list[RetimedTranscode]:
        """The routes of sound that is retimed."""
        return [route for route in self._routes.values() if isinstance(route, RetimedTranscode)]

    def _is_due(self, packet: av.Packet) -> bool:
        """Whether the sound of a packet begins before the pictures end; with a note on sound beside which there are
        none."""
        start = packet.dts * packet.time_base - self._video.origin
        loose = max(LOOSE, PRIMING * (packet.duration or 0) * packet.time_base)
        if self.timing.at(start + loose) < 0:
            self._note(["sound before the first picture left out"])
        if self.end is not None and self.timing.at(start - LOOSE) > self.end:
            self._note(["sound behind the last picture left out"])
        return self.end is None or self.timing.at(start) < self.end

    def _retime(self, packet: av.Packet) -> bool:
        """Map the times of a packet, its end too; returns False if the map leaves it no time."""
        start = packet.dts if packet.pts is None else packet.pts
        end = start + packet.duration if (packet.duration or 0) > 0 else None
        packet.pts, packet.dts = (
            None if tick is None else self._tick(tick, packet.time_base) for tick in (packet.pts, packet.dts)
        )
        left = self._left(self._tick(start, packet.time_base), packet.time_base)
        if left is not None and left <= 0:
            self._note(["subtitles behind the last picture left out"] if end is not None else [])
            return False
        if end is None:
            return True
        packet.duration = self._tick(end, packet.time_base) - self._tick(start, packet.time_base)
        if not packet.duration:  # what takes any time at all takes a tick
            shown = [self.timing.at(tick * packet.time_base - self._video.origin) for tick in (start, end)]
            packet.duration = int(shown[0] < shown[1])
        packet.duration = packet.duration if left is None else min(packet.duration, left)
        return packet.duration > 0

    def _left(self, tick: int, base: Fraction) -> int | None:
        """The ticks from one of the output to the end of the pictures, beyond which no text makes the video longer.

        None under a shift, which leaves all as it is, and where that end is not stated.
        """
        if self.timing.shift is not None or self._video.end is None:
            return None
        return floor(self.timing.at(self._video.end) / base) - tick

    def _tick(self, tick: int, base: Fraction) -> int:
        """The output's tick for one of the input; base: of both, s."""
        return self.timing.tick(tick, base, self._video.origin)

    def _mapped_chapters(self) -> Iterator[dict[str, Any]]:
        """The chapters at their times in the output.

        To be called right before the first packet, when the map is final.
        """
        for number, chapter in enumerate(self._chapters, 1):
            start, end = (self._tick(chapter[side], chapter["time_base"]) for side in ("start", "end"))
            if max(0, start) < end < LATEST_END:
                yield chapter | {"id": number, "start": max(0, start), "end": end}

    def _note_left_out(self, container: av.container.InputContainer) -> None:
        """Note each type of stream other than pictures, sound and subtitles."""
        chapters = "bin_data" if self._chapters else None  # FFmpeg's name of the text track that holds them in MP4
        others = [
            s for s in container.streams if s.type != "data" or (s.name != chapters and not _timecode(s.metadata))
        ]
        found = {s.type for s in others}
        self.notes += [f"{words} left out" for kind, words in LEFT_OUT.items() if kind in found]

    def _mux(self, route: StreamRoute, packets: Iterable[av.Packet]) -> None:
        """Put into the output what a route makes."""
        made = iter(packets)
        while True:
            try:
                packet = next(made, None)
            except (av.FFmpegError, ValueError) as error:
                raise self._damaged(error) from error
            if packet is None:
                return
            packet.stream = route.stream
            try:
                self._output.mux(packet)
            except (av.error.ArgumentError, av.error.InvalidDataError) as error:  # times that go back, for example
                raise self._damaged(error) from error

    def _take(self, stream: av.stream.Stream) -> bool:
        """Find a stream's route into the output, and note what is lost on it; returns False if there is none."""
        codec = stream.codec_context.name if stream.codec_context else "unknown"
        called = NAMES.get(codec, codec.removesuffix("float"))
        if stream.type == "audio" and self._audio == "drop":
            self.notes.append(f"{called} sound left out, as asked")
            return False
        is_sound = stream.type == "audio" and bool(stream.codec_context)
        if is_sound and not stream.rate:  # of which nothing is known at the begin of the file
            self.notes.append(f"{called} sound left out: it begins too late in the file")
            return False
        if is_sound and self.timing.shift is None and not is_mixable(stream):
            self.notes.append(f"{called} sound left out: what its {stream.channels} channels are is not said")
            return False
        route = self._route(stream, codec)
        if route is None:
            what = "sound" if stream.type == "audio" else "subtitles"
            mkv_holds_it = self._muxer != "matroska" and codec in HOLDS["matroska"]
            fact = f"{self._muxer} does not hold it; write .mkv to keep it" if mkv_holds_it else "its codec is not read"
            self.notes.append(f"{called} {what} left out: {fact}")
            return False
        if not isinstance(route, StreamCopy):
            made = route.stream.codec_context.name.removeprefix("lib")
            what = (
                f"sound encoded anew as {made}"
                if stream.type == "audio"
                else f"subtitles written as {made}, without styling"
            )
            how = f", {AUDIO[self._audio]}" if isinstance(route, RetimedTranscode) else ""
            self.notes.append(f"{called} {what}{how}")
        if stream.type == "audio" and not isinstance(route, StreamCopy) and stream.channels > route.channels:
            self.notes.append(f"{stream.channels} channels of sound mixed down to {route.channels}")
        self._note(tags.to_track(stream, route.stream, self._muxer))
        self._routes[stream.index] = route
        return True

    def _route(self, stream: av.stream.Stream, codec: str) -> StreamRoute | None:
        """The route that loses least: a copy if the container holds the codec, else a conversion, else None.

        The counterpart of the stream is added to the output.
        """
        if stream.type == "audio" and self.timing.shift is None:
            return self._retiming_route(stream) if codec in SOUND_CODECS else None
        if codec in HOLDS[self._muxer]:
            try:
                counterpart = self._output.add_stream_from_template(stream)
                # PyAV 14 opens an encoder even for copied packets.
                counterpart.codec_context.options = {"strict": "experimental"}
                return StreamCopy(counterpart)
            except ValueError:  # FFmpeg has no encoder for some codecs
                pass
        if stream.type == "audio" and codec in SOUND_CODECS:
            return Transcode(self._output, ENCODERS[self._muxer], stream)
        # PyAV 14 lacks the attribute, which the conversion sets.
        if codec in subtitles.TEXT and hasattr(av.subtitles.codeccontext.SubtitleCodecContext, "subtitle_header"):
            return SubtitleConversion(self._output, subtitles.MADE[self._muxer], stream)
        return None

    def _retiming_route(self, stream: av.AudioStream) -> RetimedTranscode:
        """The route of sound whose speed changes."""
        return RetimedTranscode(
            self._output,
            ENCODERS[self._muxer],
            stream,
            audio=self._audio,
            origin=self._video.origin,
            is_patient=self._video.tolerant,
        )

    def _take_covers(self, covers: list[av.VideoStream]) -> None:
        """Carry the pictures that stand for the film, as they are."""
        is_held = self._muxer in COVERED and hasattr(self._output, "add_attachment")  # not in the first PyAV 14
        held = [s for s in covers if is_held and s.codec_context and s.codec_context.name in COVERS and s.width]
        if len(held) < len(covers):
            way_out = "its codec is not carried" if is_held else f"{self._muxer} does not hold it; write .mp4 or .mkv"
            self._note([f"cover art left out: {way_out}"])
        if not held:
            return
        found: dict[int, bytes] = {}
        with self._video.demuxer() as container:
            for packet in container.demux([container.streams[stream.index] for stream in held]):
                if packet.size:
                    found[packet.stream.index] = bytes(packet)
                if len(found) == len(held):  # covers come first
                    break
        for number, stream in enumerate(held):
            kind, suffix = COVERS[stream.codec_context.name]
            if (data := found.get(stream.index)) is None:
                continue
            if self._muxer == "matroska":
                name = stream.metadata.get("filename") or f"cover{number or ''}.{suffix}"
                self._output.add_attachment(name, kind, data)
                continue
            made = self._output.add_stream_from_template(stream, opaque=True)
            made.disposition = av.stream.Disposition.attached_pic
            packet = av.Packet(data)
            packet.pts = packet.dts = 0
            packet.stream, packet.time_base = made, made.time_base
            self._covers.append(packet)

    def _tag(self, container: av.container.InputContainer, pictures: av.VideoStream) -> None:
        """Carry the tags of the film and of its pictures, and their timecode."""
        made = self._output.streams.video[0]
        demuxer = self._video.container.demuxer
        found = {**(pictures.metadata if demuxer == "ogg" else {}), **container.metadata}  # Ogg tags streams alone
        held, notes = tags.of_film(found, demuxer, self._muxer)
        self._output.metadata.update(held)
        self._note(notes + tags.to_track(pictures, made, self._muxer))
        everywhere = [
            pictures.metadata,
            container.metadata,
            *(s.metadata for s in container.streams if s.type == "data"),
        ]
        if timecode := next(filter(None, map(_timecode, everywhere)), None):
            if self.timing.shift is None:
                self._note(["timecode left out: the speed changes"])
            elif _counts(timecode, made.codec_context.framerate):
                made.metadata["timecode"] = timecode
            else:
                rate = f"{float(made.codec_context.framerate):.6g} frames a second"
                self._note([f"timecode left out: {one_line(timecode)} is none at {rate}"])

    def _note(self, notes: Iterable[str]) -> None:
        self.notes += [note for note in dict.fromkeys(notes) if note not in self.notes]

    def _demuxed(self, container: av.container.InputContainer, streams: list[av.stream.Stream]) -> Iterator[av.Packet]:
        """The packets of some streams that hold data; one without a time follows the one before."""
        ends: dict[int, int] = {}  # ticks, of each stream's last packet
        try:
            for packet in container.demux(streams) if streams else ():
                if not packet.size:
                    continue
                if packet.pts is None and packet.dts is None:
                    packet.pts = ends.get(packet.stream.index, 0)
                if packet.dts is None:
                    packet.dts = packet.pts
                start = packet.dts if packet.pts is None else packet.pts
                ends[packet.stream.index] = start + (packet.duration or 0)
                yield packet
        except (av.FFmpegError, ValueError) as error:
            if not self._video.tolerant:
                raise self._damaged(error) from error
            self.notes.append(f"damaged sound or subtitles ({reason(error)}): they end there")

    def _damaged(self, error: Exception) -> InputError:
        """The error for an input that cannot be read, or not be put into the output."""
        return InputError(
            f"{self._video.name}: damaged sound or subtitles ({reason(error)}); copy or export it again from the "
            "original"
        )


def _timecode(metadata: Mapping[str, str]) -> str | None:
    """The time on the clock of the recording at the first frame."""
    return metadata.get("timecode") or metadata.get("TIMECODE")


def _counts(timecode: str, rate: Fraction) -> bool:
    """True if FFmpeg can write a track of timecodes from this one on."""
    found = TIMECODE.fullmatch(timecode)
    a_second = round(rate)
    is_dropped = ";" in timecode or "." in timecode  # frame numbers, so that 29.97 a second keep up with the clock
    return bool(found) and int(found[1]) < a_second <= FASTEST and (a_second % 30 == 0 or not is_dropped)
