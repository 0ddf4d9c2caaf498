"""The options that every verb has, whatever it makes: seed, device, progress.

They are checked here, once for all verbs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from structkit.device import enough_memory, resolve
from structkit.errors import OptionError

Progress = Callable[[float, str], None]  # called with the part that is done, 0 .. 1, and the name of what is being made


@dataclass(frozen=True)
class Drawing:
    """The means by which one result is made.

    device: the one that it is made on.
    generator: the source of its random numbers, on that device.
    progress: to be called with the part of this result that is done.
    """

    device: str
    generator: torch.Generator
    progress: Progress


@dataclass(frozen=True)
class RunSettings:
    """The options of one call of a verb.

    seed: of the first result; each further one has the next.
    device: such as cpu or cuda; auto: the best that there is.
    progress: called as results are made, with the part of all of them that is done.
    Raises OptionError for a seed that is out of range.
    """

    seed: int = 0
    device: str = "auto"
    progress: Progress | None = None

    def __post_init__(self) -> None:
        check_seed(self.seed)

    @contextmanager
    def drawing(self, number: int = 0, of: int = 1) -> Iterator[Drawing]:
        """A context that gives the `Drawing` of one result.

        number: of the result, from 0; its seed is `seed + number`.
        of: how many results there are in all.
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
