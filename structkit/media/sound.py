"""The samples of a video's sound, one after another by their times: gaps are silence, and nothing is heard twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction

import av
import numpy as np

LOOSE = Fraction(1, 50)  # s; times that are off by less are taken as exact, those of packets being rounded
TORN = 10  # s; a frame whose time is further from that of its packet has none
LOUDEST = 8.0  # times full scale; beyond, and where a sample is no number, encoders give up
AT_ONCE = 48_000  # samples of silence


class SoundDecoder:
    """A decoder of one stream of sound, whose samples follow each other without a gap.

    Where the times of frames leave a gap there is silence, and what would be heard twice is cut, so that sample n is
    heard n / rate s after `start` to within 20 ms, however long the sound is.
    source: the stream.  layout: of the channels that are handed out.
    origin: the time, s, on the clock of the stream that is called zero.
    is_patient: whether packets that cannot be decoded are skipped, and counted in `damaged`, instead of an error.
    start: the time of the first sample, s; None before it is known.
    """

    def __init__(
        self, source: av.AudioStream, layout: str, *, origin: Fraction = Fraction(0), is_patient: bool = False
    ) -> None:
        self._source, self._layout, self._origin, self._is_patient = source, layout, origin, is_patient
        self.rate, self.start, self.damaged = source.rate, None, 0
        self._count = 0  # samples handed out
        self._resampler, self._form = None, None

    @property
    def end(self) -> Fraction | None:
        """The time, s, at which the samples handed out end; None before there are any."""
        return None if self.start is None else self.start + Fraction(self._count, self.rate)

    def decode(self, packet: av.Packet | None) -> Iterator[np.ndarray]:
        """The samples of a packet, each (n, channels) float32; from None, those that are still held back.

        The times of the packet are those of the input.
        """
        for frame in self._tried(lambda: packet.decode() if packet else self._source.codec_context.decode(None)):
            time = self._time(frame, packet)
            if not self._fits(frame):
                yield from self._after(self._rest(), None)
                self._resampler = None
            self._resampler = self._resampler or av.AudioResampler(format="flt", layout=self._layout, rate=self.rate)
            yield from self._after(self._tried(lambda of=frame: self._resampler.resample(of)), time)
        if packet is None:
            yield from self._after(self._rest(), None)

    def _tried(self, call: Callable[[], list[av.AudioFrame]]) -> list[av.AudioFrame]:
        """The frames that a call gives; none where it fails and that is borne with patience."""
        try:
            return call()
        except (av.FFmpegError, ValueError):
            if not self._is_patient:
                raise
            self.damaged += 1
            return []

    def _fits(self, frame: av.AudioFrame) -> bool:
        """Whether a frame has the form of those before."""
        last, self._form = self._form, (frame.format.name, frame.layout.name, frame.sample_rate)
        return last in (None, self._form)

    def _rest(self) -> list[av.AudioFrame]:
        """What the converter holds back; it does where the rate changes on the way."""
        is_at_work = self._resampler is not None and self._form is not None
        try:
            return [frame for frame in self._resampler.resample(None) if frame] if is_at_work else []
        except (av.FFmpegError, ValueError):
            return []

    def _time(self, frame: av.AudioFrame, packet: av.Packet | None) -> Fraction | None:
        """The time of a frame, s; None where it follows the one before."""
        of_packet = packet.pts if packet and packet.pts is not None else packet and packet.dts
        heard = None if of_packet is None else of_packet * packet.time_base - self._origin
        if frame.pts is None or not frame.time_base:
            return heard if self.start is None else None
        time = frame.pts * frame.time_base - self._origin
        return heard if heard is not None and abs(time - heard) > TORN else time

    def _after(self, frames: Iterable[av.AudioFrame], time: Fraction | None) -> Iterator[np.ndarray]:
        """The samples of frames, the first of which is heard at a time, put behind those before."""
        for frame in frames:
            samples = np.nan_to_num(unpacked(frame)).clip(-LOUDEST, LOUDEST)
            if self.start is None:
                self.start = time or Fraction(0)
            elif time is not None and abs(off := time - self.end) > LOOSE:
                missing = round(off * self.rate)
                while missing > 0:
                    yield from self._handed(np.zeros((min(missing, AT_ONCE), samples.shape[1]), np.float32))
                    missing -= AT_ONCE
                samples = samples[max(0, -missing) :] if off < 0 else samples
            yield from self._handed(samples)
            time = None

    def _handed(self, samples: np.ndarray) -> Iterator[np.ndarray]:
        if len(samples):
            self._count += len(samples)
            yield samples


def packed(samples: np.ndarray, layout: str, rate: int) -> av.AudioFrame:
    """A frame of samples, (n, channels) float32."""
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples).reshape(1, -1), format="flt", layout=layout)
    frame.sample_rate = rate
    return frame


def unpacked(frame: av.AudioFrame) -> np.ndarray:
    """The samples of a frame of packed floats, (n, channels) float32.

    PyAV 18.1 crashes on eight planes: hence none here.
    """
    return frame.to_ndarray().reshape(frame.samples, -1)
