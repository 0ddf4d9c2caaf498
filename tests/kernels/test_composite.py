"""Blending and pasting: what a mask lets through, and what it leaves alone."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from structkit.errors import OptionError, StructkitError
from structkit.kernels import composite as kernel
from structkit.kernels.composite import composite, composite_reference, paste
from structkit.media.tensors import from_tensor

paths = pytest.mark.parametrize("path", [composite, composite_reference])
dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
formats = pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
SHAPES = [(2, 3, 7, 13), (1, 3, 1, 1), (3, 1, 32, 33)]


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1).to(dtype)


def parts(shape, dtype=torch.float32):
    """Canvas, colours and a mask whose ends are reached."""
    mask = ((noise(shape[0], 1, *shape[2:], seed=3) + 0.5) * 1.5).clamp(0, 1)
    return noise(*shape, seed=1, dtype=dtype), noise(*shape, seed=2, dtype=dtype), mask.to(dtype)


@paths
@dtypes
@formats
@pytest.mark.parametrize("shape", SHAPES)
def test_no_mask_is_the_canvas_and_a_whole_mask_the_colours_exactly(path, dtype, memory_format, shape):
    canvas, colours, mask = (t.contiguous(memory_format=memory_format) for t in parts(shape, dtype))
    result = path(canvas, colours, mask)
    assert result.dtype == dtype and result.shape == shape
    assert torch.equal(torch.where(mask == 0, result, canvas), canvas) and torch.equal(
        torch.where(mask == 1, result, colours), colours
    )
    assert torch.equal(path(canvas, colours, torch.zeros_like(mask)), canvas)
    assert torch.equal(path(canvas, colours, torch.ones_like(mask)), colours)


@paths
@dtypes
def test_what_is_added_is_the_mask_times_the_difference(path, dtype):
    canvas, colours, mask = parts((2, 3, 7, 13), dtype)
    rounding = 4 * torch.finfo(dtype).eps
    torch.testing.assert_close(path(canvas, colours, mask) - canvas, mask * (colours - canvas), atol=rounding, rtol=0)


@dtypes
@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_the_written_out_form_in_values_and_gradients(dtype, shape):
    given = [t.requires_grad_() for t in parts(shape, dtype)]
    weights, exact = noise(*shape, seed=4), [t.detach().double().requires_grad_() for t in given]
    result, truth = composite(*given), composite_reference(*exact)
    torch.testing.assert_close(result.double(), truth, atol=2 * torch.finfo(dtype).eps, rtol=0)
    grads = torch.autograd.grad((result * weights.to(dtype)).sum(), given)
    truths = torch.autograd.grad((truth * weights.to(dtype).double()).sum(), exact)
    for grad, true in zip(grads, truths, strict=True):
        torch.testing.assert_close(grad.double(), true, atol=16 * torch.finfo(dtype).eps, rtol=0)


@paths
def test_gradients(path):
    canvas, colours, mask = (
        t.double().requires_grad_() for t in (noise(2, 3, 4, 5), noise(2, 3, 4, 5, seed=1), noise(2, 1, 4, 5, seed=2))
    )
    assert torch.autograd.gradcheck(lambda x, z, m: path(x, z, m.sigmoid()), (canvas, colours, mask))


@paths
def test_one_layer_goes_on_many_canvases_and_many_layers_on_one(path):
    canvas, colours, mask = parts((3, 3, 6, 5))
    for one in range(3):
        layered, canvases = path(canvas[:1], colours, mask), path(canvas, colours[:1], mask[:1])
        assert torch.equal(layered[one], path(canvas[:1], colours[one : one + 1], mask[one : one + 1])[0])
        assert torch.equal(canvases[one], path(canvas[one : one + 1], colours[:1], mask[:1])[0])


levels_of = st.sampled_from([np.uint8, np.uint16]).flatmap(
    lambda dtype: arrays.arrays(dtype, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))
)


@given(levels_of, st.integers(0, 2**16), st.sampled_from([0.0, 0.5, 0.9, 1.0]))
@settings(max_examples=150, deadline=None)
def test_where_the_mask_is_0_a_picture_is_untouched(levels, seed, share):
    height, width = levels.shape[:2]
    draw = torch.Generator().manual_seed(seed)
    colours = torch.rand(1, 3, height, width, generator=draw) * 2.2 - 1.1
    mask = torch.rand(1, 1, height, width, generator=draw) * (torch.rand(1, 1, height, width, generator=draw) >= share)
    kept = levels.copy()
    result = paste(levels, colours, mask)
    assert result.dtype == levels.dtype and result.shape == levels.shape and result is not levels
    outside = mask[0, 0].numpy() == 0
    assert (result[outside] == levels[outside]).all() and (levels == kept).all()
    painted = from_tensor(colours, bits=8 * levels.dtype.itemsize).pixels
    low, high = np.minimum(levels, painted), np.maximum(levels, painted)
    assert ((low <= result) & (result <= high)).all()


@pytest.mark.parametrize("bits", [8, 16])
def test_a_whole_mask_is_the_picture_of_the_colours(bits):
    colours = noise(1, 3, 33, 20) * 1.1
    levels = np.zeros((33, 20, 3), f"uint{bits}")
    assert (paste(levels, colours, torch.ones(1, 1, 33, 20)) == from_tensor(colours, bits=bits).pixels).all()


def test_half_a_mask_is_the_nearest_level_to_the_middle():
    levels = np.array([[[10, 11, 255]]], np.uint8)
    assert paste(levels, torch.ones(1, 3, 1, 1), torch.full((1, 1, 1, 1), 0.5)).tolist() == [[[133, 133, 255]]]
    assert paste(levels, -torch.ones(1, 3, 1, 1), torch.full((1, 1, 1, 1), 0.5)).tolist() == [[[5, 6, 128]]]


@pytest.mark.parametrize("ends", [(0, 1, 0, 1), (3, 9, 2, 11), (8, 9, 10, 11), (0, 9, 0, 11), (4, 4, 4, 4)])
def test_only_what_lies_between_the_ends_of_a_mask_matters(ends):
    top, bottom, left, right = ends
    levels, colours, mask = (
        np.full((9, 11, 3), 7, np.uint8),
        torch.full((1, 3, 9, 11), torch.nan),
        torch.zeros(1, 1, 9, 11),
    )
    expected, inside = levels.copy(), (slice(top, bottom), slice(left, right))
    expected[inside], colours[(..., *inside)], mask[(..., *inside)] = 255, 1, 1
    assert (paste(levels, colours, mask) == expected).all()


def test_bands_change_nothing_and_need_little_memory(monkeypatch):
    levels = np.random.default_rng(0).integers(0, 2**16, (1000, 300, 3), dtype=np.uint16)
    colours, mask = noise(1, 3, 1000, 300), noise(1, 1, 1000, 300, seed=1)
    at_once = paste(levels, colours, mask)
    monkeypatch.setattr(kernel, "ROWS", 7)
    assert (paste(levels, colours, mask) == at_once).all()
    tracemalloc.start()  # of NumPy's arrays, as large as torch's
    paste(levels, colours, mask)
    assert tracemalloc.get_traced_memory()[1] < 1.1 * levels.nbytes
    tracemalloc.stop()


def test_a_layer_that_does_not_fit_or_is_not_finite_is_an_error():
    levels, colours, mask = np.zeros((5, 8, 3), np.uint8), torch.zeros(1, 3, 5, 8), torch.zeros(1, 1, 5, 8)
    with pytest.raises(
        OptionError, match=r"a mask \(1, 1, 8, 5\) cannot be pasted on 8 x 5 px: each must have \(H, W\) = \(5, 8\)"
    ):
        paste(levels, colours, mask.mT)
    colours[0, :, 2, 3] = torch.nan
    assert (paste(levels, colours, mask) == levels).all()
    for broken in (mask.index_put((*torch.tensor([[0], [0], [2], [3]]),), torch.tensor(0.5)), mask + torch.nan):
        with pytest.raises(StructkitError, match="values to paste are not finite; check the model's weights"):
            paste(levels, colours, broken)
