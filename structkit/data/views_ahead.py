"""Views made ahead: worker processes make the views of the next batches while a network learns from these.

Each worker has pictures and views of its own and makes every n-th batch; batches are handed out in their order.  Since
a view depends on its seed alone, the bytes are the same with any number of workers, or none.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Sequence
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from structkit.data.views import Views, as_views
from structkit.errors import DeviceError, StructkitError

WAITING = 2  # batches that a worker has been asked for and that nobody has taken
PATIENCE = 5.0  # seconds that a worker is given to end by itself


class Pictures(Protocol):
    """Pictures by their index."""

    def pixels(self, index: int) -> np.ndarray:
        """A picture (h, w, 3) uint8."""


class ViewsAhead:
    """A queue of batches of views: asked for, made meanwhile, and taken in the same order.

    pictures: go to each worker, hence can be pickled.
    workers: processes; none: a batch is made when it is taken.
    At the end of its context the workers end; those of a process that was killed end by themselves.  A script that has
    workers keeps what it does under `if __name__ == "__main__":`, since each worker imports it.
    """

    def __init__(self, pictures: Pictures, views: Views, *, workers: int = 0) -> None:
        self.pictures, self.views = pictures, views
        self._asked: deque[tuple[np.ndarray, np.ndarray]] = deque()  # batches that no worker knows of
        self._turn = 0  # batches taken
        self._given: list[int] = [0] * workers  # batches that each worker is at
        self._sent = 0
        self._workers = [_Worker(pictures, views, number) for number in range(workers)]

    def ask(self, indices: Sequence[int] | np.ndarray | Tensor, seeds: Sequence[int] | np.ndarray | Tensor) -> None:
        """Want the views of these pictures as a batch, each with its seed."""
        self._asked.append((np.asarray(indices, np.int64), np.asarray(seeds, np.int64)))
        self._send()

    def take(self) -> Tensor:
        """The next batch (V, B, 3, side, side) float32 in [0, 1].

        Raises what the pictures raise, and DeviceError for a worker that died.
        """
        if not self._workers:
            indices, seeds = self._asked.popleft()
            return as_views(_made(self.pictures, self.views, indices, seeds))
        worker = self._turn % len(self._workers)
        if not self._given[worker]:
            raise IndexError("no batch was asked for")
        batch = self._workers[worker].take()
        self._given[worker] -= 1
        self._turn += 1
        self._send()
        return as_views(batch)

    def __len__(self) -> int:
        """Batches that were asked for and not taken."""
        return len(self._asked) + sum(self._given)

    def close(self) -> None:
        """Let the workers end; batches that were not taken are lost."""
        for worker in self._workers:
            worker.close()
        self._workers, self._given = [], []
        self._asked.clear()

    def __enter__(self) -> ViewsAhead:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self) -> None:
        """Hand to the workers what they can begin with; a pipe that were full both ways would stop both ends."""
        while self._workers and self._asked:
            worker = self._sent % len(self._workers)
            if self._given[worker] >= WAITING:
                return
            self._workers[worker].ask(self._asked.popleft())
            self._given[worker] += 1
            self._sent += 1


class _Worker:
    """A process that makes views."""

    def __init__(self, pictures: Pictures, views: Views, number: int) -> None:
        # A fresh process: one that is forked has the locks of threads that it lacks, and the other workers' pipes,
        # which then would not end with this process.
        fresh = multiprocessing.get_context("spawn")
        self._pipe, theirs = fresh.Pipe()
        self._process = fresh.Process(target=_work, args=(theirs,), name=f"views-{number}", daemon=True)
        self._process.start()
        theirs.close()
        self._tell((pictures, views))

    def ask(self, batch: tuple[np.ndarray, np.ndarray]) -> None:
        self._tell(batch)

    def take(self) -> np.ndarray:
        try:
            answer = self._pipe.recv()
            if isinstance(answer, Exception):
                raise answer
            batch = np.empty(*answer)
            self._pipe.recv_bytes_into(batch.reshape(-1).view(np.uint8))
            return batch
        except (EOFError, OSError) as error:
            raise self._death() from error

    def close(self) -> None:
        self._pipe.close()
        self._process.join(PATIENCE)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _tell(self, words: Any) -> None:
        try:
            self._pipe.send(words)
        except OSError as error:
            raise self._death() from error

    def _death(self) -> DeviceError:
        self._process.join(PATIENCE)
        code = self._process.exitcode
        how = f"by {signal.Signals(-code).name}" if code is not None and code < 0 else f"with exit code {code}"
        return DeviceError(
            f"a worker process that makes views ended {how}; if memory is short, choose fewer workers, or none"
        )


def _work(pipe: Connection) -> None:
    """Make batches until the other end of the pipe is closed, as that of a process that was killed is."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes: the first one decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)
    try:
        pictures, views = pipe.recv()
        while True:
            indices, seeds = pipe.recv()
            try:
                batch = np.ascontiguousarray(_made(pictures, views, indices, seeds))
            except Exception as error:
                known = isinstance(error, StructkitError)
                pipe.send(error if known else DeviceError(f"a worker process: {type(error).__name__}: {error}"))
                continue
            pipe.send((batch.shape, batch.dtype))
            pipe.send_bytes(batch.reshape(-1).view(np.uint8))
    except (EOFError, OSError):
        return


def _made(pictures: Pictures, views: Views, indices: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """The arrays of a batch of views."""
    return views.arrays([pictures.pixels(index) for index in indices.tolist()], seeds)
