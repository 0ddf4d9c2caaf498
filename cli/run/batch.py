"""The runner behind every verb that writes outputs: one bad input never stops the others."""

from __future__ import annotations

import errno
import os
import time
import traceback
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import typer

from structkit._version import __version__
from structkit.errors import CheckpointError, DeviceError, InputError, OutputError
from structkit_cli.options import OutputOptions
from structkit_cli.run.checks import check_plan
from structkit_cli.run.commit import AT_LEAST_EVERY, NOT_OURS, TOGETHER, DiskError, PendingOutput
from structkit_cli.run.inputs import InputFile
from structkit_cli.run.ledger import Finding, Ledger
from structkit_cli.run.plan import Maker, Output, Plan, Task, names, shared
from structkit_cli.run.report import ClosedPipe, Report, exit_code, message, output_record, tell
from structkit_cli.run.sinks import FileSink, StdoutSink

NOTHING_TO_DO, INTERRUPTED, TERMINATED = 4, 130, 143
AHEAD = 128  # tasks that are looked at before the one that is done
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class Termination(BaseException):
    """The end of the program, asked for by SIGTERM."""


def run(plan: Plan, running: OutputOptions) -> None:
    """Do the tasks of a plan, and end the program with the exit code that tells how it went."""
    exists = running.exists or ("skip" if plan.many else "error")
    check_plan(plan.tasks, running, exists)
    outputs = [output for task in plan.tasks for output in task.outputs]
    report = Report(
        plan.verb, total=len(plan.tasks), as_json=running.json, quiet=running.quiet, paths=all(o.path for o in outputs)
    )
    how = {"verb": plan.verb, "version": __version__, "dtype": running.dtype, "quality": running.quality}
    ledger = Ledger(outputs, exists, {**plan.options, **how}, many=plan.many)
    with report:
        try:
            with plan.maker as maker, ledger.opened():
                code = _Batch(maker, running, report, ledger).work(plan.tasks)
        except KeyboardInterrupt:
            code = INTERRUPTED
        except Termination:
            code = TERMINATED
    if code == NOTHING_TO_DO:
        others = f" ({plan.foreign} other files)" if plan.foreign else ""
        tell(f"nothing to do: there is no file that {plan.verb} reads among the inputs{others}")
    report.summary(code, foreign=plan.foreign, version=__version__)
    raise typer.Exit(code)


@dataclass(frozen=True)
class _Announcement:
    """A word that is to be said in its turn: the record of an output, or without one that the task is over.

    waiting: the output, where it has not taken its name yet.
    """

    task: Task
    record: Mapping[str, Any] | None = None
    waiting: PendingOutput | None = None


class _Batch:
    """The work of one run: its tasks in turn, its failures, and the words that wait to be said."""

    def __init__(self, maker: Maker, running: OutputOptions, report: Report, ledger: Ledger) -> None:
        self.maker, self.running, self.report, self.ledger = maker, running, report, ledger
        self.common: Mapping[str, InputFile] = {}  # the inputs that all tasks share
        self.failed: list[int] = []  # an exit code for each failure
        self.stop: int | None = None  # the exit code of a failure that concerns all
        self._told: list[_Announcement] = []
        self._settled = time.monotonic()

    def work(self, tasks: Sequence[Task]) -> int:
        """Do the tasks one after another; returns the exit code."""
        if not tasks:
            return NOTHING_TO_DO
        self.common = shared(tasks)
        try:
            for task, found in self._looked_at(tasks):
                self._do(task, found)
                if self.stop is not None:
                    break
            self._settle()
        finally:
            for told in self._told:
                if told.waiting:
                    told.waiting.file.discard()
        if self.stop is not None:
            return self.stop
        came_to_nothing = self.failed and not self.report.done_well
        return self.failed[0] if came_to_nothing and len(set(self.failed)) == 1 else 1 if self.failed else 0

    def _looked_at(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, Finding | Exception]]:
        """The tasks, each with what is there of it; a maker that works ahead hears of those to come."""
        ahead: deque[tuple[Task, Finding | Exception]] = deque()
        for task in tasks:
            found: Finding | Exception
            try:
                found = self.ledger.finding(task)
            except Exception as error:
                found = error
            else:
                if not found.foreign and len(found.current) < len(task.outputs):
                    self.maker.expect(task)
            ahead.append((task, found))
            if not self.maker.hears_ahead or len(ahead) > AHEAD:
                yield ahead.popleft()
        yield from ahead

    def _do(self, task: Task, found: Finding | Exception) -> None:
        left = list(task.outputs)
        try:
            if isinstance(found, Exception):
                raise found
            for told in self._announcements(task, found, left):
                self._told.append(told)
                if self._is_time() and task in self._settle():
                    break
        except ClosedPipe:
            raise
        except Exception as error:
            self._told.append(_Announcement(task, self._failure(task, [*left, *task.outputs][0], error)))
        self._told.append(_Announcement(task))
        if self._is_time():
            self._settle()

    def _announcements(self, task: Task, found: Finding, left: list[Output]) -> Iterator[_Announcement]:
        """Do one task; yields the announcement of each output, which is then no longer in `left`."""
        for i, sha256 in found.current.items():
            left.remove(task.outputs[i])
            yield _Announcement(task, output_record(task, task.outputs[i], "skipped", sha256=sha256))
        if found.foreign:
            raise OutputError(f"{found.foreign} {NOT_OURS}")
        if not left:
            return
        device = self._device()
        clock = time.monotonic()
        for output, result in self.maker.make(task, tuple(left), device, self.report.progress):
            how = output.format, output.kind.quality(self.running.quality)
            sink = StdoutSink(*how) if output.path is None else FileSink(output.path, *how)
            facts = result.write(sink)
            waiting = self.ledger.pending(output, sink, found.sources) if sink.pending else None
            status = "planned" if sink.sha256 is None else "written"
            left.remove(output)
            clock, ms = time.monotonic(), round((time.monotonic() - clock) * 1000)
            how_made = {"ms": ms, "device": device, "sha256": sink.sha256}
            yield _Announcement(task, output_record(task, output, status, **how_made, **facts), waiting)

    def _device(self) -> str:
        """The device, found when the first output needs it: this loads torch."""
        if self.report.device is None:
            from structkit.device import resolve

            self.report.device = resolve(self.running.device)
        return self.report.device

    def _is_time(self) -> bool:
        """True if waiting outputs are to take their names: at once, but where outputs come fast."""
        return (
            not self.maker.hears_ahead
            or len(self._told) >= 2 * TOGETHER
            or time.monotonic() - self._settled >= AT_LEAST_EVERY
        )

    def _settle(self) -> list[Task]:
        """Give waiting outputs their names, and make the announcements; returns the tasks that fail in this."""
        told, self._told = self._told, []
        waiting = [one for one in told if one.waiting]
        try:
            errors = self.ledger.commit([one.waiting for one in waiting])
        except BaseException:
            self._told = waiting  # to be discarded
            raise
        unnamed = {id(waiting[i]): error for i, error in errors.items()}
        broken: list[Task] = []
        for one in told:
            error = unnamed.get(id(one))
            if one.record is None:
                self.report.finished()
            elif error is None:
                self.report.record(one.record)
            elif all(one.task is not task for task in broken):
                broken.append(one.task)
                self.report.record(self._failure(one.task, one.waiting.output, error))
        self._settled = time.monotonic()
        return broken

    def _failure(self, task: Task, output: Output, error: Exception) -> dict[str, Any]:
        """The record of a failure."""
        if os.environ.get("STRUCTKIT_DEBUG"):
            traceback.print_exception(error)
        of_one = isinstance(error, OutputError) and not isinstance(error, DiskError)
        self.failed.append(1 if of_one else exit_code(error))
        if stop := self._concerns_all(error):
            self.stop = exit_code(error)
        fact = str(error) if stop else message(names(task, self.common), error)
        return output_record(task, output, "failed", device=self.report.device, error=fact)

    def _concerns_all(self, error: Exception) -> bool:
        """True for an error that every other task would meet too.

        So it is where there is no such device, no room on the disk, or a shared input that cannot be read.
        """
        no_device = isinstance(error, DeviceError) and self.report.device is None
        unread = isinstance(error, InputError | CheckpointError)  # these name their file first
        if no_device or (unread and any(str(error).startswith(f"{source.label}: ") for source in self.common.values())):
            return True
        return getattr(error.__cause__, "errno", None) in NO_ROOM
