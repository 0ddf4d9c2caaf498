"""Pieces of a video file, and the break of their chain: what the walks through the containers share."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import BinaryIO

ID3 = 128  # bytes of an ID3v1 tag
MOST_PADDING = 1 << 20  # bytes
ENDS = "the file ends in the middle of a piece"


class BrokenChain(Exception):
    """A place where the next piece cannot be what it says; its text tells where and how."""


@dataclass
class Chain:
    """The pieces of a file that hold pictures.

    pictures: their number in each stream, by the stream's own number, or its place among those of pictures in Matroska.
    second: where another recording begins behind the first, bytes.
    at: where the walk is, bytes: all that comes before is whole.
    joined: recordings follow one another in the file, and are read.
    flaw: where and how the chain is broken, or None.
    """

    pictures: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    second: int | None = None
    at: int = 0
    joined: bool = False
    flaw: str | None = None


class Pieces:
    """A file of which pieces are looked at, anywhere; a piece beyond its end is a broken chain."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self.stream, self.size = stream, size

    def bytes(self, at: int, count: int) -> bytes:
        """The bytes from one place on."""
        if at + count > self.size:
            raise BrokenChain(ENDS)
        self.stream.seek(at)
        return self.stream.read(count)

    def number(self, at: int, count: int, order: str = "little") -> int:
        """The whole number of `count` bytes."""
        return int.from_bytes(self.bytes(at, count), order)

    def is_padding(self, at: int) -> bool:
        """True if a few zeros follow, or an ID3v1 tag, as programs for sound put it behind any file.

        Many zeros are what an interrupted copy leaves.
        """
        if self.size - at > MOST_PADDING:
            return False
        rest = self.bytes(at, self.size - at)
        return not any(rest[:-ID3] if rest[-ID3:].startswith(b"TAG") else rest)


def broken(at: int) -> BrokenChain:
    """The break of a chain at a byte."""
    return BrokenChain(f"its structure is broken at byte {at}")
