"""A pass that is computed again, or compiled, swaps what the plain one does."""

from dataclasses import dataclass

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from structkit.engines.padain import plan
from structkit.engines.padain.layer import insert_padain

from .small import Small, steps


@pytest.mark.parametrize("forwards", [1, 2])
@pytest.mark.parametrize("reentrant", [True, False])
def test_what_is_computed_again_swaps_again(reentrant, forwards):
    expected_of, found_of = Small(), Small(reentrant)
    for model in (expected_of, found_of):
        insert_padain(model, p=0.5)
    found, expected = steps(found_of, forwards=forwards), steps(expected_of, forwards=forwards)
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-4) for a, b in zip(found, expected, strict=True))


def test_where_pytorch_tells_of_no_backward_pass_what_is_computed_again_swaps_again(monkeypatch):
    monkeypatch.setattr(plan, "recomputing", lambda otherwise=False: otherwise)
    expected_of, found_of = Small(), Small(reentrant=False)
    for model in (expected_of, found_of):
        insert_padain(model, p=0.5)
    found, expected = steps(found_of, forwards=2), steps(expected_of, forwards=2)
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-4) for a, b in zip(found, expected, strict=True))


@dataclass
class Answer:
    """What a model may give in place of a tensor."""

    logits: torch.Tensor


class Spoken(Small):
    """The same, from a list of pictures to an object of fields."""

    def forward(self, pictures):
        return Answer(super().forward(torch.stack(pictures)))


@pytest.mark.parametrize("whole", [True, False])
def test_inputs_and_outputs_need_not_be_bare_tensors(whole):
    expected_of, found_of = Spoken(), Spoken(None if whole else False)
    for model in (expected_of, found_of):
        insert_padain(model, p=0.5)

    def again(x):
        if whole:
            return checkpoint(found_of, pictures=list(x), use_reentrant=False).logits
        return found_of(pictures=list(x)).logits

    found = steps(found_of, forwards=2, call=again)
    expected = steps(expected_of, forwards=2, call=lambda x: expected_of(list(x)).logits)
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-4) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_whole_model_that_is_computed_again_swaps_again(reentrant):
    expected_of, found_of = Small(), Small()
    for model in (expected_of, found_of):
        insert_padain(model, p=0.5)
    found = steps(found_of, forwards=2, call=lambda x: checkpoint(found_of, x, use_reentrant=reentrant))
    expected = steps(expected_of, forwards=2)
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-4) for a, b in zip(found, expected, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(("pairing", "mix"), [("permute", None), ("halves", 0.3)])
def test_a_compiled_network_is_one_graph_without_swaps_and_one_with(pairing, mix):
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    expected_of, found_of = Small(), Small()
    for model in (expected_of, found_of):
        insert_padain(model, p=0.3, pairing=pairing, mix=mix)
    found = steps(found_of, 8, call=torch.compile(found_of, backend="aot_eager", fullgraph=True))
    expected = steps(expected_of, 8)
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-4) for a, b in zip(found, expected, strict=True))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 2
