"""The device to work on.  A device that is named is a demand: it is there, or the command ends."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager

from structkit.errors import DeviceError


def load_torch() -> None:
    """Load PyTorch, where nothing has loaded it yet.

    Raises DeviceError where that fails: a limit on memory, or a broken installation.
    """
    try:
        import torch  # noqa: F401
    except (ImportError, OSError, MemoryError) as error:
        fact = str(error).partition("\n")[0] or "memory ran out"
        way_out = "give the process more memory (ulimit -v), or install PyTorch anew"
        raise DeviceError(f"PyTorch cannot be loaded ({fact}): {way_out}") from error


def resolve(name: str = "auto") -> str:
    """The name of a device: `auto` -> the best one here; cpu, cuda or cuda:1 -> the same, checked.

    Raises DeviceError for a device that is absent, and as `load_torch`.
    """
    load_torch()
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return "cuda" if count else "cpu"
    kind, colon, number = name.partition(":")
    if name == "cpu" or (kind == "cuda" and (number.isdecimal() if colon else True) and int(number or 0) < count):
        return name
    here = ", ".join(["cpu", *(f"cuda:{i}" for i in range(count))])
    raise DeviceError(f"--device {name}: there is no such device here: choose {here} or auto")


def own_device(device: str, local: int) -> str:
    """The device of one of several processes of a machine: of `cuda` each takes its own, others are as they are named.

    device: as `resolve` has it.
    local: number of the process on its machine.
    One CUDA device that is all that a process of Slurm sees is its own.
    Raises DeviceError where there are more processes than devices.
    """
    if device != "cuda":
        return device
    import torch

    count = torch.cuda.device_count()
    if "LOCAL_RANK" not in os.environ and count == 1:
        return "cuda:0"
    if local >= count:
        raise DeviceError(
            f"--device cuda: process {local} finds {count} here; start no more processes than devices, or say "
            "--device cpu"
        )
    return f"cuda:{local}"


def out_of_memory(error: BaseException) -> bool:
    """True for an error that tells of too little memory; on a CPU PyTorch has no type of its own for that."""
    import torch

    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "allocate memory" in str(error)
    )


def machine_memory() -> float:
    """Bytes of memory of this machine; infinity where it does not tell."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, OSError, ValueError):
        return math.inf


@contextmanager
def enough_memory(device: str, way_out: str = "use a smaller --max-side or --size, or --device cpu") -> Iterator[None]:
    """A context in which too little memory is a DeviceError that names the way out."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise DeviceError(f"{device} ran out of memory: {way_out}") from error


@contextmanager
def one_thread() -> Iterator[None]:
    """A context in which PyTorch works on one CPU thread.

    Where operations are small, several threads spend more time waiting for each other than they save.  Measured on two
    cores: a 64 px level takes a third of the CPU seconds.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def keep_memory() -> None:
    """Let the C library keep freed memory for the next large tensor; glibc would give each back to the system.

    Nothing is done with another library.  Fresh pages cost more than some convolutions: a step of training takes 1.2 to
    1.4 times the CPU seconds without this.  The setting lasts as long as the process, which is why only the command
    line makes it.
    """
    import ctypes

    trim_threshold, mmap_max = -1, -4  # constants of <malloc.h>
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(mmap_max, 0)
    mallopt(trim_threshold, 2**31 - 1)


def return_memory() -> None:
    """Give free memory back to the system, which glibc does not do by itself after `keep_memory`, nor between threads.

    For after the work on something large: what one thread has freed no other can use.
    """
    import ctypes

    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):
        return
