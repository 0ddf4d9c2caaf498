"""Damage in picture files: what a decoder passes over, found by another look at the same bytes.

Checksums (PNG, deflated TIFF) and the ends of coded data (JPEG, WebP, AVIF) tell whether a decoder read what an encoder
wrote.  Where a format has neither (BMP, TIFF without compression) a changed pixel looks like any other.
A hole of zeros in a lossless WebP may pass, if the codes behind it end where they should: about a quarter of those of
64 bytes do.  The zeros themselves tell nothing, since intact files that were packed fast have long runs of them.
An intact file is never refused: what could also come from an unusual encoder is a note.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO

import numpy as np
from PIL import Image, ImageFile

from structkit.media import jpeg
from structkit.media.files import one_line
from structkit.media.formats import Format
from structkit.media.jpeg import Flaw

PIECE = 2**20  # bytes that are unpacked at a time
ROOM = 16  # bytes a pixel that a decoder may need
SLACK = 32  # bytes by which a WebP is cut short to see if it needed them; decoders look ahead by 8
MOST_PADDING = 1024  # rows of a TIFF's strip, of which the picture may have fewer
COMPRESSION, STRIPS, STRIP_SIZES, TILES, TILE_SIZES, JPEG_TABLES = 259, 273, 279, 324, 325, 347  # tags (TIFF 6.0)
WIDTH, HEIGHT, SAMPLES, STRIP_ROWS, TILE_WIDTH, TILE_HEIGHT = 256, 257, 277, 278, 322, 323
BITS_PER_SAMPLE = 258
DEFLATE, JPEG_IN_TIFF = (8, 32946), 7  # values of the tag of compression


def load(image: ImageFile.ImageFile, data: bytes, format: Format) -> tuple[Flaw, ...]:
    """Decode an opened picture, as `image.load()` does; returns what is wrong with it.

    data: the bytes of the file.
    Of a damaged picture the image holds the rows that come before the damage; the others are black, or what the decoder
    makes up.
    Raises whatever Pillow raises where there are no rows.
    """
    look = {"BMP": _bmp, "TIFF": _tiff, "WEBP": _webp, "AVIF": _avif}.get(format.name)
    try:
        if format.name == "JPEG":
            return jpeg.load(image, data)
        # A look that decodes gives back its memory before the picture takes any.
        seen = tuple(look(image, data)) if look else ()
        image.load()
        missing = None if format.is_whole(data) else "its end is missing"
    except (MemoryError, jpeg.ScanLimitError):
        raise
    except Exception as error:  # a decoder's reaction to foreign bytes is not foreseeable
        if not _has_rows(image, data, format):
            raise
        return (Flaw(one_line(error) or type(error).__name__),)
    if format.name in ("WEBP", "AVIF"):  # of which Pillow keeps the decoder and its bytes, for frames to come
        image.fp, image._decoder = BytesIO(), None
    return (Flaw(missing),) if missing else seen


def has_room(data: bytes, format: Format, max_pixels: int) -> bool:
    """False where memory does not suffice for a WebP or an AVIF, whose decoders call it damaged then.

    Sides of more than `max_pixels` are none: a picture of such sides is refused before it is decoded.
    """
    width = height = 0
    if format.name == "WEBP":
        kind, body = webp_data(data) or (b"", b"")
        if kind == b"VP8L":  # RFC 9649, 3.4; each side is 14 bits
            sides = int.from_bytes(body[1:5], "little")
            width, height = (sides & 0x3FFF) + 1, (sides >> 14 & 0x3FFF) + 1
        elif kind == b"VP8 ":  # RFC 6386, 9.1
            width, height = (int.from_bytes(body[at : at + 2], "little") & 0x3FFF for at in (6, 8))
    elif format.name == "AVIF" and (at := data.find(b"ispe")) > 0:  # ISO/IEC 23008-12, 6.5.3
        width, height = (int.from_bytes(data[at + more : at + more + 4]) for more in (8, 12))
    try:
        np.empty(ROOM * width * height if width * height <= max_pixels else 0, np.uint8)
        return True
    except (MemoryError, ValueError):
        return False


def _has_rows(image: ImageFile.ImageFile, data: bytes, format: Format) -> bool:
    """True if something was decoded before an error; the image is then loaded with that."""
    try:
        found = image.im.getbbox(False) is not None or _paints(format.open(data))
    except (AssertionError, AttributeError, ValueError):  # nothing was decoded, or a mode without these functions
        return False
    if not found:
        return False
    image.tile = []
    with suppress(Exception):
        image.load_end()
    return True


def _paints(image: ImageFile.ImageFile) -> bool:
    """True if a decoder changes an image that is white: of rows that are black nothing shows in a black one."""
    white = Image.new(image.mode, image.size, (255,) * len(image.getbands()) if len(image.getbands()) > 1 else 255)
    extrema, image.im = white.getextrema(), white.im
    try:
        image.load()
    except MemoryError:
        raise
    except Exception:
        image.tile = []
    return image.getextrema() != extrema


def _strip_flaw(packed: memoryview, most: int) -> Flaw | None:
    """The flaw of a deflated strip of at most so many bytes, unpacked; a longer one is followed for twice as many."""
    unpacker, rest, size = zlib.decompressobj(), packed, 0
    try:
        while not unpacker.eof and (unpacker.unconsumed_tail or rest):
            if not unpacker.unconsumed_tail:
                piece, rest = rest[:PIECE], rest[PIECE:]
            size += len(unpacker.decompress(unpacker.unconsumed_tail or piece, PIECE))
            if size > 2 * most + PIECE:
                return Flaw("its codes go on behind the last pixel")
    except zlib.error:
        return Flaw("its checksum is wrong")
    return Flaw("its strips hold more than their rows", lost=not unpacker.eof) if size > most else None


def _bmp(image: ImageFile.ImageFile, data: bytes) -> Iterator[Flaw]:
    """A header that counts more bytes than its sides have, by a row or more; some writers count a few more."""
    if int.from_bytes(data[14:18], "little") < 40 or len(data) < 38:  # OS/2's header counts no bytes
        return
    width, height, _, bits, packing, size = struct.unpack_from("<iiHHII", data, 18)
    stride = (abs(width) * bits + 31) // 32 * 4
    if packing in (0, 3) and stride * (abs(height) + 1) <= size:
        yield Flaw("its header counts more pixels than its sides have", lost=False)


def _tiff(image: ImageFile.ImageFile, data: bytes) -> Iterator[Flaw]:
    """Wrong checksums and odd lengths of deflated strips, and the flaws of strips that are JPEGs."""
    tags = image.tag_v2
    kind = tags.get(COMPRESSION)
    places, sizes = (STRIPS, STRIP_SIZES) if STRIPS in tags else (TILES, TILE_SIZES)
    extents = zip(tags.get(places, ()), tags.get(sizes, ()), strict=False)
    if kind in DEFLATE:
        most = _size_of_part(image)
        found = [_strip_flaw(memoryview(data)[at : at + size], most) for at, size in extents]
        yield from dict.fromkeys(flaw for flaw in found if flaw)
    elif kind == JPEG_IN_TIFF:
        tables = tags.get(JPEG_TABLES, b"")
        tables = tables[2:-2] if tables[-2:] == b"\xff\xd9" else tables[2:]
        parts = (data[at : at + 2] + tables + data[at + 2 : at + size] for at, size in extents)
        yield from dict.fromkeys(flaw for part in parts for flaw in _jpeg_part(part))


def _size_of_part(image: ImageFile.ImageFile) -> int:
    """The bytes of the largest strip or tile of a TIFF, unpacked; a last one that is smaller may be as large.

    A strip may be filled up to the rows that strips have, where those are not without number.
    """
    tags = image.tag_v2
    if STRIPS in tags:
        width, height = tags[WIDTH], min(tags.get(STRIP_ROWS, tags[HEIGHT]), max(tags[HEIGHT], MOST_PADDING))
    else:
        width, height = tags.get(TILE_WIDTH, tags[WIDTH]), tags.get(TILE_HEIGHT, tags[HEIGHT])
    return height * -(-width * tags.get(SAMPLES, 1) * max(tags.get(BITS_PER_SAMPLE, (1,))) // 8)


def _jpeg_part(data: bytes) -> tuple[Flaw, ...]:
    """The flaws of a JPEG that is a part of a picture; decoded at an eighth, since nobody looks at it."""
    from PIL.JpegImagePlugin import JpegImageFile

    try:
        part = JpegImageFile(BytesIO(data))
        part.draft(part.mode, (1, 1))
        return jpeg.load(part, data)
    except MemoryError:
        raise
    except Exception:  # a kind that only the reader of TIFF understands
        return ()


def _webp(image: ImageFile.ImageFile, data: bytes) -> Iterator[Flaw]:
    """Codes left over: a decoder that does not miss what is cut off the end has lost its way before."""
    coded = webp_data(data)
    if coded is None or len(coded[1]) < 4 * SLACK:
        return
    kind, body = coded
    if not _webp_reads(kind, body[:-SLACK]):
        return
    padding = len(body.rstrip(body[-1:]))  # where bytes begin that are all the same
    if len(body) - padding < 2 * SLACK:
        yield Flaw("codes are left over after the last pixel")
    elif _webp_reads(kind, body[: padding - SLACK]) or not _webp_reads(kind, body[: padding + 2 * SLACK]):
        yield Flaw("codes are left over after the last pixel, or were overwritten")


def _webp_reads(kind: bytes, body: bytes) -> bool:
    from PIL.WebPImagePlugin import WebPImageFile

    chunk = kind + len(body).to_bytes(4, "little") + body + bytes(len(body) % 2)
    try:
        WebPImageFile(BytesIO(b"RIFF" + (4 + len(chunk)).to_bytes(4, "little") + b"WEBP" + chunk)).load()
        return True
    except MemoryError:
        raise
    except Exception:
        return False


def webp_data(data: bytes) -> tuple[bytes, bytes] | None:
    """The kind and the body of the chunk with the pixels of the first picture (RFC 9649, 2.5 to 2.7)."""
    at = 12
    while at + 8 <= len(data):
        kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if kind in (b"VP8 ", b"VP8L"):
            return kind, data[at + 8 : at + 8 + size]
        at += 8 + 16 if kind == b"ANMF" else 8 + size + size % 2  # the frame's chunks follow its header
    return None


def _avif(image: ImageFile.ImageFile, data: bytes) -> Iterator[Flaw]:
    """Codes that end elsewhere than in the mark and zeros of each tile (AV1, 8.2.4): dav1d, if strict, refuses them."""
    packets = _av1_packets(data)
    pixels = 4 * image.width * image.height + 2**20
    if any(not _av1_reads(packet, True, pixels) and _av1_reads(packet, False, pixels) for packet in packets):
        yield Flaw("its codes do not end where they should")


def _av1_packets(data: bytes) -> list[bytes]:
    """The coded pictures that make up the first one: colours, transparency, and the tiles of a large one."""
    import av

    found: dict[int, bytes] = {}
    try:
        # Opening would decode each picture once, were there a decoder for it.
        options = {"protocol_whitelist": "", "codec_whitelist": "none"}
        with av.open(BytesIO(data), format="mov", options=options) as container:
            streams = [stream for stream in container.streams.video if stream.codec_context.name == "libdav1d"]
            for packet in container.demux(streams) if streams else ():
                if packet.size and packet.stream_index not in found:
                    found[packet.stream_index] = bytes(packet)
                if len(found) == len(streams):
                    break
    except (av.FFmpegError, ValueError, AttributeError):
        return []
    return list(found.values())


def _av1_reads(packet: bytes, strict: bool, pixels: int) -> bool:
    import av

    decoder = av.CodecContext.create("libdav1d", "r")
    decoder.thread_count = 1
    decoder.options = {"max_pixels": str(pixels), **({"strict": "strict"} if strict else {})}
    try:
        return bool([*decoder.decode(av.Packet(packet)), *decoder.decode(None)])
    except (av.FFmpegError, ValueError):
        return False
