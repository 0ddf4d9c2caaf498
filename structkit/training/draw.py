"""All randomness of a training: a function of the place in it, never of what was drawn before.

So a training that was stopped anywhere goes on as if it had not been, without any generator's state on disk; and every
process of a data-parallel training draws the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch


@dataclass(frozen=True)
class Draw:
    """The randomness of one step.  Step 0 is the beginning of a stage; the first update is step 1."""

    seed: int
    stage: int
    step: int
    device: str = "cpu"

    def generator(self, name: str = "") -> torch.Generator:
        """A fresh generator on the training's device: one for each name, and the same each time it is asked for."""
        return torch.Generator(self.device).manual_seed(self._number(name))

    def at(self, step: int) -> Draw:
        """The randomness of another step of the stage, for work that is done once for several."""
        return replace(self, step=step)

    def seed_networks(self) -> None:
        """Let the draws of networks without a generator (initial weights, dropout) follow from this draw.

        See `own_randomness`.
        """
        torch.default_generator.manual_seed(self._number("networks"))
        if (index := _cuda_index(self.device)) is not None:
            torch.cuda.default_generators[index].manual_seed(self._number("networks"))

    def _number(self, name: str) -> int:
        digest = hashlib.sha256(f"{self.seed}/{self.stage}/{self.step}/{name}".encode()).digest()
        return int.from_bytes(digest[:8], "little") >> 1  # 63 bits: what every backend's seed can hold


@contextmanager
def own_randomness(device: str) -> Iterator[None]:
    """A context whose draws leave PyTorch's default generators, which are the caller's, as they were."""
    index = _cuda_index(device)
    with torch.random.fork_rng(devices=[] if index is None else [index]):
        yield


def _cuda_index(device: str) -> int | None:
    where = torch.device(device)
    if where.type != "cuda":
        return None
    torch.cuda.init()  # the default generators exist from here on
    return torch.cuda.current_device() if where.index is None else where.index
