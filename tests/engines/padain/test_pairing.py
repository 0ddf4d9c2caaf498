"""The layer by itself: who takes whose statistics, and how much of them."""

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from structkit.engines.padain.layer import PermutedAdaIN

from .small import moments, pictures


@pytest.mark.parametrize("pairing", ["permute", "derange"])
def test_a_swapped_batch_has_the_statistics_of_the_batch_in_another_order(pairing):
    layer, x, kept = PermutedAdaIN(p=1, pairing=pairing), pictures(4), 0
    for _ in range(40):
        found, own = moments(layer(x)), moments(x)
        distance = (found[:, :, None] - own[:, None]).abs().amax((0, 3))  # of each result to each sample
        index = distance.argmin(1)
        assert distance.amin(1).max() < 1e-3 and sorted(index.tolist()) == [0, 1, 2, 3]
        kept += int((index == torch.arange(4)).sum())
    assert kept == 0 if pairing == "derange" else 15 < kept < 70  # one of four in the mean


@pytest.mark.parametrize("count", [6, 7])
def test_of_halves_the_first_takes_the_statistics_of_the_second(count):
    x = pictures(count).requires_grad_()
    result = PermutedAdaIN(p=1, pairing="halves")(x)
    assert torch.equal(result[3:], x[3:])
    torch.testing.assert_close(moments(result[:3]), moments(x[3:6]), rtol=1e-3, atol=1e-3)
    slope = torch.randn_like(x)
    [gradient] = torch.autograd.grad(result, x, slope)
    assert torch.equal(gradient[3:], slope[3:])  # as it is: the statistics are constants
    torch.testing.assert_close(gradient[:3].sum((2, 3)), torch.zeros(3, 3), rtol=0, atol=1e-4)


def test_a_share_drawn_near_one_keeps_statistics_and_labels_are_not_needed():
    x = pictures(64)
    result = moments(PermutedAdaIN(p=1, pairing="derange", mix=0.1)(x))
    kept = (result - moments(x)).abs().amax((0, 2)) < 0.05
    assert 10 < int(kept.sum()) < 54  # Beta(0.1, 0.1) is near 0 or near 1


def test_detached_content_is_a_gain_alone():
    x, slope = pictures().requires_grad_(), torch.randn(6, 3, 7, 7)
    for detach, zero in ((True, False), (False, True)):
        [gradient] = torch.autograd.grad(PermutedAdaIN(p=1, detach_content=detach)(x), x, slope)
        assert bool((gradient.sum((2, 3)).abs() < 1e-4).all()) == zero


@pytest.mark.parametrize("x", [pictures(1), torch.randn(4, 3, 1, 1)])
def test_without_a_partner_or_a_deviation_nothing_happens(x, recwarn):
    for pairing in ("permute", "halves", "derange"):
        assert torch.equal(PermutedAdaIN(p=1, pairing=pairing, mix=0.3)(x), x)
    assert not recwarn.list


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_type_and_memory_format_are_kept(dtype):
    x = pictures().to(dtype).contiguous(memory_format=torch.channels_last)
    for pairing in ("permute", "halves", "derange"):
        result = PermutedAdaIN(p=1, pairing=pairing)(x)
        assert result.dtype == dtype and result.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_layer_that_is_computed_again_swaps_again(reentrant):
    layer, found = PermutedAdaIN(p=0.5), []
    for call in (layer, lambda x: checkpoint(layer, x, use_reentrant=reentrant)):
        torch.manual_seed(4)
        for _ in range(8):
            x = pictures().requires_grad_()
            (call(x) ** 3).sum().backward()
            found.append(x.grad)
    assert all(torch.equal(a, b) for a, b in zip(found[:8], found[8:], strict=True))


@pytest.mark.slow
def test_a_compiled_layer_draws_in_its_graph():
    layer, x = PermutedAdaIN(p=0.5), pictures()
    call, swapped = torch.compile(layer, backend="aot_eager", fullgraph=True), 0
    for _ in range(24):
        result = call(x)
        torch.testing.assert_close(result.sum(0).mean((1, 2)), x.sum(0).mean((1, 2)), rtol=1e-4, atol=1e-4)
        swapped += not torch.equal(result, x)
    assert 4 < swapped < 20
