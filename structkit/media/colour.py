"""Colour profiles to sRGB: LittleCMS at 8 bits, the matrix profiles' own formula at 16 bits.

Pillow's LittleCMS has no 16 bits.  Intent: relative colorimetric with black point compensation, the editors' default.
A profile that moves no colour by more than one level of 255 counts as sRGB, and the pixels stay exactly as they are.  A
broken or unfitting profile is a note, never a failure.
"""

import struct
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

from structkit.media.files import one_line

SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK", "LAB": "Lab"}  # Pillow's mode -> the profile's colour space
ROWS = 256  # rows converted at a time: keeps the float copy of a large picture small


def to_srgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, tuple[str, ...]]:
    """An image of 8 bits in sRGB, and the notes.

    image: mode RGB, L, CMYK or LAB.
    profile: ICC bytes or None.
    """
    if not profile:
        return _without_profile(image)
    source, note = _opened(profile)
    if source is None:
        converted, notes = _without_profile(image)
        return converted, (note, *notes)
    space = source.profile.xcolor_space.strip()
    if image.mode == "L" and space == "RGB":
        image = image.convert("RGB")
    elif image.mode == "RGB" and space == "GRAY" and _is_grey(np.asarray(image)):
        image = image.getchannel(0)
    if SPACES[image.mode] != space:
        converted, notes = _without_profile(image)
        return converted, (f"colour profile ignored: it is for {space}, the picture is {SPACES[image.mode]}", *notes)
    try:
        transform = _transform(source, image.mode)
        if _is_srgb(transform, image.mode):
            return _rgb(image), ()
        note = f"colours converted from {_description(source)} to sRGB"
        if image.mode == "L":
            return Image.fromarray(_grid(transform, "L")[1].reshape(256, 3)[np.asarray(image)]), (note,)
        return ImageCms.applyTransform(image, transform), (note,)
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        converted, notes = _without_profile(image)
        return converted, (f"colour profile ignored: it cannot be applied ({one_line(error)})", *notes)


def to_srgb_16(pixels: np.ndarray, profile: bytes | None) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Pixels of 16 bits in sRGB, and the notes; None in their place where curves and a matrix do not do.

    pixels: (H, W, 3) uint16.
    """
    if not profile:
        return pixels, ()
    source, note = _opened(profile)
    if source is None:
        return pixels, (note,)
    space, grey = source.profile.xcolor_space.strip(), _is_grey(pixels)
    if space != "RGB" and not (space == "GRAY" and grey):
        return pixels, (f"colour profile ignored: it is for {space}, the picture is RGB",)
    try:
        mode = "RGB" if space == "RGB" else "L"
        if _is_srgb(_transform(source, mode), mode):
            return pixels, ()
        curves = _curves(profile, ("rTRC", "gTRC", "bTRC") if space == "RGB" else ("kTRC",) * 3)
        if max(curve[0] for curve in curves) > 1e-4:
            raise ValueError("black is not zero: needs black point compensation")
        matrix = np.eye(3) if space == "GRAY" else np.linalg.inv(_primaries(_srgb())) @ _primaries(source)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, KeyError, struct.error, np.linalg.LinAlgError):
        return None, ()
    out = np.empty_like(pixels)
    for top in range(0, len(pixels), ROWS):
        rows = pixels[top : top + ROWS]
        linear = np.stack([curve[rows[..., c]] for c, curve in enumerate(curves)], -1) @ matrix.T.astype(np.float32)
        out[top : top + ROWS] = np.floor(_srgb_curve(linear.clip(0, 1)) * 65535 + 0.5)
    return out, (f"colours converted from {_description(source)} to sRGB",)


def _without_profile(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    if image.mode == "CMYK":
        return image.convert("RGB"), (
            "CMYK without a colour profile: converted by the plain formula, colours are approximate",
        )
    if image.mode == "LAB":
        return ImageCms.applyTransform(image, _transform(ImageCms.createProfile("LAB"), "LAB")), (
            "Lab converted to sRGB",
        )
    return _rgb(image), ()


def _rgb(image: Image.Image) -> Image.Image:
    """The image in RGB; itself, and no copy, where it has that mode."""
    return image if image.mode == "RGB" else image.convert("RGB")


def _opened(profile: bytes) -> tuple[ImageCms.ImageCmsProfile | None, str]:
    try:
        return ImageCms.ImageCmsProfile(BytesIO(profile)), ""
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        return None, f"colour profile ignored: it is broken ({one_line(error)})"


def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _transform(source: ImageCms.ImageCmsProfile, mode: str) -> ImageCms.ImageCmsTransform:
    """The transform from a profile to sRGB.

    Grey is not optimised: LittleCMS would interpolate, and be 9 levels off in the shadows of a linear profile (2.19).
    """
    flags = ImageCms.Flags.BLACKPOINTCOMPENSATION | (ImageCms.Flags.NOOPTIMIZE if mode == "L" else 0)
    return ImageCms.buildTransform(source, _srgb(), mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC, flags)


def _grid(transform: ImageCms.ImageCmsTransform, mode: str) -> tuple[np.ndarray, np.ndarray]:
    """A 9 x 9 x 9 grid of colours, or all 256 greys in order, before and after the transform.

    (27, 27, 3) or (16, 16, 3) uint8 each.
    """
    levels = np.linspace(0, 255, 9).round() if mode == "RGB" else np.arange(256)
    grid = (
        np.stack(np.meshgrid(levels, levels, levels), -1).reshape(27, 27, 3)
        if mode == "RGB"
        else levels.reshape(16, 16)
    )
    before = Image.fromarray(grid.astype(np.uint8))
    return np.asarray(before.convert("RGB")), np.asarray(ImageCms.applyTransform(before, transform))


def _is_srgb(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """True if every colour of the grid comes back as it went in, to within one level."""
    if mode not in ("RGB", "L"):
        return False
    before, after = _grid(transform, mode)
    return bool(np.abs(after.astype(int) - before).max() <= 1)


def _is_grey(pixels: np.ndarray) -> bool:
    return bool((pixels[..., :1] == pixels[..., 1:]).all())


def _description(source: ImageCms.ImageCmsProfile) -> str:
    return one_line(
        source.profile.profile_description or f"an unnamed {source.profile.xcolor_space.strip()} profile", 60
    )


def _primaries(source: ImageCms.ImageCmsProfile) -> np.ndarray:
    """The XYZ of red, green and blue in the connection space (D50): the columns of (3, 3)."""
    p = source.profile
    if not p.is_matrix_shaper:
        raise ValueError("not a matrix profile")
    return np.array([p.red_colorant[0], p.green_colorant[0], p.blue_colorant[0]]).T


def _curves(profile: bytes, names: tuple[str, ...]) -> list[np.ndarray]:
    """The tone curves of a profile (ICC.1:2022, 7.3, 10.6, 10.18).

    Each (65536,) float32, device level -> linear light in [0, 1].
    """
    (count,) = struct.unpack_from(">I", profile, 128)
    table = {
        struct.unpack_from(">4s", profile, 132 + 12 * i)[0]: struct.unpack_from(">II", profile, 136 + 12 * i)
        for i in range(count)
    }
    return [_curve(profile[at : at + size]) for at, size in (table[name.encode()] for name in names)]


def _curve(tag: bytes) -> np.ndarray:
    x = np.linspace(0, 1, 65536)
    if tag[:4] == b"curv":
        (n,) = struct.unpack_from(">I", tag, 8)
        points = np.frombuffer(tag, ">u2", n, 12)
        y = x if n == 0 else x ** (points[0] / 256) if n == 1 else np.interp(x, np.linspace(0, 1, n), points / 65535)
    elif tag[:4] == b"para":
        kind = struct.unpack_from(">H", tag, 8)[0]
        values = np.frombuffer(tag, ">i4", (1, 3, 4, 5, 7)[kind] if kind < 5 else 0, 12) / 65536
        y = _parametric(x, kind, values)
    else:
        raise ValueError("unknown kind of tone curve")
    return y.clip(0, 1).astype(np.float32)


def _parametric(x: np.ndarray, kind: int, values: np.ndarray) -> np.ndarray:
    """The values of a parametric curve (ICC.1:2022, table 68).

    A power law, with a straight piece below `d` in kinds 3 and 4.
    """
    if kind > 4 or (kind and values[1] == 0):
        raise ValueError("unknown kind of tone curve")
    g, a, b, c, d, e, f = (
        (values[0], 1.0, 0.0, 0.0, 0.0, 0.0, 0.0) if kind == 0 else (*values, *[0.0] * (7 - len(values)))
    )
    if kind in (1, 2):
        c, d, e, f = 0.0, -b / a, c, c  # kind 1 has c = 0
    power = (a * x + b).clip(0) ** g + e
    return np.where(x >= d, power, c * x + f)


def _srgb_curve(linear: np.ndarray) -> np.ndarray:
    """The levels of linear light in sRGB, both in [0, 1] (IEC 61966-2-1)."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
