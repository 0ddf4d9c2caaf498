"""The runner behind every verb that makes pictures and videos: one bad input never stops the others."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import typer

from structkit._version import __version__
from structkit.errors import CheckpointError, DeviceError, InputError, OptionError, OutputError, StructkitError
from structkit.media.files import TEMP_PREFIX, PendingFile, atomic_path, sha256_file
from structkit_cli.options import OutputOptions
from structkit_cli.run import plan
from structkit_cli.run.commit import AT_LEAST_EVERY, TOGETHER, DiskError, PendingOutput, as_disk_error, commit
from structkit_cli.run.inputs import InputFile
from structkit_cli.run.manifest import Manifest, made_from
from structkit_cli.run.plan import Output, Task
from structkit_cli.run.report import PipeClosed, Report, emit, tell

if TYPE_CHECKING:
    from structkit.media.pictures import Picture
    from structkit.verbs.analogy_video import VideoSummary

Progress = Callable[[float, str], None]
# A video is too large to be handed over: it writes itself, whole or not at all.
Film = Callable[[Path | BinaryIO], "VideoSummary"]
Make = Callable[[Task, Sequence[Output], str, Progress], Iterable[tuple[Output, "Picture | Film"]]]

NOTHING_TO_DO, INTERRUPTED, TERMINATED = 4, 130, 143
NOT_OURS = "exists and is not as structkit wrote it: move it away, or say --exists overwrite"
AHEAD = 128  # tasks that are looked at before the one that is done
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class Termination(BaseException):
    """SIGTERM came."""


def exit_code(error: BaseException) -> int:
    """Of a command that came to nothing because of this error."""
    if isinstance(error, OptionError):
        return 2
    return 3 if isinstance(error, DeviceError | CheckpointError | OutputError) else 1


def run(
    verb: str,
    tasks: Sequence[Task],
    make: Make,
    running: OutputOptions,
    *,
    options: Mapping[str, Any],
    many: bool,
    foreign: int,
    expect: Callable[[Task], None] | None = None,
) -> None:
    """Do the tasks, and end the program with the exit code that tells how it went.

    verb: for the records.  make: yields each of the outputs that it is given, with its picture or film; it gets the
    task, these outputs, the device and a callable for progress.  options: those of the verb that change the outputs'
    bytes.  many: whether this is a batch. foreign: how many files in folders are none that the verb reads.  expect:
    called, some time before, with each task that `make` will get.
    """
    exists = running.exists or ("skip" if many else "error")
    plan.check(tasks, running, exists)
    outputs = [output for task in tasks for output in task.outputs]
    report = Report(
        verb, total=len(tasks), as_json=running.json, quiet=running.quiet, paths=all(o.path for o in outputs)
    )
    made_with = {**options, "verb": verb, "version": __version__, "dtype": running.dtype, "quality": running.quality}
    manifests = {
        root: Manifest(root, wanted=many or exists == "skip") for root in sorted({o.root for o in outputs if o.path})
    }
    batch = _Batch(make, expect, running, exists, made_with, report, manifests)
    with report:
        try:
            with batch.manifests_open(outputs):
                code = batch.work(tasks)
        except KeyboardInterrupt:
            code = INTERRUPTED
        except Termination:
            code = TERMINATED
    if code == NOTHING_TO_DO:
        tell(
            f"nothing to do: there is no file that {verb} reads among the inputs"
            + (f" ({foreign} other files)" if foreign else "")
        )
    report.summary(code, foreign=foreign, version=__version__)
    raise typer.Exit(code)


def share(progress: Progress, index: int, count: int) -> Progress:
    """Progress of the `index`-th of `count` equal parts."""
    return lambda fraction, note="": progress((index + fraction) / count, note)


@dataclass(frozen=True)
class _Finding:
    """What is there of a task.

    sources: hashes of its inputs, by role.  current: of its outputs that are done, by their places, up to one that is
    not ours.
    """

    sources: Mapping[str, str]
    current: dict[int, str | None] = field(default_factory=dict)
    foreign: Path | None = None


@dataclass(frozen=True)
class _Announcement:
    """What is to be said in its turn: a record of an output, which may still wait for its name; without one, that the
    task is over.
    """

    task: Task
    record: Mapping[str, Any] | None = None
    waiting: PendingOutput | None = None


class _Batch:
    """One run: what it makes with what, and what it remembers."""

    def __init__(
        self,
        make: Make,
        expect: Callable[[Task], None] | None,
        running: OutputOptions,
        exists: str,
        options: dict[str, Any],
        report: Report,
        manifests: dict[Path, Manifest],
    ):
        self.make, self.expect, self.running, self.exists = make, expect, running, exists
        self.options, self.report, self.manifests = options, report, manifests
        self.common: Mapping[str, InputFile] = {}  # what all tasks share
        self.failed: list[int] = []  # an exit code for each failure
        self.stop: int | None = None  # the exit code of one that concerns all
        self._told: list[_Announcement] = []
        self._settled = time.monotonic()

    @contextmanager
    def manifests_open(self, outputs: Sequence[Output]) -> Iterator[None]:
        with ExitStack() as opened:  # of several, those that were opened are closed
            for root, manifest in self.manifests.items():
                with as_disk_error(root):
                    manifest.open({root, *(o.path.parent for o in outputs if o.path and o.root == root)})
                opened.callback(as_disk_error(root)(manifest.close))
            yield

    def work(self, tasks: Sequence[Task]) -> int:
        """Do the tasks one after another; returns the exit code."""
        if not tasks:
            return NOTHING_TO_DO
        self.common = plan.shared(tasks)
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
        came_to_nothing = self.failed and not (self.report.counts["written"] or self.report.counts["skipped"])
        return self.failed[0] if came_to_nothing and len(set(self.failed)) == 1 else 1 if self.failed else 0

    def _do(self, task: Task, found: _Finding | Exception) -> None:
        left = list(task.outputs)
        try:
            if isinstance(found, Exception):
                raise found
            for told in self._records(task, found, left):
                self._told.append(told)
                if self._is_time() and task in self._settle():
                    break
        except PipeClosed:
            raise
        except Exception as error:
            self._told.append(_Announcement(task, self._failure(task, [*left, *task.outputs][0], error)))
        self._told.append(_Announcement(task))
        if self._is_time():
            self._settle()

    def _is_time(self) -> bool:
        """Whether to give names to what waits: at once, but where outputs come fast."""
        return (
            self.expect is None or len(self._told) >= 2 * TOGETHER or time.monotonic() - self._settled >= AT_LEAST_EVERY
        )

    def _settle(self) -> list[Task]:
        """Outputs that wait take their names, and what there is to say is said; returns the tasks that fail in this."""
        told, self._told = self._told, []
        waiting = [one for one in told if one.waiting]
        try:
            errors = commit(
                [one.waiting for one in waiting], self.manifests, lambda one: self._check(one.output, one.made_from)
            )
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
        self.failed.append(
            exit_code(error) if isinstance(error, DiskError) or not isinstance(error, OutputError) else 1
        )
        if stop := self._concerns_all(error):
            self.stop = exit_code(error)
        fact = str(error) if stop else _fact(plan.names(task, self.common), error)
        return _record(task, output, "failed", device=self.report.device, error=fact)

    def _concerns_all(self, error: Exception) -> bool:
        """Whether every other task would meet it too: there is no such device, no room on the disk, or what they share
        cannot be read.
        """
        no_device = isinstance(error, DeviceError) and self.report.device is None
        unread = isinstance(error, InputError | CheckpointError)  # these name their file first
        if no_device or (unread and any(str(error).startswith(f"{source.label}: ") for source in self.common.values())):
            return True
        return getattr(error.__cause__, "errno", None) in NO_ROOM

    def _looked_at(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, _Finding | Exception]]:
        """The tasks, each with what is there of it; who makes them ahead hears of those to come."""
        ahead: deque[tuple[Task, _Finding | Exception]] = deque()
        for task in tasks:
            found = self._look(task)
            if (
                self.expect
                and isinstance(found, _Finding)
                and not found.foreign
                and len(found.current) < len(task.outputs)
            ):
                self.expect(task)
            ahead.append((task, found))
            if self.expect is None or len(ahead) > AHEAD:
                yield ahead.popleft()
        yield from ahead

    def _look(self, task: Task) -> _Finding | Exception:
        recorded = any(manifest.kept for manifest in self.manifests.values())
        try:
            found = _Finding({role: source.sha256 for role, source in task.inputs.items()} if recorded else {})
            for i, output in enumerate(task.outputs):
                verdict, sha256 = self._verdict(output, found.sources)
                if verdict == "foreign":
                    return replace(found, foreign=output.path)
                if verdict == "current":
                    found.current[i] = sha256
        except Exception as error:
            return error
        return found

    def _records(self, task: Task, found: _Finding, left: list[Output]) -> Iterator[_Announcement]:
        """Do one task; yields what is to be said of each output, which is then no longer in `left`."""
        for i, sha256 in found.current.items():
            left.remove(task.outputs[i])
            yield _Announcement(task, _record(task, task.outputs[i], "skipped", sha256=sha256))
        if found.foreign:
            raise OutputError(f"{found.foreign} {NOT_OURS}")
        if not left:
            return
        device = self._device()
        clock = time.monotonic()
        for output, made in self.make(task, tuple(left), device, self.report.progress):
            facts, waiting = (self._write_film if output.video else self._write)(output, made, found.sources)
            left.remove(output)
            clock, ms = time.monotonic(), round((time.monotonic() - clock) * 1000)
            yield _Announcement(task, _record(task, output, "written", ms=ms, device=device, **facts), waiting)

    def _verdict(self, output: Output, sources: Mapping[str, str]) -> tuple[str, str | None]:
        if self.exists != "skip" or output.path is None:
            return "missing", None
        return self.manifests[output.root].verdict(output.path, self._made_from(output, sources))

    def _made_from(self, output: Output, sources: Mapping[str, str]) -> str:
        return made_from(sources, {**self.options, "format": output.format, "seed": output.seed, "strip": output.strip})

    def _device(self) -> str:
        """The device, found when the first picture needs it: this loads torch."""
        if self.report.device is None:
            from structkit.device import resolve

            self.report.device = resolve(self.running.device)
        return self.report.device

    def _write(
        self, output: Output, picture: Picture, sources: Mapping[str, str]
    ) -> tuple[dict[str, Any], PendingOutput | None]:
        """Returns what the record says of it, and what then waits for its name."""
        from structkit.media.pictures import encode_picture

        quality = None if output.strip else self.running.quality
        data = encode_picture(
            replace(picture, name=str(output.path or "standard output")), output.format, quality=quality
        )
        facts = {"sha256": hashlib.sha256(data).hexdigest(), "warnings": list(picture.notes)}
        if output.path is None:
            emit(data)
            return facts, None
        with as_disk_error(output.path):
            output.path.parent.mkdir(parents=True, exist_ok=True)
            return facts, PendingOutput(
                output, PendingFile(output.path, data), self._made_from(output, sources), facts["sha256"]
            )

    def _write_film(self, output: Output, film: Film, sources: Mapping[str, str]) -> tuple[dict[str, Any], None]:
        """The same for a video: written under a hidden name, since its hash must be noted before it takes its own."""
        if output.path is None:
            made = film(stream := BytesIO())
            emit(stream.getvalue())
            sha256 = hashlib.sha256(stream.getvalue()).hexdigest()
        else:
            with _hidden_beside(output.path) as hidden:
                try:
                    made = film(hidden)
                except StructkitError as error:
                    kind = DiskError if isinstance(error, OutputError) else type(error)
                    raise kind(str(error).replace(str(hidden), str(output.path))) from error.__cause__
                sha256, made_from = sha256_file(hidden), self._made_from(output, sources)
                self._check(output, made_from)
                with as_disk_error(output.path):
                    if self.manifests[output.root].kept:
                        self.manifests[output.root].note((output.path, made_from, sha256))
                    with atomic_path(output.path) as last:
                        os.replace(hidden, last)
        return {"sha256": sha256, "warnings": list(made.notes), "frames": made.frames, "flicker": made.flicker}, None

    def _check(self, output: Output, made_from: str) -> None:
        """Right before an output takes its name: whether what is there now may be replaced."""
        appeared = self.exists == "error" and os.path.lexists(output.path)
        skips = self.exists == "skip"
        if appeared or (
            skips and self.manifests[output.root].verdict(output.path, made_from)[0] == "foreign"
        ):  # while we were at work
            raise OutputError(f"{output.path} {NOT_OURS}")


def _record(task: Task, output: Output, status: str, **facts: Any) -> dict[str, Any]:
    """What records.schema.json says of one output."""
    (_, first), *others = task.inputs.items()
    record = {
        "input": first.name,
        "with": {role: source.name for role, source in others},
        "output": str(output.path or "-"),
    }
    record |= {
        "role": "comparison" if output.strip else "result",
        "status": status,
        "error": None,
        "ms": None,
        "device": None,
    }
    return record | {"seed": output.seed, "warnings": [], "sha256": None} | facts


def _fact(names: str, error: Exception) -> str:
    if isinstance(error, InputError | OutputError | CheckpointError):  # these name the file themselves
        return str(error)
    if isinstance(error, StructkitError):
        return f"{names}: {error}"
    return f"{names}: unexpected {type(error).__name__}: {error} (STRUCTKIT_DEBUG=1 shows where)"


@contextmanager
def _hidden_beside(path: Path) -> Iterator[Path]:
    """A name for a file that is not to be seen, on the disk where a link may lead; whatever is there at the end
    goes.
    """
    with as_disk_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    hidden = Path(os.path.realpath(path)).with_name(f"{TEMP_PREFIX}{secrets.token_hex(8)}{path.suffix}")
    try:
        yield hidden
    finally:
        hidden.unlink(missing_ok=True)
