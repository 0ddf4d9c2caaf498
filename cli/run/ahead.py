"""Painting ahead: networks work best on many pictures at once; meanwhile those before are encoded and written.

The runner does one task after another, and says beforehand which are still to do.  Threads read the pictures of the
next tasks and paint them together; the outcome of each, pictures or an error, is handed out in its turn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any

from structkit_cli.options import OutputOptions
from structkit_cli.run.checks import check_alpha
from structkit_cli.run.plan import Maker, Output, Progress, Task
from structkit_cli.run.results import PictureResult

if TYPE_CHECKING:
    from concurrent.futures import Future

    from structkit.media.pictures import Picture

    Paint = Callable[[Sequence[Task], Sequence[Picture], str], list[list[Picture]]]
    Outcome = list[Picture] | Exception

TOGETHER = 32  # tasks that are painted together, at most
# On a CPU more are no faster, take 100 MB for each further 8, and come out otherwise in single bits: bytes would depend
# on what a run finds done.
TOGETHER_ON_CPU = 8
MOST_PIXELS = 2**24  # pixels of their results: large photographs are painted a few at a time, or one
LARGE = 2**21  # pixels of a picture after which memory is returned, which takes milliseconds
WORKERS = 2  # on two cores: one reads or pastes while the networks of the other work


class PaintQueue(Maker):
    """The maker of pictures that are painted ahead; at the end of its context its threads take up no other picture.

    paint: gets tasks, the picture of each, and the device; returns the pictures of each task's outputs, in their order.
    """

    works_ahead = is_fast = True

    def __init__(self, paint: Paint, running: OutputOptions, *, opaque: bool = False) -> None:
        """opaque: true if results have no alpha, whatever the pictures have."""
        self.paint, self.running, self.opaque = paint, running, opaque
        from concurrent.futures import ThreadPoolExecutor

        self._threads = ThreadPoolExecutor(WORKERS, "paint")
        self._expected: deque[Task] = deque()
        self._jobs: deque[Future[list[Outcome]]] = deque()
        self._outcomes: deque[Outcome] = deque()  # outcomes of the job that is being handed out
        self._stopped = False

    def again(self) -> dict[str, Any]:
        """The arguments of another one like it, in another process."""
        return {"paint": self.paint, "running": self.running, "opaque": self.opaque}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped = True  # the end of the program waits for its threads
        self._threads.shutdown(wait=False, cancel_futures=True)

    def together(self, device: str) -> int:
        return TOGETHER_ON_CPU if device == "cpu" else TOGETHER

    def expect(self, task: Task, missing: Sequence[Output]) -> None:
        self._expected.append(task)

    def make(
        self, task: Task, missing: Sequence[Output], device: str, progress: Progress
    ) -> Iterator[tuple[Output, PictureResult]]:
        while len(self._jobs) <= WORKERS and self._expected:
            together = self._next(self.together(device))
            self._jobs.append(self._threads.submit(self._paint, together, device))
        if not self._outcomes:
            self._outcomes.extend(self._jobs.popleft().result())
        outcome = self._outcomes.popleft()
        if isinstance(outcome, Exception):
            raise outcome
        for output, picture in zip(task.outputs, outcome, strict=True):
            if output in missing:
                yield output, PictureResult(picture)

    def _next(self, most: int = TOGETHER) -> list[Task]:
        """The tasks that are painted together next."""
        together, pixels = [], 0
        while self._expected and len(together) < most:
            pixels += _pixels(self._expected[0])
            if together and pixels > MOST_PIXELS:
                break
            together.append(self._expected.popleft())
        return together

    def _paint(self, tasks: Sequence[Task], device: str) -> list[Outcome]:
        """The outcome of each task.  A failure does not concern the others."""
        outcomes: list[Outcome] = []
        for task in tasks:
            if self._stopped:
                return []
            try:
                picture = next(iter(task.inputs.values())).picture(**self.running.reading)
                if not self.opaque:
                    check_alpha(picture, task.outputs)
                outcomes.append([picture])
            except Exception as error:
                outcomes.append(error)
        good = [i for i, outcome in enumerate(outcomes) if not isinstance(outcome, Exception)]
        _return_memory(outcomes)
        pictures = _Pictures([outcomes[i][0] for i in good], lambda: self._stopped)  # type: ignore[index]
        try:
            painted: list[Outcome] = list(self.paint([tasks[i] for i in good], pictures, device)) if good else []
        except Exception:  # an error of one of them: which?
            painted = [self._alone(tasks[i], picture, device) for i, picture in zip(good, pictures, strict=True)]
        for i, outcome in zip(good, painted, strict=True):
            outcomes[i] = outcome
        del pictures
        _return_memory(outcomes)
        return outcomes

    def _alone(self, task: Task, picture: Picture, device: str) -> Outcome:
        try:
            return [] if self._stopped else self.paint([task], [picture], device)[0]
        except Exception as error:
            return error


class _Pictures(Sequence):
    """Pictures that are given out one by one, until the run has stopped: large ones take seconds each to paint."""

    def __init__(self, pictures: Sequence[Picture], stopped: Callable[[], bool]) -> None:
        self._pictures, self._stopped = pictures, stopped

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, i: int) -> Picture:
        if self._stopped():
            raise InterruptedError("the run has stopped")
        return self._pictures[i]


def _return_memory(outcomes: Sequence[Outcome]) -> None:
    """Return what large pictures have needed on their way, beside themselves."""
    from structkit.device import return_memory

    pictures = (picture for outcome in outcomes if isinstance(outcome, list) for picture in outcome)
    if any(picture.width * picture.height >= LARGE for picture in pictures):
        return_memory()


def _pixels(task: Task) -> int:
    """The pixels of all results of a task, as the header of its picture says; 0 for a file that has none."""
    from structkit.media.formats import HEAD, recognise
    from structkit.media.warned import warnings_of_this_thread

    path = next(iter(task.inputs.values())).path
    if path is None or not path.is_file():  # an input that can be read only once
        return 0
    with suppress(Exception), path.open("rb") as stream, warnings_of_this_thread():
        format = recognise(stream.read(HEAD))
        stream.seek(0)
        width, height = format.open(stream).size
        return width * height * len(task.outputs)
    return 0
