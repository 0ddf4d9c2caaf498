"""Data parallel training under torchrun.

Every process draws the same batch, works on its share, and makes the same step as the others, down the mean of their
gradients.

    torchrun --nproc-per-node 2 -m structkit_cli train ...

gloo joins processes on CPUs, nccl those on CUDA devices.  Alone, every method returns at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist

# Unused, and needed: without it a process under torchrun now and then aborts at its end ("terminate called without an
# active exception", 5 of 19 runs; with it none of 6; torch 2.14).  Why is not known; torch.distributed.rpc does not do.
import torch.distributed.nn
from torch import Tensor, nn
from torch.optim import Optimizer

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


@contextmanager
def joined(device: str) -> Iterator[tuple[Processes, str]]:
    """Join the processes that torchrun started; yields them, and the device of this one.

    device: cpu, or cuda, of which each process takes its own.
    Without torchrun: alone, on `device`.
    Raises DeviceError, OptionError, StructkitError.
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
        raise StructkitError(
            f"process {processes.rank} of {size}: cannot join the others ({one_line(error)}); use torchrun"
        ) from error
    try:
        yield processes, device
    except BaseException:
        # The end of the group closes the connections, so that nobody waits.  nccl would itself wait: there the process
        # must end.
        if device == "cpu":
            dist.destroy_process_group()
        raise
    dist.destroy_process_group()


def _own_device(device: str, local: int) -> str:
    if device != "cuda":
        raise DeviceError(
            f"--device {device}: several processes cannot share it; say --device cuda, of which each takes its own, or "
            "cpu"
        )
    if local >= torch.cuda.device_count():
        raise DeviceError(
            f"--device cuda: process {local} finds {torch.cuda.device_count()} here; start no more processes than "
            "devices"
        )
    torch.cuda.set_device(local)
    return f"cuda:{local}"
