"""The measurement of a clip before it is sped up: how fast each moment may be without looking so."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import structkit_weights
from structkit.configs import NO_FACTORS, NO_SPEEDUP_MODEL, SPEEDUP_MODEL, SpeedCurveConfig
from structkit.data.windows import check_side
from structkit.device import enough_memory, one_thread
from structkit.engines.speednet.curve import natural_rate, tolerated, tolerated_at
from structkit.engines.speednet.ladder import SpeedLadder
from structkit.engines.speednet.motion import SIDE, MotionMeter, tolerated_motion
from structkit.errors import OptionError
from structkit.media.sampled import SampledFrame, SampledVideo
from structkit.media.speed_curve import SpeedCurve
from structkit.media.video import VideoReader
from structkit.models import usable
from structkit.verbs.running import Progress

if TYPE_CHECKING:
    from structkit.engines.speednet.model import SpeedNet

TOGETHER = 48  # frames
DIGITS = 5  # of motion, heights of the frame a second: as it is kept in files


def measured_curve(
    reader: VideoReader,
    config: SpeedCurveConfig,
    model: SpeedNet | str | Path | None,
    device: str,
    progress: Progress | None,
) -> SpeedCurve:
    """The curve of a clip at its own speed, with what was measured: predictions, or `motion` among the facts.

    Raises InputError, OptionError (speednet without a model, a model for motion), CheckpointError, DeviceError.
    """
    net, notes = _model(config, model, device)
    if net is None:
        return _by_motion(reader, notes, progress)
    return _by_model(reader, net, _name(model), notes, progress)


def _model(
    config: SpeedCurveConfig, model: SpeedNet | str | Path | None, device: str
) -> tuple[SpeedNet | None, tuple[str, ...]]:
    """The model to ask, and a note; None is the method by motion.

    A model that was not found to tell speeds apart is asked only where it was named.
    """
    if model is None and config.method != "speednet":
        if config.vmode != "runs":
            raise OptionError(NO_FACTORS)
        return None, ()
    if config.method == "motion":
        raise OptionError("--model is of --method speednet, and motion needs none: leave one of them out")
    if model is None and structkit_weights.find(SPEEDUP_MODEL) is None:
        raise OptionError(NO_SPEEDUP_MODEL)
    net = usable(SPEEDUP_MODEL if model is None else model, device, "speedup")
    if net.trusted:
        return net, ()
    fact = "was not found to tell speeds apart better than the amount of motion does"
    if model is None:
        return None, (f"{SPEEDUP_MODEL} {fact}: motion was measured instead",)
    return net, (f"the model {fact}: compare with --method motion",)


def _name(model: SpeedNet | str | Path | None) -> str:
    if model is None:
        return SPEEDUP_MODEL
    return Path(model).stem if isinstance(model, str | Path) else "model"


def _by_motion(reader: VideoReader, notes: tuple[str, ...], progress: Progress | None) -> SpeedCurve:
    meter, samples = MotionMeter(), SampleLog(SampledVideo(reader, side=SIDE), progress, "motion")
    with one_thread():
        for frames in samples.batches():
            meter.push(*zip(*((frame.pixels, frame.repeated, frame.cut) for frame in frames), strict=True))
        motion = np.round(meter.finish(), DIGITS).tolist()
    return samples.curve(facts={"method": "motion", "motion": motion, "cuts": samples.cuts, "notes": list(notes)})


def _by_model(
    reader: VideoReader,
    net: SpeedNet,
    name: str,
    notes: tuple[str, ...],
    progress: Progress | None,
) -> SpeedCurve:
    ladder, samples = SpeedLadder(net), SampleLog(SampledVideo(reader, side=net.config.side), progress, name)
    device = str(next(net.parameters()).device)
    with enough_memory(device):
        for frames in samples.batches():
            check_side(samples.video, frames[0])
            ladder.push([frame.pixels for frame in frames])
        predictions = ladder.finish()
    facts = {"method": "speednet", "model": name, "cuts": samples.cuts, "notes": list(notes)}
    return samples.curve(factors=ladder.factors, predictions=predictions, facts=facts)


class SampleLog:
    """The samples of a video on their way, and what is kept of them: their number, and the cuts between them.

    video: that they are of.
    cuts: the times of the first samples behind cuts, s.
    """

    def __init__(self, video: SampledVideo, progress: Progress | None, word: str) -> None:
        self.video, self._progress, self._word = video, progress, word
        self._count, self.cuts = 0, []

    def batches(self) -> Iterator[list[SampledFrame]]:
        """The samples, some at a time."""
        samples = iter(self.video)
        while frames := list(islice(samples, TOGETHER)):
            places = (self._count + i for i, frame in enumerate(frames) if frame.cut)
            self.cuts += [round(float(self.video.start + place / self.video.rate), 6) for place in places]
            self._count += len(frames)
            if self._progress:
                total = self.video.count or 0
                self._progress(min(1.0, self._count / total) if total else 0.0, self._word)
            yield frames

    def curve(self, **measured: Any) -> SpeedCurve:
        """The curve of the samples at their own speed, with what was measured."""
        start, step = self.video.start, 1 / self.video.rate
        times = np.array([float(start + number * step) for number in range(self._count + 1)])
        times[-1] = max(float(self.video.end), times[-2] + 1e-6)
        return SpeedCurve(times, np.ones(self._count), **measured)


def judged(curve: SpeedCurve, config: SpeedCurveConfig, rate: float) -> tuple[np.ndarray, float | None]:
    """The speed that each cell of a measured curve tolerates, (N,), and the rate up to which the clip looks natural.

    rate: that is asked for; motion alone says which moments tolerate more than others, and not how much.
    The natural rate is None where nothing tells it.
    Raises OptionError for a mode of factors where there are none.
    """
    if curve.predictions is not None:
        natural = natural_rate(tolerated(curve.predictions, curve.factors, mode=config.vmode), curve.durations)
        return tolerated_at(curve.predictions, curve.factors, curve.durations, rate, mode=config.vmode), natural
    if config.vmode != "runs":
        raise OptionError(NO_FACTORS)
    motion = curve.facts.get("motion")
    if isinstance(motion, list) and len(motion) == len(curve.speeds):
        return tolerated_motion(np.array(motion), curve.durations, rate, most=config.max_speed), None
    return np.maximum(curve.speeds if curve.tolerated is None else curve.tolerated, 1.0), None
