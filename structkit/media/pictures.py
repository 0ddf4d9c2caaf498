"""Still pictures: bytes on disk <-> arrays.

A picture that comes in is checked (size before decoding, truncation, checksums) and brought to one form: upright, sRGB,
straight alpha, 8 or 16 bits.  A picture that goes out is sRGB without a profile, which is what an untagged picture
means, in the format that the name's suffix asks for; the same picture always gives the same bytes.  For the metadata
that are kept see `structkit.media.exif`.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from structkit.configs.media import MAX_PIXELS, PICTURE_QUALITY
from structkit.errors import DeviceError, InputError, OptionError, OutputError, StructkitError
from structkit.media import damage, formats, raster, sixteen
from structkit.media.exif import Metadata, into_png, into_tiff
from structkit.media.files import MOST_IN_MEMORY, Source, one_line, open_source, read_pieces, write_atomically
from structkit.media.formats import Format
from structkit.media.jpeg import ScanLimitError
from structkit.media.warned import warnings_of_this_thread

MAX_BYTES = MOST_IN_MEMORY  # the largest file
INDEXED = ("PNG", "TIFF", "BMP", "GIF")  # formats that can hold a palette


@dataclass(frozen=True, eq=False)
class PaletteIndices:
    """The colours of a picture by their places in a palette, which files keep where they can.

    indices: (H, W) uint8.
    palette: (P, 3) uint8 RGB, of all indices; two may have one colour.
    """

    indices: np.ndarray
    palette: np.ndarray

    @property
    def pixels(self) -> np.ndarray:
        """The colours, (H, W, 3) uint8."""
        return self.palette[self.indices]


@dataclass(frozen=True, eq=False)
class Picture:
    """A still picture.

    pixels: (H, W, 3) uint8 or uint16, sRGB over the full range.
    alpha: (H, W) of the same dtype, straight (not premultiplied), or None.
    name: the picture's name in messages.
    notes: changes on the way in, one line each.
    metadata: resolution and EXIF tags that are kept.
    grey: true for a mask: where its three channels are equal, files have one channel, if the format can.
    found: the share of the picture, 0 to 1, where a model has found its content; None where none has looked for it.
    palette: the pixels by their places in a palette, whose meaning only a lossless file keeps; None for most pictures.
    shares: the share of the picture, 0 to 1, of each class that a model tells apart, by name; None where none has.
    draft: the draft of an analogy that it is, or was made from, with its `name` and its `scores`, which are None where
    there was nothing to choose from; None for other pictures.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    name: str = "picture"
    notes: tuple[str, ...] = ()
    metadata: Metadata = field(default_factory=Metadata)
    grey: bool = False
    found: float | None = None
    palette: PaletteIndices | None = None
    shares: Mapping[str, float] | None = None
    draft: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        p, a = self.pixels, self.alpha
        if p.dtype not in (np.uint8, np.uint16) or p.ndim != 3 or p.shape[2] != 3 or 0 in p.shape:
            raise InputError(
                f"{self.name}: pixels are {p.dtype} {p.shape}; they must be uint8 or uint16 (H, W, 3) and not empty"
            )
        if a is not None and (a.dtype != p.dtype or a.shape != p.shape[:2]):
            raise InputError(
                f"{self.name}: alpha is {a.dtype} {a.shape}; it must be {p.dtype} {p.shape[:2]}, as the pixels are"
            )

    @property
    def height(self) -> int:
        return self.pixels.shape[0]

    @property
    def width(self) -> int:
        return self.pixels.shape[1]

    @property
    def bits(self) -> int:
        return 8 * self.pixels.dtype.itemsize

    @property
    def sha256(self) -> str:
        """The hash of pixels and alpha, in hex: it tells apart pictures that never were files."""
        arrays = (self.pixels, self.alpha)
        digest = hashlib.sha256(repr([None if a is None else (a.shape, a.dtype.name) for a in arrays]).encode())
        for array in arrays:
            digest.update(b"" if array is None else array.tobytes())
        return digest.hexdigest()

    def at(self, bits: Literal[8, 16]) -> "Picture":
        """The picture at 8 or 16 bits.  8 -> 16 -> 8 is the identity; 16 -> 8 takes the nearest level."""
        alpha = None if self.alpha is None else sixteen.at_bits(self.alpha, bits)
        return replace(self, pixels=sixteen.at_bits(self.pixels, bits), alpha=alpha)


def picture_in_grey(levels: np.ndarray, **facts: Any) -> Picture:
    """The picture of one channel, (H, W) uint8 or uint16: its three channels are the same memory.

    So the pixels cannot be written to, which would change all three; a copy of them can.
    facts: the picture's other fields.
    """
    pixels = np.ndarray((*levels.shape, 3), levels.dtype, levels, 0, (*levels.strides, 0))
    pixels.flags.writeable = False
    return Picture(pixels, grey=True, **facts)


def read_picture(
    source: Source, *, name: str | None = None, max_pixels: int = MAX_PIXELS, tolerant: bool = False
) -> Picture:
    """Read a PNG, JPEG, WebP, TIFF, BMP, GIF or AVIF, recognised by its content.

    source: a path, the file's bytes, or a binary stream (read to its end).
    name: the picture's name in messages.
    tolerant: a damaged picture is taken as far as it goes, with a note that says so; what is missing is black, or what
    the decoder makes up.  Nothing is left of a WebP or an AVIF that was cut, of a TIFF without its directory, and of a
    TIFF that is a single packed strip.
    16-bit PNG and TIFF give uint16.  EXIF orientation is applied and colour profiles are converted to sRGB.  Of an
    animation or a multi-page file the first picture is read.  Losses and changes on the way are in `notes`.
    Raises InputError: missing, unreadable, another format, damaged, truncated, empty, or over `max_pixels` (checked
    before decoding); DeviceError where memory does not suffice.
    """
    label = name or (str(source) if isinstance(source, str | Path) else "a picture")
    with _enough_memory(label):
        return _read(source, name, max_pixels, tolerant)


@contextmanager
def _enough_memory(name: str) -> Iterator[None]:
    """A context in which too little memory is a DeviceError."""
    try:
        yield
    except MemoryError as error:
        raise DeviceError(f"{name}: memory ran out while it was read; free some, or shrink the picture") from error


def _read(source: Source, name: str | None, max_pixels: int, tolerant: bool) -> Picture:
    with open_source(source, name) as (name, stream):
        head = read_pieces(stream, formats.HEAD)
        format = None if formats.foreign(head, name) else formats.recognise(head)
        data = read_pieces(stream, MAX_BYTES + 1, head) if format else b""
    if not head:
        raise InputError(f"{name}: an empty file (0 bytes); pictures read: {formats.NAMES}")
    if foreign := formats.foreign(head, name):
        raise InputError(f"{name}: {foreign.label} picture: {foreign.way_out}")
    if format is None:
        raise InputError(
            f"{name}: not a picture of a known format; pictures read: {formats.NAMES}; convert it to one of them"
        )
    if len(data) > MAX_BYTES:
        raise InputError(f"{name}: over the limit of {MAX_BYTES >> 30} GiB for one picture file; save it compressed")
    with warnings_of_this_thread() as warned:
        try:
            found = raster.decode(data, format, name, max_pixels, tolerant)
        except (StructkitError, MemoryError):
            raise
        except ScanLimitError as error:
            raise InputError(f"{name}: {error}") from error
        except Image.DecompressionBombError as error:  # WebP's reader has a limit of its own, above ours
            raise InputError(f"{name}: {one_line(error)}; shrink it") from error
        except Exception as error:  # a decoder's reaction to foreign bytes is not foreseeable
            fact = one_line(error) or type(error).__name__
            if "out of memory" in fact.lower() or not damage.has_room(data, format, max_pixels):
                raise MemoryError from error
            raise InputError(
                f"{name}: damaged or truncated {format.label} ({fact}); copy or export it again from the original"
            ) from error
    notes = (*found.notes, *(f"the {format.label} reader says: {one_line(w)}" for w in warned))
    return Picture(found.pixels, found.alpha, name, tuple(dict.fromkeys(notes)), found.metadata)


def encode_picture(
    picture: Picture, format: str = "png", *, quality: int | None = None, keep_metadata: bool = True
) -> bytes:
    """The bytes of a picture file.

    format: a suffix or a name that ends in one.
    quality: 1 to 100, for JPEG (default 95), AVIF (90) and WebP (lossless by default); refused elsewhere.
    keep_metadata: write `picture.metadata` where the format has a place for it (GIF has none, BMP only resolution).
    PNG and TIFF hold 8 or 16 bits, the others the nearest 8.  GIF takes the best 256 colours, and alpha of one half or
    more as opaque.
    Of `picture.palette` PNG, TIFF, BMP and GIF hold the indices, and a lossless WebP the colours.
    Raises OutputError (unknown format; transparency in JPEG or BMP; a palette where colours change; a side too long),
    OptionError (quality).
    """
    return _encode(picture, formats.format_of(format), quality, keep_metadata, picture.name)


def write_picture(picture: Picture, path: str | Path, *, quality: int | None = None, keep_metadata: bool = True) -> str:
    """Write a picture atomically, in the format of the path's suffix; returns the file's SHA-256 in hex.

    See `encode_picture`.
    """
    data = _encode(picture, formats.format_of(path), quality, keep_metadata, path)
    write_atomically(path, data)
    return hashlib.sha256(data).hexdigest()


def _encode(picture: Picture, format: Format, quality: int | None, keep_metadata: bool, where: str | Path) -> bytes:
    if quality is not None and not format.has_quality:
        raise OptionError(
            f"{where}: quality does not apply to {format.label}; it applies to JPEG, WebP and AVIF; leave it out"
        )
    if quality is not None and not 1 <= quality <= 100:
        raise OptionError(f"{where}: quality {quality}; it goes from 1 to 100")
    if max(picture.width, picture.height) > format.max_side:
        fact = (
            f"{picture.width} x {picture.height} pixels, over the {format.max_side} a side that {format.label} can hold"
        )
        raise OutputError(f"{where}: {fact}; write .png or .tif")
    if not format.alpha and picture.alpha is not None:
        if picture.alpha.min() < np.iinfo(picture.alpha.dtype).max:
            raise OutputError(
                f"{where}: {format.label} cannot hold transparency; write .png, .webp, .tif, .avif or .gif"
            )
        picture = replace(picture, alpha=None)
    if picture.palette is not None and not np.array_equal(picture.palette.pixels, picture.pixels):
        picture = replace(picture, palette=None)  # it was painted on
    if picture.palette is not None and not keeps_colours(format, quality):
        raise OutputError(
            f"{where}: {format.label} changes colours, and here each stands for something; write .png, or .webp "
            "without a quality"
        )
    metadata = picture.metadata if keep_metadata else Metadata()
    try:
        if picture.bits == 16 and format.bits == 16:
            samples = picture.pixels if picture.alpha is None else np.dstack([picture.pixels, picture.alpha])
            data = sixteen.write_samples(samples, format.name.lower())
            data = into_png(data, metadata) if format.name == "PNG" else data
        else:
            data = formats.save(_image(picture.at(8), format), format, **_options(picture, format, quality, metadata))
        return into_tiff(data, metadata) if format.name == "TIFF" else data
    except Exception as error:  # an encoder's refusal; everything that is the caller's was checked above
        fact = one_line(error) or type(error).__name__
        raise OutputError(f"{where}: cannot be encoded as {format.label} ({fact}); write .png") from error


def keeps_colours(format: Format, quality: int | None) -> bool:
    """True where a file of the format has exactly the colours of the picture, at this quality or without one."""
    return format.name in INDEXED or (format.name == "WEBP" and quality is None)


def _image(picture: Picture, format: Format) -> Image.Image:
    if picture.palette is not None and format.name in INDEXED and picture.alpha is None:
        image = Image.fromarray(picture.palette.indices, "P")
        image.putpalette(picture.palette.palette.tobytes(), "RGB")
        return image
    if picture.grey and picture.alpha is None and _is_grey(picture.pixels):
        return Image.fromarray(np.ascontiguousarray(picture.pixels[..., 0]))  # Pillow makes it RGB for WebP
    if picture.alpha is None:
        image = Image.fromarray(picture.pixels)
        return image.quantize(256, dither=Image.Dither.NONE) if format.name == "GIF" else image
    if format.name != "GIF":
        return Image.fromarray(np.dstack([picture.pixels, picture.alpha]))
    # The last of 256 colours is the transparent one.
    image = Image.fromarray(picture.pixels).quantize(255, dither=Image.Dither.NONE)
    image.paste(255, mask=Image.fromarray(picture.alpha < 128))
    image.info["transparency"] = 255
    return image


def _is_grey(pixels: np.ndarray) -> bool:
    """True if the three channels are equal; those of `picture_in_grey` are one."""
    return pixels.strides[2] == 0 or all((pixels[..., 0] == pixels[..., c]).all() for c in (1, 2))


def _options(picture: Picture, format: Format, quality: int | None, metadata: Metadata) -> dict[str, object]:
    """The options of Pillow's writer."""
    options: dict[str, object] = {}
    if picture.palette is not None:  # all readers know a PNG of 8 bits; a GIF's writer would leave colours out
        options |= {"PNG": {"bits": 8}, "GIF": {"optimize": False}}.get(format.name, {})
    if format.name == "WEBP":  # exact: keep the colours under transparent pixels
        options |= {"lossless": True, "exact": True} if quality is None else {"quality": quality, "exact": True}
    elif format.has_quality:
        options |= {
            "quality": quality or PICTURE_QUALITY[format.name],
            "subsampling": 0 if format.name == "JPEG" else "4:4:4",
        }
    elif format.name == "TIFF":
        return {"compression": "tiff_adobe_deflate"}
    if format.name in ("PNG", "JPEG", "BMP"):
        # A BMP has no other way to say "unknown".
        options["dpi"] = metadata.dpi or (0, 0) if format.name == "BMP" else metadata.dpi
    if format.has_exif and metadata != Metadata():
        options["exif"] = metadata.tags().tobytes()
    return {name: value for name, value in options.items() if value is not None}
