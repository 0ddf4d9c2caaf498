"""The time of a training, foretold from steps that a clock tells."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from structkit.training.forecast import foretold
from structkit.training.stages import Stage


class Clocked:
    """A training whose steps take the seconds that they are told to."""

    device = "cpu"

    def __init__(self, *costs: float) -> None:
        self.costs, self.now, self.begun = costs, 0.0, []
        self.stages = [Stage(f"{cost}", 10) for cost in costs]

    def begin(self, stage: int, draw: SimpleNamespace) -> None:
        self.begun.append(stage)

    def step(self, draw: SimpleNamespace) -> dict[str, torch.Tensor]:
        torch.rand(1)
        self.now += self.costs[draw.stage]
        return {"loss": torch.zeros(())}


def test_all_stages_are_timed_where_there_is_time():
    training = Clocked(1, 5, 2)
    assert foretold(training, [1, 2, 3], 0, within=1000, clock=lambda: training.now) == pytest.approx(80)
    assert training.begun == [0, 1, 2]


def test_where_there_is_none_the_others_cost_as_their_work_tells_and_one_stage_is_always_timed():
    training = Clocked(1, 2, 4)
    assert foretold(training, [1, 2, 4], 0, within=9, clock=lambda: training.now) == pytest.approx(70)
    assert training.begun == [0, 1]
    training = Clocked(1, 2, 4)
    assert foretold(training, [1, 2, 4], 0, within=0, clock=lambda: training.now) == pytest.approx(70)
    assert training.begun == [0]


def test_the_callers_random_numbers_are_left_alone():
    training, before = Clocked(1, 1), torch.get_rng_state()
    foretold(training, [1, 1], 0, within=9, clock=lambda: training.now)
    assert torch.equal(torch.get_rng_state(), before)
