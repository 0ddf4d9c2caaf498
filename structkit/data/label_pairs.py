"""The pairing of pictures with their label files, by name, over folders in folders.

Names that say what a file is are known: those of Cityscapes and GTA5 (_leftImg8bit, _gtFine_labelIds), of CamVid (_L),
and a few plain ones (_label, _mask).
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from structkit.data.listing import Pictures, list_files
from structkit.errors import InputError, OptionError

# The ends of the names of pictures, and of label files; of several label files of one picture the first is taken.
OF_PICTURES = ("_leftImg8bit", "_rgb", "_image", "_img")
OF_LABELS = (
    *("_gtFine_labelIds", "_gtCoarse_labelIds", "_labelIds", "_gtFine_labelTrainIds", "_gtCoarse_labelTrainIds"),
    *("_labelTrainIds", "_gtFine_color", "_gtCoarse_color", "_color", "_labels", "_label", "_L", "_gt", "_mask"),
    *("_segmentation", "_seg"),
)
NO_LABELS = ("_instanceIds", "_instanceTrainIds")  # ends of the names of files beside them, which are passed over


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
    """

    pairs: tuple[LabelPair, ...]
    rejected: tuple[tuple[str, str], ...]
    labels: str


def pair_files(pictures: Pictures, labels: Pictures) -> LabelPairs:
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
        seen = [(name, path) for name, path in seen if not _ends(name, (*OF_LABELS, *NO_LABELS))]
        told = [(name, path) for name, path in told if _ends(name, OF_LABELS)]
    rejected: list[tuple[str, str]] = []
    found: dict[str, tuple[Path, Path]] = {}
    for with_folders in (True, False):
        sides = _by_key(seen, OF_PICTURES, with_folders), _by_key(told, OF_LABELS, with_folders)
        for key in sides[0].keys() & sides[1].keys():
            mine, theirs = sides[0][key], _first(sides[1][key])
            if len(mine) == len(theirs) == 1:
                found[mine[0][0]] = (mine[0][1], theirs[0][1])
        used = {path for pair in found.values() for path in pair}
        seen, told = ([(n, p) for n, p in side if p not in used] for side in (seen, told))
    keys = {_key(name, OF_PICTURES, False) for name, _ in one.sources}
    label_keys = {_key(name, OF_LABELS, False) for name, _ in told}
    for name, _ in seen:
        clash = _key(name, OF_PICTURES, False) in label_keys
        rejected.append((name, "several pictures or label files of this name" if clash else "no label file"))
    for name, _ in told:
        if _key(name, OF_LABELS, False) not in keys and not _ends(name, NO_LABELS):
            rejected.append((name, "a label file without picture"))
    if not found:
        some = ", ".join(name for name, _ in (*seen[:2], *told[:2]))
        fact = f"no picture has a label file of its name in {other.label}, with or without ends such as _labelIds"
        raise InputError(f"{one.label}: {fact} ({some}); name the two so that they agree")
    pairs = [LabelPair(name, *found[name]) for name, _ in one.sources if name in found]
    return LabelPairs(tuple(pairs), tuple(rejected), other.label)


def _by_key(
    files: Sequence[tuple[str, Path]], ends: Sequence[str], with_folders: bool
) -> dict[str, list[tuple[str, Path]]]:
    found: dict[str, list[tuple[str, Path]]] = defaultdict(list)
    for name, path in files:
        if not _ends(name, NO_LABELS):
            found[_key(name, ends, with_folders)].append((name, path))
    return found


def _first(files: Sequence[tuple[str, Path]]) -> Sequence[tuple[str, Path]]:
    """Those of the label files of one picture whose kind is taken."""
    kinds = [_ends(name, OF_LABELS) for name, _ in files]
    ranks = [OF_LABELS.index(kind) if kind else -1 for kind in kinds]
    return [file for file, rank in zip(files, ranks, strict=True) if rank == min(ranks)]


def _ends(name: str, ends: Sequence[str]) -> str:
    """The end that a name has, or the empty text."""
    stem = PurePosixPath(name).stem
    return next((end for end in ends if stem.endswith(end) and stem != end), "")


def _key(name: str, ends: Sequence[str], with_folders: bool) -> str:
    """The name without suffix and end."""
    path = PurePosixPath(name)
    stem = path.stem.removesuffix(_ends(name, ends))
    return (path.parent / stem).as_posix() if with_folders else stem
