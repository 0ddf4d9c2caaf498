"""MPEG transport streams (ISO/IEC 13818-1, 2.4): what is missing in them, and where one recording follows another.

A stream is packets of 188 bytes, numbered by a counter of four bits for each stream in it (by its PID).  Recordings
that were joined (`cat a.ts b.ts`) begin their clocks anew; here the times of the second go on from those of the first.
"""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

SYNC = 0x47  # begins every packet
SIZE = 188  # of a packet, bytes, without the time code that may lead it
TOGETHER = 1 << 13  # packets that are looked at together
WRAP = 1 << 33  # ticks of the clock, of which there are 90,000 a second, until it is zero again
BACK = 9_000  # ticks; a stream whose times go back by more is another recording's
PICTURES = range(0xE0, 0xF0)  # stream ids


@dataclass
class Track:
    """What is known of one PID.

    pictures: the stream is one of pictures.
    counter: the last packet's.
    time: when the last frame is decoded, ticks; step: from the one before to it.
    breaks: for each place where the times go back, the byte, the time that would have followed, the time that does,
    the counter before and the counter there.
    """

    pictures: bool
    counter: int | None = None
    time: int | None = None
    step: int = 0
    breaks: list[tuple[int, int, int, int, int]] = field(default_factory=list)


class TransportSurvey:
    """A survey of a whole transport stream.

    step: from one packet to the next, bytes.
    missing: the places where packets are missing, bytes.
    broken: the byte where no packet begins though one should, or None.
    joins: how many recordings follow the first.
    """

    def __init__(self, stream: BinaryIO, step: int) -> None:
        self.step, self.broken = step, None
        self.missing: list[int] = []
        self._tracks: dict[int, Track] = {}
        for at, some in _packets(stream, step):
            strays = some[:, 0] != SYNC
            if strays.any():
                self.broken = at + step * int(strays.argmax())
                some = some[: strays.argmax()]
            self._look_at(at, some)
            if self.broken is not None:
                break
        found = {len(track.breaks) for track in self._tracks.values()}
        leader = next((track for track in self._tracks.values() if track.pictures), None)
        self.joins = found.pop() if len(found) == 1 and leader and self.broken is None else 0
        self._shifts = [0]  # of the times of each recording, ticks
        for _, due, time, *_ in leader.breaks if self.joins else ():
            self._shifts.append(self._shifts[-1] + due - time)
        if self.joins:
            places = {place for track in self._tracks.values() for place, *_ in track.breaks}
            self.missing = [place for place in self.missing if place not in places]

    def _look_at(self, at: int, some: np.ndarray) -> None:
        pids = _pids(some)
        begins = _begin_frames(some)
        for pid in {*pids[begins].tolist(), *self._tracks}:
            places = np.flatnonzero(pids == pid)
            if not len(places):
                continue
            rows = some[places]
            offsets, times, ids = _times(rows)
            track = self._tracks.setdefault(pid, Track(bool(len(ids)) and int(ids[0]) in PICTURES))
            counters = (rows[:, 3] & 15).astype(int)
            before = np.concatenate([[counters[0] if track.counter is None else track.counter], counters[:-1]])
            jumps = np.flatnonzero(_jumps(rows, counters, before))
            self.missing += [at + self.step * int(places[row]) for row in jumps]
            for row, time in zip(offsets.tolist(), times.tolist(), strict=True):
                if track.time is not None and BACK < (track.time - time) % WRAP < WRAP // 2:
                    due = track.time + track.step
                    track.breaks.append(
                        (at + self.step * int(places[row]), due, time, int(before[row]), int(counters[row]))
                    )
                elif track.time is not None:
                    track.step = (time - track.time) % WRAP
                track.time = time
            track.counter = int(counters[-1])
        self.missing.sort()

    def mend(self, at: int, some: np.ndarray) -> None:
        """Let the times and the counters of joined recordings go on, in place.

        at: where the packets begin in the file.
        some: (N, 188) uint8.
        """
        pids = _pids(some)
        for pid, track in self._tracks.items():
            places = np.flatnonzero(pids == pid)
            marks = [place for place, *_ in track.breaks]
            parts = [bisect_right(marks, at + self.step * int(place)) for place in places]
            turns = [0]
            for _, _, _, before, there in track.breaks:
                turns.append(turns[-1] + before + 1 - there)
            for place, part in zip(places.tolist(), parts, strict=True):
                if part:
                    packet = some[place]
                    packet[3] = packet[3] & 0xF0 | (int(packet[3]) + turns[part]) & 15
            for place in np.flatnonzero(_begin_frames(some) & (pids == pid)).tolist():
                part = bisect_right(marks, at + self.step * place)
                if part:
                    _shift(some[place], self._shifts[part])


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


def _times(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which packets of a track state a time, when it is to be decoded (ticks), and the ids of all frames that begin."""
    found = np.flatnonzero(_begin_frames(rows))
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


def _jumps(some: np.ndarray, counters: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Which packets of one track do not follow the one before: (N,) bool.

    A packet may come twice, and a stream may say that it starts anew.
    """
    starts_anew = (some[:, 3] & 0x20 > 0) & (some[:, 4] > 0) & (some[:, 5] & 0x80 > 0)
    return ~((counters == (before + 1) % 16) | (counters == before) | starts_anew) | (some[:, 1] & 0x80 > 0)
