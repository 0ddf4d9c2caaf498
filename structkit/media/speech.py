"""Where somebody speaks in a video, and where it is silent: from its sound alone, without weights.

Speech is sound whose loudness swings at the rate of syllables, that has a pitch for much of the time, and whose pitch
glides.  Music keeps its pitch while a note lasts, and steady noise neither swings nor has one.
All levels are held against those of the track itself, so that a quiet recording is treated as a loud one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

import av
import numpy as np

from structkit.media.sound import SoundDecoder, packed, unpacked
from structkit.media.video import SOUND_CODECS, VideoReader

RATE = 16_000  # samples a second, of the analysis
HOP, WINDOW = 160, 512  # samples; a value each 10 ms
AT_ONCE = 1000  # values
AHEAD = 10 * RATE  # samples of silence before sound that begins late, in a piece
BAND = 150, 4000  # Hz, of most of the energy of speech
VOICED = 80, 2000  # Hz, in which the pitch is looked for
LAGS = 8, 230  # samples, of a period: 2 kHz to 70 Hz
SAME_PEAK = 0.85  # of the highest peak: the first one that reaches it is the period
NOWHERE = 1e-12  # of the square of full scale, the least power

QUIET = -40.0  # dB of full scale, of silence
FAR_BELOW = 25.0  # dB below speech; silence too
RANGE, ABOVE = 25.0, 6.0  # dB below the loud parts of the track and above its quiet ones: what may be speech
LEAST_VOICED = 0.5  # of the correlation one period later
LEAST_SHARE = 0.25  # of the values within half a second, voiced
LEAST_SWING = 0.45  # of the loudness, its deviation at 2 to 8 Hz; tunes 0.2 to 0.4, speech 0.45 to 1.1
STEADY, MOST_STEADY = 0.004, 0.5  # of a pitch from one value to the next; and the share of such steps
JUMP = 0.1  # of a pitch; larger steps are not counted
AROUND = 100  # values, over which shares and swings are taken: 1 s
SMOOTH, SLOW = 5, 50  # values: what swings faster is left out, and what swings more slowly
GAP, LEAST = 35, 20  # values: shorter pauses are bridged, shorter speech is none
GROWTH = 40  # values, over which speech goes on through what has no pitch, as an s at the end of a word
BEFORE, AFTER = 15, 25  # values by which speech is widened then, so that no word is cut at its edges
SHORT_SILENCE, SHORT_SOUND = 30, 8  # values; shorter silences are none, and shorter sounds do not end one


@dataclass(frozen=True, eq=False)
class Heard:
    """What is heard in a video, a value for each cell of time.

    speech: (count,) bool, where somebody speaks.
    silence: (count,) bool, where next to nothing is heard.
    """

    speech: np.ndarray
    silence: np.ndarray


def heard(video: VideoReader, *, step: Fraction = Fraction(1, 25), start: Fraction, count: int) -> Heard | None:
    """The speech and the silence in the first track of sound of a video; None for a video without one.

    step: the length of a cell, s.  start: where the first cell begins, s.  count: of the cells.
    Where no sound is, it is silent.  Sound that cannot be decoded counts as silence too.
    Memory is constant but for a few numbers for each 10 ms.
    """
    total = ceil(count * step * RATE / HOP)
    parts: list[np.ndarray] = []
    with video.demuxer() as container:
        known = [s for s in container.streams.audio if s.codec_context and s.codec_context.name in SOUND_CODECS]
        streams = [stream for stream in known if stream.rate]
        if not streams:
            return None
        buffer, done = np.zeros(WINDOW // 2 - HOP // 2, np.float32), 0
        for samples in _samples(video, container, streams[0], start, start + count * step):
            buffer = np.concatenate([buffer, samples])
            while len(buffer) >= (AT_ONCE - 1) * HOP + WINDOW:
                parts.append(_measured(buffer[: (AT_ONCE - 1) * HOP + WINDOW]))
                buffer, done = buffer[AT_ONCE * HOP :], done + AT_ONCE
        for first in range(0, max(0, total - done), AT_ONCE):
            some = min(AT_ONCE, total - done - first)
            piece = buffer[first * HOP : (first + some - 1) * HOP + WINDOW]
            parts.append(_measured(np.pad(piece, (0, max(0, (some - 1) * HOP + WINDOW - len(piece))))))
    if not total:
        return Heard(np.zeros(0, bool), np.zeros(0, bool))
    values = np.concatenate(parts)[:total]
    speech, level = _speech(*values[:, 1:].T), values[:, 0]
    edges = [(int(c * step * RATE // HOP), ceil((c + 1) * step * RATE / HOP)) for c in range(count)]
    edges = np.array(edges, int).reshape(-1, 2)
    return Heard(_any(speech, edges), ~_any(~_silence(level, speech), edges))


def _samples(
    video: VideoReader, container: av.container.InputContainer, stream: av.AudioStream, start: Fraction, end: Fraction
) -> Iterator[np.ndarray]:
    """The sound from `start` to `end`, s, mixed down to one channel; it may end early."""
    decoder = SoundDecoder(stream, "mono", origin=video.origin, is_patient=True)
    converter = av.AudioResampler("flt", "mono", RATE)
    skip: int | None = None  # samples before the start
    for packet in _packets(container, stream):
        for samples in decoder.decode(packet):
            for frame in converter.resample(packed(samples, "mono", decoder.rate)):
                if skip is None:
                    skip = round((start - decoder.start) * RATE)
                    before = max(0, min(-skip, round((end - start) * RATE)))
                    yield from (np.zeros(min(AHEAD, before - n), np.float32) for n in range(0, before, AHEAD))
                found = unpacked(frame)[:, 0]
                yield found[max(0, skip) :]
                skip = max(0, skip - len(found))
            if decoder.end >= end:
                return


def _packets(container: av.container.InputContainer, stream: av.AudioStream) -> Iterator[av.Packet | None]:
    """The packets of a stream up to its end, or to damage."""
    try:
        for packet in container.demux(stream):
            if packet.size:
                yield packet
    except (av.FFmpegError, ValueError):
        pass
    yield None


def _measured(samples: np.ndarray) -> np.ndarray:
    """(n, 4) for each `HOP` samples: level, and that of the band of speech, dB; how voiced; the period, samples."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    middle = frames[:, WINDOW // 2 - HOP // 2 : WINDOW // 2 + HOP // 2]
    window = np.hanning(WINDOW).astype(np.float32)
    power = np.square(abs(np.fft.rfft(frames * window, 2 * WINDOW)))
    hertz = np.fft.rfftfreq(2 * WINDOW, 1 / RATE)
    in_band = power[:, (hertz >= BAND[0]) & (hertz <= BAND[1])].sum(1) / np.square(window).sum() / WINDOW
    power[:, (hertz < VOICED[0]) | (hertz > VOICED[1])] = 0
    low, high = LAGS
    own = np.fft.irfft(np.square(abs(np.fft.rfft(window, 2 * WINDOW))))[: high + 2]
    like = np.fft.irfft(power)[:, : high + 2]
    like = like / (like[:, :1] + NOWHERE) / (own / own[0])
    is_peak = (like[:, low:high] >= like[:, low - 1 : high - 1]) & (like[:, low:high] > like[:, low + 1 : high + 1])
    peaks = np.where(is_peak, like[:, low:high], 0)
    best = peaks.max(1)
    period = (peaks >= SAME_PEAK * best[:, None]).argmax(1) + low
    left, here, right = (like[np.arange(len(like)), period + k] for k in (-1, 0, 1))
    period = period + np.clip(0.5 * (left - right) / (left - 2 * here + right - NOWHERE), -0.5, 0.5)
    levels = [10 * np.log10(power + NOWHERE) for power in (np.square(middle).mean(1), in_band)]
    return np.stack([*levels, best, period], 1).astype(np.float32)


def _speech(level: np.ndarray, voiced: np.ndarray, period: np.ndarray) -> np.ndarray:
    """Where somebody speaks, for each value.  level: in speech's band, dB."""
    loud, quiet = np.percentile(level, [95, 10])
    is_active = (level > max(loud - RANGE, quiet + ABOVE)) & (level > QUIET - FAR_BELOW)
    is_voiced = is_active & (voiced > LEAST_VOICED) & (period > RATE / VOICED[1] * 4)
    amplitude = 10 ** (level / 20)
    swing = np.sqrt(_mean(np.square(_mean(amplitude, SMOOTH) - _mean(amplitude, SLOW)), AROUND))
    swing = swing / (_mean(amplitude, AROUND) + NOWHERE)
    step = abs(np.diff(period, prepend=period[:1])) / period
    is_pair = is_voiced & np.roll(is_voiced, 1) & (step < JUMP)
    steady = _mean(is_pair & (step < STEADY), AROUND) / (_mean(is_pair, AROUND) + NOWHERE)
    share = _mean(is_voiced, AROUND) / (_mean(is_active, AROUND) + NOWHERE)
    seeds = is_voiced & (swing > LEAST_SWING) & (steady < MOST_STEADY) & (share > LEAST_SHARE)
    speech = _without_short(~_without_short(~seeds, GAP), LEAST)
    is_active = ~_without_short(~is_active, SHORT_SOUND)
    speech |= is_active & _widened(speech, GROWTH, GROWTH)
    return _widened(speech, BEFORE, AFTER)


def _silence(level: np.ndarray, speech: np.ndarray) -> np.ndarray:
    """Where next to nothing is heard, for each value.  level: dB of full scale."""
    smooth = 10 * np.log10(_mean(10 ** (level / 10), SMOOTH) + NOWHERE)
    spoken = np.percentile(smooth[speech], 75) if speech.any() else -np.inf
    quiet = (smooth < max(QUIET, spoken - FAR_BELOW)) & ~speech
    return _without_short(~_without_short(~quiet, SHORT_SOUND) & ~speech, SHORT_SILENCE)


def _mean(values: np.ndarray, count: int) -> np.ndarray:
    """The mean of `count` values around each."""
    sums = np.cumsum(np.concatenate([[0], np.pad(values.astype(float), (count // 2, count - 1 - count // 2), "edge")]))
    return (sums[count:] - sums[:-count]) / count


def _runs(marks: np.ndarray) -> np.ndarray:
    """(n, 2): where each run of marks begins and ends."""
    return np.flatnonzero(np.diff(marks, prepend=False, append=False)).reshape(-1, 2)


def _without_short(marks: np.ndarray, least: int) -> np.ndarray:
    """The marks without the runs that are shorter than `least`."""
    kept = marks.copy()
    for first, end in _runs(marks):
        if end - first < least:
            kept[first:end] = False
    return kept


def _widened(marks: np.ndarray, before: int, after: int) -> np.ndarray:
    """The marks, with each run longer by so many values."""
    wide = marks.copy()
    for first, end in _runs(marks):
        wide[max(0, first - before) : end + after] = True
    return wide


def _any(marks: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Whether there is a mark from the one to the other of each pair of edges, (n, 2)."""
    sums = np.concatenate([[0], np.cumsum(marks)])
    return sums[np.minimum(edges[:, 1], len(marks))] > sums[np.minimum(edges[:, 0], len(marks))]
