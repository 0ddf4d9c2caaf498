"""The sound and the subtitles of one video on their way into another: copied packet by packet where the container can hold them.

Copied packets keep their bytes and their own time stamps, so that picture and sound stay together to the tick.  Sound that the container
cannot hold is encoded anew, subtitles that it cannot hold are left out; both with a note.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from typing import Self

import av

from structkit.errors import InputError
from structkit.media.video import VideoReader, reason

HOLDS = {  # what players expect in each container, by FFmpeg's decoders; FFmpeg itself would put more into them
    "mp4": {"aac", "mp3", "mp3float", "ac3", "eac3", "alac", "opus", "flac", "mov_text"},
    "mov": {"aac", "mp3", "mp3float", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "mov_text"},
    "matroska": {
        *("aac", "mp3", "mp3float", "mp2", "mp2float", "ac3", "eac3", "alac", "opus", "vorbis", "flac", "dca", "truehd", "pcm_s16le"),
        *("pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_f32le", "pcm_u8", "subrip", "srt", "ass", "ssa", "webvtt"),
    },
    "webm": {"opus", "vorbis", "webvtt"},
}
ENCODERS = {"mp4": "aac", "mov": "aac", "matroska": "aac", "webm": "libopus"}
BITS = {"aac": 192_000, "libopus": 160_000}  # a second; high enough for a second generation
OPUS_RATE = 48_000  # 1/s


class Soundtrack:
    """The streams beside the picture, in step with it.  Enter it before the first packet is muxed.

    video: where they come from.  output, muxer: the container that they go to, and FFmpeg's name of its kind.
    Raises InputError where the sound is damaged.
    """

    def __init__(self, video: VideoReader, output: av.container.OutputContainer, muxer: str) -> None:
        self._video, self._output, self._muxer = video, output, muxer
        self.notes: list[str] = []
        self._copied: dict[int, av.stream.Stream] = {}  # index in the input -> stream of the output
        self._encoded: dict[int, av.AudioStream] = {}
        self._ends: dict[int, int] = {}  # of an encoded stream: where its next packet begins, ticks

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            container = stack.enter_context(self._video.demuxer())
            chosen = [s for s in container.streams if s.type in ("audio", "subtitle") and self._is_taken(s)]
            self._packets = self._demuxed(container, chosen)
            self._next = next(self._packets, None)
            if title := container.metadata.get("title"):
                self._output.metadata["title"] = title
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._packets.close()
        self._stack.close()

    def mux_until(self, time: Fraction | None, shift: Fraction) -> None:
        """Mux what begins before `time` (s, of the input's frames), all that is left for None.  shift: s, added to the time stamps."""
        while self._next is not None and (time is None or self._next.dts * self._next.time_base - self._video.origin < time):
            self._take(self._next, shift)
            self._next = next(self._packets, None)
        if time is None:
            for stream in self._encoded.values():
                self._mux_encoded(stream, None)

    def _is_taken(self, stream: av.stream.Stream) -> bool:
        """Make the stream's counterpart in the output, and say what is lost."""
        codec = stream.codec_context.name if stream.codec_context else "unknown"
        if codec in HOLDS[self._muxer]:
            made = self._copied[stream.index] = self._output.add_stream_from_template(stream)
        elif stream.type == "audio" and codec != "unknown":
            made = self._encoded[stream.index] = self._encoder(stream)
            self.notes.append(f"{codec} sound encoded anew as {ENCODERS[self._muxer].removeprefix('lib')}: {self._muxer} does not hold it")
        else:
            what = "sound" if stream.type == "audio" else "subtitles"
            self.notes.append(f"{codec} {what} left out: {self._muxer} does not hold it; write .mkv to keep it")
            return False
        if language := stream.metadata.get("language"):
            made.metadata["language"] = language
        return True

    def _encoder(self, stream: av.AudioStream) -> av.AudioStream:
        name = ENCODERS[self._muxer]
        rate = OPUS_RATE if name == "libopus" else min(stream.rate, 96_000)
        made = self._output.add_stream(name, rate=rate, options={"b": str(BITS[name]), "flags": "+bitexact"})
        made.codec_context.layout = "mono" if stream.channels == 1 else "stereo"
        if stream.channels > 2:
            self.notes.append(f"{stream.channels} channels of sound mixed down to 2")
        return made

    def _demuxed(self, container: av.container.InputContainer, streams: list[av.stream.Stream]) -> Iterator[av.Packet]:
        try:
            for packet in container.demux(streams) if streams else ():
                if packet.dts is None:
                    packet.dts = packet.pts
                if packet.dts is not None and packet.size:
                    yield packet
        except (av.FFmpegError, ValueError) as error:
            raise self._damaged(error) from error

    def _take(self, packet: av.Packet, shift: Fraction) -> None:
        moved = round((shift - self._video.origin) / packet.time_base)
        packet.pts, packet.dts = (None if ticks is None else ticks + moved for ticks in (packet.pts, packet.dts))
        index = packet.stream.index
        if index in self._copied:
            packet.stream = self._copied[index]
            self._output.mux(packet)
            return
        try:
            frames = packet.decode()
        except (av.FFmpegError, ValueError) as error:
            raise self._damaged(error) from error
        for frame in frames:
            self._mux_encoded(self._encoded[index], frame)

    def _mux_encoded(self, stream: av.AudioStream, frame: av.AudioFrame | None) -> None:
        """Encode and mux.  The packets that come when the encoder is emptied follow the others: PyAV's resampler forgets their times."""
        for packet in stream.encode(frame):
            if frame is None and stream.index in self._ends:
                packet.pts = packet.dts = self._ends[stream.index]
            self._ends[stream.index] = packet.pts + packet.duration
            self._output.mux(packet)

    def _damaged(self, error: Exception) -> InputError:
        return InputError(f"{self._video.name}: damaged sound or subtitles ({reason(error)}); copy or export it again from the original")
