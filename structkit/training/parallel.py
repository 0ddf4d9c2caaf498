"""Data parallel training under torchrun, on one node or on several that share the folder of the output.

Every process draws the same batch, works on its share, and makes the same step as the others, down the mean of their
gradients.

    torchrun --nproc-per-node 2 -m structkit_cli train ...

    torchrun --nnodes 2 --nproc-per-node 1 --rdzv-backend c10d --rdzv-endpoint HOST:29400 --max-restarts 3 \\
        -m structkit_cli train ...                                                                 (on each node)

gloo joins processes on CPUs, nccl those on CUDA devices.  Alone, every method returns at once.
A process that dies ends the others; torchrun starts all of them again, which go on from the state on disk.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist

# Unused, and needed: without it a process under torchrun now and then aborts at its end ("terminate called without an
# active exception", 5 of 19 runs; with it none of 6; torch 2.14).  Why is not known; torch.distributed.rpc does not do.
import torch.distributed.nn
from torch import Tensor, nn
from torch.optim import Optimizer

from structkit import errors
from structkit._version import __version__
from structkit.device import own_device
from structkit.errors import DeviceError, OptionError, StructkitError
from structkit.media.files import one_line
from structkit.training.ranks import rank_and_size

T = TypeVar("T")

TIMEOUT = timedelta(minutes=10)  # for a process that says nothing; one that ends is noticed at once
PATIENCE = timedelta(minutes=1)  # of a process that only wants to tell why it ends
NEWEST = "structkit/newest"  # the key of the name of the newest start


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
        _raise_first(failure, [json.loads(text) for text in self.texts(json.dumps(_record(failure)))])
        return value  # type: ignore[return-value]

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
        with awaited():
            device = _own_device(device, local)
    try:
        store = _met(processes, device)
        # On CUDA gloo is there too, for the numbers that are agreed on: those never wait for the device.
        backend = "gloo" if device == "cpu" else "cpu:gloo,cuda:nccl"
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=TIMEOUT)
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


@contextmanager
def awaited() -> Iterator[None]:
    """Work on the way to `joined`, on which the other processes wait: its StructkitError is told to them.

    Without torchrun: nothing.
    """
    try:
        yield
    except StructkitError as failure:
        with suppress(RuntimeError, ValueError, StructkitError):  # what went wrong first is what counts
            rank, size = rank_and_size()
            if size > 1:
                _met(Processes(rank, size), failure=failure, patience=PATIENCE)
        raise


def _met(
    processes: Processes, device: str = "cpu", failure: StructkitError | None = None, patience: timedelta = TIMEOUT
) -> dist.Store:
    """The part of torchrun's store that belongs to this start of the processes, once all of them are there.

    The store may outlive the processes: after a restart it still holds what the dead ones wrote.  So the first process
    names the start anew, and another one believes in a name once its own name is in the answer.
    failure: of this process, which will not join the others.
    Raises, in all of them, the failure of one; DeviceError for processes that cannot do the same steps; RuntimeError,
    ValueError.
    """
    rank, size = processes.rank, processes.size
    store, *_ = next(dist.rendezvous("env://", rank, size, timeout=patience))
    version = torch.__version__.split("+")[0]  # without the kind of its devices
    facts = {"structkit": __version__, "torch": version, "--device": torch.device(device).type}
    own, until = secrets.token_hex(8), time.monotonic() + patience.total_seconds()
    card = [own, facts, _record(failure)]
    if processes.first:
        start = own
        store.set(NEWEST, start)
        everyone = [card, *(json.loads(store.get(f"{start}/{other}")) for other in range(1, size))]
        store.set(f"{start}/all", json.dumps(everyone))
    else:
        everyone = []
        while not everyone or everyone[rank][0] != own:
            if time.monotonic() > until:
                raise RuntimeError("the first process did not come")
            time.sleep(0.01)
            start = store.get(NEWEST).decode()
            store.set(f"{start}/{rank}", json.dumps(card))
            with suppress(dist.DistStoreError):  # the answer of a start that died before it was whole never comes
                store.wait([f"{start}/all"], timedelta(seconds=1))
                everyone = json.loads(store.get(f"{start}/all"))
    try:
        _, every, faults = zip(*everyone, strict=True)
        _raise_first(failure, faults)
        _check_alike(every)
    except StructkitError:
        store.set(f"{start}/read/{rank}", "")
        store.wait([f"{start}/read/{other}" for other in range(size)])  # the first process may hold the store
        raise
    return dist.PrefixStore(start, store)


def _record(failure: StructkitError | None) -> list[str] | None:
    return [type(failure).__name__, str(failure)] if failure else None


def _raise_first(own: StructkitError | None, faults: Sequence[list[str] | None]) -> None:
    """Raise the failure of this process; else that of the first in which there is one.

    faults: their records, by rank.
    """
    if own:
        raise own
    for rank, fault in enumerate(faults):
        if fault:
            name, message = fault
            raise getattr(errors, name)(f"process {rank} of {len(faults)}: {message}")


def _check_alike(every: Sequence[Mapping[str, str]]) -> None:
    """Refuse processes that could not do the same steps.  Raises DeviceError.

    every: what they work with, by name.
    """
    first, *others = every
    for rank, other in enumerate(others, 1):
        for name, value in first.items():
            if other[name] != value:
                way_out = "say which on all nodes" if name == "--device" else "install one version on all nodes"
                raise DeviceError(f"{name} is {value} in process 0, {other[name]} in process {rank}; {way_out}")


def _own_device(device: str, local: int) -> str:
    if device != "cuda":
        raise DeviceError(
            f"--device {device}: several processes cannot share it; say --device cuda, of which each takes its own, or "
            "cpu"
        )
    own = own_device(device, local)
    torch.cuda.set_device(own)
    return own
