"""Metadata: what a picture carries besides its pixels, and the one rule for keeping it.

Kept: the resolution, and the EXIF tags in KEPT (who made it, when, with which kind of camera and exposure).
Dropped: everything else.  The list is of what is kept, and not of what is dropped, because pictures get published:
place (GPS), serial numbers, owners, comments, thumbnails, makers' notes and XMP stay private even where we do not know
their tag.  Orientation and colour space are dropped because the pixels are upright sRGB by then.
"""

import math
import struct
import zlib
from dataclasses import dataclass
from io import BytesIO
from itertools import accumulate
from numbers import Rational

from PIL import Image

EXIF_IFD = 0x8769
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 282, 283, 296

# ImageDescription, Make, Model, DateTime, Artist, Copyright (TIFF 6.0)
KEPT = (270, 271, 272, 306, 315, 33432)
# ExposureTime, FNumber, ISO, the dates with their offsets and fractions, ExposureBias, Flash, FocalLength, 35 mm, lens
# model (EXIF 2.32)
KEPT_EXIF = (
    33434,
    33437,
    34855,
    36867,
    36868,
    36880,
    36881,
    36882,
    37380,
    37385,
    37386,
    37520,
    37521,
    37522,
    41989,
    42036,
)


Tags = tuple[tuple[int, object], ...]


@dataclass(frozen=True)
class Metadata:
    """The metadata that is kept of a picture.

    dpi: (x, y) dots an inch, or None.
    exif, photo: the kept tags and their values, of EXIF's first and of its camera directory.
    """

    dpi: tuple[float, float] | None = None
    exif: Tags = ()
    photo: Tags = ()

    def tags(self) -> Image.Exif:
        """The metadata as EXIF tags, the resolution among them."""
        tags = Image.Exif()
        for tag, value in self.exif:
            is_foreign = isinstance(value, str) and not value.isascii()
            tags[tag] = value.encode("latin-1", "replace") if is_foreign else value  # as Pillow read it: byte by byte
        if self.photo:
            tags[EXIF_IFD] = dict(self.photo)
        if self.dpi:
            tags[X_RESOLUTION], tags[Y_RESOLUTION], tags[RESOLUTION_UNIT] = *self.dpi, 2
        return tags


def kept_metadata(image: Image.Image) -> Metadata:
    """The metadata of an opened picture that the rule keeps.  Raises whatever Pillow raises on a broken EXIF block."""
    tags = image.getexif()
    metadata = Metadata(_resolution(image, tags), _kept(tags, KEPT), _kept(tags.get_ifd(EXIF_IFD), KEPT_EXIF))
    metadata.tags().tobytes()  # fails here, and not in the writer, where a value does not fit its tag
    return metadata


def into_png(png: bytes, metadata: Metadata) -> bytes:
    """A PNG with these metadata: only its chunks that make the picture, and the metadata before them.

    PNG, third edition, 11.3.2.5 and 11.3.4.3.
    """
    at, whole = 8, memoryview(png)
    chunks: dict[bytes, list[memoryview]] = {b"IHDR": [], b"IDAT": [], b"IEND": []}
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        if kind in chunks:
            chunks[kind].append(whole[at : at + length + 12])
        at += length + 12

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    # Dots a metre.
    extra = chunk(b"pHYs", struct.pack(">IIB", *(round(d / 0.0254) for d in metadata.dpi), 1)) if metadata.dpi else b""
    extra += chunk(b"eXIf", metadata.tags().tobytes().removeprefix(b"Exif\0\0")) if metadata != Metadata() else b""
    return b"".join([whole[:8], *chunks[b"IHDR"], extra, *chunks[b"IDAT"], *chunks[b"IEND"]])


def into_tiff(tiff: bytes, metadata: Metadata) -> bytes:
    """A little-endian TIFF with these metadata: its directory is written anew.

    The encoder's tags about itself are left out, and the strips stay as they are.  Pillow's own writer cannot put EXIF
    into a compressed TIFF.
    """
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    old = ImageFileDirectory_v2(tiff[:8])
    stream = BytesIO(tiff)
    stream.seek(old.next)
    old.load(stream)
    strips = [memoryview(tiff)[at : at + size] for at, size in zip(old[273], old[279], strict=True)]
    tags = {tag: value for tag, value in old.items() if tag != 305}  # Software
    # Unknown resolution; deflate by its registered number.
    tags |= {X_RESOLUTION: 1, Y_RESOLUTION: 1, RESOLUTION_UNIT: 1, 259: 8}
    tags |= dict(metadata.tags())
    new = ImageFileDirectory_v2()
    for tag, value in tags.items():
        new[tag] = value
    new[273] = (0, *accumulate(map(len, strips[:-1])))  # from the directory's end: Pillow adds where that is
    return b"II*\0\x08\0\0\0" + new.tobytes(8) + b"".join(strips)


def _kept(tags: Image.Exif | dict, which: tuple[int, ...]) -> Tags:
    found = ((tag, tags.get(tag)) for tag in which)
    found = ((tag, value.strip("\0 ") if isinstance(value, str) else value) for tag, value in found)
    return tuple((tag, value) for tag, value in found if (value and isinstance(value, str)) or _is_number(value))


def _is_number(value: object) -> bool:
    return (
        isinstance(value, int | float | Rational)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and abs(value) < 2**31
    )


def _resolution(image: Image.Image, tags: Image.Exif) -> tuple[float, float] | None:
    """The resolution, dots an inch: the container's own, else EXIF's.

    Pillow's guess of 72 for a JPEG that says nothing is not taken, and 1 means none.
    """
    stated = image.format != "JPEG" or image.info.get("jfif_unit") in (1, 2)
    dpi = image.info.get("dpi") if stated else None
    unit = {2: 1.0, 3: 2.54}.get(tags.get(RESOLUTION_UNIT, 2))
    if dpi is None and unit and X_RESOLUTION in tags and Y_RESOLUTION in tags:
        dpi = (tags[X_RESOLUTION], tags[Y_RESOLUTION])
        dpi = tuple(d * unit for d in dpi) if all(map(_is_number, dpi)) else None
    if not isinstance(dpi, tuple) or len(dpi) != 2 or not all(_is_number(d) and 1 < d <= 65535 for d in dpi):
        return None
    return round(float(dpi[0]), 3), round(float(dpi[1]), 3)
