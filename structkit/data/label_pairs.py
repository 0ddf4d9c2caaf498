"""The pairing of pictures with their label files, by name, over folders in folders.

Names that say what a file is are known: those of Cityscapes and GTA5 (_leftImg8bit, _gtFine_labelIds), of CamVid (_L),
and a few plain ones (_label, _mask).
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TypeVar

from structkit.data.label_maps import LabelMap
from structkit.data.listing import FileList, Pictures, list_files
from structkit.errors import InputError, OptionError
from structkit.media.pictures import Picture

# The ends of the names of pictures, and of label files; of several label files of one picture the first is taken.
OF_PICTURES = ("_leftImg8bit", "_rgb", "_image", "_img")
OF_LABELS = (
    *("_gtFine_labelIds", "_gtCoarse_labelIds", "_labelIds", "_gtFine_labelTrainIds", "_gtCoarse_labelTrainIds"),
    *("_labelTrainIds", "_gtFine_color", "_gtCoarse_color", "_color", "_labels", "_label", "_L", "_gt", "_mask"),
    *("_segmentation", "_seg"),
)
NO_LABELS = ("_instanceIds", "_instanceTrainIds")  # ends of the names of files beside them, which are passed over
SURE = (*NO_LABELS, *(end for end in OF_LABELS if end.startswith(("_gt", "_label")) and end != "_gt"))
# Folders of label files; SegNet's CamVid has trainannot beside train.
FOLDERS = (
    *("labels", "label", "gt", "gtfine", "gtcoarse", "groundtruth", "ground_truth", "annotations", "annotation"),
    *("annot", "trainannot", "valannot", "testannot", "masks", "mask", "segmentationclass"),
)
JPEG = (".jpg", ".jpeg")

Found = TypeVar("Found")


@dataclass(frozen=True)
class LabelPair:
    """A picture and its label file.  name: the picture's place in its folder."""

    name: str
    picture: Path
    labels: Path


@dataclass(frozen=True)
class LabelPairs:
    """The pictures with label files, in natural order; what is left out, and why.

    rejected: the name of each file that is left out, and the reason.
    pictures, labels: the names of the two folders in messages.
    foreign, unread: see `FileList`, of the pictures' folder.
    """

    pairs: tuple[LabelPair, ...]
    rejected: tuple[tuple[str, str], ...]
    pictures: str
    labels: str
    foreign: int = 0
    unread: tuple[Path, ...] = ()


def pair_files(pictures: Pictures | FileList, labels: Pictures | FileList) -> LabelPairs:
    """The pairs of two folders, patterns or lists.  No file is opened.

    First names are compared with the folders that they are in, then, among the rest, without.
    Raises InputError where there is no pair, OptionError for pictures in memory.
    """
    one, other = list_files(pictures), list_files(labels)
    if any(not isinstance(source, Path) for found in (one, other) for _, source in found.sources):
        raise OptionError("pictures with labels must be files: name a folder of pictures, and one of label files")
    seen = [(name, Path(source)) for name, source in one.sources]  # type: ignore[arg-type]
    told = [(name, Path(source)) for name, source in other.sources]  # type: ignore[arg-type]
    if {os.path.realpath(path) for _, path in seen} & {os.path.realpath(path) for _, path in told}:
        # Both are in one folder: the names alone tell which is which.
        seen = [(name, path) for name, path in seen if not end_of(name, (*OF_LABELS, *NO_LABELS))]
        told = [(name, path) for name, path in told if end_of(name, OF_LABELS)]
    rejected: list[tuple[str, str]] = []
    found: dict[str, tuple[Path, Path]] = {}
    for with_folders in (True, False):
        sides = _by_key(seen, OF_PICTURES, with_folders), _by_key(told, OF_LABELS, with_folders)
        for key in sides[0].keys() & sides[1].keys():
            mine, theirs = sides[0][key], first_kind(sides[1][key])
            if len(mine) == len(theirs) == 1:
                found[mine[0][0]] = (mine[0][1], theirs[0][1])
        used = {path for pair in found.values() for path in pair}
        seen, told = ([(n, p) for n, p in side if p not in used] for side in (seen, told))
    keys = {key_of(name, OF_PICTURES, with_folders=False) for name, _ in one.sources}
    label_keys = {key_of(name, OF_LABELS, with_folders=False) for name, _ in told}
    for name, _ in seen:
        clash = key_of(name, OF_PICTURES, with_folders=False) in label_keys
        rejected.append((name, "several pictures or label files of this name" if clash else "no label file"))
    for name, _ in told:
        if key_of(name, OF_LABELS, with_folders=False) not in keys and not end_of(name, NO_LABELS):
            rejected.append((name, "a label file without picture"))
    if not found:
        some = ", ".join(name for name, _ in (*seen[:2], *told[:2]))
        fact = f"no picture has a label file of its name in {other.label}, with or without ends such as _labelIds"
        raise InputError(f"{one.label}: {fact} ({some}); name the two so that they agree")
    pairs = [LabelPair(name, *found[name]) for name, _ in one.sources if name in found]
    return LabelPairs(tuple(pairs), tuple(rejected), one.label, other.label, one.foreign, one.unread)


def without_labels(found: FileList) -> tuple[FileList, int]:
    """The pictures without the files among them whose names say that they are label files, and the number of these.

    A name says so by an end of Cityscapes, by a plain end such as _L beside a picture of the same name, by a folder
    such as labels beside other folders, or by its suffix beside a JPEG of the same name.  No file is opened.
    """

    def is_label(name: str) -> bool:
        end = end_of(name, (*NO_LABELS, *OF_LABELS))
        in_folder = any(part.lower() in FOLDERS for part in PurePosixPath(name).parts[:-1])
        beside = PurePosixPath(name).suffix.lower() not in JPEG and key_of(name, OF_PICTURES) in photographs
        return in_folder or beside or (bool(end) and (end in SURE or key_of(name, OF_LABELS) in keys))

    photographs = {key_of(n, OF_PICTURES) for n, _ in found.sources if PurePosixPath(n).suffix.lower() in JPEG}
    keys = {key_of(name, OF_PICTURES) for name, _ in found.sources if not end_of(name, (*NO_LABELS, *OF_LABELS))}
    kept = tuple(source for source in found.sources if isinstance(source[1], Picture) or not is_label(source[0]))
    if not kept:  # the folder is one that was meant, whatever it is called
        return found, 0
    return replace(found, sources=kept), len(found.sources) - len(kept)


def map_of(name: str | Path, map: LabelMap) -> LabelMap:
    """The map of a label file of this name: one of Cityscapes' labelTrainIds has the numbers of classes."""
    return map.numbered if end_of(str(name), OF_LABELS).endswith("TrainIds") else map


def first_kind(files: Sequence[tuple[str, Found]]) -> Sequence[tuple[str, Found]]:
    """The label files of one picture whose kind is taken.  files: each with its name."""
    kinds = [end_of(name, OF_LABELS) for name, _ in files]
    ranks = [OF_LABELS.index(kind) if kind else -1 for kind in kinds]
    return [file for file, rank in zip(files, ranks, strict=True) if rank == min(ranks)]


def end_of(name: str, ends: Sequence[str]) -> str:
    """The end that a name has before its suffix, or the empty text."""
    stem = PurePosixPath(name).stem
    return next((end for end in ends if stem.endswith(end) and stem != end), "")


def key_of(name: str, ends: Sequence[str], *, with_folders: bool = True) -> str:
    """The name without suffix and end."""
    path = PurePosixPath(name)
    stem = path.stem.removesuffix(end_of(name, ends))
    return (path.parent / stem).as_posix() if with_folders else stem


def _by_key(
    files: Sequence[tuple[str, Path]], ends: Sequence[str], with_folders: bool
) -> dict[str, list[tuple[str, Path]]]:
    found: dict[str, list[tuple[str, Path]]] = defaultdict(list)
    for name, path in files:
        if not end_of(name, NO_LABELS):
            found[key_of(name, ends, with_folders=with_folders)].append((name, path))
    return found
