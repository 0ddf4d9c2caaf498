"""AdaIN gives a batch the statistics of another one and keeps the rest of it; its gradient is that of the formula."""

import pytest
import torch
from torch import nn

from structkit.errors import OptionError
from structkit.kernels.adain import (
    adain,
    adain_backward,
    channel_statistics,
    permuted_adain,
    permuted_adain_backward,
    permuted_adain_reference,
)

SHAPES = [(4, 3, 5, 7), (2, 1, 3), (5, 6, 11), (3, 40, 29, 31), (3, 2, 3, 4, 2), (7, 130, 2, 4)]  # one of large samples
shapes = pytest.mark.parametrize("shape", SHAPES)
LAYOUTS = {
    "contiguous": lambda x: x.contiguous(),
    "channels last": lambda x: x.movedim(1, -1).contiguous().movedim(-1, 1),
    "every other": lambda x: torch.stack([x, x], -1)[..., 0],
    "transposed": lambda x: x.transpose(0, -1).contiguous().transpose(0, -1),
}
layouts = pytest.mark.parametrize("layout", LAYOUTS)
CLOSE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float16: 2e-3}  # of the largest


def batch(shape, dtype=torch.float32, seed=0):
    """Maps whose channels have means and deviations of their own."""
    g = torch.Generator().manual_seed(seed)
    few = (*shape[:2], *(1,) * (len(shape) - 2))
    level, spread = torch.randn(few, generator=g) * 2, torch.rand(few, generator=g) * 3 + 0.3
    return (torch.randn(shape, generator=g) * spread + level).to(dtype)


def moments(x):
    return x.double().flatten(2).mean(2), x.double().flatten(2).std(2)


@shapes
@layouts
@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize(("shares", "detach_content"), [(False, False), (True, False), (True, True)])
def test_value_and_gradient_are_those_of_the_published_form_in_float64(shape, layout, dtype, shares, detach_content):
    x = LAYOUTS[layout](batch(shape, dtype)).requires_grad_()
    index, own = torch.randperm(len(x)), torch.rand(len(x)) if shares else None
    how = {"own": own, "detach_content": detach_content}
    result, exact = permuted_adain(x, index, **how), x.detach().double().requires_grad_()
    expected = permuted_adain_reference(exact, index, **how)
    assert result.dtype == dtype
    if layout in ("contiguous", "channels last"):
        assert result.stride() == x.stride()
    slope = torch.randn_like(result)
    [gradient] = torch.autograd.grad(result, x, slope)
    [exact_gradient] = torch.autograd.grad(expected, exact, slope.double())
    for found, exactly in ((result, expected), (gradient, exact_gradient)):
        largest = max(exactly.abs().max().item(), slope.abs().max().item())
        torch.testing.assert_close(found.double(), exactly, rtol=0, atol=CLOSE[dtype] * largest)
    torch.testing.assert_close(permuted_adain_backward(slope, x.detach(), index, **how), gradient)


@pytest.mark.parametrize("layout", ["contiguous", "channels last"])
@pytest.mark.parametrize("detach_content", [False, True])
def test_the_gradient_and_its_own_are_those_of_finite_differences(layout, detach_content):
    """Of the style's statistics they are none, so the style stands by itself here."""
    style = batch((3, 2, 4), torch.float64, seed=1)
    x = LAYOUTS[layout](batch((3, 2, 2, 3), torch.float64)).requires_grad_()
    # with the content's statistics held fast the map is another one: a gain and a shift
    mean, deviation = (of[..., None, None] for of in channel_statistics(x))
    given = [of[..., None, None] for of in channel_statistics(style)]

    def call(content):
        return adain(content, style, detach_content=detach_content)

    if detach_content:
        [gradient] = torch.autograd.grad(call(x).sum(), x)
        torch.testing.assert_close(gradient, (given[1] / (deviation + 1e-5)).expand_as(x))
    else:
        assert torch.autograd.gradcheck(call, x)
        assert torch.autograd.gradgradcheck(call, x)
    torch.testing.assert_close(call(x), given[1] * (x - mean) / (deviation + 1e-5) + given[0])


@layouts
def test_mean_and_deviation_of_the_result_are_the_styles(layout):
    x, index = LAYOUTS[layout](batch((5, 4, 6, 7))), torch.tensor([3, 0, 4, 2, 1])
    for found, expected in zip(moments(permuted_adain(x, index)), moments(x), strict=True):
        torch.testing.assert_close(found, expected[index], rtol=1e-4, atol=1e-4)


def test_a_style_may_have_another_size():
    content, style = batch((3, 4, 6, 7)), batch((3, 4, 5, 2), seed=1)
    for found, expected in zip(moments(adain(content, style)), moments(style), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    [gradient] = torch.autograd.grad(adain(again := content.clone().requires_grad_(), style).square().sum(), again)
    slope = 2 * adain(content, style)
    torch.testing.assert_close(adain_backward(slope, content, style), gradient)


def test_the_permuted_form_is_adain_with_the_permuted_batch_as_style():
    x, index = batch((5, 4, 6, 7)), torch.tensor([3, 0, 4, 2, 1])
    torch.testing.assert_close(permuted_adain(x, index), adain(x, x[index]))


def test_content_is_known_up_to_a_gain_and_a_shift_of_each_channel():
    x, style = batch((3, 4, 6, 7)), batch((3, 4, 6, 7), seed=1)
    gain, shift = torch.rand(3, 4, 1, 1) * 3 + 0.2, torch.randn(3, 4, 1, 1) * 5
    torch.testing.assert_close(adain(gain * x + shift, style), adain(x, style), rtol=1e-4, atol=2e-4)


def test_batch_normalisation_behind_it_sees_the_statistics_of_the_batch_as_it_was():
    x, index = batch((16, 4, 9, 9)), torch.randperm(16)
    plain, swapped = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
    plain(x), swapped(permuted_adain(x, index))
    torch.testing.assert_close(swapped.running_mean, plain.running_mean, rtol=0, atol=1e-6)
    torch.testing.assert_close(swapped.running_var, plain.running_var, rtol=1e-3, atol=0)


@pytest.mark.parametrize("eps", [1e-5, 0.1])
def test_eps_stands_under_the_root_and_beside_the_contents_deviation(eps):
    x, index = batch((2, 3, 4, 4), torch.float64), torch.tensor([1, 0])
    mean, variance = (of[..., None, None] for of in (x.mean((2, 3)), x.var((2, 3))))
    deviation = (variance + eps).sqrt()
    expected = deviation[index] * (x - mean) / (deviation + eps) + mean[index]
    torch.testing.assert_close(permuted_adain(x, index, eps=eps), expected)


def test_a_share_of_one_keeps_a_samples_own_statistics_and_a_half_is_in_the_middle():
    x, index = batch((2, 3, 4, 4)), torch.tensor([1, 0])
    torch.testing.assert_close(permuted_adain(x, index, own=torch.ones(2)), x, rtol=1e-3, atol=1e-4)
    found, own = moments(permuted_adain(x, index, own=torch.full((2,), 0.5))), moments(x)
    for value, kept in zip(found, own, strict=True):
        torch.testing.assert_close(value, (kept + kept[index]) / 2, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("layout", ["contiguous", "channels last"])
@pytest.mark.parametrize("shape", [(2, 3, 5, 5), (2, 33, 32, 32)])
def test_a_mean_that_is_large_beside_the_deviation_costs_few_digits(layout, shape):
    x = LAYOUTS[layout](torch.randn(shape) + 300)
    _, deviation = channel_statistics(x)
    torch.testing.assert_close(deviation.double(), moments(x)[1], rtol=1e-4, atol=1e-4)


def test_a_flat_map_takes_the_mean_and_stays_flat():
    x = batch((2, 3, 4, 4))
    x[0] = 7.0
    flat = x.clone().requires_grad_()
    result = permuted_adain(flat, torch.tensor([1, 0]))
    torch.testing.assert_close(result[0], x[1].mean((1, 2))[:, None, None].expand(3, 4, 4), rtol=1e-4, atol=1e-4)
    result.square().sum().backward()
    assert flat.grad.isfinite().all()


@pytest.mark.parametrize("shape", [(1, 3, 4, 4), (4, 3, 1, 1), (0, 3, 4, 4), (4, 3, 1)])
def test_without_a_partner_or_a_deviation_it_is_the_batch_itself(shape, recwarn):
    x = torch.randn(shape)
    assert permuted_adain(x, torch.arange(len(x))) is x
    assert adain(x[:, :, :1], x[:, :, :1]).shape == x[:, :, :1].shape
    assert permuted_adain_backward(x, x, torch.arange(len(x))) is x
    assert not recwarn.list


def test_what_does_not_fit_is_refused():
    x = torch.randn(3, 2, 4)
    with pytest.raises(OptionError, match="a batch of 3 needs 3 indices"):
        permuted_adain(x, torch.arange(2))
    with pytest.raises(OptionError, match="and as many shares"):
        permuted_adain(x, torch.arange(3), own=torch.ones(2))
    with pytest.raises(OptionError, match=r"a content of \(3, 2\) samples and channels, a style of \(2, 2\)"):
        adain(x, x[:2])
    with pytest.raises(OptionError, match=r"maps of shape \(3, 2\) and torch.float32: expected"):
        permuted_adain(x[..., 0], torch.arange(3))
    with pytest.raises(OptionError, match="floating-point"):
        permuted_adain(x.long(), torch.arange(3))


@pytest.mark.slow
def test_a_compiled_graph_has_the_same_values_and_gradient():
    x, index = batch((3, 2, 4, 5)), torch.tensor([1, 2, 0])
    compiled, found = torch.compile(permuted_adain, backend="aot_eager", fullgraph=True), []
    for call in (permuted_adain, compiled):
        own = x.clone().requires_grad_()
        result = call(own, index)
        found.append((result.detach(), *torch.autograd.grad(result.square().sum(), own)))
    for eager, traced in zip(*found, strict=True):
        torch.testing.assert_close(traced, eager)
