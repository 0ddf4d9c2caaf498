"""The runner behind verbs that tell what they find: a table or JSON records on stdout, or a file of them.

A file goes through the runner of all verbs that write outputs, with their manifest, --exists and exit codes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import typer

from structkit._version import __version__
from structkit.configs import MAX_FRAME_PIXELS, millions, option
from structkit.data.listing import counted
from structkit.errors import InputError, OptionError, StructkitError
from structkit_cli.options import TOLERANT, CommonOptions, named
from structkit_cli.run import batch
from structkit_cli.run.inputs import InputFile
from structkit_cli.run.plan import Destination, Maker, Output, Plan, Progress, Task
from structkit_cli.run.report import Report, exit_code
from structkit_cli.run.results import DATA_SUFFIXES, JsonResult, OutputKind, PictureResult, Result, TableResult
from structkit_cli.run.scorer import emit_lines, emit_record
from structkit_cli.run.shards import Shard, local_rank, wait_for_others
from structkit_cli.streams import check_stdout, tell

if TYPE_CHECKING:
    from structkit.media.pictures import Picture

WRITTEN = tuple(DATA_SUFFIXES[name] for name in ("json", "csv"))
SOME_FAILED = 1  # exit code
GAP = "  "  # between the columns of a table on stdout


@dataclass(frozen=True)
class TableOptions(CommonOptions):
    """Options of verbs that tell what they find, which is the same with every seed."""

    seed = 0
    dtype = "auto"
    format = quality = None
    keep_suffix = False
    shard = on = None
    output: str | None = named(None, "file to write in place of the table on stdout, by the end of its name", "OUT")
    exists: str | None = option(
        None, "what to do when the output is there; else error", choices=("error", "skip", "overwrite")
    )
    max_pixels: int | None = option(None, f"largest frame that is read, px; else {millions(MAX_FRAME_PIXELS)}", low=1)
    tolerant: bool = option(False, TOLERANT)

    @property
    def reading(self) -> dict[str, Any]:
        """The options with which an input is read, by name."""
        return {"max_pixels": self.max_pixels, "tolerant": self.tolerant}


@dataclass
class Findings:
    """The findings of a verb.

    kind: of a record, in JSON.
    records: the facts of each by name, as JSON; those of one run have the same names.
    lines: the table, a row of texts for each line, the names of the columns first.
    columns: the names of the facts in a CSV file.
    rows: of a CSV file, facts by those names; None: the records.
    failures: the names of the inputs that could not be read, of which each was told why.
    sheet: makes the picture of the findings, where there is one.
    """

    kind: str
    records: list[dict[str, Any]]
    lines: list[Sequence[str]]
    columns: Sequence[str]
    rows: list[dict[str, Any]] | None = None
    notes: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    sheet: Callable[[], Picture] | None = None

    @property
    def gap(self) -> str:
        """The words for the inputs that failed."""
        first, *others = self.failures
        named = f"{first} and {counted(len(others), 'other input')}" if others else first
        return f"{named} could not be read"


@dataclass(frozen=True)
class TableShare:
    """The share of one of several workers.

    whole: the number of inputs of all.
    """

    shard: Shard
    whole: int

    def output(self, named: str | None) -> str | None:
        """The name of the file of this share, where all were given the same."""
        path = PurePath(named or "")
        if path.suffix.lower() not in WRITTEN:
            return named  # none, or one that is refused
        return str(path.with_name(f"{path.stem}-{self.shard.part}{path.suffix}"))


Find = Callable[[str, Progress], Findings]  # from the device, and how to tell the progress


class FindingsMaker(Maker):
    """The maker of the one file that findings are written into."""

    def __init__(self, find: Find) -> None:
        self.find = find

    def make(
        self, task: Task, missing: Sequence[Output], device: str, progress: Progress
    ) -> Iterator[tuple[Output, Result]]:
        found = self.find(device, progress)
        if found.failures and not found.records:
            raise InputError(f"{found.gap}, as told above, and nothing is left to write")
        for output in missing:
            yield output, _result(found, output)
        if found.failures:  # the file is written; the run is not all that was asked for
            raise InputError(f"{found.gap}, as told above; what is written has all but that")


def run(
    verb: str,
    inputs: Mapping[str, InputFile],
    find: Find,
    running: TableOptions,
    *,
    model: InputFile,
    options: Mapping[str, Any],
    sheets: bool = False,
    foreign: int = 0,
    share: TableShare | None = None,
) -> None:
    """Tell or write what is found in the inputs, and end the program with the exit code that tells how it went.

    inputs: by role.  model: by which it is found.
    options: those of the verb that decide on what is found.
    sheets: true if the findings can be a picture.
    share: the inputs are one of several shares of them.
    """
    if share and not running.quiet:
        tell(share.shard.told(len(inputs), share.whole))
    kind, format = _kind_of(running.output, sheets=sheets) if running.output is not None else (OutputKind.DATA, None)
    if running.output is None or (share and share.whole and not inputs):
        _tell(verb, inputs, find, running, foreign, share)
    place = Destination(running.output, many=False, format=format, kind=kind, inputs=list(inputs.values()))
    output = place.output(PurePath(verb), seed=0)
    tasks = [Task({**inputs, "model": model}, (output,))] if inputs else []
    settings = {**options, **{name: value for name, value in running.reading.items() if value}}
    plan = Plan(verb, tasks, FindingsMaker(find), options=settings, many=False, foreign=foreign)
    batch.run(plan, running, taken=share.shard if share else None)


def _tell(
    verb: str,
    inputs: Mapping[str, InputFile],
    find: Find,
    running: TableOptions,
    foreign: int,
    share: TableShare | None = None,
) -> None:
    """Tell the findings on stdout.  Raises typer.Exit."""
    if running.exists is not None and running.output is None:
        raise OptionError("--exists is about a file, and none is written: name one with --output, or leave it out")
    check_stdout()
    began, failures, device = time.monotonic(), [], None

    def summary(code: int, failed: int) -> None:
        if running.json:
            facts = {"verb": verb, "version": __version__, "inputs": len(inputs), "failed": failed}
            facts |= {"shard": str(share.shard)} if share else {}
            ms = round(1000 * (time.monotonic() - began))
            emit_record({"record": "summary", **facts, "foreign": foreign, "device": device, "ms": ms, "exit": code})

    if inputs:
        device = Maker().device(running.device, local_rank() if share else None)
        try:
            with Report(verb, total=1, as_json=False, quiet=running.quiet, paths=False) as report:
                found = find(device, report.progress)
        except StructkitError as error:
            summary(exit_code(error), failed=1)
            if share:
                wait_for_others(exit_code(error))
            raise
        failures = found.failures
        if not running.quiet:
            for note in dict.fromkeys(found.notes):
                tell(f"warning: {note}")
        if running.json:
            for record in found.records:
                emit_record({"record": found.kind, **record})
        elif found.records:
            emit_lines(aligned(found.lines))
    is_idle = not inputs and not (share and share.whole)
    code = batch.NOTHING_TO_DO if is_idle else SOME_FAILED if failures else 0
    summary(code, failed=len(failures))
    if is_idle:
        others = f" ({counted(foreign, 'other file')})" if foreign else ""
        tell(f"nothing to do: there is no file that {verb} reads among the inputs{others}")
    if share:
        wait_for_others(code)
    raise typer.Exit(code)


def each_input(
    inputs: Sequence[InputFile], do: Callable[[InputFile], None], progress: Progress, share: float = 1.0
) -> list[str]:
    """Do something with each input; one that cannot be read is told and passed over.  Returns the names of these.

    share: of the whole work, which this is the first part of.
    Raises what every other input would meet too: a model or a device that does not work.
    """
    failures = []
    for done, given in enumerate(inputs):
        progress(share * done / len(inputs), given.name)
        try:
            do(given)
        except InputError as error:
            tell(f"error: {error}")
            failures.append(given.label)
    return failures


def _kind_of(output: str | None, *, sheets: bool) -> tuple[OutputKind, str | None]:
    """The kind and the format of the file that is named.  Raises OptionError."""
    name = str(output)
    suffix = PurePath(name).suffix.lower()
    if suffix in WRITTEN:
        return OutputKind.DATA, None
    if sheets and suffix in OutputKind.PICTURE.suffixes:
        return OutputKind.PICTURE, None
    ends = " ".join((*WRITTEN, *(OutputKind.PICTURE.suffixes if sheets else ())))
    if name == "-":
        raise OptionError(
            "--output - means nothing here: the table goes to stdout by itself, and --json prints records"
        )
    raise OptionError(f"--output {name} has a suffix that names no format: use one of {ends}")


def _result(found: Findings, output: Output) -> Result:
    # The gap is told again of a file that is there already.
    notes = tuple(dict.fromkeys([*found.notes, *([found.gap] if found.failures else [])]))
    if output.kind is OutputKind.PICTURE:
        from dataclasses import replace

        picture = found.sheet()  # type: ignore[misc]
        return PictureResult(replace(picture, notes=notes))
    if output.format == "json":
        return JsonResult(found.records, notes)
    rows = found.records if found.rows is None else found.rows
    return TableResult(found.columns, [[row[name] for name in found.columns] for row in rows], notes)


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table whose columns stand beneath one another; the last column is as wide as it is."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [GAP.join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines]
