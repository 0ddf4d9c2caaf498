"""The running of a verb, whatever it makes: seed, device, progress; checked once, for all verbs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from structkit.device import enough_memory, resolve
from structkit.errors import OptionError

Progress = Callable[[float, str], None]  # called with the share done, 0 .. 1, and the name of what is being made


@dataclass(frozen=True)
class Drawing:
    """The device of one result in the making, its random numbers, and the way to tell how far it is."""

    device: str
    generator: torch.Generator
    progress: Progress


@dataclass(frozen=True)
class RunSettings:
    """The way a verb is run.  Raises OptionError for a seed that cannot be."""

    seed: int = 0
    device: str = "auto"
    progress: Progress | None = None

    def __post_init__(self) -> None:
        check_seed(self.seed)

    @contextmanager
    def drawing(self, number: int = 0, of: int = 1) -> Iterator[Drawing]:
        """The drawing of the number-th of so many results, with the number-th seed.

        of: the number of results.
        Raises DeviceError, also where the memory of the device does not suffice.
        """
        device = resolve(self.device)

        def progress(share: float, note: str) -> None:
            if self.progress:
                self.progress((number + share) / of, note)

        with enough_memory(device):
            yield Drawing(device, torch.Generator(device).manual_seed(self.seed + number), progress)


def check_seed(seed: int) -> None:
    """Refuse a seed that no generator takes.  Raises OptionError."""
    if not (isinstance(seed, int) and 0 <= seed < 2**63):
        raise OptionError(f"--seed is {seed!r}: it must be a whole number, at least 0 and below 2**63")
