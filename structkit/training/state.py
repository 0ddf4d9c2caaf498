"""Modules, optimisers and averages <-> one flat dict of tensors, which is what a state on disk can hold.

A training, for example:

    def state(self):
        return pack(generator=self.generator, adam=self.adam, average=self.average)

    def restore(self, stage, state):
        ...                                     # build them as `begin` does
        unpack(state, generator=self.generator, adam=self.adam, average=self.average)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from structkit.errors import CheckpointError


class StateKeeper(Protocol):
    """An object that keeps a state of tensors, as `ema.Average` does."""

    def state(self) -> dict[str, Tensor]: ...

    def restore(self, state: Mapping[str, Tensor]) -> None: ...


Part = nn.Module | Optimizer | StateKeeper


def pack(**parts: Part) -> dict[str, Tensor]:
    """The tensors of each part, under `part/`: the live ones, not copies."""
    return {f"{part}/{name}": tensor for part, kept in parts.items() for name, tensor in _state(kept).items()}


def unpack(state: Mapping[str, Tensor], **parts: Part) -> None:
    """Put back the tensors that `pack` took from parts of the same names and shapes.

    Raises CheckpointError where the state is of others.
    """
    for part, kept in parts.items():
        own = within(state, part)
        try:
            if isinstance(kept, nn.Module):
                kept.load_state_dict(own)
            elif isinstance(kept, Optimizer):
                _restore_optimiser(kept, own)
            else:
                kept.restore(own)
        except (RuntimeError, LookupError, ValueError) as error:
            raise CheckpointError(
                f"the state of {part} is of another training ({str(error).splitlines()[0]}); start anew"
            ) from error


def within(state: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """The tensors under `part/`, by the names that they have there."""
    return {name.removeprefix(f"{part}/"): tensor for name, tensor in state.items() if name.startswith(f"{part}/")}


def _state(kept: Part) -> dict[str, Tensor]:
    if isinstance(kept, Optimizer):
        return _optimiser_state(kept)
    return kept.state_dict() if isinstance(kept, nn.Module) else kept.state()


def _optimiser_state(optimiser: Optimizer) -> dict[str, Tensor]:
    """The state of an optimiser: moments and counters as `PARAMETER.NAME`, learning rates as `lr.GROUP`.

    A schedule may have changed the learning rates.
    """
    state = optimiser.state_dict()
    flat = {
        f"lr.{i}": torch.as_tensor(group["lr"], dtype=torch.float64) for i, group in enumerate(state["param_groups"])
    }
    for parameter, values in state["state"].items():
        flat |= {f"{parameter}.{name}": torch.as_tensor(value) for name, value in values.items() if value is not None}
    return flat


def _restore_optimiser(optimiser: Optimizer, flat: Mapping[str, Tensor]) -> None:
    groups = optimiser.state_dict()["param_groups"]
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    values: dict[int, dict[str, Any]] = {}
    for key, tensor in flat.items():
        number, _, name = key.partition(".")
        if number != "lr":
            parameter = parameters[int(number)]
            if tensor.ndim and tensor.shape != parameter.shape:
                raise ValueError(f"{name} of parameter {number} has the shape {tuple(tensor.shape)}")
            # A copy, for the optimiser may keep it; in the parameter's order in memory, for a fused one goes through
            # both side by side.
            copied = torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor) if tensor.ndim else tensor.clone()
            values.setdefault(int(number), {})[name] = copied
    optimiser.load_state_dict({"state": values, "param_groups": groups})
    for i, group in enumerate(optimiser.param_groups):
        if isinstance(group["lr"], Tensor):
            group["lr"].copy_(flat[f"lr.{i}"])
        else:
            group["lr"] = float(flat[f"lr.{i}"])
