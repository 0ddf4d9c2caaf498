"""Steps as CUDA graphs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from structkit.training.graph import GraphedStep, undone


def problem(device: str = "cpu") -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    net = nn.Linear(3, 2).to(device)
    return net, torch.optim.Adam(net.parameters(), 0.1, capturable=device != "cpu")


def learn(net, adam, x):
    adam.zero_grad()
    loss = net(x).square().mean()
    loss.backward()
    adam.step()
    return {"loss": loss.detach()}


@pytest.mark.parametrize("steps", [0, 2])
def test_what_is_undone_leaves_no_trace(steps):
    (net, adam), (other, its_adam) = problem(), problem()
    x = torch.randn(5, 3)
    for n, a in ((net, adam), (other, its_adam)):
        for _ in range(steps):
            learn(n, a, x)
    with undone([adam]):
        learn(net, adam, x)
    for n, a in ((net, adam), (other, its_adam)):
        learn(n, a, x)
    for mine, theirs in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_replayed_step_is_the_step():
    (net, adam), (other, its_adam) = problem("cuda"), problem("cuda")
    batches = [torch.randn(5, 3, device="cuda") for _ in range(4)]
    graphed = GraphedStep(lambda inputs: learn(net, adam, inputs[0]), batches[:1], [adam])
    for batch in batches:
        torch.testing.assert_close(graphed([batch])["loss"], learn(other, its_adam, batch)["loss"])
    for mine, theirs in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)
