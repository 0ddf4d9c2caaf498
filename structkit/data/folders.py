"""A domain: the pictures below a folder, as one tensor of squares.

A few threads decode pictures and make the squares.  In memory are the squares, 0.05 MB each at 128 px, and a few
decoded pictures.  A picture that cannot be read is left out, counted and told.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from structkit.data.listing import (
    FileList,
    Pictures,
    Source,
    check_neither_within,
    counted,
    list_files,
    unread_words,
)
from structkit.data.squares import window
from structkit.device import enough_memory
from structkit.errors import InputError, OptionError
from structkit.kernels.pyramid import resize
from structkit.media.files import open_source, read_pieces
from structkit.media.pictures import MAX_BYTES, MAX_PIXELS, Picture, read_picture
from structkit.media.tensors import filled, from_tensor

THREADS = min(4, os.cpu_count() or 1)  # threads that decode
AHEAD = 4 * THREADS  # pictures that may be read before they are needed
TOLD = 10.0  # seconds between two words on how far the reading is
MOST_REMARKS = 5  # remarks that are told
HELD, LEAST, MOST = 1 / 20, 20, 256  # share of a folder that is held out; of fewer pictures none; of any number no more

Square = tuple[Tensor, str, tuple[str, ...]]  # (3, size, size) uint8, the digest of what it was made of, and remarks


@dataclass(frozen=True, eq=False)
class Folder:
    """The pictures of a domain, in the natural order of their names.

    pictures: (N, 3, size, size) uint8 RGB.
    names: the paths below the folder, or the names as they were given.
    digests: SHA-256 of each file's bytes, in hex (of a picture in memory: of its pixels).
    label: the name of the folder in messages.
    notes: remarks that must be told, one line each.
    """

    pictures: Tensor
    names: tuple[str, ...]
    digests: tuple[str, ...]
    label: str
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def sha256(self) -> str:
        """The hash of all names and contents, the same in whatever order they were given."""
        lines = sorted(f"{digest} {name}\n" for digest, name in zip(self.digests, self.names, strict=True))
        return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()

    def named(self, indices: Sequence[int], pictures: Tensor) -> Folder:
        """The folder of the pictures with these indices, without the notes; pictures: their squares."""
        names, digests = (tuple(of_each[i] for i in indices) for of_each in (self.names, self.digests))
        return Folder(pictures, names, digests, self.label)


def read_folder(
    pictures: Pictures | FileList,
    size: int,
    fit: str,
    *,
    max_pixels: int = MAX_PIXELS,
    tolerant: bool = False,
    tell: Callable[[str], None] = lambda line: None,
) -> Folder:
    """The pictures of a domain, as squares of `size` px.

    pictures: see `list_files`; also the result of `list_files`.
    fit: see `structkit.data.squares`.
    max_pixels: the largest picture that is read; a larger one, or one that cannot be read, is left out, with a note.
    tolerant: a damaged picture is taken as far as it goes, with a note.
    tell: called every ten seconds with the progress of the reading; remarks on pictures are in `notes`, and not told.
    Transparent pixels get the mean colour of the visible ones.
    Raises InputError where no picture is left, OptionError for an unknown fit, DeviceError where the squares do not fit
    into memory.
    """
    window((size, size), fit)  # refuses an unknown fit before any work
    found = list_files(pictures)
    label, sources = found.label, found.sources
    names, digests, bad, began = [], [], [], time.monotonic()
    remarks: dict[str, list[str]] = defaultdict(list)  # to the names of the pictures that each is true of
    with enough_memory("cpu", f"{label}: use a smaller --size, or fewer pictures"):
        squares = torch.empty(len(sources), 3, size, size, dtype=torch.uint8)
        for number, ((name, _), reading) in enumerate(
            _ahead(sources, partial(_read, size=size, fit=fit, max_pixels=max_pixels, tolerant=tolerant)), start=1
        ):
            try:
                squares[len(names)], digest, said = reading.result()
            except InputError as error:
                bad.append(str(error))
            else:
                names.append(name)
                digests.append(digest)
                for remark in said:
                    remarks[remark].append(name)
            if time.monotonic() - began > TOLD:
                began = time.monotonic()
                tell(f"{label}: {number:,} of {counted(len(sources))} read")
    if not names:
        raise InputError(f"{label}: none of {counted(len(bad))} can be read; the first: {bad[0]}")
    notes = _notes(label, remarks)
    if bad:
        notes = (f"{label}: left out, unreadable: {len(bad):,} of {counted(len(sources))}; the first: {bad[0]}", *notes)
    if found.foreign:
        notes += (f"{label}: {counted(found.foreign, 'other file')} passed over{unread_words(found.unread)}",)
    return Folder(squares[: len(names)], tuple(names), tuple(digests), label, notes)


def shared(one: Folder, other: Folder) -> tuple[str, ...]:
    """A note on the files that are in both folders, if there are any: these teach nothing and blur the difference.

    Raises InputError if all files of one are in the other.
    """
    check_neither_within((one.label, one.digests), (other.label, other.digests))
    theirs = set(other.digests)
    both = [name for name, digest in zip(one.names, one.digests, strict=True) if digest in theirs]
    if not both:
        return ()
    some = ", ".join(both[:3]) + (", ..." if len(both) > 3 else "")
    return (
        f"{one.label} and {other.label} share {counted(len(both))} ({some}), which blur the difference; leave them out "
        "of one",
    )


def split(folder: Folder, share: float = HELD) -> tuple[Folder, Folder]:
    """Two parts of a folder: the pictures to learn from, and those that are held out.

    share: the part that is held out, about: at least 1 picture and at most 256; of fewer than 20 pictures none.
    `folder.pictures` is arranged anew, in place, and both parts are views of it: there may be too many for a copy.
    The content of a file decides on its part, and not its place or the other files: more pictures move no old one to
    the other part, but for the one that is always held out and for those over 256.  Equal files are in the same part,
    and count once.
    Raises OptionError.
    """
    if not 0 < share <= 0.5:
        raise OptionError(f"the share that is held out is {share:g}: it must be above 0 and at most 0.5")
    order = sorted(set(folder.digests))
    low = [digest for digest in order if int(digest, 16) < share * 2**256] or order[:1]
    held = set(low[:MOST]) if len(order) >= LEAST else set()
    sides: tuple[list[int], list[int]] = [], []
    for i, digest in enumerate(folder.digests):
        sides[digest in held].append(i)
    _move_behind(folder.pictures, sides[True])
    kept, out = folder.pictures.split([len(side) for side in sides])
    return folder.named(sides[False], kept), folder.named(sides[True], out)


def _move_behind(pictures: Tensor, some: Sequence[int]) -> None:
    """Bring some of the pictures, by ascending indices, behind the others; all keep their order among their like."""
    aside, rows = pictures[list(some)], pictures.numpy()  # NumPy moves rows onto each other as it should
    for moved, (here, following) in enumerate(pairwise([*some, len(rows)]), start=1):
        rows[here + 1 - moved : following - moved] = rows[here + 1 : following]
    pictures[len(rows) - len(some) :] = aside


def _ahead(
    sources: Sequence[Source], read: Callable[[Picture | Path], Square]
) -> Iterator[tuple[Source, Future[Square]]]:
    """Each source and its reading, in order, while the next few are being read."""
    waiting: deque[tuple[Source, Future[Square]]] = deque()
    with ThreadPoolExecutor(THREADS) as pool:
        for source in sources:
            waiting.append((source, pool.submit(read, source[1])))
            if len(waiting) > AHEAD:
                yield waiting.popleft()
        yield from waiting


def _read(source: Picture | Path, *, size: int, fit: str, max_pixels: int, tolerant: bool) -> Square:
    """The square of a picture, its digest and the remarks on it.

    A file is read once, so that the digest is that of the bytes which are decoded.
    """
    if isinstance(source, Picture):
        picture, digest = source, source.sha256
    else:
        with open_source(source) as (name, stream):
            data = read_pieces(stream, MAX_BYTES + 1)
        picture = read_picture(data, name=name, max_pixels=max_pixels, tolerant=tolerant)
        digest = hashlib.sha256(data).hexdigest()
    return _square(picture, size, fit), digest, tuple(_remarks(picture, size))


def _square(picture: Picture, size: int, fit: str) -> Tensor:
    """The square of a picture, (3, size, size) uint8: `to_square` on levels of 8 bits.

    Beside `to_square` in float32 this takes a fortieth of the CPU seconds for 24 megapixels, and a fifth for 128 x 128
    px.  The levels are the same to within one, and beside the hardest edges, where ringing is cut off between rows and
    columns, to within a few.
    """
    if _is_seen_through(picture):
        picture = from_tensor(filled(picture), name=picture.name)
    top, left, height, width = window((picture.height, picture.width), fit)
    # PyTorch takes no array that must not be written to.
    seen = picture.at(8).pixels[top : top + height, left : left + width].copy()
    return resize(torch.from_numpy(seen).permute(2, 0, 1)[None], (size, size))[0]


def _is_seen_through(picture: Picture) -> bool:
    return picture.alpha is not None and picture.alpha.min() < 2**picture.bits - 1


def _remarks(picture: Picture, size: int) -> Iterator[str]:
    """The remarks on a picture that must be told."""
    if min(picture.width, picture.height) < size:
        yield f"smaller than {size} px: enlarged, and no sharper for it"
    if _is_seen_through(picture):
        yield "what is transparent is taken as its mean colour"
    yield from picture.notes


def _notes(label: str, remarks: dict[str, list[str]]) -> tuple[str, ...]:
    """A line for each of the most frequent remarks."""
    often = sorted(remarks, key=lambda remark: -len(remarks[remark]))
    lines = [
        f"{label}: {remark} ({counted(len(remarks[remark]))}; the first: {remarks[remark][0]})"
        for remark in often[:MOST_REMARKS]
    ]
    if len(often) > MOST_REMARKS:
        lines.append(f"{label}: {counted(len(often) - MOST_REMARKS, 'more remark')} on single pictures")
    return tuple(lines)
