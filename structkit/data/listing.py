"""The listing of files: from folders, patterns, lists and sequences to files, before any file is opened.

`PathList` has the one set of rules, for the command line too; `list_files` makes a domain of pictures by them.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from structkit.errors import InputError, OptionError
from structkit.media.containers import HEAD, VIDEO_SUFFIXES, sniff
from structkit.media.files import names_below, natural, open_source
from structkit.media.formats import HEAD as PICTURE_HEAD
from structkit.media.formats import NAMES, PICTURE_LIKE, SUFFIXES, recognise
from structkit.media.texts import read_text

if TYPE_CHECKING:  # a command line sorts its inputs by what stands here, and loads no pictures for that
    from structkit.media.pictures import Picture

# A folder, a "pattern*.png", "@list.txt", or a sequence of these and of pictures and files.  A Path in a sequence is
# the folder or file of that very name.
Pictures: TypeAlias = "str | Path | Sequence[Picture | str | Path]"
Source: TypeAlias = "tuple[str, Picture | Path]"  # a name, and the picture or file of that name
Found: TypeAlias = "tuple[str, str]"  # the path of a file, and its place, as text: there may be millions

NAMED = 3  # files that a message names


class PathList:
    """The files that arguments stand for: folders, patterns that no shell expanded, @lists, and files.

    In folders (with those below) and in patterns only files with one of the suffixes are taken, in natural order, and
    files without any suffix that begin like a picture; a file with the suffix of a video must also begin like one.
    Hidden files are passed over.  A file that is named is taken whatever its suffix.
    names: the paths of files, each with its place in the folder that it was found in, or in the fixed part of the
    pattern, as text.
    files: the same as paths.
    folders: those that were named.
    patterns: those that were named, each with its fixed part.
    unmatched: the patterns that nothing matches.
    foreign: the number of files that are not taken.
    unread: those of them that have the suffix of a picture format that is not read.
    many: true if anything but single files was named, so that there may be any number.
    """

    def __init__(
        self,
        suffixes: Sequence[str] = SUFFIXES,
        leave_out: Iterable[Path] = (),
        lines: Callable[[str], list[str]] | None = None,
        suits: Callable[[Path], bool] | None = None,
    ) -> None:
        """suffixes: those of the files that are taken.
        leave_out: folders that are passed over, resolved.
        lines: reads a list of the name; None is `list_lines`.
        suits: says of a file in a folder or a pattern that would be taken if it is; None takes all.
        """
        self.suffixes, self.leave_out, self.lines = frozenset(suffixes), frozenset(leave_out), lines or list_lines
        self.suits = suits
        self.names: list[Found] = []
        self.folders: list[Path] = []
        self.patterns: list[tuple[str, Path]] = []
        self.unmatched: list[str] = []
        self.foreign, self.many = 0, False
        self.unread: list[Path] = []

    @property
    def files(self) -> list[tuple[Path, PurePath]]:
        return [(Path(name), PurePath(place)) for name, place in self.names]

    def add(self, argument: str) -> list[Found]:
        """Take a folder, a pattern, a list or a file; returns the new files.

        Raises InputError for a list or a folder that cannot be read.
        """
        before = len(self.names)
        if "\0" in argument:
            raise InputError(f"{argument}: a name with a NUL character, which no file has")
        if is_list(argument):
            self.many = True
            for line in self.lines(argument[1:]):
                self._add_one(line)
        else:
            self._add_one(argument)
        return self.names[before:]

    def add_path(self, path: Path) -> None:
        """Take the folder or the file of this very name, whatever characters it has."""
        if os.path.isdir(path):
            self.many = True
            self.folders.append(path)
            self._take(names_below(path, self.leave_out), path)
        else:
            self.names.append((str(path), path.name))

    def _add_one(self, argument: str) -> None:
        if not is_pattern(argument):
            self.add_path(Path(argument))
            return
        base, rest = _split(argument)
        self.many = True
        self.patterns.append((argument, base))
        pattern = os.path.join(glob.escape(str(base)) if base.parts else "", rest)
        matches = [Path(match) for match in glob.glob(pattern, recursive=True)]
        if not matches:
            self.unmatched.append(argument)
        matches = sorted((m for m in matches if m.is_file() and not self._is_left_out(m, base)), key=natural)
        self._take(map(str, matches), base)

    def _take(self, names: Iterable[str], base: Path) -> None:
        start = 0 if base == Path() else len(os.path.join(base, ""))  # of places
        for name in names:
            suffix = suffix_of(name).lower()
            ours = self._has_our_suffix(name, suffix) if suffix else _begins_like_a_picture(name)
            if ours and (self.suits is None or self.suits(Path(name))):
                self.names.append((name, name[start:]))
            else:
                self.foreign += 1
                if suffix in PICTURE_LIKE:
                    self.unread.append(Path(name))

    def _has_our_suffix(self, name: str, suffix: str) -> bool:
        return suffix in self.suffixes and not (suffix in VIDEO_SUFFIXES and _is_no_video(name))

    def _is_left_out(self, path: Path, base: Path) -> bool:
        """True if one of the folders between `base` and the file is to be passed over."""
        return any((base / folder).resolve() in self.leave_out for folder in path.relative_to(base).parents[:-1])


@dataclass(frozen=True)
class FileList:
    """The pictures of a domain.

    label: the name of the domain in messages.
    sources: in the natural order of their names, each once.
    foreign: the number of other files.
    folders, patterns: those that were named; a pattern with its fixed part.
    unread: the other files that have the suffix of a picture format that is not read.
    """

    label: str
    sources: tuple[Source, ...]
    foreign: int
    folders: tuple[Path, ...]
    patterns: tuple[tuple[str, Path], ...] = ()
    unread: tuple[Path, ...] = ()

    @property
    def files(self) -> list[Path]:
        """The paths among the sources."""
        return [source for _, source in self.sources if isinstance(source, Path)]

    def pattern_of(self, path: Path) -> str | None:
        """The pattern by which a file of this path would be found, if it were there; else None."""
        parts = Path(os.path.abspath(path)).parts
        for pattern, base in self.patterns:
            fixed = (glob.escape(part) for part in Path(os.path.abspath(base)).parts)
            if _matches(parts, (*fixed, *Path(_split(pattern)[1]).parts)):
                return pattern
        return None


def list_files(pictures: Pictures | FileList) -> FileList:
    """The pictures that are meant: those that a `PathList` finds, and those in memory.  None is opened.

    The files of a single folder or pattern are named by their places there, all others by their paths.
    Raises InputError where there is no picture, and for a list or a folder that cannot be read.
    """
    if isinstance(pictures, FileList):
        return pictures
    paths, memory = PathList(), []
    alone = str(pictures) if isinstance(pictures, str | os.PathLike) else None
    if alone is None:
        for item in pictures:
            if isinstance(item, str):
                paths.add(item)
            elif isinstance(item, os.PathLike):
                paths.add_path(Path(item))
            else:
                memory.append(item)
    elif os.path.isdir(alone) or is_list(alone) or is_pattern(alone):
        paths.add(alone)
    else:
        fact = "a file, where a folder of pictures is needed" if os.path.exists(alone) else "no such folder"
        raise InputError(f"{alone}: {fact}; name a folder, or a list of pictures as @list.txt")
    label, is_tree = "the pictures" if alone is None else alone, alone is not None and not is_list(alone)
    found: list[Source] = [(picture.name, picture) for picture in memory]
    found += [(Path(place if is_tree else name).as_posix(), Path(name)) for name, place in paths.names]
    if alone is None or is_list(alone):  # a file that is not there may have brackets in its name
        found += [(pattern, Path(pattern)) for pattern in paths.unmatched]
    if not found:
        others = f" among {counted(paths.foreign, 'file')}" if paths.foreign else ""
        fact = f"no pictures{others}{unread_words(paths.unread)}"
        raise InputError(f"{label}: {fact}; pictures read: {NAMES}; name a folder that holds some")
    order = {source: natural(source[0]) for source in found}  # each once
    ordered = sorted(order, key=lambda s: (order[s], "" if isinstance(s[1], Path) else s[1].sha256))
    named = tuple(paths.folders), tuple(paths.patterns)
    return FileList(label, tuple(ordered), paths.foreign, *named, tuple(paths.unread))


def unread_words(unread: Sequence[Path]) -> str:
    """The end of a line about files that were passed over: those that look like pictures, or nothing."""
    if not unread:
        return ""
    some = ", ".join(map(str, unread[:NAMED])) + (", ..." if len(unread) > NAMED else "")
    what = "a picture of a format that is" if len(unread) == 1 else "pictures of formats that are"
    return f", {len(unread):,} of them {what} not read ({some})"


def suffix_of(name: str) -> str:
    """The suffix of the file at a path, as pathlib has it; without making a Path."""
    last = name[name.rfind(os.sep) + 1 :]
    dot = last.rfind(".")
    return last[dot:] if 0 < dot < len(last) - 1 else ""


def is_list(argument: str) -> bool:
    """True for an argument that names a list: @list.txt."""
    return len(argument) > 1 and argument.startswith("@")


def is_pattern(argument: str) -> bool:
    """True for a pattern: an argument with wildcards that is the name of nothing."""
    return glob.has_magic(argument) and not os.path.lexists(argument)


def list_lines(name: str) -> list[str]:
    """The paths in the list of this name, see `lines_of`.  Raises InputError."""
    with open_source(name) as (label, stream):
        return lines_of(stream, label)


def lines_of(stream: BinaryIO, label: str) -> list[str]:
    """The paths in a list: one a line, relative to the current folder, blank lines ignored.

    label: the name of the list in messages.
    Raises InputError for what is no text.
    """
    return [line for line in read_text(stream, label, bytes_are_kept=True).split("\n") if line.strip()]


def check_apart(one: FileList, other: FileList) -> None:
    """Refuse, by their files alone, two domains that are one, or of which one is part of the other.

    Links are seen through.
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
    """Refuse two domains if all pictures of one are in the other.  Raises InputError.

    one, other: the label of each, and for each of its pictures a value that is equal for equal pictures.
    """
    for (inner, mine), (outer, theirs) in ((one, other), (other, one)):
        if set(mine) <= set(theirs):
            way_out = "name two folders that differ in what is to be learnt"
            raise InputError(f"{inner}: all its pictures ({len(mine):,}) are in {outer} too; {way_out}")


def counted(number: int, what: str = "picture") -> str:
    """The number with its noun: 1 picture, 2,000 pictures."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _identity(source: Picture | Path) -> Hashable:
    """A value that is equal for all names of one file.  A missing file is told by its name, and a picture in memory by
    its place there.
    """
    if not isinstance(source, Path):
        return id(source)
    try:
        status = source.stat()
    except (OSError, ValueError):
        return source
    return status.st_dev, status.st_ino


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """True if the parts of a path are those of a pattern, in which ** is any number of folders."""
    if not (parts and pattern):
        return not parts and all(part == "**" for part in pattern)
    if pattern[0] == "**":
        return _matches(parts, pattern[1:]) or _matches(parts[1:], pattern)
    return fnmatch(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def _is_no_video(path: str) -> bool:
    """True for a file, of a video's suffix, with the content of something else: .ts is TypeScript too."""
    try:
        with open(path, "rb") as stream:
            return sniff(stream.read(HEAD)) is None
    except OSError:
        return False  # the reader will say what is wrong


def _begins_like_a_picture(path: str) -> bool:
    try:
        with open(path, "rb") as stream:
            return recognise(stream.read(PICTURE_HEAD)) is not None
    except OSError:
        return False


def _split(pattern: str) -> tuple[Path, str]:
    """The fixed part of a pattern, to which the outputs are relative, and what follows.

    Folders are fixed up to the first name that has wildcards and is the name of nothing: there may be a folder br[1].
    """
    *folders, last = Path(pattern).parts
    fixed = Path()
    for number, part in enumerate(folders):
        if glob.has_magic(part) and not os.path.lexists(fixed / part):
            return fixed, os.path.join(*folders[number:], last)
        fixed /= part
    return fixed, last
