"""The laws of several processes: they do what one does, and none waits for one that is gone."""

from __future__ import annotations

import copy

import pytest
import torch

from structkit.errors import DeviceError, OptionError
from structkit.training.meeting import joined
from structkit.training.parallel import ALONE, Processes

from .programs import assert_as_alone, python

PROGRAM = """
import os, signal, sys
from toy import Mortal, ToyTraining, forked, trained

class Interrupted(ToyTraining):
    def step(self, draw):
        if (draw.stage, draw.step, self.processes.rank) == (1, 5, 1):
            signal.raise_signal(signal.SIGINT)
        return super().step(draw)

class Failing(ToyTraining):
    def step(self, draw):
        if draw.step == 15:
            raise ValueError("no luck")
        return super().step(draw)

def both(case, ours, theirs, output="m.safetensors"):
    os.makedirs(case, exist_ok=True)
    outputs = [f"{case}/{output.format(rank=rank)}" for rank in (0, 1)]
    ended = forked(lambda: trained(outputs[0], ours), lambda: trained(outputs[1], theirs))
    print(case, *ended, *sorted(os.listdir(case)), flush=True)

os.chdir(sys.argv[1])
calm, short = ToyTraining(dropout=0), ToyTraining((10,), dropout=0)
both("interrupted", Interrupted(dropout=0), Interrupted(dropout=0))
both("interrupted", calm, calm)
both("killed", calm, Mortal(15))
both("failed", calm, Failing())
both("apart", short, short, "{rank}.safetensors")
both("apart", short, short, "{rank}.safetensors")
"""


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """What pairs of processes did, case by case: their exit codes and files; the messages on their errors; and
    where.
    """
    folder = tmp_path_factory.mktemp("together")
    ended = python("-c", PROGRAM, str(folder))
    cases = [line.split() for line in ended.stdout.splitlines()]
    assert len(cases) == 6, ended.stderr
    return folder, cases, ended.stderr.splitlines()


def test_two_processes_do_what_one_does(alone, together):
    """One of them got a signal: both stopped, and went on when they were started again."""
    folder, cases, told = together
    beside = ["m.log.jsonl", "m.preview.png", "m.resume.safetensors", "m.safetensors"]
    assert cases[0] == ["interrupted", "1", "1", *beside]
    assert {"0: KeyboardInterrupt: ", "1: KeyboardInterrupt: "} <= set(told)
    assert cases[1] == ["interrupted", "0", "0", "m.log.jsonl", "m.safetensors"]
    assert_as_alone(folder / "interrupted", alone)


def test_nobody_waits_for_a_process_that_is_gone(together):
    """It was killed, or it failed; the other says so and ends, with a state to go on from."""
    _, cases, told = together
    beside = ["m.log.jsonl", "m.preview.png", "m.resume.safetensors"]
    assert cases[2] == ["killed", "1", "-9", *beside]
    assert cases[3] == ["failed", "1", "1", *beside]
    ended = [
        line
        for line in told
        if line.startswith("0: StructkitError: process 0 of 2: another process of this training ended early (")
    ]
    assert len(ended) == 2 and all(
        line.endswith("); its own message says why; the same command goes on from the last state") for line in ended
    )
    assert "1: ValueError: no luck" in told


def test_all_must_see_the_same_files(together):
    _, cases, told = together
    assert [case[:3] for case in cases[4:]] == [["apart", "0", "0"], ["apart", "1", "1"]]
    fact = "the processes find different files beside it; name an output on a file system that all share"
    assert {f"{rank}: OutputError: apart/{rank}.safetensors: {fact}" for rank in (0, 1)} <= set(told)


def test_the_shares_are_the_batch():
    batch = torch.arange(12).reshape(6, 2)
    for size in (1, 2, 3, 6):
        assert torch.cat([Processes(rank, size).share(batch) for rank in range(size)]).equal(batch)
    with pytest.raises(OptionError) as caught:
        Processes(0, 4).share(batch)
    assert str(caught.value) == "a batch of 6 cannot be shared evenly by 4 processes; choose a multiple of 4"


def gathering() -> tuple[torch.nn.Module, torch.Tensor]:
    """A network that keeps running statistics, and a loss of it."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 1, bias=False))
    return network, network(torch.randn(4, 2)).square().sum()


def test_alone_nothing_happens():
    network, loss = gathering()
    loss.backward()
    before = {id(tensor): tensor.clone() for tensor in [*network.buffers(), *(p.grad for p in network.parameters())]}
    ALONE.mean_gradients(network.parameters())
    ALONE.mean_buffers(network)
    for tensor in [*network.buffers(), *(p.grad for p in network.parameters())]:
        assert before[id(tensor)].equal(tensor)
    assert ALONE.mean(loss) is loss and ALONE.largest(3) == 3 and ALONE.same(3) and ALONE.first
    ALONE.wait()


class Beside(Processes):
    """One of two, of which the other always brings zeros."""

    def mean(self, values):
        return values / 2


def test_what_is_averaged_is_gradients_and_what_networks_gather():
    network, loss = gathering()
    loss.backward()
    network[0].bias.grad = None  # one that takes no part
    before, gradients = copy.deepcopy(network), [network[i].weight.grad.clone() for i in (0, 2)]
    two = Beside(0, 2)
    two.mean_gradients(network.parameters())
    two.mean_buffers(network)
    assert all(map(torch.equal, network.parameters(), before.parameters())) and network[0].bias.grad is None
    assert network[0].weight.grad.equal(gradients[0] / 2) and network[2].weight.grad.equal(gradients[1] / 2)
    assert network[1].running_mean.equal(before[1].running_mean / 2) and network[1].running_var.equal(
        before[1].running_var / 2
    )
    assert network[1].num_batches_tracked == 1
    two.mean_buffers(torch.nn.Linear(2, 2))  # which gathers nothing


@pytest.mark.parametrize("longest", [None, 0.25, 1e9])
def test_a_step_goes_down_the_mean_gradient_and_no_further_than_the_longest(longest):
    for processes in (ALONE, Beside(0, 2)):
        (network, loss), (plain, again) = gathering(), gathering()
        network[0].weight.grad = torch.full_like(network[0].weight, 7.0)  # of an earlier step
        rows = [{"params": network[0].parameters()}, {"params": network[1:].parameters(), "lr": 0.2}]
        processes.descend(torch.optim.SGD(rows, 0.1), loss, longest=longest)
        gradients = torch.autograd.grad(again / processes.size, list(plain.parameters()))
        length = torch.cat([g.reshape(-1) for g in gradients]).norm()
        held = min(1.0, longest / float(length)) if longest else 1.0
        assert length > 0.3
        for (name, one), other, gradient in zip(network.named_parameters(), plain.parameters(), gradients, strict=True):
            torch.testing.assert_close(
                one, other - (0.1 if name.startswith("0") else 0.2) * held * gradient, rtol=1e-5, atol=1e-6
            )


def test_without_torchrun_there_is_one_process(monkeypatch):
    for variables in ({}, {"WORLD_SIZE": "2"}, {"RANK": "1"}, {"RANK": "0", "WORLD_SIZE": "1"}):
        with monkeypatch.context() as patch:
            for name in ("RANK", "WORLD_SIZE"):
                patch.delenv(name, raising=False)
            for name, value in variables.items():
                patch.setenv(name, value)
            with joined("cpu") as (processes, device):
                assert (processes, device) == (ALONE, "cpu") and processes.first


@pytest.mark.parametrize(("rank", "size"), [("2", "2"), ("-1", "2"), ("one", "2"), ("0", "")])
def test_what_torchrun_would_not_set_is_refused(monkeypatch, rank, size):
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", size)
    with pytest.raises(OptionError) as caught, joined("cpu"):
        pass
    fact = f"RANK is {rank!r} and WORLD_SIZE is {size!r} in the environment"
    assert str(caught.value) == f"{fact}: let torchrun set both, or remove them"


@pytest.mark.parametrize(
    ("device", "message"),
    [
        (
            "cuda:0",
            "--device cuda:0: several processes cannot share it; say --device cuda, of which each takes its own, or "
            "cpu",
        ),
        ("cuda", "--device cuda: process 1 finds 1 here; start no more processes than devices, or say --device cpu"),
    ],
)
def test_every_process_needs_its_own_device(monkeypatch, device, message):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    for name, value in {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(DeviceError) as caught, joined(device):
        pass
    assert str(caught.value) == message
