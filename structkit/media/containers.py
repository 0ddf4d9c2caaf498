"""Video containers: those that are read and written, how each is recognised, and whether a file is all there.

Nothing here needs FFmpeg, so that a command line can sort its inputs before anything heavy is imported.  Only the
containers below are ever handed to FFmpeg, each with its demuxer named: FFmpeg's own guessing would also open
playlists, which name other files and hosts.
"""

import os
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import BinaryIO

from structkit.errors import InputError
from structkit.media import formats

HEAD = 1024  # bytes that suffice to recognise a container
BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")  # the first box of an ISO or QuickTime file


@dataclass(frozen=True)
class Container:
    """A kind of video file.

    demuxer: FFmpeg's name.
    has_origin: time zero is where the presentation starts, whatever comes first.
    is_timed: the file states its length, while FFmpeg steps over clusters that it cannot read.
    states_its_end: the file states its length, as a rule to the frame.
    is_counted: a frame's time is its place in the file, counted in frames, held ones too.
    needed: the bytes that a file says it has, from its stream and its size.
    """

    demuxer: str
    label: str
    suffixes: tuple[str, ...]
    recognises: Callable[[bytes], bool]
    has_origin: bool = True
    is_timed: bool = False
    is_counted: bool = False
    states_its_end: bool = False
    needed: Callable[[BinaryIO, int], int] = lambda stream, size: size


def mpegts_stride(head: bytes) -> int | None:
    """How far it is from one packet of a transport stream to the next, bytes; None for another kind of file.

    head: the file's first bytes.
    A packet has 188 bytes, and 4 more of time code in front from camcorders and discs.
    """
    return next(
        (
            step
            for at, step in ((0, 188), (4, 192))
            if len(head) > at + 2 * step and all(head[at + i * step] == 0x47 for i in range(3))
        ),
        None,
    )


def _mov_needs(stream: BinaryIO, size: int) -> int:
    """The end of the top-level boxes (ISO/IEC 14496-12, 4.2).

    Bytes after the last box that are no box are left alone.
    """
    at = 0
    while at + 8 <= size:
        stream.seek(at)
        length, kind = struct.unpack(">I4s", stream.read(8))
        if length == 1:
            length = int.from_bytes(stream.read(8))
        if length == 0 or length < 8 or not kind.isalnum():  # to the end of the file, or no box
            break
        at += length
    return max(at, size)


def _has_no_index(stream: BinaryIO, size: int) -> bool:
    """True for an MP4 or MOV that holds pictures and ends without the box that says where they are."""
    at, kinds = 0, set()
    while at + 8 <= size:
        stream.seek(at)
        length, kind = struct.unpack(">I4s", stream.read(8))
        kinds.add(kind)
        if length == 1:
            length = int.from_bytes(stream.read(8))
        at = at + length if length >= 8 else size if length == 0 else sys.maxsize
    return at <= size + 7 and b"mdat" in kinds and b"moov" not in kinds


def _matroska_needs(stream: BinaryIO, size: int) -> int:
    """The end of the Segment, or of the elements before it (RFC 8794, 4 and 5; RFC 9559, 5.1)."""

    def element() -> tuple[bytes, int | None]:
        """The id and the size of an element.

        The size is None where all its bits are ones, which is unknown, as live streams write it.
        """
        kind = stream.read(1)
        kind += stream.read(8 - kind[0].bit_length())
        first = stream.read(1)[0]
        length = 9 - first.bit_length()
        bits = int.from_bytes(bytes([first & (0xFF >> length)]) + stream.read(length - 1))
        return kind, None if bits == 2 ** (7 * length) - 1 else bits

    stream.seek(0)
    try:
        while True:
            kind, length = element()
            if length is None:
                return size
            end = stream.tell() + length
            if kind == b"\x18\x53\x80\x67" or end > size:
                return max(size, end)
            stream.seek(end)
    except IndexError:  # ends within its header
        return size


def _avi_needs(stream: BinaryIO, size: int) -> int:
    """The end of the first RIFF chunk; recorders that were stopped leave its size at 0 or at all ones."""
    stream.seek(4)
    length = int.from_bytes(stream.read(4), "little")
    return size if length in (0, 2**32 - 1) else max(size, 8 + length)


CONTAINERS = (
    Container(
        "mov",
        "MP4/MOV",
        (".mp4", ".m4v", ".mov", ".3gp"),
        lambda h: h[4:8] in BOXES,
        states_its_end=True,
        needed=_mov_needs,
    ),
    Container(
        "matroska",
        "MKV/WebM",
        (".mkv", ".webm"),
        lambda h: h[:4] == b"\x1aE\xdf\xa3",
        is_timed=True,
        states_its_end=True,
        needed=_matroska_needs,
    ),
    Container(
        "avi",
        "AVI",
        (".avi",),
        lambda h: h[:4] == b"RIFF" and h[8:12] == b"AVI ",
        is_counted=True,
        needed=_avi_needs,
    ),
    Container("mpegts", "MPEG-TS", (".ts", ".m2ts", ".mts"), lambda h: mpegts_stride(h) is not None, has_origin=False),
    Container("mpeg", "MPEG-PS", (".mpg", ".mpeg", ".vob"), lambda h: h[:4] == b"\0\0\1\xba", has_origin=False),
    Container("ogg", "Ogg", (".ogv",), lambda h: h[:4] == b"OggS"),
    Container("flv", "FLV", (".flv",), lambda h: h[:4] == b"FLV\1", states_its_end=True),
    Container("asf", "WMV/ASF", (".wmv", ".asf"), lambda h: h[:4] == b"0&\xb2u", states_its_end=True),
    Container("yuv4mpegpipe", "Y4M", (".y4m",), lambda h: h[:10] == b"YUV4MPEG2 "),
)
WRITTEN = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}  # suffix -> FFmpeg's muxer
VIDEO_SUFFIXES = tuple(suffix for c in CONTAINERS for suffix in c.suffixes)
NAMES = ", ".join(c.label for c in CONTAINERS)


def is_video(source: object) -> bool:
    """True for a path (str or Path) with a video's suffix, and for bytes that begin like a video."""
    if isinstance(source, bytes | bytearray | memoryview):
        return sniff(bytes(source[:HEAD])) is not None
    return isinstance(source, str | os.PathLike) and PurePath(source).suffix.lower() in VIDEO_SUFFIXES


def sniff(head: bytes) -> Container | None:
    """The container whose files begin like `head` (the first HEAD bytes), or None.

    Pictures that share a container with videos are none.
    """
    is_picture = formats.recognise(head) or formats.foreign(head)
    return None if is_picture else next((c for c in CONTAINERS if c.recognises(head)), None)


def identify(name: str, head: bytes) -> Container:
    """The container of a file that begins like `head` (the first HEAD bytes, or all).

    name: the file's, in messages.
    Raises InputError where it is none that is read.
    """
    if not head:
        raise InputError(f"{name}: an empty file (0 bytes); videos read: {NAMES}")
    if foreign := formats.foreign(head):
        raise InputError(f"{name}: {foreign.label} picture: {foreign.way_out}")
    if picture := formats.recognise(head):
        raise InputError(
            f"{name}: a {picture.label} picture, not a video; hand it in as a picture, or convert it to .mp4"
        )
    if found := sniff(head):
        return found
    raise InputError(f"{name}: not a video of a known container; videos read: {NAMES}; convert it to one of them")


def recognise(name: str, stream: BinaryIO) -> tuple[Container, str | None]:
    """The container of a file, and the fact that not all of the file is there, or None.

    name: the file's, in messages.
    Raises InputError where it is none that is read, or has no index.
    """
    found, size = identify(name, stream.read(HEAD)), stream.seek(0, os.SEEK_END)
    needed = found.needed(stream, size)
    short = f"truncated {found.label}, {size} of at least {needed} bytes are there" if needed > size else None
    if not short and found.demuxer == "mov" and _has_no_index(stream, size):
        fact = "its recording was not finished: the index (moov) is missing"
        raise InputError(f"{name}: {fact}; finish it in the camera or program that made it, or copy it again")
    return found, short
