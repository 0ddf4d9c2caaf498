"""What is packed and unpacked goes on as if it had not been."""

from __future__ import annotations

import copy
import functools

import pytest
import torch
from torch import nn

from structkit import checkpoint
from structkit.errors import CheckpointError, OptionError
from structkit.training.ema import Average
from structkit.training.precision import NATIVE, precision
from structkit.training.state import pack, unpack, within

OPTIMISERS = {
    "Adam": torch.optim.Adam,
    "Adam, foreach": functools.partial(torch.optim.Adam, foreach=True),
    "Adam, fused": functools.partial(torch.optim.Adam, fused=True),
    "Adam, amsgrad, rate in a tensor": lambda p: torch.optim.Adam(p, torch.tensor(0.002), amsgrad=True, foreach=False),
    "AdamW, two groups": lambda p: torch.optim.AdamW([{"params": p[:1], "lr": 0.1}, {"params": p[1:]}]),
    "SGD": functools.partial(torch.optim.SGD, lr=0.001),
    "SGD, momentum": functools.partial(torch.optim.SGD, lr=0.001, momentum=0.9),
    "RMSprop": torch.optim.RMSprop,
}


def network():
    generator = torch.Generator().manual_seed(1)
    made = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    for parameter in made.parameters():
        nn.init.normal_(parameter, generator=generator)
    made[0].weight = nn.Parameter(
        made[0].weight.detach().t().contiguous().t()
    )  # not in the order of a file, as in channels_last
    return made


def steps(module, optimiser, numbers):
    for number in numbers:
        optimiser.zero_grad()
        module(torch.randn(5, 3, generator=torch.Generator().manual_seed(number))).square().sum().backward()
        optimiser.step()


@pytest.mark.parametrize("taken", [0, 3])
@pytest.mark.parametrize("name", OPTIMISERS)
def test_a_packed_optimiser_goes_on_as_if_it_had_not_been(tmp_path, name, taken):
    one = network()
    optimiser = OPTIMISERS[name](list(one.parameters()))
    steps(one, optimiser, range(taken))
    for group in optimiser.param_groups:
        group["lr"] *= 0.5  # as a schedule does
    checkpoint.save(tmp_path / "a", pack(one=one, adam=optimiser), {"kind": "resume"})
    steps(one, optimiser, range(10, 13))

    other = network()
    again = OPTIMISERS[name](list(other.parameters()))
    tensors, _ = checkpoint.load(tmp_path / "a", kind="resume")
    unpack(tensors, one=other, adam=again)
    steps(other, again, range(10, 13))
    ours, theirs = pack(one=one, adam=optimiser), pack(one=other, adam=again)
    assert ours.keys() == theirs.keys() and all(ours[key].equal(theirs[key]) for key in ours)


def test_parts_are_kept_apart():
    packed = pack(a=nn.Linear(1, 1), ab=nn.Linear(2, 2))
    assert within(packed, "a").keys() == {"weight", "bias"} and within(packed, "a")["weight"].shape == (1, 1)
    assert pack(x=nn.Sequential(nn.Linear(1, 1))).keys() == {"x/0.weight", "x/0.bias"}


@pytest.mark.parametrize("part", ["network", "adam", "average"])
def test_the_state_of_another_training_is_refused(part):
    small, large = nn.Linear(2, 2), nn.Linear(3, 3)
    adam = torch.optim.Adam(large.parameters())
    large(torch.ones(1, 3)).sum().backward()
    adam.step()
    theirs = {"network": large, "adam": adam, "average": Average(large)}[part]
    ours = {"network": small, "adam": torch.optim.Adam(small.parameters()), "average": Average(small)}[part]
    for state in (pack(**{part: theirs}), {}):
        if part == "adam" and not state:
            continue
        with pytest.raises(CheckpointError, match=f"the state of {part} is of another training .*; start anew"):
            unpack(state, **{part: ours})


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99])
def test_the_average_is_the_weighted_mean_of_all_that_was_taken_in(decay):
    module = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    average, seen = Average(module, decay), []
    generator = torch.Generator().manual_seed(0)
    for _ in range(7):
        for tensor in (*module.parameters(), module[1].running_mean):
            tensor.data = torch.randn(tensor.shape, generator=generator)
        average.update(module)
        seen.append(copy.deepcopy(module))
        weights = [decay**age for age in reversed(range(len(seen)))]
        for name, found in average.module.named_parameters():
            mean = sum(w * m.get_parameter(name) for w, m in zip(weights, seen, strict=True)) / sum(weights)
            torch.testing.assert_close(found.data, mean.data)
            assert not found.requires_grad
        assert average.module[1].running_mean.equal(module[1].running_mean)
    assert not average.module.training


def test_a_packed_average_goes_on_as_if_it_had_not_been():
    modules = [network() for _ in range(6)]
    for i, module in enumerate(modules):
        module[0].weight.data += i
    one, other = Average(network(), 0.9), Average(network(), 0.9)
    for module in modules[:3]:
        one.update(module)
    unpack({name: tensor.clone() for name, tensor in pack(average=one).items()}, average=other)
    for average in (one, other):
        for module in modules[3:]:
            average.update(module)
    assert other.updates == 6
    assert all(a.equal(b) for a, b in zip(one.module.parameters(), other.module.parameters(), strict=True))


@pytest.mark.parametrize(("name", "found"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_a_precision_that_is_named_is_taken(name, found):
    assert precision(name, "cpu") == found


@pytest.mark.parametrize("has", [*NATIVE, None])
@pytest.mark.parametrize("held", ["AVX512", "AVX2", "DEFAULT"])
def test_bfloat16_is_taken_where_the_processor_has_it_and_is_not_held_to_less(monkeypatch, has, held):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: held)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {name: name == has for name in NATIVE}, raising=False)
    assert precision("auto", "cpu") == (torch.bfloat16 if has and held == "AVX512" else torch.float32)


@pytest.mark.parametrize("has", [True, False, None])
def test_an_older_pytorch_is_asked_in_its_own_words(monkeypatch, has):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    if has is None:
        monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported", raising=False)
    else:
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has, raising=False)
    assert precision("auto", "cpu") == (torch.bfloat16 if has else torch.float32)


@pytest.mark.parametrize("has", [True, False])
def test_a_cuda_device_is_asked_without_emulation(monkeypatch, has):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has and not including_emulation)
    assert precision("auto", "cuda") == (torch.bfloat16 if has else torch.float32)


def test_unknown_precision():
    with pytest.raises(OptionError) as caught:
        precision("float16", "cpu")
    assert str(caught.value) == "--dtype is 'float16': choose auto, float32 or bfloat16"
