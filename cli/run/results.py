"""Results: what a verb makes, each of a type that writes itself into a sink, and the kinds of outputs they become."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from structkit.configs import PICTURE_QUALITY, VIDEO_QUALITY
from structkit.media.containers import WRITTEN
from structkit.media.formats import ANIMATED, format_of
from structkit.media.formats import WRITTEN as PICTURES_WRITTEN

if TYPE_CHECKING:
    from fractions import Fraction

    import numpy as np

    from structkit.media.pictures import Picture
    from structkit.verbs.frames import VideoSummary
    from structkit.verbs.speedup import SpeedupSummary
    from structkit_cli.run.sinks import Sink

    Film = Callable[[Path | BinaryIO], VideoSummary]  # makes a video there, whole or not at all

DATA_SUFFIXES = {"json": ".json", "csv": ".csv", "svg": ".svg", "html": ".html", "text": ".txt"}
# Data have none: their verb names it.
DEFAULT_FORMATS = {
    "picture": "png",
    "comparison": "png",
    "player": "html",
    "video": "mp4",
    "clip": "mp4",
    "curve": "json",
    "report": "html",
    "heatmap": "mp4",
    "draft": "png",
}
CLIPS_WRITTEN = (*WRITTEN, *ANIMATED)
CURVES_WRITTEN = (".json", ".csv", ".svg", ".png", ".otio", ".fcpxml")


class OutputKind(Enum):
    """The kinds of outputs.

    A comparison is a strip of pictures, and a player is a page that plays clips, beside the results that they show.
    A clip is a video or an animated picture.  A curve says how fast a video is, a report is a page that shows it,
    and a heat map is the video under colours that show where.  A draft is a rough beginning of a result.
    """

    PICTURE = "picture"
    COMPARISON = "comparison"
    PLAYER = "player"
    VIDEO = "video"
    CLIP = "clip"
    DATA = "data"
    CURVE = "curve"
    REPORT = "report"
    HEATMAP = "heatmap"
    DRAFT = "draft"

    @property
    def role(self) -> str:
        """The word for the kind in records."""
        return "comparison" if self.compares else self.value if self.accompanies else "result"

    @property
    def flag(self) -> str:
        """The option that names the place of such an output."""
        if self is OutputKind.DRAFT:
            return "--drafts"
        return "--compare" if self.compares else f"--{self.value}" if self.accompanies else "--output"

    @property
    def compares(self) -> bool:
        """True for an output that shows results which are outputs themselves."""
        return self in (OutputKind.COMPARISON, OutputKind.PLAYER)

    @property
    def accompanies(self) -> bool:
        """True for an output that says how a result is made."""
        return self in (OutputKind.CURVE, OutputKind.REPORT, OutputKind.HEATMAP, OutputKind.DRAFT)

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The suffixes of file names that say such a kind, with their dots."""
        return {
            OutputKind.VIDEO: tuple(WRITTEN),
            OutputKind.HEATMAP: tuple(WRITTEN),
            OutputKind.CLIP: CLIPS_WRITTEN,
            OutputKind.PLAYER: (DATA_SUFFIXES["html"],),
            OutputKind.REPORT: (DATA_SUFFIXES["html"],),
            OutputKind.CURVE: CURVES_WRITTEN,
            OutputKind.DATA: tuple(DATA_SUFFIXES.values()),
        }.get(self, PICTURES_WRITTEN)

    def suffix_of(self, format: str) -> str:
        """The suffix, with its dot, of an output of this format whose name the program chooses."""
        if self in (OutputKind.DATA, OutputKind.PLAYER, OutputKind.REPORT):
            return DATA_SUFFIXES[format]
        by_suffix = self in (OutputKind.VIDEO, OutputKind.CLIP, OutputKind.CURVE, OutputKind.HEATMAP)
        return f".{format}" if by_suffix else format_of(format).suffixes[0]

    def quality(self, asked: int | None) -> int | None:
        """The quality that an output is encoded with, where this one is asked of the results."""
        return None if self.compares or self.accompanies else asked

    def encoded_quality(self, format: str, asked: int | None) -> int | None:
        """The quality of an output of this format, also where none is asked of the results.

        None for a format that has none, and for one that is lossless then.
        """
        if self in (OutputKind.DATA, OutputKind.PLAYER) or self.accompanies:
            return None
        if (own := self.quality(asked)) is not None:
            return own
        if self is OutputKind.VIDEO or (self is OutputKind.CLIP and f".{format}" in WRITTEN):
            return VIDEO_QUALITY
        return PICTURE_QUALITY.get(format_of(format).name)

    def suits_quality(self, format: str) -> bool:
        """True if a quality may be asked of the results; what stands beside a result leaves that to it."""
        if self is OutputKind.CLIP and f".{format}" in WRITTEN:
            return True
        still = self in (OutputKind.PICTURE, OutputKind.CLIP)
        return (
            self.compares or self.accompanies or self is OutputKind.VIDEO or (still and format_of(format).has_quality)
        )

    def loses_alpha(self, format: str) -> bool:
        """True if a transparent picture cannot be kept as it is.  The strip of a comparison is opaque by itself."""
        return self is OutputKind.PICTURE and not format_of(format).alpha


class Result(Protocol):
    """A result of a verb."""

    def write(self, sink: Sink) -> dict[str, Any]:
        """Write the result into a sink, whole or not at all; returns the facts of its record beside the hash.

        These are warnings, frames ...
        Raises StructkitError where it cannot be encoded, or the sink not be written to.
        """
        ...


@dataclass(frozen=True)
class PictureResult:
    """A picture.  The sink has its name in messages, and the format and the quality of the encoding.

    facts: further ones for its record.
    """

    picture: Picture
    facts: Mapping[str, Any] = field(default_factory=dict)

    def write(self, sink: Sink) -> dict[str, Any]:
        from structkit.media.pictures import encode_picture

        sink.put(encode_picture(replace(self.picture, name=sink.name), sink.format, quality=sink.quality))
        found: dict[str, Any] = {} if self.picture.found is None else {"found": round(self.picture.found, 6)}
        if self.picture.shares is not None:
            found["shares"] = {name: round(share, 6) for name, share in self.picture.shares.items()}
        if self.picture.draft is not None:
            found["draft"] = dict(self.picture.draft)
        return {"warnings": list(self.picture.notes), **found, **self.facts}


@dataclass(frozen=True)
class VideoResult:
    """A video made from another one, frame by frame: too large to be handed over."""

    film: Film

    def write(self, sink: Sink) -> dict[str, Any]:
        with sink.streamed() as where:
            made = self.film(where)
        return {"warnings": list(made.notes), "frames": made.frames, "flicker": made.flicker}


@dataclass(frozen=True)
class ClipResult:
    """A clip made of nothing but its frames: silent, of one rate; a video, or an animated picture.

    frames: (H, W, 3) uint8 RGB each, all of one shape; at least one.
    rate: 1/s.
    notes: facts that a user should know.
    """

    frames: Iterable[np.ndarray]
    rate: Fraction
    notes: tuple[str, ...] = ()

    def write(self, sink: Sink) -> dict[str, Any]:
        """Write the clip, as `Result.write`, in the sink's format; one that names no animated picture is a video's.

        Raises InputError where there is no frame, or one of another shape.
        """
        from structkit.media.moving_pictures import is_animation, write_video

        if is_animation(sink.format):
            return self._write_animation(sink)
        with sink.streamed() as where:
            count, notes = write_video(self.frames, self.rate, where, quality=sink.quality, format=sink.format)
        return {"warnings": [*self.notes, *notes], "frames": count, "flicker": None}

    def _write_animation(self, sink: Sink) -> dict[str, Any]:
        from structkit.media.animations import encode_animation

        frames = list(self.frames)
        data, notes = encode_animation(frames, self.rate, sink.format, quality=sink.quality, name=sink.name)
        sink.put(data)
        return {"warnings": [*self.notes, *notes], "frames": len(frames), "flicker": None}


@dataclass(frozen=True)
class TextResult:
    """A text, written as it is: SVG, HTML, or plain."""

    text: str
    notes: tuple[str, ...] = ()

    def write(self, sink: Sink) -> dict[str, Any]:
        sink.put(self.text.encode("utf-8", "surrogateescape"))
        return {"warnings": list(self.notes)}


@dataclass(frozen=True)
class JsonResult:
    """A value, written as JSON: None, finite numbers, texts, and lists and dictionaries of these."""

    value: Any
    notes: tuple[str, ...] = ()

    def write(self, sink: Sink) -> dict[str, Any]:
        text = json.dumps(self.value, ensure_ascii=False, allow_nan=False)
        return TextResult(text + "\n", self.notes).write(sink)


@dataclass(frozen=True)
class TableResult:
    """A table, written as CSV (RFC 4180, but with the line ends of Unix): a row of names, then one for each entry."""

    names: Sequence[str]
    rows: Iterable[Sequence[Any]]
    notes: tuple[str, ...] = ()

    def write(self, sink: Sink) -> dict[str, Any]:
        import csv

        table = csv.writer(text := io.StringIO(), lineterminator="\n")
        table.writerows([self.names, *self.rows])
        return TextResult(text.getvalue(), self.notes).write(sink)


@dataclass(frozen=True)
class RetimedResult:
    """A video that was made from another one by a curve of speeds, which the record tells of."""

    film: Callable[[Path | BinaryIO], SpeedupSummary]

    def write(self, sink: Sink) -> dict[str, Any]:
        from structkit.verbs.speedup import pace_facts

        with sink.streamed() as where:
            made = self.film(where)
        pace = pace_facts(made.curve)
        return {"warnings": list(made.notes), "frames": made.frames, "pace": pace}


@dataclass(frozen=True)
class BytesResult:
    """A file that is made already."""

    data: bytes
    notes: tuple[str, ...] = ()

    def write(self, sink: Sink) -> dict[str, Any]:
        sink.put(self.data)
        return {"warnings": list(self.notes)}


@dataclass(frozen=True)
class DryResult:
    """The result of a dry run: no file, and in its place the facts of its record.

    lines: what is told on stdout where no record is.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    lines: Sequence[str] = ()

    def write(self, sink: Sink) -> dict[str, Any]:
        return {**self.facts, "lines": list(self.lines)} if self.lines else dict(self.facts)
