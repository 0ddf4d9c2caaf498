"""Lists of edits of speed curves, for editors: the clip in pieces of constant speed, or under one map of times.

OpenTimelineIO: https://opentimelineio.readthedocs.io/en/latest/tutorials/otio-serialized-schema.html.  FCPXML: version
1.9, `timeMap` in its document type definition.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import quoteattr

import numpy as np

from structkit.media.files import one_line

if TYPE_CHECKING:
    from structkit.media.speed_curve import SpeedCurve

TOLERANCE = 0.05  # of a speed: cells that differ by no more become one piece
TICKS = 90000  # a second, of the media's times in FCPXML


@dataclass(frozen=True)
class EditedClip:
    """The clip that a list of edits is of.

    path: of its file; rate: its frames a second; size: (width, height) px; audio: true if it has sound.
    """

    path: Path
    rate: Fraction
    size: tuple[int, int] = (1920, 1080)
    audio: bool = True

    @property
    def url(self) -> str:
        """The address of the file, as editors take it."""
        return Path(self.path).absolute().as_uri()


def pieces(curve: SpeedCurve, tolerance: float = TOLERANCE) -> np.ndarray:
    """The edges (n + 1,) int, of 0 .. N, of pieces in each of which the speed can be taken as constant.

    tolerance: how far, as a share, a piece's speeds are from the middle of their range, at most.
    """
    levels = np.log(curve.speeds).tolist()
    edges, low, high = [0], levels[0], levels[0]
    for index, level in enumerate(levels):
        low, high = min(low, level), max(high, level)
        if high - low > 2 * tolerance:
            edges.append(index)
            low = high = level
    return np.array([*edges, len(levels)])


def otio(curve: SpeedCurve, clip: EditedClip) -> str:
    """The curve as an OpenTimelineIO timeline: a clip for each piece, under a LinearTimeWarp.

    The pieces end at whole frames of the output, so that none overlap and the whole is as long as the curve says, to
    the nearest frame.
    """
    frames, starts = _whole_frames(curve, clip)
    media = _range(clip, 0.0, float(curve.times[-1]) * float(clip.rate))
    children: dict[str, list[dict[str, Any]]] = {"Video": [], **({"Audio": []} if clip.audio else {})}
    for (first, last), (start, end) in zip(pairwise(frames), pairwise(starts), strict=True):
        speed = (end - start) * float(clip.rate) / (last - first)
        for items in children.values():
            items.append(_otio_clip(clip, media, start * float(clip.rate), last - first, speed))
    tracks = [
        _schema("Track.1", name=kind, kind=kind, source_range=None, children=items, effects=[], markers=[])
        for kind, items in children.items()
    ]
    stack = _schema("Stack.1", name="tracks", source_range=None, children=tracks, effects=[], markers=[])
    timeline = _schema("Timeline.1", name=Path(clip.path).stem, global_start_time=None, tracks=stack)
    return json.dumps(timeline, separators=(",", ":")) + "\n"


def fcpxml(curve: SpeedCurve, clip: EditedClip) -> str:
    """The curve as FCPXML: one clip under a map of times, which keeps the pitch of its sound."""
    frames, starts = _whole_frames(curve, clip)
    frame = 1 / clip.rate
    length, media = _time(frames[-1] * frame), _time(round(float(curve.times[-1]) * clip.rate) * frame)
    points = "".join(
        f'                <timept time="{_time(at * frame)}" value="{_time(Fraction(round(start * TICKS), TICKS))}" '
        'interp="linear"/>\n'
        for at, start in zip(frames, starts, strict=True)
    )
    name, url = quoteattr(one_line(Path(clip.path).stem)), quoteattr(clip.url)
    sound = ' hasAudio="1" audioSources="1" audioChannels="2"' if clip.audio else ""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE fcpxml>
<fcpxml version="1.9">
  <resources>
    <format id="r1" frameDuration="{_time(frame)}" width="{clip.size[0]}" height="{clip.size[1]}"/>
    <asset id="r2" name={name} start="0s" duration="{media}" hasVideo="1" format="r1"{sound}>
      <media-rep kind="original-media" src={url}/>
    </asset>
  </resources>
  <library>
    <event name="structkit">
      <project name={name}>
        <sequence format="r1" duration="{length}" tcStart="0s" tcFormat="NDF">
          <spine>
            <asset-clip ref="r2" name={name} offset="0s" start="0s" duration="{length}" format="r1">
              <timeMap preservesPitch="1">
{points}              </timeMap>
            </asset-clip>
          </spine>
        </sequence>
      </project>
    </event>
  </library>
</fcpxml>
"""


def _whole_frames(curve: SpeedCurve, clip: EditedClip) -> tuple[list[int], list[float]]:
    """The output's frames at which pieces begin and end, increasing, and the input's times, s, that are shown there."""
    edges = pieces(curve)
    shown = curve.shown
    frames = np.unique(np.round(shown[edges] * float(clip.rate)).astype(int))
    frames[-1] = max(frames[-1], 1)
    starts = np.interp(frames / float(clip.rate), shown, curve.times)
    starts[[0, -1]] = curve.times[[0, -1]]
    return frames.tolist(), starts.tolist()


def _otio_clip(clip: EditedClip, media: dict[str, Any], start: float, length: int, speed: float) -> dict[str, Any]:
    """A clip from a frame of the media on, for a number of the output's frames."""
    warp = _schema("LinearTimeWarp.1", name="speed", effect_name="LinearTimeWarp", time_scalar=round(speed, 9))
    reference = _schema("ExternalReference.1", target_url=clip.url, available_range=media)
    return _schema(
        "Clip.1",
        name=Path(clip.path).stem,
        source_range=_range(clip, start, length),
        media_reference=reference,
        effects=[warp],
        markers=[],
    )


def _range(clip: EditedClip, start: float, length: float) -> dict[str, Any]:
    """A range of time, in frames."""
    times = [{"OTIO_SCHEMA": "RationalTime.1", "rate": float(clip.rate), "value": value} for value in (start, length)]
    return {"OTIO_SCHEMA": "TimeRange.1", "start_time": times[0], "duration": times[1]}


def _schema(schema: str, **fields: Any) -> dict[str, Any]:
    """An object of OpenTimelineIO."""
    return {"OTIO_SCHEMA": schema, "metadata": {}, **fields}


def _time(seconds: Fraction | int) -> str:
    """A time as FCPXML writes it: 5s, 1001/30000s."""
    seconds = Fraction(seconds)
    return f"{seconds.numerator}s" if seconds.denominator == 1 else f"{seconds.numerator}/{seconds.denominator}s"
