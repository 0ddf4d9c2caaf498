"""Arrays of labelled pictures: the binary files of CIFAR-10 and CIFAR-100, and NumPy's .npy and .npz.

CIFAR (Krizhevsky 2009): a record is a label (of CIFAR-100: the coarse label, then the fine one) and the red, green and
blue levels of 32 x 32 px, a byte each.  Its third form, Python's pickles, could run code when it is opened, and so
could NumPy's arrays of objects: neither is read.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from structkit.device import enough_memory
from structkit.errors import InputError
from structkit.media.files import open_source, read_pieces
from structkit.media.texts import read_text

SIDE, CHANNELS = 32, 3
PIXELS = CHANNELS * SIDE * SIDE  # bytes of a picture of CIFAR
MOST_BYTES = 2**31  # of a binary file
CIFAR_10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
BATCHES = {"train": [f"data_batch_{i}.bin" for i in range(1, 6)], "test": ["test_batch.bin"]}
PICKLES = ("data_batch_1", "test_batch", "batches.meta", "train", "test", "meta")  # names of CIFAR's pickles
# The names of the two arrays; with the name of a part before or behind them as well.
PAIRS = (("x", "y"), ("X", "Y"), ("X", "y"), ("images", "labels"), ("pictures", "labels"), ("data", "labels"))


@dataclass(frozen=True, eq=False)
class LabelledArrays:
    """The arrays of a set of pictures.

    pictures: (N, h, w, 3) or, of grey ones, (N, h, w), uint8.
    labels: (N,) int64, places among `classes`.
    label: the name of the set in messages.
    """

    pictures: np.ndarray
    labels: np.ndarray
    classes: list[str]
    label: str


def read_arrays(place: Path, part: str, *, coarse: bool = False) -> LabelledArrays | None:
    """The arrays of a file or a folder; None for a place that holds none.

    part: train or test, of what has both.  coarse: the coarse labels of CIFAR-100.
    Raises InputError for arrays that are damaged, or of another kind, and for pickles.
    """
    with enough_memory("cpu", f"{place}: use fewer pictures"):
        return _of_cifar(place, part, coarse) or _of_numpy(place, part)


def _of_cifar(place: Path, part: str, coarse: bool) -> LabelledArrays | None:
    folder = place if place.is_dir() else place.parent
    files = _cifar_files(place, part) if place.is_dir() else [place] if place.suffix.lower() == ".bin" else []
    if not files:
        _refuse_pickles(place)
        return None
    hundred = files[0].name in ("train.bin", "test.bin") or (folder / "fine_label_names.txt").is_file()
    heads = 2 if hundred else 1
    records = np.concatenate([_records(file, heads + PIXELS) for file in files])
    labels = records[:, 0 if coarse or not hundred else 1].astype(np.int64)
    count = (20 if coarse else 100) if hundred else 10
    if len(labels) and labels.max() >= count:
        fact = f"a label {labels.max()}, and CIFAR-{100 if hundred else 10} has 0 to {count - 1}"
        raise InputError(f"{files[0]}: {fact}: damaged, or another kind of file; download it again")
    if coarse and not hundred:
        raise InputError(f"{files[0]}: CIFAR-10 has no coarse classes; leave coarse out, or name CIFAR-100")
    if hundred:
        name, default = f"{'coarse' if coarse else 'fine'}_label_names.txt", [str(i) for i in range(count)]
    else:
        name, default = "batches.meta.txt", CIFAR_10
    classes = _class_names(folder / name, default, exactly=True)
    pictures = np.ascontiguousarray(records[:, heads:].reshape(-1, CHANNELS, SIDE, SIDE).transpose(0, 2, 3, 1))
    return LabelledArrays(pictures, labels, classes, str(place))


def _cifar_files(folder: Path, part: str) -> list[Path]:
    """The binary files of a part, or of the other where this one is not there."""
    for wanted in (part, "test" if part == "train" else "train"):
        for names in (BATCHES[wanted], [f"{wanted}.bin"]):
            if found := [folder / name for name in names if (folder / name).is_file()]:
                return found
    return []


def _records(file: Path, length: int) -> np.ndarray:
    """The records of a file, (N, length) uint8.  Raises InputError for one that does not end with a record."""
    with open_source(file) as (name, stream):
        data = read_pieces(stream, MOST_BYTES + 1)
    if not data or len(data) % length or len(data) > MOST_BYTES:
        fact = f"{len(data):,} bytes, and a record of CIFAR-{100 if length - PIXELS == 2 else 10} has {length:,}"
        what = "empty" if not data else "too large" if len(data) > MOST_BYTES else "truncated, or another kind of file"
        raise InputError(f"{name}: {fact}: {what}; download it again (the binary version)")
    return np.frombuffer(data, np.uint8).reshape(-1, length)


def _refuse_pickles(place: Path) -> None:
    """Refuse CIFAR's pickles.  Raises InputError."""
    named = [place / name for name in PICKLES] if place.is_dir() else [place]
    for file in named:
        if file.suffix in ("", ".meta", ".pkl", ".pickle") and file.is_file():
            with open_source(file) as (_, stream):
                head = stream.read(2)
            if _begins_a_pickle(head):
                fact = "a pickle of Python, which can run any code when it is opened, and is not read"
                raise InputError(f"{file}: {fact}; download the binary version of CIFAR (files .bin) in its place")


def _begins_a_pickle(head: bytes) -> bool:
    return len(head) >= 2 and head[0] == 0x80 and head[1] <= 5  # the protocol


def _of_numpy(place: Path, part: str) -> LabelledArrays | None:
    folder, found = (place if place.is_dir() else place.parent), None
    if place.is_dir():
        files = {path.stem: path for path in place.glob("*.npy")}
        pair = _pair(files, part)
        if pair:
            found = _array(files[pair[0]]), _array(files[pair[1]])
        elif len(packed := sorted(place.glob("*.npz"))) == 1 and not any(p.is_dir() for p in place.iterdir()):
            return _of_numpy(packed[0], part)
    elif place.suffix.lower() == ".npz":
        found = _packed(place, part)
    elif place.suffix.lower() == ".npy":
        files = {path.stem: path for path in folder.glob("*.npy")}
        if not (pair := next((pair for pair in _pairs(part) if place.stem in pair and pair[1] in files), None)):
            raise InputError(f"{place}: one array; name its folder, or an .npz, with pictures x and labels y")
        found = _array(files[pair[0]]), _array(files[pair[1]])
    if found is None:
        return None
    pictures, labels = _checked(*found, str(place))
    classes = _class_names(folder / "classes.txt", [str(i) for i in range(int(labels.max(initial=-1)) + 1)])
    return LabelledArrays(pictures, labels, classes, str(place))


def _pairs(part: str) -> list[tuple[str, str]]:
    """The names that the arrays of pictures and of labels may have: those of the part first, the other's last."""
    other = "test" if part == "train" else "train"
    parts = [
        (left.format(name), right.format(name))
        for name in (part, None, other)
        for x, y in PAIRS
        for left, right in ([(x, y)] if name is None else [(f"{x}_{{0}}", f"{y}_{{0}}"), (f"{{0}}_{x}", f"{{0}}_{y}")])
    ]
    return parts


def _pair(names: Container[str], part: str) -> tuple[str, str] | None:
    return next((pair for pair in _pairs(part) if pair[0] in names and pair[1] in names), None)


def _array(file: Path) -> np.ndarray:
    """The array of a .npy file; a large one stays on disk.  Raises InputError."""
    try:
        return np.load(file, mmap_mode="r")
    except (ValueError, OSError, EOFError) as error:
        raise _unreadable(file, error) from error


def _packed(file: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    try:
        with np.load(file) as found:
            pair = _pair(found.files, part)
            if pair is None:
                names = ", ".join(found.files[:6]) or "none"
                raise InputError(f"{file}: arrays {names}; x with pictures and y with labels are needed")
            return found[pair[0]], found[pair[1]]
    except InputError:
        raise
    except Exception as error:  # zip's and NumPy's reactions to foreign bytes are not foreseeable
        if isinstance(error, MemoryError):
            raise
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> InputError:
    with open_source(file) as (_, stream):
        head = stream.read(2)
    if _begins_a_pickle(head) or "Object arrays" in str(error) or "Python objects" in str(error):
        fact = "pickled objects, which can run any code when they are opened, and are not read"
        return InputError(f"{file}: {fact}; save arrays of numbers: pictures uint8, labels whole numbers")
    return InputError(f"{file}: no NumPy array that can be read, damaged or truncated; save it again")


def _checked(pictures: np.ndarray, labels: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The arrays, if they are pictures and their labels.  Raises InputError."""
    needed = "pictures must be uint8 (N, H, W, 3), or (N, H, W) if they are grey"
    if pictures.ndim == 4 and pictures.shape[3] == 1:
        pictures = pictures[..., 0]
    if pictures.dtype != np.uint8 or pictures.ndim not in (3, 4) or (pictures.ndim == 4 and pictures.shape[3] != 3):
        hint = "; move the axis of the channels to the end" if pictures.ndim == 4 and pictures.shape[1] == 3 else ""
        raise InputError(f"{name}: pictures are {pictures.dtype} {pictures.shape}; {needed}{hint}")
    if 0 in pictures.shape[1:]:
        raise InputError(f"{name}: pictures are {pictures.shape}: empty; {needed}")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise InputError(f"{name}: labels are {labels.dtype} {labels.shape}; they must be whole numbers (N,)")
    if len(labels) != len(pictures):
        raise InputError(f"{name}: {len(pictures):,} pictures and {len(labels):,} labels; there must be one for each")
    if len(labels) and (labels.min() < 0 or labels.max() > 10**6):
        raise InputError(f"{name}: labels from {labels.min()} to {labels.max()}; they must count from 0")
    return pictures, np.array(labels, np.int64)


def _class_names(file: Path, default: Sequence[str], exactly: bool = False) -> list[str]:
    """The names of the classes, a line each; the default where there is no such file.  Raises InputError."""
    if not file.is_file():
        return list(default)
    with open_source(file) as (name, stream):
        names = [line.strip() for line in read_text(stream, name).split("\n") if line.strip()]
    if len(names) < len(default) or (exactly and len(names) > len(default)) or len(set(names)) < len(names):
        fact = f"{len(names)} names ({len(set(names))} different), and there are {len(default)} classes"
        raise InputError(f"{name}: {fact}; give each class a line of its own")
    return names
