"""The voice of a run: paths or JSON records on stdout, and everything else on stderr.

On a terminal a bar shows rate and time left; elsewhere there is one plain line for each output, and one now and then
about an output that takes long.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from structkit.data.listing import counted, unread_words
from structkit.errors import CheckpointError, DeviceError, InputError, OptionError, OutputError, StructkitError
from structkit.training import DOUBTFUL
from structkit_cli.run.plan import Output, Task
from structkit_cli.run.shards import Shard
from structkit_cli.run.verdicts import Cause
from structkit_cli.streams import emit, emit_path, printable, tell

FEW = 3  # messages about outputs that were there before that are told in full, of those that are alike
LINE_EVERY = 15.0  # seconds, between plain lines about a task that takes longer


class Report:
    """The voice of one run.  Use it as a context: it draws and removes the progress bar."""

    def __init__(
        self,
        verb: str,
        *,
        total: int,
        as_json: bool,
        quiet: bool,
        paths: bool,
        shard: Shard | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """total: the number of tasks.  paths: those of outputs are told on stdout.  shard: the tasks are its share.

        clock: seconds that only rise.
        """
        self.verb, self.total, self.as_json, self.quiet, self.paths = verb, total, as_json, quiet, paths
        self.shard = shard
        self.device: str | None = None
        self.counts = {"written": 0, "skipped": 0, "failed": 0}
        self.refusals: Counter[Cause] = Counter()
        self.repeated: Counter[str] = Counter()  # warnings about outputs that were skipped
        self.doubts: set[str] = set()  # doubts about models that were told
        self.clock, self.done, self.bar = clock, 0, None
        self.started = self.spoken = clock()
        self.first: tuple[float, float] | None = None  # the time of the first progress, and the tasks done then

    def __enter__(self) -> Report:
        if not self.quiet and sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            self.bar = _bar(self.total)
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar:
            self.bar.stop()

    @property
    def any_succeeded(self) -> bool:
        """True if anything came of the run: an output that did not fail."""
        return any(count for status, count in self.counts.items() if status != "failed")

    @contextmanager
    def _aside(self) -> Iterator[None]:
        """Take the bar away while something else is written to what may be the same terminal."""
        if self.bar:
            self.bar.stop()
        yield
        if self.bar:
            self.bar.start()

    def begin(self, whole: int) -> None:
        """Tell the share of one of several workers.  whole: the number of tasks of all."""
        if self.shard and not self.quiet:
            tell(self.shard.told(self.total, whole))

    def progress(self, fraction: float, note: str = "") -> None:
        """Show how far the work on the present task is, 0 to 1."""
        fraction = min(max(fraction, 0.0), 1.0)
        if self.bar:
            self.bar.update(self.bar.task_ids[0], completed=self.done + fraction, note=printable(note))
        elif not self.quiet:
            self._say_progress(fraction, note)

    def _say_progress(self, fraction: float, note: str) -> None:
        """Tell a line about the present task, if none was told for a while."""
        now, position = self.clock(), self.done + fraction
        self.first = self.first or (now, position)
        if now - self.spoken < LINE_EVERY:
            return
        self.spoken = now
        began, before = self.first
        place = f"[{self.done + 1}/{self.total}] " if self.total > 1 else ""
        left = ""
        if position > before:  # else there is no rate yet
            left = f", about {clock_words((now - began) * (self.total - position) / (position - before))} left"
        tell(f"{place}{100 * fraction:.0f} %{f' ({note})' if note else ''}{left}")

    def finished(self) -> None:
        """Count the present task as over, whatever came of it."""
        self.done += 1
        if self.bar:
            self.progress(0)

    def record(self, record: Mapping[str, Any], cause: Cause | None = None) -> None:
        """Tell the record of one output that was written or skipped, or whose input failed.

        cause: of a refusal to replace the output.
        Refusals that are alike, and warnings about skipped outputs, are told a few times and then counted.  Its `lines`
        are told on stdout where it is not told as JSON.
        """
        lines = record.get("lines", ())
        record = {key: value for key, value in record.items() if key != "lines"}
        status, name = record["status"], record["output"]
        self.counts[status] = self.counts.get(status, 0) + 1
        with self._aside():
            for warning in record["warnings"]:
                if warning.startswith(DOUBTFUL):  # a doubt concerns all results alike
                    if warning not in self.doubts:
                        tell(f"warning: {warning}")
                    self.doubts.add(warning)
                    continue
                if status == "skipped":
                    self.repeated[fact := _without_name(warning, record)] += 1
                if status != "skipped" or self.repeated[fact] <= FEW:
                    tell(f"warning: {name}: {warning}")
            if cause:
                self.refusals[cause] += 1
            if status == "failed" and (cause is None or self.refusals[cause] <= FEW):
                tell(f"error: {record['error']}")
            elif status == "written" and self.total > 1 and not (self.quiet or self.bar):
                tell(f"[{self.done + 1}/{self.total}] {name} {record['ms'] / 1000:.1f} s")
                self.spoken = self.clock()
            if self.as_json:
                emit(json.dumps({"record": "output", **record}).encode() + b"\n")
            elif lines:
                emit("".join(f"{printable(line)}\n" for line in lines).encode("utf-8", "backslashreplace"))
            elif status == "written" and self.paths:
                emit_path(name)

    def summary(self, code: int, *, foreign: int, unread: Sequence[Path], version: str) -> None:
        """Tell the last line; a single input that failed has said all with its error."""
        ms = round((self.clock() - self.started) * 1000)
        self._tell_counts()
        if self.as_json:
            facts = {"verb": self.verb, "version": version, "inputs": self.total, **self.counts, "foreign": foreign}
            facts["unread"] = [str(path) for path in unread]
            facts |= {"shard": str(self.shard)} if self.shard else {}
            emit(
                json.dumps({"record": "summary", **facts, "device": self.device, "ms": ms, "exit": code}).encode()
                + b"\n"
            )
        interrupted = code in (130, 143)
        talks = self.total > 1 or self.counts["written"] or (self.total and unread) or self.shard
        if interrupted or (not self.quiet and talks):
            parts = [f"{count} {status}" for status, count in self.counts.items() if count or status == "written"]
            parts += [f"{counted(foreign, 'other file')} passed over{unread_words(unread)}"] if foreign else []
            parts += [f"on {self.device}"] if self.device else []
            head = "interrupted: " if interrupted else ""
            head += f"shard {self.shard}: " if self.shard else ""
            tell(head + ", ".join([*parts, f"{ms / 1000:.1f} s"]))

    def _tell_counts(self) -> None:
        """Tell how many outputs there are, of those that are alike, where only the first few were named."""
        for warning, count in self.repeated.items():
            if count > FEW:
                tell(f"warning: {counted(count - FEW, 'more skipped output')}: {warning}")
        for cause, count in self.refusals.items():
            if count > FEW:
                tell(f"error: {counted(count - FEW, 'more output')} kept: {cause.value}")


def _without_name(warning: str, record: Mapping[str, Any]) -> str:
    """A warning about an output, without the name of an input that it may begin with."""
    names = (record["input"], *record["with"].values())
    return next((warning.removeprefix(f"{name}: ") for name in names if warning.startswith(f"{name}: ")), warning)


def clock_words(seconds: float) -> str:
    """A time as h:mm:ss, or m:ss."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"


def _bar(total: int) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Any) -> Text:
            done, spent = task.completed, task.elapsed or 0
            return Text(
                ""
                if done <= 0 or spent <= 0
                else f"{done / spent:.2f}/s"
                if done > spent
                else f"{spent / done:.1f} s each"
            )

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    bar = Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False)
    bar.add_task("", total=total, note="")
    return bar


def exit_code(error: BaseException) -> int:
    """The exit code of a command that came to nothing because of this error."""
    if isinstance(error, OptionError):
        return 2
    return 3 if isinstance(error, DeviceError | CheckpointError | OutputError) else 1


def output_record(task: Task, output: Output, status: str, **facts: Any) -> dict[str, Any]:
    """The record of an output, as records.schema.json has it."""
    (_, first), *others = task.inputs.items()
    record = {
        "input": first.name,
        "with": {role: source.name for role, source in others},
        "output": output.name or "-",
    }
    record |= {"role": output.kind.role, "status": status, "error": None, "ms": None, "device": None}
    return record | {"seed": output.seed, "warnings": [], "sha256": None} | facts


def message(names: str, error: Exception) -> str:
    """The line that says why a task failed.  names: what it is called, where the error does not name a file itself."""
    if isinstance(error, InputError | OutputError | CheckpointError):
        return str(error)
    if isinstance(error, StructkitError):
        return f"{names}: {error}"
    return f"{names}: unexpected {type(error).__name__}: {error} (STRUCTKIT_DEBUG=1 shows where)"
