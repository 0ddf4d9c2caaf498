"""Rows of a speed curve: a time and the speed from there on, as people and spreadsheets write them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from structkit.errors import InputError

if TYPE_CHECKING:
    from structkit.media.speed_curve import SpeedCurve

TIMES, SPEEDS = ("t", "time", "seconds", "s"), ("s", "speed", "rate", "factor")  # names of columns
SLOWEST, FASTEST = 1e-3, 1e3  # what may stand in a file
LATEST = 1e7  # s, before and behind zero; four months
CLOCK = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:\.\d*)?)")  # h:mm:ss.s or m:ss


def check_rows(times: np.ndarray, speeds: np.ndarray, name: str, rows: Sequence[str] | None = None) -> None:
    """Refuse times that do not increase and speeds that cannot be, with the row.

    times: (N + 1,).
    speeds: (N,) or (N + 1,).
    rows: the words for each time's row; by default its number.
    Raises InputError.
    """

    def row(index: int) -> str:
        return rows[index] if rows else f"row {index + 1}"

    if len(times) < 2:
        found = "no rows" if len(times) == 0 else f"one row, {row(0)}, and no end"
        raise InputError(
            f"{name}: {found}; a curve has a row t,S for each change of speed, and one where the clip ends"
        )
    if len(speeds) not in (len(times), len(times) - 1):
        raise InputError(
            f"{name}: {len(times)} times and {len(speeds)} speeds; each speed lasts from one time to the next"
        )
    for index in np.flatnonzero(~(np.abs(times) <= LATEST))[:1].tolist():
        fact = f"{row(index)} has the time {times[index]:g}"
        raise InputError(f"{name}: {fact}; a time is a number of seconds, {LATEST:g} at most")
    for index in np.flatnonzero(~((speeds >= SLOWEST) & (speeds <= FASTEST)))[:1].tolist():
        way_out = f"a speed is a number above 0, {SLOWEST:g} to {FASTEST:g}: 1 as it was, 2 twice as fast"
        raise InputError(f"{name}: {row(index)} has the speed {speeds[index]:g}; {way_out}")
    for index in np.flatnonzero(np.diff(times) <= 0)[:1].tolist():
        fact = f"{times[index + 1]:g} s after {times[index]:g} s"
        raise InputError(f"{name}: {row(index + 1)} has the time {fact}; put the rows in order, each time once")


def rows_of_csv(text: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Times (N + 1,) and speeds (N,) of a text with a line for each; the last line says where the last speed ends.

    name: of the file, for messages.
    Raises InputError with the line that cannot be.
    """
    lines = [(number, _cells(line)) for number, line in enumerate(text.split("\n"), 1) if line.strip(" \t,;")]
    lines = [(number, cells) for number, cells in lines if not cells[0].startswith("#")]
    columns = (0, 1)
    if lines and not any(_seconds(cell) == _seconds(cell) for cell in lines[0][1]):
        columns = _columns([cell.lower() for cell in lines[0][1]], name)
        lines = lines[1:]
    labels = [f"line {number}" for number, _ in lines]
    found = np.full((len(lines), 2), np.nan)
    for index, (_, cells) in enumerate(lines):
        for place, column in enumerate(columns):
            last = index == len(lines) - 1 and place == 1
            cell = cells[column] if column < len(cells) else ""
            if not cell and last:
                found[index, 1] = 1.0  # behind the end nothing has a speed
            elif not cell:
                raise InputError(f"{name}: {labels[index]} has no {('time', 'speed')[place]}; write t,S on each line")
            elif (value := _seconds(cell) if place == 0 else _number(cell)) != value and cell.lower() != "nan":
                fact = f"{cell[:20]!r} where a {('time', 'speed')[place]} is expected"
                raise InputError(f"{name}: {labels[index]} has {fact}; write t,S on each line")
            else:
                found[index, place] = value
    check_rows(found[:, 0], found[:, 1], name, labels)
    return found[:, 0], found[:-1, 1]


def csv_rows(curve: SpeedCurve) -> str:
    """The text of a curve: a line for each cell with its time, its speed, what was tolerated, and the output's time."""
    head = ["t", "S", *(["V"] if curve.tolerated is not None else []), "t_out"]
    columns = [curve.times.tolist(), [*curve.speeds.tolist(), curve.speeds[-1].item()]]
    if curve.tolerated is not None:
        columns.append([*np.round(curve.tolerated, 4).tolist(), round(curve.tolerated[-1].item(), 4)])
    columns.append(np.round(curve.shown, 6).tolist())
    rows = zip(*(map(repr, column) for column in columns), strict=True)
    return "\n".join([",".join(head), *map(",".join, rows)]) + "\n"


def _cells(line: str) -> list[str]:
    """The cells of a line: between semicolons or tabs, where a comma is a decimal point; else between commas, or
    spaces."""
    for mark in (";", "\t"):
        if mark in line:
            return [cell.strip().strip('"').replace(",", ".") for cell in line.split(mark)]
    return [cell.strip().strip('"') for cell in (line.split(",") if "," in line else line.split())]


def _columns(head: list[str], name: str) -> tuple[int, int]:
    """The places of time and speed in a header.  Raises InputError."""
    time = next((head.index(word) for word in TIMES if word in head), None)
    speed = next((i for i, word in enumerate(head) if word in SPEEDS and i != time), None)
    if time is None or speed is None:
        columns = ", ".join(head[:6])[:60]
        raise InputError(
            f"{name}: no speed curve: its columns are {columns}; name two of them t and S, or leave out the header"
        )
    return time, speed


def _seconds(cell: str) -> float:
    """The seconds of 65.5 or 1:05.5; NaN for what is no time."""
    if clock := CLOCK.fullmatch(cell):
        hours, minutes, seconds = clock.groups(default="0")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    return _number(cell)


def _number(cell: str) -> float:
    """The number that a cell is, without the x of 2x; NaN for what is none."""
    try:
        return float(cell.lower().removesuffix("x"))
    except ValueError:
        return float("nan")
