"""MPEG transport streams (ISO/IEC 13818-1, 2.4): packets of 188 bytes, numbered by a counter of four bits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

SYNC = 0x47  # begins every packet
NOTHING = 0x1FFF  # the number (PID) of packets that only fill
TOGETHER = 1 << 13  # packets that are looked at together


def packets(stream: BinaryIO, step: int) -> Iterator[tuple[int, np.ndarray]]:
    """Where some packets begin in the file, and they, (N, 188) uint8; what is less than a packet is left out."""
    stream.seek(at := 0)
    while data := stream.read(step * TOGETHER):
        whole = len(data) // step
        yield at, np.frombuffer(data, np.uint8, whole * step).reshape(whole, step)[:, step - 188 :]
        at += whole * step
        if whole * step < len(data):
            return


def flaws(stream: BinaryIO, step: int) -> Iterator[tuple[int, int]]:
    """Each place where packets are missing or damaged: the byte, and the PID (-1 where no packet begins)."""
    last: dict[int, int] = {}
    for at, some in packets(stream, step):
        strays = some[:, 0] != SYNC
        if strays.any():
            yield at + step * int(strays.argmax()), -1
            return
        pids = (some[:, 1] & 0x1F).astype(int) << 8 | some[:, 2]
        found = []
        for pid in set(pids.tolist()) - {NOTHING}:
            places = np.flatnonzero(pids == pid)
            wrong = _jumps(some[places], last.get(pid))
            found += [(int(place), pid) for place in places[wrong]]
            last[pid] = int(some[places[-1], 3] & 15)
        yield from ((at + step * place, pid) for place, pid in sorted(found))


def _jumps(some: np.ndarray, last: int | None) -> np.ndarray:
    """Which packets of one PID do not follow the one before: (N,) bool.

    last: the counter before the first.
    A packet may come twice, and a stream may say that it starts anew.
    """
    counters = (some[:, 3] & 15).astype(int)
    before = np.concatenate([[counters[0] if last is None else last], counters[:-1]])
    starts_anew = (some[:, 3] & 0x20 > 0) & (some[:, 4] > 0) & (some[:, 5] & 0x80 > 0)
    return ~((counters == (before + 1) % 16) | (counters == before) | starts_anew) | (some[:, 1] & 0x80 > 0)
