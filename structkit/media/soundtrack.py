"""Sound, subtitles and chapters of one video on their way into another.

They are copied packet by packet where the container can hold them.  Copied packets keep their bytes, and their time
stamps go through the map of the pictures, so that picture and sound stay together to the tick.  Sound that the
container cannot hold is encoded anew, text is brought to the container's form, anything else is left out; each with a
note.
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

HOLDS = {  # codecs that players expect in each container, by FFmpeg's decoders; FFmpeg itself would hold more
    "mp4": {"aac", "mp3", "mp3float", "ac3", "eac3", "alac", "opus", "flac", "mov_text"},
    "mov": {
        "aac",
        "mp3",
        "mp3float",
        "ac3",
        "eac3",
        "alac",
        "pcm_s16le",
        "pcm_s16be",
        "pcm_s24le",
        "pcm_s24be",
        "mov_text",
    },
    "matroska": {
        *(
            "aac",
            "mp3",
            "mp3float",
            "mp2",
            "mp2float",
            "ac3",
            "eac3",
            "alac",
            "opus",
            "vorbis",
            "flac",
            "dca",
            "truehd",
            "pcm_s16le",
        ),
        *(
            "pcm_s16be",
            "pcm_s24le",
            "pcm_s24be",
            "pcm_s32le",
            "pcm_f32le",
            "pcm_u8",
            "subrip",
            "srt",
            "ass",
            "ssa",
            "webvtt",
        ),
        *("pgssub", "dvdsub", "dvbsub"),
    },
    "webm": {"opus", "vorbis", "webvtt"},
}
ENCODERS = {"mp4": "aac", "mov": "aac", "matroska": "aac", "webm": "libopus"}
BITS = {"aac": 192_000, "libopus": 160_000}  # a second; high enough for a second generation
RATES = {  # 1/s, that each encoder takes
    "aac": (7_350, 8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000),
    "libopus": (48_000,),
}
OTHERS = {"attachment": "attachments", "data": "data tracks"}  # words for other streams, by FFmpeg's name of the kind
LATEST = 2**60  # ticks, of a chapter; what is said to end later is damaged


class StreamRoute(Protocol):
    """A route from one stream of the input to its counterpart in the output."""

    stream: av.stream.Stream  # the counterpart in the output

    def packets(self, packet: av.Packet | None) -> Iterator[av.Packet]:
        """The output's packets for one of the input; for None, those that are left."""


class Soundtrack:
    """Sound, subtitles and chapters, in step with the picture.  Enter it before the first packet is muxed.

    video: the one that they come from.
    output, muxer: the container that they go to, and its FFmpeg name.
    timing: from the times of the video's frames to those of the output; it may be shifted until `mux_until` is first
    called.
    notes: the differences from the input.
    Sound is left out under a map that is no shift: copied samples keep their speed.
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
                chosen = [s for s in container.streams if s.type in ("audio", "subtitle") and self._is_taken(s)]
            except (av.FFmpegError, ValueError) as error:
                raise self._damaged(error) from error
            self._chapters = container.chapters() if hasattr(container, "chapters") else []  # not in the first PyAV 14
            self._say_what_else(container)
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
        """Mux the packets that begin before `time` (s, of the output); all that are left for None."""
        if self._chapters:
            self._output.set_chapters(list(self._mapped_chapters()))
            self._chapters = []
        while (packet := self._next) is not None and (
            time is None or self.timing.at(packet.dts * packet.time_base - self._video.origin) < time
        ):
            if self._is_shown(packet):
                self._mux(self._routes[packet.stream.index], packet)
            self._next = next(self._packets, None)
        if time is None:
            for route in self._routes.values():
                self._mux(route, None)

    def _is_shown(self, packet: av.Packet) -> bool:
        """Map the times of a packet, its end too; returns false if the map leaves it no time."""
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
        return self.timing.tick(tick, base, self._video.origin)

    def _mapped_chapters(self) -> Iterator[dict[str, Any]]:
        """The chapters at their times in the output.

        They are set right before the first packet, when the map is final.
        """
        for number, chapter in enumerate(self._chapters, 1):
            start, end = (self._tick(chapter[side], chapter["time_base"]) for side in ("start", "end"))
            if max(0, start) < end < LATEST:
                yield chapter | {"id": number, "start": max(0, start), "end": end}

    def _say_what_else(self, container: av.container.InputContainer) -> None:
        """Note each kind of stream that is no pictures, sound or subtitles."""
        chapters = "bin_data" if self._chapters else None  # FFmpeg's name of the text track that holds them in MP4
        kinds = [
            s.type for s in container.streams if s.type == "attachment" or (s.type == "data" and s.name != chapters)
        ]
        self.notes += [f"{kind} left out" for type_, kind in OTHERS.items() if type_ in kinds]

    def _mux(self, route: StreamRoute, packet: av.Packet | None) -> None:
        try:
            made = list(route.packets(packet))
        except (av.FFmpegError, ValueError) as error:
            raise self._damaged(error) from error
        for packet in made:
            packet.stream = route.stream
            self._output.mux(packet)

    def _is_taken(self, stream: av.stream.Stream) -> bool:
        """True if a stream has a route into the output.

        The route is found here, and the notes say what is lost on it.
        """
        codec = stream.codec_context.name if stream.codec_context else "unknown"
        if stream.type == "audio" and self.timing.shift is None:
            self.notes.append(f"{codec} sound left out: the speed changes, and sound is not stretched")
            return False
        route = self._route(stream, codec)
        if route is None:
            what = "sound" if stream.type == "audio" else "subtitles"
            keeps = self._muxer != "matroska" and codec in HOLDS["matroska"]
            fact = f"{self._muxer} does not hold it; write .mkv to keep it" if keeps else "its codec is not read"
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
        if codec in HOLDS[self._muxer]:
            try:
                made = self._output.add_stream_from_template(stream)
                # PyAV 14 opens an encoder even for copied packets.
                made.codec_context.options = {"strict": "experimental"}
                return StreamCopy(made)
            except ValueError:  # FFmpeg has no encoder for some codecs
                pass
        if stream.type == "audio" and codec in SOUND_CODECS:
            return Transcode(self._output, ENCODERS[self._muxer], stream)
        # PyAV 14 lacks the attribute.
        if codec in subtitles.TEXT and hasattr(av.subtitles.codeccontext.SubtitleCodecContext, "subtitle_header"):
            return SubtitleConversion(self._output, subtitles.MADE[self._muxer], stream)
        return None

    def _demuxed(self, container: av.container.InputContainer, streams: list[av.stream.Stream]) -> Iterator[av.Packet]:
        try:
            for packet in container.demux(streams) if streams else ():
                if packet.dts is None:
                    packet.dts = packet.pts
                if packet.dts is not None and packet.size:
                    yield packet
        except (av.FFmpegError, ValueError) as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> InputError:
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
    """A route of sound through a decoder and an encoder; more than two channels are mixed down."""

    def __init__(self, output: av.container.OutputContainer, name: str, source: av.AudioStream) -> None:
        rate = next((rate for rate in RATES[name] if rate >= source.rate), RATES[name][-1])
        self.stream = output.add_stream(name, rate=rate, options={"b": str(BITS[name]), "flags": "+bitexact"})
        self.stream.codec_context.layout = "mono" if source.channels == 1 else "stereo"
        self.stream.codec_context.open()  # so that it fails before any work, if at all
        self._source = source
        self._end: int | None = None  # the beginning of the next packet, ticks

    def packets(self, packet: av.Packet | None) -> Iterator[av.Packet]:
        for frame in packet.decode() if packet else [*self._source.codec_context.decode(None), None]:
            for made in self.stream.encode(frame):
                # PyAV's resampler cuts frames to the encoder's size and misstates their times; only a gap in the sound
                # counts
                if self._end is not None and made.pts < self._end + 2 * made.duration:
                    made.pts = made.dts = self._end
                self._end = made.pts + made.duration
                yield made


class SubtitleConversion:
    """A route of text into another form."""

    def __init__(self, output: av.container.OutputContainer, name: str, source: av.stream.Stream) -> None:
        self.stream = output.add_stream(name)
        self.stream.codec_context.subtitle_header = subtitles.HEADER
        self.stream.time_base = source.time_base

    def packets(self, packet: av.Packet | None) -> Iterator[av.Packet]:
        text = subtitles.words(packet.stream.codec_context.name, bytes(packet)) if packet else ""
        if text.strip():  # an empty text says only that nothing is shown
            made = av.Packet(subtitles.payload(self.stream.codec_context.name, text))
            made.pts, made.dts, made.duration, made.time_base = (
                packet.pts,
                packet.pts,
                packet.duration,
                packet.time_base,
            )
            yield made
