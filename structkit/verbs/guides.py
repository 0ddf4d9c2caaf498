"""Guides of analogies: maps of the source and of the target that mean the same, made into channels for the engine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from structkit.configs import guide_weights
from structkit.data.guide_maps import MapCoding
from structkit.data.listing import list_files
from structkit.engines.patch.channels import Channels
from structkit.errors import InputError, OptionError
from structkit.media.containers import is_video
from structkit.media.pictures import Picture
from structkit.media.video import VideoReader
from structkit.verbs.canvas import opened
from structkit.verbs.frames import opened_video

if TYPE_CHECKING:
    from structkit.media.files import Source
    from structkit.media.moving_pictures import SizedMedia
    from structkit.verbs.canvas import PictureLike, Size

    MapLike = PictureLike | VideoReader | Source | Sequence[PictureLike]

UNLIKE = 1.1  # ratio of the aspects of a map and its picture from which on the map is another's
TELL = 0.005  # share of a source's map without a label from which on that is worth a note


@dataclass(frozen=True)
class Guide:
    """A guide: the maps of the source and of the target, and their weight beside the colours'."""

    source: MapLike
    target: MapLike
    weight: float


def guides_of(guides: Sequence[tuple[MapLike, MapLike]], weight: float | Sequence[float] | None) -> list[Guide]:
    """The guides of their maps; weight: one for all, or one for each, 1 where none is said.  Raises OptionError."""
    for pair in guides:
        if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
            given = repr(pair) if isinstance(pair, str) else f"a {type(pair).__name__}"
            raise OptionError(f"a guide is {given}: it must be two maps, the source's and the target's")
    weights = guide_weights(len(guides), weight)
    return [Guide(one, other, own) for (one, other), own in zip(guides, weights, strict=True)]


def guided_pictures(
    guides: Sequence[Guide], source: Picture, target: Picture, canvas: Size
) -> tuple[list[Channels], tuple[str, ...]]:
    """The channels of the guides of two pictures, and notes on the maps.  Raises InputError."""
    made: list[Channels] = []
    notes: tuple[str, ...] = ()
    for guide in guides:
        one, other = (_picture(given, of) for given, of in ((guide.source, source), (guide.target, target)))
        coding = MapCoding([other], one)
        notes += _notes(coding, one, other)
        maps = coding.channels(one, canvas.shape), coding.channels(other, (target.height, target.width))
        made.append(Channels(*maps, guide.weight * coding.weight))
    return made, notes


class GuideFrames:
    """The guides of a video's frames, with a picture for a target: they stream as the frames do."""

    def __init__(self, guides: Sequence[Guide], source: VideoReader, target: Picture, canvas: Size) -> None:
        """Raises InputError, for later maps when their frames come."""
        self._source, self._canvas, self.notes = source, canvas, ()
        self._maps: list[tuple[Iterator[Picture], MapCoding, Channels]] = []
        for guide in guides:
            other, frames = _picture(guide.target, target), map_frames(guide.source)
            first = _fitting(next(frames), source)
            coding = MapCoding([other], first)
            self.notes += _notes(coding, first, other)
            theirs = coding.channels(other, (target.height, target.width))
            own = Channels(theirs, theirs, guide.weight * coding.weight)  # a source's comes with each frame
            self._maps.append((chain([first], frames), coding, own))

    def channels(self, device: str) -> Iterator[list[Channels]]:
        """The channels of each frame, on the device; without end where all maps are pictures."""
        held = [own.target.to(device) for _, _, own in self._maps]
        number = 0
        while True:
            number += 1
            made = []
            for (frames, coding, own), target in zip(self._maps, held, strict=True):
                one = next(frames, None)
                if one is None:
                    name = self._source.name
                    fact = f"a guide has {number - 1} maps, and {name} has more frames"
                    raise InputError(f"{fact}: give a map for each frame")
                source = coding.channels(_fitting(one, self._source), self._canvas.shape).to(device)
                made.append(replace(own, source=source, target=target))
            yield made


def guided_clips(
    guides: Sequence[Guide],
    source: SizedMedia,
    target: SizedMedia,
    shapes: tuple[tuple[int, int, int], tuple[int, int, int]],
) -> tuple[list[Channels], tuple[str, ...]]:
    """The channels (1, G, T, H, W) of the guides of two videos, of these shapes, and notes on the maps.

    A picture is the map of all frames.  Raises InputError, also for fewer maps than frames.
    """
    made: list[Channels] = []
    notes: tuple[str, ...] = ()
    for guide in guides:
        first = _fitting(next(map_frames(guide.source)), source)
        count = shapes[1][0] if _is_many(guide.target) else 1
        coding = MapCoding(islice(map_frames(guide.target), count), first)
        notes += _notes(coding, first, next(map_frames(guide.target)))
        maps = [
            _stack(coding, given, of, shape)
            for given, of, shape in ((guide.source, source, shapes[0]), (guide.target, target, shapes[1]))
        ]
        made.append(Channels(*maps, guide.weight * coding.weight))
    return made, notes


def map_frames(given: MapLike) -> Iterator[Picture]:
    """The maps of frames: of a video, of a folder's pictures in natural order, of a sequence; a picture's, forever.

    Raises InputError, also where there is none.
    """
    if isinstance(given, Sequence) and not len(given):
        raise InputError("a guide has no maps: give a map for each frame, or one for all")
    if not _is_many(given):
        yield from repeat(opened(given))
    elif isinstance(given, VideoReader) or is_video(given):
        with opened_video(given) as reader:
            for frame in reader:
                yield Picture(frame.pixels, name=reader.name)
    else:
        yield from map(opened, given if isinstance(given, Sequence) and not isinstance(given, str) else _files(given))


def _files(folder: str | Path) -> list[Path]:
    """The pictures of a folder, in natural order."""
    return list_files(str(folder)).files


def _is_many(given: MapLike) -> bool:
    """True for the maps of frames: a video, a folder, a sequence."""
    if isinstance(given, str | os.PathLike):
        return is_video(given) or os.path.isdir(given)
    return isinstance(given, VideoReader | Sequence) or is_video(given)


def _stack(coding: MapCoding, given: MapLike, of: SizedMedia, shape: tuple[int, int, int]) -> Tensor:
    """The channels (1, G, *shape) of the maps of a clip; those of a picture take no more memory for many frames."""
    count = shape[0] if _is_many(given) else 1
    maps = [coding.channels(_fitting(one, of), shape[1:]) for one in islice(map_frames(given), count)]
    if len(maps) < count:
        raise InputError(f"{of.name}: a guide has {len(maps)} maps for {count} frames: give a map for each frame")
    return torch.stack(maps, 2).expand(-1, -1, shape[0], -1, -1)


def _picture(given: MapLike, of: SizedMedia) -> Picture:
    """The map of a picture.  Raises InputError."""
    if _is_many(given):
        label = given if isinstance(given, str | os.PathLike) else getattr(given, "name", "a guide")
        raise InputError(f"{label}: maps of many frames, and {of.name} is one picture: give one map")
    return _fitting(opened(given), of)


def _fitting(picture: Picture, of: SizedMedia) -> Picture:
    """The map, if it has the shape of its picture.  Raises InputError."""
    apart = picture.width * of.height / (picture.height * of.width)
    if max(apart, 1 / apart) > UNLIKE:
        size, its = (f"{one.width} x {one.height} px" for one in (picture, of))
        raise InputError(f"{picture.name}: a map of {size}, and {of.name} has {its}: give it the shape of its picture")
    return picture


def _notes(coding: MapCoding, source: Picture, target: Picture) -> tuple[str, ...]:
    if coding.unknown < TELL:
        return ()
    fact = f"{100 * coding.unknown:.0f} % of it in colours that {target.name} does not have"
    return (f"{source.name}: {fact}: nothing is asked for there",)
