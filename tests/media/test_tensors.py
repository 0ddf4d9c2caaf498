"""Pictures <-> tensors: the round trip is the identity, level for level."""

import numpy as np
import pytest
import torch

from structkit.errors import OptionError, StructkitError
from structkit.media.exif import Metadata
from structkit.media.pictures import Picture
from structkit.media.tensors import alpha_to_tensor, from_range, from_tensor, to_range, to_tensor


@pytest.mark.parametrize("bits", [8, 16])
def test_every_level_comes_back(bits):
    kind = np.uint8 if bits == 8 else np.uint16
    every = np.arange(2**bits).astype(kind).reshape(2 ** (bits // 2), -1)
    made = Picture(np.stack([every, every[::-1], every[:, ::-1]], -1), every)
    back = from_tensor(to_tensor(made), alpha=alpha_to_tensor(made), bits=bits)
    assert back.pixels.dtype == kind
    assert (back.pixels == made.pixels).all() and (back.alpha == made.alpha).all()


@pytest.mark.parametrize("bits", [8, 16])
def test_shape_dtype_and_range(picture, bits):
    made = picture(5, 7, bits=bits, alpha=True)
    made.pixels[0, 0], made.pixels[0, 1] = 0, 2**bits - 1
    tensor, alpha = to_tensor(made), alpha_to_tensor(made)
    assert tensor.shape == (1, 3, 5, 7) and alpha.shape == (1, 1, 5, 7)
    assert tensor.dtype == alpha.dtype == torch.float32 and tensor.is_contiguous()
    assert (tensor[0, :, 0, 0] == -1).all() and (tensor[0, :, 0, 1] == 1).all()
    assert tensor.min() >= -1 and tensor.max() <= 1 and alpha.min() >= 0 and alpha.max() <= 1
    assert tensor[0, 2, 3, 4] == pytest.approx(2 * int(made.pixels[3, 4, 2]) / (2**bits - 1) - 1)


def test_no_alpha_is_opaque(picture):
    assert (alpha_to_tensor(picture(4, 6)) == torch.ones(1, 1, 4, 6)).all()


def test_the_ranges_are_inverse():
    x = torch.linspace(-1, 1, 101)
    assert torch.allclose(to_range(from_range(x)), x, atol=1e-7)
    assert from_range(torch.tensor([-1.0, 0.0, 1.0])).tolist() == [0, 0.5, 1]


def test_halves_round_up_and_a_hair_less_rounds_down():
    halves = torch.tensor([0.5, 1.5, 2.5, 126.5, 253.5], dtype=torch.float64)
    signed = (halves / 255 * 2 - 1).expand(3, 1, 5)
    assert from_tensor(signed + 1e-12).pixels[0, :, 0].tolist() == [1, 2, 3, 127, 254]
    assert from_tensor(signed - 1e-12).pixels[0, :, 0].tolist() == [0, 1, 2, 126, 253]
    assert from_tensor(torch.zeros(3, 1, 1)).pixels.tolist() == [[[128, 128, 128]]]  # exactly 127.5


def test_values_outside_are_clamped():
    assert from_tensor(torch.tensor([-9.0, 0.0, 9.0]).view(1, 3, 1, 1)).pixels[0, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_values_that_are_not_finite_are_refused(bad):
    tensor = torch.zeros(1, 3, 2, 2)
    tensor[0, 1, 0, 0] = bad
    with pytest.raises(StructkitError, match=r"^out\.png: 1 of 4 values are not finite; check the model's weights"):
        from_tensor(tensor, name="out.png")
    with pytest.raises(StructkitError, match="not finite"):
        from_tensor(torch.zeros(1, 3, 2, 2), alpha=tensor[:, 1:2])


@pytest.mark.parametrize("shape", [(2, 3, 4, 4), (1, 4, 4, 4), (4, 4), (1, 1, 3, 4, 4)])
def test_shapes_that_are_no_picture(shape):
    with pytest.raises(OptionError, match=r"a picture is \(1, 3, H, W\) or \(3, H, W\)"):
        from_tensor(torch.zeros(shape))
    with pytest.raises(OptionError, match="bits 12; a picture has 8 or 16"):
        from_tensor(torch.zeros(1, 3, 4, 4), bits=12)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_float_types_and_gradients(dtype):
    tensor = torch.full((1, 3, 2, 2), 1.0, dtype=dtype, requires_grad=True)
    assert (from_tensor(tensor).pixels == 255).all()


def test_a_pictures_own_alpha_is_carried(picture):
    made = picture(alpha=True)
    assert (from_tensor(to_tensor(made), alpha=made.alpha).alpha == made.alpha).all()
    assert (from_tensor(to_tensor(made), alpha=made.alpha, bits=16).alpha == made.alpha.astype(int) * 257).all()


def test_what_is_said_is_kept():
    out = from_tensor(torch.zeros(3, 2, 2), name="out", notes=("a",), metadata=Metadata((72, 72)))
    assert (out.name, out.notes, out.metadata, out.alpha) == ("out", ("a",), Metadata((72, 72)), None)
