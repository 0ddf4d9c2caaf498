"""What is kept besides the pixels: resolution, and the EXIF tags that say who, when and with what; nothing that says
where.
"""

from io import BytesIO

import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from structkit.media.exif import EXIF_IFD, KEPT, KEPT_EXIF, Metadata
from structkit.media.pictures import encode_picture, read_picture

GPS_IFD = 0x8825
HOLD_EXIF = ["png", "jpg", "webp", "tif", "avif"]
HOLD_DPI = [*HOLD_EXIF, "bmp"]


@pytest.fixture(scope="module")
def photo(smooth, saved) -> bytes:
    """A JPEG with all that a camera and an editor leave behind."""
    exif = Image.Exif()
    exif[274], exif[271], exif[315], exif[33432], exif[305] = 3, "Maker", "Ada", "(c) Ada", "Editor 1"
    exif[282], exif[283], exif[296] = 240.0, 240.0, 2
    exif[EXIF_IFD] = {
        33434: IFDRational(1, 250),
        34855: 400,
        36867: "2026:01:02 03:04:05",
        36881: "+01:00",
        42036: "Lens 50",
        0xA430: "the owner",
        0xA431: "serial 1234",
        0x927C: b"maker's note",
        0x9286: b"comment",
        0xA001: 65535,
    }
    exif[GPS_IFD] = {1: "N", 2: (52.0, 30.0, 0.0)}
    return saved(smooth.pixels, "JPEG", exif=exif, dpi=(300, 300), comment=b"a secret", quality=100)


def exif_of(data: bytes) -> tuple[Image.Exif, dict]:
    exif = Image.open(BytesIO(data)).getexif()
    return exif, exif.get_ifd(EXIF_IFD)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("format", HOLD_EXIF)
def test_what_is_kept_and_what_is_not(photo, format, bits):
    data = encode_picture(read_picture(photo).at(bits), format)
    exif, shot = exif_of(data)
    assert (exif[271], exif[315], exif[33432]) == ("Maker", "Ada", "(c) Ada")
    assert (shot[34855], shot[36867], shot[36881], shot[42036]) == (400, "2026:01:02 03:04:05", "+01:00", "Lens 50")
    assert float(shot[33434]) == pytest.approx(1 / 250)
    assert exif.get(274, 1) == 1 and 305 not in exif
    assert set(shot) <= set(KEPT_EXIF) and not exif.get_ifd(GPS_IFD)
    for secret in (b"owner", b"1234", b"note", b"comment", b"secret", b"Editor", b"Lavc"):
        assert secret not in data


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("format", HOLD_DPI)
def test_metadata_survives_a_second_reading(photo, format, bits):
    first = read_picture(photo).at(bits)
    again = read_picture(encode_picture(first, format))
    assert again.metadata.dpi == pytest.approx((300, 300), abs=0.02)
    if format != "bmp":
        assert (again.metadata.exif, again.metadata.photo) == (first.metadata.exif, first.metadata.photo)
    assert again.notes == ()


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("format", [*HOLD_DPI, "gif"])
def test_a_new_picture_keeps_none(photo, smooth, format, bits):
    made = read_picture(photo).at(bits)
    bare = encode_picture(made, format, keep_metadata=False)
    assert read_picture(bare).metadata == Metadata()
    assert b"Ada" not in bare and b"Ada" not in encode_picture(made, "gif")
    assert smooth.metadata == Metadata()


def test_names_that_are_not_ascii_are_kept(smooth, saved):
    exif = Image.Exif()
    exif[315] = "José Ångström".encode()  # as cameras write it: UTF-8 bytes
    for format, suffix in (("JPEG", "jpg"), ("PNG", "png"), ("TIFF", "tif")):
        data = encode_picture(read_picture(saved(smooth.pixels, format, exif=exif)), suffix)
        assert "José Ångström".encode() in data


def test_the_resolution_of_files_that_do_not_say_is_none(smooth, saved):
    for format in ("JPEG", "PNG", "WEBP", "AVIF", "BMP", "GIF"):
        metadata = read_picture(saved(smooth.pixels, format)).metadata
        assert metadata.dpi is None or format == "BMP"


def test_dots_a_centimetre_become_dots_an_inch(smooth, saved):
    exif = Image.Exif()
    exif[282], exif[283], exif[296] = 100.0, 50.0, 3
    assert read_picture(saved(smooth.pixels, "WEBP", exif=exif)).metadata.dpi == (254, 127)


@pytest.mark.parametrize("value", [(0, 0), (float("nan"), 1.0), (1e9, 1e9)])
def test_an_impossible_resolution_is_dropped(smooth, saved, value):
    exif = Image.Exif()
    exif[282], exif[283], exif[296] = IFDRational(*value) if value == (0, 0) else 0.0, 1.0, 2
    assert read_picture(saved(smooth.pixels, "WEBP", exif=exif)).metadata.dpi is None


def test_the_lists_name_no_place_no_number_and_no_owner():
    private = {GPS_IFD, 0xA430, 0xA431, 0xA435, 0x927C, 0x9286, 0xA420, 700, 33723, 34377}
    assert not private & {*KEPT, *KEPT_EXIF}
