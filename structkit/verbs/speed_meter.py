"""The measurement of a clip before it is sped up: how fast each moment may be without looking so."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import structkit_weights
from structkit.configs import NO_FACTORS, NO_SPEEDUP_MODEL, SPEEDUP_MODEL, SpeedCurveConfig
from structkit.device import enough_memory
from structkit.engines.speednet.curve import tolerated
from structkit.engines.speednet.motion import MotionMeter, motion_tolerance
from structkit.errors import OptionError
from structkit.media.sampled import SampledFrame, SampledVideo
from structkit.media.speed_curve import SpeedCurve
from structkit.media.video import VideoReader
from structkit.models import usable
from structkit.verbs.running import Progress

if TYPE_CHECKING:
    from structkit.engines.speednet.model import SpeedNet

MOTION_SIDE = 160  # px, of the frames whose motion is measured
TOGETHER = 64  # frames
FACTORS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)


def measured_curve(
    reader: VideoReader,
    config: SpeedCurveConfig,
    model: SpeedNet | str | Path | None,
    device: str,
    progress: Progress | None,
) -> SpeedCurve:
    """The curve of a clip at its own speed, with what each moment tolerates, by the method that is asked for.

    Raises InputError, OptionError (speednet without a model, a model for motion), CheckpointError, DeviceError.
    """
    net, notes = _model(config, model, device)
    if net is None:
        return _by_motion(reader, notes, progress)
    return _by_model(reader, net, _name(model), config, notes, progress)


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
    meter, samples = MotionMeter(), SampleLog(SampledVideo(reader, side=MOTION_SIDE), progress, "motion")
    for frames in samples.batches():
        meter.push(
            [frame.pixels for frame in frames], [frame.repeated for frame in frames], [frame.cut for frame in frames]
        )
    facts = {"method": "motion", "cuts": samples.cuts, "notes": list(notes)}
    return samples.curve(tolerated=motion_tolerance(meter.finish()), facts=facts)


def _by_model(
    reader: VideoReader,
    net: SpeedNet,
    name: str,
    config: SpeedCurveConfig,
    notes: tuple[str, ...],
    progress: Progress | None,
) -> SpeedCurve:
    from structkit.engines.speednet.ladder import SpeedLadder

    factors = np.array(FACTORS)
    ladder, samples = SpeedLadder(net, FACTORS), SampleLog(SampledVideo(reader, side=net.config.side), progress, name)
    device = str(next(net.parameters()).device)
    with enough_memory(device):
        for frames in samples.batches():
            ladder.push([frame.pixels for frame in frames])
        predictions = ladder.finish()
    facts = {"method": "speednet", "model": name, "cuts": samples.cuts, "notes": list(notes)}
    found = tolerated(predictions, factors, mode=config.vmode)
    return samples.curve(tolerated=found, factors=factors, predictions=predictions, facts=facts)


class SampleLog:
    """The samples of a video on their way, and what is kept of them: their number, and the cuts between them.

    cuts: the times of the first samples behind cuts, s.
    """

    def __init__(self, video: SampledVideo, progress: Progress | None, word: str) -> None:
        self._video, self._progress, self._word = video, progress, word
        self._count, self.cuts = 0, []

    def batches(self) -> Iterator[list[SampledFrame]]:
        """The samples, some at a time."""
        samples = iter(self._video)
        while frames := list(islice(samples, TOGETHER)):
            places = (self._count + i for i, frame in enumerate(frames) if frame.cut)
            self.cuts += [round(float(self._video.start + place / self._video.rate), 6) for place in places]
            self._count += len(frames)
            if self._progress:
                total = self._video.count or 0
                self._progress(min(1.0, self._count / total) if total else 0.0, self._word)
            yield frames

    def curve(self, **measured: Any) -> SpeedCurve:
        """The curve of the samples at their own speed, with what was measured."""
        start, step = self._video.start, 1 / self._video.rate
        times = np.array([float(start + number * step) for number in range(self._count + 1)])
        times[-1] = max(float(self._video.end), times[-2] + 1e-6)
        return SpeedCurve(times, np.ones(self._count), **measured)
