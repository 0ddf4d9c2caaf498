"""Whatever bytes come in: a Picture or an InputError of one line, never another exception, and never a truncated
picture.
"""

import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from structkit.errors import InputError
from structkit.media.exif import Metadata
from structkit.media.pictures import Picture, encode_picture, read_picture

KINDS = [
    "PNG",
    "PNG interlaced",
    "PNG palette",
    "PNG 16",
    "APNG",
    "JPEG",
    "JPEG progressive",
    "JPEG CMYK",
    "WEBP",
    "WEBP lossless",
    "WEBP animated",
]
KINDS += ["TIFF", "TIFF lzw", "TIFF jpeg", "TIFF 16", "TIFF pages", "BMP", "GIF", "GIF animated", "AVIF"]


@pytest.fixture(scope="module")
def file(saved, rgb_profile):
    """One small valid file of each kind, with EXIF and a colour profile where there is room for them."""
    y, x = np.mgrid[0:20, 0:24] * 10
    pixels = np.stack([x, y, (x * y) % 251], -1).astype(np.uint8)
    pixels[5:9, 5:9] = np.random.default_rng(0).integers(0, 256, (4, 4, 3))
    image, later = Image.fromarray(pixels), [Image.fromarray(pixels[::-1].copy())]
    exif = Image.Exif()
    exif[274], exif[315] = 6, "somebody"
    extras = {"exif": exif, "icc_profile": rgb_profile()}
    more = {"save_all": True, "append_images": later}
    deep = Picture(pixels, pixels[..., 0]).at(16)
    made = {
        "PNG": saved(image, "PNG", **extras),
        "PNG interlaced": saved(image, "PNG", interlace=1),
        "PNG palette": saved(image.quantize(16), "PNG", transparency=3),
        "PNG 16": encode_picture(deep, "png"),
        "APNG": saved(image, "PNG", **more),
        "JPEG": saved(image, "JPEG", **extras),
        "JPEG progressive": saved(image, "JPEG", progressive=True),
        "JPEG CMYK": saved(image.convert("CMYK"), "JPEG"),
        "WEBP": saved(image, "WEBP", **extras),
        "WEBP lossless": saved(image, "WEBP", lossless=True),
        "WEBP animated": saved(image, "WEBP", **more),
        "TIFF": saved(image, "TIFF", **extras),
        "TIFF lzw": saved(image, "TIFF", compression="tiff_lzw"),
        "TIFF jpeg": saved(image, "TIFF", compression="jpeg"),
        "TIFF 16": encode_picture(deep, "tif"),
        "TIFF pages": saved(image, "TIFF", **more),
        "BMP": saved(image, "BMP"),
        "GIF": saved(image, "GIF"),
        "GIF animated": saved(image, "GIF", **more),
        "AVIF": saved(image, "AVIF", **extras),
    }
    assert list(made) == KINDS
    return made


def survives(data: bytes) -> Picture | None:
    """The law."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            back = read_picture(data, name="some.file", max_pixels=1 << 16)
        except InputError as error:
            assert str(error).startswith("some.file: ") and "\n" not in str(error) and len(str(error)) < 300
            return None
    if back.metadata != Metadata():  # what was kept can be written
        encode_picture(Picture(back.pixels[:1, :1], metadata=back.metadata), "tif")
    return back


@pytest.mark.parametrize("kind", KINDS)
def test_the_files_are_good(file, kind):
    assert survives(file[kind]) is not None


@pytest.mark.parametrize("kind", KINDS)
def test_every_beginning_of_a_file_is_refused(file, kind):
    data = file[kind]
    cuts = {*range(0, 12), *range(12, len(data), max(1, len(data) // 40)), *range(len(data) - 24, len(data))}
    read = [back for n in sorted(cuts) if (back := survives(data[:n]))]
    if kind == "TIFF pages":  # its first page may be whole
        assert all((back.pixels == survives(data).pixels).all() for back in read)
    else:
        assert read == []


@pytest.mark.parametrize("kind", [k for k in KINDS if "PNG" in k])
def test_every_flipped_byte_of_a_png_is_found_or_harmless(file, kind):
    """Every chunk has a checksum: what is still read is the same picture."""
    whole = survives(file[kind])
    for at in range(8, len(file[kind]), max(1, len(file[kind]) // 60)):
        data = bytearray(file[kind])
        data[at] ^= 0x10
        back = survives(bytes(data))
        assert back is None or back.notes != whole.notes or (back.pixels == whole.pixels).all()


@pytest.mark.parametrize("kind", KINDS)
@settings(
    max_examples=25,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_mutated_files_are_pictures_or_input_errors(file, kind, data):
    mutated = bytearray(file[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(mutated) - 1) | st.integers(0, min(120, len(mutated) - 1)))
        piece = data.draw(st.binary(max_size=4))
        match data.draw(st.sampled_from(["overwrite", "insert", "delete", "cut"])):
            case "overwrite":
                mutated[at : at + len(piece)] = piece
            case "insert":
                mutated[at:at] = piece
            case "delete":
                del mutated[at : at + 1 + len(piece)]
            case "cut" if at > 12:
                del mutated[at:]
        mutated = mutated or bytearray(b"\0")
    survives(bytes(mutated))


@settings(max_examples=60, deadline=None, database=None, derandomize=True)
@given(
    st.sampled_from(
        [
            b"\x89PNG\r\n\x1a\n",
            b"\xff\xd8\xff",
            b"RIFF\0\0\0\0WEBPVP8 ",
            b"II*\0",
            b"MM\0*",
            b"BM",
            b"GIF89a",
            b"\0\0\0 ftypavif",
            b"",
        ]
    ),
    st.binary(),
)
def test_any_bytes_after_a_good_beginning(head, tail):
    survives(head + tail)


def test_bytes_after_the_end_do_no_harm(file):
    for kind in ("PNG", "JPEG", "GIF", "GIF animated", "BMP", "TIFF"):
        back = survives(file[kind] + b"trailing bytes")
        assert (back.pixels == survives(file[kind]).pixels).all()
