"""Work on a cluster: the maker that has the tasks of a run made by workers, and hands out what comes of them in order.

The runner does not know of it: ledger, names, records and exit codes are those of one process.  Tasks go out in small
parcels, a few for each worker, so that memory and unfinished files do not grow with the number of tasks.  Where all see
one disk, a worker writes into the hidden file that waits here for its name; else bytes go there and back.
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from structkit.errors import DeviceError
from structkit.media.files import PendingFile, remove_leftovers
from structkit.media.locks import TEMP_PREFIX
from structkit.media.mounts import locks_hold
from structkit_cli.options import OutputOptions
from structkit_cli.run.cluster.freight import Freight, training_of
from structkit_cli.run.cluster.parcels import (
    EndEvent,
    Job,
    LineEvent,
    OutputEvent,
    ProgressEvent,
    WorkOrder,
    load,
)
from structkit_cli.run.cluster.process import BEGUN_IN_TIME, ClusterProcess
from structkit_cli.run.cluster.wire import pack, unpack
from structkit_cli.run.commit import as_disk_error
from structkit_cli.run.plan import Maker, MakerError, Output, Plan, Progress, Task
from structkit_cli.run.sinks import FileSink, Sink
from structkit_cli.streams import tell

PARCELS = 3  # for each worker that are under way, or wait for those before
TRIES = 3  # of a task whose workers die
MOST_SENT = 2**29  # bytes of inputs that are under way, where they are sent
LISTEN = 1.0  # seconds
VOICE = "structkit: "  # begins the lines of `tell`
NO_RAY = "--on ray needs Ray, which is not installed: pip install 'structkit[ray]'"


@dataclass(eq=False)
class Errand:
    """A task on its way to a worker and back.

    number: of the task in the run.
    missing: the places, among its outputs, of those that are still to come.
    files: hidden files by these places, until they are taken.
    events: those that are not yet handed out; an error of our own ends it too.
    size: bytes of its inputs that are under way.
    tries: workers that have died of it, or with it.
    """

    number: int
    task: Task
    missing: list[int]
    files: dict[int, PendingFile] = field(default_factory=dict)
    events: deque[OutputEvent | EndEvent | Exception] = field(default_factory=deque)
    progress: ProgressEvent | None = None
    is_sent: bool = False
    size: int = 0
    tries: int = 0

    @property
    def is_over(self) -> bool:
        """True if nothing more is to come of it."""
        return bool(self.events) and not isinstance(self.events[-1], OutputEvent)

    def take(self, event: OutputEvent | EndEvent | Exception) -> None:
        if not self.is_over:
            self.events.append(event)
            if isinstance(event, OutputEvent):
                self.missing.remove(event.place)

    def discard(self, places: Sequence[int]) -> set[Path]:
        """Remove the hidden files of these outputs; returns the folders that they were in."""
        files = [self.files.pop(place) for place in places if place in self.files]
        for file in files:
            file.discard()
        return {file.hidden.parent for file in files}


@dataclass(frozen=True)
class RemoteResult:
    """A result that a worker has made: in its hidden file, or its bytes."""

    event: OutputEvent
    file: PendingFile | None

    def write(self, sink: Sink) -> dict[str, Any]:
        if isinstance(sink, FileSink) and self.file is not None:
            sink.adopt(self.file, str(self.event.sha256))
        elif self.event.data is not None:
            sink.put(self.event.data)
        return dict(self.event.facts)


class ClusterMaker(Maker):
    """The maker of a plan's outputs on the workers of a cluster, which is reached when the first task is expected."""

    works_ahead = True

    def __init__(self, plan: Plan, running: OutputOptions) -> None:
        """Raises DeviceError where Ray is not installed, OptionError for a plan that cannot be made so."""
        if find_spec("ray") is None:
            raise DeviceError(NO_RAY)
        if os.name == "nt":
            raise DeviceError("--on ray works on Linux and macOS: leave it out here")
        self.plan, self.running, self.is_fast = plan, running, plan.maker.is_fast
        self._freight = Freight.of(plan) if running.ship else None
        self._process: ClusterProcess | None = None
        self._failure: Exception | None = None
        self._device: str | None = None
        self._workers, self._at_once = 0, 1  # none: the cluster is not reached yet
        self._count = self._parcels = 0
        self._waiting: deque[Errand] = deque()
        self._turn: deque[Errand] = deque()  # in the order of the runner
        self._sent: dict[int, Errand] = {}  # by their numbers, until they are handed out
        self._contents: dict[int, list[Errand]] = {}  # of parcels
        self._present: tuple[Errand, Progress] | None = None
        self._left: set[Path] = set()  # folders where workers may leave something
        self._made: set[Path] = set()  # folders that are new, and may stay empty

    def __exit__(self, *_: object) -> None:
        for errand in self._turn:
            self._left |= errand.discard(list(errand.files))
        if self._process:
            self._process.end()
        for folder in filter(locks_hold, self._left):
            remove_leftovers(folder)
        for folder in sorted(self._made, key=lambda folder: -len(folder.parts)):
            with suppress(OSError):  # not empty
                folder.rmdir()

    def device(self, name: str, local: int | None = None) -> str:
        self._reach()
        while self._device is None:
            self._listen()
        return self._device

    def expect(self, task: Task, missing: Sequence[Output]) -> None:
        self._count += 1
        errand = Errand(self._count, task, [task.outputs.index(output) for output in missing])
        self._waiting.append(errand)
        self._turn.append(errand)
        try:
            self._reach()
            if len(self._waiting) > self._at_once * (1 if self._sent else self._workers):
                self._send()
        except Exception as error:  # it is raised where it is answered
            self._failure = self._failure or error

    def make(
        self, task: Task, missing: Sequence[Output], device: str, progress: Progress
    ) -> Iterator[tuple[Output, RemoteResult]]:
        errand = self._turn.popleft()
        self._present = errand, progress
        if errand.progress:
            progress(errand.progress.fraction, errand.progress.note)
        try:
            while True:
                self._send(errand)
                while not errand.events:
                    self._listen()
                event = errand.events.popleft()
                if isinstance(event, OutputEvent):
                    yield task.outputs[event.place], RemoteResult(event, errand.files.pop(event.place, None))
                    continue
                if isinstance(event, Exception):
                    raise event
                if event.failure:
                    raise self._error(event)
                return
        finally:
            self._present = None
            self._sent.pop(errand.number, None)
            self._left |= errand.discard(list(errand.files))

    def _reach(self) -> None:
        """Reach the cluster, if that was not tried before."""
        if self._failure:
            raise self._failure.with_traceback(None)
        if self._process:
            return
        freight = self._freight
        order = WorkOrder(
            maker=load(self.plan.maker, freight),
            device=self.running.device,
            quality=self.running.quality,
            folder=os.getcwd(),
            models=freight.names if freight else {},
            common=freight.common_bytes() if freight else b"",
            is_terminal=sys.stderr.isatty(),
            ship=self.running.ship,
        )
        settings = {"order": pack(order), "models": freight.model_bytes() if freight else []}
        settings |= {"device": self.running.device, "workers": self.running.workers}
        settings["tasks"] = len(self.plan.tasks)
        address = os.environ.get("RAY_ADDRESS", "")
        self._process = ClusterProcess("" if address == "local" else address, settings)
        began = time.monotonic()
        while not self._workers:
            self._listen()
            if time.monotonic() - began > BEGUN_IN_TIME:
                raise self._fail(f"the cluster does not answer in {BEGUN_IN_TIME:.0f} s: see its logs")

    def _send(self, present: Errand | None = None) -> None:
        """Send tasks that wait, as long as not too many are under way; the present one in any case."""
        if self._failure:
            raise self._failure.with_traceback(None)
        while self._waiting:
            count = min(self._at_once, -(-len(self._waiting) // self._workers))
            is_full = len(self._sent) + count > PARCELS * self._workers * self._at_once
            is_full |= sum(errand.size for errand in self._sent.values()) > MOST_SENT
            if is_full and (present is None or present.is_sent):
                return
            together = [self._waiting.popleft() for _ in range(count)]
            while self._waiting and (place := training_of(together[-1].task)):
                if training_of(self._waiting[0].task) != place:
                    break
                together.append(self._waiting.popleft())  # a model is not trained twice at once
            self._send_parcel(together)

    def _send_parcel(self, errands: Sequence[Errand], *, first: bool = False) -> None:
        jobs = []
        for errand in errands:
            errand.is_sent = True
            self._sent[errand.number] = errand
            try:
                job = load(Job(errand.number, errand.task, *self._places(errand)), self._freight)
            except Exception as error:
                errand.take(error)
                continue
            errand.size = len(job) if self._freight else 0
            jobs.append(job)
        if jobs:
            self._parcels += 1
            self._contents[self._parcels] = [errand for errand in errands if not errand.is_over]
            self._process.send("first" if first else "parcel", self._parcels, pack(jobs))

    def _places(self, errand: Errand) -> tuple[tuple[int, ...], tuple[Path | None, ...]]:
        """The places of the missing outputs, and the hidden files for these."""
        for place in errand.missing:
            output = errand.task.outputs[place]
            if output.path is not None and not output.dry and not self.running.ship:
                with as_disk_error(output.path, output.flag):
                    if not output.path.parent.exists():
                        self._made |= {one for one in output.path.parents if not one.exists()}
                        output.path.parent.mkdir(parents=True, exist_ok=True)
                    errand.files[place] = PendingFile(output.path, b"")
        files = (errand.files.get(place) for place in errand.missing)
        return tuple(errand.missing), tuple(file and file.hidden for file in files)

    def _listen(self) -> None:
        """Take one message of the cluster's process, or wait a moment for one."""
        if self._failure:
            raise self._failure.with_traceback(None)
        try:
            message = self._process.receive(LISTEN)
        except MakerError as error:
            self._failure = error
            raise
        if message is None:
            return
        kind, *facts = message
        if kind == "up":
            self._workers, has_gpu = facts
            self._at_once = self.plan.maker.together("cuda" if has_gpu else "cpu")
            self.ahead = (PARCELS + 1) * self._workers * self._at_once
        elif kind == "ready":
            self._device = self._device or facts[0]
        elif kind in ("heard", "done"):
            number, self._node, events = facts
            for event in unpack(events) if events else ():
                self._take(event)
            if kind == "done":
                del self._contents[number]
        elif kind == "lost":
            self._try_again(*facts)
        elif kind == "note":
            tell(*facts)
        elif kind == "refused":
            raise self._fail(*facts)

    def _take(self, event: Any) -> None:
        if isinstance(event, LineEvent):
            if event.text.startswith(VOICE):
                tell(event.text.removeprefix(VOICE))
            else:
                print(event.text, file=sys.stderr, flush=True)
            return
        errand = self._sent.get(event.number)
        if errand is None:  # it was given up
            return
        if not isinstance(event, ProgressEvent):
            errand.take(event)
        elif self._present and self._present[0] is errand:
            self._present[1](event.fraction, event.note)
        else:
            errand.progress = event

    def _try_again(self, parcel: int, node: str, fact: str) -> None:
        """Send the tasks of a parcel whose worker is dead again, each by itself."""
        for errand in self._contents.pop(parcel):
            if errand.is_over or errand.number not in self._sent:
                continue
            errand.tries += 1
            self._left |= errand.discard(errand.missing)  # the dead may write on, to files of no account
            if not errand.missing:
                errand.take(EndEvent(errand.number))
            elif errand.tries == TRIES:
                words = f"its worker {fact} {TRIES} times, at last on the node {node}"
                errand.take(DeviceError(f"{words}: leave it out, or give the workers more memory"))
            else:
                self._send_parcel([errand], first=True)

    def _error(self, event: EndEvent) -> Exception:
        """The error of a task; of the whole run where its worker cannot see a file that is here."""
        if event.unseen and event.unseen.exists():
            place = event.unseen.parent if event.unseen.name.startswith(TEMP_PREFIX) else event.unseen
            way_out = "use a disk that all nodes share, or say --ship"
            return self._fail(f"{place} is not to be seen on the node {self._node}: {way_out}")
        return event.failure.error()

    def _fail(self, text: str) -> MakerError:
        self._failure = MakerError(text)
        return self._failure
