"""Losses between two lines of the log: gathered on the device, brought over in one transfer."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from structkit.training.parallel import Processes


class Tally:
    """The values of each loss since the last `means`."""

    def __init__(self) -> None:
        self._values: dict[str, list[Tensor]] = {}  # 1-D float32, to be joined

    def add(self, losses: Mapping[str, Tensor]) -> None:
        """Take in one step, which may lack some losses.  Copies: the tensors may be written into by the next step."""
        if losses:
            row = torch.stack([loss.detach().float() for loss in losses.values()])
            for name, value in zip(losses, row.split(1), strict=True):
                self._values.setdefault(name, []).append(value)

    def agree(self, processes: Processes) -> None:
        """Replace each value by its mean over the processes."""
        values = self.state()
        if values and processes.size > 1:
            flat = processes.mean(torch.cat(list(values.values())))
            self.restore(dict(zip(values, flat.split([len(v) for v in values.values()]), strict=True)))

    def means(self, processes: Processes) -> dict[str, float]:
        """The mean of each loss over its steps and over the processes, by sorted names; forgets the values."""
        self.agree(processes)
        values, self._values = self.state(), {}
        flat = torch.cat(list(values.values())).tolist() if values else []
        means = {}
        for name, tensor in values.items():
            steps, flat = flat[: len(tensor)], flat[len(tensor) :]
            means[name] = sum(steps) / len(steps)
        return means

    def state(self) -> dict[str, Tensor]:
        return {name: torch.cat(self._values[name]) for name in sorted(self._values)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self._values = {name: [values] for name, values in state.items()}
