"""Labelled pictures: a folder of folders, one for each class, or arrays of pictures beside arrays of labels.

Every file is decoded once when the set is read, so that a picture which cannot be read is known, and left out, before
any work.  Decoded pictures stay in memory while they fit there; the others are decoded again when they are asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from structkit.data.decoding import decoded_file, decoded_files, middle_square
from structkit.data.label_arrays import LabelledArrays, read_arrays
from structkit.data.listing import PathList, counted, unread_words
from structkit.device import enough_memory
from structkit.errors import InputError, OptionError
from structkit.media.files import natural, sha256_file

MOST_HELD = 2 * 10**9  # bytes of decoded pictures that stay in memory
NAMED = 3  # rejected files that a message names
# The names of a set's parts, by what they are for; the first that is there is taken.
PARTS = {
    "train": ("train", "training", "test", "val", "valid", "validation"),
    "test": ("test", "val", "valid", "validation", "train", "training"),
}
LEARNED = {"train", "training"}  # those of them that are learned from


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
    files: the file of each of `pictures`; None for arrays.
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
    files: list[Path] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.names)

    def pixels(self, i: int) -> np.ndarray:
        """The picture with this number, (h, w, 3) uint8 RGB; not to be written to.

        Raises InputError for a file that can no longer be read.
        """
        found = self.pictures[int(self.where[i])]
        if isinstance(found, Path):
            return decoded_file(found, **self.reading).pixels
        return found if found.ndim == 3 else np.repeat(found[:, :, None], 3, 2)

    def squares(self, indices: Sequence[int], side: int) -> Tensor:
        """The squares of some pictures, (B, 3, side, side) uint8: short side resized to `side`, then the middle."""
        found, _, rejected = self.readable(indices, side)
        if rejected:
            raise InputError(f"{self.label}: {rejected[0][0]}: {rejected[0][1]}")
        return found

    def readable(self, indices: Sequence[int], side: int) -> tuple[Tensor, list[int], list[tuple[str, str]]]:
        """The `squares` of those pictures that can be read, their numbers, and the names of the others, with the why.

        A few threads decode what is not in memory.
        """
        if isinstance(self.pictures, np.ndarray) and self.pictures.shape[1:] == (side, side, 3):
            return torch.from_numpy(self.pictures[self.where[list(indices)]]).permute(0, 3, 1, 2), list(indices), []
        found = torch.empty(len(indices), 3, side, side, dtype=torch.uint8)
        kept: list[int] = []
        rejected: list[tuple[str, str]] = []
        ones = [self.pictures[int(self.where[i])] for i in indices]
        files = decoded_files([one for one in ones if isinstance(one, Path)], **self.reading)
        for i, one in zip(indices, ones, strict=True):
            if isinstance(one, Path) and isinstance(decoded := next(files), InputError):
                rejected.append((self.names[i], str(decoded).removeprefix(f"{one}: ")))
                continue
            pixels = decoded.pixels if isinstance(one, Path) else self.pixels(i)
            found[len(kept)] = middle_square(pixels, side)
            kept.append(i)
        return found[: len(kept)], kept, rejected

    def array(self, side: int) -> Tensor:
        """The squares of all pictures, (N, 3, side, side) uint8.  Raises DeviceError where memory does not suffice."""
        with enough_memory("cpu", f"{self.label}: use a smaller side, or fewer pictures"):
            return self.squares(range(len(self)), side)

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """SHA-256 of each file's bytes, in hex; of a picture in an array: of its pixels.  Raises InputError."""
        if self.hashes is not None:
            return self.hashes
        ones = (self.pictures[int(at)] for at in self.where)
        return tuple(
            sha256_file(one) if isinstance(one, Path) else hashlib.sha256(one.tobytes()).hexdigest() for one in ones
        )

    @cached_property
    def sha256(self) -> str:
        """The hash of all classes, names, labels and contents."""
        rows = zip(self.digests, self.labels.tolist(), self.names, strict=True)
        text = "".join(f"{digest} {self.classes[label]} {name}\n" for digest, label, name in rows)
        return hashlib.sha256(("\n".join(self.classes) + "\n\n" + text).encode("utf-8", "surrogateescape")).hexdigest()

    def lightened(self, most: int) -> LabelledPictures:
        """The same set; where decoded pictures take more than `most` bytes, one that decodes files when asked for them.

        For copies in other processes.
        """
        held = sum(one.nbytes for one in self.pictures if not isinstance(one, Path))
        return self if self.files is None or held <= most else replace(self, pictures=list(self.files))

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
    checked: bool = True,
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
    checked: whether every file is decoded now; if not, files are taken as they are, and one that cannot be read is an
    error when it is asked for.
    coarse: the 20 coarse classes of CIFAR-100, in place of its 100.
    max_pixels: of the largest picture that is read; None: the usual limit.
    tolerant: a damaged picture is taken as far as it goes.
    tell: called every ten seconds with the progress of the reading.
    A picture that cannot be read is left out and listed in `rejected`.  Transparent pixels get the mean colour of the
    visible ones; of 16 bits the nearest 8 count.
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
        folders = PictureFolders(inner)
        reading = {"max_pixels": max_pixels, "tolerant": tolerant}
        found = folders.decoded(reading, tell) if checked else folders.listed(reading)
    if (there := len(found.labels.unique())) < 2:
        fact = f"{counted(len(found))} of {'one class' if there else 'no class'}, and a class is told from others"
        raise InputError(f"{found.label}: {fact}; name a set of two or more classes")
    return found


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
    """The folder of a part, where a folder has parts and no classes; else the folder itself.

    Raises InputError where it seems to have both.
    """
    inside = {path.name.lower(): path for path in _folders(folder)}
    parts = {name for name in PARTS["train"] if name in inside}
    if parts != set(inside):
        others = [path for name, path in inside.items() if name not in parts and _has_pictures(path)]
        if others and parts & LEARNED and parts - LEARNED:
            fact = f"{' and '.join(sorted(parts))} seem to be parts of a set, and {others[0].name} is none"
            raise InputError(f"{folder}: {fact}; name one of them, or move {others[0].name} to another place")
        if others:
            return folder
    return next((inside[name] for name in PARTS[part] if name in parts), folder)


def _folders(folder: Path) -> list[Path]:
    """The folders in a folder, in natural order, but for hidden ones."""
    return sorted((path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")), key=natural)


def _has_pictures(folder: Path) -> bool:
    """True if there is a picture below a folder."""
    paths = PathList()
    paths.add_path(folder)
    return bool(paths.files)


class PictureFolders:
    """A folder of folders of pictures, one for each class, in natural order.

    files: each with the number of its class.
    rejected: pictures that are in no folder of a class.
    empty: the names of folders that have no picture.
    """

    def __init__(self, folder: Path) -> None:
        """Raises InputError for a folder with fewer than two classes."""
        self.folder, self.paths = folder, PathList()
        self.paths.add_path(folder)
        self.rejected: list[tuple[str, str]] = []
        files: dict[str, list[Path]] = {}
        for path, place in self.paths.files:
            if len(place.parts) > 1:
                files.setdefault(place.parts[0], []).append(path)
            else:
                self.rejected.append((place.name, "in no folder of a class"))
        self.classes = sorted(files, key=natural)
        self.files = [(label, path) for label, name in enumerate(self.classes) for path in files[name]]
        self.empty = [path.name for path in _folders(folder) if path.name not in files]
        if len(files) < 2:
            names = f" ({self.classes[0]})" if files else ""
            fact = f"{counted(len(files), 'folder')} of pictures{names}, and a class is told from others"
            raise InputError(f"{folder}: {fact}; name a folder that has two or more, one for each class")

    def listed(self, reading: dict[str, Any]) -> LabelledPictures:
        """The set of all files, none of them opened."""
        return self._set(self.files, [path for _, path in self.files], reading, {}, None)

    def decoded(self, reading: dict[str, Any], tell: Callable[[str], None]) -> LabelledPictures:
        """The set of the files that can be read.  Raises InputError for a class that has none."""
        taken: list[tuple[int, Path]] = []
        kept: list[np.ndarray | Path] = []
        hashes: list[str] = []
        remarks: dict[str, list[str]] = {}  # to the names of the pictures that each is true of
        held = 0
        found = decoded_files([path for _, path in self.files], **reading, label=str(self.folder), tell=tell)
        for (label, path), one in zip(self.files, found, strict=True):
            if isinstance(one, InputError):
                self.rejected.append((self._name(path), str(one).removeprefix(f"{path}: ")))
                continue
            held += one.pixels.nbytes
            taken.append((label, path))
            hashes.append(one.sha256)
            kept.append(one.pixels if held <= MOST_HELD else path)
            for remark in one.notes:
                remarks.setdefault(remark, []).append(self._name(path))
        there = {label for label, _ in taken}
        for label, name in enumerate(self.classes):
            if label not in there:
                why = next(why for file, why in self.rejected if file.startswith(f"{name}/"))
                fact = f"no picture of it can be read ({why})"
                raise InputError(f"{self.folder / name}: {fact}; give it others, or take the folder away")
        one_array = held <= MOST_HELD and len({one.shape for one in kept}) == 1  # type: ignore[union-attr]
        pixels = np.stack(kept) if one_array else kept  # type: ignore[arg-type]
        return self._set(taken, pixels, reading, remarks, tuple(hashes))

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _set(
        self,
        files: Sequence[tuple[int, Path]],
        pictures: np.ndarray | list[np.ndarray | Path],
        reading: dict[str, Any],
        remarks: dict[str, list[str]],
        hashes: tuple[str, ...] | None,
    ) -> LabelledPictures:
        return LabelledPictures(
            self.classes,
            torch.tensor([label for label, _ in files], dtype=torch.int64),
            [self._name(path) for _, path in files],
            pictures,
            np.arange(len(files)),
            str(self.folder),
            self.rejected,
            tuple(self._notes(remarks)),
            reading,
            hashes,
            [path for _, path in files],
        )

    def _notes(self, remarks: dict[str, list[str]]) -> Iterator[str]:
        """The remarks that must be told."""
        if self.rejected:
            loose = sum(why == "in no folder of a class" for _, why in self.rejected)
            more = ["..."] if len(self.rejected) > NAMED else []
            some = "; ".join([f"{name}: {why}" for name, why in self.rejected[:NAMED]] + more)
            of = counted(len(self.files) + loose)
            yield f"{self.folder}: left out: {len(self.rejected):,} of {of} ({some})"
        if self.empty:
            some = ", ".join(self.empty[:NAMED]) + (", ..." if len(self.empty) > NAMED else "")
            yield f"{self.folder}: no picture in {counted(len(self.empty), 'folder')} ({some}), so no class"
        for remark, names in sorted(remarks.items(), key=lambda item: -len(item[1]))[:NAMED]:
            yield f"{self.folder}: {remark} ({counted(len(names))}; the first: {names[0]})"
        if self.paths.foreign:
            other = counted(self.paths.foreign, "other file")
            yield f"{self.folder}: {other} passed over{unread_words(self.paths.unread)}"
