"""Label files: pictures whose values are names of what is shown, read as they are and never as light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from structkit.errors import InputError, StructkitError
from structkit.media import damage, formats
from structkit.media.files import Source, one_line, open_source, read_pieces
from structkit.media.pictures import MAX_BYTES, MAX_PIXELS
from structkit.media.raster import ORIENTATION, UPRIGHT, check_size

LOSSLESS = ("PNG", "TIFF", "BMP", "GIF", "WEBP")  # formats that can keep values
LOSSY = ("jpeg", "tiff_jpeg", "webp")  # compressions of TIFF that do not


@dataclass(frozen=True, eq=False)
class LabelRaster:
    """The values of a label file.

    values: (H, W) uint8 or uint16 ids, of a palette's colours their places; or (H, W, 3) uint8 RGB colours.
    palette: (P, 3) uint8 RGB, where ids have colours in the file; else None.
    """

    values: np.ndarray
    palette: np.ndarray | None = None

    @property
    def is_coloured(self) -> bool:
        """True where the values are colours."""
        return self.values.ndim == 3


def read_label_file(source: Source, *, name: str | None = None, max_pixels: int = MAX_PIXELS) -> LabelRaster:
    """The values of a label file: ids of one channel, of a palette its indices, of three channels the colours.

    A PNG of 1, 2 or 4 bits has its ids, not the levels of grey that they stand for.  Alpha and colour profiles are
    passed over; an EXIF orientation is applied, as it is to pictures.
    Raises InputError: missing, unreadable, damaged, truncated, over `max_pixels`, a format that does not keep values.
    """
    with open_source(source, name) as (name, stream):
        data = read_pieces(stream, MAX_BYTES + 1)
    format = None if formats.foreign(data[: formats.HEAD], name) else formats.recognise(data)
    if format is None:
        raise InputError(f"{name}: not a picture of a known format; labels are best PNGs of one channel")
    if format.name not in LOSSLESS:
        raise InputError(f"{name}: a {format.label}, which does not keep the values of labels; save them as PNG")
    try:
        image = format.open(data)
        if _is_lossy(image, data):
            fact = f"a {format.label} of a lossy compression, which does not keep the values of labels"
            raise InputError(f"{name}: {fact}; save them as PNG")
        if image.mode == "F":
            raise InputError(f"{name}: a {format.label} of fractions, and ids are whole numbers; save them as PNG")
        check_size(image.size, name, max_pixels)
        lost = [flaw.fact for flaw in damage.load(image, data, format) if flaw.lost]
        if lost:
            raise InputError(f"{name}: damaged or truncated {format.label} ({lost[0]}); copy it again")
        turn = UPRIGHT.get(image.getexif().get(ORIENTATION, 1), np.asarray) if format.name != "TIFF" else np.asarray
        palette = None
        if image.mode == "P":
            values = np.asarray(image)
            palette = np.frombuffer(bytes(image.getpalette("RGB") or ()), np.uint8).reshape(-1, 3)
        elif image.mode == "1":
            values = np.asarray(image).astype(np.uint8)
        elif image.mode in ("L", "LA", "I", "I;16", "I;16B"):
            values = _ids(np.asarray(image.getchannel(0) if image.mode == "LA" else image), name)
            if format.name == "PNG" and data[24] in (2, 4):  # IHDR's bits, which Pillow spreads over 255 levels
                values = values // (255 // (2 ** data[24] - 1))
        else:
            values = np.asarray(image.convert("RGB"))
    except (StructkitError, MemoryError):
        raise
    except Exception as error:  # a decoder's reaction to foreign bytes is not foreseeable
        raise InputError(f"{name}: damaged or truncated {format.label} ({one_line(error)}); copy it again") from error
    return LabelRaster(np.ascontiguousarray(turn(values)), palette)


def _is_lossy(image: Image.Image, data: bytes) -> bool:
    """True for a WebP or a TIFF, formats that can keep values, which does not."""
    if image.format == "WEBP":
        return (damage.webp_data(data) or (b"",))[0] == b"VP8 "
    return image.format == "TIFF" and image.info.get("compression") in LOSSY


def _ids(values: np.ndarray, name: str) -> np.ndarray:
    """Ids as uint8 or uint16.  Raises InputError for values that are neither."""
    if values.dtype == np.uint8:
        return values
    if values.min() < 0 or values.max() > 65535:
        raise InputError(f"{name}: ids from {values.min()} to {values.max()}; they go from 0 to 65535")
    return values.astype(np.uint16)
