"""Headers of checkpoints: the card, and the place of each tensor, read and checked before anything is allocated.

Free of torch and of NumPy: what a checkpoint is, how it was made and what it serves is known in a few milliseconds.
Every way in which a header can be wrong has a message of its own, in words.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from structkit._version import __version__
from structkit.errors import CheckpointError, InputError
from structkit.media.files import one_line, open_source

FORMAT = 1  # the version of the card; a reader refuses a newer one
CARD = "structkit"  # the one key of the metadata: with several, their order in the file would not be fixed
MAX_HEADER = 2**24  # bytes; some 100 000 tensors
MAX_ELEMENTS = 2**60  # the most of one tensor, an empty side counted as 1: below what a stride can hold
# The bytes of one element of each dtype, by its name in a header.
ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
AGAIN = "copy it again from where it came"
JSON_WORDS = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}


@dataclass(frozen=True)
class Slot:
    """The place of a tensor: bytes begin .. end after the header.

    dtype: its name in the header.
    """

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """All that comes before the tensors of a checkpoint.

    slots: by the names of the tensors.
    start: the first byte of the tensors.
    """

    card: dict[str, Any]
    slots: dict[str, Slot]
    start: int


def read_card(path: str | Path) -> dict[str, Any]:
    """The card of a checkpoint.  Only the header is read.  Raises CheckpointError."""
    with opened(path) as stream:
        return read_header(str(path), stream).card


@contextmanager
def opened(path: str | Path) -> Iterator[BinaryIO]:
    """The file of a checkpoint, open for reading.  Raises CheckpointError."""
    try:
        with open_source(path) as (_, stream):
            yield stream
    except InputError as error:
        raise CheckpointError(str(error)) from error


def read_header(path: str, stream: BinaryIO) -> Header:
    """The header of a checkpoint, read from its first byte on and checked.

    path: the name of the file in messages.
    Raises CheckpointError.
    """
    size = os.fstat(stream.fileno()).st_size
    if size == 0:
        raise CheckpointError(f"{path}: an empty file (0 bytes); {AGAIN}")
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
        fields = _json(head + stream.read(length - 1), "its text")
        metadata = fields.pop("__metadata__", {})
        slots = {name: _slot(name, entry) for name, entry in fields.items()}
        card = _card(metadata)
    except ValueError as error:
        raise CheckpointError(f"{path}: its header is damaged ({one_line(error)}); {AGAIN}") from error
    end = 0
    for name, slot in sorted(slots.items(), key=lambda item: (item[1].begin, item[1].end)):
        if slot.begin != end:
            fact = (
                "overlaps another tensor" if slot.begin < end else f"leaves a gap of {slot.begin - end} bytes before it"
            )
            raise CheckpointError(f"{path}: its header is damaged ({one_line(name)} {fact}); {AGAIN}")
        end = slot.end
    if (whole := 8 + length + end) != size:
        fact = "truncated" if size < whole else "too long"
        raise CheckpointError(f"{path}: {fact}: {size} bytes, where its header claims {whole}; {AGAIN}")
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
            f"{path}: written by structkit {one_line(card['structkit'])} in format {card['format']}; "
            f"this is structkit {__version__}, which reads up to format {FORMAT}; update structkit"
        )
    return Header(card, slots, 8 + length)


def _card(metadata: Any) -> dict[str, Any] | None:
    """The card, or None for a file that never had one.  Raises ValueError."""
    if CARD not in _object(metadata, "the metadata"):
        return None
    if not isinstance(metadata[CARD], str):
        raise ValueError(f"the card is {in_words(metadata[CARD])}, where a text is needed")
    card = _json(metadata[CARD], "the card")
    _object(_object(card.get("run", {}), "the card's run").get("inputs", {}), "the card's run.inputs")
    doubts = card.get("doubts", [])
    if not isinstance(doubts, list) or not all(isinstance(doubt, str) for doubt in doubts):
        raise ValueError("the card's doubts are no list of texts")
    return card


def in_words(value: Any) -> str:
    """The words for the type of a value of JSON."""
    return JSON_WORDS.get(type(value), "a number")


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is no JSON object")
    return value


def _json(text: bytes | str, what: str) -> dict[str, Any]:
    """The object of a JSON text, read strictly: a name stands once, and numbers are finite.  Raises ValueError."""
    try:
        text = text.decode("utf-8") if isinstance(text, bytes) else text
        value = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite, parse_int=_int
        )
    except UnicodeDecodeError as error:
        raise ValueError(f"{what} is no UTF-8 from byte {error.start} on") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{what} is no JSON from character {error.pos} on") from error
    except RecursionError as error:
        raise ValueError(f"{what} is nested too deeply") from error
    return _object(value, what)


def _slot(name: str, entry: Any) -> Slot:
    """The place of one tensor of the header.  Raises ValueError."""
    name = one_line(name)
    if not isinstance(entry, dict):
        raise ValueError(f"{name} is {in_words(entry)}, where an object is needed")
    if missing := [key for key in ("dtype", "shape", "data_offsets") if key not in entry]:
        raise ValueError(f"{name} has no {missing[0]}")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in ITEM_BYTES:
        raise ValueError(f"{name} has the dtype {one_line(dtype, 40)}; known are {', '.join(ITEM_BYTES)}")
    if not isinstance(shape, list) or not isinstance(offsets, list) or len(offsets) != 2:
        raise ValueError(f"{name} has no shape and two data_offsets, each a list of whole numbers")
    if (
        any(type(n) is not int or n < 0 for n in (*shape, *offsets))
        or len(shape) > 16
        or math.prod(max(n, 1) for n in shape) > MAX_ELEMENTS
    ):
        places = ", ".join(map(str, offsets))
        raise ValueError(f"{name} has the impossible shape {one_line(shape, 40)} or offsets {one_line(places, 40)}")
    begin, end = offsets
    if end - begin != (size := math.prod(shape) * ITEM_BYTES[dtype]):
        raise ValueError(f"{name} takes {size} bytes, not {end - begin}")
    return Slot(dtype, tuple(shape), begin, end)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{one_line(text, 40)} is too large for a number")
    return number


def _int(text: str) -> int:
    if len(text) > 40:
        raise ValueError(f"{one_line(text, 40)} is too large for a number")
    return int(text)
