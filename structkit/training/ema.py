"""The exponential moving average of a network, to sample from where the weights swing, and its running statistics."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Average:
    """A copy of a module whose parameters are the average of those it had after each `update`.

    The weight of the parameters u updates ago is proportional to decay^u, from the first update on (Kingma and Ba, ICLR
    2015, section 3): there is no trace of the initial weights.  Buffers are the module's latest.
    """

    def __init__(self, module: nn.Module, decay: float = 0.999, *, statistics: bool = False) -> None:
        """statistics: true to average running statistics in the same way, for weights that still move fast."""
        self.module = copy.deepcopy(module).requires_grad_(False).eval()  # the average
        self.decay, self.statistics = decay, statistics
        self.updates = 0

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Take in the parameters of `module`, after a step of its optimiser."""
        self.updates += 1
        weight = (1 - self.decay) / (1 - self.decay**self.updates)
        for average, parameter in zip(self.module.parameters(), module.parameters(), strict=True):
            average.lerp_(parameter, weight)
        for average, buffer in zip(self.module.buffers(), module.buffers(), strict=True):
            if self.statistics and buffer.is_floating_point():
                average.lerp_(buffer, weight)
            else:
                average.copy_(buffer)

    def state(self) -> dict[str, Tensor]:
        return {
            **{f"module.{name}": t for name, t in self.module.state_dict().items()},
            "updates": torch.tensor(self.updates),
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.module.load_state_dict({name.removeprefix("module."): t for name, t in state.items() if name != "updates"})
        self.updates = int(state["updates"])


def forget_statistics(network: nn.Module) -> int:
    """Let the batch norms of a network gather their running statistics anew; returns how many norms there are.

    Until the network is set to evaluation, these become the means over all batches that it sees.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
        norm.train()
    return len(norms)
