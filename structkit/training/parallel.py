"""Data parallel training under torchrun: every process draws the same batch, works on its share, and averages the gradients.

    torchrun --nproc-per-node 2 -m structkit_cli train ...

gloo joins processes on CPUs, nccl those on CUDA devices.  Alone, every method returns at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
import torch.distributed.nn
from torch import Tensor

from structkit.errors import DeviceError, OptionError, StructkitError
from structkit.media.files import one_line
from structkit.training.ranks import rank_and_size

TIMEOUT = timedelta(minutes=10)  # for a process that says nothing; one that ends is noticed at once


@dataclass(frozen=True)
class Processes:
    """The processes of a training, as one of them sees them."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes and reports."""
        return self.rank == 0

    def share(self, batch: Tensor) -> Tensor:
        """This process's part of a batch (B, ...) that all have drawn alike: (B / size, ...).  Raises OptionError if B does not divide."""
        if len(batch) % self.size:
            raise OptionError(f"a batch of {len(batch)} cannot be shared evenly by {self.size} processes; choose a multiple of {self.size}")
        return batch.chunk(self.size)[self.rank]

    def evenly(self, count: int) -> int:
        """The size of a batch that all can share: `count`, or a little more."""
        return -(-count // self.size) * self.size

    def mean_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace each gradient by its mean over the processes: one transfer for all.  All processes must have the same gradients."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = self.mean(torch.cat([g.reshape(-1) for g in gradients]))
        for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def mean(self, values: Tensor) -> Tensor:
        """The mean of a tensor over the processes; the same bits in each."""
        if self.size == 1:
            return values
        total = values.clone()
        with self._together():
            dist.all_reduce(total)
        return total / self.size

    def most(self, number: int) -> int:
        """The largest of the numbers that the processes bring: how they agree on what only one of them knows, a clock or a signal."""
        if self.size == 1:
            return number
        largest = torch.tensor(number)
        with self._together():
            dist.all_reduce(largest, dist.ReduceOp.MAX)
        return int(largest)

    def same(self, number: int) -> bool:
        """Whether all processes bring the same number; the same answer in each."""
        return self.most(number) == -self.most(-number)

    def wait(self) -> None:
        """Until all processes are here."""
        self.most(0)

    @contextmanager
    def _together(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise StructkitError(
                f"process {self.rank} of {self.size}: another process of this training ended early ({one_line(error)}); "
                "its own message says why; the same command goes on from the last state"
            ) from error


ALONE = Processes()


@contextmanager
def joined(device: str) -> Iterator[tuple[Processes, str]]:
    """Join the processes that torchrun started; yields them, and the device of this one.  Without torchrun: alone, on `device`.

    device: cpu, or cuda, of which each process takes its own.  Raises DeviceError, OptionError, StructkitError.
    """
    rank, size = rank_and_size()
    if size == 1:
        yield ALONE, device
        return
    processes, local = Processes(rank, size), int(os.environ.get("LOCAL_RANK", 0))
    if device != "cpu":
        device = _own_device(device, local)
    try:
        # On CUDA gloo is there too, for the numbers that are agreed on: those never wait for the device.
        dist.init_process_group("gloo" if device == "cpu" else "cpu:gloo,cuda:nccl", timeout=TIMEOUT)
    except (RuntimeError, ValueError) as error:
        raise StructkitError(f"process {processes.rank} of {size}: cannot join the others ({one_line(error)}); use torchrun") from error
    try:
        yield processes, device
    except BaseException:
        if device == "cpu":  # this closes the connections, so that nobody waits; nccl would itself wait: there the process must end
            dist.destroy_process_group()
        raise
    dist.destroy_process_group()


def _own_device(device: str, local: int) -> str:
    if device != "cuda":
        raise DeviceError(f"--device {device}: several processes cannot share it; say --device cuda, of which each takes its own, or cpu")
    if local >= torch.cuda.device_count():
        raise DeviceError(f"--device cuda: process {local} finds {torch.cuda.device_count()} here; start no more processes than devices")
    torch.cuda.set_device(local)
    return f"cuda:{local}"
