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
from structkit.media.files import TEMP_PREFIX, atomic_path, sha256_file, write_atomically
from structkit_cli import plan
from structkit_cli.manifest import Manifest, made_from
from structkit_cli.options import Running
from structkit_cli.plan import Output, Task
from structkit_cli.report import PipeClosed, Report, emit, tell

if TYPE_CHECKING:
    from structkit.clips import Made
    from structkit.media.pictures import Picture

Progress = Callable[[float, str], None]
Film = Callable[[Path | BinaryIO], "Made"]  # a video is too large to be handed over: it writes itself, whole or not at all
Make = Callable[[Task, Sequence[Output], str, Progress], Iterable[tuple[Output, "Picture | Film"]]]

NOTHING_TO_DO, INTERRUPTED, TERMINATED = 4, 130, 143
NOT_OURS = "exists and is not as structkit wrote it: move it away, or say --exists overwrite"
AHEAD = 128  # tasks that are looked at before the one that is done
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class Terminated(BaseException):
    """SIGTERM came."""


class DiskError(OutputError):
    """The disk would not take an output; other output errors are about one picture."""


def exit_code(error: BaseException) -> int:
    """Of a command that came to nothing because of this error."""
    if isinstance(error, OptionError):
        return 2
    return 3 if isinstance(error, DeviceError | CheckpointError | OutputError) else 1


def run(
    verb: str,
    tasks: Sequence[Task],
    make: Make,
    running: Running,
    *,
    options: Mapping[str, Any],
    many: bool,
    foreign: int,
    expect: Callable[[Task], None] | None = None,
) -> None:
    """Do the tasks, and end the program with the exit code that tells how it went.

    verb: for the records.  make: yields each of the outputs that it is given, with its picture or film; it gets the task, these outputs,
    the device and a callable for progress.  options: those of the verb that change the outputs' bytes.  many: whether this is a batch.
    foreign: how many files in folders are none that the verb reads.  expect: called, some time before, with each task that `make` will get.
    """
    exists = running.exists or ("skip" if many else "error")
    plan.check(tasks, running, exists)
    outputs = [output for task in tasks for output in task.outputs]
    report = Report(verb, total=len(tasks), as_json=running.json, quiet=running.quiet, paths=all(o.path for o in outputs))
    made_with = {**options, "verb": verb, "version": __version__, "dtype": running.dtype, "quality": running.quality}
    manifests = {root: Manifest(root, wanted=many or exists == "skip") for root in sorted({o.root for o in outputs if o.path})}
    batch = _Batch(make, expect, running, exists, made_with, report, manifests)
    with report:
        try:
            with batch.manifests_open(outputs):
                code = batch.work(tasks)
        except KeyboardInterrupt:
            code = INTERRUPTED
        except Terminated:
            code = TERMINATED
    if code == NOTHING_TO_DO:
        tell(f"nothing to do: there is no file that {verb} reads among the inputs" + (f" ({foreign} other files)" if foreign else ""))
    report.summary(code, foreign=foreign, version=__version__)
    raise typer.Exit(code)


def share(progress: Progress, index: int, count: int) -> Progress:
    """Progress of the `index`-th of `count` equal parts."""
    return lambda fraction, note="": progress((index + fraction) / count, note)


@dataclass(frozen=True)
class _Found:
    """What is there of a task.

    sources: hashes of its inputs, by role.  current: of its outputs that are done, by their places, up to one that is not ours.
    """

    sources: Mapping[str, str]
    current: dict[int, str | None] = field(default_factory=dict)
    foreign: Path | None = None


class _Batch:
    """One run: what it makes with what, and what it remembers."""

    def __init__(
        self,
        make: Make,
        expect: Callable[[Task], None] | None,
        running: Running,
        exists: str,
        options: dict[str, Any],
        report: Report,
        manifests: dict[Path, Manifest],
    ):
        self.make, self.expect, self.running, self.exists = make, expect, running, exists
        self.options, self.report, self.manifests = options, report, manifests

    @contextmanager
    def manifests_open(self, outputs: Sequence[Output]) -> Iterator[None]:
        with ExitStack() as opened:  # of several, those that were opened are closed
            for root, manifest in self.manifests.items():
                with _as_disk_error(root):
                    manifest.open({root, *(o.path.parent for o in outputs if o.path and o.root == root)})
                opened.callback(_as_disk_error(root)(manifest.close))
            yield

    def work(self, tasks: Sequence[Task]) -> int:
        """Do the tasks one after another; returns the exit code."""
        if not tasks:
            return NOTHING_TO_DO
        failed: list[int] = []
        for task, found in self._looked_at(tasks):
            left = list(task.outputs)
            try:
                if isinstance(found, Exception):
                    raise found
                for record in self._records(task, found, left):
                    self.report.record(record)
            except PipeClosed:
                raise
            except Exception as error:
                if os.environ.get("STRUCTKIT_DEBUG"):
                    traceback.print_exc()
                failed.append(exit_code(error) if isinstance(error, DiskError) or not isinstance(error, OutputError) else 1)
                stop = self._concerns_all(error)
                fact = str(error) if stop else _fact(task, error)
                self.report.record(_record(task, [*left, *task.outputs][0], "failed", device=self.report.device, error=fact))
                if stop:
                    return exit_code(error)
            self.report.finished()
        came_to_nothing = failed and not (self.report.counts["written"] or self.report.counts["skipped"])
        return failed[0] if came_to_nothing and len(set(failed)) == 1 else 1 if failed else 0

    def _concerns_all(self, error: Exception) -> bool:
        """Whether every other task would meet it too: there is no such device, or no room on the disk."""
        no_device = isinstance(error, DeviceError) and self.report.device is None
        return no_device or getattr(error.__cause__, "errno", None) in NO_ROOM

    def _looked_at(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, _Found | Exception]]:
        """The tasks, each with what is there of it; who makes them ahead hears of those to come."""
        ahead: deque[tuple[Task, _Found | Exception]] = deque()
        for task in tasks:
            found = self._look(task)
            if self.expect and isinstance(found, _Found) and not found.foreign and len(found.current) < len(task.outputs):
                self.expect(task)
            ahead.append((task, found))
            if self.expect is None or len(ahead) > AHEAD:
                yield ahead.popleft()
        yield from ahead

    def _look(self, task: Task) -> _Found | Exception:
        recorded = any(manifest.kept for manifest in self.manifests.values())
        try:
            found = _Found({role: source.sha256 for role, source in task.inputs.items()} if recorded else {})
            for i, output in enumerate(task.outputs):
                verdict, sha256 = self._verdict(output, found.sources)
                if verdict == "foreign":
                    return replace(found, foreign=output.path)
                if verdict == "current":
                    found.current[i] = sha256
        except Exception as error:
            return error
        return found

    def _records(self, task: Task, found: _Found, left: list[Output]) -> Iterator[dict[str, Any]]:
        """Do one task; yields the record of each output, which is then no longer in `left`."""
        for i, sha256 in found.current.items():
            left.remove(task.outputs[i])
            yield _record(task, task.outputs[i], "skipped", sha256=sha256)
        if found.foreign:
            raise OutputError(f"{found.foreign} {NOT_OURS}")
        if not left:
            return
        device = self._device()
        clock = time.monotonic()
        for output, made in self.make(task, tuple(left), device, self.report.progress):
            facts = (self._write_film if output.video else self._write)(output, made, found.sources)
            left.remove(output)
            clock, ms = time.monotonic(), round((time.monotonic() - clock) * 1000)
            yield _record(task, output, "written", ms=ms, device=device, **facts)

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

    def _write(self, output: Output, picture: Picture, sources: Mapping[str, str]) -> dict[str, Any]:
        """Returns what the record says of it."""
        from structkit.media.pictures import encode_picture

        quality = None if output.strip else self.running.quality
        data = encode_picture(replace(picture, name=str(output.path or "standard output")), output.format, quality=quality)
        sha256 = hashlib.sha256(data).hexdigest()
        if output.path is None:
            emit(data)
        else:
            self._claim(output, sha256, sources)
            with _as_disk_error(output.path):
                write_atomically(output.path, data)
        return {"sha256": sha256, "warnings": list(picture.notes)}

    def _write_film(self, output: Output, film: Film, sources: Mapping[str, str]) -> dict[str, Any]:
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
                sha256 = sha256_file(hidden)
                self._claim(output, sha256, sources)
                with _as_disk_error(output.path), atomic_path(output.path) as last:
                    os.replace(hidden, last)
        return {"sha256": sha256, "warnings": list(made.notes), "frames": made.frames, "flicker": made.flicker}

    def _claim(self, output: Output, sha256: str, sources: Mapping[str, str]) -> None:
        """Right before an output takes its name: make its folder and note its hash, if what is there now may be replaced."""
        appeared = self.exists == "error" and os.path.lexists(output.path)
        if appeared or self._verdict(output, sources)[0] == "foreign":  # while we were at work
            raise OutputError(f"{output.path} {NOT_OURS}")
        with _as_disk_error(output.path):
            output.path.parent.mkdir(parents=True, exist_ok=True)
            if self.manifests[output.root].kept:
                self.manifests[output.root].note(output.path, self._made_from(output, sources), sha256)


def _record(task: Task, output: Output, status: str, **facts: Any) -> dict[str, Any]:
    """What records.schema.json says of one output."""
    (_, first), *others = task.inputs.items()
    record = {"input": first.name, "with": {role: source.name for role, source in others}, "output": str(output.path or "-")}
    record |= {"role": "comparison" if output.strip else "result", "status": status, "error": None, "ms": None, "device": None}
    return record | {"seed": output.seed, "warnings": [], "sha256": None} | facts


def _fact(task: Task, error: Exception) -> str:
    names = " + ".join(source.name for source in task.inputs.values())
    if isinstance(error, InputError | OutputError | CheckpointError):  # these name the file themselves
        return str(error)
    if isinstance(error, StructkitError):
        return f"{names}: {error}"
    return f"{names}: unexpected {type(error).__name__}: {error} (STRUCTKIT_DEBUG=1 shows where)"


@contextmanager
def _as_disk_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OutputError as error:
        raise DiskError(str(error)) from error.__cause__
    except OSError as error:
        raise DiskError(f"{path}: cannot be written ({error.strerror or error}); name another place with --output") from error


@contextmanager
def _hidden_beside(path: Path) -> Iterator[Path]:
    """A name for a file that is not to be seen, on the disk where a link may lead; whatever is there at the end goes."""
    with _as_disk_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    hidden = Path(os.path.realpath(path)).with_name(f"{TEMP_PREFIX}{secrets.token_hex(8)}{path.suffix}")
    try:
        yield hidden
    finally:
        hidden.unlink(missing_ok=True)
