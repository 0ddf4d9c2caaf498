"""Permuted AdaIN in a network: what it changes in training, and that it changes nothing else."""

import copy
import math
import random
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

from structkit.engines.padain.layer import PermutedAdaIN, disabled, insert_padain
from structkit.errors import OptionError

from ...training.programs import python
from .small import Small, moments, pictures, steps


def test_one_line_is_enough():
    model, plain = Small(), Small()
    handles = insert_padain(model, p=0.5)
    optimisers = [torch.optim.SGD(network.parameters(), 0.1) for network in (model, plain)]
    labels, active = torch.tensor([0, 1, 2, 3, 0, 1]), []
    for _ in range(8):
        for network, optimiser in zip((model, plain), optimisers, strict=True):
            optimiser.zero_grad()
            loss = F.cross_entropy(network(pictures()), labels)
            loss.backward()
            optimiser.step()
        active.append(tuple(handles.active))
    assert handles.names == ["conv1", "conv2", "conv3"]
    assert len(set(active)) > 2  # coins of each pass and place
    assert not torch.equal(model.conv1.weight, plain.conv1.weight)
    assert loss.isfinite()


def test_modules_and_state_stay_as_they_are_and_remove_takes_all_hooks_out():
    model, plain = Small(), Small()
    handles = insert_padain(model, p=1)
    assert [name for name, _ in model.named_modules()] == [name for name, _ in plain.named_modules()]
    assert model.state_dict().keys() == plain.state_dict().keys()
    plain.load_state_dict(model.state_dict())
    swapped = model(pictures())
    handles.remove()
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    again, expected = model(pictures()), plain(pictures())
    assert torch.equal(again, expected) and not torch.equal(swapped, expected)


def test_evaluation_is_the_same_to_the_bit():
    model, plain = Small().eval(), Small().eval()
    handles = insert_padain(model, p=1)
    assert torch.equal(model(pictures()), plain(pictures())) and handles.active == []
    layer = PermutedAdaIN(p=1).eval()
    x = pictures()
    assert layer(x) is x and PermutedAdaIN(p=0)(x) is x


def test_no_random_numbers_of_others_are_used():
    model = Small()
    insert_padain(model, p=1, mix=0.1)

    def states():
        return torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()

    before = states()
    model(pictures())
    model.eval()(pictures())
    PermutedAdaIN(p=1).eval()(pictures())
    assert states() == before


@pytest.mark.parametrize("p", [0.0, 0.2, 1.0])
def test_each_place_swaps_with_its_probability(p):
    handles, generator = insert_padain(Small(), p=p), torch.Generator().manual_seed(0)
    counts, draws = dict.fromkeys(handles.names, 0), 400
    for _ in range(draws):
        handles.draw(generator)
        for name in handles.active:
            counts[name] += 1
    for count in counts.values():  # five standard deviations
        assert abs(count - p * draws) <= 5 * (p * (1 - p) * draws) ** 0.5


def test_set_changes_the_probability_of_the_plans_to_come():
    handles, generator = insert_padain(Small()), torch.Generator()
    assert handles.p == 0.01
    handles.set(p=1)
    handles.draw(generator)
    assert handles.active == handles.names
    handles.set(p=0)
    handles.draw(generator)
    assert handles.active == []


@pytest.mark.parametrize("forwards", [1, 2])
def test_the_same_generator_state_is_the_same_plan(forwards):
    def run(model, handles, generator, count):
        found = []
        for _ in range(count):
            handles.draw(generator)
            found += steps(model, 1, forwards)
        return found

    model, generator = Small(), torch.Generator().manual_seed(3)
    handles = insert_padain(model, p=0.5)
    run(model, handles, generator, 3)
    state, weights = generator.get_state(), model.state_dict()
    expected = run(model, handles, generator, 3)
    other, late = Small(), torch.Generator()
    other.load_state_dict(weights)
    late.set_state(state)
    found = run(other, insert_padain(other, p=0.5, seed=9), late, 3)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_each_process_draws_for_itself(monkeypatch):
    found = []
    for rank in (0, 0, 1):
        monkeypatch.setenv("RANK", str(rank))
        handles, generator = insert_padain(Small(), p=0.5), torch.Generator().manual_seed(0)
        plans = []
        for _ in range(12):
            handles.draw(generator)
            plans.append(tuple(handles.active))
        found.append(plans)
    assert found[0] == found[1] != found[2]


def test_running_statistics_behind_a_place_are_those_without_it():
    model, plain = Small(), Small()
    insert_padain(model, p=1, where="^conv1$")
    for seed in range(5):
        model(pictures(32, seed=seed)), plain(pictures(32, seed=seed))
    torch.testing.assert_close(model.bn1.running_mean, plain.bn1.running_mean, rtol=0, atol=1e-3)
    torch.testing.assert_close(model.bn1.running_var, plain.bn1.running_var, rtol=1e-3, atol=0)


def test_with_every_place_on_the_statistics_of_the_branch_say_nothing_of_their_own_picture():
    """The paper's claim, mechanically: before batch normalisation, what was bright is not known to have been."""
    x = pictures(256, 5) + torch.linspace(-2, 2, 256)[:, None, None, None]
    told = []
    for p in (0, 1):
        model, seen = Small().requires_grad_(False), []
        insert_padain(model, p=p, pairing="derange")
        model.bn3.register_forward_pre_hook(lambda module, inputs, to=seen: to.append(inputs[0]))
        model(x)
        rows = torch.cat([moments(seen[0]).movedim(1, 0).flatten(1), torch.ones(256, 1)], 1)
        bright = x.mean((1, 2, 3))
        left = bright - rows @ torch.linalg.lstsq(rows, bright[:, None]).solution[:, 0]
        told.append(1 - float(left.var() / bright.var()))
    assert told[0] > 0.5 and told[1] < 0.15  # explained by 12 statistics; by chance 12 of 256


def test_parts_that_are_called_without_the_model_have_plans_of_their_own():
    model = Small()
    handles = insert_padain(model, p=0.5)
    active = []
    for _ in range(16):
        model.features(pictures())
        active.append(tuple(handles.active))
    assert len(set(active)) > 3
    handles.set(p=1)
    handles.draw(torch.Generator())
    assert not torch.equal(model.conv1(pictures()), model.eval().conv1(pictures()))  # the plan that was drawn is used


def test_gradients_of_transformed_functions_are_the_same():
    model, expected = Small(), Small()
    for network in (model, expected):
        torch.func.replace_all_batch_norm_modules_(network)  # running statistics cannot be kept in a transformation
        insert_padain(network, p=1)
    weights = dict(model.named_parameters())
    found = torch.func.grad(lambda w: torch.func.functional_call(model, w, pictures()).square().sum())(weights)
    expected(pictures()).square().sum().backward()
    for name, parameter in expected.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, rtol=1e-4, atol=1e-4)


def test_a_copy_has_hooks_of_its_own():
    model = Small()
    handles = insert_padain(model, p=1)
    other = copy.deepcopy(model)
    again = copy.deepcopy(other)
    handles.remove()
    plain = model(pictures())
    for network in (other, again):
        assert not torch.equal(network(pictures()), plain)
        with disabled(network):
            assert torch.equal(network(pictures()), plain)
    part = copy.deepcopy(other.conv1)  # a part of a copy goes on by itself
    assert not torch.equal(part(pictures()), model.conv1(pictures()))


def test_handles_that_are_copied_along_are_those_of_the_copy():
    model = Small()
    pair = model, insert_padain(model, p=1)
    plain, handles = copy.deepcopy(pair)
    handles.remove()
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in plain.modules())
    assert not torch.equal(plain(pictures()), model(pictures()))


def test_a_forward_that_fails_leaves_nothing_behind():
    model = Small()
    handles, active = insert_padain(model, p=0.5), set()
    with pytest.raises(RuntimeError, match="channels"):
        model(torch.randn(2, 5, 7, 7))
    for _ in range(16):
        model.features(pictures())
        active.add(tuple(handles.active))
    assert len(active) > 3


def test_a_place_that_gives_no_maps_is_found_in_the_first_pass():
    for kind, words in (
        (nn.Linear, r"fc is no .*: a tensor of shape \(6, 4\), not"),
        (nn.GRU, "gru is no .*: a tuple"),
    ):
        model = Small()
        model.gru = nn.GRU(4, 2)
        insert_padain(model, p=0, where=lambda name, module, kind=kind: isinstance(module, kind))
        with pytest.raises(OptionError, match=words):
            model.gru(model(pictures()))


def test_a_moving_average_evaluates_as_without_the_layer():
    model, plain = Small(), Small()
    insert_padain(model, p=1)
    average = torch.optim.swa_utils.AveragedModel(model)
    average.update_parameters(model)
    assert torch.equal(average.eval()(pictures()), plain.eval()(pictures()))


def test_disabled_draws_and_swaps_nothing():
    model, plain = Small(), Small()
    handles, twin = insert_padain(model, p=0.5), insert_padain(plain, p=0.5)
    with disabled(model):
        model(pictures())
        assert handles.active == []
        layer = nn.Sequential(PermutedAdaIN(p=1))
        with disabled(layer):
            assert torch.equal(layer(pictures()), pictures())
    for network in (model, plain):
        network(pictures())
    assert handles.active == twin.active  # the same first plan


def test_frozen_parts_do_not_swap():
    model, plain = Small(), Small()
    insert_padain(model, p=1, where=r"^conv[23]$")
    for network in (model, plain):
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                module.eval()
    assert torch.equal(model(pictures()), plain(pictures()))


def test_early_is_the_first_stage_at_one_half():
    parts = {"stem": 3, "layer1": 4, "layer2": 4}
    model = nn.ModuleDict({name: nn.Sequential(nn.Conv2d(n, 4, 1), nn.BatchNorm2d(4)) for name, n in parts.items()})
    handles = insert_padain(model, preset="early")
    assert (handles.names, handles.p) == (["stem.0", "layer1.0"], 0.5)


def test_fada_swaps_the_input_of_the_stem():
    model, seen = Small(), {}
    handles = insert_padain(model, p=1, preset="fada", pairing="halves")
    model.conv1.register_forward_hook(lambda module, inputs, output: seen.update(input=inputs[0], output=output))
    model.bn1.register_forward_pre_hook(lambda module, inputs: seen.update(normalised=inputs[0]))
    model.bn2.register_forward_pre_hook(lambda module, inputs: seen.update(block=inputs[0]))
    x = pictures()
    model(x)
    assert handles.names[0] == "conv1" and insert_padain(Small(), preset="fada").p == 0.01
    torch.testing.assert_close(moments(seen["input"][:3]), moments(x[3:]), rtol=1e-3, atol=1e-3)
    assert torch.equal(seen["normalised"], seen["output"])  # nothing behind it
    torch.testing.assert_close(moments(seen["block"][:3]), moments(seen["block"][3:]), rtol=1e-3, atol=1e-3)
    late, fada = Small(), Small()  # places of one's own without the stem: behind each, as everywhere
    insert_padain(late, p=1, where="conv2"), insert_padain(fada, p=1, where="conv2", preset="fada")
    assert torch.equal(late(x), fada(x))


def test_what_cannot_be_is_refused():
    model = Small()
    with pytest.raises(OptionError, match=r"p is 1\.5: a probability is between 0 and 1"):
        insert_padain(model, p=1.5)
    with pytest.raises(OptionError, match="pairing is 'pairs': choose permute, halves, derange"):
        insert_padain(model, pairing="pairs")
    with pytest.raises(OptionError, match="mix is 0: the parameter of a Beta distribution must be above 0"):
        PermutedAdaIN(mix=0)
    with pytest.raises(OptionError, match="mix is nan"):
        insert_padain(model, mix=math.nan)
    with pytest.raises(OptionError, match="eps is 0: it must be above 0"):
        PermutedAdaIN(eps=0)
    with pytest.raises(OptionError, match="seed is -1: it must not be below 0"):
        insert_padain(model, seed=-1)
    with pytest.raises(OptionError, match="preset is 'late': choose paper, early, fada"):
        insert_padain(model, preset="late")
    insert_padain(model, where="conv2")
    with pytest.raises(OptionError, match=r"Small has Permuted AdaIN already, at conv2: call remove\(\) of its"):
        insert_padain(model)
    with pytest.raises(OptionError, match="p is -1"):
        insert_padain(Small()).set(p=-1)


@pytest.mark.slow
def test_two_processes_swap_apart_and_learn_the_same(tmp_path):
    ended = python(str(Path(__file__).with_name("two_processes.py")), str(tmp_path))
    assert ended.stdout == "[0, 0]\n", ended.stderr
    first, second = (load_file(tmp_path / f"{rank}.safetensors") for rank in (0, 1))
    active, other = first.pop("active"), second.pop("active")
    assert not torch.equal(active, other) and active.any()
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
