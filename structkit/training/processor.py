"""The processor of a training: with its threads it decides on the order of sums, and so on the last bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Processor:
    """The processor that a training works on."""

    kind: str  # the instructions that PyTorch uses, such as AVX2; or the name of a CUDA device
    threads: int | None = None  # threads of the CPU; on CUDA they do not matter

    @classmethod
    def of(cls, device: str) -> Processor:
        """The processor behind a device, as it is now."""
        if torch.device(device).type == "cuda":
            return cls(torch.cuda.get_device_name(device))
        return cls(torch.backends.cpu.get_cpu_capability(), torch.get_num_threads())

    def __str__(self) -> str:
        return (
            self.kind if self.threads is None else f"{self.kind} with {self.threads} thread{'s' * (self.threads != 1)}"
        )


def relocation(before: Sequence[Processor], here: Processor) -> str:
    """A note on a training that goes on here, and was elsewhere before, in turn."""
    what = f"goes on on {here}, after {before[-1]}, and so will not end in the bytes of a training that was not stopped"
    first = before[0]
    if len(before) > 1 or first.threads is None:  # no bytes are left to be kept, or none were promised
        return what
    return f"{what}; {f'OMP_NUM_THREADS={first.threads}' if first.kind == here.kind else first} would keep them"
