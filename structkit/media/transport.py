"""MPEG transport streams (ISO/IEC 13818-1, 2.4): what is missing in them, and where one recording follows another.

A stream is packets of 188 bytes, numbered by a counter of four bits for each stream in it (by its PID).  Recordings
that were joined (`cat a.ts b.ts`) begin their clocks anew; here the times of the second go on from those of the first.
"""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from structkit.media.pieces import Pieces

SYNC = 0x47  # begins every packet
SIZE = 188  # of a packet, bytes, without the time code that may lead it
TOGETHER = 1 << 13  # packets that are looked at together
WRAP = 1 << 33  # ticks of the clock, of which there are 90,000 a second, until it is zero again
BACK = 9_000  # ticks; a stream whose times go back by more is another recording's
PICTURES = range(0xE0, 0xF0)  # stream ids
TABLES = 0  # the PID of the lists of programs, with which recordings begin
JOIN = 2  # the weight of breaks that makes a place the begin of another recording
MOST_BREAKS = 10_000  # of which a file that is worth mending has fewer
LONGEST = 90_000  # ticks from one frame to the next that are believed
LONGEST_PAUSE = 900_000  # ticks; a clock that goes on by less, and forwards, is that of the same recording


@dataclass
class Track:
    """A track of a transport stream, by its PID, as far as it was read.

    pictures: the track is one of pictures.
    begins: how many of its packets begin a frame, or so they say.
    start: the counter of its first packet; counter: of its last.
    at: where its last packet is, bytes.
    time: when its last frame is decoded, ticks.
    """

    pictures: bool = False
    begins: int = 0
    start: int | None = None
    counter: int = 0
    at: int = -1
    time: int | None = None

    def goes_back(self, time: int) -> bool:
        """Take the time of the next frame, ticks; True if it is before the last."""
        last, self.time = self.time, time
        return last is not None and BACK < (last - time) % WRAP < WRAP // 2


@dataclass(frozen=True)
class Break:
    """A break of a track: its counter does not go on there, or its times go back.

    after, at: where the packet before it and the packet behind it are, bytes.
    weight: how much it speaks for another recording; `JOIN` is enough.
    missing: whether packets are missing there, if no other recording begins.
    """

    after: int
    at: int
    weight: int
    missing: bool

    def holds(self, place: int) -> bool:
        """True if another recording that begins at a byte explains the break."""
        return self.after < place <= self.at


@dataclass
class Span:
    """The span of one track within one of the recordings.

    start, counter: the counters of its first and its last packet; full: whether its first packet counts as one.
    first, last: when its first and its last frame are decoded, ticks; step: from one frame to the next at its end.
    """

    start: int
    full: bool
    counter: int = 0
    first: int | None = None
    last: int | None = None
    step: int = 0


class TransportSurvey:
    """A survey of a whole transport stream.

    step: from one packet to the next, bytes.
    missing: in how many places packets are missing; first: the first of them, bytes.
    end: where the packets end, bytes.
    broken: the byte where no packet begins though one should, or None.
    places: where other recordings begin, or other pieces of one, bytes.
    joins: how many of them begin their clocks anew.
    doubt: the first of the places, bytes, where it may as well be that packets are missing; or None.
    """

    def __init__(self, stream: BinaryIO, step: int) -> None:
        self.step, self.broken = step, None
        self._tracks: dict[int, Track] = {TABLES: Track()}
        self._breaks: list[Break] = []
        self._tables = [np.zeros(0, np.int64)]  # where a list of the programs begins
        self.missing, self.first, size = 0, None, stream.seek(0, io.SEEK_END)
        self.end = size - size % step
        for at, some in _packets(stream, step):
            strays = some[:, 0] != SYNC
            if strays.any():
                self.end = at + step * int(strays.argmax())
                self.broken = None if Pieces(stream, size).is_padding(self.end) else self.end
                some = some[: strays.argmax()]
            self._look_at(at, some)
            if strays.any():
                break
        self.places = self._found() if self.broken is None and len(self._breaks) < MOST_BREAKS else []
        if self.places:
            missing = [b.at for b in self._breaks if b.missing and not any(map(b.holds, self._near(b)))]
            self.missing, self.first = len(missing), min(missing, default=None)
        self.joins, self.doubt, self._shifts, self._turns = 0, None, [0], {}
        if self.places:
            self._compare(self._spans(stream))

    @property
    def pictures(self) -> dict[int, int]:
        """The number of frames of pictures that begin, by PID."""
        return {pid: track.begins for pid, track in self._tracks.items() if track.pictures}

    @property
    def gaps(self) -> str:
        """Where packets are missing, in words."""
        places = f"{self.missing} place" + "s" * (self.missing != 1)
        return f"packets are missing in {places}, first at byte {self.first}"

    def _look_at(self, at: int, some: np.ndarray) -> None:
        """Take in some packets, (N, 188) uint8, which begin at a byte of the file."""
        pids = _pids(some)
        begins = _begin_frames(some)
        self._tables.append(at + self.step * np.flatnonzero((pids == TABLES) & (some[:, 1] & 0x40 > 0)))
        for pid in {*pids[begins].tolist(), *self._tracks}:
            places = np.flatnonzero(pids == pid)
            if not len(places):
                continue
            rows = some[places]
            offsets, times, ids = _times(rows, begins[places])
            track = self._tracks.setdefault(pid, Track(bool(len(ids)) and int(ids[0]) in PICTURES))
            track.begins += int(np.count_nonzero(rows[:, 1] & 0x40))
            counters = (rows[:, 3] & 15).astype(int)
            if track.start is None:
                track.start, track.counter = int(counters[0]), int(counters[0]) - _counts(rows)[0]
            before = np.concatenate([[track.counter], counters[:-1]])
            where = np.concatenate([[track.at], at + self.step * places])
            jumps = _jumps(rows, counters, before)
            odd = jumps | (_counts(rows) & (counters == before))  # a packet that comes twice is odd, too
            back = np.zeros(len(rows), bool)
            for row, time in zip(offsets.tolist(), times.tolist(), strict=True):
                back[row] = track.goes_back(time)
            if pid != TABLES and jumps.any():
                first = int(where[1 + jumps.argmax()])
                self.missing, self.first = self.missing + int(jumps.sum()), min(first, self.first or first)
            left = MOST_BREAKS - len(self._breaks)
            for row in np.flatnonzero(odd | back)[:left].tolist():
                anew = odd[row] and pid != TABLES and counters[row] == track.start
                weight = int(odd[row]) + int(anew) + int(back[row])
                missing = bool(jumps[row]) and pid != TABLES
                self._breaks.append(Break(int(where[row]), int(where[row + 1]), weight, missing))
            track.counter, track.at = int(counters[-1]), int(where[-1])

    def _found(self) -> list[int]:
        """Where other recordings begin: at a list of programs behind which several tracks break, or one in time."""
        tables, places = np.concatenate(self._tables), []
        left = self._breaks
        while left:
            edges = np.zeros(len(tables) + 1, int)
            np.add.at(edges, np.searchsorted(tables, [b.after for b in left], "right"), [b.weight for b in left])
            np.add.at(edges, np.searchsorted(tables, [b.at for b in left], "right"), [-b.weight for b in left])
            weights = edges.cumsum()[:-1]
            if not len(weights) or weights.max() < JOIN:
                break
            places.append(int(tables[weights.argmax()]))
            left = [b for b in left if not b.holds(places[-1])]
        for found in sorted((b for b in left if b.weight >= JOIN), key=lambda b: b.at):  # without such a list
            beside = [b for b in left if b.after < found.at and found.after < b.at]
            is_alone = len(self._tracks) > 2 and len(beside) < 2  # with other tracks that go on
            if not is_alone and not any(map(found.holds, places)):
                places.append(min(found.at, max(b.after for b in beside) + self.step))
        return sorted(places)

    def _near(self, found: Break) -> list[int]:
        """The places that may explain a break."""
        return self.places[bisect_right(self.places, found.after) : bisect_right(self.places, found.at)]

    def _spans(self, stream: BinaryIO) -> dict[int, dict[int, Span]]:
        """The spans of each PID, by the number of the recording."""
        spans: dict[int, dict[int, Span]] = {pid: {} for pid in self._tracks}
        for at, some in _packets(stream, self.step):
            some = some[: (some[:, 0] == SYNC).argmin() or None] if (some[:, 0] != SYNC).any() else some
            parts, pids = np.searchsorted(self.places, at + self.step * np.arange(len(some)), "right"), _pids(some)
            for pid, part in sorted({*zip(pids.tolist(), parts.tolist(), strict=True)}):
                if pid not in spans:
                    continue
                rows = some[(pids == pid) & (parts == part)]
                span = spans[pid].setdefault(part, Span(int(rows[0, 3] & 15), bool(_counts(rows)[0])))
                span.counter = int(rows[-1, 3] & 15)
                for time in _times(rows, _begin_frames(rows))[1].tolist():
                    if span.last is not None and (step := (time - span.last) % WRAP) < LONGEST:
                        span.step = step if self._tracks[pid].pictures else max(step, span.step)
                    span.first, span.last = time if span.first is None else span.first, time
        return spans

    def _compare(self, spans: dict[int, dict[int, Span]]) -> None:
        """Find by how much the times and the counters of each recording are moved."""
        for pid, found in spans.items():
            turns = self._turns[pid] = [0]
            for part in range(1, len(self.places) + 1):
                before = max((other for other in found if other < part), default=None)
                turn = 0
                if part in found and before is not None:
                    turn = found[before].counter + turns[before] + found[part].full - found[part].start
                turns.append(turn)
        timed = [spans[pid] for pid in sorted(spans, key=lambda pid: not self._tracks[pid].pictures)]
        for part, place in enumerate(self.places, 1):
            both = [found for found in spans.values() if part in found and part - 1 in found]
            self._shifts.append(self._shift(part, timed))
            is_moved = self._shifts[-1] != self._shifts[-2]
            self.joins += is_moved
            is_new = len(both) > 1 and all(found[part].start == found[min(found)].start for found in both)
            if not is_new and self._shifts[-1] <= self._shifts[-2] and self.doubt is None:
                self.doubt = place

    def _shift(self, part: int, tracks: list[dict[int, Span]]) -> int:
        """By how much a recording is to be shown later, ticks, so that each of its tracks follows what is before.

        tracks: the spans of each, those of pictures first.
        As for the recording before where the times go on by themselves.
        """
        shifts, before = [], self._shifts[-1]
        for found in tracks:
            last = max((other for other in found if other < part and found[other].last is not None), default=None)
            if last is None or part not in found or found[part].first is None:
                continue
            step = found[last].step or found[part].step
            shift = self._shifts[last] + found[last].last + step - found[part].first
            near = shifts[0] if shifts else before
            shift = near + (shift - near + WRAP // 2) % WRAP - WRAP // 2
            if not shifts and last == part - 1 and -LONGEST_PAUSE < shift - before <= step // 2:
                return before
            shifts.append(shift)
        return max(shifts, default=before)

    def mend(self, at: int, some: np.ndarray) -> None:
        """Let the times and the counters of joined recordings go on, in place.

        at: where the packets begin in the file.
        some: (N, 188) uint8.
        """
        pids, begins = _pids(some), _begin_frames(some)
        parts = np.searchsorted(self.places, at + self.step * np.arange(len(some)), "right")
        for pid, turns in self._turns.items():
            mine = (pids == pid) & (parts > 0)
            some[mine, 3] = some[mine, 3] & 0xF0 | (some[mine, 3] + np.array(turns)[parts[mine]]) & 15
            for place in np.flatnonzero(mine & begins).tolist():
                _shift(some[place], self._shifts[parts[place]])


class MendedRecording(io.RawIOBase):
    """A transport stream of joined recordings, as if it were one.

    stream: the file.
    """

    def __init__(self, stream: BinaryIO, survey: TransportSurvey) -> None:
        super().__init__()
        self._stream, self._survey, self._at = stream, survey, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at}.get(whence)
        self._at = offset + (self._stream.seek(0, io.SEEK_END) if base is None else base)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview) -> int:
        step = self._survey.step
        start = self._at - self._at % step
        self._stream.seek(start)
        data = bytearray(self._stream.read(-(-(self._at + len(buffer) - start) // step) * step))
        whole = len(data) // step
        packets = np.frombuffer(data, np.uint8, whole * step).reshape(whole, step)[:, step - SIZE :]
        self._survey.mend(start, packets)
        part = bytes(data[self._at - start : self._at - start + len(buffer)])
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)


def _packets(stream: BinaryIO, step: int) -> Iterator[tuple[int, np.ndarray]]:
    """Where some packets begin in the file, and they, (N, 188) uint8; what is less than a packet is left out."""
    stream.seek(at := 0)
    while data := stream.read(step * TOGETHER):
        whole = len(data) // step
        if whole:
            yield at, np.frombuffer(data, np.uint8, whole * step).reshape(whole, step)[:, step - SIZE :]
        at += whole * step


def _pids(some: np.ndarray) -> np.ndarray:
    return (some[:, 1] & 0x1F).astype(int) << 8 | some[:, 2]


def _payloads(some: np.ndarray) -> np.ndarray:
    """Where the payload of each packet begins, so far that a frame's header fits behind it: (N,) int."""
    return np.where(some[:, 3] & 0x20, 5 + some[:, 4].astype(int), 4).clip(0, SIZE - 19)


def _begin_frames(some: np.ndarray) -> np.ndarray:
    """The packets in which a frame of sound or pictures begins, (N,) bool."""
    at, rows = _payloads(some), np.arange(len(some))
    starts = (some[rows, at] == 0) & (some[rows, at + 1] == 0) & (some[rows, at + 2] == 1)
    return starts & (some[rows, at + 3] >= 0xBD) & (some[:, 1] & 0x40 > 0) & (some[:, 3] & 0x10 > 0)


def _times(rows: np.ndarray, begins: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which packets of a track state a time, when it is to be decoded (ticks), and the ids of all frames that begin.

    begins: the packets in which a frame begins.
    """
    found = np.flatnonzero(begins)
    at = _payloads(rows)[found]
    ids = rows[found, at + 3]
    flags = rows[found, at + 7] >> 6
    timed, at = found[flags >= 2], (at + np.where(flags == 3, 14, 9))[flags >= 2]
    b = [rows[timed, at + k].astype(np.int64) for k in range(5)]
    return timed, (b[0] >> 1 & 7) << 30 | b[1] << 22 | b[2] >> 1 << 15 | b[3] << 7 | b[4] >> 1, ids


def _shift(packet: np.ndarray, by: int) -> None:
    """Move the times in the header of a frame, in place."""
    at = int(_payloads(packet[None])[0])
    for place in ((), (9,), (9,), (9, 14))[packet[at + 7] >> 6] if packet[at + 7] >> 6 >= 2 else ():
        b = packet[at + place : at + place + 5].astype(int).tolist()
        time = (b[0] >> 1 & 7) << 30 | b[1] << 22 | b[2] >> 1 << 15 | b[3] << 7 | b[4] >> 1
        time = (time + by) % WRAP
        packet[at + place : at + place + 5] = (
            b[0] & 0xF1 | time >> 29 & 0x0E,
            time >> 22 & 0xFF,
            b[2] & 1 | time >> 14 & 0xFE,
            time >> 7 & 0xFF,
            b[4] & 1 | time << 1 & 0xFE,
        )


def _counts(some: np.ndarray) -> np.ndarray:
    """The packets that have a payload, which the counter counts: (N,) bool."""
    return some[:, 3] & 0x10 > 0


def _jumps(some: np.ndarray, counters: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Which packets of one track do not follow the one before: (N,) bool.

    A packet may come twice, and a stream may say that it starts anew.
    """
    starts_anew = (some[:, 3] & 0x20 > 0) & (some[:, 4] > 0) & (some[:, 5] & 0x80 > 0)
    return ~((counters == (before + 1) % 16) | (counters == before) | starts_anew) | (some[:, 1] & 0x80 > 0)
