"""A clip made shorter where that does not show: its curve of speeds, and the video that follows it.

The curve comes in two steps.  A clip is measured once: how fast each moment may be without looking so, by its motion or
by a trained model.  Then the speeds are found that last exactly as long as asked, change smoothly, and keep to what was
measured and to what must not be fast.  A curve holds both, so that another length needs no other measurement.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from structkit.configs import SPEEDUP_RATE, RetimeConfig, SpeedCurveConfig
from structkit.engines.speednet.curve import confidence, optimised
from structkit.errors import OptionError
from structkit.media.retiming import retime
from structkit.media.speed_curve import SpeedCurve, read_curve
from structkit.media.speed_segments import segments
from structkit.verbs.frames import opened_video
from structkit.verbs.running import Progress
from structkit.verbs.speed_bounds import bounds
from structkit.verbs.speed_meter import judged, measured_curve
from structkit.verbs.speed_target import SpeedTarget

if TYPE_CHECKING:
    from structkit.engines.speednet.model import SpeedNet
    from structkit.media.files import Source
    from structkit.media.video import VideoReader

MEASURED = 0.4  # of the work of a whole run, about
CELLS = 25  # a second
# Notes on sound that do not differ from what was asked for: a track that keeps its codec, and one that is left out.
AS_ASKED = re.compile(r"\b(\w+) sound encoded anew as \1, (stretched|played like a tape)$|sound left out, as asked$")
BEYOND = 1.005  # times the natural rate, from which there is a note


@dataclass(frozen=True)
class SpeedupSummary:
    """The facts of a video that was sped up.

    frames: their number.
    seconds: the length of the result.
    notes: on the input, the curve and the output, one line each.
    curve: that the video follows.
    """

    frames: int
    seconds: float
    notes: tuple[str, ...]
    curve: SpeedCurve


def speed_curve(
    video: VideoReader | Source,
    *,
    rate: float | None = None,
    duration: str | float | None = None,
    keep: Sequence[str] = (),
    model: SpeedNet | str | Path | None = None,
    measured: SpeedCurve | Source | None = None,
    device: str = "auto",
    progress: Progress | None = None,
    **options: Any,
) -> SpeedCurve:
    """The curve of speeds by which a video becomes exactly `rate` times as short, and fast where that does not show.

    video: a file, its bytes, a stream or a `structkit.media.video.VideoReader`.
    rate: 1 or more; 2 where neither it nor a duration is given.
    duration: of the result: seconds, or a text such as 90s, 1:30, 3m or 50%.
    keep: spans that are no faster than they are, such as 0:10-0:25.
    model: of `train_speednet`, a checkpoint or the name of one that ships; it is asked how fast each moment may be.
    measured: a curve of the same video, a file of one, or its bytes: nothing is measured again.  Where nothing else is
    asked for, its own speeds stay; one that was drawn by hand lends its speeds for what is tolerated.
    device: of the model.
    progress: called with the share that is done.
    options: fields of `configs.SpeedCurveConfig`.
    The cells of the curve are 1/25 s long, from the first frame to the end of the last.  Its facts have the method, the
    rate asked for, the natural one, scene cuts and notes.
    Method "motion" measures what moves against the rest of the picture, and "speednet" asks a model (Benaim et al.,
    CVPR 2020, section 4; see `structkit.engines.speednet.curve`).
    Raises InputError, OptionError (also for a rate that cannot be reached, with those that can), CheckpointError,
    DeviceError.
    """
    target = SpeedTarget.of(rate, duration, keep)
    config = SpeedCurveConfig.of({"rate": rate, **options})
    with opened_video(video) as reader:
        return _curve_of(reader, config, target, model, measured, device, progress)


def speedup(
    video: VideoReader | Source,
    output: str | Path | BinaryIO,
    *,
    curve: SpeedCurve | Source | None = None,
    quality: int | None = None,
    device: str = "auto",
    progress: Progress | None = None,
    **options: Any,
) -> SpeedupSummary:
    """Make a video shorter, exactly `rate` times, and fast where that does not show; its sound stays in step.

    video: as `speed_curve` takes it.
    output: .mp4, .mov, .mkv or .webm, whole or not at all; a binary stream gets an MP4.
    curve: the one to follow, or the file of one; with `rate`, `keep` or others it is planned anew.  None: that of
    `speed_curve`.  One in memory, with nothing else asked for, is followed as it is, beyond its end at its last speed.
    quality: 1 to 100, of the encoding.
    device, progress: as `speed_curve` takes them.
    options: fields of `configs.RetimeConfig`, and what else `speed_curve` takes.
    Subtitles, chapters and all tracks of sound go through the same map of times as the pictures.
    Returns the number of frames, the length, notes and the curve.
    Raises as `speed_curve`, and OutputError.
    """
    own = {field.name for field in fields(RetimeConfig)}
    config = RetimeConfig.of({name: value for name, value in options.items() if name in own})
    of_curve = {name: value for name, value in options.items() if name not in own}
    with opened_video(video) as reader:
        part = MEASURED if progress else 0.0
        if of_curve or not isinstance(curve, SpeedCurve):
            curve = speed_curve(reader, measured=curve, device=device, progress=_part(progress, 0, part), **of_curve)
        how = {"resample": config.resample, "audio": config.audio, "quality": quality, "max_side": config.max_side}
        made = retime(reader, output, curve.timing(), progress=_part(progress, part, 1), **how)
        told = (note for note in made.notes if not AS_ASKED.search(note))
        notes = dict.fromkeys((*reader.notes, *curve.notes, *told))
        return SpeedupSummary(made.frames, float(made.seconds), tuple(notes), curve)


def _curve_of(
    reader: VideoReader,
    config: SpeedCurveConfig,
    target: SpeedTarget,
    model: SpeedNet | str | Path | None,
    measured: SpeedCurve | Source | None,
    device: str,
    progress: Progress | None,
) -> SpeedCurve:
    """The curve of an open video; see `speed_curve`."""
    if measured is None:
        found = measured_curve(reader, config, model, device, progress)
        otherwise = SPEEDUP_RATE
    else:
        if model is not None or config.method is not None:
            raise OptionError("a method measures a clip, and the curve has measured it: leave one of them out")
        found = _fitted(measured, reader)
        if _keeps_all(config, target):
            return found
        found, otherwise = _refined(found), found.rate
    target.check(found.seconds)
    return _planned(found, reader, config, target, otherwise)


def _planned(
    found: SpeedCurve, reader: VideoReader, config: SpeedCurveConfig, target: SpeedTarget, otherwise: float
) -> SpeedCurve:
    """The curve that was measured, with the speeds that are asked for."""
    rate = target.rate_of(found.seconds, otherwise)
    of_cells, natural = judged(found, config, rate)
    within, notes = bounds(reader, found.times, of_cells, config, target)
    cuts = np.isin(np.round(found.times[:-1], 6), np.round(found.facts.get("cuts", ()), 6))
    weights = None if found.predictions is None else confidence(found.predictions[0])
    how = {"most": within.most, "smooth": config.smooth, "cuts": cuts}
    speeds = optimised(within.tolerated, weights, found.durations, rate, **how)
    if natural is not None and rate > BEYOND * natural:
        notes += (f"{rate:.2f} times as fast is more than looks natural here, which is up to {natural:.2f}",)
    facts = {"rate": rate, "natural_rate": natural and round(natural, 4), "plan_notes": list(notes)}
    return replace(found, speeds=speeds, tolerated=within.tolerated, facts={**found.facts, **facts})


def _keeps_all(config: SpeedCurveConfig, target: SpeedTarget) -> bool:
    """True if nothing is asked for that would change a curve."""
    return not target.says_rate and not target.kept and config == SpeedCurveConfig()


def _fitted(measured: SpeedCurve | Source, reader: VideoReader) -> SpeedCurve:
    """An earlier curve, for this video.  Raises InputError for one that ends within it."""
    name = str(measured) if isinstance(measured, str | Path) else "the curve"
    source = Path(measured) if isinstance(measured, str) else measured
    curve = source if isinstance(source, SpeedCurve) else read_curve(source, name)
    gap = float(1 / (reader.rate or 25))
    last = float(curve.times[-1])
    end = last if reader.end is None else float(reader.end)
    curve = curve.over(float(reader.start), end, gap, name)
    facts = {fact: value for fact, value in curve.facts.items() if value is not None}
    notes = list(facts.get("notes", ()))
    if last > end + gap:
        notes.append(f"{name} goes on for {last - end:.1f} s behind the end of the clip: is it of another one?")
    return replace(curve, facts={"method": "curve", **facts, "notes": notes})


def _refined(curve: SpeedCurve) -> SpeedCurve:
    """A curve in cells of 1/25 s, where those that it has are longer: those of one that was drawn by hand."""
    if curve.durations.max() < 1.5 / CELLS:
        return curve
    count = max(1, round(curve.seconds * CELLS))
    times = np.linspace(curve.times[0], curve.times[-1], count + 1)
    place = np.searchsorted(curve.times, (times[1:] + times[:-1]) / 2, "right").clip(1, len(curve.speeds)) - 1
    tolerated = None if curve.tolerated is None else curve.tolerated[place]
    return SpeedCurve(times, curve.speeds[place], tolerated, facts=curve.facts)


def _part(progress: Progress | None, start: float, end: float) -> Progress | None:
    """The progress of a part of the work, from `start` to `end`."""
    return progress and (lambda share, note="": progress(start + (end - start) * share, note))


def pace_facts(curve: SpeedCurve) -> Mapping[str, Any]:
    """The facts of a curve for records: lengths, speeds, the natural rate, the method, and pieces of like speed."""
    return {
        "seconds": round(curve.seconds, 6),
        "duration": round(curve.duration, 6),
        "rate": round(curve.rate, 6),
        "natural_rate": curve.facts.get("natural_rate"),
        "slowest": round(float(curve.speeds.min()), 4),
        "fastest": round(float(curve.speeds.max()), 4),
        "method": curve.facts.get("method"),
        "segments": [segment.record for segment in segments(curve)],
    }
