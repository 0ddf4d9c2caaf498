"""The laws of trainings that plan themselves: on a clock that only steps move, they end in time and spend it well."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

from structkit.errors import CheckpointError
from structkit.training.draw import Draw
from structkit.training.loop import train
from structkit.training.parallel import Processes
from structkit.training.planned import (
    FEWEST_STEPS,
    SHORT,
    PlannedTraining,
    costs_by_work,
    in_minutes,
    steps_between,
    steps_in,
)
from structkit.training.stages import Stage

from .toy import RUN, Toy, ToyTraining

COSTS = some.lists(some.floats(1e-4, 10), min_size=1, max_size=12)


@given(COSTS, some.floats(0, 1e5), some.integers(1, 20_000), some.integers(1, 500), some.floats(1, 10))
def test_the_steps_fit_into_the_time_and_keep_their_bounds(costs, seconds, most, least, more):
    limits = [most] * len(costs)
    fewest = [min(least, most)] * len(costs)
    steps = steps_in(seconds, costs, limits, fewest)
    if sum(min(least, most) * cost for cost in costs) > seconds:
        assert steps == fewest
        return
    assert sum(n * cost for n, cost in zip(steps, costs, strict=True)) <= seconds
    assert all(min(least, most) <= n <= most for n in steps)
    assert all(
        n >= m for (a, n) in zip(costs, steps, strict=True) for (b, m) in zip(costs, steps, strict=True) if a < b
    )  # cheap ones more
    richer = steps_in(seconds * more, costs, limits, fewest)
    assert all(n >= m for n, m in zip(richer, steps, strict=True))  # more time takes steps from no stage


@given(COSTS, some.floats(0.01, 1e4))
def test_no_time_is_left_for_a_step_more_of_every_stage_that_could_use_it(costs, seconds):
    limits = [1000] * len(costs)
    steps = steps_in(seconds, costs, limits, [1] * len(costs))
    if steps != limits and sum(costs) <= seconds:
        spent = sum(n * cost for n, cost in zip(steps, costs, strict=True))
        assert spent + sum(cost for n, cost in zip(steps, costs, strict=True) if n < 1000) + 1e-6 > seconds


def test_what_the_coarse_stages_leave_goes_to_the_fine_ones():
    assert steps_in(100, [0.01, 1, 1], [500, 500, 500], [1, 1, 1]) == [500, 47, 47]
    assert steps_in(100, [0.01, 1, 1], [500, 20, 500], [1, 1, 1]) == [500, 20, 75]


BOUNDS = some.lists(some.tuples(some.integers(1, 500), some.integers(0, 20_000)), min_size=1, max_size=6)


@given(BOUNDS, some.floats(1e-4, 10), some.floats(0, 1e5), some.floats(1, 10))
def test_all_stages_go_the_same_part_of_the_way_to_their_most(bounds, cost, seconds, more):
    least, most = [low for low, _ in bounds], [low + wide for low, wide in bounds]
    costs = [cost * (k + 1) for k in range(len(bounds))]
    steps = steps_between(seconds, costs, most, least)
    widest = max(range(len(bounds)), key=lambda k: bounds[k][1])
    share = (steps[widest] - least[widest]) / max(bounds[widest][1], 1)
    assert all(abs(n - low - share * wide) <= 1 + 1e-9 for n, (low, wide) in zip(steps, bounds, strict=True))
    spent = sum(n * c for n, c in zip(steps, costs, strict=True))
    assert spent <= seconds or steps == least
    assert steps == most or spent + 2 * sum(costs) > seconds * (1 - 1e-9)  # no time is left for a step more of each
    assert all(n >= m for n, m in zip(steps_between(more * seconds, costs, most, least), steps, strict=True))


def test_stages_between_their_bounds():
    assert steps_between(2500, [1, 1, 1], [1500, 500, 500], [400, 100, 100]) == [1500, 500, 500]
    assert steps_between(1550, [1, 1, 1], [1500, 500, 500], [400, 100, 100]) == [950, 300, 300]
    assert steps_between(0, [1, 1, 1], [1500, 500, 500], [400, 100, 100]) == [400, 100, 100]


def test_costs_follow_the_work():
    assert costs_by_work([1, 5, 10, 15, 20, 40], [(5, 1.0), (10, 1.5), (20, 3.5)]) == [1.0, 1.0, 1.5, 2.5, 3.5, 7.0]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Sized(ToyTraining):
    """`size` stages, of which the k-th takes k + 1 seconds a step, and each fourth of its steps five more to make
    ready.
    """

    def __init__(self, size: int, clock: Clock) -> None:
        super().__init__()
        self.stages = [Stage(f"level {k}", 400) for k in range(size)]
        self.size, self.clock = size, clock

    def step(self, draw):
        self.clock.now += draw.stage + 1 + 5 * (draw.step % 4 == 1)
        return super().step(draw)


def cost(stage: int) -> float:
    return stage + 1 + 5 / 4


def planned(seconds: float, plans: list, clock: Clock | None = None, made=Sized, **how) -> PlannedTraining:
    clock = clock or Clock()

    def work(training: Sized) -> list[float]:
        return [cost(k) for k in range(training.size)]

    return PlannedTraining(
        lambda size: made(size, clock), (6, 4, 2), work, seconds=seconds, chunk=4, tell=plans.append, clock=clock, **how
    )


@pytest.mark.parametrize("seconds", [2500, 4000, 6000, 9000, 1e6])
def test_a_training_ends_in_time_in_the_largest_size_that_fits(tmp_path, seconds):
    plans, clock = [], Clock()
    training = planned(seconds, plans, clock)
    model = train(training, tmp_path / "m.safetensors", seed=5, run=RUN)
    [plan] = plans
    whole = sum(400 * cost(k) for k in range(6))
    fewest = {size: sum(FEWEST_STEPS * cost(k) for k in range(size)) for size in (6, 4, 2)}
    assert isinstance(model, Toy) and clock.now <= seconds
    assert plan.choice == next(size for size in (6, 4, 2) if fewest[size] <= 0.9 * seconds)
    assert plan.whole == (seconds > 1.1 * whole) and not plan.short and not model.doubts
    assert all(
        fewest[size] < needed < 1.1 * fewest[size] + 300 for size, needed in zip((6, 4, 2), plan.needed, strict=False)
    )
    assert clock.now > 0.88 * min(seconds, whole) or all(stage.steps == 400 for stage in plan.stages)


def test_kinds_of_steps_that_are_all_measured_cost_what_was_measured():
    """A kind may have more work than another, as was foreseen, and be cheaper on this machine."""

    class Falling(Sized):
        def step(self, draw):
            self.clock.now += 5 - draw.stage
            return ToyTraining.step(self, draw)

    plans: list = []
    planned(1e6, plans, made=Falling).begin(0, Draw(1, 0, 0))
    assert plans[0].seconds == pytest.approx(400 * (5 + 4 + 3 + 2 + 1 + 0), rel=0.01)


@pytest.mark.parametrize("seconds", [120, 300, 700])
def test_a_time_that_is_too_short_for_the_smallest_is_kept_with_fewer_steps_and_said(tmp_path, seconds):
    plans, clock = [], Clock()
    model = train(planned(seconds, plans, clock), tmp_path / "m.safetensors", seed=5, run=RUN)
    [plan] = plans
    assert plan.short and plan.choice == 2 and max(stage.steps for stage in plan.stages) < FEWEST_STEPS
    assert 0.85 * seconds < clock.now <= seconds and min(plan.needed) > seconds
    assert model.doubts == (f"the model is doubtful: {SHORT}",)


def test_in_no_time_there_is_a_step_of_each_stage(tmp_path):
    plans: list = []
    train(planned(1, plans), tmp_path / "m.safetensors", seed=5, run=RUN)
    assert [stage.steps for stage in plans[0].stages] == [1, 1]


@pytest.mark.parametrize("pace", [0.8, 1.0, 1.5])
def test_what_a_stage_leaves_of_its_time_is_spent_by_those_that_follow(tmp_path, pace):
    """On a machine that others leave, or come to, once the steps are measured."""

    class Changing(Sized):
        def step(self, draw):
            before = self.clock.now
            losses = super().step(draw)
            if planned_already:
                self.clock.now = before + pace * (self.clock.now - before)
            return losses

    planned_already: list = []
    clock = Clock()
    train(planned(4000, planned_already, clock, made=Changing), tmp_path / "m.safetensors", seed=5, run=RUN)
    assert 0.85 * 4000 < clock.now < 1.02 * 4000


@pytest.mark.parametrize(("pace", "short"), [(1.0, False), (1.2, False), (3.0, True)])
def test_where_an_early_stage_takes_the_time_of_later_ones_the_model_is_doubtful(tmp_path, pace, short):
    class Slow(Sized):
        def step(self, draw):
            before = self.clock.now
            losses = super().step(draw)
            if plans and draw.stage == 0:
                self.clock.now = before + pace * (self.clock.now - before)
            return losses

    plans: list = []
    training = planned(3500, plans, made=Slow)
    model = train(training, tmp_path / "m.safetensors", seed=5, run=RUN)
    assert not plans[0].short and model.doubts == (f"the model is doubtful: {SHORT}",) * short


@pytest.mark.parametrize(("share", "short"), [(1.0, False), (0.9, False), (0.4, True)])
@pytest.mark.parametrize("cut", [0, -1])
def test_where_a_stage_ends_early_since_its_time_is_over_the_model_is_doubtful(cut, share, short):
    plans: list = []
    training = planned(3500, plans)
    training.begin(0, Draw(1, 0, 0))
    for stage, one in enumerate(plans[0].stages):
        if stage:
            training.begin(stage, Draw(1, stage, 0))
        part = share if stage == cut % len(plans[0].stages) else 1
        training.step(Draw(1, stage, int(part * one.steps)))
    again = planned(3500, [])
    again.restore(len(plans[0].stages) - 1, training.state())
    assert (SHORT in training.doubts()) == (SHORT in again.doubts()) == short


def test_a_state_without_a_plan_says_what_it_is_and_the_way_out():
    training = planned(6000, [])
    training.begin(0, Draw(1, 0, 0))
    state = {name: tensor for name, tensor in training.state().items() if name != "plan.choice"}
    with pytest.raises(
        CheckpointError, match=r"of another version of structkit \(it has no plan.choice\); name another output"
    ):
        planned(6000, []).restore(0, state)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.6, "0.01"), (9, "0.15"), (90, "1.5"), (900, "15"), (5969, "99"), (9000, "150"), (6e6, "100000")],
)
def test_minutes_are_plain_numbers(seconds, words):
    assert in_minutes(seconds) == words


def test_a_time_that_has_begun_before_is_counted_from_there():
    clock, plans = Clock(), []
    clock.now = 3000.0
    planned(5500, plans, clock, began=0.0).begin(0, Draw(1, 0, 0))
    assert sum(stage.seconds for stage in plans[0].stages) <= 2500


def test_it_is_measured_with_the_processes_that_will_train():
    class Two(Processes):
        def largest(self, number):
            return number

        def mean(self, values):
            return values

    class Watching(Sized):
        def begin(self, stage, draw):
            seen.append(self.processes)
            super().begin(stage, draw)

    seen = []
    training = planned(1e6, [], made=Watching)
    training.processes = Two(0, 2)
    training.begin(0, Draw(1, 0, 0))
    assert len(seen) > 2 and all(processes is training.processes for processes in seen)


def test_measuring_takes_little_of_the_time():
    clock = Clock()
    planned(10_000, [], clock).begin(0, Draw(1, 0, 0))
    assert clock.now <= 0.05 * 10_000
    clock = Clock()
    planned(1, [], clock).begin(
        0, Draw(1, 0, 0)
    )  # a few steps of the first stage are measured however short the time is
    assert clock.now == 1 + 6 + 6 + 1


@pytest.mark.parametrize(("seconds", "stage"), [(5000, 1), (5000, 2), (300, 1)])
def test_a_training_that_goes_on_keeps_its_plan_on_a_slower_machine(tmp_path, seconds, stage):
    class Stop(Exception):
        pass

    plans: list = []
    training = planned(seconds, plans)
    real = training.step

    def mortal(draw):
        if draw.stage == stage and draw.step == 11:
            raise Stop
        return real(draw)

    training.step = mortal
    with pytest.raises(Stop):
        train(training, tmp_path / "m.safetensors", seed=5, run=RUN, save_every=0)
    clock = Clock()
    again = planned(seconds, plans, clock)
    clock.now = 4000  # it would plan fewer steps now
    model = train(again, tmp_path / "m.safetensors", seed=5, run=RUN)
    assert len(plans) == 1 and list(again.stages) == list(training.stages)
    assert bool(model.doubts) == plans[0].short == (seconds < 1000)


def test_a_stage_never_takes_longer_than_its_share(tmp_path):
    plans: list = []
    training = planned(6000, plans)
    training.begin(0, Draw(1, 0, 0))
    [plan] = plans
    assert sum(stage.seconds for stage in plan.stages) <= 6000
    spare = {round(stage.seconds / (stage.steps * cost(k)), 6) for k, stage in enumerate(plan.stages)}
    assert len(spare) == 1 and spare.pop() >= 1  # each has the same room


def test_what_measuring_draws_changes_nothing_of_the_training():
    training, plain = planned(1e6, []), Sized(6, Clock())
    for one in (training, plain):
        draw = Draw(1, 0, 0)
        draw.seed_networks()
        one.begin(0, draw)
    for name, value in plain.state().items():
        assert torch.equal(training.state()[name], value)


class Repeated(Sized):
    """Its stages after the first are alike, as rounds are, but that the earlier ones do less."""

    def step(self, draw):
        begun.append(draw.stage)
        return super().step(replace(draw, stage=(0, 0, 0, 1, 1, 1)[draw.stage]))


begun: list[int] = []


def test_of_stages_of_the_same_work_the_last_is_measured_and_all_are_scaled_alike():
    begun.clear()
    plans, clock, works = [], Clock(), [cost(0), *[cost(1)] * 5]
    how = {"seconds": 6000, "steps": steps_between, "chunk": 4, "tell": plans.append, "clock": clock}
    PlannedTraining(lambda size: Repeated(size, clock), (6,), lambda training: works, **how).begin(0, Draw(1, 0, 0))
    [plan] = plans
    assert set(begun) == {0, 5}
    assert len({stage.steps for stage in plan.stages}) == 1 and FEWEST_STEPS < plan.stages[0].steps < 400
    assert sum(stage.steps * work for stage, work in zip(plan.stages, works, strict=True)) == pytest.approx(
        plan.seconds, rel=0.1
    )
    assert 0.85 * 6000 < plan.seconds <= 6000


class Labelling(Sized):
    """The first step of a stage makes ready for the whole of it, and takes as long as half of all its steps."""

    def step(self, draw):
        self.clock.now += (draw.step == 1) * self.stages[draw.stage].steps / 2 * (draw.stage + 1)
        return super().step(draw)


@pytest.mark.parametrize("share", [0.6, 0.8, 2.0])
def test_what_the_first_step_of_a_stage_does_for_all_is_in_the_plan(tmp_path, share):
    works, plans, clock = [cost(k) + (k + 1) / 2 for k in range(4)], [], Clock()
    whole = 400 * sum(works)
    how = {"seconds": share * whole, "steps": steps_between, "chunk": 4, "tell": plans.append, "clock": clock}
    training = PlannedTraining(lambda size: Labelling(size, clock), (4,), lambda training: works, **how)
    train(training, tmp_path / "m.safetensors", seed=5, run=RUN)
    assert 0.9 * min(share, 1) * whole < clock.now <= share * whole
    assert plans[0].whole == (share > 1)
