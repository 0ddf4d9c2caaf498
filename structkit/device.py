"""Which device to work on.  A device that is named is a demand: it is there, or the command ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from structkit.errors import DeviceError


def resolve(name: str = "auto") -> str:
    """`auto` -> the best device here; cpu, cuda, cuda:1 or mps -> the same, checked.  Raises DeviceError for one that is absent."""
    import torch

    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        return "cuda" if cuda else "mps" if mps else "cpu"
    kind, _, number = name.partition(":")
    if name == "cpu" or (name == "mps" and mps):
        return name
    if kind == "cuda" and cuda and number.isdigit() >= bool(number) and int(number or 0) < torch.cuda.device_count():
        return name
    here = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count() if cuda else 0)), *(["mps"] if mps else [])]
    raise DeviceError(f"--device {name}: there is no such device here: choose {', '.join(here)} or auto")


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch on one CPU thread: where operations are small, several spend more time waiting for each other than they save.

    Measured on two cores: a 64 px level takes a third of the CPU seconds.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
