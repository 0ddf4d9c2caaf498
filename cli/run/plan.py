"""The plan: which outputs each set of inputs makes, and where.  All that can be refused is refused here, before any
work.

One `Task` is one call of a verb: its inputs by role, and the outputs it makes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from structkit.errors import OptionError, OutputError
from structkit.media.containers import WRITTEN
from structkit.media.formats import SUFFIXES, format_of
from structkit_cli.options import OutputOptions
from structkit_cli.run.inputs import InputFile, InputList

if TYPE_CHECKING:
    from structkit.media.pictures import Picture


@dataclass(frozen=True)
class Output:
    """One picture, or video, to write."""

    path: Path | None  # None is standard output
    root: Path  # the folder whose manifest knows of it
    format: str  # a video's is its suffix
    seed: int
    strip: bool = False  # a comparison strip, not a result
    video: bool = False


@dataclass(frozen=True)
class Task:
    """One call of a verb.  Roles are in the order of the usage line; the first is the input that the records are named
    after.
    """

    inputs: Mapping[str, InputFile]
    outputs: tuple[Output, ...]


def shared(tasks: Sequence[Task]) -> dict[str, InputFile]:
    """What all of several tasks have in the same role, by role: a model, the one donor.  A single task shares
    nothing.
    """
    if len(tasks) < 2:
        return {}
    first, *others = (task.inputs for task in tasks)
    return {role: source for role, source in first.items() if all(other.get(role) == source for other in others)}


def names(task: Task, common: Mapping[str, InputFile]) -> str:
    """A task in a message: by what tells it from the others.  common: see `shared`."""
    return " + ".join(
        source.name for role, source in task.inputs.items() if role not in common or len(common) == len(task.inputs)
    )


VIDEO = "mp4"  # where nothing else is said


class Destination:
    """Where outputs go: what `-o` (or `--compare`) means, for one set of inputs or for a batch.

    video: whether what a single file is named for is a video; in a batch each output may be one.
    """

    def __init__(
        self, where: str | None, *, many: bool, format: str | None, flag: str = "--output", video: bool = False
    ):
        self.stdout, self.many, self.flag = where == "-", many, flag
        if self.stdout and flag != "--output":
            raise OptionError(f"{flag} - cannot be: only the result goes to stdout; name a file")
        named = where if where not in (None, "-") else None
        self.is_folder = many or named is None or named.endswith(("/", os.sep)) or os.path.isdir(named)
        self.folder = Path(named or ".") if self.is_folder else Path(named).parent  # type: ignore[arg-type]
        self.stem: str | None = None
        if self.is_folder:
            if many and not named and not self.stdout:
                raise OptionError(f"there may be several outputs: name a folder for them with {flag} FOLDER/")
            if (
                many
                and named
                and not named.endswith("/")
                and not os.path.isdir(named)
                and Path(named).suffix.lower() in (*SUFFIXES, *WRITTEN)
            ):
                raise OptionError(
                    f"{flag} {named} is a file, and there may be several outputs: name a folder, such as "
                    f"{Path(named).stem}/"
                )
            self.format = format or "png"
            self.suffix = format_of(self.format).suffixes[0]
        else:
            path = Path(named)  # type: ignore[arg-type]
            self.stem, self.suffix = path.stem, path.suffix
            self.format = _container_of(path, flag) if video else _format_of(path, format, flag)

    def set_apart(self, gathered: Iterable[InputList], exists: str | None) -> None:
        """Refuse to write into a folder that is read, unless that was said aloud: the next run would take the outputs
        for inputs.
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

    def output(
        self, relative: PurePath, *, word: str = "", seed: int, strip: bool = False, video: bool = False
    ) -> Output:
        """The output that stands for `relative` (a path without suffix) in this place; `word` tells it from its
        siblings.
        """
        format, suffix = (VIDEO, f".{VIDEO}") if video and self.is_folder else (self.format, self.suffix)
        if self.stdout:
            return Output(None, Path(), format, seed, strip, video)
        path = self.folder / (relative.parent if self.is_folder else "") / f"{self.stem or relative.name}{word}{suffix}"
        return Output(path, self.folder, format, seed, strip, video)


def _format_of(path: Path, format: str | None, flag: str) -> str:
    by_name = format_of(path).name.lower() if path.suffix.lower() in SUFFIXES else None
    if by_name is None and format is None:
        raise OptionError(
            f"{flag} {path} has a suffix that names no format: use one of {' '.join(SUFFIXES)}, or say --format"
        )
    if by_name and format and by_name != format:
        raise OptionError(f"{flag} {path} says {by_name} and --format says {format}: change one of them")
    return format or by_name  # type: ignore[return-value]


def _container_of(path: Path, flag: str) -> str:
    if path.suffix.lower() not in WRITTEN:
        raise OptionError(f"{flag} {path} is to be a video: end the name in one of {' '.join(WRITTEN)}")
    return path.suffix.lower().removeprefix(".")


def numbered(count: int) -> list[str]:
    """Words that tell `count` samples of one input apart: '' for one, else -1 .. -n with leading zeros."""
    return [""] if count == 1 else [f"-{i:0{len(str(count))}d}" for i in range(1, count + 1)]


def check(tasks: Sequence[Task], running: OutputOptions, exists: str) -> None:
    """Refuse, before any work, a plan that would lose or mix pictures."""
    outputs = [(output, task) for task in tasks for output in task.outputs]
    for output, _ in outputs:
        if running.quality and not (output.strip or output.video or format_of(output.format).has_quality):
            raise OptionError(
                f"--quality means nothing for {output.format}: leave it out, or say --format jpeg, webp or avif"
            )
    if to_stdout := sum(output.path is None for output, _ in outputs):
        _check_stdout(to_stdout, running, alone=to_stdout == len(outputs))
    files = [(output.path, task) for output, task in outputs if output.path]
    _check_names(files, shared(tasks))
    _check_in_place(files, tasks, exists)
    for path, _ in files:
        _check_writable(path)
        if exists == "error" and os.path.lexists(path):
            raise OptionError(f"{path} exists: choose another name, or say --exists overwrite")


def check_alpha(picture: Picture, outputs: Iterable[Output]) -> None:
    """Refuse, before it is painted, a result that its format could not hold: each verb hands on the alpha of its first
    picture.
    """
    if picture.alpha is None or picture.alpha.min() == 2**picture.bits - 1:
        return
    for output in outputs:
        if not output.strip and not (format := format_of(output.format)).alpha:
            where = output.path or "standard output"
            fact = f"{format.label} cannot hold the transparency of {picture.name}"
            raise OutputError(f"{where}: {fact}; write .png, .webp, .tif, .avif or .gif")


def _check_stdout(count: int, running: OutputOptions, *, alone: bool) -> None:
    if count != 1:
        raise OptionError(
            f"--output - writes one result to stdout, and there are {count}: name a folder with --output FOLDER/"
        )
    if running.json:
        raise OptionError("--json and --output - would both write to stdout: name a file with --output FILE")
    if running.exists and alone:
        raise OptionError("--exists means nothing with --output -: leave one of them out")
    if sys.stdout.isatty():
        raise OptionError("--output - would write the result's bytes to the terminal: send stdout to a file or a pipe")


def _check_names(files: Sequence[tuple[Path, Task]], common: Mapping[str, InputFile]) -> None:
    fold = str.casefold if sys.platform in ("darwin", "win32") else str  # where A.png and a.png are one file
    seen: dict[str, Task] = {}
    for path, task in files:
        name = fold(os.path.realpath(path))
        if name in seen:
            raise OptionError(
                f"{names(seen[name], common)} and {names(task, common)} would both be written to {path}: rename one"
            )
        seen[name] = task
    for folder in {parent for name in seen for parent in Path(name).parents}:
        if str(folder) in seen:
            raise OptionError(
                f"{names(seen[str(folder)], common)} would be written to {folder}, which others need as a folder: "
                "rename it"
            )


def _check_in_place(files: Sequence[tuple[Path, Task]], tasks: Sequence[Task], exists: str) -> None:
    """An output that is an input: links of both kinds are seen through."""
    readers: dict[tuple[int, int], list[Task]] = {}
    for task in tasks:
        for source in task.inputs.values():
            if (identity := _identity(source.path)) is not None:
                readers.setdefault(identity, []).append(task)
    for path, task in files:
        users = readers.get(_identity(path))  # type: ignore[arg-type]
        if users and any(user is not task for user in users):
            raise OptionError(
                f"{path} is an output of one input and an input of another: write to another folder with --output"
            )
        if users and exists != "overwrite":
            raise OptionError(f"{path} is an input too: write elsewhere with --output, or say --exists overwrite")


def _identity(path: Path | None) -> tuple[int, int] | None:
    try:
        status = os.stat(path) if path is not None else None
    except (OSError, ValueError):
        return None
    return (status.st_dev, status.st_ino) if status else None


def _check_writable(path: Path) -> None:
    if os.path.isdir(path):
        raise OutputError(f"{path} is a folder: end it with / to write into it")
    folder = path.parent
    while not os.path.lexists(folder):
        folder = folder.parent
    if not os.path.isdir(folder):
        raise OutputError(
            f"{folder} is not a folder: {path.name} cannot be written below it; name another place with --output"
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{folder} cannot be written to: change its rights, or name another place with --output")
