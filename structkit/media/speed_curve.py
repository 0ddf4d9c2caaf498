"""Speed curves: how many times as fast each moment of a clip is shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any, Literal, Self, get_args

import numpy as np

from structkit.errors import InputError, OptionError
from structkit.media.curve_charts import png_chart, svg_chart
from structkit.media.curve_rows import check_rows, csv_rows, rows_of_csv
from structkit.media.edit_lists import EditedClip, fcpxml, otio
from structkit.media.files import Source, one_line, open_source
from structkit.media.texts import read_text
from structkit.media.timing import TimeMap

CurveFormat = Literal["json", "csv", "svg", "png", "otio", "fcpxml"]
CURVE_FORMATS: tuple[CurveFormat, ...] = get_args(CurveFormat)

KIND = "speed-curve"
VERSION = 1
APART = 0.2  # s: knots of a time map are no denser, but where the speed jumps
JUMP = 0.2  # of the logarithm of the speed, from one cell to the next
MICROSECOND = 10**6
DIGITS = 5  # of predictions, in files
WAY_OUT = "write one with --curve curve.json, or a CSV file with a line t,S for each change of speed"


@dataclass(frozen=True, eq=False)
class SpeedCurve:
    """A curve of speeds over a clip, of one value for each cell of time, and what it was made of.

    times: (N + 1,) float64, s on the clip's clock, increasing: the edges of the cells.
    speeds: (N,) float64, above zero: input seconds for an output second.
    tolerated: (N,) above zero, the fastest that each cell may be without looking so; None where nobody judged.
    factors, predictions: (F,) increasing, above zero, and (F, N), how probably each cell looks sped up at each factor;
    None likewise.
    facts: how the curve was made, by name, as JSON; `motion` has a number for each cell.
    Raises ValueError for shapes that do not belong together, and for times and speeds that cannot be.
    """

    times: np.ndarray
    speeds: np.ndarray
    tolerated: np.ndarray | None = None
    factors: np.ndarray | None = None
    predictions: np.ndarray | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("times", "speeds", "tolerated", "factors", "predictions"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else np.asarray(value, np.float64))
        count = len(self.speeds)
        factors = None if self.factors is None else len(self.factors)
        expected = {
            "times": (count + 1,),
            "tolerated": (count,),
            "predictions": None if factors is None else (factors, count),
        }
        for name, shape in expected.items():
            value = getattr(self, name)
            if value is not None and value.shape != shape:
                raise ValueError(f"a curve of {count} speeds cannot have {name} of {value.shape}")
        if not count or not np.isfinite(self.times).all() or (np.diff(self.times) <= 0).any():
            raise ValueError("the times of a curve must increase, from the first edge of a cell to the last")
        for name in ("speeds", "tolerated", "factors"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) & (value > 0)).all():
                raise ValueError(f"the {name} of a curve must be numbers above zero")
        if self.factors is not None and (np.diff(self.factors) <= 0).any():
            raise ValueError("the factors of a curve must increase")

    @property
    def durations(self) -> np.ndarray:
        """The length of each cell, s of the input, (N,)."""
        return np.diff(self.times)

    @property
    def shown(self) -> np.ndarray:
        """The output's time of each edge, s, (N + 1,), from zero."""
        return np.concatenate([[0.0], np.cumsum(self.durations / self.speeds)])

    @property
    def seconds(self) -> float:
        """The length of the input, s."""
        return float(self.times[-1] - self.times[0])

    @property
    def duration(self) -> float:
        """The length of the output, s."""
        return float((self.durations / self.speeds).sum())

    @property
    def rate(self) -> float:
        """The speed of the whole: how many times as long the input is as the output."""
        return self.seconds / self.duration

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes on how it was measured, and on how it was planned from that."""
        return (*self.facts.get("notes", ()), *self.facts.get("plan_notes", ()))

    def timing(self) -> TimeMap:
        """The time map of the curve: its first time is shown at zero.

        Where the curve's cells are finer than 0.2 s, the speed is the mean of all that lie between two knots; the
        times of knots are rounded to a microsecond, and those of both ends are exact.
        """
        kept = self._knots()
        shown = self.shown[kept].tolist()
        knots = [
            (_microseconds(time), _microseconds(out))
            for time, out in zip(self.times[kept].tolist(), shown, strict=True)
        ]
        # The times of real clips are ticks of 1/90000 s, frames of 1001/30000 s, and their like.
        first, last = (Fraction(float(self.times[end])).limit_denominator(MICROSECOND) for end in (0, -1))
        inner = [knot for before, knot in pairwise(knots[:-1]) if before[0] < knot[0] and first < knot[0] < last]
        slopes = [Fraction(1 / float(self.speeds[end])).limit_denominator(MICROSECOND) for end in (0, -1)]
        return TimeMap(((first, Fraction(0)), *inner, (last, knots[-1][1])), *slopes)

    def over(self, start: float, end: float, frame: float, name: str) -> SpeedCurve:
        """The same curve for a clip from `start` to `end`, s: cut there, or its ends held on for up to a frame.

        frame: the length of a frame, s.
        name: of the curve's file, for messages.
        Raises InputError for a curve that begins or ends within the clip.
        """
        first, last = float(self.times[0]), float(self.times[-1])
        if first > start + frame:
            way_out = f"give it a row for {start:g} s as well"
            raise InputError(f"{name}: the curve begins at {first:g} s, and the clip at {start:g} s: {way_out}")
        if last < end - frame:
            way_out = f"give it a row for {end:g} s, which says where the last speed ends"
            raise InputError(f"{name}: the curve ends at {last:g} s, and the clip at {end:g} s: {way_out}")
        inside = np.flatnonzero((self.times[1:] > start) & (self.times[:-1] < end))
        if not len(inside):  # all of a clip of a frame lies beside the curve
            inside = np.array([0 if first >= end else len(self.speeds) - 1])
        times = self.times[inside[0] : inside[-1] + 2].copy()
        times[[0, -1]] = start, end
        tolerated, predictions = (
            None if value is None else value[..., inside] for value in (self.tolerated, self.predictions)
        )
        facts = dict(self.facts)
        if isinstance(motion := facts.get("motion"), list) and len(motion) == len(self.speeds):
            facts["motion"] = motion[inside[0] : inside[-1] + 1]
        return SpeedCurve(times, self.speeds[inside], tolerated, self.factors, predictions, facts)

    def document(self) -> dict[str, Any]:
        """The curve as JSON: `of` reads it back, its times and speeds to the last bit."""
        found: dict[str, Any] = {"kind": KIND, "version": VERSION, "facts": dict(self.facts)}
        found |= {"seconds": self.seconds, "duration": self.duration, "rate": self.rate}
        found |= {"times": self.times.tolist(), "speeds": self.speeds.tolist()}
        for name in ("tolerated", "factors", "predictions"):
            if (value := getattr(self, name)) is not None:
                found[name] = _rounded(value)
        return found

    @classmethod
    def of(cls, document: Any, name: str = "the curve") -> Self:
        """The curve of a document: `times` and `speeds`, and what else `document` gives.

        name: of the file, for messages.
        Raises InputError for what is no curve, and for times and speeds that cannot be.
        """
        if not isinstance(document, Mapping) or document.get("kind", KIND) != KIND:
            raise InputError(f"{name}: no speed curve; {WAY_OUT}")
        if document.get("version", VERSION) != VERSION:
            raise InputError(f"{name}: a curve of version {document['version']}; this structkit reads {VERSION}")
        arrays = {}
        for field_name in ("times", "speeds", "tolerated", "factors", "predictions"):
            value = document.get(field_name)
            if value is None and field_name in ("times", "speeds"):
                raise InputError(f"{name}: a curve without {field_name}; {WAY_OUT}")
            rank = 2 if field_name == "predictions" else 1
            arrays[field_name] = None if value is None else _numbers(value, f"{name}: its {field_name}", rank)
        check_rows(arrays["times"], arrays["speeds"], name)
        facts = document.get("facts", {})
        try:
            return cls(**arrays, facts=_checked(facts, name) if isinstance(facts, Mapping) else {})
        except ValueError as error:
            raise InputError(f"{name}: {error}; {WAY_OUT}") from None

    def _knots(self) -> np.ndarray:
        """The edges that become knots: the first of each 0.2 s, those beside longer cells, and those of jumps."""
        lengths = self.durations
        kept = np.ones(len(self.times), bool)
        box = np.floor((self.times - self.times[0]) / APART + 1e-6)
        jump = np.abs(np.diff(np.log(self.speeds))) > JUMP
        long = np.maximum(lengths[:-1], lengths[1:]) >= APART / 2
        kept[1:-1] = (np.diff(box)[:-1] > 0) | jump | long
        return np.flatnonzero(kept)


def read_curve(source: Source, name: str | None = None) -> SpeedCurve:
    """The curve in a file: JSON as `curve_file` writes it, or CSV with a line t,S for each change of speed.

    source: a path, bytes, a stream, or the text itself.
    A line of CSV has the time, in seconds or as 1:05.5, and the speed from there on; that of the last line is where
    the curve ends.  A header may name the columns, and lines that begin with # are left out.
    Raises InputError for what is no curve, with the row that is not.
    """
    if isinstance(source, str) and ("\n" in source or source.lstrip()[:1] in ("{", "[")):
        source, name = source.encode(), name or "the curve"
    with open_source(source, name) as (label, stream):
        text = read_text(stream, label)
    if text.lstrip()[:1] not in ("{", "["):
        return SpeedCurve(*rows_of_csv(text, label))
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{label}: no JSON ({one_line(error)}); {WAY_OUT}") from None
    return SpeedCurve.of(document, label)


def curve_file(curve: SpeedCurve, format: CurveFormat, clip: EditedClip | None = None) -> bytes:
    """The curve as the bytes of a file.

    json: all of it.  csv: times, speeds and tolerated speeds.  svg, png: a chart.  otio, fcpxml: a list of edits for
    OpenTimelineIO and Final Cut Pro.
    clip: the clip that the curve is of, which lists of edits name.
    Raises OptionError for another format, and for a list of edits without a clip.
    """
    if format == "json":
        return (json.dumps(curve.document(), separators=(",", ":")) + "\n").encode()
    if format == "csv":
        return csv_rows(curve).encode()
    if format == "svg":
        return svg_chart(curve).encode()
    if format == "png":
        return png_chart(curve)
    if format not in CURVE_FORMATS:
        raise OptionError(f"a curve as {format!r}: choose one of {', '.join(CURVE_FORMATS)}")
    if clip is None:
        raise OptionError(f"a curve as {format} names its clip: hand it in")
    return (otio if format == "otio" else fcpxml)(curve, clip).encode()


def _microseconds(time: float) -> Fraction:
    """A time, s, to the nearest microsecond."""
    return Fraction(round(time * MICROSECOND), MICROSECOND)


def _numbers(value: Any, name: str, rank: int = 1) -> np.ndarray:
    """An array of numbers from lists of them; None stands for one that there is not.

    rank: of the array: 1 for a list, 2 for a list of lists.
    Raises InputError.
    """
    try:
        found = np.array(value, np.float64)
    except (ValueError, TypeError, OverflowError):
        found = np.zeros(())
    if found.ndim != rank:
        raise InputError(f"{name} are no {'list of lists' if rank > 1 else 'list'} of numbers; {WAY_OUT}")
    return found


def _checked(facts: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The facts of a document, of which those that are worked with are what they should be.  Raises InputError."""
    for fact in ("cuts", "motion"):
        if fact in facts and not np.isfinite(_numbers(facts[fact], f"{name}: its {fact}")).all():
            raise InputError(f"{name}: its {fact} are no list of numbers; {WAY_OUT}")
    for fact in ("notes", "plan_notes"):
        notes = facts.get(fact, [])
        if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
            raise InputError(f"{name}: its {fact} are no list of texts; {WAY_OUT}")
    for fact, kind, words in (("method", str, "text"), ("model", str, "text"), ("natural_rate", int | float, "number")):
        if not isinstance(facts.get(fact), kind | None):
            raise InputError(f"{name}: its {fact} is no {words}; {WAY_OUT}")
    return dict(facts)


def _rounded(value: np.ndarray) -> Any:
    """Lists of rounded numbers; None for what is not finite, which JSON has no word for."""
    rounded = np.round(value, DIGITS)
    found = rounded.tolist()
    if np.isfinite(rounded).all():
        return found
    return [_rounded(row) for row in rounded] if rounded.ndim > 1 else [v if np.isfinite(v) else None for v in found]
