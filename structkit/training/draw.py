"""The random numbers of a training, which depend on its seed, the stage and the step, never on what was drawn before.

So a training that was stopped anywhere goes on as if it had not been, without any generator's state on disk.
All processes of a data-parallel training draw the same numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch


@dataclass(frozen=True)
class Draw:
    """The random numbers of one step of a training.

    Step 0 is the beginning of a stage; the first update is step 1.
    device: where the generators live.
    """

    seed: int
    stage: int
    step: int
    device: str = "cpu"

    def generator(self, name: str = "") -> torch.Generator:
        """A fresh generator on the device.

        The same name gives the same numbers each time, and another name gives others.
        """
        return torch.Generator(self.device).manual_seed(self._seed_of(name))

    def at(self, step: int) -> Draw:
        """The draw of another step of the same stage, for work that is done once for several steps."""
        return replace(self, step=step)

    def seed_networks(self) -> None:
        """Seed PyTorch's default generators, from which networks draw initial weights and dropout.

        These generators are the caller's: `own_randomness` puts them back.
        """
        torch.default_generator.manual_seed(self._seed_of("networks"))
        if (index := _cuda_index(self.device)) is not None:
            torch.cuda.default_generators[index].manual_seed(self._seed_of("networks"))

    def _seed_of(self, name: str) -> int:
        """The seed of the generator of this name."""
        digest = hashlib.sha256(f"{self.seed}/{self.stage}/{self.step}/{name}".encode()).digest()
        return int.from_bytes(digest[:8], "little") >> 1  # 63 bits: what every backend's seed can hold


@contextmanager
def own_randomness(device: str) -> Iterator[None]:
    """A context at whose end PyTorch's default generators are as they were before: they are the caller's.

    device: the one whose generator is put back; the CPU's always is.
    """
    index = _cuda_index(device)
    with torch.random.fork_rng(devices=[] if index is None else [index]):
        yield


def _cuda_index(device: str) -> int | None:
    """The index of a CUDA device, such as 1 for cuda:1; None for a device of another kind."""
    parsed = torch.device(device)
    if parsed.type != "cuda":
        return None
    torch.cuda.init()  # the default generators exist from here on
    return torch.cuda.current_device() if parsed.index is None else parsed.index
