"""The chain of pieces that a video file is: chunks, blocks, tags or packets, each of which says how long it is.

FFmpeg steps over a broken link and tells nobody.  Here a file is followed from link to link, without its contents, in
about 4 microseconds a link.
"""

import re
import struct
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from structkit.media.containers import HEAD, mpegts_stride
from structkit.media.transport import TransportSurvey

ENDS = "the file ends in the middle of a piece"
CHUNK = re.compile(rb"[0-9A-Za-z_ ]{4}")


class BrokenChain(Exception):
    """A place where the next piece cannot be what it says; its text tells where and how."""


@dataclass
class Chain:
    """The pieces of a file that hold pictures.

    pictures: their number in each stream, by the stream's own number, or its place among those of pictures in Matroska.
    """

    pictures: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))


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


def broken(at: int) -> BrokenChain:
    """The break of a chain at a byte."""
    return BrokenChain(f"its structure is broken at byte {at}")


def follow(demuxer: str, stream: BinaryIO, size: int) -> Chain:
    """The chain of a whole file.

    demuxer: FFmpeg's name of its container.
    size: of the file, bytes.
    Raises BrokenChain where a piece cannot be what it says, or goes beyond the file's end.
    """
    chain = Chain()
    try:
        if demuxer in WALKS:
            WALKS[demuxer](Pieces(stream, size), chain)
    except (IndexError, struct.error, ValueError) as error:  # a piece that is too small for what it should hold
        raise BrokenChain("its structure is broken") from error
    return chain


# Matroska (RFC 8794, RFC 9559): elements, and those that each may hold.
VOID, CRC = 0xEC, 0xBF
EBML, SEGMENT, CLUSTER, TRACKS, ENTRY, GROUP = 0x1A45DFA3, 0x18538067, 0x1F43B675, 0x1654AE6B, 0xAE, 0xA0
SIMPLE_BLOCK, BLOCK, TRACK_NUMBER, TRACK_TYPE, PICTURES = 0xA3, 0xA1, 0xD7, 0x83, 1
TOP = {0x114D9B74, 0x1549A966, TRACKS, 0x1043A770, CLUSTER, 0x1C53BB6B, 0x1941A469, 0x1254C367, VOID, CRC}
HOLDS = {
    0: {EBML, SEGMENT, VOID, CRC},
    SEGMENT: TOP,
    CLUSTER: {0xE7, 0x5854, 0xA7, 0xAB, SIMPLE_BLOCK, GROUP, 0xAF, VOID, CRC},
    GROUP: {BLOCK, 0xA2, 0x75A1, 0x9B, 0xFA, 0xFB, 0xFD, 0xA4, 0x75A2, 0x8E, 0xC8, VOID, CRC},
    TRACKS: {ENTRY, VOID, CRC},
    ENTRY: None,  # anything
}


def _matroska(file: Pieces, chain: Chain) -> None:
    at, inside = 0, [(0, file.size)]  # (an element's id, its end), from the outermost; no end: unknown
    tracks: list[list[int]] = []  # the number and the type of each
    while at < file.size:
        if inside[-1][1] is not None and at >= inside[-1][1]:
            inside.pop()
            continue
        start, (kind, length, at) = at, _element(file, at)
        while inside[-1][1] is None and kind not in HOLDS[inside[-1][0]] and kind in HOLDS[inside[-2][0]]:
            inside.pop()
        parent, end = inside[-1]
        if (HOLDS[parent] is not None and kind not in HOLDS[parent]) or (
            length is None and kind not in (SEGMENT, CLUSTER)
        ):
            raise broken(start)
        if length is not None and at + length > (file.size if end is None else end):
            raise BrokenChain(ENDS) if end is None else broken(start)
        if kind == ENTRY:
            tracks.append([0, 0])
        if kind in HOLDS:
            inside.append((kind, None if length is None else at + length))
            continue
        if parent == ENTRY and kind in (TRACK_NUMBER, TRACK_TYPE):
            tracks[-1][kind == TRACK_TYPE] = file.number(at, length, "big")
        if kind in (SIMPLE_BLOCK, BLOCK):
            track, _ = _variable(file, at)
            if track not in (number for number, _ in tracks):
                raise broken(start)
            pictures = [number for number, type_ in tracks if type_ == PICTURES]
            if track in pictures:
                chain.pictures[pictures.index(track)] += 1
        at += length


def _element(file: Pieces, at: int) -> tuple[int, int | None, int]:
    """The id of an element, its length (None where unknown), and where its contents begin."""
    first = file.bytes(at, 1)[0]
    width = 9 - first.bit_length()
    if width > 4:
        raise broken(at)
    length, behind = _variable(file, at + width)
    unknown = 2 ** (7 * (behind - at - width)) - 1
    return file.number(at, width, "big"), None if length == unknown else length, behind


def _variable(file: Pieces, at: int) -> tuple[int, int]:
    """A number of variable length, and where it ends."""
    first = file.bytes(at, 1)[0]
    width = 9 - first.bit_length()
    if width > 8:
        raise broken(at)
    return file.number(at, width, "big") & (1 << 7 * width) - 1, at + width


def _avi(file: Pieces, chain: Chain) -> None:
    """Chunks of RIFF, each padded to an even length; what follows the last RIFF is left alone."""
    at, end, padded = 0, file.size, False
    while at + 8 <= file.size:
        kind, length = struct.unpack("<4sI", file.bytes(at, 8))
        if padded and not CHUNK.fullmatch(kind) and CHUNK.fullmatch(file.bytes(at - 1, 4)):  # by a careless writer
            at, padded = at - 1, False
            continue
        padded = bool(length % 2)
        if kind == b"RIFF":
            end, at = at + 8 + length if 0 < length < 2**32 - 1 else file.size, at + 12
        elif at >= end:
            break
        elif not CHUNK.fullmatch(kind):
            raise broken(at)
        elif kind == b"LIST" and file.bytes(at + 8, 4) in (b"movi", b"rec "):
            at += 12
        elif at + 8 + length > file.size:
            raise BrokenChain(ENDS)
        else:
            if re.fullmatch(rb"\d\dd.", kind) and length:
                chain.pictures[int(kind[:2])] += 1
            at += 8 + length + length % 2


FLV_LED = (7, 12, 13)  # codecs with headers among the pictures: H.264, HEVC, AV1


def _flv(file: Pieces, chain: Chain) -> None:
    """Tags, each followed by its length."""
    at = file.number(5, 4, "big") + 4
    while at < file.size:
        kind, length = file.number(at, 1) & 0x1F, file.number(at + 1, 3, "big")
        if kind not in (8, 9, 18):
            raise broken(at)
        start, at = at + 11, at + 11 + length
        if file.number(at, 4, "big") not in (11 + length, length, 0):
            raise broken(at)
        if kind == 9:
            first = file.number(start, 1)
            step = first & 15 if first & 0x80 else file.number(start + 1, 1) if first & 15 in FLV_LED else 1
            chain.pictures[0] += step in (1, 3)  # others are headers
        at += 4


# The Advanced Systems Format, by its specification of 2004: sections 3 and 5.
ASF_HEADER, ASF_DATA, ASF_FILE = (
    bytes.fromhex(guid)
    for guid in (
        "3026b2758e66cf11a6d900aa0062ce6c",
        "3626b2758e66cf11a6d900aa0062ce6c",
        "a1dcab8c47a9cf118ee400c00c205365",
    )
)


def _asf(file: Pieces, chain: Chain) -> None:
    """Packets of one length, which hold numbered media objects in fragments."""
    head = file.bytes(0, min(file.size, file.number(16, 8)))
    found = head.find(ASF_FILE)
    if found < 0 or head[:16] != ASF_HEADER:
        raise broken(0)
    packet, longest = struct.unpack_from("<II", head, found + 92)
    at = len(head)
    while file.bytes(at, 16) != ASF_DATA:
        at += max(24, file.number(at + 16, 8))
    length, count = file.number(at + 16, 8), file.number(at + 40, 8)
    at += 50
    if packet != longest or packet < 16:  # which the specification forbids
        raise broken(found)
    end = at - 50 + length if length else file.size
    objects: dict[int, tuple[int, int, int]] = {}  # by stream: the last object's number, length, and bytes that came
    for _ in range(count or (end - at) // packet):
        for stream, numbered, bits, offset, size, came in _payloads(file.bytes(at, packet), at):
            last, whole, so_far = objects.get(stream, (None, 0, 0))
            begins = offset == 0 and so_far == whole and (last is None or numbered == (last + 1) % 2**bits)
            goes_on = numbered == last and offset == so_far and size == whole
            if not (begins or goes_on or last is None):
                raise broken(at)
            objects[stream] = numbered, size, offset + came
            chain.pictures[stream] += offset == 0
        at += packet
    if any(whole != so_far for _, whole, so_far in objects.values()):
        raise BrokenChain(ENDS)


def _payloads(packet: bytes, where: int) -> Iterator[tuple[int, int, int, int, int, int]]:
    """The payloads of an ASF packet.

    Each is the stream, the object's number and the bits of it, the offset in it, its length, and the payload's length.
    """
    at = 1 + (packet[0] & 15) if packet[0] & 0x80 else 0

    def number(kind: int) -> int:
        nonlocal at
        width = (0, 1, 2, 4)[kind & 3]
        at += width
        return int.from_bytes(packet[at - width : at], "little")

    lengths, fields = packet[at : at + 2]
    at += 2
    length = number(lengths >> 5) or len(packet)
    number(lengths >> 1)
    end = length - number(lengths >> 3)
    at += 6  # the time to send, and the duration
    is_one = not lengths & 1
    kind = 1 if is_one else number(1)
    for _ in range(kind & 63):
        stream, numbered = number(1) & 127, number(fields >> 4)
        offset, beside = number(fields >> 2), number(fields)
        size = int.from_bytes(packet[at : at + 4], "little")
        at += 1 if beside == 1 else beside
        came = end - at if is_one else number(kind >> 6)
        if at + came > len(packet) or came < 0 or not stream:
            raise broken(where)
        if beside >= 8:  # others are small objects packed together, without numbers of their own
            yield stream, numbered, (0, 8, 16, 32)[fields >> 4 & 3], offset, size, came
        at += came


def _ogg(file: Pieces, chain: Chain) -> None:
    """Pages (RFC 3533), numbered in each stream."""
    at, numbers = 0, {}
    while at < file.size:
        head = file.bytes(at, 27)
        stream, number = struct.unpack_from("<II", head, 14)
        if head[:4] != b"OggS" or number != numbers.get(stream, number - 1) + 1:
            raise broken(at)
        numbers[stream] = number
        at += 27 + head[26] + sum(file.bytes(at + 27, head[26]))
    if at > file.size:
        raise BrokenChain(ENDS)


def _program(file: Pieces, chain: Chain) -> None:
    """Packs and packets (ISO/IEC 13818-1, 2.5), each behind a start code; zeros may follow the last."""
    at = 0
    while at + 4 <= file.size:
        head, kind = file.bytes(at, 3), file.number(at + 3, 1)
        if head == b"\0\0\0":
            at += 1
        elif head != b"\0\0\1" or kind < 0xB9:
            raise broken(at)
        elif kind == 0xB9:
            at += 4
        elif kind == 0xBA:
            first = file.number(at + 4, 1)
            at += 14 + (file.number(at + 13, 1) & 7) if first >> 6 == 1 else 12
        else:
            at += 6 + file.number(at + 4, 2, "big")


def _mov(file: Pieces, chain: Chain) -> None:
    """Boxes (ISO/IEC 14496-12): the samples that the fragments list, by the track's number."""
    before = b""
    for at, kind, end in _boxes(file, 0, file.size):
        if before == kind == b"mdat" and chain.pictures:
            raise broken(at)
        before = kind
        if kind != b"moof":
            continue
        for begin, child, stop in _boxes(file, at, end):
            track = None
            for inner, name, _ in _boxes(file, begin, stop) if child == b"traf" else ():
                if name == b"tfhd":
                    track = file.number(inner + 4, 4, "big")
                elif name == b"trun" and track is not None:
                    chain.pictures[track] += file.number(inner + 4, 4, "big")


def _boxes(file: Pieces, at: int, end: int) -> Iterator[tuple[int, bytes, int]]:
    """Where each box's contents begin, its kind, and where it ends; bytes behind the last are left alone."""
    while at + 8 <= end:
        length, kind = struct.unpack(">I4s", file.bytes(at, 8))
        head = 16 if length == 1 else 8
        length = file.number(at + 8, 8, "big") if length == 1 else length
        if length == 0 and kind.isalnum():  # to the end
            length = end - at
        if length < head or at + length > end:
            raise broken(at)
        yield at + head, kind, at + length
        at += length


def _transport(file: Pieces, chain: Chain) -> None:
    """Packets of one length, each with a counter."""
    step = mpegts_stride(file.bytes(0, min(file.size, HEAD)))
    if step is None:
        raise broken(0)
    survey = TransportSurvey(file.stream, step)
    if survey.broken is not None:
        raise broken(survey.broken)
    if survey.missing:
        raise BrokenChain(f"packets are missing in {len(survey.missing)} places, first at byte {survey.missing[0]}")
    if file.size % step:
        raise BrokenChain(ENDS)


WALKS: dict[str, Callable[[Pieces, Chain], None]] = {
    "matroska": _matroska,
    "avi": _avi,
    "flv": _flv,
    "asf": _asf,
    "ogg": _ogg,
    "mpeg": _program,
    "mov": _mov,
    "mpegts": _transport,
}
