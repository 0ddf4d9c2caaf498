"""The pieces of videos that move as a given piece does, by the features of a network that judges speed.

SpeedNet (Benaim et al., CVPR 2020, section 5): neighbours in the space of its features share the type of motion, more
than what is seen.  The pieces are windows as long as those that the network was trained on, each half over the one
before, and their likeness is the cosine of their features, less what all pieces have in common.
Differs from the paper, which does not say how features are compared: without their mean, which rules them, more
neighbours are of one action (a SpeedNet that sees motion: 41 % in place of 38 %, one that sees colour: 20 in place of
15; tests/benchmarks/action.csv).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from structkit.data.windows import VideoWindow, seen_windows, video_windows, window_at
from structkit.device import enough_memory, resolve
from structkit.errors import OptionError
from structkit.media.contact import COLUMNS, MOST_ROWS, contact_sheet
from structkit.media.moments import clock
from structkit.media.moving_pictures import Clip
from structkit.media.pictures import Picture
from structkit.media.sampled import SampledVideo
from structkit.media.video import VideoReader
from structkit.models import usable

if TYPE_CHECKING:
    from structkit.training.model import Model
    from structkit.verbs.running import Progress

    Video = VideoReader | str | Path

RESTRAINT = 2  # pieces without features that the mean counts as well, so that a single piece is not its own mean
COUNT = 10  # matches, where nothing says how many
THUMB = 120  # px, short side of the pictures of a sheet
LABEL = 30  # characters of a row's label that are a name, at most
RATE = Fraction(25)  # 1/s, of what is sampled


@dataclass(frozen=True)
class Match:
    """A piece of a video that is like a piece of the query.

    rank: from 1, the most alike.
    video: the name of the video.
    start, end: of the piece, s, on the video's clock.
    similarity: the cosine of the features less their mean, -1 to 1; 1 for a piece and itself.
    query_start, query_end: of the piece of the query that it is like, s.
    """

    rank: int
    video: str
    start: float
    end: float
    similarity: float
    query_start: float
    query_end: float

    def record(self) -> dict[str, Any]:
        """The facts by name, as JSON: times to milliseconds, the similarity to six decimals."""
        return {
            name: round(value, 6 if name == "similarity" else 3) if isinstance(value, float) else value
            for name, value in dataclasses.asdict(self).items()
        }


@dataclass(frozen=True, eq=False)
class Query:
    """A video that is looked for, or one piece of it.

    pieces: that are looked for, each for itself.
    features (pieces, C): of each.
    at: s; the only piece is the one in whose middle this time is; None: all of them.
    notes: on the video, one line each.
    """

    video: Video
    pieces: list[VideoWindow]
    features: Tensor
    at: float | None
    notes: list[str]


class PieceIndex:
    """The pieces of a gallery of videos, and where to look for those that are like a query.

    Memory: a row of numbers for each piece, of which an hour has a few thousand.
    """

    def __init__(
        self,
        model: Model | str | Path,
        *,
        device: str = "auto",
        max_pixels: int | None = None,
        tolerant: bool = False,
    ) -> None:
        """model: one with features, or its checkpoint.  device, max_pixels, tolerant: as for `similar`.

        Raises CheckpointError, DeviceError.
        """
        self.device = resolve(device)
        self.model: Any = usable(model, self.device, "similar")
        self.reading = {"max_pixels": max_pixels, "tolerant": tolerant}
        self.videos: dict[str, list[VideoWindow]] = {}
        self.notes: list[str] = []
        self._features: dict[str, Tensor] = {}  # (pieces, C), by video
        self._sources: dict[str, Video] = {}

    def query(self, video: Video, *, at: float | None = None) -> Query:
        """The query that asks for a video.  at: as for `similar`.  Raises InputError, DeviceError."""
        sampled, frames = self._sampled(video), self.model.config.frames
        windows = video_windows(sampled, frames) if at is None else [window_at(sampled, frames, at)]
        pieces, features = self._seen(windows)
        return Query(video, pieces, features, at, [f"{sampled.reader.name}: {note}" for note in sampled.notes])

    def add(self, video: Video, name: str | None = None) -> str:
        """Take in all pieces of a video.

        name: by which matches name it; else its own, with a number where another video has the same one.
        Returns the name.
        Raises InputError, DeviceError.
        """
        sampled = self._sampled(video)
        own = name = name or sampled.reader.name
        number = 1
        while name in self.videos and self._sources[name] != video:
            number += 1
            name = f"{own} ({number})"
        pieces, features = self._seen(video_windows(sampled, self.model.config.frames))
        self.notes += [f"{name}: {note}" for note in sampled.notes]
        self.videos[name], self._features[name], self._sources[name] = pieces, features, video
        return name

    def matches(self, query: Query, *, count: int = COUNT, name: str | None = None) -> list[Match]:
        """The pieces that are most like the query, of which no two of one video overlap; the most alike first.

        count: as for `similar`.
        name: that of the query among the videos, if it is one of them; its pieces that overlap the only one that is
        looked for are left out.
        """
        sought, queries, at = query.pieces, query.features, query.at
        every = torch.cat([queries, *self._features.values()])
        middle = every.sum(0) / (len(every) + RESTRAINT)
        if name not in self.videos:
            self.notes += query.notes
        found: list[tuple[float, str, VideoWindow, VideoWindow]] = []
        for video, pieces in self.videos.items():
            features = functional.normalize(self._features[video] - middle, dim=1)
            likeness, nearest = (functional.normalize(queries - middle, dim=1) @ features.T).max(0)
            found += [
                (min(1.0, float(one)), video, piece, sought[int(which)])
                for one, which, piece in zip(likeness, nearest, pieces, strict=True)
                if not (at is not None and video == name and piece.overlaps(sought[0].start, sought[0].end))
            ]
        found.sort(key=lambda entry: -entry[0])  # ties stay in the order of the gallery
        kept: list[Match] = []
        for likeness, video, piece, like in found:
            if len(kept) == count:
                break
            if not any(m.video == video and piece.overlaps(m.start, m.end) for m in kept):
                place = piece.start, piece.end, likeness, like.start, like.end
                kept.append(Match(len(kept) + 1, video, *place))
        return kept

    def sheet(self, query: Query, matches: Sequence[Match]) -> Picture:
        """A sheet of thumbnails: the query on top, beneath it the matches, each with its name, time and likeness.

        matches: of the query; of more than fit on a sheet the first are shown.
        Raises InputError.
        """
        frames, shown, asked = self.model.config.frames, matches[: MOST_ROWS - 1], self._thumbs(query.video)
        window = next(video_windows(asked, frames)) if query.at is None else window_at(asked, frames, query.at)
        pieces = {"query": window.frames}
        for video in dict.fromkeys(match.video for match in shown):
            own = {(match.start, match.end): match.rank for match in shown if match.video == video}
            for piece in video_windows(self._thumbs(self._sources[video]), frames):
                if (rank := own.pop((piece.start, piece.end), None)) is not None:
                    pieces[rank] = piece.frames
                if not own:
                    break
        rows = [(f"query  {_shown(asked.reader.name)}  {clock(window.start)}", pieces["query"])]
        for match in shown:
            label = f"{match.rank}  {match.similarity:.3f}  {_shown(match.video)}  {clock(match.start)}"
            rows.append((label, pieces[match.rank]))
        return contact_sheet([(label, Clip(_spread(shots), RATE)) for label, shots in rows])

    def _sampled(self, video: Video) -> SampledVideo:
        return SampledVideo(video, side=self.model.config.side, **self.reading)

    def _thumbs(self, video: Video) -> SampledVideo:
        return SampledVideo(video, side=THUMB, **self.reading)

    def _seen(self, windows: Iterable[VideoWindow]) -> tuple[list[VideoWindow], Tensor]:
        """The windows, and the features of each, (windows, C)."""
        with enough_memory(self.device, "use --device cpu, or a model of a smaller side"):
            pieces, features = zip(*seen_windows(windows, self.model.features, self.device), strict=True)
        return list(pieces), torch.stack(features)


def similar(
    query: Video,
    gallery: Video | Sequence[Video] = (),
    model: Model | str | Path | None = None,
    *,
    at: float | None = None,
    count: int = COUNT,
    device: str = "auto",
    max_pixels: int | None = None,
    tolerant: bool = False,
    progress: Progress | None = None,
) -> list[Match]:
    """The pieces of videos that move as the query does, the most alike first.

    query: a video: its path, or a `structkit.media.video.VideoReader`.  Of a longer one each piece is looked for, and a
    match is as alike as its nearest piece is.
    gallery: the videos in which it is looked for; none: the query itself, and then `at` must be said.
    model: of `train_speednet` or `train_action`, or its checkpoint.
    at: s on the query's clock: only the piece in whose middle this time is is looked for; what overlaps it in the query
    is no match.
    count: of matches, at most; no two of one video overlap.
    device: such as cpu or cuda; auto: the best that there is.
    max_pixels: of the largest frame that is read; None: the usual limit.  tolerant: as for `VideoReader`.
    progress: called after each video, with the part of all of them that is done.
    Method: SpeedNet (Benaim et al., CVPR 2020), section 5.
    Raises InputError, OptionError, CheckpointError, DeviceError.
    """
    if model is None:
        raise OptionError("the model is missing: name a checkpoint of train_speednet or train_action")
    videos: list[Video] = [gallery] if isinstance(gallery, VideoReader | str | Path) else list(gallery)
    check_query(at, alone=not videos)
    check_matches(count)
    index = PieceIndex(model, device=device, max_pixels=max_pixels, tolerant=tolerant)
    asked, own = index.query(query, at=at), None  # first, since a query that cannot be read ends it all
    for done, video in enumerate(videos or [query], 1):
        name = index.add(video)
        if _is_same(video, query):
            own = name
        if progress:
            progress(done / (len(videos) + 1), f"video {done}")
    found = index.matches(asked, count=count, name=own)
    if progress:
        progress(1.0, "")
    return found


def check_query(at: float | None, *, alone: bool) -> None:
    """Refuse a query that cannot be answered.  alone: true where there is no gallery.  Raises OptionError."""
    if alone and at is None:
        fact = "one video, and nothing says which piece of it is looked for"
        raise OptionError(f"--at is missing: {fact}: say --at 0:05, or name other videos behind it")
    if at is not None and not 0 <= at < float("inf"):
        raise OptionError(f"--at is {at:g}: it must be a time in the video, s, at least 0")


def check_matches(count: int) -> None:
    """Refuse a number of matches that cannot be.  Raises OptionError."""
    if count < 1:
        raise OptionError(f"--count is {count}: it must be at least 1")


def _is_same(one: Video, other: Video) -> bool:
    if not isinstance(one, str | Path) or not isinstance(other, str | Path):
        return one is other
    return Path(one).exists() and Path(other).exists() and Path(one).samefile(other)


def _shown(name: str) -> str:
    """The name of a video and of the folder that it is in, no longer than a label may be."""
    short = "/".join(Path(name).parts[-2:])
    return short if len(short) <= LABEL else f"{short[: LABEL // 2 - 1]}..{short[-(LABEL // 2 - 1) :]}"


def _spread(frames: np.ndarray) -> np.ndarray:
    """Frames of a piece that a row shows, evenly spread."""
    return frames[np.linspace(0, len(frames) - 1, min(len(frames), COLUMNS)).round().astype(int)]
