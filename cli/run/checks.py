"""Checks of a plan: all that can be refused is refused here, before any work."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from structkit.configs import LEAST_SIDE, MOST_SIDE, Config
from structkit.errors import OptionError, OutputError
from structkit.media.formats import format_of
from structkit_cli.options import OutputOptions
from structkit_cli.run.inputs import InputFile
from structkit_cli.run.plan import Output, Task, name_of, shared
from structkit_cli.run.results import OutputKind
from structkit_cli.streams import check_stdout

if TYPE_CHECKING:
    from structkit.media.pictures import Picture

FEW = 3  # clashes of names that are told in full


def check_plan(tasks: Sequence[Task], running: OutputOptions, exists: str, own: Sequence[Task]) -> None:
    """Refuse, before any work, a plan that would lose or mix pictures.

    own: the tasks of this process; what others make of the rest may be there already.
    """
    outputs = [(output, task) for task in tasks for output in task.outputs]
    for output, _ in outputs:
        if running.quality and not output.kind.suits_quality(output.format):
            others = ", or say --format jpeg, webp or avif" if output.kind is OutputKind.PICTURE else ""
            raise OptionError(f"--quality means nothing for {output.format}: leave it out{others}")
    if to_stdout := sum(output.path is None for output, _ in outputs):
        _check_stdout(to_stdout, running, alone=to_stdout == len(outputs))
    if to_stdout or running.json:
        check_stdout()
    named = [(output, task) for output, task in outputs if output.path]
    files = [(output.path, task) for output, task in named]
    _check_names(files, shared(tasks), keep_suffix=running.keep_suffix)
    written = [(output, task) for output, task in named if not output.dry]
    _check_in_place(written, tasks, exists)
    writable: set[Path] = set()
    for output, _ in written:
        _check_writable(output, writable)
    for output in (output for task in own for output in task.outputs) if exists == "error" else ():
        if output.path and not output.dry and os.path.lexists(output.path):
            raise OptionError(f"{output.path} exists: choose another name, or say --exists overwrite")


def refuse_set(config: Config, names: Iterable[str] | None, fact: str) -> None:
    """Refuse options that have another value than they have without being set.

    names: those of the options; None is all of the configuration's.
    """
    for field in fields(config):  # type: ignore[arg-type]
        if (names is None or field.name in names) and getattr(config, field.name) != field.default:
            raise OptionError(f"--{field.name.replace('_', '-')} {fact}")


def check_alpha(picture: Picture, outputs: Iterable[Output]) -> None:
    """Refuse a result that its format could not hold, before it is painted.

    Each verb hands on the alpha of its first picture.
    """
    if picture.alpha is None or picture.alpha.min() == 2**picture.bits - 1:
        return
    for output in outputs:
        if output.kind.loses_alpha(output.format):
            where = output.path or "standard output"
            fact = f"{format_of(output.format).label} cannot hold the transparency of {picture.name}"
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


def _check_names(files: Sequence[tuple[Path, Task]], common: Mapping[str, InputFile], *, keep_suffix: bool) -> None:
    fold = str.casefold if sys.platform in ("darwin", "win32") else str  # where A.png and a.png are one file
    folders = {folder: os.path.realpath(folder) for folder in {path.parent for path, _ in files}}
    writers: dict[str, list[tuple[Path, Task]]] = {}
    for path, task in files:
        real = os.path.realpath(path) if os.path.islink(path) else os.path.join(folders[path.parent], path.name)
        writers.setdefault(fold(real), []).append((path, task))
    if clashes := [several for several in writers.values() if len(several) > 1]:
        raise OptionError(_told(clashes, common, keep_suffix=keep_suffix))
    inner = {os.path.dirname(name) for name in writers}
    for folder in sorted({*inner, *(str(parent) for name in inner for parent in Path(name).parents)}):
        if folder in writers:
            task = writers[folder][0][1]
            raise OptionError(
                f"{name_of(task, common)} would be written to {folder}, which others need as a folder: rename it"
            )


def _told(clashes: Sequence[Sequence[tuple[Path, Task]]], common: Mapping[str, InputFile], *, keep_suffix: bool) -> str:
    """All clashes of names in one message, the first few in full, with the way out."""
    told = []
    for several in clashes[:FEW]:
        *names, last = (name_of(task, common) for _, task in several)
        told.append((f"{', '.join(names)} and {last}", "both" if len(names) == 1 else "all", several[-1][0]))
    helps = not keep_suffix and any(_are_told_apart_by_suffix(several) for several in clashes)
    way_out = ", or say --keep-suffix" if helps else ""
    if len(clashes) == 1:
        ((inputs, all_of_them, path),) = told
        return f"{inputs} would {all_of_them} be written to {path}: rename one{way_out}"
    each = [f"{inputs} to {path}" for inputs, _, path in told]
    each += [f"and {len(clashes) - FEW} more"] if len(clashes) > FEW else []
    return f"{len(clashes)} outputs would be written by several inputs each: {'; '.join(each)}: rename these{way_out}"


def _are_told_apart_by_suffix(several: Sequence[tuple[Path, Task]]) -> bool:
    suffixes = {tuple(given.relative.suffix for given in task.inputs.values()) for _, task in several}
    return len(suffixes) == len(several)


def _check_in_place(outputs: Sequence[tuple[Output, Task]], tasks: Sequence[Task], exists: str) -> None:
    """Refuse an output that is an input; links of both kinds are seen through."""
    readers: dict[tuple[int, int], list[Task]] = {}
    identities = {path: _identity(path) for path in {given.path for task in tasks for given in task.inputs.values()}}
    for task in tasks:
        for source in task.inputs.values():
            if (identity := identities[source.path]) is not None:
                readers.setdefault(identity, []).append(task)
    for output, task in outputs:
        path, flag = output.path, output.flag
        users = readers.get(_identity(path))  # type: ignore[arg-type]
        if users and any(user is not task for user in users):
            raise OptionError(
                f"{path} is an output of one input and an input of another: write to another folder with {flag}"
            )
        if users and exists != "overwrite":
            raise OptionError(f"{path} is an input too: write elsewhere with {flag}, or say --exists overwrite")


def _identity(path: Path | None) -> tuple[int, int] | None:
    try:
        status = os.stat(path) if path is not None else None
    except (OSError, ValueError):
        return None
    return (status.st_dev, status.st_ino) if status else None


def _check_writable(output: Output, writable: set[Path]) -> None:
    """Refuse an output that cannot be written.  writable: folders that were found to be so, which grow."""
    path = output.path
    if os.path.isdir(path):
        raise OutputError(f"{path} is a folder: end it with / to write into it")
    folder = path.parent
    if folder in writable:
        return
    while not os.path.lexists(folder):
        folder = folder.parent
    if not os.path.isdir(folder):
        fact = f"{folder} is not a folder: {path.name} cannot be written below it"
        raise OutputError(f"{fact}; name another place with {output.flag}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{folder} cannot be written to: change its rights, or name another place with {output.flag}")
    writable.add(path.parent)


def result_size(text: str | None, max_side: int | None = None) -> tuple[int, int] | None:
    """`640x480` -> (640, 480), width and height in px; refused where `max_side` is said too.

    Each side is LEAST_SIDE to MOST_SIDE.
    """
    if text is None:
        return None
    if max_side is not None:
        raise OptionError("--size and --max-side both say how large the result is: give one of them")
    width, cross, height = text.lower().partition("x")
    if not (
        cross
        and width.isascii()
        and width.isdigit()
        and height.isascii()
        and height.isdigit()
        and int(width)
        and int(height)
    ):
        raise OptionError(f"--size is {text!r}: give width and height in px, such as 640x480")
    size = int(width), int(height)
    if not LEAST_SIDE <= min(size) <= max(size) <= MOST_SIDE:
        raise OptionError(f"--size is {size[0]}x{size[1]}: each side must be {LEAST_SIDE} to {MOST_SIDE} px")
    return size
