"""The wire format: values as bytes between the processes of a run, and back, without running what the bytes say.

A message is JSON, in which each value that JSON lacks is an object of one key, its kind, followed by the longer bytes.
Of objects their class and their attributes go over the wire.  Only classes of structkit come back, filled and not
called, but for those that say with which arguments they are made: `again`.  (pickle would call whatever it is told.)
"""

from __future__ import annotations

import importlib
import json
import struct
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from fractions import Fraction
from io import BytesIO
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any

PACKAGES = ("structkit", "structkit_cli")
LENGTH = struct.Struct(">Q")  # of the JSON, and of each of the longer bytes, before it

Word = list[Any]  # for a file that stands for another; JSON
Named = Callable[[Any], Word | None]
Files = Callable[[Word], Any]


def pack(value: Any, named: Named | None = None) -> bytes:
    """The message of a value: None, truth, numbers, texts, bytes, paths, arrays, collections, and objects of structkit.

    named: gives the word that a value goes as; None for one that goes as it is.
    Raises TypeError for a value of another kind.
    """
    blobs: list[bytes] = []
    text = json.dumps(_Writer(blobs, named or (lambda value: None)).tree(value)).encode()
    return b"".join(data for part in (text, *blobs) for data in (LENGTH.pack(len(part)), part))


def unpack(data: bytes, files: Files | None = None) -> Any:
    """The value of a message.

    files: gives the value that a word stands for.
    Raises ValueError for bytes that are no message, and for a class that is none of structkit.
    """
    stream, parts = BytesIO(data), []
    while head := stream.read(LENGTH.size):
        length = LENGTH.unpack(head)[0] if len(head) == LENGTH.size else len(data)
        parts.append(stream.read(length))
        if len(parts[-1]) < length:
            raise ValueError("a message ends early")
    if not parts:
        raise ValueError("a message is empty")
    text, *blobs = parts
    return _Reader(blobs, files).value(json.loads(text))


class _Writer:
    """The trees of JSON that values become.  blobs: bytes that go beside them."""

    def __init__(self, blobs: list[bytes], named: Named) -> None:
        self.blobs, self.named = blobs, named

    def tree(self, value: Any) -> Any:
        if value is None or type(value) in (bool, int, float, str):
            return value
        if (word := self.named(value)) is not None:
            return {"word": word}
        if isinstance(value, bytes):
            self.blobs.append(value)
            return {"bytes": len(self.blobs) - 1}
        if isinstance(value, PurePath):
            return {"path" if isinstance(value, Path) else "pure path": str(value)}
        if isinstance(value, Fraction):
            return {"fraction": [value.numerator, value.denominator]}
        if type(value) is list:
            return [self.tree(one) for one in value]
        if type(value) in (tuple, set, frozenset):
            return {type(value).__name__: [self.tree(one) for one in value]}
        if type(value) in (dict, MappingProxyType):
            return {"dict": [[self.tree(key), self.tree(one)] for key, one in value.items()]}
        if type(value).__module__ == "numpy":
            return self._array(value)
        return self._object(value)

    def _array(self, value: Any) -> Any:
        import numpy as np

        if isinstance(value, np.generic):
            return self.tree(value.item())
        if not isinstance(value, np.ndarray) or value.dtype.hasobject:
            raise TypeError(f"{type(value).__name__} cannot be sent to another process")
        self.blobs.append(value.tobytes())
        return {"array": [value.dtype.str, list(value.shape), len(self.blobs) - 1]}

    def _object(self, value: Any) -> dict[str, Any]:
        kind = type(value)
        if kind.__module__.partition(".")[0] not in PACKAGES or kind.__qualname__ != kind.__name__:
            raise TypeError(f"{kind.__module__}.{kind.__qualname__} cannot be sent to another process")
        name = [kind.__module__, kind.__name__]
        if isinstance(value, Enum):
            return {"member": [name, value.name]}
        if isinstance(value, tuple):
            return {"named tuple": [name, [self.tree(one) for one in value]]}
        if hasattr(value, "again"):
            return {"made": [name, self._pairs(value.again())]}
        return {"object": [name, self._pairs(_attributes(value))]}

    def _pairs(self, facts: Mapping[str, Any]) -> list[list[Any]]:
        return [[name, self.tree(value)] for name, value in facts.items()]


class _Reader:
    """The values that trees of JSON stand for."""

    def __init__(self, blobs: Sequence[bytes], files: Files | None) -> None:
        self.blobs, self.files = blobs, files

    def value(self, tree: Any) -> Any:
        if isinstance(tree, list):
            return [self.value(one) for one in tree]
        if not isinstance(tree, dict):
            return tree
        ((kind, told),) = tree.items()
        if kind == "word" and self.files is not None:
            return self.files(told)
        if kind == "bytes":
            return self.blobs[told]
        if kind == "array":
            import numpy as np

            dtype, shape, place = told
            return np.frombuffer(self.blobs[place], np.dtype(dtype)).reshape(shape).copy()
        if kind in ("object", "made", "named tuple", "member"):
            return self._of_class(kind, *told)
        if kind == "dict":
            return {self.value(key): self.value(one) for key, one in told}
        if kind == "fraction":
            return Fraction(*told)
        simple = {"path": Path, "pure path": PurePath, "tuple": tuple, "set": set, "frozenset": frozenset}
        if kind not in simple:
            raise ValueError(f"a message has the unknown kind {kind}")
        return simple[kind](self.value(told))

    def _of_class(self, kind: str, name: Sequence[str], told: Any) -> Any:
        found = _class_of(*name)
        if kind == "member":
            return found[told]  # type: ignore[index]
        if kind == "named tuple":
            return tuple.__new__(found, [self.value(one) for one in told])
        facts = {key: self.value(one) for key, one in told}
        if kind == "made":
            return found(**facts)
        made = object.__new__(found)
        for key, one in facts.items():
            object.__setattr__(made, key, one)  # also of a class whose objects cannot change
        return made


def _attributes(value: Any) -> dict[str, Any]:
    """The attributes of an object, those in slots too."""
    names = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ()) if name != "__dict__"]
    return {name: getattr(value, name) for name in names if hasattr(value, name)} | getattr(value, "__dict__", {})


def _class_of(module: str, name: str) -> type:
    """A class of structkit.  Raises ValueError for anything else."""
    if module.partition(".")[0] in PACKAGES and name.isidentifier():
        found = vars(importlib.import_module(module)).get(name)
        if isinstance(found, type) and found.__module__ == module:
            return found
    raise ValueError(f"{module}.{name} is no class of structkit")
