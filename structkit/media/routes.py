"""Routes of streams from one video into another: copied as they are, or made anew in a form that the container holds.

Packets come to a route with their times in the output, in ticks of their own time base.
"""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from math import floor
from typing import Protocol

import av

from structkit.media import subtitles
from structkit.media.cues import Cue, CueStack

BIT_RATES = {"aac": 192_000, "libopus": 160_000}  # bits a second; high enough for sound that is encoded a second time
SAMPLE_RATES = {  # samples a second that each encoder takes, in ascending order
    "aac": (7_350, 8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000),
    "libopus": (48_000,),
}


class StreamRoute(Protocol):
    """A route from one stream of the input to its counterpart in the output."""

    stream: av.stream.Stream  # the counterpart in the output

    def packets(self, packet: av.Packet | None) -> Iterable[av.Packet]:
        """The packets for the output, from one packet of the input; from None, those that are still held back."""

    def until(self, time: Fraction) -> Iterable[av.Packet]:
        """The packets held back that are due now that none of the input's will begin before `time`, s."""


class StreamCopy:
    """A route that leaves packets as they are."""

    def __init__(self, stream: av.stream.Stream) -> None:
        self.stream = stream

    def packets(self, packet: av.Packet | None) -> Iterable[av.Packet]:
        return () if packet is None else (packet,)

    def until(self, time: Fraction) -> Iterable[av.Packet]:
        return ()


class Transcode:
    """A route of sound through a decoder and an encoder; more than two channels are mixed down.

    encoder: FFmpeg's name of it.
    A frame to which the decoder gives no time follows the one before.
    """

    def __init__(self, output: av.container.OutputContainer, encoder: str, source: av.AudioStream) -> None:
        rate = next((rate for rate in SAMPLE_RATES[encoder] if rate >= source.rate), SAMPLE_RATES[encoder][-1])
        options = {"b": str(BIT_RATES[encoder]), "flags": "+bitexact"}
        self.stream = output.add_stream(encoder, rate=rate, options=options)
        self.stream.codec_context.layout = "mono" if source.channels == 1 else "stereo"
        self.stream.codec_context.open()  # an encoder that cannot be opened fails here, before any work
        self._source = source
        self._next: Fraction | None = None  # s, where the last decoded frame ends
        self._end: int | None = None  # of the last packet, ticks

    def packets(self, packet: av.Packet | None) -> Iterator[av.Packet]:
        # At the end the decoder gives what it holds back, and None makes the encoder do the same.
        for frame in packet.decode() if packet else [*self._source.codec_context.decode(None), None]:
            if frame is not None:
                self._set_time(frame, packet)
            for made in self.stream.encode(frame):
                # PyAV's resampler cuts frames to the encoder's size and misstates their times.  So each packet begins
                # where the last one ends, unless there is a gap in the sound.
                duration = made.duration or 0
                if made.pts is None or (self._end is not None and made.pts < self._end + 2 * duration):
                    made.pts = made.dts = self._end or 0
                self._end = made.pts + duration
                yield made

    def until(self, time: Fraction) -> Iterable[av.Packet]:
        return ()

    def _set_time(self, frame: av.AudioFrame, packet: av.Packet | None) -> None:
        """Give a time to a frame that has none: the end of the one before, or of the packet if it is the first."""
        if not frame.time_base:
            frame.time_base = self._source.time_base
        if frame.pts is None:
            first = packet.pts * packet.time_base if packet and packet.pts is not None else Fraction(0)
            frame.pts = round((first if self._next is None else self._next) / frame.time_base)
        self._next = frame.pts * frame.time_base + Fraction(frame.samples, frame.sample_rate)


class SubtitleConversion:
    """A route of subtitles, which are text, into another form of text.

    encoder: FFmpeg's name of it, and of the form.
    In MP4 and MOV, where one text is shown at a time, those that overlap are shown together.
    """

    def __init__(self, output: av.container.OutputContainer, encoder: str, source: av.stream.Stream) -> None:
        self.stream = output.add_stream(encoder)
        self.stream.codec_context.subtitle_header = subtitles.HEADER
        self.stream.time_base = self._base = source.time_base
        self._form, self._codec = source.codec_context.name, encoder
        self._stack = CueStack() if encoder == "mov_text" else None
        self._reached = 0  # ticks, the latest time that is known to be passed

    def packets(self, packet: av.Packet | None) -> Iterable[av.Packet]:
        if packet is None:
            return self._made(self._stack.rest(self._reached)) if self._stack else ()
        text = subtitles.words(self._form, bytes(packet))
        if not text.strip():  # an empty text says only that nothing is shown
            return ()
        start = packet.dts if packet.pts is None else packet.pts
        self._reached = max(self._reached, start)
        cue = Cue(start, start + packet.duration if packet.duration else None, text)
        return self._made(self._stack.put(cue) if self._stack else [cue])

    def until(self, time: Fraction) -> Iterable[av.Packet]:
        if not self._stack:
            return ()
        self._reached = max(self._reached, floor(time / self._base))
        return self._made(self._stack.until(self._reached))

    def _made(self, cues: Iterable[Cue]) -> Iterator[av.Packet]:
        for cue in cues:
            made = av.Packet(subtitles.payload(self._codec, cue.text))
            made.pts = made.dts = cue.start
            made.duration, made.time_base = 0 if cue.end is None else cue.end - cue.start, self._base
            yield made
