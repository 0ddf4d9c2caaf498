"""Inputs: files, folders, patterns that the shell did not expand, `@list.txt`, and `-` for the bytes on standard
input.
"""

from __future__ import annotations

import glob
import hashlib
import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from structkit.errors import InputError, OptionError
from structkit.media.containers import HEAD, VIDEO_SUFFIXES, is_video, sniff
from structkit.media.files import files_below, natural, sha256_file
from structkit.media.formats import SUFFIXES

if TYPE_CHECKING:
    from structkit.media.pictures import Picture
    from structkit.media.video import VideoReader


@dataclass(frozen=True)
class InputFile:
    """One file, or standard input."""

    path: Path | None  # None is standard input
    relative: PurePath  # its place in the tree it was found in; outputs mirror it

    @property
    def stem(self) -> PurePath:
        """Its place in the tree, without suffix."""
        return self.relative.with_suffix("")

    @property
    def said(self) -> tuple[str, ...]:
        """The names of the folders, as it was named, that it is in, and its own, without suffix."""
        if self.path is None:
            return self.stem.parts
        return tuple(part for part in self.path.with_suffix("").parts if part not in ("..", self.path.anchor))

    @property
    def name(self) -> str:
        """What the user knows it by."""
        return "-" if self.path is None else str(self.path)

    @cached_property
    def _once(self) -> bytes | None:
        """The bytes of what can be read only once: standard input, a named pipe."""
        if self.path is None:
            return sys.stdin.buffer.read()
        if not os.path.exists(self.path) or os.path.isfile(self.path) or os.path.isdir(self.path):
            return None
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise InputError(f"{self.name}: {error.strerror or error}") from error

    @cached_property
    def sha256(self) -> str:
        """Of the bytes of the file."""
        if self._once is not None:
            return hashlib.sha256(self._once).hexdigest()
        return sha256_file(self.path)

    @cached_property
    def is_video(self) -> bool:
        """Whether it is a video: by its suffix, and where that says nothing by its first bytes."""
        if self.path is not None and self.path.suffix.lower() in (*SUFFIXES, *VIDEO_SUFFIXES):
            return is_video(self.path)
        try:
            if self._once is not None:
                return is_video(self._once)
            with open(self.path, "rb") as stream:
                return is_video(stream.read(HEAD))
        except (OSError, InputError):
            return False  # who reads it will say what is wrong

    def video(self, max_pixels: int | None = None) -> VideoReader:
        """Open it; as `picture`, max_pixels of a frame."""
        from structkit.media.video import MAX_PIXELS, VideoReader

        return VideoReader(
            self._once if self._once is not None else self.path, name=self.label, max_pixels=max_pixels or MAX_PIXELS
        )

    def picture(self, max_pixels: int | None = None) -> Picture:
        """Read it; an `InputError` names the file.  max_pixels: the largest that is read, or None for the usual
        limit.
        """
        from structkit.media.pictures import MAX_PIXELS, read_picture

        return read_picture(
            self._once if self._once is not None else self.path, name=self.label, max_pixels=max_pixels or MAX_PIXELS
        )

    @property
    def label(self) -> str:
        """What messages of who reads it begin with."""
        return "standard input" if self.path is None else self.name


@dataclass
class InputList:
    """What a list of arguments stands for."""

    inputs: list[InputFile] = field(default_factory=list)
    foreign: int = 0  # files in folders that are none to take
    many: bool = False  # a folder, a pattern, a list or several files were named: there may be any number of inputs
    folders: list[Path] = field(default_factory=list)  # that were named, or are the fixed part of a pattern
    suffixes: tuple[str, ...] = SUFFIXES  # of the files that are taken from folders and patterns


def gather(arguments: Sequence[str], *, leave_out: Iterable[str | None] = (), videos: bool = False) -> InputList:
    """The pictures (and videos) that the arguments stand for, in natural order inside each folder or pattern, each file
    once.

    In folders and patterns only files with a picture's suffix (or a video's, if they begin like one) are taken, and the
    others counted; hidden files and the folders `leave_out` (where the outputs go) are passed over.  A file that is
    named is taken whatever its suffix.
    """
    skipped = frozenset(Path(folder).resolve() for folder in leave_out if folder is not None and folder != "-")
    found = InputList(many=len(arguments) > 1, suffixes=(*SUFFIXES, *VIDEO_SUFFIXES) if videos else SUFFIXES)
    for argument in arguments:
        if not argument:
            raise OptionError("an input is the empty text: name a file, or . for the current folder")
        if argument.startswith("@") and len(argument) > 1:
            found.many = True
            for line in _lines(argument[1:]):
                _gather_one(line, found, skipped)
        elif argument == "-":
            if sys.stdin.isatty():
                raise OptionError(
                    "- reads a picture's bytes from standard input, and that is the terminal: send it a file or a pipe"
                )
            found.inputs.append(InputFile(None, PurePath("stdin")))
        else:
            _gather_one(argument, found, skipped)
    if sum(i.path is None for i in found.inputs) > 1:
        raise OptionError("standard input (-) is named twice: it can be read only once")
    found.inputs = list(dict.fromkeys(found.inputs))
    return found


def told_apart(inputs: Iterable[InputFile]) -> dict[InputFile, str]:
    """A word for each of several inputs, for the names of what is made with them: its place in the tree that it was
    found in.

    Where that is the same for some, they have as many of the folders above it, as they were named, as it takes.  What
    no folder tells apart (a.jpg and a.png in one) keeps one word: the plan refuses what both would be written to.
    """
    places = {given: given.stem.parts for given in inputs}
    for above in range(1, 1 + max((len(given.said) for given in places), default=0)):
        often = Counter(places.values())
        places |= {given: given.said[-len(given.stem.parts) - above :] for given in places if often[places[given]] > 1}
    return {given: "-".join(place) for given, place in places.items()}


def _gather_one(argument: str, found: InputList, skipped: frozenset[Path]) -> None:
    path = Path(argument)
    if os.path.isdir(path):
        found.many = True
        found.folders.append(path)
        try:
            _take(files_below(path, skipped), path, found)
        except InputError as error:
            raise OptionError(str(error)) from error
    elif glob.has_magic(argument) and not os.path.lexists(argument):
        found.many = True
        base = _fixed_part(path)
        found.folders.append(base)
        matches = (Path(m) for m in glob.glob(argument, recursive=True))
        _take(sorted((m for m in matches if m.is_file() and not _is_below(m, base, skipped)), key=natural), base, found)
    else:
        found.inputs.append(InputFile(path, PurePath(path.name)))


def _take(paths: Iterable[Path], base: Path, found: InputList) -> None:
    for path in paths:
        if path.suffix.lower() in found.suffixes and not _is_no_video(path):
            found.inputs.append(InputFile(path, path.relative_to(base)))
        else:
            found.foreign += 1


def _is_no_video(path: Path) -> bool:
    """Whether a file has a video's suffix, and the content of something else: .ts is TypeScript too."""
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        return False
    try:
        with open(path, "rb") as stream:
            return sniff(stream.read(HEAD)) is None
    except OSError:
        return False  # who reads it will say what is wrong


def _is_below(path: Path, base: Path, skipped: frozenset[Path]) -> bool:
    """Whether one of the folders between `base` and the file is to be passed over."""
    return any((base / folder).resolve() in skipped for folder in path.relative_to(base).parents[:-1])


def _fixed_part(pattern: Path) -> Path:
    """The folders before the first wildcard: what the outputs of a pattern are relative to."""
    fixed = []
    for part in pattern.parent.parts:
        if glob.has_magic(part):
            break
        fixed.append(part)
    return Path(*fixed)


def _lines(name: str) -> list[str]:
    """The paths in a list: one a line, relative to the current folder, blank lines ignored."""
    try:
        text = Path(name).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise OptionError(f"@{name}: {error.strerror}: the list of inputs cannot be read") from error
    return [line for line in (line.rstrip("\r") for line in text.split("\n")) if line.strip()]
