"""The plan of a forward pass: at which places statistics are swapped in it, and a seed for each of them.

Coins are drawn here, outside of the layers: a layer that drew its own would draw another one when a pass is computed
again for its gradient (activation checkpointing), and would be a break in every compiled graph.  A plan follows from
(base, rank, number of the pass) alone, so that a training that goes on makes the plans of one that never stopped.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

KEPT = 16  # passes that can be computed again, at most


@dataclass(frozen=True)
class SwapPlan:
    """The places of a pass that swap, each with the seed of its permutation, of `count` places."""

    seeds: dict[int, int]
    count: int

    def table(self) -> Tensor:
        """(places, 2) int64: whether a place swaps, and its seed.  A compiled graph takes the plan as this tensor."""
        table = torch.zeros(self.count, 2, dtype=torch.int64, device="cpu")
        for number, seed in self.seeds.items():
            table[number, 0], table[number, 1] = 1, seed
        return table


class SwapSchedule:
    """The plans of one model's passes, one after the other.

    A pass is a call of the model in training mode.  Parts of it that are called without the model (`model.features(x)`)
    have a new plan whenever a place comes round again; where such a part is computed again for its gradient, that is
    with the plan of the last one.
    """

    def __init__(self, count: int, p: float, seed: int) -> None:
        self.count, self.p = count, p
        self.base, self.passes = seed, 0  # what the next plan follows from
        self.muted = 0  # how many `disabled` are around
        self.inside = False  # the model's own forward is on its way
        self.returning = False  # a gradient has come back to a pass, and none began since
        self.plan, self.ahead = SwapPlan({}, count), None
        self.active, self.table = False, self.plan.table()  # whether any place swaps, and which: for compiled graphs
        self._seen: set[int] | None = None  # the places of a pass without the model; None: there is none on its way
        self._past: deque[tuple[Hashable, SwapPlan]] = deque(maxlen=KEPT)

    def start(self, base: int) -> None:
        """Let the plans from now on follow from this number; the first is made at once."""
        self.base, self.passes, self.returning = base, 0, False
        self.ahead = self._next()

    @torch.compiler.disable
    def enter(self, module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        """The hook before the model's forward: a new plan, or that of the pass which is computed again."""
        if module.training and not self.muted:
            self.inside, self.returning, self._seen, key = True, False, None, _name_of((inputs, named))
            if recomputing():
                self.follow(next((plan for known, plan in reversed(self._past) if known == key), self.plan))
            else:
                self.advance()
                self._past.append((key, self.plan))

    @torch.compiler.disable
    def leave(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        """The hook behind the model's forward.  When the gradient comes back to this pass, its plan does too."""
        inside, self.inside, plan = self.inside, False, self.plan

        def come_back(slopes: Any) -> None:
            self.returning = True
            self.follow(plan)

        for value in tensors_in(output) if inside and torch.is_grad_enabled() else ():
            if value.grad_fn is not None:
                value.grad_fn.register_prehook(come_back)

    def seed_of(self, number: int) -> int | None:
        """The seed of a place that swaps in the present pass."""
        if not self.inside and not recomputing(otherwise=self.returning):
            if self.ahead is not None or self._seen is None or number in self._seen:
                self.advance()
                self._seen = set()
            self._seen.add(number)
        return self.plan.seeds.get(number)

    def advance(self) -> None:
        """Go on to the plan of the next pass."""
        plan, self.ahead = self.ahead or self._next(), None
        self.follow(plan)

    def follow(self, plan: SwapPlan) -> None:
        self.plan, self.active = plan, bool(plan.seeds)
        if self.active:
            self.table = plan.table()

    def _next(self) -> SwapPlan:
        numbers = np.random.default_rng((self.base, rank(), self.passes))
        self.passes += 1
        chosen = np.flatnonzero(numbers.random(self.count) < self.p)
        return SwapPlan({int(number): int(numbers.integers(2**62)) for number in chosen}, self.count)


def recomputing(otherwise: bool = False) -> bool:
    """Whether autograd is on its way back: what runs forward now is computed again.

    otherwise: what is said where PyTorch does not tell.
    """
    task = getattr(getattr(torch, "_C", None), "_current_graph_task_id", None)
    return otherwise if task is None else task() != -1


def rank() -> int:
    """The rank of this process: each draws coins of its own, as the published trainings do."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank()
    return int(os.environ.get("RANK", 0))


def tensors_in(values: Any) -> Iterator[Tensor]:
    """The tensors that a model takes or gives: in sequences, mappings and dataclasses, however deep."""
    if isinstance(values, Tensor):
        yield values
    elif is_dataclass(values):
        yield from tensors_in(vars(values))
    elif isinstance(values, (list, tuple, Mapping)):
        for value in values.values() if isinstance(values, Mapping) else values:
            yield from tensors_in(value)


def _name_of(inputs: Any) -> Hashable:
    """What tells the inputs of one pass from those of another, while both are kept."""
    try:
        return tuple((value.data_ptr(), value.shape) for value in tensors_in(inputs))
    except RuntimeError:  # tensors of a transformation have no memory of their own
        return None
