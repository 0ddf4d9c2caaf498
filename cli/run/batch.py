"""The runner behind every verb that writes outputs: one bad input never stops the others."""

from __future__ import annotations

import errno
import os
import time
import traceback
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import typer

from structkit._version import __version__
from structkit.data.listing import counted, unread_words
from structkit.errors import CheckpointError, DeviceError, InputError, OutputError
from structkit.training.ranks import apart
from structkit_cli.options import OutputOptions
from structkit_cli.run.checks import check_plan
from structkit_cli.run.commit import AT_LEAST_EVERY, TOGETHER, DiskError, PendingOutput
from structkit_cli.run.inputs import InputFile
from structkit_cli.run.ledger import Finding, Ledger
from structkit_cli.run.plan import Maker, MakerError, Output, Plan, Task, name_of, shared
from structkit_cli.run.report import Report, exit_code, message, output_record
from structkit_cli.run.shards import Shard, local_rank, shard_of, share_of, wait_for_others
from structkit_cli.run.sinks import FileSink, StdoutSink
from structkit_cli.run.verdicts import Cause, OutputRefusal, Verdict
from structkit_cli.signals import INTERRUPTED, TERMINATED, Termination, code_of, raise_swallowed
from structkit_cli.streams import ClosedPipe, tell

NOTHING_TO_DO = 4  # exit code
SIGNALLED = (INTERRUPTED, TERMINATED)
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # refusals of a disk that every other output would meet too


def run(plan: Plan, running: OutputOptions, taken: Shard | None = None) -> None:
    """Do the tasks of a plan; ends the program, with the exit code that tells how it went.  Raises typer.Exit.

    One of several workers does its share of them.
    taken: the shard whose share the inputs of the plan are already, which was told.
    """
    exists = running.exists or ("skip" if plan.many else "error")
    shard = shard_of(running.shard) if plan.many or running.shard else None
    tasks = share_of(plan.tasks, shard) if shard else plan.tasks
    worker = shard or taken
    check_plan(plan.tasks, running, exists, own=tasks)
    made_by = _on_cluster(replace(plan, tasks=tasks), running) if running.on else plan.maker
    outputs = [output for task in tasks for output in task.outputs]
    paths = all(output.name for output in outputs)
    report = Report(plan.verb, total=len(tasks), as_json=running.json, quiet=running.quiet, paths=paths, shard=worker)
    if not taken:
        report.begin(len(plan.tasks))
    always = {"verb": plan.verb, "version": __version__, "dtype": running.dtype, "quality": running.quality}
    every = [output for task in plan.tasks for output in task.outputs]
    options = {**plan.options, **always}
    ledger = Ledger(outputs, exists, options, many=plan.many, shard=shard, whole=every)
    for root in ledger.blind:
        fact = "is on a disk whose locks other machines do not see: each worker keeps records of its own"
        tell(f"warning: {root}/ {fact}, and what dead ones left stays for a day")
    with report:
        try:
            with (
                apart() if worker else nullcontext(),  # shares have models of their own to train
                ledger.opened(),  # it closes when files that get no name are gone
                made_by as maker,
            ):
                code = _Batch(maker, running, report, ledger, shared(plan.tasks)).work(tasks)
        except (KeyboardInterrupt, Termination) as ending:
            code = code_of(ending)
    if code == NOTHING_TO_DO and plan.tasks:
        code = 0  # of fewer tasks than shards
    if code == NOTHING_TO_DO:
        others = f" ({counted(plan.foreign, 'other file')}{unread_words(plan.unread)})" if plan.foreign else ""
        tell(f"nothing to do: there is no file that {plan.verb} reads among the inputs{others}")
    report.summary(code, foreign=plan.foreign, unread=plan.unread, version=__version__)
    if worker and code not in SIGNALLED:
        wait_for_others(code)
    raise typer.Exit(code)


def _on_cluster(plan: Plan, running: OutputOptions) -> Maker:
    from structkit_cli.run.cluster.maker import ClusterMaker

    return ClusterMaker(plan, running)


@dataclass(frozen=True)
class _Announcement:
    """An announcement that waits for its turn: the record of an output, or the end of a task.

    record: of the output; None for the end of the task.
    waiting: the output, while it has not taken its name.
    cause: of a refusal to replace an output.
    """

    task: Task
    record: Mapping[str, Any] | None = None
    waiting: PendingOutput | None = None
    cause: Cause | None = None


class _Batch:
    """The work of one run: its tasks in turn, its failures, and the announcements that wait."""

    def __init__(
        self,
        maker: Maker,
        running: OutputOptions,
        report: Report,
        ledger: Ledger,
        common: Mapping[str, InputFile],
    ) -> None:
        """common: the inputs that all tasks of the plan share."""
        self.maker, self.running, self.report, self.ledger, self.common = maker, running, report, ledger, common
        self.failures: list[int] = []  # an exit code for each failure
        self.stop_code: int | None = None  # the exit code of a failure that every other task would meet too
        self._queue: list[_Announcement] = []
        self._settled_at = time.monotonic()

    def work(self, tasks: Sequence[Task]) -> int:
        """Do the tasks one after another; returns the exit code."""
        if not tasks:
            self.ledger.finish()
            return NOTHING_TO_DO
        try:
            for task, found in self._looked_up(tasks):
                raise_swallowed()
                self._do(task, found)
                if self.stop_code is not None:
                    break
            self._settle()
            if self.stop_code is None:
                self.ledger.finish()
        finally:
            for announcement in self._queue:
                if announcement.waiting:
                    announcement.waiting.file.discard()
        if self.stop_code is not None:
            return self.stop_code
        if not self.failures:
            return 0
        all_alike = not self.report.any_succeeded and len(set(self.failures)) == 1
        return self.failures[0] if all_alike else 1

    def _looked_up(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, Finding | Exception]]:
        """The tasks in order, each with what is found of it, or with the error of looking.

        A maker that works ahead hears of the tasks to come.
        """
        ahead: deque[tuple[Task, Finding | Exception]] = deque()
        for task in tasks:
            found: Finding | Exception
            try:
                found = self.ledger.finding(task)
            except Exception as error:
                found = error
            else:
                missing = [output for i, output in enumerate(task.outputs) if i not in found.current]
                if not found.refusal and missing:
                    self.maker.expect(task, missing)
            ahead.append((task, found))
            if not self.maker.works_ahead or len(ahead) > self.maker.ahead:
                yield ahead.popleft()
        yield from ahead

    def _do(self, task: Task, found: Finding | Exception) -> None:
        """Do one task; its failure becomes an announcement too."""
        left = list(task.outputs)
        try:
            if isinstance(found, Exception):
                raise found
            for announcement in self._announcements(task, found, left):
                self._queue.append(announcement)
                if self._is_time() and task in self._settle():
                    break  # an output of this task could not take its name, which is announced
        except ClosedPipe:
            raise
        except Exception as error:
            raise_swallowed()
            failed, *_ = [*left, *task.outputs]  # the output that was being made; the first, if all are done
            self._queue.append(_Announcement(task, self._failure(task, failed, error), cause=_cause_of(error)))
        self._queue.append(_Announcement(task))
        if self._is_time():
            self._settle()

    def _announcements(self, task: Task, found: Finding, left: list[Output]) -> Iterator[_Announcement]:
        """Make the outputs of one task; yields the announcement of each, which is then no longer in `left`."""
        for i, verdict in found.current.items():
            left.remove(task.outputs[i])
            yield _Announcement(task, _skipped(task, task.outputs[i], verdict))
        if found.refusal:
            raise found.refusal
        if not left:
            return
        device = self._device()
        began = time.monotonic()
        for output, result in self.maker.make(task, tuple(left), device, self.report.progress):
            encoding = output.format, output.kind.quality(self.running.quality)
            sink = StdoutSink(*encoding) if output.path is None else FileSink(output.path, *encoding, output.flag)
            facts = result.write(sink)
            waiting = self.ledger.pending(task, output, sink, found.sources, facts) if sink.pending else None
            status = "planned" if sink.sha256 is None else "written"
            left.remove(output)
            ms = round((time.monotonic() - began) * 1000)
            began = time.monotonic()
            facts_of_making = {"ms": ms, "device": device, "sha256": sink.sha256}
            yield _Announcement(task, output_record(task, output, status, **facts_of_making, **facts), waiting)

    def _device(self) -> str:
        """The device; it is found only when the first output needs it, since this loads torch."""
        if self.report.device is None:
            local = local_rank() if self.report.shard else None
            self.report.device = self.maker.device(self.running.device, local)
        return self.report.device

    def _is_time(self) -> bool:
        """True if waiting outputs are to take their names: at once, but where outputs come fast."""
        # A task of one output makes two announcements.
        return (
            not self.maker.is_fast
            or len(self._queue) >= 2 * TOGETHER
            or time.monotonic() - self._settled_at >= AT_LEAST_EVERY
        )

    def _settle(self) -> list[Task]:
        """Give waiting outputs their names, and make the announcements.

        Returns the tasks of which an output could not take its name.
        """
        queue, self._queue = self._queue, []
        unnamed = [announcement for announcement in queue if announcement.waiting]
        try:
            settled = self.ledger.commit([announcement.waiting for announcement in unnamed])
        except BaseException:
            self._queue = unnamed  # so that `work` discards their files
            raise
        error_of = {id(unnamed[i]): error for i, error in settled.errors.items()}
        current_of = {id(unnamed[i]): verdict for i, verdict in settled.current.items()}
        broken: list[Task] = []
        for announcement in queue:
            error = error_of.get(id(announcement))
            if announcement.record is None:
                self.report.finished()
            elif id(announcement) in current_of:
                verdict = current_of[id(announcement)]
                self.report.record(_skipped(announcement.task, announcement.waiting.output, verdict))
            elif error is None:
                self.report.record(announcement.record, announcement.cause)
            elif all(announcement.task is not task for task in broken):  # one failure is told of each task
                broken.append(announcement.task)
                failure = self._failure(announcement.task, announcement.waiting.output, error)
                self.report.record(failure, _cause_of(error))
        self._settled_at = time.monotonic()
        return broken

    def _failure(self, task: Task, output: Output, error: Exception) -> dict[str, Any]:
        """The record of a failure, which is counted, and stops the run if every other task would meet it too."""
        if os.environ.get("STRUCTKIT_DEBUG"):
            traceback.print_exception(error)
        concerns_one_output = isinstance(error, OutputError) and not isinstance(error, DiskError)
        self.failures.append(1 if concerns_one_output else exit_code(error))
        if concerns_all := self._concerns_all(error):
            self.stop_code = exit_code(error)
        text = str(error) if concerns_all else message(name_of(task, self.common), error)
        return output_record(task, output, "failed", device=self.report.device, error=text)

    def _concerns_all(self, error: Exception) -> bool:
        """True for an error that every other task would meet too.

        Such errors are: there is no such device, no room on the disk, or a shared input cannot be read.
        """
        if isinstance(error, MakerError):
            return True
        no_device = isinstance(error, DeviceError) and self.report.device is None
        unread = isinstance(error, InputError | CheckpointError)  # their messages begin with the file's name
        if no_device or (unread and any(str(error).startswith(f"{source.label}: ") for source in self.common.values())):
            return True
        return getattr(error.__cause__, "errno", None) in NO_ROOM


def _skipped(task: Task, output: Output, verdict: Verdict) -> dict[str, Any]:
    """The record of an output that was there: what it would become, with all that was to say when it was made."""
    return output_record(task, output, "skipped", sha256=verdict.sha256, **verdict.facts)


def _cause_of(error: Exception) -> Cause | None:
    """The cause of a refusal to replace an output; None for another error."""
    return error.cause if isinstance(error, OutputRefusal) else None
