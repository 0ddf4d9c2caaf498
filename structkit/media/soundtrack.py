"""Sound, subtitles and chapters of one video on their way into another.

Streams are copied packet by packet where the container can hold them.  Copied packets keep their bytes, and their time
stamps go through the map of the pictures, so that picture and sound stay together to the tick.
Of what the container cannot hold, sound is encoded anew, text is brought to the container's form, and anything else is
left out; there is a note on each.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from typing import Any, Protocol, Self

import av

from structkit.errors import InputError
from structkit.media import subtitles
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
BIT_RATES = {"aac": 192_000, "libopus": 160_000}  # bits a second; high enough for sound that is encoded a second time
SAMPLE_RATES = {  # samples a second that each encoder takes, in ascending order
    "aac": (7_350, 8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000),
    "libopus": (48_000,),
}
# Our words for the streams that are left out, by FFmpeg's names of their types.
LEFT_OUT = {"attachment": "attachments", "data": "data tracks"}
LATEST_END = 2**60  # of a chapter, ticks; one that is said to end later is damaged


class StreamRoute(Protocol):
    """A route from one stream of the input to its counterpart in the output."""

    stream: av.stream.Stream  # the counterpart in the output

    def packets(self, packet: av.Packet | None) -> Iterator[av.Packet]:
        """The packets for the output, from one packet of the input; from None, those that are still held back."""


class Soundtrack:
    """All that goes with the picture, sound, subtitles and chapters, kept in step with it.

    Enter it before the first packet is muxed.
    video: where sound, subtitles and chapters come from.
    output: the container that they go to.
    muxer: FFmpeg's name of that container.
    timing: the map from the times of the video's frames to those of the output.  A shift may still be added to it until
    `mux_until` is first called.
    notes: the differences from the input.
    Under a map that is no shift sound is left out, since copied samples keep their speed.
    Raises InputError where sound, subtitles or chapters are damaged.
    """

    def __init__(
        self, video: VideoReader, output: av.container.OutputContainer, muxer: str, timing: TimeMap = IDENTITY
    ) -> None:
        self._video, self._output, self._muxer, self.timing = video, output, muxer, timing
        self._routes: dict[int, StreamRoute] = {}  # by the stream's index in the input
        self.notes: list[str] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            container = stack.enter_context(self._video.demuxer())
            try:
                chosen = [s for s in container.streams if s.type in ("audio", "subtitle") and self._take(s)]
            except (av.FFmpegError, ValueError) as error:
                raise self._damaged(error) from error
            self._chapters = container.chapters() if hasattr(container, "chapters") else []  # not in the first PyAV 14
            self._note_left_out(container)
            self._packets = self._demuxed(container, chosen)
            self._next = next(self._packets, None)
            if title := container.metadata.get("title"):
                self._output.metadata["title"] = title
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
        while (packet := self._next) is not None and (
            time is None or self.timing.at(packet.dts * packet.time_base - self._video.origin) < time
        ):
            if self._retime(packet):
                self._mux(self._routes[packet.stream.index], packet)
            self._next = next(self._packets, None)
        if time is None:
            for route in self._routes.values():
                self._mux(route, None)

    def _retime(self, packet: av.Packet) -> bool:
        """Map the times of a packet, its end too; returns False if the map leaves it no time."""
        start = packet.dts if packet.pts is None else packet.pts
        end = start + packet.duration if (packet.duration or 0) > 0 else None
        packet.pts, packet.dts = (
            None if tick is None else self._tick(tick, packet.time_base) for tick in (packet.pts, packet.dts)
        )
        if end is None:
            return True
        packet.duration = self._tick(end, packet.time_base) - self._tick(start, packet.time_base)
        return packet.duration > 0

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
        found = {s.type for s in container.streams if not (s.type == "data" and s.name == chapters)}
        self.notes += [f"{words} left out" for kind, words in LEFT_OUT.items() if kind in found]

    def _mux(self, route: StreamRoute, packet: av.Packet | None) -> None:
        """Put into the output what a route makes of a packet; of None, what it still holds back."""
        try:
            made = list(route.packets(packet))
        except (av.FFmpegError, ValueError) as error:
            raise self._damaged(error) from error
        for packet in made:
            packet.stream = route.stream
            self._output.mux(packet)

    def _take(self, stream: av.stream.Stream) -> bool:
        """Find a stream's route into the output, and note what is lost on it; returns False if there is none."""
        codec = stream.codec_context.name if stream.codec_context else "unknown"
        if stream.type == "audio" and self.timing.shift is None:
            self.notes.append(f"{codec} sound left out: the speed changes, and sound is not stretched")
            return False
        route = self._route(stream, codec)
        if route is None:
            what = "sound" if stream.type == "audio" else "subtitles"
            mkv_holds_it = self._muxer != "matroska" and codec in HOLDS["matroska"]
            fact = f"{self._muxer} does not hold it; write .mkv to keep it" if mkv_holds_it else "its codec is not read"
            self.notes.append(f"{codec} {what} left out: {fact}")
            return False
        if not isinstance(route, StreamCopy):
            made = route.stream.codec_context.name.removeprefix("lib")
            what = (
                f"sound encoded anew as {made}"
                if stream.type == "audio"
                else f"subtitles written as {made}, without styling"
            )
            self.notes.append(f"{codec.removesuffix('float')} {what}")
        if stream.type == "audio" and isinstance(route, Transcode) and stream.channels > 2:
            self.notes.append(f"{stream.channels} channels of sound mixed down to 2")
        if language := stream.metadata.get("language"):
            route.stream.metadata["language"] = language
        self._routes[stream.index] = route
        return True

    def _route(self, stream: av.stream.Stream, codec: str) -> StreamRoute | None:
        """The route that loses least: a copy if the container holds the codec, else a conversion, else None.

        The counterpart of the stream is added to the output.
        """
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

    def _demuxed(self, container: av.container.InputContainer, streams: list[av.stream.Stream]) -> Iterator[av.Packet]:
        """The packets of some streams that hold data and have a time."""
        try:
            for packet in container.demux(streams) if streams else ():
                if packet.dts is None:
                    packet.dts = packet.pts
                if packet.dts is not None and packet.size:
                    yield packet
        except (av.FFmpegError, ValueError) as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> InputError:
        """The error for an input that cannot be read, or not be put into the output."""
        return InputError(
            f"{self._video.name}: damaged sound or subtitles ({reason(error)}); copy or export it again from the "
            "original"
        )


class StreamCopy:
    """A route that leaves packets as they are."""

    def __init__(self, stream: av.stream.Stream) -> None:
        self.stream = stream

    def packets(self, packet: av.Packet | None) -> Iterator[av.Packet]:
        if packet:
            yield packet


class Transcode:
    """A route of sound through a decoder and an encoder; more than two channels are mixed down.

    encoder: FFmpeg's name of it.
    """

    def __init__(self, output: av.container.OutputContainer, encoder: str, source: av.AudioStream) -> None:
        rate = next((rate for rate in SAMPLE_RATES[encoder] if rate >= source.rate), SAMPLE_RATES[encoder][-1])
        options = {"b": str(BIT_RATES[encoder]), "flags": "+bitexact"}
        self.stream = output.add_stream(encoder, rate=rate, options=options)
        self.stream.codec_context.layout = "mono" if source.channels == 1 else "stereo"
        self.stream.codec_context.open()  # an encoder that cannot be opened fails here, before any work
        self._source = source
        self._end: int | None = None  # of the last packet, ticks

    def packets(self, packet: av.Packet | None) -> Iterator[av.Packet]:
        # At the end the decoder gives what it holds back, and None makes the encoder do the same.
        for frame in packet.decode() if packet else [*self._source.codec_context.decode(None), None]:
            for made in self.stream.encode(frame):
                # PyAV's resampler cuts frames to the encoder's size and misstates their times.  So each packet begins
                # where the last one ends, unless there is a gap in the sound.
                if self._end is not None and made.pts < self._end + 2 * made.duration:
                    made.pts = made.dts = self._end
                self._end = made.pts + made.duration
                yield made


class SubtitleConversion:
    """A route of subtitles, which are text, into another form of text.

    encoder: FFmpeg's name of it, and of the form.
    """

    def __init__(self, output: av.container.OutputContainer, encoder: str, source: av.stream.Stream) -> None:
        self.stream = output.add_stream(encoder)
        self.stream.codec_context.subtitle_header = subtitles.HEADER
        self.stream.time_base = source.time_base

    def packets(self, packet: av.Packet | None) -> Iterator[av.Packet]:
        text = subtitles.words(packet.stream.codec_context.name, bytes(packet)) if packet else ""
        if text.strip():  # an empty text says only that nothing is shown
            made = av.Packet(subtitles.payload(self.stream.codec_context.name, text))
            made.pts = made.dts = packet.pts
            made.duration, made.time_base = packet.duration, packet.time_base
            yield made
