"""Labelled pictures: a folder of folders, one for each class, or arrays of pictures beside arrays of labels.

Every file is decoded once when the set is read, so that a picture which cannot be read is known, and left out, before
any work.  Decoded pictures stay in memory while they fit there; the others are decoded again when they are asked for.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from structkit.data.label_arrays import LabelledArrays, read_arrays
from structkit.data.listing import PathList, counted, unread_words
from structkit.device import enough_memory
from structkit.errors import InputError, OptionError
from structkit.kernels.pyramid import resize
from structkit.media.files import natural, open_source, read_pieces
from structkit.media.pictures import MAX_BYTES, MAX_PIXELS, read_picture
from structkit.media.tensors import filled, from_tensor

THREADS = min(4, os.cpu_count() or 1)  # threads that decode
TOGETHER = 64  # pictures that they are given at once
MOST_HELD = 2 * 10**9  # bytes of decoded pictures that stay in memory
TOLD = 10.0  # seconds between two words on how far the reading is
NAMED = 3  # rejected files that a message names
# The names of a set's parts, by what they are for; the first that is there is taken.
PARTS = {
    "train": ("train", "training", "test", "val", "valid", "validation"),
    "test": ("test", "val", "valid", "validation", "train", "training"),
}

Decoded = tuple[np.ndarray, str, tuple[str, ...]]  # pixels (h, w, 3) uint8, the file's SHA-256, and remarks


@dataclass(frozen=True, eq=False)
class LabelledPictures:
    """Pictures and the class of each.

    classes: the names of all classes; a label is a place among them.
    labels: (N,) int64.
    names: of the pictures, below the folder.
    pictures: (M, h, w, 3) or (M, h, w) uint8, or a list of pixels (h, w, 3) and of files; several sets may share it.
    where: (N,) int64, the place of each picture of this set in `pictures`.
    label: the name of the set in messages.
    rejected: the names of files that were left out, and why.
    notes: remarks that must be told, one line each.
    reading: options with which a file is decoded.
    hashes: SHA-256 of each file, in hex; None for arrays.
    """

    classes: list[str]
    labels: Tensor
    names: list[str]
    pictures: np.ndarray | list[np.ndarray | Path] = field(repr=False)
    where: np.ndarray = field(repr=False)
    label: str = "the pictures"
    rejected: list[tuple[str, str]] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    reading: dict[str, Any] = field(default_factory=dict)
    hashes: tuple[str, ...] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.names)

    def pixels(self, i: int) -> np.ndarray:
        """The picture with this number, (h, w, 3) uint8 RGB; not to be written to.

        Raises InputError for a file that can no longer be read.
        """
        found = self.pictures[int(self.where[i])]
        if isinstance(found, Path):
            return _decoded(found, **self.reading)[0]
        return found if found.ndim == 3 else np.repeat(found[:, :, None], 3, 2)

    def squares(self, indices: Sequence[int], side: int) -> Tensor:
        """The squares of some pictures, (B, 3, side, side) uint8: short side resized to `side`, then the middle."""
        if isinstance(self.pictures, np.ndarray) and self.pictures.shape[1:] == (side, side, 3):
            return torch.from_numpy(self.pictures[self.where[list(indices)]]).permute(0, 3, 1, 2)
        found = torch.empty(len(indices), 3, side, side, dtype=torch.uint8)
        for place, i in enumerate(indices):
            found[place] = middle_square(self.pixels(i), side)
        return found

    def array(self, side: int) -> Tensor:
        """The squares of all pictures, (N, 3, side, side) uint8.  Raises DeviceError where memory does not suffice."""
        with enough_memory("cpu", f"{self.label}: use a smaller side, or fewer pictures"):
            return self.squares(range(len(self)), side)

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """SHA-256 of each file's bytes, in hex; of a picture in an array: of its pixels."""
        if self.hashes is not None:
            return self.hashes
        return tuple(hashlib.sha256(self.pictures[int(at)].tobytes()).hexdigest() for at in self.where)  # type: ignore[union-attr]

    @cached_property
    def sha256(self) -> str:
        """The hash of all classes, names, labels and contents."""
        rows = zip(self.digests, self.labels.tolist(), self.names, strict=True)
        text = "".join(f"{digest} {self.classes[label]} {name}\n" for digest, label, name in rows)
        return hashlib.sha256(("\n".join(self.classes) + "\n\n" + text).encode("utf-8", "surrogateescape")).hexdigest()

    def take(self, indices: Sequence[int]) -> LabelledPictures:
        """The set of the pictures with these numbers, in this order, of the same classes; no picture is copied."""
        at = np.asarray(indices, np.int64)
        return replace(
            self,
            labels=self.labels[torch.from_numpy(at)],
            names=[self.names[i] for i in at],
            where=self.where[at],
            hashes=None if self.hashes is None else tuple(self.hashes[i] for i in at),
        )

    def drawn(self, count: int, seed: int = 0) -> LabelledPictures:
        """A set of `count` pictures drawn by a seed, as many of each class as can be, in the order that they have here.

        All of them where there are no more.
        """
        if count >= len(self):
            return self
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(self), generator=generator).tolist()
        turns: dict[int, int] = {}  # pictures of each class so far
        rounds = []
        for i in order:
            label = int(self.labels[i])
            rounds.append((turns.setdefault(label, 0), len(rounds), i))
            turns[label] += 1
        return self.take(sorted(i for *_, i in sorted(rounds)[:count]))

    def split(self, share: float, seed: int = 0) -> tuple[LabelledPictures, LabelledPictures]:
        """Two sets: the pictures to learn from, and those that are held out.

        share: the part of each class that is held out, 0 to 0.5: at least one picture, of a class of one none.
        Contents and the seed decide, and not the order: equal pictures of a class are on the same side.
        Raises OptionError.
        """
        if not 0 <= share <= 0.5:
            raise OptionError(f"the share that is held out is {share:g}: it must be from 0 to 0.5")
        rows: dict[int, dict[str, list[int]]] = {}
        for i, (label, digest) in enumerate(zip(self.labels.tolist(), self.digests, strict=True)):
            rows.setdefault(label, {}).setdefault(digest, []).append(i)
        held: list[int] = []
        for same in rows.values() if share else ():
            order = sorted(same, key=lambda digest: hashlib.sha256(f"{seed} {digest}".encode()).digest())
            most = min(max(1, round(share * len(order))), len(order) - 1)
            held += [i for digest in order[:most] for i in same[digest]]
        out = set(held)
        return self.take([i for i in range(len(self)) if i not in out]), self.take(sorted(held))


def read_labelled(
    path: str | Path,
    *,
    part: str = "train",
    coarse: bool = False,
    max_pixels: int | None = None,
    tolerant: bool = False,
    tell: Callable[[str], None] = lambda line: None,
) -> LabelledPictures:
    """The labelled pictures of a place, whose layout is recognised.

    path: a folder of folders of pictures, one for each class; the binary files of CIFAR-10 or CIFAR-100, or their
    folder; x.npy and y.npy, or an .npz with x and y: pictures (N, H, W, 3) uint8, or (N, H, W) for grey ones, and
    labels (N,).
    part: train or test: the one that is taken where the place has both, as folders or as files.
    coarse: the 20 coarse classes of CIFAR-100, in place of its 100.
    max_pixels: of the largest picture that is read; None: the usual limit.
    tolerant: a damaged picture is taken as far as it goes.
    tell: called every ten seconds with the progress of the reading.
    A picture that cannot be read is left out and listed in `rejected`.  Transparent pixels get the mean colour of the
    visible ones; of 16 bits the upper 8 count.
    Nothing is ever unpickled.
    Raises InputError where there are no pictures or fewer than two classes, and for arrays that are damaged or of
    another kind; OptionError for an unknown part.
    """
    if part not in PARTS:
        raise OptionError(f"the part of a set is {part!r}: choose one of {', '.join(PARTS)}")
    place = Path(path)
    if not place.exists():
        raise InputError(f"{place}: no such file or folder; name a folder that has one folder of pictures a class")
    arrays = read_arrays(place, part, coarse=coarse)
    if arrays is None and not place.is_dir():
        fact = "a file that holds no labelled pictures"
        raise InputError(f"{place}: {fact}; name a folder of class folders, CIFAR's .bin files, or .npy or .npz arrays")
    inner = place
    if arrays is None and (inner := _part_of(place, part)) != place:
        arrays = read_arrays(inner, part, coarse=coarse)
    if arrays is not None:
        found = _of_arrays(arrays)
    else:
        reading = {"max_pixels": max_pixels or MAX_PIXELS, "tolerant": tolerant}
        found = _of_folders(inner, reading, tell)
    if (there := len(found.labels.unique())) < 2:
        fact = f"{counted(len(found))} of {'one class' if there else 'no class'}, and a class is told from others"
        raise InputError(f"{found.label}: {fact}; name a set of two or more classes")
    return found


def middle_square(pixels: np.ndarray, side: int) -> Tensor:
    """The square of a picture (h, w, 3) uint8, (3, side, side): short side resized to `side`, then the middle.

    A picture of that very size is not changed.
    """
    height, width = pixels.shape[:2]
    if (height, width) != (side, side):
        least = min(height, width)
        top, left = (height - least) // 2, (width - least) // 2
        pixels = pixels[top : top + least, left : left + least]
    image = torch.from_numpy(np.ascontiguousarray(pixels) if pixels.flags.writeable else pixels.copy())
    image = image.permute(2, 0, 1)
    return image if tuple(image.shape[1:]) == (side, side) else resize(image[None], (side, side))[0]


def _of_arrays(found: LabelledArrays) -> LabelledPictures:
    count = len(found.labels)
    missing = [name for label, name in enumerate(found.classes) if not (found.labels == label).any()]
    some = ", ".join(missing[:NAMED]) + (", ..." if len(missing) > NAMED else "")
    fact = f"{found.label}: no picture of {len(missing)} of {len(found.classes)} classes ({some})"
    return LabelledPictures(
        found.classes,
        torch.from_numpy(found.labels),
        [f"{i}" for i in range(count)],
        found.pictures,
        np.arange(count),
        found.label,
        notes=(fact,) if missing else (),
    )


def _part_of(folder: Path, part: str) -> Path:
    """The folder of a part, where a folder has parts and no classes; else the folder itself."""
    inside = {path.name.lower(): path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")}
    if not inside or not set(inside) <= set(PARTS["train"]):
        return folder
    return next(inside[name] for name in PARTS[part] if name in inside)


def _of_folders(folder: Path, reading: dict[str, Any], tell: Callable[[str], None]) -> LabelledPictures:
    """The pictures of a folder of class folders.  Raises InputError."""
    paths = PathList()
    paths.add_path(folder)
    rejected: list[tuple[str, str]] = []
    files: dict[str, list[Path]] = {}
    for path, place in paths.files:
        if len(place.parts) > 1:
            files.setdefault(place.parts[0], []).append(path)
        else:
            rejected.append((place.name, "in no folder of a class"))
    classes = sorted(files, key=lambda name: natural(Path(name)))
    if len(classes) < 2:
        names = f" ({classes[0]})" if classes else ""
        fact = f"{counted(len(classes), 'folder')} of pictures{names}, and a class is told from others"
        raise InputError(f"{folder}: {fact}; name a folder that has two or more, one for each class")
    order = [(label, path) for label, name in enumerate(classes) for path in files[name]]
    names: list[str] = []
    labels: list[int] = []
    hashes: list[str] = []
    kept: list[np.ndarray | Path] = []
    remarks: dict[str, list[str]] = {}
    held = 0
    for label, path, decoded in _read_all(order, reading, str(folder), tell):
        name = path.relative_to(folder).as_posix()
        if isinstance(decoded, InputError):
            rejected.append((name, str(decoded).removeprefix(f"{path}: ")))
            continue
        pixels, digest, said = decoded
        held += pixels.nbytes
        names.append(name)
        labels.append(label)
        hashes.append(digest)
        kept.append(pixels if held <= MOST_HELD else path)
        for remark in said:
            remarks.setdefault(remark, []).append(name)
    for label, name in enumerate(classes):
        if label not in labels:
            why = next(why for file, why in rejected if file.startswith(f"{name}/"))
            fact = f"no picture of it can be read ({why})"
            raise InputError(f"{folder / name}: {fact}; give it others, or take the folder away")
    notes = tuple(_notes(folder, paths, rejected, remarks, len(order)))
    one_shape = len({pixels.shape if isinstance(pixels, np.ndarray) else None for pixels in kept}) == 1
    pictures = np.stack(kept) if one_shape and isinstance(kept[0], np.ndarray) else kept  # type: ignore[arg-type]
    where, facts = np.arange(len(names)), {"reading": reading, "hashes": tuple(hashes)}
    return LabelledPictures(
        classes, torch.tensor(labels), names, pictures, where, str(folder), rejected, notes, **facts
    )


def _read_all(
    order: Sequence[tuple[int, Path]], reading: dict[str, Any], name: str, tell: Callable[[str], None]
) -> Iterator[tuple[int, Path, Decoded | InputError]]:
    """Each file with its label, and what it holds or what is wrong with it; a few threads decode."""
    began, done = time.monotonic(), 0
    with ThreadPoolExecutor(THREADS) as pool:
        for first in range(0, len(order), TOGETHER):
            some = order[first : first + TOGETHER]
            found = pool.map(partial(_tried, reading=reading), (path for _, path in some))
            for (label, path), decoded in zip(some, found, strict=True):
                yield label, path, decoded
            done += len(some)
            if time.monotonic() - began > TOLD:
                began = time.monotonic()
                tell(f"{name}: {done:,} of {counted(len(order))} read")


def _tried(path: Path, reading: dict[str, Any]) -> Decoded | InputError:
    try:
        return _decoded(path, **reading)
    except InputError as error:
        return error


def _decoded(path: Path, *, max_pixels: int, tolerant: bool) -> Decoded:
    """The pixels of a file, the hash of its bytes, and the remarks on it.  Raises InputError."""
    with open_source(path) as (name, stream):
        data = read_pieces(stream, MAX_BYTES + 1)
    picture = read_picture(data, name=name, max_pixels=max_pixels, tolerant=tolerant)
    digest, notes = hashlib.sha256(data).hexdigest(), picture.notes
    if picture.alpha is not None and picture.alpha.min() < 2**picture.bits - 1:
        picture = from_tensor(filled(picture), name=picture.name)
        notes = ("what is transparent is taken as its mean colour", *notes)
    return picture.at(8).pixels, digest, notes


def _notes(
    folder: Path, paths: PathList, rejected: list[tuple[str, str]], remarks: dict[str, list[str]], count: int
) -> Iterator[str]:
    """The remarks on a folder that must be told."""
    if rejected:
        some = "; ".join(f"{name}: {why}" for name, why in rejected[:NAMED]) + (
            "; ..." if len(rejected) > NAMED else ""
        )
        loose = sum(why == "in no folder of a class" for _, why in rejected)
        yield f"{folder}: left out: {len(rejected):,} of {counted(count + loose)} ({some})"
    for remark, names in sorted(remarks.items(), key=lambda item: -len(item[1]))[:NAMED]:
        yield f"{folder}: {remark} ({counted(len(names))}; the first: {names[0]})"
    if paths.foreign:
        yield f"{folder}: {counted(paths.foreign, 'other file')} passed over{unread_words(paths.unread)}"
