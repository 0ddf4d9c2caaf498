"""Inputs: the files that arguments stand for, and `-` for the bytes on standard input."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, BinaryIO

from structkit.data.listing import PathList, lines_of, list_files, suffix_of
from structkit.errors import DeviceError, InputError, OptionError
from structkit.media.containers import HEAD, VIDEO_SUFFIXES, is_video, sniff
from structkit.media.files import MOST_IN_MEMORY, open_source, read_once, sha256_file
from structkit.media.formats import MOVING, SUFFIXES, recognise

if TYPE_CHECKING:
    from structkit.media.pictures import Picture
    from structkit.media.video import VideoReader


NO_FILE = -1  # in the place of a size


class InputFile:
    """A file, or standard input; light, since there may be a million.

    path: None is standard input.
    relative: its place in the tree it was found in, which outputs mirror.
    """

    __slots__ = ("__dict__", "_digest", "_name", "_place", "_size")  # the last for what few inputs are asked

    def __init__(self, path: Path | str | None, relative: PurePath | str) -> None:
        """path, relative: a text is one that pathlib spells alike."""
        self._name, self._place = None if path is None else os.fspath(path), os.fspath(relative)
        self._size: int | None = None  # bytes; NO_FILE for what is no regular file; None until somebody has looked
        self._digest: str | None = None

    def __eq__(self, other: object) -> bool:
        if self.__class__ is not other.__class__:
            return NotImplemented
        return self is other or (self._name == other._name and self._place == other._place)

    def __hash__(self) -> int:
        return hash((self._name, self._place))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name!r}, {self._place!r})"

    @property
    def path(self) -> Path | None:
        return None if self._name is None else Path(self._name)

    @property
    def is_standard(self) -> bool:
        """True for standard input."""
        return self._name is None

    @property
    def relative(self) -> PurePath:
        return PurePath(self._place)

    def identity(self) -> tuple[int, int] | None:
        """The device and number of the file, which all its names have in common; None where there is none."""
        try:
            status = os.stat(self._name) if self._name is not None else None
        except (OSError, ValueError):
            status = None
        self._size = status.st_size if status and stat.S_ISREG(status.st_mode) else NO_FILE
        return (status.st_dev, status.st_ino) if status else None

    @property
    def size(self) -> int:
        """The bytes of the file; 0 for a folder, and for what can be read only once."""
        return self._size if self._is_regular else 0

    @property
    def _is_regular(self) -> bool:
        if self._size is None:
            self.identity()
        return self._size != NO_FILE

    @property
    def lasting(self) -> str | None:
        """The path of a file or a folder; None for what can be read only once, such as standard input."""
        is_lasting = self._is_regular or (self._name is not None and os.path.isdir(self._name))
        return self._name if is_lasting else None

    @property
    def stem(self) -> PurePath:
        """The place in the tree, without suffix."""
        return self.place(keep_suffix=False)

    def place(self, *, keep_suffix: bool) -> PurePath:
        """The place in the tree, for the name of what is made of the file; without suffix, unless it is kept."""
        return PurePath(self.spelled(keep_suffix=keep_suffix))

    def spelled(self, *, keep_suffix: bool) -> str:
        """The same as text."""
        return self._place if keep_suffix else self._place.removesuffix(suffix_of(self._place))

    @property
    def said(self) -> tuple[str, ...]:
        """The names of the folders that the file is in, as it was named, and its own, without suffix."""
        if self.path is None:
            return self.stem.parts
        return tuple(part for part in self.path.with_suffix("").parts if part not in ("..", self.path.anchor))

    @property
    def name(self) -> str:
        """The name by which the user knows the file."""
        return "-" if self._name is None else self._name

    @cached_property
    def _once(self) -> bytes | None:
        """The bytes of an input that can be read only once: standard input, a named pipe.

        Raises InputError for one that cannot be read, or has no end; DeviceError where memory does not suffice.
        """
        try:
            if self.path is None:
                return sent(sys.stdin.buffer, self.label)
            if not os.path.exists(self.path) or os.path.isfile(self.path) or os.path.isdir(self.path):
                return None
            with open(self.path, "rb") as stream:
                return sent(stream, self.label)
        except MemoryError as error:
            fact = "memory ran out while it was read"
            raise DeviceError(f"{self.label}: {fact}; free some, or save it as a file, and name that") from error
        except OSError as error:
            if self.path is None and error.errno == errno.EBADF:
                raise InputError("standard input is closed: send it a file or a pipe") from error
            raise InputError(f"{self.label}: {error.strerror or error}") from error

    def held(self) -> InputFile:
        """The same file with its bytes in memory, as one that can be read only once; for a machine that lacks it.

        Raises InputError for one that cannot be read, or is too long.
        """
        if not self._is_regular and self._once is not None:
            return self
        copy = InputFile(self._name, self._place)
        copy._size, copy._once = NO_FILE, _bytes_of(self._name, self.label)  # type: ignore[arg-type]
        return copy

    @property
    def sha256(self) -> str:
        """The hash of the bytes of the file, in hex."""
        if self._digest is None:
            if self._is_regular:
                self._digest = sha256_file(self._name, self._size)
            elif self._once is None:
                self._digest = sha256_file(self._name)
            else:
                self._digest = hashlib.sha256(self._once).hexdigest()
        return self._digest

    @cached_property
    def is_video(self) -> bool:
        """True for a video: by its suffix, and where that says nothing by its first bytes."""
        if self.path is not None and self.path.suffix.lower() in (*SUFFIXES, *VIDEO_SUFFIXES):
            return is_video(self.path)
        try:
            if self._once is not None:
                return is_video(self._once)
            with open(self.path, "rb") as stream:
                return is_video(stream.read(HEAD))
        except (OSError, InputError):
            return False  # the reader will say what is wrong

    @cached_property
    def is_still(self) -> bool:
        """True for a picture that is not animated, by its bytes; one that is damaged may not count."""
        try:
            if self._once is not None:
                return _animated(BytesIO(self._once)) is False
            with open(self.path, "rb") as stream:
                return _animated(stream) is False
        except (OSError, InputError):
            return False  # the reader will say what is wrong

    @property
    def source(self) -> Path | bytes:
        """The path, for a reader, or the bytes of an input that can be read only once."""
        return self.path if self._is_regular or self._once is None else self._once  # type: ignore[return-value]

    def video(self, max_pixels: int | None = None, tolerant: bool = False) -> VideoReader:
        """The reader of the video.

        max_pixels: the largest frame that is read, as for `picture`.
        tolerant: as for `picture`.
        """
        from structkit.media.video import MAX_PIXELS, VideoReader

        return VideoReader(self.source, name=self.label, max_pixels=max_pixels or MAX_PIXELS, tolerant=tolerant)

    def picture(self, max_pixels: int | None = None, tolerant: bool = False) -> Picture:
        """The picture that the file holds.

        max_pixels: the largest that is read, or None for the usual limit.
        tolerant: a damaged one is taken as far as it goes, with a note.
        Raises InputError, which names the file.
        """
        from structkit.media.pictures import MAX_PIXELS, read_picture

        return read_picture(self.source, name=self.label, max_pixels=max_pixels or MAX_PIXELS, tolerant=tolerant)

    @property
    def label(self) -> str:
        """The word that messages of its readers begin with."""
        return "standard input" if self.path is None else self.name


class InputFolder(InputFile):
    """A folder of pictures, one for each frame of a video, in natural order."""

    __slots__ = ()
    is_video = False

    def held(self) -> InputFolder:
        copy = type(self)(self._name, self._place)
        copy.__dict__["files"] = [given.held() for given in self.files]
        return copy

    @cached_property
    def files(self) -> list[InputFile]:
        """The pictures.  Raises InputError where there is none."""
        return [InputFile(path, PurePath(path.name)) for path in list_files(str(self.path)).files]

    @cached_property
    def sha256(self) -> str:
        """The hash of the pictures' hashes, in their order, in hex."""
        return hashlib.sha256("".join(given.sha256 for given in self.files).encode()).hexdigest()


@dataclass
class InputList:
    """The inputs that a list of arguments stands for.

    foreign: the number of files in folders that are none to take.
    unread: those of them that look like pictures, of formats that are not read.
    many: true if a folder, a pattern, a list or several files were named, so that there may be any number of inputs.
    folders: those that were named, or are the fixed part of a pattern.
    """

    inputs: list[InputFile] = field(default_factory=list)
    foreign: int = 0
    many: bool = False
    folders: list[Path] = field(default_factory=list)
    unread: list[Path] = field(default_factory=list)


def gather(
    arguments: Sequence[str],
    *,
    leave_out: Iterable[str | None] = (),
    videos: bool = False,
    clips: bool = False,
    films: bool = False,
) -> InputList:
    """The pictures (and videos) that the arguments stand for, as a `PathList` finds them, or standard input; each once.

    clips: true for videos and animated pictures alone.
    films: true for videos alone.
    leave_out: the folders that are passed over, where the outputs go.
    Raises OptionError.
    """
    skipped = [Path(folder).resolve() for folder in leave_out if folder is not None and folder != "-"]
    suffixes = (*MOVING, *VIDEO_SUFFIXES) if clips else (*SUFFIXES, *VIDEO_SUFFIXES) if videos else SUFFIXES
    suffixes = tuple(VIDEO_SUFFIXES) if films else suffixes
    paths = PathList(suffixes, skipped, _lines, _moves if clips else None)
    inputs: list[InputFile] = []
    for argument in arguments:
        if not argument:
            raise OptionError("an input is the empty text: name a file, or . for the current folder")
        if argument == "-":
            if sys.stdin.isatty():
                raise OptionError(
                    "- reads a picture's bytes from standard input, and that is the terminal: send it a file or a pipe"
                )
            inputs.append(InputFile(None, PurePath("stdin")))
            continue
        try:
            inputs += [InputFile(name, place) for name, place in paths.add(argument)]
        except InputError as error:
            raise OptionError(str(error)) from error
    if sum(given.is_standard for given in inputs) > 1:
        raise OptionError("standard input (-) is named twice: it can be read only once")
    folders = [*paths.folders, *(fixed for _, fixed in paths.patterns)]
    many = paths.many or len(arguments) > 1
    return InputList(list(dict.fromkeys(inputs)), paths.foreign, many, folders, paths.unread)


def _moves(path: Path) -> bool:
    """True for a video, and for a picture that is animated; one that cannot be read counts as one."""
    if is_video(path):
        return True
    with suppress(OSError):
        with suppress(InputError), path.open("rb") as stream:
            return _animated(stream) is not False
        return False
    return True


def _animated(stream: BinaryIO) -> bool | None:
    """True for an animated picture, false for a still one, None for a damaged one.  Raises InputError for none."""
    from structkit.media.animations import is_animated

    format = recognise(stream.read(HEAD))
    if format is None:
        raise InputError("not a picture that is read")
    stream.seek(0)
    return is_animated(stream, format)


def sent(stream: BinaryIO, label: str) -> bytes:
    """The bytes of a stream: all of a picture or a video, and of anything else what suffices to see that it is none.

    label: the name of the stream in messages.
    Raises InputError for a stream over the limit of what can be read only once.
    """
    head = stream.read(HEAD)
    return read_once(stream, label, head) if recognise(head) or sniff(head) else head


def _bytes_of(path: str, label: str) -> bytes:
    """The bytes of a file that is sent to another machine.  Raises InputError."""
    with open_source(path, label) as (_, stream):
        if (size := os.fstat(stream.fileno()).st_size) > MOST_IN_MEMORY:
            fact = f"{size} bytes, over the limit of {MOST_IN_MEMORY} for files that --ship sends"
            raise InputError(f"{label}: {fact}; use a disk that all workers share, and leave --ship out")
        return stream.read()


def told_apart(inputs: Iterable[InputFile], *, keep_suffix: bool = False) -> dict[InputFile, str]:
    """The words for several inputs, for the names of what is made with them.

    An input's word is its place in the tree that it was found in.  Inputs of the same place also have the folders above
    it, as they were named, as many as it takes.  Inputs that no folder tells apart (a.jpg and a.png in one) keep one
    word: the plan refuses what both would be written to.
    keep_suffix: true for words with the suffixes.
    """
    places = {given: given.place(keep_suffix=keep_suffix).parts for given in inputs}
    for above in range(1, 1 + max((len(given.said) for given in places), default=0)):
        often = Counter(places.values())
        alike = [given for given in places if often[places[given]] > 1]
        places |= {
            given: (*given.said[-len(given.stem.parts) - above : -1], given.place(keep_suffix=keep_suffix).name)
            for given in alike
        }
    return {given: "-".join(place) for given, place in places.items()}


def _lines(name: str) -> list[str]:
    """The paths in a list."""
    try:
        with open(name, "rb") as stream:
            return lines_of(stream, f"@{name}")
    except OSError as error:
        raise OptionError(f"@{name}: {error.strerror}: the list of inputs cannot be read") from error
