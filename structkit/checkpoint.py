"""Checkpoints: safetensors files whose metadata holds a JSON card; this module alone reads and writes weights.

Nothing is ever unpickled.  The claims of a file about itself are checked before anything is allocated: the header
against the size of the file, the tensors against each other, the card against what is needed.  Every way in which a
file can be wrong has a message of its own.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import torch as safetensors
from torch import Tensor

from structkit._version import __version__
from structkit.errors import CheckpointError, InputError
from structkit.media.files import one_line, open_source, write_atomically

FORMAT = 1  # the version of the card; a reader refuses a newer one
CARD = "structkit"  # the one key of the metadata: with several, their order in the file would not be fixed
MAX_HEADER = 2**24  # bytes; some 100 000 tensors
MAX_ELEMENTS = 2**60  # the most of one tensor, an empty side counted as 1: below what a stride can hold
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


def read_card(path: str | Path) -> dict[str, Any]:
    """The card of a checkpoint.  Only the header is read.  Raises CheckpointError."""
    with _opened(path) as stream:
        return _header(str(path), stream).card


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
    with _opened(path) as stream:
        header = _header(str(path), stream)
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
            tensors[name] = flat.view(slot.dtype).reshape(slot.shape)
            _check_finite(
                path,
                name,
                tensors[name],
                "the file is damaged, or its training went astray; copy it again or train it again",
            )
        return {name: tensor.to(device) for name, tensor in tensors.items()}, header.card


@dataclass(frozen=True)
class _Slot:
    """The place of a tensor: bytes begin .. end after the header."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class _Header:
    card: dict[str, Any]
    slots: dict[str, _Slot]
    start: int  # the first byte of the tensors


@contextmanager
def _opened(path: str | Path) -> Iterator[BinaryIO]:
    try:
        with open_source(path) as (_, stream):
            yield stream
    except InputError as error:
        raise CheckpointError(str(error)) from error


def _header(path: str, stream: BinaryIO) -> _Header:
    """Read and check all that comes before the tensors."""
    size = os.fstat(stream.fileno()).st_size
    if size == 0:
        raise CheckpointError(f"{path}: an empty file (0 bytes); copy it again from where it came")
    length = int.from_bytes(stream.read(8), "little")
    head = stream.read(1)
    if size < 10 or length < 2 or head != b"{":
        raise CheckpointError(f"{path}: not a safetensors file; name a checkpoint that structkit wrote")
    if length > MAX_HEADER:
        raise CheckpointError(
            f"{path}: its header claims {length} bytes, over the limit of {MAX_HEADER}; it is damaged or no checkpoint"
        )
    if 8 + length > size:
        raise CheckpointError(
            f"{path}: truncated: {size} bytes, of which the header alone claims {8 + length}; copy it again"
        )
    try:
        fields = _json(head + stream.read(length - 1))
        metadata = fields.pop("__metadata__", {})
        slots = {name: _slot(name, entry) for name, entry in fields.items()}
        card = _card(metadata)
    except CheckpointError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: its header is damaged ({one_line(error)}); copy it again from where it came"
        ) from error
    end = 0
    for name, slot in sorted(slots.items(), key=lambda item: (item[1].begin, item[1].end)):
        if slot.begin != end:
            fact = (
                "overlaps another tensor" if slot.begin < end else f"leaves a gap of {slot.begin - end} bytes before it"
            )
            raise CheckpointError(f"{path}: its header is damaged ({name} {fact}); copy it again from where it came")
        end = slot.end
    if (whole := 8 + length + end) != size:
        fact = "truncated" if size < whole else "too long"
        raise CheckpointError(
            f"{path}: {fact}: {size} bytes, where its header claims {whole}; copy it again from where it came"
        )
    if card is None:
        raise CheckpointError(
            f"{path}: safetensors of another program, without structkit's card; name a checkpoint that structkit wrote"
        )
    if type(card.get("format")) is not int or any(
        not isinstance(card.get(name), str) for name in ("kind", "structkit")
    ):
        raise CheckpointError(
            f"{path}: its card names no kind, format or version; name a checkpoint that structkit wrote"
        )
    if card["format"] > FORMAT:
        raise CheckpointError(
            f"{path}: written by structkit {card['structkit']} in format {card['format']}; "
            f"this is structkit {__version__}, which reads up to format {FORMAT}; update structkit"
        )
    return _Header(card, slots, 8 + length)


def _card(metadata: Any) -> dict[str, Any] | None:
    """The card, or None for a file that never had one."""
    if CARD not in metadata:
        return None
    card = _json(metadata[CARD])
    run = card.get("run", {}) if isinstance(card, dict) else {}
    inputs = run.get("inputs", {}) if isinstance(run, dict) else {}
    for name, value in (("the card", card), ("the card's run", run), ("the card's run.inputs", inputs)):
        if not isinstance(value, dict):
            raise ValueError(f"{name} is no JSON object")
    return card


def _json(text: bytes | str) -> Any:
    """The value of a JSON text, read strictly: a name stands once, and numbers are finite.  Raises ValueError."""
    return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)


def _slot(name: str, entry: Any) -> _Slot:
    """The place of one tensor of the header.  Raises ValueError, and whatever foreign JSON leads to."""
    dtype, shape, (begin, end) = DTYPES.get(entry["dtype"]), entry["shape"], entry["data_offsets"]
    if dtype is None:
        raise ValueError(f"{name} has the dtype {entry['dtype']}; known are {', '.join(DTYPES)}")
    if (
        any(type(n) is not int or n < 0 for n in (*shape, begin, end))
        or len(shape) > 16
        or math.prod(max(n, 1) for n in shape) > MAX_ELEMENTS
    ):
        raise ValueError(f"{name} has the impossible shape {shape} or offsets {begin}, {end}")
    if end - begin != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{name} takes {math.prod(shape) * dtype.itemsize} bytes, not {end - begin}")
    return _Slot(dtype, tuple(shape), begin, end)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text} is too large for a number")
    return number


def _compare(path: str, slots: Mapping[str, _Slot], expected: Layout) -> None:
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
        if slots[name].dtype != dtype:
            raise CheckpointError(f"{path}: {name} is {slots[name].dtype}; its card asks for {dtype}; {way_out}")


def _check_finite(path: str | Path, name: str, tensor: Tensor, way_out: str) -> None:
    bad = int((~tensor.isfinite()).sum()) if tensor.is_floating_point() else 0
    if bad:
        raise CheckpointError(f"{path}: {bad} of {tensor.numel()} values of {name} are not finite; {way_out}")
