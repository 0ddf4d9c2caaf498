"""Decoding: a picture file's bytes -> upright sRGB levels and alpha, whatever mode the file is in."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageFile

from structkit.errors import InputError
from structkit.media import colour, damage, formats, sixteen
from structkit.media.exif import Metadata, kept_metadata
from structkit.media.files import COPY_OR_TOLERATE, one_line
from structkit.media.formats import Format

ORIENTATION, PHOTOMETRIC = 274, 262  # EXIF and TIFF tags
UPRIGHT: dict[
    int, Callable[[np.ndarray], np.ndarray]
] = {  # orientation -> how to turn rows and columns (EXIF 2.32, 4.6.4 A)
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a[:, ::-1].swapaxes(0, 1),
}


@dataclass(frozen=True)
class Raster:
    """The levels of a picture that was decoded.

    pixels: (H, W, 3) uint8 or uint16, sRGB.
    alpha: (H, W) of the same dtype, straight, or None.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None
    notes: tuple[str, ...] = ()
    metadata: Metadata = field(default_factory=Metadata)


def decode(data: bytes, format: Format, name: str, max_pixels: int, tolerant: bool = False) -> Raster:
    """The first picture of a file.

    tolerant: a damaged picture is taken as far as it goes, with a note.
    Raises InputError for what is checked here, and whatever Pillow raises on foreign bytes.
    """
    image = format.open(data)
    check_size(image.size, name, max_pixels)
    # Pillow turns a TIFF while it loads, and forgets the tag.
    stored = _orientation(image.tag_v2) if format.name == "TIFF" else 1
    flaws = damage.load(image, data, format)
    lost = [flaw.fact for flaw in flaws if flaw.lost]
    if lost and not tolerant:
        raise InputError(f"{name}: damaged or truncated {format.label} ({lost[0]}); {COPY_OR_TOLERATE}")
    notes = [f"damaged {format.label}: {flaw.fact}" for flaw in flaws]
    try:
        metadata, turn = kept_metadata(image), _orientation(image.getexif())
    except Exception as error:  # Pillow's EXIF reader has no error of its own
        metadata, turn = Metadata(), 1
        notes.append(f"EXIF ignored: it is broken ({one_line(error)})")
    found = _raster(image, _file_bits(image, data), data, name, UPRIGHT.get(stored, np.asarray))
    # After the pixels: counting moves on through the file.
    frames = formats.tiff_pages(data) if format.name == "TIFF" else 1 if lost else getattr(image, "n_frames", 1)
    if frames > 1:
        notes.append(
            f"multi-page: first of {frames} pages" if format.name == "TIFF" else f"animated: first of {frames} frames"
        )
    upright = UPRIGHT.get(turn, np.asarray)
    alpha = None if found.alpha is None else np.ascontiguousarray(upright(found.alpha))
    return Raster(np.ascontiguousarray(upright(found.pixels)), alpha, (*notes, *found.notes), metadata)


def check_size(size: tuple[int, int], name: str, max_pixels: int) -> None:
    """Refuse a picture of this size, (width, height) px, that is empty or over the limit.  Raises InputError."""
    width, height = size
    if width < 1 or height < 1:
        raise InputError(
            f"{name}: {width} x {height} pixels; a picture has at least 1 x 1; export it again from the original"
        )
    if width * height > max_pixels:
        fact = f"{width} x {height} pixels = {width * height / 1e6:.6g} megapixels"
        raise InputError(f"{name}: {fact}, over the limit of {max_pixels / 1e6:.6g}; shrink it or raise --max-pixels")


def _orientation(tags: object) -> int:
    value = tags.get(ORIENTATION, 1)
    return value if isinstance(value, int) else 1


def _file_bits(image: ImageFile.ImageFile, data: bytes) -> int:
    """The bits a channel in the file, which Pillow's mode does not tell."""
    if image.format == "PNG":
        return data[24]  # IHDR
    if image.format == "TIFF":
        return max(image.tag_v2.get(damage.BITS_PER_SAMPLE, (8,)))
    pixi = data.find(b"pixi", 0, 4096) if image.format == "AVIF" else -1  # ISO/IEC 23008-12, 6.5.6
    return data[pixi + 9] if pixi > 0 else 8


def _raster(image: Image.Image, bits: int, data: bytes, name: str, turn: Callable[[np.ndarray], np.ndarray]) -> Raster:
    """The levels in the file's own turn, as sRGB.

    turn: what Pillow has already done to the rows and columns of a TIFF.
    """
    profile = image.info.get("icc_profile")
    notes: tuple[str, ...] = ()
    if image.mode.startswith(("I", "F")):
        deep = _with_key(_grey(image, bits, name), image.info.get("transparency"))
    else:
        deep = _colour_16(image, data, turn) if bits == 16 and image.format in ("PNG", "TIFF") else None
    if deep is not None:
        pixels, notes = colour.to_srgb_16(deep.pixels, profile)
        if pixels is not None:
            return Raster(pixels, deep.alpha, (*_gamma(image), *notes))
        flat = Image.fromarray(sixteen.at_bits(deep.pixels, 8))
        alpha = None if deep.alpha is None else sixteen.at_bits(deep.alpha, 8)
        notes = ("16 bits a channel reduced to 8: the colour profile is more than curves and a matrix",)
    else:
        flat, alpha = _split(image)
        if bits > 8:
            notes = (f"{bits} bits a channel reduced to 8: this kind of {image.format} is read at 8 only",)
    rgb, more = colour.to_srgb(flat, profile)
    return Raster(_levels(rgb), alpha, (*_gamma(image), *notes, *more))


def _levels(image: Image.Image) -> np.ndarray:
    """The levels of an RGB image, (H, W, 3) uint8, taken by rows: at once Pillow would hold two more copies."""
    levels = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, colour.ROWS):
        below = min(top + colour.ROWS, image.height)
        levels[top:below] = np.asarray(image.crop((0, top, image.width, below)))
    return levels


def _grey(image: Image.Image, bits: int, name: str) -> np.ndarray:
    """The levels of a single channel of 12, 16 or 32 bits (modes I;16, I and F): (H, W) uint16.

    Raises InputError for values that 16 bits cannot hold.
    """
    values = np.asarray(image)
    if image.mode == "F":
        low, high, limit = values.min(), values.max(), 1
        scale = 65535.0
    else:
        low, high, limit = int(values.min()), int(values.max()), 65535
        scale = 65535 / 4095 if bits == 12 else 1
    if not (low >= 0 and high <= limit):  # so written, NaN is refused too
        raise InputError(
            f"{name}: grey values from {low:g} to {high:g}; the range is 0 to {limit}; rescale them and save again"
        )
    levels = values.astype(np.uint16) if scale == 1 else np.floor(values * np.float64(scale) + 0.5).astype(np.uint16)
    inverted = image.format == "TIFF" and image.tag_v2.get(PHOTOMETRIC) == 0  # white is zero
    return 65535 - levels if inverted else levels


def _colour_16(image: Image.Image, data: bytes, turn: Callable[[np.ndarray], np.ndarray]) -> Raster | None:
    """The 16-bit samples that FFmpeg reads, if their upper bytes are what Pillow read; else None.

    Where two decoders agree, damage cannot pass silently.
    """
    if image.mode not in ("RGB", "RGBA"):
        return None
    samples = sixteen.read_samples(data, image.format.lower())
    if samples is None:
        return None
    samples, upper = turn(samples), np.asarray(image)
    # FFmpeg counts a channel more for a transparent colour and for a channel without meaning.
    samples = samples[..., : upper.shape[2]]
    if samples.shape != upper.shape or not (samples >> 8 == upper).all():
        return None
    if image.mode == "RGBA":
        return Raster(samples[..., :3], samples[..., 3])
    return _with_key(samples, image.info.get("transparency"))


def _with_key(levels: np.ndarray, key: int | tuple[int, int, int] | None) -> Raster:
    """The levels, (H, W) or (H, W, 3) uint16, with the one colour transparent that a PNG declares so."""
    pixels = levels if levels.ndim == 3 else levels[..., None].repeat(3, 2)
    if not isinstance(key, int | tuple):
        return Raster(pixels, None)
    return Raster(pixels, np.where((pixels == np.array(key)).all(-1), 0, 65535).astype(np.uint16))


def _split(image: Image.Image) -> tuple[Image.Image, np.ndarray | None]:
    """An L, RGB, CMYK or LAB image and straight alpha, from any 8-bit mode."""
    if image.mode in ("La", "RGBa"):
        image = image.convert(image.mode.upper())
    if image.mode == "LA":
        return image.getchannel("L"), np.asarray(image.getchannel("A"))
    if image.has_transparency_data:
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        return image.convert("RGB"), np.asarray(image.getchannel("A"))
    if image.mode in colour.SPACES:
        return image, None
    return image.convert("L" if image.mode == "1" else "RGB"), None


def _gamma(image: Image.Image) -> tuple[str, ...]:
    """A note for a PNG that asks for another gamma and has no profile; most such files do not mean it."""
    gamma = image.info.get("gamma")
    if not gamma or "srgb" in image.info or "icc_profile" in image.info or abs(gamma - 1 / 2.2) < 0.01:
        return ()
    return (f"gamma {gamma:g} ignored: colours are taken as sRGB",)
