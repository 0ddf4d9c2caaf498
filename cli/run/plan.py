"""The plan of a run: the outputs that each set of inputs makes, where they go, and their maker."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, NoReturn, Self

from structkit.errors import DeviceError, OptionError
from structkit.media.containers import VIDEO_SUFFIXES, WRITTEN
from structkit.media.formats import SUFFIXES, format_of
from structkit.media.formats import WRITTEN as PICTURES_WRITTEN
from structkit_cli.run.inputs import InputFile, InputList
from structkit_cli.run.results import (
    CLIPS_WRITTEN,
    CURVES_WRITTEN,
    DATA_SUFFIXES,
    DEFAULT_FORMATS,
    OutputKind,
    Result,
)

Progress = Callable[[float, str], None]  # called with the share of a task that is done, 0 to 1, and a note


NOTHING: Mapping[str, Any] = {}  # that is chosen for one output alone


class Output:
    """A file to write; light, since there may be a million.

    path: None is standard output.
    root: the folder whose manifest knows of it.
    format: a video's is its suffix.
    dry: true for one that is only planned, and never written: a dry run's.
    chosen: options of this output alone, which change its bytes.
    """

    __slots__ = ("chosen", "dry", "format", "kind", "name", "root", "seed")

    def __init__(
        self,
        path: Path | str | None,
        root: Path,
        format: str,
        seed: int,
        kind: OutputKind = OutputKind.PICTURE,
        dry: bool = False,
        chosen: Mapping[str, Any] = NOTHING,
    ) -> None:
        """path: a text is one that pathlib spells alike."""
        self.name = None if path is None else os.fspath(path)
        self.root, self.format, self.seed, self.kind, self.dry, self.chosen = root, format, seed, kind, dry, chosen

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Output):
            return NotImplemented
        return self is other or all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]  # of what is chosen there is none

    def __repr__(self) -> str:
        return f"Output({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__slots__)})"

    @property
    def path(self) -> Path | None:
        return None if self.name is None else Path(self.name)

    @property
    def flag(self) -> str:
        """The option that names its place."""
        return self.kind.flag


@dataclass(frozen=True, slots=True)
class Task:
    """A call of a verb: its inputs by role, and the outputs that it makes.

    Roles are in the order of the usage line; the first is the input that the records are named after.
    """

    inputs: Mapping[str, InputFile]
    outputs: tuple[Output, ...]

    @property
    def bond(self) -> Hashable:
        """A value that tasks have in common which need one another's files; None for a task that needs none."""
        return None


class MakerError(DeviceError):
    """An error of what makes the outputs, which every other task would meet too."""


class Maker:
    """The maker of the outputs of tasks; a context, which is open while the runner works.

    works_ahead: true if the runner looks at tasks long before it comes to them, and says to `expect` which it will.
    ahead: tasks at most that it looks up before the present one is done.
    is_fast: true if outputs come so fast that they take their names together.
    """

    works_ahead = is_fast = False
    ahead = 128

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def device(self, name: str, local: int | None = None) -> str:
        """The name of the device that the work is done on, of the one asked for: see `structkit.device.resolve`.

        local: the number of this process among several of its machine, which have a device each.
        """
        from structkit.device import resolve  # this loads torch

        device = resolve(name)
        if local is None:
            return device
        from structkit.device import own_device

        return own_device(device, local)

    def together(self, device: str) -> int:
        """The number of tasks that are best made together on a device."""
        return 1

    def expect(self, task: Task, missing: Sequence[Output]) -> None:
        """Hear of a task that the runner will come to, after those that it said before.

        missing: its outputs that are to be made.
        """

    def make(
        self, task: Task, missing: Sequence[Output], device: str, progress: Progress
    ) -> Iterable[tuple[Output, Result]]:
        """The missing outputs of the task, each with its result, in their order."""
        raise NotImplementedError


@dataclass(frozen=True)
class Plan:
    """The whole of a run: a verb, its tasks and their maker.

    options: those of the verb that change the outputs' bytes.
    many: true for a batch.
    foreign: the number of files in folders that are none for the verb to read.
    unread: those of them that look like pictures, of formats that are not read.
    """

    verb: str
    tasks: Sequence[Task]
    maker: Maker
    options: Mapping[str, Any]
    many: bool
    foreign: int
    unread: Sequence[Path] = ()


def shared(tasks: Sequence[Task]) -> dict[str, InputFile]:
    """The inputs that several tasks have in the same role, by role: a model, the one donor.  A single task shares
    nothing.
    """
    if len(tasks) < 2:
        return {}
    found = dict(tasks[0].inputs)
    for task in tasks:
        for role in [role for role, source in found.items() if task.inputs.get(role) != source]:
            del found[role]
        if not found:
            break
    return found


def name_of(task: Task, common: Mapping[str, InputFile]) -> str:
    """The name of a task in messages, which tells it from the others.  common: see `shared`."""
    return " + ".join(
        source.name for role, source in task.inputs.items() if role not in common or len(common) == len(task.inputs)
    )


class Destination:
    """The place where outputs go: the meaning of `-o` (or `--compare`), for one set of inputs or for a batch.

    kind: of the outputs; in a folder some may be of another.
    format: None is the one of the name that is given, or the usual one of the kind; data have no usual one.
    keep_suffix: true for names in which the suffixes of the inputs stay.
    inputs: those of which pictures are made; a message names the first where it asks for a video.
    """

    def __init__(
        self,
        where: str | None,
        *,
        many: bool,
        format: str | None,
        flag: str = "--output",
        kind: OutputKind = OutputKind.PICTURE,
        keep_suffix: bool = False,
        inputs: Sequence[InputFile] = (),
    ):
        self.stdout, self.many, self.flag, self.kind = where == "-", many, flag, kind
        self.keep_suffix = keep_suffix
        if self.stdout and flag != "--output":
            raise OptionError(f"{flag} - cannot be: only the result goes to stdout; name a file")
        named = where if where not in (None, "-") else None
        self.is_folder = many or named is None or named.endswith(("/", os.sep)) or os.path.isdir(named)
        self.folder = Path(named or ".") if self.is_folder else Path(named).parent  # type: ignore[arg-type]
        self._start = "" if self.folder == Path() else os.path.join(self.folder, "")
        self.stem: str | None = None
        if keep_suffix and (self.stdout or not self.is_folder):
            raise OptionError(
                f"--keep-suffix means nothing with {flag} {where}, which is the whole name: leave one of them out"
            )
        if self.is_folder:
            if many and not named and not self.stdout:
                raise OptionError(f"there may be several outputs: name a folder for them with {flag} FOLDER/")
            if many and named and not named.endswith("/") and not os.path.isdir(named) and self._is_a_file(named):
                raise OptionError(
                    f"{flag} {named} is a file, and there may be several outputs: name a folder, such as "
                    f"{Path(named).stem}/"
                )
            self.format = format or DEFAULT_FORMATS[kind.value]
            self.suffix = kind.suffix_of(self.format)
        else:
            path = Path(named)  # type: ignore[arg-type]
            self.stem, self.suffix = path.stem, path.suffix
            if names_video(path) and kind in (OutputKind.PICTURE, OutputKind.COMPARISON) and format is None:
                _refuse_video(path, flag, inputs)
            self.format = FORMAT_READERS.get(kind, _picture_format)(path, format, flag)

    def _is_a_file(self, named: str) -> bool:
        return Path(named).suffix.lower() in {*SUFFIXES, *WRITTEN, *self.kind.suffixes}

    def set_apart(self, gathered: Iterable[InputList], exists: str | None) -> None:
        """Refuse to write into a folder that is read, unless that was said aloud.

        The next run would take the outputs for inputs.
        """
        for folder in (folder for found in gathered for folder in found.folders):
            if (
                self.is_folder
                and not self.stdout
                and exists != "overwrite"
                and folder.resolve() == self.folder.resolve()
            ):
                raise OptionError(
                    f"{self.folder} is a folder of inputs too: write elsewhere with {self.flag}, or say --exists "
                    "overwrite"
                )

    def name_of(self, given: InputFile) -> PurePath:
        """The name that an input lends to what is made of it, with its place in the tree."""
        return given.place(keep_suffix=self.keep_suffix)

    def spelled(self, given: InputFile) -> str:
        """The same as text."""
        return given.spelled(keep_suffix=self.keep_suffix)

    def output(
        self,
        relative: PurePath | str,
        *,
        word: str = "",
        seed: int,
        kind: OutputKind | None = None,
        dry: bool = False,
        chosen: Mapping[str, Any] = NOTHING,
    ) -> Output:
        """The output that stands for `relative` (a path without suffix) in this place.

        word: tells it from its siblings.
        kind: None is that of the place.
        dry, chosen: see `Output`.
        """
        kind, format, suffix = kind or self.kind, self.format, self.suffix
        if kind is not self.kind and self.is_folder:
            format = DEFAULT_FORMATS[kind.value]
            suffix = kind.suffix_of(format)
        if self.stdout:
            return Output(None, Path(), format, seed, kind, dry, chosen)
        path = f"{self._start}{relative if self.is_folder else self.stem}{word}{suffix}"
        return Output(path, self.folder, format, seed, kind, dry, chosen)


def names_video(output: str | PurePath) -> bool:
    """True for a name that ends as those of videos do, also of such as are only read."""
    return PurePath(output).suffix.lower() in {*WRITTEN, *VIDEO_SUFFIXES}


def _refuse_video(path: Path, flag: str, inputs: Sequence[InputFile]) -> NoReturn:
    """Refuse the name of a video for a picture."""
    if inputs and inputs[0].is_video:
        fact = f"{inputs[0].name} is a video, and only pictures can be given here"
        raise OptionError(f"{fact}: save its frames as pictures, and name a folder with {flag} FOLDER/")
    raise OptionError(f"{flag} {path} names a video, and a picture goes there: end the name in .png")


def _picture_format(path: Path, format: str | None, flag: str) -> str:
    by_name = format_of(path).name.lower() if path.suffix.lower() in SUFFIXES else None
    if by_name is None and format is None:
        raise OptionError(
            f"{flag} {path} has a suffix that names no format: use one of {' '.join(PICTURES_WRITTEN)}, or say --format"
        )
    if by_name and format and by_name != format:
        raise OptionError(f"{flag} {path} says {by_name} and --format says {format}: change one of them")
    return format or by_name  # type: ignore[return-value]


def _video_format(path: Path, format: str | None, flag: str) -> str:
    if path.suffix.lower() not in WRITTEN:
        raise OptionError(f"{flag} {path} is to be a video: end the name in one of {' '.join(WRITTEN)}")
    return path.suffix.lower().removeprefix(".")


def _clip_format(path: Path, format: str | None, flag: str) -> str:
    suffix = path.suffix.lower()
    if suffix not in CLIPS_WRITTEN:
        raise OptionError(f"{flag} {path} is to be a clip: end the name in one of {' '.join(CLIPS_WRITTEN)}")
    if format and suffix != f".{format}":
        raise OptionError(f"{flag} {path} says {suffix[1:]} and --format says {format}: change one of them")
    return suffix.removeprefix(".")


def _curve_format(path: Path, format: str | None, flag: str) -> str:
    if path.suffix.lower() not in CURVES_WRITTEN:
        raise OptionError(f"{flag} {path} has a suffix that names no format: use one of {' '.join(CURVES_WRITTEN)}")
    return path.suffix.lower().removeprefix(".")


def _report_format(path: Path, format: str | None, flag: str) -> str:
    if path.suffix.lower() != DATA_SUFFIXES["html"]:
        raise OptionError(f"{flag} {path} is to be a page: end the name in .html")
    return "html"


def _data_format(path: Path, format: str | None, flag: str) -> str:
    """The format that a verb has chosen, whatever the name; else the one of the suffix."""
    by_suffix = {suffix: name for name, suffix in DATA_SUFFIXES.items()}
    if format is None and path.suffix.lower() not in by_suffix:
        raise OptionError(f"{flag} {path} has a suffix that names no format: use one of {' '.join(by_suffix)}")
    return format or by_suffix[path.suffix.lower()]


FORMAT_READERS = {
    OutputKind.VIDEO: _video_format,
    OutputKind.CLIP: _clip_format,
    OutputKind.PLAYER: _data_format,
    OutputKind.DATA: _data_format,
    OutputKind.CURVE: _curve_format,
    OutputKind.HEATMAP: _video_format,
    OutputKind.REPORT: _report_format,
}


def share(progress: Progress, index: int, count: int) -> Progress:
    """The progress of the `index`-th of `count` equal parts."""
    return lambda fraction, note="": progress((index + fraction) / count, note)


def numbered(count: int) -> list[str]:
    """Words that tell `count` samples of one input apart: '' for one, else -1 .. -n with leading zeros."""
    return [""] if count == 1 else [f"-{i:0{len(str(count))}d}" for i in range(1, count + 1)]
