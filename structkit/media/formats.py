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
    read_suffixes: tuple[str, ...] = ()  # further names of files that are read, and never written

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
        (".jpg", ".jpeg", ".jpe", ".jfif"),
        lambda h: h[:3] == b"\xff\xd8\xff",
        "JpegImageFile",
        65500,
        alpha=False,
        has_quality=True,
        read_suffixes=(".mpo",),  # several JPEGs in one file, as stereo cameras write them: the first is read
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
WRITTEN = tuple(suffix for f in FORMATS for suffix in f.suffixes)
ANIMATED = (".gif", ".webp", ".png")  # of the animated pictures that are written
MOVING = (*ANIMATED, ".apng", ".avif")  # of those that are read
SUFFIXES = tuple(suffix for f in FORMATS for suffix in (*f.suffixes, *f.read_suffixes))


@dataclass(frozen=True)
class ForeignFormat:
    """A picture format that is not read, so that a file of it can be called by its name.

    recognises: by the first HEAD bytes; None where a format has no such mark, or shares it with others.
    """

    label: str
    suffixes: tuple[str, ...]
    recognises: Callable[[bytes], bool] | None = None

    @property
    def way_out(self) -> str:
        """The advice for a file of this format."""
        return "convert it to .jpg" if self.label == "HEIC" else "convert it to .png"


def _begins(*marks: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(marks)


FOREIGN = (
    ForeignFormat(
        "HEIC",
        (".heic", ".heif", ".hif", ".heics", ".heifs", ".avci"),
        lambda h: h[4:8] == b"ftyp" and h[8:12] in HEIC and not _is_avif(h),
    ),
    ForeignFormat("JPEG XL", (".jxl",), _begins(b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")),
    ForeignFormat(
        "JPEG 2000",
        (".jp2", ".j2k", ".jpx", ".jpf", ".j2c", ".jpc", ".jpm", ".jph", ".jhc"),
        _begins(b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
    ),
    ForeignFormat("JPEG XR", (".jxr", ".wdp", ".hdp"), _begins(b"II\xbc\x01", b"II\xbc\0")),
    ForeignFormat("JPEG-LS", (".jls",)),
    ForeignFormat("TGA", (".tga", ".icb", ".vda", ".vst")),
    ForeignFormat("Photoshop", (".psd", ".psb"), _begins(b"8BPS\0\x01", b"8BPS\0\x02")),
    ForeignFormat("GIMP", (".xcf",), _begins(b"gimp xcf")),
    ForeignFormat("Krita", (".kra", ".ora")),
    ForeignFormat("SVG", (".svg", ".svgz"), lambda h: h.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<svg")),
    ForeignFormat("PostScript", (".eps",), _begins(b"%!PS-Adobe-", b"\xc5\xd0\xd3\xc6")),
    ForeignFormat("OpenEXR", (".exr",), _begins(b"v/1\x01")),
    ForeignFormat("Radiance HDR", (".hdr", ".rgbe"), _begins(b"#?RADIANCE", b"#?RGBE")),
    ForeignFormat("DPX", (".dpx", ".cin"), _begins(b"SDPX", b"XPDS", b"\x80\x2a\x5f\xd7")),
    ForeignFormat("DDS", (".dds",), _begins(b"DDS |\0\0\0")),
    ForeignFormat("KTX", (".ktx", ".ktx2"), _begins(b"\xabKTX ")),
    ForeignFormat(
        "icon",
        (".ico", ".cur", ".icns"),
        lambda h: (h[:4] in (b"\0\0\x01\0", b"\0\0\x02\0") and h[4:5] != b"\0" and h[5:6] == b"\0") or h[:4] == b"icns",
    ),
    ForeignFormat(
        "Netpbm",
        (".ppm", ".pgm", ".pbm", ".pnm", ".pam", ".pfm"),
        lambda h: h[:1] == b"P" and h[1:2] in b"1234567Ff" and h[2:3] in b" \t\r\n" and len(h) > 2,
    ),
    ForeignFormat("QOI", (".qoi",), _begins(b"qoif")),
    ForeignFormat("farbfeld", (".ff",), _begins(b"farbfeld")),
    ForeignFormat("PCX", (".pcx",)),
    ForeignFormat("SGI", (".sgi", ".rgb", ".rgba", ".bw"), _begins(b"\x01\xda\0\x01", b"\x01\xda\x01\x01")),
    ForeignFormat("Sun raster", (".ras", ".sun"), _begins(b"\x59\xa6\x6a\x95")),
    ForeignFormat("XBM or XPM", (".xbm", ".xpm"), _begins(b"/* XPM */")),
    ForeignFormat("FITS", (".fits", ".fit", ".fts"), _begins(b"SIMPLE  =")),
    ForeignFormat("DICOM", (".dcm", ".dicom")),
    ForeignFormat("JNG or MNG", (".jng", ".mng"), _begins(b"\x8bJNG\r\n", b"\x8aMNG\r\n")),
    ForeignFormat("FLIF", (".flif",), _begins(b"FLIF")),
    ForeignFormat("BPG", (".bpg",), _begins(b"BPG\xfb")),
    ForeignFormat("DjVu", (".djvu", ".djv"), _begins(b"AT&TFORM")),
    ForeignFormat("WMF or EMF", (".wmf", ".emf"), _begins(b"\xd7\xcd\xc6\x9a")),
    ForeignFormat(
        "raw",
        (
            *(".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".sr2", ".srf", ".dng", ".raf", ".orf", ".rw2", ".pef"),
            *(".srw", ".x3f", ".3fr", ".fff", ".iiq", ".mrw", ".rwl", ".erf", ".kdc", ".dcr", ".mos", ".gpr", ".raw"),
        ),
        lambda h: (
            h.startswith((b"FUJIFILMCCD-RAW", b"FOVb", b"\0MRM", b"IIRO", b"IIRS", b"MMOR", b"IIU\0"))
            or h[8:11] == b"CR\x02"
            or h[4:12] == b"ftypcrx "
            or h[6:14] == b"HEAPCCDR"
        ),
    ),
)
PICTURE_LIKE = frozenset(suffix for f in FOREIGN for suffix in f.suffixes)  # in folders such files are named, not read


def recognise(head: bytes) -> Format | None:
    """The format whose files begin like `head` (the first HEAD bytes), or None."""
    return next((f for f in FORMATS if f.recognises(head)), None)


def foreign(head: bytes, name: str = "") -> ForeignFormat | None:
    """The format, none of those that are read, whose files begin like `head`; else the one that a name's suffix says.

    name: of the file, or empty where only the bytes count.
    None for what begins like a format that is read; but a raw picture of a camera is none of these.
    """
    format, raw = recognise(head), FOREIGN[-1]
    if format is None:
        return next((f for f in FOREIGN if f.recognises and f.recognises(head)), None) or foreign_by_name(name)
    # Raw pictures of cameras begin like a TIFF, and a reader of TIFF finds nothing but their thumbnail.
    return raw if format.name == "TIFF" and (raw.recognises(head) or foreign_by_name(name) is raw) else None


def foreign_by_name(name: str | Path) -> ForeignFormat | None:
    """The format, none of those that are read, that a name's suffix says; None for another suffix."""
    suffix = Path(name).suffix.lower()
    return next((f for f in FOREIGN if suffix in f.suffixes), None)


def format_of(path: str | Path) -> Format:
    """The format that a file's suffix asks for (also a bare suffix or name: "png", ".png").  Raises OutputError."""
    suffix = (Path(path).suffix or f".{str(path).lstrip('.')}").lower()
    for f in FORMATS:
        if suffix in f.suffixes:
            return f
    raise OutputError(f"{path}: unknown picture format; end the name in one of {' '.join(WRITTEN)}")


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


def tiff_pages(data: bytes) -> int:
    """The number of pages of a TIFF: of its directories, each of which says where the next one is (TIFF 6.0, page 14).

    Pillow's count reads each of them, which takes minutes where there are very many.
    """
    order = "little" if data[:2] == b"II" else "big"
    large = data[2:4] in (b"+\0", b"\0+")  # BigTIFF
    count, entry, word = (8, 20, 8) if large else (2, 12, 4)

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], order)

    seen: set[int] = set()
    at = number(8 if large else 4, word)
    while 0 < at <= len(data) - count and at not in seen:
        seen.add(at)
        at = number(at + count + entry * number(at, count), word)
    return len(seen)
