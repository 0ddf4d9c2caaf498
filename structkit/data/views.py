"""Views of pictures that a classifier learns from: a part, perhaps mirrored, turned, or mixed with changes to itself.

The chance of a view comes from the seed of its sample alone: views are the same one by one, in a batch, and in any
worker process.  Worker processes make the views of the next batches while a network learns from these.
"""

from __future__ import annotations

import multiprocessing
import signal
import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from structkit.data.augmix import AugMix, unit
from structkit.data.crops import TRIES, central, moved, resized, turned, uniform
from structkit.data.pixmix import PixMix
from structkit.errors import DeviceError, OptionError, StructkitError

CROPS = ("pad", "resized", "none")
PAD = 4  # pixels of black around a picture of 32 px (published), in proportion around others
TOP, LEFT, FLIP, TURN, PART = range(5)  # what each uniform number of a sample decides; parts take four numbers a try
WAITING = 2  # batches that a worker has been asked for and that nobody has taken
HELD_BACK = signal.SIGINT, signal.SIGTERM  # which are for the process that asks for views
PATIENCE = 5.0  # seconds in which a worker that has closed its pipe ends


@dataclass(frozen=True)
class Views:
    """A maker of the views of a picture, side x side px.

    crop: pad: the picture moved by up to an eighth of its side, black coming in (published for CIFAR); resized: a part
    of 8 to 100 % of it, resized (ImageNet); none: its middle.
    flip: whether half of the views are mirrored.
    rotation: degrees up to which a view is turned either way, about its middle; black comes in.
    mixing: what a view is mixed with; None: nothing.
    views: of a picture: with several the first one is clean, and the others are mixed.
    Raises OptionError.
    """

    side: int
    crop: str = "pad"
    flip: bool = True
    rotation: float = 0.0
    mixing: AugMix | PixMix | None = None
    views: int = 1

    def __post_init__(self) -> None:
        if self.crop not in CROPS:
            raise OptionError(f"a crop of {self.crop!r}: choose {', '.join(CROPS[:-1])} or {CROPS[-1]}")
        if self.side < 1 or self.views < 1 or not 0 <= self.rotation <= 180:
            raise OptionError(
                f"a side of {self.side} px, {self.views} views, a rotation by {self.rotation}:"
                " sides and views are at least 1, rotations are from 0 to 180"
            )
        if self.views > 1 and self.mixing is None:
            raise OptionError(f"{self.views} views of each picture without mixing would be the same: choose one")

    def __call__(self, pixels: np.ndarray, seed: int) -> Tensor:
        """The views (V, 3, side, side) float32 in [0, 1] of a picture (h, w, 3) uint8."""
        return self.batch([pixels], [seed])[:, 0]

    def batch(self, pictures: Sequence[np.ndarray] | np.ndarray, seeds: Sequence[int] | np.ndarray) -> Tensor:
        """The views (V, B, 3, side, side) float32 in [0, 1] of pictures (h, w, 3) uint8, each with its seed.

        Memory holds the channels of a pixel together (torch.channels_last of each view's batch).
        """
        return as_views(self.arrays(pictures, seeds))

    def arrays(self, pictures: Sequence[np.ndarray] | np.ndarray, seeds: Sequence[int] | np.ndarray) -> np.ndarray:
        """The views (V, B, side, side, 3): uint8 where nothing is mixed, else float32 in [0, 1]."""
        seeds = np.asarray(seeds)
        parts = self.parts(pictures, seeds)
        if self.mixing is None:
            return parts[None]
        clean = int(self.views > 1)
        views = np.empty((self.views, *parts.shape), np.float32)
        if clean:
            views[0] = unit(parts)
        for i, (part, seed) in enumerate(zip(parts, seeds.tolist(), strict=True)):
            generator = np.random.Generator(np.random.Philox(key=seed % 2**64))
            for view in range(clean, self.views):
                views[view, i] = self.mixing(part, generator)
        return views

    def parts(self, pictures: Sequence[np.ndarray] | np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """The part of each picture that is shown, mirrored and turned, (B, side, side, 3) uint8."""
        draws = uniform(seeds, PART + 4 * TRIES if self.crop == "resized" else PART)
        if self.crop == "resized":
            parts = np.stack([resized(p, self.side, draw[PART:]) for p, draw in zip(pictures, draws, strict=True)])
        else:
            parts = np.stack([central(picture, self.side) for picture in pictures])
            if self.crop == "pad":
                parts = moved(parts, max(1, round(self.side * PAD / 32)), draws[:, TOP], draws[:, LEFT])
        if self.flip:
            mirrored = draws[:, FLIP] < 0.5
            parts[mirrored] = parts[mirrored, :, ::-1]
        if self.rotation:
            parts = np.stack([turned(p, angle) for p, angle in zip(parts, self._angles(draws[:, TURN]), strict=True)])
        return parts

    def _angles(self, draws: np.ndarray) -> np.ndarray:
        return (2 * draws - 1) * self.rotation


def as_views(arrays: np.ndarray) -> Tensor:
    """Views (V, B, 3, side, side) float32 in [0, 1] of the arrays of `Views.arrays`."""
    return torch.from_numpy(arrays if arrays.dtype == np.float32 else unit(arrays)).permute(0, 1, 4, 2, 3)


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
        self._workers = [_Worker(pictures, views, place) for place in range(workers)]

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

    @property
    def processes(self) -> list[int]:
        """The workers' process numbers."""
        return [worker.number for worker in self._workers]

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

    def __init__(self, pictures: Pictures, views: Views, place: int) -> None:
        # A fresh process: one that is forked has the locks of threads that it lacks, and the other workers' pipes,
        # which then would not end with this process.
        fresh = multiprocessing.get_context("spawn")
        self._pipe, theirs = fresh.Pipe()
        self._process = fresh.Process(target=_work, args=(theirs,), name=f"views-{place}", daemon=True)
        # Ctrl-C, and what else is sent to all processes, is for the first one: a worker never sees it.
        resource_tracker.ensure_running()  # which lets signals through again once it has begun
        masked = signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, masked)
        theirs.close()
        self.close = weakref.finalize(self, _end, self._pipe, self._process)  # at the latest when the program ends
        self._tell((pictures, views))

    @property
    def number(self) -> int:
        return int(self._process.pid or 0)

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


def _end(pipe: Connection, process: BaseProcess) -> None:
    """End a worker, whatever it is at: it has nothing that could be lost."""
    pipe.close()
    process.kill()
    process.join()


def _work(pipe: Connection) -> None:
    """Make batches until the other end of the pipe is closed, as that of a process that was killed is."""
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
