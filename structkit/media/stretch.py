"""Sound that follows a time map: stretched at its own pitch, or played like a tape.

The stretching is WSOLA (Verhelst and Roelands, "An overlap-add technique based on waveform similarity (WSOLA) for high
quality time-scale modification of speech", ICASSP 1993).  The output is a chain of pieces of the input.  Each piece is
read where the inverse of the map says, moved by up to 8 ms to where the waveform goes on from the piece before, and
faded in over the end of that one.

What differs from the paper: the place of a piece comes from a map instead of one factor, so that errors never add up.
A piece that simply goes on is not faded but copied, so that where the speed is 1 the samples are the input's own.
Pieces that are not alike, as those of noise, are faded at equal power instead of equal gain, so that wind and water do
not flutter.
An onset is put at its mapped time with its surroundings uncut, and is heard once.  By the search alone clicks get lost
from a speed of about 1.5 on, and are doubled where sound is slowed down.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from fractions import Fraction
from math import ceil

import numpy as np

from structkit.media.timing import TimeMap

HOP = 0.015  # s of the output from one piece to the next; a piece has two hops
SEARCH = 0.008  # s of the input, to each side
COARSE = 12_000  # samples a second, about; at which the search begins
ONSET_FRAME = 0.0025  # s, the resolution of onsets
ONSET_BEHIND, ONSET_APART = 8, 12  # frames that an onset is compared with, and from one to the next
ONSET_RATIO, ONSET_FLOOR = 8.0, 1e-6  # of its mean square to theirs, and what is added to theirs: full scale is 1
SLOW_ENOUGH = 0.01  # of the speed's distance from 1: nothing is moved below
FADED_ABOVE = 4.0  # the speed from which on sound gets softer, by 12 dB for twice the speed
FADE = 0.1  # s of the output, to each side, over which the speed is taken for it
LOBES, PHASES = 8, 512  # of the kernel that resamples: its zeros on each side, and the steps from one to the next
MOST_NARROW = 16.0  # times that the kernel is widened against aliasing
TAPE_BLOCK = 512  # samples
AHEAD = 64  # blocks whose places are computed at once


class ReadingPath:
    """The path of a reader through the samples of an input: the inverse of a time map, counted in samples.

    timing: the map.  rate: samples a second, of both sides.  start: the time of the input's first sample, s.
    Sample 0 of the output is heard when the map shows sample 0 of the input.
    """

    def __init__(self, timing: TimeMap, rate: int, start: Fraction) -> None:
        self._timing, self._rate, self._start = timing, rate, start
        begin = timing.at(start)
        self._read = np.array([float((time - start) * rate) for time, _ in timing.knots])
        self._heard = np.array([float((shown - begin) * rate) for _, shown in timing.knots])
        self._before, self._after = float(timing.before), float(timing.after)

    def at(self, heard: np.ndarray) -> np.ndarray:
        """The input's sample, with fractions, that is read at each sample of the output."""
        read = np.interp(heard, self._heard, self._read)
        early, late = np.minimum(heard - self._heard[0], 0), np.maximum(heard - self._heard[-1], 0)
        if self._before:
            read = read + early / self._before
        if self._after:
            read = read + late / self._after
        return read

    def arrival(self, read: float) -> float | None:
        """The output's sample at which one of the input is heard; None where the map passes over it."""
        heard = float(np.interp(read, self._read, self._heard))
        heard += self._before * min(read - self._read[0], 0) + self._after * max(read - self._read[-1], 0)
        return heard if abs(float(self.at(np.array(heard))) - read) < 1 else None

    def length(self, samples: Fraction) -> int:
        """The number of samples of the output for so many of the input."""
        end = self._start + samples / self._rate
        return round((self._timing.at(end) - self._timing.at(self._start)) * self._rate)

    def speeds(self, heard: np.ndarray, around: float) -> np.ndarray:
        """The mean speed within `around` samples to each side of each sample of the output."""
        return (self.at(heard + around) - self.at(heard - around)) / (2 * around)

    def gains(self, heard: np.ndarray) -> np.ndarray:
        """The loudness at each sample of the output: 1, and less where the speed is high."""
        return np.minimum(1, FADED_ABOVE / np.maximum(self.speeds(heard, FADE * self._rate), 1)) ** 2


class SampleStrip:
    """The strip of an input's samples that may still be read; zero in front of the first and behind the last.

    count: of the samples that came so far.
    """

    def __init__(self, channels: int) -> None:
        self._kept = np.zeros((0, channels), np.float32)
        self._from = self.count = 0

    def append(self, samples: np.ndarray) -> None:
        self._kept = np.concatenate([self._kept, samples[max(0, self._from - self.count) :]])
        self.count += len(samples)

    def drop(self, until: int) -> None:
        """Forget the samples in front of one, which may be yet to come."""
        if until > self._from:
            self._kept = self._kept[until - self._from :]
            self._from = until

    def read(self, start: int, count: int) -> np.ndarray:
        """A copy of `count` samples from `start` on, which may lie outside."""
        found = np.zeros((count, self._kept.shape[1]), np.float32)
        first, last = max(start, self._from), min(start + count, self.count)
        if first < last:
            found[first - start : last - start] = self._kept[first - self._from : last - self._from]
        return found


class OnsetFinder:
    """A finder of onsets: where sound becomes louder at once, as clicks, drums and plosives do.

    rate: samples a second.
    frame: samples, the resolution.
    reached: the sample up to which all onsets are known.
    """

    def __init__(self, rate: int, channels: int) -> None:
        self.frame = max(1, round(ONSET_FRAME * rate))
        self._rest = np.zeros((0, channels), np.float32)
        self._energies = np.zeros(ONSET_BEHIND)  # of the last frames
        self._last = -ONSET_APART
        self.reached = 0

    def push(self, samples: np.ndarray) -> list[int]:
        """The onsets in the next samples: the first sample of the frame of each."""
        samples = np.concatenate([self._rest, samples])
        count = len(samples) // self.frame
        self._rest = samples[count * self.frame :]
        frames = samples[: count * self.frame].reshape(count, self.frame * samples.shape[1])
        energies = np.concatenate([self._energies, np.square(frames, dtype=np.float64).mean(1)])
        behind = sum(energies[k : k + count] for k in range(ONSET_BEHIND)) / ONSET_BEHIND
        self._energies = energies[count:]
        first, found = self.reached // self.frame, []
        for number in np.flatnonzero(energies[ONSET_BEHIND:] > ONSET_RATIO * (behind + ONSET_FLOOR)) + first:
            if number - self._last >= ONSET_APART:
                found.append(int(number) * self.frame)
                self._last = number
        self.reached += count * self.frame
        return found


class RetimedSound(ABC):
    """The sound of an input that follows a time map, made piece by piece as its samples come, in constant memory.

    timing: from the times of the input to those of the output.
    rate: samples a second, of both.
    start: the time of the first sample that is pushed, s of the input.
    end: where the input ends; by default where pushing ends.  Missing samples are silence, and others are left out.
    The first sample made is heard at `timing.at(start)`, and their number is the map's length times `rate`, rounded.
    How the samples are split among calls of `push` changes none of those made.
    Above a speed of 4 the sound gets softer, by 12 dB for twice the speed.
    """

    def __init__(
        self, timing: TimeMap, rate: int, channels: int, *, start: Fraction = Fraction(0), end: Fraction | None = None
    ) -> None:
        self._path, self._rate, self._channels = ReadingPath(timing, rate, start), rate, channels
        self._strip = SampleStrip(channels)
        self._most = None if end is None else max(0, ceil((end - start) * rate))
        self._length = None if end is None else max(0, self._path.length((end - start) * rate))
        self._made = 0  # samples

    def push(self, samples: np.ndarray) -> np.ndarray:
        """The samples that can be made, (m, channels) float32, when the next of the input come, (n, channels)."""
        if self._most is not None:
            samples = samples[: max(0, self._most - self._strip.count)]
        self._append(np.asarray(samples, np.float32))
        return self._blocks(is_last=False)

    def finish(self) -> np.ndarray:
        """The samples that are left, (m, channels) float32, when no more are to come."""
        if self._length is None:
            self._length = self._path.length(Fraction(self._strip.count))
        return self._blocks(is_last=True)

    def _append(self, samples: np.ndarray) -> None:
        self._strip.append(samples)

    def _blocks(self, is_last: bool) -> np.ndarray:
        """The blocks that can be made of the samples that came."""
        made = [np.zeros((0, self._channels), np.float32)]
        while (self._length is None or self._made < self._length) and (is_last or self._can_go_on()):
            start, block = self._made, self._block()
            if self._length is not None:
                block = block[: self._length - start]
            gains = self._path.gains(np.array([start, start + len(block)], float))
            if gains.min() < 1:
                block = block * np.linspace(*gains, len(block), endpoint=False, dtype=np.float32)[:, None]
            made.append(block)
            self._made = start + len(block)
        return np.concatenate(made)

    @abstractmethod
    def _can_go_on(self) -> bool:
        """Whether all samples came that the next block needs."""

    @abstractmethod
    def _block(self) -> np.ndarray:
        """The next block of the output, (m, channels)."""


class Stretcher(RetimedSound):
    """A stretcher of sound: its pitch stays, whatever the speed.  All channels are cut at the same places."""

    def __init__(
        self, timing: TimeMap, rate: int, channels: int, *, start: Fraction = Fraction(0), end: Fraction | None = None
    ) -> None:
        super().__init__(timing, rate, channels, start=start, end=end)
        self._step = max(1, round(rate / COARSE))
        self._hop = max(1, round(HOP * rate / self._step)) * self._step
        self._reach = round(SEARCH * rate)
        self._fade = (np.sin(np.pi / 2 * (np.arange(self._hop) + 0.5) / self._hop) ** 2).astype(np.float32)[:, None]
        self._finder = OnsetFinder(rate, channels)
        self._onsets: list[tuple[int, float]] = []  # samples of the input, and when they are heard
        self._passed: int | None = None  # the last of them that was put at its time
        self._places, self._number = np.zeros(0), 0  # where pieces are to be read, and the number of the next
        self._at = self._place(-1)  # where the last piece is read
        self._tail = np.zeros((self._hop, channels), np.float32)  # its second half
        self._goes_on = False  # an onset is in the last piece's second half

    def _append(self, samples: np.ndarray) -> None:
        super()._append(samples)
        found = [(onset, self._path.arrival(onset)) for onset in self._finder.push(samples)]
        self._onsets += [(onset, heard) for onset, heard in found if heard is not None]
        if self._number == 0:
            self._tail = self._strip.read(self._at + self._hop, self._hop)

    def _place(self, number: int) -> int:
        """Where the map has a piece read: its middle is heard when it is due."""
        if not 0 <= (index := number % AHEAD) < len(self._places) or self._first != number - index:
            self._first = number - index
            middles = (self._first + np.arange(AHEAD) + 1.0) * self._hop
            self._places = np.round(self._path.at(middles)).astype(np.int64) - self._hop
        return int(self._places[index])

    def _can_go_on(self) -> bool:
        place = self._place(self._number)
        due = float(self._path.at(np.array((self._number + 2.0) * self._hop)))
        self._forget(place)
        return self._finder.reached > max(due, max(place, self._at) + 3 * self._hop + self._reach)

    def _forget(self, place: int) -> None:
        """Drop what no piece will be read from any more."""
        self._strip.drop(min(self._at + self._hop if self._is_near(place) else place, place - self._reach))
        self._onsets = [found for found in self._onsets if found[0] >= place - self._rate]

    def _is_near(self, place: int) -> bool:
        return self._goes_on or abs(self._at + self._hop - place) <= 3 * self._hop

    def _block(self) -> np.ndarray:
        place, on = self._place(self._number), self._at + self._hop
        is_plain = abs(place - self._place(self._number - 1) - self._hop) <= SLOW_ENOUGH * self._hop
        is_on = abs(on - place) <= self._reach
        is_again = self._passed is not None and place < self._passed <= on  # an onset would be heard twice
        due = None if (is_plain and is_on) or self._goes_on else self._due()
        if due is not None:
            self._passed, heard = due
            at = self._passed - round(heard) + self._number * self._hop
        elif self._goes_on or is_on or is_again:
            at = on
        else:
            at = self._alike(place)
        self._goes_on = due is not None
        head = self._strip.read(at, self._hop)
        block = head if at == on else _crossfade(self._tail, head, self._fade_before(self._coming() - on))
        self._tail, self._at = self._strip.read(at + self._hop, self._hop), at
        self._number += 1
        return block

    def _due(self) -> tuple[int, float] | None:
        """The onset that is due in the second half of the next piece; None without one."""
        start = (self._number + 1) * self._hop
        return next((found for found in self._onsets if start <= found[1] < start + self._hop), None)

    def _coming(self) -> float:
        """The first onset that is not due before the second half of the next piece."""
        start = (self._number + 1) * self._hop
        return next((onset for onset, heard in self._onsets if heard >= start), np.inf)

    def _fade_before(self, count: float) -> np.ndarray:
        """The fade from one piece to the next, done before so many samples, where the first would run into an onset."""
        if count >= self._hop or count < 0:
            return self._fade
        count = int(count)
        ramp = np.sin(np.pi / 2 * (np.arange(count) + 0.5) / max(1, count)) ** 2
        return np.concatenate([ramp, np.ones(self._hop - count)]).astype(np.float32)[:, None]

    def _alike(self, place: int) -> int:
        """Where the input is most like what the last piece goes on with, within the reach of a place."""
        if not self._tail.any():
            return place
        low, high, step = place - self._reach, place + self._reach, self._step
        if self._passed is not None:
            low = max(low, min(self._passed + self._finder.frame, place))
        low -= low % step
        count = int(max(min(high, self._coming() - self._hop), low + step) - low)
        region = self._strip.read(low, count + self._hop)
        if step > 1:
            coarse = region[: len(region) // step * step].reshape(-1, step, self._channels).mean(1)
            found = _likeness(coarse, self._tail.reshape(-1, step, self._channels).mean(1))
            near = max(0, int(found.argmax()) * step - step)
        else:
            near = 0
        last = near + 2 * step if step > 1 else count
        found = _likeness(region[near : last + self._hop], self._tail)
        return low + near + int(found.argmax()) if found.max() > 0 else place


class Varispeed(RetimedSound):
    """A tape whose speed varies: pitch rises and falls with it.

    The input is resampled by a windowed sinc, which is widened where the speed is above 1, so that what would alias is
    left out.
    """

    def __init__(
        self, timing: TimeMap, rate: int, channels: int, *, start: Fraction = Fraction(0), end: Fraction | None = None
    ) -> None:
        super().__init__(timing, rate, channels, start=start, end=end)
        u = np.linspace(-LOBES, LOBES, 2 * LOBES * PHASES + 1)
        self._kernel = np.sinc(u) * np.cos(np.pi / 2 * u / LOBES) ** 2
        self._kernel[::PHASES] = np.where(np.arange(-LOBES, LOBES + 1) == 0, 1.0, 0.0)
        self._slopes = np.append(np.diff(self._kernel), 0)

    def _next(self) -> tuple[np.ndarray, np.ndarray, int]:
        """Where the next block is read, how much wider its kernels are, and their half width in samples."""
        heard = self._made + np.arange(TAPE_BLOCK, dtype=float)
        wider = self._path.speeds(heard, HOP * self._rate / 2).clip(1, MOST_NARROW)
        read = np.round(self._path.at(heard), 6)  # whole samples are read as they are
        return read, np.round(wider, 6), ceil(LOBES * float(wider.max()))

    def _can_go_on(self) -> bool:
        read, _, half = self._next()
        self._strip.drop(int(read[0]) - half - 1)
        return self._strip.count >= read[-1] + half + 2

    def _block(self) -> np.ndarray:
        read, wider, half = self._next()
        whole = np.floor(read).astype(np.int64)
        taps = np.arange(1 - half, half + 1)
        phases = ((taps - (read - whole)[:, None]) / wider[:, None]).clip(-LOBES, LOBES) * PHASES + LOBES * PHASES
        lower = phases.astype(np.int64)
        weights = self._kernel[lower] + self._slopes[lower] * (phases - lower)
        weights /= weights.sum(1, keepdims=True)
        first, span = int(whole[0]) + 1 - half, int(whole[-1] - whole[0]) + 2 * half
        region, places = self._strip.read(first, span), (whole - whole[0])[:, None] + np.arange(2 * half)
        channels = [(region[:, c][places] * weights).sum(1) for c in range(self._channels)]
        return np.stack(channels, 1).astype(np.float32)


def _crossfade(tail: np.ndarray, head: np.ndarray, fade: np.ndarray) -> np.ndarray:
    """One sound faded into another, as loud in between as they are, be they alike or not."""
    own = np.vdot(tail, tail) * np.vdot(head, head)
    alike = max(0.0, float(np.vdot(tail, head) / np.sqrt(own))) if own > 0 else 1.0
    faded = tail + fade * (head - tail)
    return faded / np.sqrt(1 - 2 * fade * (1 - fade) * np.float32(1 - min(1.0, alike)))


def _likeness(region: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The cosine of the angle between `wanted` and each part of `region` that is as long, over all channels."""
    channels = range(region.shape[1])
    products = sum(np.correlate(region[:, c].copy(), wanted[:, c].copy(), "valid") for c in channels)
    energies = np.concatenate([[0], np.cumsum(np.square(region, dtype=np.float64).sum(1))])
    return products / np.sqrt(energies[len(wanted) :] - energies[: -len(wanted)] + 1e-9)
