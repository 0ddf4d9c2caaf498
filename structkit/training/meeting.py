"""The meeting of the processes that torchrun started: they agree on who they are before any of them works.

    torchrun --nproc-per-node 2 -m structkit_cli train ...

    torchrun --nnodes 2 --nproc-per-node 1 --rdzv-backend c10d --rdzv-endpoint HOST:29400 --max-restarts 3 \\
        -m structkit_cli train ...                                                                 (on each node)

gloo joins processes on CPUs, nccl those on CUDA devices.
A process that dies ends the others; torchrun starts all of them again, which go on from the state on disk.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta

import torch
import torch.distributed as dist

# Unused, and needed: without it a process under torchrun now and then aborts at its end ("terminate called without an
# active exception", 5 of 19 runs; with it none of 6; torch 2.14).  Why is not known; torch.distributed.rpc does not do.
import torch.distributed.nn

from structkit._version import __version__
from structkit.device import own_device
from structkit.errors import DeviceError, StructkitError
from structkit.media.files import one_line
from structkit.training.parallel import ALONE, Processes, failure_record, raise_first
from structkit.training.ranks import rank_and_size

TIMEOUT = timedelta(minutes=10)  # for a process that says nothing; one that ends is noticed at once
PATIENCE = timedelta(minutes=1)  # of a process that only wants to tell why it ends
NEWEST = "structkit/newest"  # the key of the name of the newest start


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
    card = [own, facts, failure_record(failure)]
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
        raise_first(failure, faults)
        _check_alike(every)
    except StructkitError:
        store.set(f"{start}/read/{rank}", "")
        with suppress(RuntimeError):  # one that has died reads nothing
            store.wait([f"{start}/read/{other}" for other in range(size)], PATIENCE)  # the first may hold the store
        raise
    return dist.PrefixStore(start, store)


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
