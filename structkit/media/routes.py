"""Routes of streams from one video into another: copied as they are, or made anew in a form that the container holds.

Packets come to a route with their times in the output, in ticks of their own time base.
"""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from math import floor
from typing import Protocol

import av
import numpy as np

from structkit.media import subtitles
from structkit.media.cues import Cue, CueStack
from structkit.media.sound import SoundDecoder, packed, unpacked
from structkit.media.stretch import RetimedSound, Stretcher, Varispeed
from structkit.media.timing import IDENTITY, TimeMap

BIT_RATES = {"aac": 192_000, "libopus": 160_000}  # bits a second; high enough for sound that is encoded a second time
SAMPLE_RATES = {  # samples a second that each encoder takes, in ascending order
    "aac": (7_350, 8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000),
    "libopus": (48_000,),
}
MORE_BITS = 64_000  # bits a second, for each channel beyond two
LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}  # by number of channels
MOST_HELD = 2  # s of sound that is held back until it is due
RETIMED: dict[str, type[RetimedSound]] = {"stretch": Stretcher, "varispeed": Varispeed}  # by what is asked for


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
        self.channels = 1 if source.channels == 1 else 2  # in the output
        self.stream.codec_context.layout = LAYOUTS[self.channels]
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


class RetimedTranscode:
    """A route of sound through a decoder, a time map and an encoder, as many channels as the encoder takes.

    Its packets come with the times of the input.
    encoder: FFmpeg's name of it.  audio: how the sound follows the map, "stretch" or "varispeed".
    origin: the time, s, on the clock of the packets that is zero for the map.
    is_patient: whether sound that cannot be decoded is silence instead of an error.
    timing: the map, to be set before the first packet.
    end: the time, s of the output, to which the sound is cut or filled up with silence, to be set before the last; by
    default it ends by itself.
    """

    def __init__(
        self,
        output: av.container.OutputContainer,
        encoder: str,
        source: av.AudioStream,
        *,
        audio: str = "stretch",
        origin: Fraction = Fraction(0),
        is_patient: bool = False,
    ) -> None:
        rate = next((rate for rate in SAMPLE_RATES[encoder] if rate >= source.rate), SAMPLE_RATES[encoder][-1])
        self._layout = layout = _layout(encoder, rate, source)
        bits = BIT_RATES[encoder] + MORE_BITS * max(0, len(av.AudioLayout(layout).channels) - 2)
        self.stream = output.add_stream(encoder, rate=rate, options={"b": str(bits), "flags": "+bitexact"})
        self.stream.codec_context.layout = layout
        self.stream.codec_context.open()
        self._made_by = RETIMED[audio]
        self.timing: TimeMap = IDENTITY
        self.end: Fraction | None = None
        self._decoder = SoundDecoder(source, layout, origin=origin, is_patient=is_patient)
        self._retimed: RetimedSound | None = None
        self._converter = None if rate == source.rate else av.AudioResampler("flt", layout, rate)
        self._held = np.zeros((0, len(av.AudioLayout(layout).channels)), np.float32)  # ready to be encoded
        self._at = 0  # the sample of the output, from time zero on, that is held first

    @property
    def channels(self) -> int:
        """The number of channels in the output."""
        return self._held.shape[1]

    @property
    def damaged(self) -> int:
        """The number of packets that could not be decoded."""
        return self._decoder.damaged

    def packets(self, packet: av.Packet | None) -> Iterator[av.Packet]:
        for samples in self._decoder.decode(packet):
            if self._retimed is None:
                self._begin(samples.shape[1])
            self._hold(self._retimed.push(samples))
            yield from self._encoded(len(self._held) - MOST_HELD * self.stream.rate)
        if packet is None:
            if self._retimed is not None:
                yield from self._last()
            yield from self.stream.encode(None)

    def until(self, time: Fraction) -> Iterable[av.Packet]:
        return self._encoded(floor(time * self.stream.rate) - self._at)

    def _begin(self, channels: int) -> None:
        start = self._decoder.start
        self._retimed = self._made_by(self.timing, self._decoder.rate, channels, start=start)
        self._at = round(self.timing.at(start) * self.stream.rate)

    def _hold(self, samples: np.ndarray) -> None:
        """Hold samples back until they are due; those in front of time zero are left out."""
        if self._converter and len(samples):
            samples = self._converted(packed(samples, self._layout, self._decoder.rate))
        self._held = np.concatenate([self._held, samples])
        if self._at < 0:
            early = min(-self._at, len(self._held))
            self._held, self._at = self._held[early:], self._at + early

    def _converted(self, frame: av.AudioFrame | None) -> np.ndarray:
        """The samples of a frame at the rate of the encoder; from None, those that the converter holds back."""
        frames = [found for found in self._converter.resample(frame) if found is not None]
        return np.concatenate([self._held[:0], *map(unpacked, frames)])

    def _last(self) -> Iterator[av.Packet]:
        """The packets up to the end of the sound."""
        self._hold(self._retimed.finish())
        if self._converter:
            self._held = np.concatenate([self._held, self._converted(None)])
        if self.end is None:
            yield from self._encoded(len(self._held), is_last=True)
        else:
            missing = max(0, round(self.end * self.stream.rate) - self._at)
            self._held = self._held[:missing]
            while missing > len(self._held):  # in pieces, since silence may be long
                more = min(self.stream.rate, missing - len(self._held))
                self._held = np.concatenate([self._held, np.zeros((more, self.channels), np.float32)])
                before = self._at
                yield from self._encoded(len(self._held) - self._size)
                missing -= self._at - before
            yield from self._encoded(len(self._held), is_last=True)

    @property
    def _size(self) -> int:
        """The number of samples that the encoder takes at once."""
        return self.stream.codec_context.frame_size or 1024

    def _encoded(self, count: int, is_last: bool = False) -> Iterator[av.Packet]:
        """The packets of the first `count` samples that are held, in whole frames but for the last."""
        while (size := min(self._size, count, len(self._held))) > 0 and (is_last or size == self._size):
            frame = packed(self._held[:size], self._layout, self.stream.rate)
            frame.pts, frame.time_base = self._at, Fraction(1, self.stream.rate)
            self._held, self._at, count = self._held[size:], self._at + size, count - size
            yield from self.stream.encode(frame)


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


def _layout(encoder: str, rate: int, source: av.AudioStream) -> str:
    """The layout of channels nearest to the source's that an encoder takes: with more than two it may take none."""
    wanted = [source.layout.name, LAYOUTS.get(source.channels, "stereo")] if source.channels > 2 else []
    for layout in wanted:
        codec = av.CodecContext.create(encoder, "w")
        try:
            codec.layout, codec.sample_rate, codec.format = layout, rate, codec.codec.audio_formats[0]
            codec.open()
        except (av.FFmpegError, ValueError):
            continue
        return layout
    return "mono" if source.channels == 1 else "stereo"


def is_mixable(source: av.AudioStream) -> bool:
    """Whether the channels of a stream can be brought to two: nine without names cannot, for example."""
    try:
        sample = packed(np.zeros((1, source.channels), np.float32), source.layout.name, source.rate)
        return bool(av.AudioResampler("flt", "stereo", source.rate).resample(sample))
    except (av.FFmpegError, ValueError):
        return False
