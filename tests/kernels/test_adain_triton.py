"""The Triton path of AdaIN says what PyTorch's own operations say: compiled where CUDA is present, else interpreted."""

from contextlib import contextmanager

import pytest
import torch

pytest.importorskip("triton")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

from structkit.kernels import adain, adain_triton  # noqa: E402
from structkit.kernels.adain_triton import affine, affine_backward, moments  # noqa: E402

CASES = [((2, 3, 1025), False), ((1, 70, 19), True), ((2, 5, 7), True), ((1, 1, 2), False)]
cases = pytest.mark.parametrize(("shape", "last"), CASES)
dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
CLOSE = {
    torch.float32: {"rtol": 1e-5, "atol": 1e-5},
    torch.bfloat16: {"rtol": 1e-2, "atol": 1e-2},
    torch.float64: {"rtol": 1e-12, "atol": 1e-12},
}


def field(shape, last, dtype=torch.float32, seed=0):
    """Values (N, C, n) around 5, channels last or not."""
    samples, channels, pixels = shape
    values = torch.randn(samples, channels, pixels, generator=torch.Generator().manual_seed(seed)).to(dtype) + 5
    return (values.mT.contiguous().mT if last else values).to(DEVICE)


@contextmanager
def unwritten():
    """Inside, torch.empty is full of NaN: a value that is never written shows."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@cases
@dtypes
def test_moments_are_those_of_float64(shape, last, dtype):
    rows = field(shape, last, dtype)
    with unwritten():
        mean, variance = moments(rows)
    close = {"rtol": 1e-5, "atol": 1e-5} if dtype != torch.float64 else CLOSE[dtype]
    assert mean.dtype == variance.dtype == torch.promote_types(dtype, torch.float32)
    torch.testing.assert_close(mean.double(), rows.double().mean(2), **close)
    torch.testing.assert_close(variance.double(), rows.double().var(2), **close)


def test_a_mean_that_is_large_beside_the_deviation_costs_no_digits():
    rows = (torch.randn(1, 2, 5000, generator=torch.Generator().manual_seed(0)) + 1000).to(DEVICE)
    torch.testing.assert_close(moments(rows)[1].double(), rows.double().var(2), rtol=1e-4, atol=0)


@cases
@dtypes
def test_an_affine_map_is_a_gain_and_a_shift(shape, last, dtype):
    rows = field(shape, last, dtype)
    wide = torch.promote_types(dtype, torch.float32)
    gain, shift = (field((*shape[:2], 1), False, wide, seed)[..., 0].contiguous() for seed in (1, 2))
    with unwritten():
        result = affine(rows, gain, shift)
    expected = rows.double() * gain[..., None] + shift[..., None]
    torch.testing.assert_close(result.double(), expected, **CLOSE[dtype])


@cases
@dtypes
def test_the_gradient_is_the_closed_form(shape, last, dtype):
    rows, slope = field(shape, last, dtype), field(shape, last, dtype, seed=1) - 5
    mean, variance = moments(rows)
    gain, bend = variance + 0.5, 1 / (variance * shape[2] + 0.1)
    with unwritten():
        result = affine_backward(slope, rows, mean, gain, bend)
    g, c = slope.double(), rows.double() - mean[..., None].double()
    tilt = (g * c).sum(2, keepdim=True) * bend[..., None]
    expected = gain[..., None] * (g - g.mean(2, keepdim=True) - c * tilt)
    torch.testing.assert_close(result.double(), expected, **CLOSE[dtype])


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_by_triton_values_and_gradient_are_the_same(order, dtype, monkeypatch):
    compare(order, dtype, lambda: monkeypatch.setattr(adain, "_path", lambda x: adain_triton))


@pytest.mark.gpu
@pytest.mark.skipif(DEVICE == "cpu", reason="needs CUDA")
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
@dtypes
def test_cuda_gives_the_values_and_the_gradient_of_the_processor(order, dtype):
    compare(order, dtype, lambda: None, device="cuda")


def compare(order, dtype, then, device=DEVICE):
    """Permuted AdaIN and its gradient on the processor; then those on `device`."""
    x = (torch.randn(4, 3, 5, 7) + 2).to(dtype).contiguous(memory_format=order)
    slope, index, found = torch.randn_like(x), torch.tensor([1, 0, 3, 2]), []
    for where in ("cpu", device):
        own = x.to(where).requires_grad_()
        result = adain.permuted_adain(own, index)
        [gradient] = torch.autograd.grad(result, own, slope.to(where))
        assert result.is_contiguous(memory_format=order)
        found.append((result.detach().cpu(), gradient.cpu()))
        then()
    for mine, theirs in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs, **CLOSE[dtype])
