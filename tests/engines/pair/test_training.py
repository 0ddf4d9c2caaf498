"""Structural analogy's training: the fast step is the paper's, at every kind of level; it resumes, shares, and
stops.
"""

from __future__ import annotations

import copy
import threading
from dataclasses import replace

import pytest
import torch
from torch import nn

from structkit.configs import PairConfig
from structkit.engines.pair.training import CHUNK, PairTraining
from structkit.errors import InputError, OptionError
from structkit.training.draw import Draw
from structkit.training.parallel import Processes

from .plain import Domain, of_domain, step

SMALL = PairConfig(size=40, coarsest=14, width=4, widest=8, steps=3)  # 14, 20, 29, 40 px or so


def picture(seed: int, height: int = 40, width: int = 40, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed), dtype=dtype) * 2 - 1


def trained_to(level: int, config: PairConfig = SMALL, dtype: torch.dtype = torch.float64) -> PairTraining:
    """At the beginning of a level, after a step in each of those below."""
    training = PairTraining(picture(1, dtype=dtype), picture(2, 30, 50, dtype=dtype), config, dtype=dtype)
    for stage in range(level + 1):
        training.begin(stage, Draw(7, stage, 0))
        if stage < level:
            training.step(Draw(7, stage, 1))
    return training


def domains(training: PairTraining) -> list[Domain]:
    net, level = training.net, training.level
    return [
        Domain(
            frozen=[of_domain(g, i).requires_grad_(False) for g in net.generators[:level]],
            amplitudes=[float(x) for x in net.amplitudes[:, i]],
            generator=of_domain(net.generators[level], i),
            critic=of_domain(training.critic, i),
            real=training.real[i],
            shapes=net.shapes,
            residual=[net.is_residual(k) for k in range(len(net.shapes))],
        )
        for i in range(2)
    ]


def draws_of(training: PairTraining, number: int) -> list[dict]:
    """What the plain step needs to draw the `number`-th sample of a chunk that begins with step 1."""
    level, count = training.level, CHUNK * training.config.batch
    generator = Draw(7, level, 1).generator("chunk")

    def normal(k: int) -> torch.Tensor:
        return torch.randn(count, 6, *training.shapes[k], generator=generator).double()[number : number + 1]

    start = normal(0)
    noise = [normal(k) for k in range(level + 1)]
    mix = torch.rand(count, len(training.weights), 2, 1, 1, generator=generator).double()[number]
    abroad = normal(level)
    parts = [slice(0, 3), slice(3, 6)]
    return [
        {"noise": [n[:, p] for n in noise], "start": start[:, p], "mix": mix[:, i], "abroad": abroad[:, p]}
        for i, p in enumerate(parts)
    ]


def follow(plain: list[Domain], lr: float) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
    return tuple(
        torch.optim.SGD([p for d in plain for p in getattr(d, net).parameters()], lr) for net in ("critic", "generator")
    )


@pytest.mark.parametrize("level", [0, 1, 2, 3])
@pytest.mark.parametrize("mode", ["analogy", "sketch", "video"])
def test_a_step_is_the_papers_in_values_and_gradients(level, mode):
    training = trained_to(level, replace(SMALL, mode=mode, coarsest=14))
    plain, generator = domains(training), training.net.generators[level]
    training.critic_adam = torch.optim.SGD(
        training.critic.parameters(), 1.0
    )  # a change of the weights is then a gradient
    training.generator_adam = torch.optim.SGD(generator.parameters(), 1.0)
    before = copy.deepcopy((generator.state_dict(), training.critic.state_dict()))
    wanted = step(*plain, draws_of(training, 0), training.config, follow(plain, 1.0))
    got = training.step(Draw(7, level, 1))
    for name, value in wanted.items():
        torch.testing.assert_close(got[name], value, rtol=1e-9, atol=1e-9, msg=name)
    for network, part, first in ((generator, "generator", before[0]), (training.critic, "critic", before[1])):
        assert all(
            not torch.equal(first[name], value) for name, value in network.state_dict().items() if name != "bias"
        )
        for i, domain in enumerate(plain):
            for one, other in zip(weights_of(of_domain(network, i)), weights_of(getattr(domain, part)), strict=True):
                torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-9)


def weights_of(network: nn.Sequential) -> list[torch.Tensor]:
    """All that matters of it: the bias of a convolution before a norm does not."""
    norms = [p for m in network if isinstance(m, nn.BatchNorm2d) for p in (m.weight, m.bias)]
    return [*norms, *(m.weight for m in network if isinstance(m, nn.Conv2d)), network[-1].bias]


def test_two_processes_learn_what_one_does_of_twice_the_batch():
    config = replace(SMALL, abroad=0.5)
    whole = trained_to(2, replace(config, batch=2))
    parts = [trained_to(2, config) for _ in range(2)]
    start = whole.state()
    for rank, part in enumerate(parts):
        part.restore(2, {name: value.clone() for name, value in start.items()})
        part.processes = Processes(rank, 2)
    inputs = whole._inputs(Draw(7, 2, 1))
    halves = [part._inputs(Draw(7, 2, 1)) for part in parts]
    for one, left, right in zip(inputs, *halves, strict=True):
        for name in ("state", "noised", "start", "abroad"):
            torch.testing.assert_close(getattr(one, name), torch.cat([getattr(left, name), getattr(right, name)]))
    for part in parts:
        part.processes = Processes()  # what is compared next is the mean of the gradients, taken here
        part.generator_adam = part.critic_adam = Still()
    whole.generator_adam = whole.critic_adam = Still()
    whole.update(inputs[0])
    for part, half in zip(parts, halves, strict=True):
        part.update(half[0])
    for network in (lambda t: t.critic, lambda t: t.net.generators[2]):
        for one, left, right in zip(*(network(t).parameters() for t in (whole, *parts)), strict=True):
            torch.testing.assert_close(one.grad, (left.grad + right.grad) / 2, rtol=1e-9, atol=1e-12)


class Two(Processes):
    """Two processes, which here are threads."""

    brought, both = {}, threading.Barrier(2)

    def mean(self, values):
        self.brought[self.rank] = values
        self.both.wait()
        mean = (self.brought[0] + self.brought[1]) / 2
        self.both.wait()
        return mean


def test_two_processes_stay_with_one_until_rounding_has_grown():
    """In float64 for some 40 steps; in float32, where a GAN doubles what rounding leaves at each step, losses come
    apart after 10.
    """
    pictures, losses = (picture(1), picture(2)), [[], [], []]

    def run(training: PairTraining, losses: list) -> None:
        training.begin(0, Draw(7, 0, 0))
        losses += [training.step(Draw(7, 0, number)) for number in range(1, CHUNK + 5)]

    run(PairTraining(*pictures, replace(SMALL, batch=2), dtype=torch.float64), losses[2])
    parts = [PairTraining(*pictures, SMALL, dtype=torch.float64) for _ in range(2)]
    threads = []
    for rank, part in enumerate(parts):
        part.processes = Two(rank, 2)
        threads.append(threading.Thread(target=run, args=(part, losses[rank]), daemon=True))
        threads[-1].start()
    for thread in threads:
        thread.join(60)
    for left, right, whole in zip(*losses, strict=True):
        for name, value in whole.items():
            torch.testing.assert_close((left[name] + right[name]) / 2, value, rtol=1e-7, atol=1e-7)


class Still:
    """An optimiser that leaves everything where it is, so that gradients can be looked at."""

    param_groups = ({"params": []},)

    def zero_grad(self) -> None: ...
    def step(self) -> None: ...


def test_a_level_of_the_same_width_begins_with_the_networks_below_and_a_wider_one_anew():
    training = trained_to(0)
    for stage in (1, 2, 3):
        below = training.net.generators[-1].state_dict()
        training.begin(stage, Draw(7, stage, 0))
        same = {
            name: torch.equal(value, below[name]) for name, value in training.net.generators[-1].state_dict().items()
        }
        assert all(same.values())
    widths = [PairTraining(picture(1), picture(2), PairConfig(preset="paper")).net.stack(k).width for k in range(11)]
    assert widths == [32] * 4 + [64] * 4 + [128] * 3


def test_the_steps_taper_from_the_coarsest_level_to_the_finest():
    pictures = picture(1), picture(2)
    assert {stage.steps for stage in PairTraining(*pictures, PairConfig(preset="paper")).stages} == {20_000}
    steps = [stage.steps for stage in PairTraining(*pictures, replace(SMALL, steps=800, taper=0.25)).stages]
    assert steps[0] == 800 and steps[-1] == 200 and steps == sorted(steps, reverse=True)


def test_it_goes_on_from_its_state_in_the_middle_of_a_chunk():
    undisturbed, again = trained_to(1), trained_to(0)
    for step_number in (1, 2):
        undisturbed.step(Draw(7, 1, step_number))
    again.restore(1, {name: value.clone() for name, value in undisturbed.state().items()})
    for training in (undisturbed, again):
        training.step(Draw(7, 1, 3))
    for name, value in undisturbed.state().items():
        assert torch.equal(again.state()[name], value), name


def test_the_amplitude_is_a_tenth_of_what_is_still_missing():
    training = trained_to(1)
    arrived = training.net.climb(training._noise(Draw(7, 1, 0).generator("amplitudes"), 1, 0), 0, 1, None)
    for i, amplitude in enumerate(training.net.amplitudes[1]):
        part = slice(3 * i, 3 * i + 3)
        torch.testing.assert_close(amplitude, 0.1 * (arrived - training._real(1))[:, part].square().mean().sqrt())
    torch.testing.assert_close(training.net.amplitudes[0], torch.full((2,), 0.1).double())


def test_a_level_below_the_critics_field_is_refused_with_the_least_that_works():
    with pytest.raises(
        InputError, match=r"coarsest level is 24 x 6 px, and its critic needs more than 11 px a side: use --coarsest 24"
    ):
        PairTraining(picture(1, 20, 80), picture(2), replace(SMALL, coarsest=12, size=64))
    PairTraining(picture(1, 20, 80), picture(2), replace(SMALL, coarsest=24, size=64))
    with pytest.raises(InputError, match="crop the source, or use fewer --layers"):
        PairTraining(picture(1, 16, 1600), picture(2), SMALL)


def test_sizes_and_widths_that_contradict_each_other_are_refused():
    with pytest.raises(OptionError, match=r"--coarsest is 41: it must be at most --size, which is 40"):
        replace(SMALL, coarsest=41).filled()
    with pytest.raises(OptionError, match=r"--widest is 8: it must be at least --width, which is 16"):
        replace(SMALL, width=16).filled()
    assert PairConfig(width=64).filled().widest == 64


def test_videos_begin_with_noise_of_amplitude_one():
    assert trained_to(0, replace(SMALL, mode="video", coarsest=14)).net.amplitudes.tolist() == [[1.0, 1.0]]


def test_the_preview_shows_both_directions_and_changes_nothing():
    training = trained_to(1)
    before = {name: value.clone() for name, value in training.state().items()}
    height, width = training.shapes[1]
    assert training.preview(Draw(7, 1, 1)).shape == (1, 3, 2 * height, 2 * width)
    assert all(torch.equal(value, before[name]) for name, value in training.state().items())


def test_every_frame_of_a_video_is_shown_as_often_as_the_others():
    frames = torch.cat([picture(i) for i in range(5)])
    training = PairTraining(frames, picture(9), replace(SMALL, mode="video", coarsest=14), dtype=torch.float64)
    training.begin(0, Draw(7, 0, 0))
    shown = [real for chunk in range(5) for real in training._reals(Draw(7, 0, 1 + CHUNK * chunk), CHUNK)]
    numbers = [next(i for i in range(5) if torch.equal(real[:, :3], training.real[0][i : i + 1])) for real in shown]
    for epoch in range(16):
        assert sorted(numbers[5 * epoch : 5 * epoch + 5]) == list(range(5))
    assert numbers[:5] != numbers[5:10] != numbers[10:15]
    assert all(torch.equal(real[:, 3:], training.real[1]) for real in shown)
    training.step(Draw(7, 0, 1))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("mode", ["analogy", "video"])
def test_on_cuda_the_recorded_step_is_the_step(mode):
    pictures = picture(1, dtype=torch.float32), picture(2, dtype=torch.float32)
    recorded, plain = (PairTraining(*pictures, replace(SMALL, mode=mode, coarsest=14), device="cuda") for _ in range(2))
    for training in (recorded, plain):
        training.begin(0, Draw(7, 0, 0, "cuda"))
    for number in range(1, 4):
        losses = recorded.step(Draw(7, 0, number, "cuda"))
        for name, value in plain.update(plain._inputs(Draw(7, 0, 1, "cuda"))[number - 1]).items():
            torch.testing.assert_close(losses[name], value, rtol=1e-3, atol=1e-4)
