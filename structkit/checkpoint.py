"""Checkpoints: safetensors files whose metadata holds a JSON card; this module alone reads and writes weights.

Nothing is ever unpickled.  The claims of a file about itself are checked before anything is allocated: the header
against the size of the file, the tensors against each other, the card against what is needed.  Every way in which a
file can be wrong has a message of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import torch as safetensors
from torch import Tensor

from structkit._version import __version__
from structkit.errors import CheckpointError
from structkit.header import CARD, FORMAT, Slot, opened, read_card, read_header
from structkit.media.files import one_line, write_atomically

__all__ = ["DTYPES", "Layout", "load", "read_card", "save"]

DTYPES = {
    **{"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16},
    **{
        "I64": torch.int64,
        "I32": torch.int32,
        "I16": torch.int16,
        "I8": torch.int8,
        "U8": torch.uint8,
        "BOOL": torch.bool,
    },
}

Layout = Mapping[str, tuple[torch.dtype, tuple[int, ...]]]


def save(path: str | Path, tensors: Mapping[str, Tensor], card: Mapping[str, Any]) -> None:
    """Write tensors and their card, atomically; the same content gives the same bytes.

    card: JSON, with `kind`; the format and the version of structkit are added.
    Raises CheckpointError for values that are not finite and for what the format cannot hold, OutputError for what the
    disk refuses.
    """
    try:
        text = json.dumps({**card, "format": FORMAT, "structkit": __version__}, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: its card is not JSON ({one_line(error)}); nothing was written") from error
    # A copy of each: tied weights share memory, which the format cannot say.
    copies = {
        name: tensors[name].detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name in sorted(tensors)
    }
    for name, tensor in copies.items():
        if tensor.dtype not in DTYPES.values():
            raise CheckpointError(
                f"{path}: {name} is {tensor.dtype}, which a checkpoint cannot hold; nothing was written"
            )
        _check_finite(path, name, tensor, "nothing was written")
    write_atomically(path, safetensors.save(copies, {CARD: text}))


def load(
    path: str | Path,
    *,
    kind: str,
    expected: Callable[[dict[str, Any]], Layout] | None = None,
    device: str | torch.device = "cpu",
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors, on `device`, and the card of a checkpoint of this kind.

    expected: the function from the card to the dtype and the shape of each tensor that must be there, and no other;
    called before tensors are allocated.
    Raises CheckpointError.
    """
    with opened(path) as stream:
        header = read_header(str(path), stream)
        if header.card["kind"] != kind:
            raise CheckpointError(
                f"{path}: a checkpoint of kind {header.card['kind']!r}, where {kind!r} is needed; name one of that kind"
            )
        if expected is not None:
            _compare(str(path), header.slots, expected(header.card))
        tensors = {}
        for name, slot in header.slots.items():
            stream.seek(header.start + slot.begin)
            flat = torch.empty(slot.end - slot.begin, dtype=torch.uint8)
            if stream.readinto(flat.numpy()) != len(flat):
                raise CheckpointError(f"{path}: it was cut short while it was read; copy it again from where it came")
            tensors[name] = flat.view(DTYPES[slot.dtype]).reshape(slot.shape)
            _check_finite(
                path,
                name,
                tensors[name],
                "the file is damaged, or its training went astray; copy it again or train it again",
            )
        return {name: tensor.to(device) for name, tensor in tensors.items()}, header.card


def _compare(path: str, slots: Mapping[str, Slot], expected: Layout) -> None:
    """Refuse tensors that are not those expected.  Raises CheckpointError."""
    way_out = "it is damaged or made by another version; train it again"
    for fact, names in (("lacks", expected.keys() - slots.keys()), ("has unknown", slots.keys() - expected.keys())):
        if names:
            some = ", ".join(sorted(names)[:3]) + (", ..." if len(names) > 3 else "")
            raise CheckpointError(f"{path}: {fact} tensors ({len(names)}: {some}); {way_out}")
    for name, (dtype, shape) in expected.items():
        if slots[name].shape != tuple(shape):
            raise CheckpointError(
                f"{path}: {name} has the shape {slots[name].shape}; its card asks for {tuple(shape)}; {way_out}"
            )
        if (found := DTYPES[slots[name].dtype]) != dtype:
            raise CheckpointError(f"{path}: {name} is {found}; its card asks for {dtype}; {way_out}")


def _check_finite(path: str | Path, name: str, tensor: Tensor, way_out: str) -> None:
    bad = int((~tensor.isfinite()).sum()) if tensor.is_floating_point() else 0
    if bad:
        raise CheckpointError(f"{path}: {bad} of {tensor.numel()} values of {name} are not finite; {way_out}")
