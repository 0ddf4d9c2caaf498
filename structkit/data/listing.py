"""What a domain is made of: the pictures that a folder, a list or a sequence names, before any of them is read."""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

from structkit.errors import InputError, OptionError
from structkit.media.files import files_below, natural, open_source
from structkit.media.formats import NAMES, SUFFIXES
from structkit.media.pictures import Picture

Pictures = (
    str | Path | Sequence[Picture | str | Path]
)  # a folder, @list.txt, or pictures and paths; folders in these are looked into
Source = tuple[str, Picture | Path]  # a name, and what it is the name of


@dataclass(frozen=True)
class FileList:
    """The pictures of a domain.

    label: what messages call it.  sources: in the natural order of their names, each once.  foreign: how many other
    files there are. folders: those that were named.
    """

    label: str
    sources: tuple[Source, ...]
    foreign: int
    folders: tuple[Path, ...]

    @property
    def files(self) -> list[Path]:
        """The paths among the sources."""
        return [source for _, source in self.sources if isinstance(source, Path)]


def listed(pictures: Pictures) -> FileList:
    """Of a folder and of those in a list or a sequence, the files with a picture's suffix; hidden files are passed
    over.  None is opened.

    Raises InputError where there is no picture, and for a list or a folder that cannot be read.
    """
    base = None
    if not isinstance(pictures, str | Path):
        label, items = "the pictures", list(pictures)
    elif len(str(pictures)) > 1 and str(pictures).startswith("@"):
        label, items = str(pictures), _lines(str(pictures))
    else:
        label, items, base = str(pictures), [Path(pictures)], Path(pictures)
        if not base.is_dir():
            fact = "a file, where a folder of pictures is needed" if base.exists() else "no such folder"
            raise InputError(f"{label}: {fact}; name a folder, or a list of pictures as @list.txt")
    found: list[Source] = []
    folders: list[Path] = []
    foreign = 0
    for item in items:
        if isinstance(item, Picture):
            found.append((item.name, item))
        elif not os.path.isdir(item):
            found.append((Path(item).as_posix(), Path(item)))
        else:
            folders.append(Path(item))
            for file in files_below(item):
                if file.suffix.lower() in SUFFIXES:
                    found.append(((file.relative_to(base) if base else file).as_posix(), file))
                else:
                    foreign += 1
    if not found:
        others = f" among {counted(foreign, 'file')}" if foreign else ""
        raise InputError(f"{label}: no pictures{others}; pictures read: {NAMES}; name a folder that holds some")
    order = {source: natural(source[0]) for source in found}  # each once
    ordered = sorted(order, key=lambda s: (order[s], s[1].sha256 if isinstance(s[1], Picture) else ""))
    return FileList(label, tuple(ordered), foreign, tuple(folders))


def check_apart(one: FileList, other: FileList) -> None:
    """Refuse, by their files alone, two domains that are one, or of which one is part of the other; links are seen
    through.

    Raises OptionError where both name the same folder, InputError where all files of one are in the other.
    """
    for folder in one.folders:
        if any(folder.samefile(there) for there in other.folders):
            raise OptionError(
                f"{folder}: the folder of both kinds of pictures; name two that differ in what is to be learnt"
            )
    check_neither_within(
        *((domain.label, [_identity(source) for _, source in domain.sources]) for domain in (one, other))
    )


def check_neither_within(one: tuple[str, Sequence[Hashable]], other: tuple[str, Sequence[Hashable]]) -> None:
    """Raises InputError if all pictures of a domain are in the other.  Of each: its label, and what is equal where its
    pictures are.
    """
    for (inner, mine), (outer, theirs) in ((one, other), (other, one)):
        if set(mine) <= set(theirs):
            way_out = "name two folders that differ in what is to be learnt"
            raise InputError(f"{inner}: all its pictures ({len(mine):,}) are in {outer} too; {way_out}")


def counted(number: int, what: str = "picture") -> str:
    """1 picture, 2,000 pictures."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _identity(source: Picture | Path) -> Hashable:
    """Equal for all names of one file.  What is not there is told by its name, and pictures in memory by their place
    there.
    """
    if isinstance(source, Picture):
        return id(source)
    try:
        status = source.stat()
    except (OSError, ValueError):
        return source
    return status.st_dev, status.st_ino


def _lines(name: str) -> list[str]:
    """The paths in a list: one a line, relative to the current folder, blank lines ignored."""
    with open_source(name[1:]) as (_, stream):
        text = stream.read().decode("utf-8", "surrogateescape")
    return [line for line in (line.rstrip("\r") for line in text.split("\n")) if line.strip()]
