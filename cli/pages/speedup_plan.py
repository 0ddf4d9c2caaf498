"""The plan of clips that are sped up: the outputs of each video, and their maker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import structkit_weights
from structkit.configs import (
    HEATMAP_KINDS,
    NO_FACTORS,
    NO_SPEEDUP_MODEL,
    SPEEDUP_MODEL,
    VIDEO_QUALITY,
    RetimeConfig,
    SpeedCurveConfig,
    option,
)
from structkit.errors import OptionError
from structkit.verbs.speed_target import SpeedTarget
from structkit_cli.options import OutputOptions
from structkit_cli.run.inputs import InputFile, InputList, gather
from structkit_cli.run.models import ModelCache, ModelRef, model_refs
from structkit_cli.run.plan import Destination, Maker, Output, Plan, Progress, Task
from structkit_cli.run.results import BytesResult, DryResult, OutputKind, Result, RetimedResult, TextResult, VideoResult

if TYPE_CHECKING:
    from structkit.media.speed_curve import SpeedCurve
    from structkit.media.video import VideoReader

FORMATS = ("mp4", "mov", "mkv", "webm")
FEW = 12  # segments that are told
MEASURED = 0.4  # of the work, where there is something to write


@dataclass(frozen=True)
class SpeedupRunOptions(OutputOptions):
    """Options of the running, and of videos as they are written."""

    format: str | None = option(None, "format of the result; else the one that --output names, or mp4", choices=FORMATS)
    quality: int | None = option(None, f"of the encoding; else {VIDEO_QUALITY}", low=1, high=100)


class SpeedupMaker(Maker):
    """The maker of clips that are sped up, and of the curves and pages that tell of them.

    planning: arguments of `structkit.speed_curve`, but for the model.
    video: those of the video.
    models: of the method and of heat maps, if one was named.
    heatmap_kind: of heat maps.
    """

    def __init__(
        self,
        planning: Mapping[str, Any],
        video: RetimeConfig,
        models: Sequence[ModelRef],
        running: SpeedupRunOptions,
        heatmap_kind: str,
    ) -> None:
        self.heatmap_kind = heatmap_kind
        self.planning, self.video, self.running = planning, video, running
        self.models = ModelCache(models, "speedup") if models else None

    def make(
        self, task: Task, missing: Sequence[Output], device: str, progress: Progress
    ) -> Iterator[tuple[Output, Result]]:
        import structkit

        with task.inputs["video"].video(**self.running.reading) as reader:
            films = [output for output in missing if output.kind is not OutputKind.CURVE and not output.dry]
            first = MEASURED if films else 1.0
            how: dict[str, Any] = {"device": device, "progress": _part(progress, 0, first), **self.planning}
            if self.models and "curve" not in task.inputs and self.planning["method"] != "motion":
                [how["model"]] = self.models.on(device)
            if "curve" in task.inputs:
                how["measured"] = task.inputs["curve"].source
            curve = structkit.speed_curve(reader, **how)
            for output in missing:
                done, step = films.index(output) if output in films else 0, (1 - first) / max(1, len(films))
                part = _part(progress, first + done * step, first + (done + 1) * step)
                if output.kind is OutputKind.HEATMAP:
                    yield output, self._heatmap(reader, device, part)
                else:
                    yield output, self._result(output, reader, curve, task, part)

    def _heatmap(self, reader: VideoReader, device: str, progress: Progress) -> VideoResult:
        import structkit

        model = self.models.on(device)[0] if self.models else SPEEDUP_MODEL
        how = {"kind": self.heatmap_kind, "device": device, "progress": progress}
        return VideoResult(partial(structkit.heatmap, reader, model=model, **how))

    def _result(self, output: Output, reader: VideoReader, curve: SpeedCurve, task: Task, progress: Progress) -> Result:
        import structkit

        if output.kind is OutputKind.CURVE:
            from structkit.media.speed_curve import curve_file

            return BytesResult(curve_file(curve, output.format, _edited(task.inputs["video"], reader)))
        if output.kind is OutputKind.REPORT:
            from structkit.media.report import report_of

            name = task.inputs["video"].relative.name
            return TextResult(report_of(reader, curve, name=name, audio=self.video.audio, progress=progress))
        if output.dry:
            return _dry(curve, reader, task.inputs["video"].name)
        how = {**asdict(self.video), "quality": self.running.quality, "progress": progress}
        return RetimedResult(partial(structkit.speedup, reader, curve=curve, **how))


def plan_speedups(
    videos: Sequence[str],
    course: SpeedCurveConfig,
    video: RetimeConfig,
    running: SpeedupRunOptions,
    *,
    duration: str | None,
    keep: tuple[str, ...],
    model: str | None,
    curve: str | None,
    from_curve: str | None,
    report: str | None,
    heatmap: str | None,
    heatmap_kind: str | None,
    dry: bool,
) -> Plan:
    """The plan of one result of each video, with its curve and its page where these are named.

    dry: true if no video is made.
    Raises OptionError, CheckpointError.
    """
    SpeedTarget.of(course.rate, duration, keep)  # refused before any work
    _check_method(course, model, from_curve, heatmap)
    _check_heatmap(heatmap, heatmap_kind, model)
    found = gather(videos, leave_out=(running.output, curve, report, heatmap), films=True)
    how = {"many": found.many, "keep_suffix": running.keep_suffix}
    _check_format(running)
    named_output = "." if dry and found.many and running.output is None else running.output  # nothing is written there
    place = Destination(named_output, format=running.format, kind=OutputKind.VIDEO, inputs=found.inputs, **how)
    beside = [
        Destination(where, format=None, flag=kind.flag, kind=kind, many=found.many)
        for where, kind in ((curve, OutputKind.CURVE), (report, OutputKind.REPORT), (heatmap, OutputKind.HEATMAP))
        if where is not None
    ]
    refs = model_refs([model], "speedup") if model else []
    tasks = []
    for given in found.inputs:
        own = place.name_of(given)
        output = place.output(own if found.many else PurePath(f"{own}-speedup"), seed=0, dry=dry)
        outputs = [output, *(one.output(own, seed=0) for one in beside)]
        inputs = {"video": given}
        if from_curve is not None:
            inputs["curve"] = _curve_of(from_curve, own, found)
        if refs:
            inputs["model"] = refs[0].input
        tasks.append(Task(inputs, tuple(outputs)))
    for one in (*beside, *(() if dry else (place,))):
        one.set_apart((found,), running.exists)
    planning = {**asdict(course), "duration": duration, "keep": list(keep)}
    shown = {} if heatmap is None else {"heatmap": heatmap_kind or HEATMAP_KINDS[0]}
    maker = SpeedupMaker(planning, video, refs, running, heatmap_kind or HEATMAP_KINDS[0])
    options = {**planning, **asdict(video), **shown}
    return Plan("speedup", tasks, maker, options=options, many=found.many, foreign=found.foreign, unread=found.unread)


def _check_method(course: SpeedCurveConfig, model: str | None, from_curve: str | None, heatmap: str | None) -> None:
    """Refuse options of a method that is not used, and a method without its model.  Raises OptionError."""
    if model is not None and course.method == "motion" and heatmap is None:
        raise OptionError("--model is of --method speednet, and motion needs none: leave one of them out")
    if from_curve is not None:
        for flag, value in (("--model", None if heatmap else model), ("--method", course.method)):
            if value is not None:
                raise OptionError(f"{flag} measures a clip, and --from-curve has measured it: leave one of them out")
        return
    if course.vmode != "runs" and model is None and course.method is None:
        raise OptionError(NO_FACTORS)
    if course.method == "speednet" and model is None and structkit_weights.find(SPEEDUP_MODEL) is None:
        raise OptionError(NO_SPEEDUP_MODEL)


def _check_heatmap(heatmap: str | None, kind: str | None, model: str | None) -> None:
    """Refuse a heat map without a model, and a kind of none.  Raises OptionError."""
    if heatmap is None and kind is not None:
        raise OptionError("--heatmap-kind is of --heatmap: name the video to write with it, or leave it out")
    if heatmap is not None and model is None and structkit_weights.find(SPEEDUP_MODEL) is None:
        raise OptionError("--heatmap shows what a model sees: name one of structkit train speednet with --model")


def _check_format(running: SpeedupRunOptions) -> None:
    """Refuse a format that the name of the output does not say."""
    suffix = PurePath(running.output or "").suffix.lower().removeprefix(".")
    if running.format and suffix in FORMATS and suffix != running.format:
        fact = f"--output {running.output} says {suffix} and --format says {running.format}"
        raise OptionError(f"{fact}: change one of them")


def _curve_of(where: str, name: PurePath, found: InputList) -> InputFile:
    """The file of the curve of a video: the one that is named, or the one of the video's name in the folder.

    Raises OptionError for one that is not there.
    """
    path = Path(where)
    if path.is_dir():
        paths = [Path(path, name.parent, f"{name.name}{suffix}") for suffix in (".json", ".csv")]
        there = [one for one in paths if one.is_file()]
        if not there:
            raise OptionError(f"--from-curve {where} has no {name}.json or .csv: write it with --curve, or name a file")
        path = there[0]
    elif found.many:
        raise OptionError(f"--from-curve {where} is one curve, and there may be several videos: name a folder of them")
    elif not path.exists():
        raise OptionError(f"--from-curve {where}: there is no such file; write one with --curve")
    return InputFile(path, PurePath(path.name))


def _edited(given: InputFile, reader: VideoReader) -> Any:
    """The clip as lists of edits name it."""
    from structkit.media.edit_lists import EditedClip
    from structkit.media.report import has_sound

    path = given.path or Path("clip.mp4")
    return EditedClip(path, reader.rate or 25, (reader.width, reader.height), audio=has_sound(reader))


def _dry(curve: SpeedCurve, reader: VideoReader, name: str) -> DryResult:
    """What would come of a video."""
    from structkit.media.report import curve_words
    from structkit.media.speed_segments import segments
    from structkit.verbs.speedup import pace_facts

    told = segments(curve, most=FEW)
    lines = [f"{name}: {curve_words(curve)}", *(f"  {segment.words}" for segment in told)]
    notes = [*reader.notes, *curve.notes]
    shown = {"times": curve.times.tolist(), "speeds": curve.speeds.tolist()}
    return DryResult({"warnings": notes, "pace": pace_facts(curve), "curve": shown}, lines)


def _part(progress: Progress, start: float, end: float) -> Progress:
    """The progress of a part of the work, from `start` to `end`."""
    return lambda share, note="": progress(start + (end - start) * share, note)
