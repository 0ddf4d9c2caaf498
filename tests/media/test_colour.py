"""Colour profiles become sRGB; a profile that is broken or does not fit is a note."""

import struct
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms

from structkit.media.pictures import encode_picture, read_picture

SRGB_PARA = (
    b"para"
    + bytes(4)
    + struct.pack(">HH5i", 3, 0, *(round(v * 65536) for v in (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)))
)
SRGB_PRIMARIES = [[0.4360, 0.2225, 0.0139], [0.3851, 0.7169, 0.0971], [0.1431, 0.0606, 0.7141]]
CURVES = {
    "linear": b"curv" + bytes(8),
    "gamma 1.8": b"curv" + bytes(4) + struct.pack(">IH", 1, round(1.8 * 256)),
    "table": b"curv" + bytes(4) + struct.pack(">I", 5) + np.array([0, 3000, 14000, 35000, 65535], ">u2").tobytes(),
    "para 0": b"para" + bytes(4) + struct.pack(">HHi", 0, 0, round(2.2 * 65536)),
    "para 1": b"para" + bytes(4) + struct.pack(">HH3i", 1, 0, *(round(v * 65536) for v in (2.0, 1.1, -0.1))),
    "para 2": b"para" + bytes(4) + struct.pack(">HH4i", 2, 0, *(round(v * 65536) for v in (2.0, 1.05, -0.05, 0.0))),
    "para 3": SRGB_PARA,
    "para 4": b"para"
    + bytes(4)
    + struct.pack(">HH7i", 4, 0, *(round(v * 65536) for v in (2.4, 0.948, 0.052, 0.077, 0.04, 0.0, 0.0))),
}


def by_littlecms(pixels: np.ndarray, profile: bytes, mode: str = "RGB") -> np.ndarray:
    source, target = ImageCms.ImageCmsProfile(BytesIO(profile)), ImageCms.createProfile("sRGB")
    flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
    transform = ImageCms.buildTransform(source, target, mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC, flags)
    return np.asarray(ImageCms.applyTransform(Image.fromarray(pixels), transform)).astype(int)


@pytest.mark.parametrize("curve", CURVES)
def test_16_bits_agree_with_littlecms_at_8(rgb_profile, png_file, picture, curve):
    """Our own formula against LittleCMS: within one level of 255 (its 8-bit path rounds on the way)."""
    profile = rgb_profile(curve=CURVES[curve])
    made = picture(40, 40).at(16)
    tagged = png_file(made.pixels, 2, ((b"iCCP", b"x\0\0" + __import__("zlib").compress(profile)),))
    back = read_picture(tagged)
    assert back.bits == 16 and back.notes == ("colours converted from by hand to sRGB",)
    assert np.abs(back.pixels / 257 - by_littlecms(made.at(8).pixels, profile)).max() < 1.5


def test_display_p3_is_converted(rgb_profile, saved):
    """The green of Display P3 lies outside sRGB; its grey is the same grey."""
    profile = rgb_profile(curve=SRGB_PARA)
    pixels = np.array([[[100, 100, 100], [200, 100, 100], [0, 255, 0]]], np.uint8)
    back = read_picture(saved(pixels, "PNG", icc_profile=profile))
    grey, red, green = back.pixels[0].astype(int)
    assert np.abs(grey - 100).max() <= 1
    assert red[0] > 205 and red[1] < 100  # the same colour takes more of sRGB's red
    assert green.tolist() == [0, 255, 0]
    assert back.notes == ("colours converted from by hand to sRGB",)


@pytest.mark.parametrize("bits", [8, 16])
def test_an_srgb_profile_changes_no_level(picture, builtin_profile, rgb_profile, png_file, bits):
    made = picture(bits=bits)
    for profile in (builtin_profile("sRGB"), rgb_profile(SRGB_PRIMARIES, SRGB_PARA)):
        back = read_picture(png_file(made.pixels, 2, ((b"iCCP", b"x\0\0" + __import__("zlib").compress(profile)),)))
        assert (back.pixels == made.pixels).all() and back.notes == ()


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"])
def test_every_format_that_carries_a_profile(smooth, saved, rgb_profile, format):
    profile = rgb_profile(curve=CURVES["gamma 1.8"])
    plain, tagged = (
        read_picture(saved(smooth.pixels, format)),
        read_picture(saved(smooth.pixels, format, icc_profile=profile)),
    )
    assert (tagged.pixels == by_littlecms(plain.pixels, profile)).all()
    assert tagged.notes == ("colours converted from by hand to sRGB",)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_grey_profile(levels, saved, png_file, rgb_profile, bits):
    profile = rgb_profile(curve=CURVES["linear"], space=b"GRAY")
    grey = levels(channels=1, bits=bits)
    back = read_picture(png_file(grey, 0, ((b"iCCP", b"x\0\0" + __import__("zlib").compress(profile)),)))
    top = 2**bits - 1
    x = grey / top
    expected = np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055) * top
    assert back.bits == bits and np.abs(back.pixels - expected).max() <= (2 if bits == 8 else 1)


def test_a_grey_profile_on_a_grey_palette(levels, saved, rgb_profile):
    profile = rgb_profile(curve=CURVES["linear"], space=b"GRAY")
    image = Image.fromarray(levels(channels=0))
    plain = read_picture(saved(image, "PNG", icc_profile=profile))
    palette = read_picture(saved(image.convert("P"), "PNG", icc_profile=profile))
    assert (plain.pixels == palette.pixels).all()


def test_an_rgb_profile_on_a_grey_picture(levels, saved, rgb_profile):
    profile = rgb_profile(curve=CURVES["gamma 1.8"])
    image = Image.fromarray(levels(channels=0))
    back = read_picture(saved(image, "PNG", icc_profile=profile))
    assert (back.pixels == by_littlecms(np.asarray(image.convert("RGB")), profile)).all()


def test_a_lab_profile(saved, builtin_profile):
    image = Image.frombytes("LAB", (4, 4), bytes((128, 0, 0)) * 16)
    back = read_picture(saved(image, "TIFF", icc_profile=builtin_profile("LAB")))
    assert np.abs(back.pixels.astype(int) - 119).max() <= 1 and len(back.notes) == 1


def test_cmyk_without_a_profile(saved):
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    for format in ("JPEG", "TIFF"):
        back = read_picture(saved(image, format))
        assert back.pixels[0, 0].tolist() == [255, 0, 0] or np.abs(back.pixels[0, 0] - np.array([254, 0, 0])).max() <= 2
        assert back.notes == ("CMYK without a colour profile: converted by the plain formula, colours are approximate",)


def test_cmyk_with_an_rgb_profile(saved, rgb_profile):
    back = read_picture(saved(Image.new("CMYK", (8, 8)), "TIFF", icc_profile=rgb_profile()))
    assert back.notes[0] == "colour profile ignored: it is for RGB, the picture is CMYK" and len(back.notes) == 2


@pytest.mark.parametrize("bits", [8, 16])
def test_a_profile_for_another_kind_of_picture(picture, png_file, rgb_profile, bits):
    made = picture(bits=bits)
    for profile, space in ((rgb_profile(space=b"GRAY"), "GRAY"), (rgb_profile().replace(b"RGB ", b"CMYK", 1), "CMYK")):
        back = read_picture(png_file(made.pixels, 2, ((b"iCCP", b"x\0\0" + __import__("zlib").compress(profile)),)))
        assert (back.pixels == made.pixels).all()
        assert back.notes == (f"colour profile ignored: it is for {space}, the picture is RGB",)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(
    "damage",
    [lambda p: p[:100], lambda p: b"\0" * len(p), lambda p: p[:200], lambda p: p[:128] + b"\xff" * (len(p) - 128)],
)
def test_a_broken_profile_is_a_note(picture, png_file, rgb_profile, damage, bits):
    made = picture(bits=bits)
    back = read_picture(
        png_file(made.pixels, 2, ((b"iCCP", b"x\0\0" + __import__("zlib").compress(damage(rgb_profile()))),))
    )
    assert back.bits in (bits, 8) and (back.at(8).pixels == made.at(8).pixels).all()
    assert any(note.startswith("colour profile ignored: it ") for note in back.notes)


def test_what_is_written_is_srgb_without_a_profile(smooth, saved, rgb_profile):
    made = read_picture(saved(smooth.pixels, "PNG", icc_profile=rgb_profile()))
    for format in ("png", "jpg", "webp", "tif", "avif"):
        assert "icc_profile" not in Image.open(BytesIO(encode_picture(made, format))).info
    assert (read_picture(encode_picture(made)).pixels == made.pixels).all()
