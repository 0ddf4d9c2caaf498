"""Files of features: what is read, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from structkit.data.features import read_features
from structkit.errors import InputError

ROWS = np.arange(12.0).reshape(4, 3)


@pytest.mark.parametrize("kind", ["<f8", ">f8", "<f4", "<f2", ">i4", "u1"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_of_any_real_numbers(tmp_path, kind, order):
    np.save(tmp_path / "a.npy", ROWS.astype(kind, order=order))
    found = read_features(tmp_path / "a.npy")
    assert found.dtype == torch.float64 and (found.numpy() == ROWS).all()


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float64, torch.int64])
def test_the_one_tensor_of_a_file(tmp_path, kind):
    save_file({"any": torch.from_numpy(ROWS).to(kind)}, tmp_path / "a.safetensors")
    assert (read_features(tmp_path / "a.safetensors").numpy() == ROWS).all()


def test_what_is_pickled_is_never_opened(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[Trap()]], object), allow_pickle=True)
    with pytest.raises(InputError, match=r"a.npy: no .npy file of numbers \(.*\); save the features again"):
        read_features(tmp_path / "a.npy")


class Trap:
    """An object that fails when it is unpickled."""

    def __setstate__(self, state: object) -> None:
        raise AssertionError

    def __getstate__(self) -> dict[str, int]:
        return {"any": 1}


def test_a_header_that_claims_more_than_there_is_allocates_nothing(tmp_path):
    with open(tmp_path / "a.npy", "wb") as file:
        header = {"descr": "<f8", "fortran_order": False, "shape": (2**40, 3)}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(bytes(96))
    with pytest.raises(InputError, match=r"no .npy file of numbers"):
        read_features(tmp_path / "a.npy")


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("a.npy", lambda path: np.save(path, ROWS[0]), r"float64 of shape \(3,\); features are real numbers \(N, D\)"),
        ("a.npy", lambda path: np.save(path, ROWS * 1j), "complex128 of shape"),
        ("a.npy", lambda path: np.save(path, ROWS.astype("U3")), "no .npy file of numbers"),
        ("a.npy", lambda path: path.write_bytes(b""), "no .npy file of numbers"),
        ("a.npy", lambda path: path.write_bytes(b"no array at all"), "no .npy file of numbers"),
        ("a.npy", lambda path: path.mkdir(), "Is a directory"),
        ("a.npy", lambda path: None, "No such file or directory"),
        ("a.pt", lambda path: path.write_bytes(b"x"), "features are read from .npy and .safetensors; save them as"),
        ("a.safetensors", lambda path: path.write_bytes(b"no tensors"), "no .safetensors file of numbers"),
        ("a.safetensors", lambda path: None, "No such file or directory"),
        (
            "a.safetensors",
            lambda path: save_file({"b": torch.zeros(2, 2), "c": torch.zeros(2, 2)}, path),
            r"2 tensors in it \(b, c\); save the one of features \(N, D\) alone",
        ),
    ],
)
def test_what_is_refused(tmp_path, name, write, message):
    write(tmp_path / name)
    with pytest.raises(InputError, match=f"{name}: {message}"):
        read_features(tmp_path / name)
