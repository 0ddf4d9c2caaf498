"""Checks of a plan: all that can be refused is refused here, before any work."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from structkit_cli.run.shards import shard_of
from structkit_cli.streams import check_stdout

if TYPE_CHECKING:
    from structkit.media.pictures import Picture

FEW = 3  # clashes of names that are told in full


def check_plan(tasks: Sequence[Task], running: OutputOptions, exists: str, own: Sequence[Task]) -> None:
    """Refuse, before any work, a plan that would lose or mix pictures.

    own: the tasks of this process; what others make of the rest may be there already.
    """
    count = to_stdout = 0
    for output, _ in _outputs(tasks):
        if running.quality and not output.kind.suits_quality(output.format):
            others = ", or say --format jpeg, webp or avif" if output.kind is OutputKind.PICTURE else ""
            raise OptionError(f"--quality means nothing for {output.format}: leave it out{others}")
        count += 1
        to_stdout += output.name is None
    if to_stdout:
        _check_stdout(to_stdout, running, alone=to_stdout == count)
    if to_stdout or running.json:
        check_stdout()
    there = Inventory(output for output, _ in _outputs(tasks) if output.name is not None)
    _check_names(tasks, there, keep_suffix=running.keep_suffix)
    _check_in_place(tasks, there, exists)
    writable: set[str] = set()
    for output, _ in _outputs(tasks):
        if output.name is not None and not output.dry:
            _check_writable(output, there, writable)
    for output, _ in _outputs(own) if exists == "error" else ():
        if output.name is not None and not output.dry and os.path.lexists(output.name):
            raise OptionError(f"{output.path} exists: choose another name, or say --exists overwrite")


def _outputs(tasks: Iterable[Task]) -> Iterator[tuple[Output, Task]]:
    return ((output, task) for task in tasks for output in task.outputs)


class Inventory:
    """The facts about places of outputs before a run, for which each is looked at once.

    links: the outputs whose places are links.
    folders: those whose places are folders.
    identities: of the files that are there, links seen through, see `InputFile.identity`; a dry run's are none.
    """

    def __init__(self, outputs: Iterable[Output]) -> None:
        self.links: set[str] = set()
        self.folders: set[str] = set()
        self.identities: set[tuple[int, int]] = set()
        is_there: dict[str, bool] = {}  # of the folders of outputs
        for output in outputs:
            folder = os.path.dirname(output.name)
            if folder not in is_there:
                is_there[folder] = os.path.lexists(folder or ".")
            if is_there[folder]:
                self._look(output)

    def _look(self, output: Output) -> None:
        try:
            status = os.lstat(output.name)
            if stat.S_ISLNK(status.st_mode):
                self.links.add(output.name)
                status = os.stat(output.name)
        except (OSError, ValueError):
            return
        if stat.S_ISDIR(status.st_mode):
            self.folders.add(output.name)
        if not output.dry:
            self.identities.add((status.st_dev, status.st_ino))


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
    if shard_of(running.shard or "1/1"):
        raise OptionError("--output - writes one result, which has no shares: leave --shard out")
    if running.json:
        raise OptionError("--json and --output - would both write to stdout: name a file with --output FILE")
    if running.exists and alone:
        raise OptionError("--exists means nothing with --output -: leave one of them out")
    if sys.stdout.isatty():
        raise OptionError("--output - would write the result's bytes to the terminal: send stdout to a file or a pipe")


def _check_names(tasks: Sequence[Task], there: Inventory, *, keep_suffix: bool) -> None:
    """Refuse two outputs of one name, and one of a name that others need as a folder."""
    fold = str.casefold if sys.platform in ("darwin", "win32") else str  # where A.png and a.png are one file
    starts: dict[str, str] = {}  # the real folders of outputs, with the sign that ends them

    def real(name: str) -> str:
        if name in there.links:
            return fold(os.path.realpath(name))
        folder, last = os.path.split(name)
        if folder not in starts:
            starts[folder] = os.path.join(os.path.realpath(folder), "")
        return fold(starts[folder] + last)

    files = [(output.name, task) for output, task in _outputs(tasks) if output.name is not None]
    names = {real(name) for name, _ in files}
    if len(names) < len(files):
        writers: dict[str, list[tuple[str, Task]]] = {}
        for name, task in files:
            writers.setdefault(real(name), []).append((name, task))
        clashes = [several for several in writers.values() if len(several) > 1]
        raise OptionError(_told(clashes, shared(tasks), keep_suffix=keep_suffix))
    inner = {os.path.dirname(name) for name in names}
    for folder in sorted({*inner, *(str(parent) for name in inner for parent in Path(name).parents)}):
        if folder in names:
            task = next(task for name, task in files if real(name) == folder)
            raise OptionError(
                f"{name_of(task, shared(tasks))} would be written to {folder}, which others need as a folder: rename it"
            )


def _told(clashes: Sequence[Sequence[tuple[str, Task]]], common: Mapping[str, InputFile], *, keep_suffix: bool) -> str:
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


def _are_told_apart_by_suffix(several: Sequence[tuple[str, Task]]) -> bool:
    suffixes = {tuple(given.relative.suffix for given in task.inputs.values()) for _, task in several}
    return len(suffixes) == len(several)


def _check_in_place(tasks: Sequence[Task], there: Inventory, exists: str) -> None:
    """Refuse an output that is an input; links of both kinds are seen through."""
    apart: set[int] = set()  # the inputs, by `id`, that are no outputs: many tasks may have one of them
    readers: dict[tuple[int, int], list[Task]] = {}
    for task in tasks:
        for source in task.inputs.values():
            if id(source) not in apart:
                if (identity := source.identity()) in there.identities:
                    readers.setdefault(identity, []).append(task)
                else:
                    apart.add(id(source))
    for output, task in _outputs(tasks) if readers else ():
        if output.name is None or output.dry:
            continue
        users = readers.get(InputFile(output.name, "").identity())
        if users and any(user is not task for user in users):
            raise OptionError(
                f"{output.path} is an output of one input and an input of another: write to another folder with "
                f"{output.flag}"
            )
        if users and exists != "overwrite":
            raise OptionError(
                f"{output.path} is an input too: write elsewhere with {output.flag}, or say --exists overwrite"
            )


def _check_writable(output: Output, there: Inventory, writable: set[str]) -> None:
    """Refuse an output that cannot be written.  writable: folders that were found to be so, which grow."""
    if output.name in there.folders:
        raise OutputError(f"{output.path} is a folder: end it with / to write into it")
    if (name := os.path.dirname(output.name)) in writable:
        return
    folder = Path(name)
    while not os.path.lexists(folder):
        folder = folder.parent
    if not os.path.isdir(folder):
        fact = f"{folder} is not a folder: {output.path.name} cannot be written below it"
        raise OutputError(f"{fact}; name another place with {output.flag}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{folder} cannot be written to: change its rights, or name another place with {output.flag}")
    writable.add(name)


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
