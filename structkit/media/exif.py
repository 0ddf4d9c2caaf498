"""What a picture carries besides its pixels, and the one rule for keeping it.

Kept: the resolution, and the EXIF tags in KEPT (who made it, when, with which kind of camera and exposure).
Dropped: everything else.  A list of what is kept, and not of what is dropped, because pictures get published: place (GPS), serial numbers,
owners, comments, thumbnails, makers' notes and XMP stay private even where we do not know their tag; orientation and colour space
are dropped because the pixels are upright sRGB by then.
"""

import math
from dataclasses import dataclass
from numbers import Rational

from PIL import Image

EXIF_IFD = 0x8769
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 282, 283, 296

# ImageDescription, Make, Model, DateTime, Artist, Copyright (TIFF 6.0)
KEPT = (270, 271, 272, 306, 315, 33432)
# ExposureTime, FNumber, ISO, the dates with their offsets and fractions, ExposureBias, Flash, FocalLength, 35 mm, lens model (EXIF 2.32)
KEPT_EXIF = (33434, 33437, 34855, 36867, 36868, 36880, 36881, 36882, 37380, 37385, 37386, 37520, 37521, 37522, 41989, 42036)


@dataclass(frozen=True)
class Metadata:
    """dpi: (x, y) dots an inch, or None.  exif: the kept tags as an EXIF block without resolution, or b""."""

    dpi: tuple[float, float] | None = None
    exif: bytes = b""

    def tags(self) -> Image.Exif:
        """Everything as EXIF tags, the resolution among them."""
        tags = Image.Exif()
        if self.exif:
            tags.load(self.exif)
        if self.dpi:
            tags[X_RESOLUTION], tags[Y_RESOLUTION], tags[RESOLUTION_UNIT] = *self.dpi, 2
        return tags


def kept_metadata(image: Image.Image) -> Metadata:
    """Apply the rule to an opened picture.  Raises whatever Pillow raises on a broken EXIF block."""
    tags = image.getexif()
    kept = Image.Exif()
    _copy(tags, kept, KEPT)
    photo: dict[int, object] = {}
    _copy(tags.get_ifd(EXIF_IFD), photo, KEPT_EXIF)
    if photo:
        kept[EXIF_IFD] = photo
    return Metadata(_resolution(image, tags), kept.tobytes() if len(kept) else b"")


def _copy(tags: Image.Exif | dict, kept: Image.Exif | dict, which: tuple[int, ...]) -> None:
    for tag in which:
        value = tags.get(tag)
        if isinstance(value, str) and value.strip("\0 "):
            value = value.strip("\0 ")
            kept[tag] = value if value.isascii() else value.encode("latin-1", "replace")  # as it was read: byte by byte
        elif _is_number(value):
            kept[tag] = value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Rational) and not isinstance(value, bool) and math.isfinite(value) and abs(value) < 2**31


def _resolution(image: Image.Image, tags: Image.Exif) -> tuple[float, float] | None:
    """Dots an inch: the container's own, else EXIF's.  Pillow's guess of 72 for a JPEG that says nothing is not taken."""
    stated = image.format != "JPEG" or image.info.get("jfif_unit") in (1, 2)
    dpi = image.info.get("dpi") if stated else None
    unit = {2: 1.0, 3: 2.54}.get(tags.get(RESOLUTION_UNIT, 2))
    if dpi is None and unit and X_RESOLUTION in tags and Y_RESOLUTION in tags:
        dpi = (tags[X_RESOLUTION], tags[Y_RESOLUTION])
        dpi = tuple(d * unit for d in dpi) if all(map(_is_number, dpi)) else None
    if not isinstance(dpi, tuple) or len(dpi) != 2 or not all(_is_number(d) and 1 <= d <= 65535 for d in dpi):
        return None
    return round(float(dpi[0]), 3), round(float(dpi[1]), 3)
