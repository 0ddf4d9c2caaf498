"""The seven still-picture formats: how each is recognised and opened, and what it can hold.

Formats are recognised by their first bytes; a file's name decides only what is written.
Pillow's readers are opened one by one and not through `Image.open`: its list of formats is longer than ours, and its
own size limit is a global that a library must not change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from structkit.errors import OutputError

if TYPE_CHECKING:  # Pillow is loaded with the first picture: a command line sorts its inputs by what stands here
    from PIL import Image, ImageFile

PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
HEAD = 32  # bytes that suffice to recognise a format


@dataclass(frozen=True)
class Format:
    """A still-picture format.

    name: Pillow's.
    has_quality: its writer has a quality, 1 to 100.
    """

    name: str
    suffixes: tuple[str, ...]
    recognises: Callable[[bytes], bool]
    reader: str  # class in Pillow's plug-in module
    max_side: int  # the longest side that the format can hold, px
    alpha: bool = True
    bits: int = 8  # most bits a channel that are written
    has_quality: bool = False
    has_exif: bool = True

    @property
    def label(self) -> str:
        """The name as messages write it."""
        return self.name.replace("WEBP", "WebP")

    def open(self, data: bytes | BinaryIO) -> ImageFile.ImageFile:
        """Parse the header.  Raises whatever Pillow raises."""
        plugin = self.reader.removesuffix("File").removesuffix("Image") + "ImagePlugin"
        return getattr(import_module(f"PIL.{plugin}"), self.reader)(BytesIO(data) if isinstance(data, bytes) else data)

    def is_whole(self, data: bytes) -> bool:
        """True if the file's last block is there, for the formats where Pillow reads on without it.

        Raises whatever Pillow raises where a PNG's checksum is wrong.
        """
        if self.name == "PNG":
            self.open(data).verify()
            return PNG_END in data
        return self.name != "GIF" or _gif_has_its_end(data)


def _is_avif(head: bytes) -> bool:
    return head[4:8] == b"ftyp" and (head[8:12] in (b"avif", b"avis") or b"avif" in head[16:])


# Brands: ISO/IEC 23008-12, 10.
HEIC = (
    b"heic",
    b"heix",
    b"heim",
    b"heis",
    b"hevc",
    b"hevx",
    b"hevm",
    b"hevs",
    b"mif1",
    b"msf1",
)

FORMATS = (
    Format("PNG", (".png",), lambda h: h[:8] == b"\x89PNG\r\n\x1a\n", "PngImageFile", 2**31 - 1, bits=16),
    Format(
        "JPEG",
        (".jpg", ".jpeg"),
        lambda h: h[:3] == b"\xff\xd8\xff",
        "JpegImageFile",
        65500,
        alpha=False,
        has_quality=True,
    ),
    Format(
        "WEBP", (".webp",), lambda h: h[:4] == b"RIFF" and h[8:12] == b"WEBP", "WebPImageFile", 16383, has_quality=True
    ),
    Format(
        "TIFF",
        (".tif", ".tiff"),
        lambda h: h[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
        "TiffImageFile",
        2**31 - 1,
        bits=16,
    ),
    Format("BMP", (".bmp",), lambda h: h[:2] == b"BM", "BmpImageFile", 2**31 - 1, alpha=False, has_exif=False),
    Format("GIF", (".gif",), lambda h: h[:6] in (b"GIF87a", b"GIF89a"), "GifImageFile", 65535, has_exif=False),
    Format("AVIF", (".avif",), _is_avif, "AvifImageFile", 65535, has_quality=True),
)
NAMES = ", ".join(f.label for f in FORMATS)
SUFFIXES = tuple(suffix for f in FORMATS for suffix in f.suffixes)


def recognise(head: bytes) -> Format | None:
    """The format whose files begin like `head` (the first HEAD bytes), or None."""
    return next((f for f in FORMATS if f.recognises(head)), None)


def is_heic(head: bytes) -> bool:
    """True for a file that begins like `head` and holds a HEIC picture, as telephones take them.

    Such a file looks like an MP4; structkit does not read it.
    """
    return head[4:8] == b"ftyp" and head[8:12] in HEIC and not _is_avif(head)


def format_of(path: str | Path) -> Format:
    """The format that a file's suffix asks for (also a bare suffix or name: "png", ".png").  Raises OutputError."""
    suffix = (Path(path).suffix or f".{str(path).lstrip('.')}").lower()
    for f in FORMATS:
        if suffix in f.suffixes:
            return f
    raise OutputError(f"{path}: unknown picture format; end the name in one of {' '.join(SUFFIXES)}")


def save(image: Image.Image, format: Format, **options: object) -> bytes:
    """The bytes of an image, encoded with Pillow.  Raises whatever Pillow raises."""
    buffer = BytesIO()
    image.save(buffer, format.name, **options)
    return buffer.getvalue()


def _gif_has_its_end(data: bytes) -> bool:
    """True if the blocks of a GIF lead to its trailer (GIF89a, sections 18 to 27)."""

    def table(flags: int) -> int:
        return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0

    try:
        at = 13 + table(data[10])
        while data[at] != 0x3B:
            if data[at] == 0x2C:  # an image: descriptor, colour table, code size
                at += 10 + table(data[at + 9]) + 1
            elif data[at] == 0x21:  # an extension
                at += 2
            else:
                return False
            while data[at]:  # data blocks, each led by its length
                at += 1 + data[at]
            at += 1
    except IndexError:
        return False
    return True
