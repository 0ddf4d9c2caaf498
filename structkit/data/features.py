"""Features: numbers that describe pictures or clips, a row for each, from files that other programs wrote.

Nothing is ever unpickled.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from structkit.configs.score import FEATURE_SUFFIXES
from structkit.errors import DeviceError, InputError


def read_features(path: str | Path, *, name: str | None = None) -> Tensor:
    """The rows of a file, (N, D) float64.

    path: a .npy file of one array, or a .safetensors file of one tensor, of two axes and of any type of real numbers.
    name: the file's name in messages.
    Raises InputError for any other file, DeviceError where memory does not suffice.
    """
    name = name or str(path)
    if (suffix := Path(path).suffix.lower()) not in FEATURE_SUFFIXES:
        raise InputError(
            f"{name}: features are read from {' and '.join(FEATURE_SUFFIXES)}; save them as an array (N, D)"
        )
    try:
        rows = _array(path) if suffix == ".npy" else _tensor(path, name)
        if rows.ndim != 2 or rows.is_complex():
            fact = f"{str(rows.dtype).removeprefix('torch.')} of shape {tuple(rows.shape)}"
            raise InputError(f"{name}: {fact}; features are real numbers (N, D), a row for each")
        return rows.double()
    except OSError as error:
        raise InputError(f"{name}: {error.strerror or error}") from error
    except MemoryError as error:
        raise DeviceError(f"{name}: memory ran out while it was read; free some, or bring fewer rows") from error
    except (ValueError, TypeError, EOFError, SafetensorError) as error:
        fact = f"no {suffix} file of numbers ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
        raise InputError(f"{name}: {fact}; save the features again, as an array (N, D)") from error


def _array(path: str | Path) -> Tensor:
    # The file is mapped before its rows are copied: one that is shorter than its header says allocates nothing.
    mapped = np.lib.format.open_memmap(path, mode="r")
    return torch.from_numpy(np.array(mapped, dtype=mapped.dtype.newbyteorder("="), order="C"))


def _tensor(path: str | Path, name: str) -> Tensor:
    with safe_open(path, framework="pt") as file:
        if len(names := list(file.keys())) != 1:
            fact = f"{len(names)} tensors in it ({', '.join(sorted(names)[:4])}{', ...' if len(names) > 4 else ''})"
            raise InputError(f"{name}: {fact}; save the one of features (N, D) alone")
        return file.get_tensor(names[0])
