"""Data parallel training: what the processes of a training do together, once they have met (see `meeting`).

Every process draws the same batch, works on its share, and makes the same step as the others, down the mean of their
gradients.  Alone, every method returns at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event, Thread
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim import Optimizer

from structkit import errors
from structkit.errors import OptionError, StructkitError
from structkit.media.files import one_line

T = TypeVar("T")

ASSURE_EVERY = 60.0  # seconds; far below the timeout of those who wait


@dataclass(frozen=True)
class Processes:
    """The processes of a training, as one of them sees them."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """True for the process that writes and reports."""
        return self.rank == 0

    def share(self, batch: Tensor) -> Tensor:
        """The part of this process of a batch (B, ...) that all have drawn alike: (B / size, ...).

        Raises OptionError if B does not divide.
        """
        if len(batch) % self.size:
            raise OptionError(
                f"a batch of {len(batch)} cannot be shared evenly by {self.size} processes; choose a multiple of "
                f"{self.size}"
            )
        return batch.chunk(self.size)[self.rank]

    def evenly(self, count: int) -> int:
        """The size of a batch that all can share: `count`, or a little more."""
        return -(-count // self.size) * self.size

    def descend(self, optimiser: Optimizer, loss: Tensor, *, longest: float | None = None) -> None:
        """Do one step of an optimiser, the same in all processes: down the mean of their losses, scalars.

        longest: norm of the gradient of all its parameters together, to which a longer one is cut down.
        """
        optimiser.zero_grad()
        loss.backward()
        parameters = [p for group in optimiser.param_groups for p in group["params"]]
        self.mean_gradients(parameters)
        if longest is not None:
            nn.utils.clip_grad_norm_(parameters, longest)
        optimiser.step()

    def mean_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace each gradient by its mean over the processes: one transfer for all.

        All processes must have the same gradients.
        """
        self._become_means([p.grad for p in parameters if p.grad is not None])

    def mean_buffers(self, network: nn.Module) -> None:
        """Replace the buffers that a network gathers by their means over the processes.

        Batch norm gathers its running statistics so.  To be called in each step in which the network has gathered: only
        what all have alike comes back from a state, which is the first's.
        """
        self._become_means([buffer for buffer in network.buffers() if buffer.is_floating_point()])

    @torch.no_grad()
    def _become_means(self, tensors: Sequence[Tensor]) -> None:
        if self.size == 1 or not tensors:
            return
        flat = self.mean(torch.cat([tensor.reshape(-1) for tensor in tensors]))
        for tensor, mean in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(mean.view_as(tensor))

    def mean(self, values: Tensor) -> Tensor:
        """The mean of a tensor over the processes; the same bits in each."""
        if self.size == 1:
            return values
        total = values.clone()
        with self._together():
            dist.all_reduce(total)
        return total / self.size

    def largest(self, number: int) -> int:
        """The largest of the numbers that the processes bring.

        So they agree on what only one of them knows, a clock or a signal.
        """
        if self.size == 1:
            return number
        largest = torch.tensor(number)
        with self._together():
            dist.all_reduce(largest, dist.ReduceOp.MAX)
        return int(largest)

    def same(self, number: int) -> bool:
        """True if all processes bring the same number; the same answer in each."""
        return self.largest(number) == -self.largest(-number)

    def texts(self, text: str) -> list[str]:
        """The texts that the processes bring, by their ranks; the same list in each.

        text: not empty, and without a NUL.
        """
        if self.size == 1:
            return [text]
        own = text.encode()
        padded = torch.tensor(list(own.ljust(self.largest(len(own)), b"\0")), dtype=torch.uint8)
        found = [torch.empty_like(padded) for _ in range(self.size)]
        with self._together():
            dist.all_gather(found, padded)
        return [bytes(one.tolist()).rstrip(b"\0").decode() for one in found]

    def agreed(self, check: Callable[[], T]) -> T:
        """The value of a check in this process, once the check has gone well in all of them.

        Raises the check's StructkitError, or that of the first process in which it failed: no process goes on without
        the others.
        """
        value, failure = None, None
        try:
            value = check()
        except StructkitError as error:
            if self.size == 1:
                raise
            failure = error
        raise_first(failure, [json.loads(text) for text in self.texts(json.dumps(failure_record(failure)))])
        return value  # type: ignore[return-value]

    def done_by_first(self, work: Callable[[], T]) -> T | None:
        """The value of a work that the first process does while the others wait, however long it takes; None in these.

        Raises as `agreed`.
        """
        if self.size == 1:
            return work()
        over = Event()

        def assure() -> None:
            with suppress(StructkitError):  # of one that has ended, which is met below
                while not over.wait(ASSURE_EVERY):
                    self.largest(1)

        def do() -> T:
            (assuring := Thread(target=assure, daemon=True)).start()
            try:
                return work()
            finally:
                over.set()
                assuring.join()
                self.largest(0)

        def wait() -> None:
            while self.largest(0):
                pass

        return self.agreed(do if self.first else wait)

    def wait(self) -> None:
        """Wait until all processes are here."""
        self.largest(0)

    @contextmanager
    def _together(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise StructkitError(
                f"process {self.rank} of {self.size}: another process of this training ended early "
                f"({one_line(error)}); "
                "its own message says why; the same command goes on from the last state"
            ) from error


ALONE = Processes()


def failure_record(failure: StructkitError | None) -> list[str] | None:
    """A failure as JSON: the name of its class, and its text."""
    return [type(failure).__name__, str(failure)] if failure else None


def raise_first(own: StructkitError | None, faults: Sequence[list[str] | None]) -> None:
    """Raise the failure of this process; else that of the first in which there is one.

    faults: their records, by rank.
    """
    if own:
        raise own
    for rank, fault in enumerate(faults):
        if fault:
            name, message = fault
            raise getattr(errors, name)(f"process {rank} of {len(faults)}: {message}")
