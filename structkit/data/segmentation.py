"""Pictures to learn segmentation from: those with labels, and those of another domain, which have none.

Every file is read once at the start: what is unreadable, of another size or without partner is left out, counted and
told, and ids that the label map does not know are counted over all files.  What was read stays in memory as far as
there is room; the rest is read again when it is asked for.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from structkit.data.folders import THREADS, TOLD
from structkit.data.label_maps import UNCOUNTED, Colour, LabelMap
from structkit.data.label_pairs import LabelPair, map_of, pair_files
from structkit.data.listing import FileList, Pictures, counted, list_files, unread_words
from structkit.device import machine_memory
from structkit.errors import InputError
from structkit.kernels.pyramid import resize
from structkit.media.files import open_source, read_pieces
from structkit.media.label_files import read_label_file
from structkit.media.pictures import MAX_BYTES, MAX_PIXELS, Picture, read_picture
from structkit.media.tensors import filled, from_tensor

MOST_BYTES, OF_MEMORY = 2 * 10**9, 1 / 8  # of the pictures that stay in memory; share of all that there is
MOST_UNMAPPED = 0.01  # share of the pixels whose ids are not in the map
NAMED = 12  # ids that a message names
AT_ONCE = 8 * THREADS  # files that are read together

Item = TypeVar("Item")
Found = TypeVar("Found")


class SegmentationPictures:
    """Pictures and their labels, of one size.

    map: the label map.
    size: (width, height) px.
    names: the places of the pictures in their folder.
    shares: (N, K) float64, the share of each class among the pixels of each label file.
    rejected: the name of each file that is left out, and the reason.
    unmapped: pixels of each id or colour that is not in the map.
    digests, label_digests: SHA-256 of the bytes of each picture, and of its label file, in hex.
    """

    def __init__(
        self,
        images: Pictures | FileList,
        labels: Pictures | FileList,
        map: LabelMap,
        size: tuple[int, int],
        *,
        max_pixels: int = MAX_PIXELS,
        tolerant: bool = False,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        """images, labels: folders, patterns or lists of files, which are matched by name.

        tolerant: as for `read_picture`; label files must always be whole.
        tell: called every ten seconds with the progress of the reading.
        Raises InputError where no pair is left, or more than 1 % of the pixels have ids that are not in the map.
        """
        found = pair_files(images, labels)
        self.map, self.size = map, size
        self.label, self.labels_label = found.pictures, found.labels
        self._foreign = found.foreign, found.unread
        self._reading: dict[str, Any] = {"max_pixels": max_pixels, "tolerant": tolerant}
        self.rejected = list(found.rejected)
        self.unmapped: Counter[int | Colour] = Counter()
        self.remarks: list[tuple[str, str]] = []
        self._pairs: list[LabelPair] = []
        self._held: list[tuple[Tensor, Tensor] | None] = []
        self.digests: list[str] = []
        self.label_digests: list[str] = []
        shares, pixels, room = [], 0, min(MOST_BYTES, machine_memory() * OF_MEMORY)
        for pair, read in read_all(found.pairs, self._read, tell, found.labels):
            if isinstance(read, InputError):
                self.rejected.append((pair.name, _why(read, pair.picture, pair.labels)))
                continue
            picture, classes, share, strange, digests, count, remarks = read
            self.remarks += [(pair.name, remark) for remark in remarks]
            self.unmapped.update(strange)
            pixels += count
            taken = picture.numel() + classes.numel()
            room -= taken
            self._pairs.append(pair)
            self._held.append((picture, classes) if room >= 0 else None)
            self.digests.append(digests[0])
            self.label_digests.append(digests[1])
            shares.append(share)
        if not self._pairs:
            name, why = self.rejected[-1]
            raise InputError(
                f"{found.labels}: none of {counted(len(found.pairs))} can be used; the last: {name}: {why}"
            )
        self._check_ids(pixels)
        self.names = [pair.name for pair in self._pairs]
        self.shares = torch.from_numpy(np.stack(shares))

    def __len__(self) -> int:
        return len(self._pairs)

    def picture(self, index: int) -> Tensor:
        """A picture, (3, h, w) uint8 RGB.  Raises InputError for a file that has changed since it was read."""
        return self._item(index)[0]

    def labels(self, index: int) -> Tensor:
        """The classes of a picture's pixels, (h, w) uint8; 255: not counted, or fully transparent in the picture.

        Raises InputError, as `picture`.
        """
        return self._item(index)[1]

    def classes_in(self, index: int) -> list[int]:
        """The classes that a picture's labels have at this size."""
        counts = torch.bincount(self.labels(index).flatten().long(), minlength=UNCOUNTED + 1)
        return counts[: len(self.map)].nonzero().flatten().tolist()

    def files(self) -> list[Path]:
        """The pictures and the label files."""
        return [path for pair in self._pairs for path in (pair.picture, pair.labels)]

    def subset(self, indices: Sequence[int]) -> SegmentationPictures:
        """Some of the pictures, which share the memory of these."""
        part = object.__new__(SegmentationPictures)
        part.__dict__ |= self.__dict__
        for name in ("_pairs", "_held", "digests", "label_digests", "names"):
            setattr(part, name, [getattr(self, name)[i] for i in indices])
        part.shares = self.shares[list(indices)]
        return part

    def split(self, share: float) -> tuple[SegmentationPictures, SegmentationPictures]:
        """Two parts: to learn from, and held out, about this share of the whole; which, their contents decide."""
        count = round(share * len(self)) if len(self) > 2 else 0
        order = sorted(range(len(self)), key=lambda i: self.digests[i])
        held = set(order[: min(max(count, 1 if share and len(self) > 2 else 0), len(self) - 1)])
        kept = [i for i in range(len(self)) if i not in held]
        return self.subset(kept), self.subset(sorted(held))

    @property
    def sha256(self) -> str:
        """The hash of all names and contents of pictures."""
        return _digest(self.names, self.digests)

    @property
    def labels_sha256(self) -> str:
        """The hash of the contents of all label files, under the names of their pictures."""
        return _digest(self.names, self.label_digests)

    def _item(self, index: int) -> tuple[Tensor, Tensor]:
        if (held := self._held[index]) is not None:
            return held
        return self._read(self._pairs[index])[:2]

    def _read(self, pair: LabelPair) -> tuple[Any, ...]:
        """A picture and its classes at this size; then of the whole files the shares of the classes, the pixels of ids
        that are not in the map, the digests, the number of pixels, and remarks.
        """
        picture, digest = _picture(pair.picture, self._reading)
        data = _bytes(pair.labels)
        raster = read_label_file(data, name=str(pair.labels), max_pixels=self._reading["max_pixels"])
        height, width = raster.values.shape[:2]
        if (width, height) != (picture.width, picture.height):
            fact = f"labels of {width} x {height} px, and the picture has {picture.width} x {picture.height}"
            raise InputError(f"{pair.labels}: {fact}")
        strange: Counter[int | Colour] = Counter()
        try:
            classes = map_of(pair.labels, self.map).classes(raster, strange)
        except InputError as error:
            raise InputError(f"{pair.labels}: {error}") from None
        if picture.alpha is not None:
            classes[picture.alpha == 0] = UNCOUNTED  # nothing is seen there
        counts = np.bincount(classes.reshape(-1), minlength=UNCOUNTED + 1)[: len(self.map)]
        digests = digest, hashlib.sha256(data).hexdigest()
        small = torch.from_numpy(nearest(classes, self.size))
        facts = counts / classes.size, strange, digests, classes.size, tuple(_remarks(picture))
        return at_size(picture, self.size), small, *facts

    def _check_ids(self, pixels: int) -> None:
        """Refuse labels of which too many are not in the map.  Raises InputError."""
        share = self.unmapped.total() / pixels
        if share > MOST_UNMAPPED:
            way = "give a label map that has them (--labels), or in which they are not counted"
            fact = f"{share:.1%} of the pixels have labels that the map {self.map.name} does not know"
            raise InputError(f"{self.labels_label}: {fact}: {unmapped_words(self.unmapped, pixels)}; {way}")

    def notes(self) -> Iterator[str]:
        """Notes on what was left out, and on ids that are not in the map."""
        yield from _notes(self.label, self.rejected, self.remarks, *self._foreign)
        if self.unmapped:
            named = ", ".join(map(_value_words, sorted(self.unmapped, key=lambda v: -self.unmapped[v])[:NAMED]))
            fact = f"{counted(self.unmapped.total(), 'pixel')} not counted, whose labels are not in the map"
            yield f"{self.labels_label}: {fact}: {named}"


class TargetPictures:
    """Pictures of the domain that a segmenter is adapted to, of one size; they have no labels.

    size: (width, height) px.  names, rejected, digests: as of `SegmentationPictures`.
    """

    def __init__(
        self,
        images: Pictures | FileList,
        size: tuple[int, int],
        *,
        max_pixels: int = MAX_PIXELS,
        tolerant: bool = False,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        """images: a folder, a pattern, a list of files, or a sequence of these and of pictures.

        Raises InputError where no picture is left.  All else as `SegmentationPictures`.
        """
        found = list_files(images)
        self.size, self.label = size, found.label
        self._reading: dict[str, Any] = {"max_pixels": max_pixels, "tolerant": tolerant}
        self._foreign = found.foreign, found.unread
        self.rejected: list[tuple[str, str]] = []
        self.remarks: list[tuple[str, str]] = []
        self._sources: list[Picture | Path] = []
        self._held: list[Tensor | None] = []
        self.names: list[str] = []
        self.digests: list[str] = []
        room = min(MOST_BYTES, machine_memory() * OF_MEMORY)
        for (name, source), read in read_all(found.sources, lambda one: self._read(one[1]), tell, found.label):
            if isinstance(read, InputError):
                self.rejected.append((name, _why(read, source)))
                continue
            picture, digest, remarks = read
            self.remarks += [(name, remark) for remark in remarks]
            room -= picture.numel()
            self._sources.append(source)
            self._held.append(picture if room >= 0 else None)
            self.names.append(name)
            self.digests.append(digest)
        if not self.names:
            name, why = self.rejected[0]
            raise InputError(
                f"{self.label}: none of {counted(len(self.rejected))} can be read; the first: {name}: {why}"
            )

    def __len__(self) -> int:
        return len(self.names)

    def picture(self, index: int) -> Tensor:
        """A picture, (3, h, w) uint8 RGB.  Raises InputError for a file that has changed since it was read."""
        held = self._held[index]
        return self._read(self._sources[index])[0] if held is None else held

    @property
    def sha256(self) -> str:
        """The hash of all names and contents."""
        return _digest(self.names, self.digests)

    def notes(self) -> Iterator[str]:
        """Notes on what was left out."""
        yield from _notes(self.label, self.rejected, self.remarks, *self._foreign)

    def _read(self, source: Picture | Path) -> tuple[Tensor, str, tuple[str, ...]]:
        """A picture at this size, its digest, and remarks."""
        picture, digest = (source, source.sha256) if isinstance(source, Picture) else _picture(source, self._reading)
        return at_size(picture, self.size), digest, tuple(_remarks(picture))


def read_all(
    items: Sequence[Item], read: Callable[[Item], Found], tell: Callable[[str], None], label: str
) -> Iterator[tuple[Item, Found | InputError]]:
    """What is read of each item, by a few threads, or the error that it is, in order."""

    def tried(item: Item) -> Found | InputError:
        try:
            return read(item)
        except InputError as error:
            return error

    began, waiting, done = time.monotonic(), iter(items), 0
    with ThreadPoolExecutor(THREADS) as pool:
        while some := list(islice(waiting, AT_ONCE)):
            yield from zip(some, pool.map(tried, some), strict=True)
            done += len(some)
            if time.monotonic() - began > TOLD:
                began = time.monotonic()
                tell(f"{label}: {done:,} of {counted(len(items))} read")


def nearest(classes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Classes (H, W) at a size (width, height): those at the middle of each pixel."""
    width, height = size
    rows = (2 * np.arange(height) + 1) * classes.shape[0] // (2 * height)
    columns = (2 * np.arange(width) + 1) * classes.shape[1] // (2 * width)
    return np.ascontiguousarray(classes[np.ix_(rows, columns)])


def _notes(
    label: str, rejected: Sequence[tuple[str, str]], remarks: Sequence[tuple[str, str]], foreign: int, unread: Any
) -> Iterator[str]:
    """A line for each reason for which files are left out, for each remark on others, and on other files."""
    for words, facts in (("left out, ", rejected), ("", remarks)):
        reasons: dict[str, list[str]] = {}
        for name, why in facts:
            reasons.setdefault(why, []).append(name)
        for why, names in list(reasons.items())[:NAMED]:
            some = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
            yield f"{label}: {words}{why}: {counted(len(names), 'file')} ({some})"
        if len(reasons) > NAMED:
            rest = sum(map(len, list(reasons.values())[NAMED:]))
            yield f"{label}: {words}other reasons: {counted(rest, 'file')}"
    if foreign and unread:
        yield f"{label}: {counted(foreign, 'other file')} passed over{unread_words(unread)}"


def _remarks(picture: Picture) -> Iterator[str]:
    """The remarks on a picture that must be told."""
    if _is_seen_through(picture):
        yield "what is transparent is taken as its mean colour"
    yield from picture.notes


def unmapped_words(unmapped: Counter[int | Colour], pixels: int) -> str:
    """The ids that are not in a map, with their shares of the pixels."""
    often = unmapped.most_common(NAMED)
    rest = len(unmapped) - len(often)
    words = ", ".join(f"{_value_words(value)} ({count / pixels:.2%})" for value, count in often)
    return words + (f" and {rest:,} more" if rest else "")


def _value_words(value: int | Colour) -> str:
    return f"id {value}" if isinstance(value, int) else "colour " + " ".join(map(str, value))


def _why(error: InputError, *paths: Path | Picture) -> str:
    """An error without the paths that it begins with."""
    text = str(error)
    for path in paths:
        text = text.removeprefix(f"{path}: ")
    return text


def _bytes(path: Path) -> bytes:
    with open_source(path) as (_, stream):
        return read_pieces(stream, MAX_BYTES + 1)


def _picture(path: Path, reading: dict[str, Any]) -> tuple[Picture, str]:
    data = _bytes(path)
    return read_picture(data, name=str(path), **reading), hashlib.sha256(data).hexdigest()


def _is_seen_through(picture: Picture) -> bool:
    return picture.alpha is not None and picture.alpha.min() < 2**picture.bits - 1


def at_size(picture: Picture, size: tuple[int, int]) -> Tensor:
    """A picture at a size (width, height), (3, h, w) uint8; its aspect may change.

    Transparent pixels get the mean colour of the visible ones.
    """
    if _is_seen_through(picture):
        picture = from_tensor(filled(picture), name=picture.name)
    pixels = torch.from_numpy(picture.at(8).pixels.copy()).permute(2, 0, 1)
    return resize(pixels[None], (size[1], size[0]))[0].contiguous()


def _digest(names: Sequence[str], digests: Sequence[str]) -> str:
    lines = sorted(f"{digest} {name}\n" for digest, name in zip(digests, names, strict=True))
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
