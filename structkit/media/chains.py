"""The chain of pieces that a video file is: chunks, blocks, tags or packets, each of which says how long it is.

FFmpeg steps over a broken link and tells nobody.  Here a file is followed from link to link, without its contents, in
about 4 microseconds a link.
"""

import os
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

from structkit.media import asf, matroska
from structkit.media.pieces import ENDS, BrokenChain, Chain, Pieces, broken
from structkit.media.transport import TransportSurvey

CHUNK = re.compile(rb"[0-9A-Za-z_ ]{4}")


def follow(demuxer: str, stream: BinaryIO, survey: TransportSurvey | None = None) -> Chain:
    """The chain of a whole file, as far as its pieces are what they say and do not go beyond its end.

    demuxer: FFmpeg's name of its container.
    survey: of a transport stream.
    """
    chain, file = Chain(), Pieces(stream, stream.seek(0, os.SEEK_END))
    try:
        if survey:
            chain.joined = bool(survey.places)
            chain.pictures.update(survey.pictures)
            _transport(file, survey)
        elif demuxer in WALKS:
            WALKS[demuxer](file, chain)
    except BrokenChain as flaw:
        chain.flaw = str(flaw)
    except (IndexError, KeyError, struct.error, ValueError):  # a piece that is too small for what it should hold
        chain.flaw = "its structure is broken"
    if chain.flaw and chain.at and file.is_padding(chain.at):
        chain.flaw = None
    return chain


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
        chain.at = at
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


MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))  # the bits of each byte in the other order


def _ogg(file: Pieces, chain: Chain) -> None:
    """Pages (RFC 3533), numbered in each stream, with a checksum."""
    at, numbers = 0, {}
    while at < file.size:
        chain.at = at
        head = file.bytes(at, 27)
        stream, number = struct.unpack_from("<II", head, 14)
        if head[:4] != b"OggS" or number != numbers.get(stream, number - 1) + 1:
            raise broken(at)
        numbers[stream] = number
        length = 27 + head[26] + sum(file.bytes(at + 27, head[26]))
        if _ogg_checksum(head[:22] + bytes(4) + file.bytes(at + 26, length - 26)) != head[22:26]:
            raise broken(at)
        at += length


def _ogg_checksum(page: bytes) -> bytes:
    """The checksum of a page: as zlib's, but the highest bit comes first, and it begins and ends with zeros."""
    found = zlib.crc32(page.translate(MIRRORED), 2**32 - 1) ^ 2**32 - 1
    return found.to_bytes(4).translate(MIRRORED)


def _program(file: Pieces, chain: Chain) -> None:
    """Packs and packets (ISO/IEC 13818-1, 2.5), each behind a start code; zeros may follow the last."""
    at = 0
    while at + 4 <= file.size:
        chain.at = at
        head, kind = file.bytes(at, 3), file.number(at + 3, 1)
        if head == b"\0\0\0":
            some = file.bytes(at, min(file.size - at, 1 << 16))
            at += max(1, len(some) - len(some.lstrip(b"\0")) - 2)
        elif head != b"\0\0\1" or kind < 0xB9:
            raise broken(at)
        elif kind == 0xB9:
            at += 4
        elif kind == 0xBA:
            first = file.number(at + 4, 1)
            at += 14 + (file.number(at + 13, 1) & 7) if first >> 6 == 1 else 12
        else:
            at += 6 + file.number(at + 4, 2, "big")


Y4M_CHROMA = {"mono": (1, 0), "420": (2, 2), "422": (2, 1), "444": (1, 1), "411": (4, 1)}  # (columns, rows) a sample


def _y4m(file: Pieces, chain: Chain) -> None:
    """Frames of one length, each behind a line, behind the line of the header."""
    head = file.bytes(0, min(file.size, 1024)).split(b"\n")[0]
    given = {part[:1]: part[1:] for part in head.decode("latin-1").split(" ")[1:]}
    layout = re.fullmatch(r"(mono|\d{3})(?:jpeg|paldv|mpeg2)?(?:p?(\d\d))?", given.get("C", "420"))
    if layout is None or layout[1] not in Y4M_CHROMA:
        return
    width, height, (across, down) = int(given["W"]), int(given["H"]), Y4M_CHROMA[layout[1]]
    chroma = 2 * -(-width // across) * -(-height // down) if down else 0
    at, length = len(head) + 1, (width * height + chroma) * (2 if layout[2] else 1)
    while at < file.size:
        line = file.bytes(at, min(file.size - at, 256)).split(b"\n")[0]
        if not line.startswith(b"FRAME"[: file.size - at]):
            raise broken(at)
        at += len(line) + 1 + length
        if at > file.size:
            raise BrokenChain(ENDS)
        chain.pictures[0] += 1


def _mov(file: Pieces, chain: Chain) -> None:
    """Boxes (ISO/IEC 14496-12): the samples that the fragments list, by the track's number."""
    before, index, reached = b"", None, {}  # the last index; each track's last fragment: its time, and its index
    for at, kind, end in _boxes(file, 0, file.size):
        if kind == b"moov":
            if index is not None and not chain.pictures:  # streams may repeat it between fragments
                chain.second = chain.second or at
            index = at
        if before == kind == b"mdat" and chain.pictures:
            raise broken(at)
        before, chain.at = kind, end
        if kind != b"moof":
            continue
        for begin, child, stop in _boxes(file, at, end):
            track = None
            for inner, name, _ in _boxes(file, begin, stop) if child == b"traf" else ():
                if name == b"tfhd":
                    track = file.number(inner + 4, 4, "big")
                elif name == b"trun" and track is not None:
                    chain.pictures[track] += file.number(inner + 4, 4, "big")
                elif name == b"tfdt" and track is not None:
                    time = file.number(inner + 4, 4 + 4 * file.number(inner, 1), "big")
                    last, under = reached.get(track, (-1, index))
                    if time <= last and under != index:  # under another index the times begin anew
                        chain.second = chain.second or index
                    reached[track] = time, index


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


def _transport(file: Pieces, survey: TransportSurvey) -> None:
    """Packets of one length, each with a counter."""
    if survey.broken is not None:
        raise broken(survey.broken)
    if survey.missing:
        raise BrokenChain(survey.gaps)
    if survey.doubt is not None:
        raise BrokenChain(f"packets are missing at byte {survey.doubt}, or recordings were joined there")
    if survey.end < file.size and not file.is_padding(survey.end):
        raise BrokenChain(ENDS)


WALKS: dict[str, Callable[[Pieces, Chain], None]] = {
    "matroska": matroska.walk,
    "avi": _avi,
    "flv": _flv,
    "asf": asf.walk,
    "ogg": _ogg,
    "mpeg": _program,
    "mov": _mov,
    "yuv4mpegpipe": _y4m,
}
