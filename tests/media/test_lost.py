"""Damage that decoders pass over: an error by default; with `tolerant` the picture that is left, and a note."""

import struct
import subprocess
import sys
import tracemalloc
import zlib
from fractions import Fraction
from io import BytesIO

import av
import numpy as np
import pytest
from PIL import Image

from structkit.configs.media import MAX_SCANS
from structkit.errors import InputError
from structkit.media import damage, jpeg
from structkit.media.formats import recognise
from structkit.media.pictures import Picture, read_picture, write_picture

JPEGS = {
    "baseline": {"quality": 85},
    "4:4:4": {"quality": 95, "subsampling": 0},
    "optimised": {"optimize": True},
    "progressive": {"quality": 90, "progressive": True},
    "restarts": {"restart_marker_rows": 1},
    "a restart a block": {"restart_marker_blocks": 1},
    "grey": {"mode": "L"},
    "grey, progressive": {"mode": "L", "progressive": True},
    "CMYK": {"mode": "CMYK"},
}
JPEG_DAMAGE = {
    "the first half": lambda data: data[: len(data) // 2],
    "the first half and an end": lambda data: data[: len(data) // 2] + b"\xff\xd9",
    "the first half and zeros": lambda data: data[: len(data) // 2] + bytes(len(data) // 2),
    "the middle cut out": lambda data: data[: len(data) * 4 // 10] + data[len(data) * 8 // 10 :],
}


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """A picture of slopes, edges and noise, (120, 160, 3) uint8."""
    y, x = np.mgrid[0:120, 0:160]
    slopes = np.stack([x, 2 * y, 128 + 60 * np.sin(x / 9)], -1) + 60 * ((x // 17 + y // 11) % 2)[..., None]
    return (slopes + np.random.default_rng(3).normal(0, 5, slopes.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def jpegs(pixels, saved) -> dict[str, bytes]:
    def made(mode: str = "RGB", **options) -> bytes:
        return saved(Image.fromarray(pixels).convert(mode), "JPEG", **options)

    return {name: made(**options) for name, options in JPEGS.items()}


def refused(data: bytes, fact: str = "") -> None:
    with pytest.raises(InputError, match=rf"^cut: damaged or truncated .*\(.*{fact}.*\); copy or export it again"):
        read_picture(data, name="cut")


@pytest.mark.parametrize("damage", JPEG_DAMAGE)
@pytest.mark.parametrize("name", JPEGS)
def test_a_jpeg_whose_coded_data_are_missing_is_refused_or_taken_with_a_note(jpegs, name, damage):
    data = JPEG_DAMAGE[damage](jpegs[name])
    refused(data)
    taken = read_picture(data, tolerant=True)
    assert taken.pixels.shape == (120, 160, 3)
    assert any(note.startswith("damaged JPEG: ") for note in taken.notes)


@pytest.mark.parametrize("count", [0, 10, 100, 4000])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_jpeg_that_zeros_finish_is_refused(pixels, saved, mode, count):
    """Zeros are codes of a plain area: a decoder goes on with them, and may come to the end of the picture."""
    half_plain = pixels.copy()
    half_plain[:, 80:] = 90
    data = saved(Image.fromarray(half_plain).convert(mode), "JPEG", optimize=True, quality=50)
    cut = data[: len(data) * 6 // 10] + bytes(count)
    refused(cut)
    assert any(note.startswith("damaged JPEG: ") for note in read_picture(cut, tolerant=True).notes)


@pytest.mark.parametrize("name", ["baseline", "4:4:4", "restarts", "grey"])
def test_rows_before_the_damage_of_a_jpeg_are_kept(jpegs, name):
    whole, taken = read_picture(jpegs[name]), read_picture(jpegs[name][: len(jpegs[name]) * 2 // 3], tolerant=True)
    assert (taken.pixels[:32] == whole.pixels[:32]).all() and not (taken.pixels == whole.pixels).all()


@pytest.mark.parametrize("name", [name for name in JPEGS if "progressive" not in name and name != "optimised"])
def test_a_hole_of_zeros_in_a_jpeg_is_found(jpegs, name):
    data = jpegs[name]
    for at in range(len(data) // 3, len(data) - 200, len(data) // 9):
        refused(data[:at] + bytes(64) + data[at + 64 :])


@pytest.mark.parametrize("name", JPEGS)
def test_an_intact_jpeg_is_read_as_pillow_reads_it_and_without_a_note(jpegs, name):
    data = jpegs[name]
    end = len(data) - 2
    notes = read_picture(data).notes
    for intact in (
        data,
        data + data,  # a stereo camera's second picture
        data + b"\0\0\x01\x0aSEFT" + bytes(900),  # a telephone's trailer
        data[:end] + b"\0" * 7 + data[end:],
        data[:end] + b"\xff" * 9 + data[end:],
    ):
        with Image.open(BytesIO(data)) as expected:
            image = jpeg.JpegImagePlugin.JpegImageFile(BytesIO(intact))
            assert jpeg.load(image, intact) == ()
            assert np.array_equal(np.asarray(image), np.asarray(expected))
        assert read_picture(intact).notes == notes


@pytest.mark.parametrize("shape", [(8, 8), (1, 1), (1, 300), (300, 1), (17, 33)])
@pytest.mark.parametrize("flat", [True, False])
def test_no_small_or_flat_jpeg_is_refused(pixels, saved, shape, flat):
    image = Image.new("RGB", shape) if flat else Image.fromarray(pixels).resize(shape)
    for options in ({}, {"progressive": True}, {"optimize": True, "quality": 100}, {"restart_marker_blocks": 1}):
        assert read_picture(saved(image, "JPEG", **options)).notes == ()


def test_a_jpeg_of_ffmpeg_is_intact(pixels):
    for threads in (1, 3):
        encoder = av.CodecContext.create("mjpeg", "w")
        encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 160, 120, "yuvj420p", Fraction(1, 25)
        encoder.thread_count = threads
        frame = av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(format="yuvj420p")
        data = b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])
        assert read_picture(data).notes == ()


def test_bytes_that_a_camera_leaves_before_the_end_are_a_note(jpegs):
    """The picture is whole, which FFmpeg's strict decoder confirms."""
    data = jpegs["baseline"]
    back = read_picture(data[:-2] + bytes(range(1, 101)) + data[-2:])
    assert back.notes == ("damaged JPEG: codes are left over after the last pixel",)
    assert (back.pixels == read_picture(data).pixels).all()


def test_scans_without_number_are_refused(jpegs):
    data = jpegs["progressive"]
    last = data.rindex(b"\xff\xda")
    many = data[:-2] + data[last:-2] * 1500 + data[-2:]
    with pytest.raises(InputError, match=rf"^many: more scans than the limit of {MAX_SCANS}; save it again"):
        read_picture(many, name="many")


def test_restart_markers_without_number_take_a_few_bytes_each(jpegs):
    data = jpegs["baseline"][:-2] + bytes(byte for n in range(2**17) for byte in (0xFF, 0xD0 + n % 8))
    tracemalloc.start()
    (scan,) = jpeg.scans(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(scan.restarts) == 2**17 and scan.end == len(data)
    assert peak < 10 * len(data)  # a megabyte's places are found at a time


# What is zeroed, in files whose pixels are packed: 64 bytes in the middle, or all from there on but the end.
PACKED = {
    "TIFF deflate": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    "TIFF jpeg": ("TIFF", {"compression": "jpeg"}),
    "TIFF lzw": ("TIFF", {"compression": "tiff_lzw"}),
    "WebP": ("WEBP", {"quality": 90}),
    "WebP lossless": ("WEBP", {"lossless": True}),
    "AVIF": ("AVIF", {"speed": 10}),
    "PNG": ("PNG", {}),
    "GIF": ("GIF", {}),
}


@pytest.mark.parametrize("kind", PACKED)
def test_zeros_in_packed_pixels_are_an_error(pixels, saved, kind):
    format, options = PACKED[kind]
    data = saved(pixels, format, **options)
    assert read_picture(data).notes == ()
    middle, end = len(data) // 2, len(data) - 300
    refused(data[:middle] + bytes(64) + data[middle + 64 :])
    refused(data[:middle] + bytes(end - middle) + data[end:])


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "TIFF", "TIFF strips"])
def test_a_tolerant_reader_gives_the_rows_that_came_before_a_cut(pixels, saved, tiff_file, kind):
    grey = pixels[..., 0]
    if kind == "TIFF":
        packed = len(zlib.compress(grey.tobytes()))
        data = tiff_file(grey, {259: 1, 279: grey.size})[:-packed] + grey.tobytes()
    elif kind == "TIFF strips":
        data = strips(grey, 10)
    else:
        data = saved(pixels, kind, **({"interlace": 0} if kind == "GIF" else {}))
    cut = data[: len(data) * 3 // 4]
    refused(cut)
    whole, taken = read_picture(data), read_picture(cut, tolerant=True)
    upper = slice(60, None) if kind == "BMP" else slice(0, 60)  # a BMP begins with its last row
    assert (taken.pixels[upper] == whole.pixels[upper]).all() and not (taken.pixels == whole.pixels).all()
    assert any(note.startswith(f"damaged {kind.split()[0]}: ") for note in taken.notes)


@pytest.mark.parametrize(
    ("kind", "mode"), [("PNG", "L"), ("PNG", "RGB"), ("PNG", "1"), ("PNG", "RGBA"), ("BMP", "RGB")]
)
def test_black_and_transparent_rows_before_a_cut_are_kept_too(pixels, saved, kind, mode):
    image = Image.fromarray(pixels).convert(mode)
    image.paste((0,) * len(image.getbands()) if len(image.getbands()) > 1 else 0, (0, 0, *image.size))
    if mode == "RGBA":
        image = Image.fromarray(np.dstack([pixels, np.zeros_like(pixels[..., 0])]))
    image.putpixel((150, 119 if kind == "PNG" else 0), 1 if mode in "L1" else (9, 9, 9, 9)[: len(mode)])
    data = saved(image, kind)
    cut = data[:-24] if kind == "PNG" else data[: len(data) // 2]
    refused(cut)
    taken = read_picture(cut, tolerant=True)
    assert taken.pixels.shape == (120, 160, 3) and taken.notes[0].startswith(f"damaged {kind}: ")


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_where_no_row_came_nobody_can_take_any(pixels, saved, kind):
    data = bytearray(saved(pixels, kind, **({"compression": "tiff_lzw"} if kind == "TIFF" else {})))
    if kind == "TIFF":
        data[8:40] = bytes(range(200, 232))
    else:
        at = data.index(b"IDAT") + 4
        data[at : at + 2] = b"ab"  # no header of a deflated text
    with pytest.raises(InputError, match="damaged or truncated"):
        read_picture(bytes(data), tolerant=True)


@pytest.mark.parametrize(
    ("rows", "more", "notes"),
    [
        (50, 0, ()),
        (64, 14 * 160, ()),  # filled up to the rows of a strip
        (2**32 - 1, 0, ()),
        (50, 1, ("damaged TIFF: its strips hold more than their rows",)),
        (64, 14 * 160 + 1, ("damaged TIFF: its strips hold more than their rows",)),
    ],
)
def test_a_deflated_strip_that_is_longer_than_its_rows_is_whole(pixels, rows, more, notes):
    grey = pixels[:50, :, 0]
    back = read_picture(strips(grey, rows, bytes(more)))
    assert back.notes == notes and (back.pixels == grey[..., None]).all()
    damaged = bytearray(strips(grey, rows, bytes(more)))
    damaged[-2] ^= 1
    refused(bytes(damaged))


def test_a_deflated_strip_that_goes_on_and_on_is_refused(pixels):
    refused(strips(pixels[..., 0], 120, bytes(2**22)), "its codes go on behind the last pixel")


def strips(grey: np.ndarray, rows: int, more: bytes = b"") -> bytes:
    """A TIFF of deflated strips of so many rows, whose directory comes first.  grey: (H, W) uint8.

    more: what each strip holds behind its rows.
    """
    height, width = grey.shape
    packed = [zlib.compress(grey[top : top + rows].tobytes() + more) for top in range(0, height, rows)]
    number, at = len(packed), 8 + 2 + 9 * 12 + 4
    places, sizes = at, at + 4 * number
    tags = [(256, 1, width), (257, 1, height), (258, 1, 8), (259, 1, 8), (262, 1, 1)]
    tags += [(273, number, places if number > 1 else sizes + 4 * number), (277, 1, 1), (278, 1, rows)]
    tags += [(279, number, sizes if number > 1 else len(packed[0]))]  # a single value stands in the directory itself
    starts = [sizes + 4 * number + sum(map(len, packed[:i])) for i in range(number)]
    directory = struct.pack("<H", 9) + b"".join(
        struct.pack("<HHII", tag, 4, count, value) for tag, count, value in tags
    )
    tables = struct.pack(f"<{2 * number}I", *starts, *map(len, packed))
    return b"II*\0\x08\0\0\0" + directory + bytes(4) + tables + b"".join(packed)


@pytest.mark.parametrize("format", ["WEBP", "AVIF"])
def test_where_a_decoder_gives_no_rows_nobody_can_take_them(pixels, saved, format):
    data = saved(pixels, format)
    with pytest.raises(InputError, match="damaged or truncated"):
        read_picture(data[: len(data) // 2], tolerant=True)


@pytest.mark.parametrize("kind", ["TIFF jpeg", "WebP", "WebP lossless", "AVIF"])
def test_a_tolerant_reader_takes_what_a_decoder_made_up(pixels, saved, kind):
    format, options = PACKED[kind]
    data = saved(pixels, format, **options)
    middle, end = len(data) // 2, len(data) - 300
    try:
        taken = read_picture(data[:middle] + bytes(end - middle) + data[end:], tolerant=True)
    except InputError:
        return  # its decoder gave up
    assert len(taken.notes) == 1 and taken.notes[0].startswith("damaged ")


def test_a_bmp_whose_header_lost_columns_is_noted(pixels, saved):
    data = bytearray(saved(pixels, "BMP"))
    data[18:22] = struct.pack("<i", 140)
    assert read_picture(bytes(data)).notes == ("damaged BMP: its header counts more pixels than its sides have",)


def test_a_bmp_of_one_pixel_is_read_with_the_header_of_os2():
    pixels, header = b"\x10\x20\x30\0", struct.pack("<IHHHH", 12, 1, 1, 1, 24)
    data = b"BM" + struct.pack("<IHHI", 30, 0, 0, 26) + header + pixels
    back = read_picture(data)
    assert back.pixels.tolist() == [[[0x30, 0x20, 0x10]]] and back.notes == ()


@pytest.mark.parametrize("options", [{}, {"lossless": True}])
def test_a_webp_is_looked_at_before_it_takes_memory(pixels, saved, options, monkeypatch):
    """The look decodes it once more: never beside the picture itself."""
    from PIL.WebPImagePlugin import WebPImageFile

    data = saved(pixels, "WEBP", **options)
    image, loaded = WebPImageFile(BytesIO(data)), []
    load = WebPImageFile.load
    monkeypatch.setattr(WebPImageFile, "load", lambda self: (loaded.append(self is image), load(self))[1])
    assert damage.load(image, data, recognise(data)) == ()
    assert loaded == [False, True]
    assert np.asarray(image).shape == pixels.shape and len(image.fp.read()) == 0  # the decoder's copy has gone


def test_sides_that_an_avif_cannot_have_are_no_lack_of_memory(pixels, saved):
    data = saved(pixels, "AVIF", speed=10)
    refused(data[:20] + b"ispe" + b"\x7f" * 20 + data[44:], "")


def test_pages_are_counted_as_pillow_counts_them_and_a_circle_of_them_ends(saved):
    from structkit.media.formats import tiff_pages

    pages = [Image.new("L", (4, 4), 50 * i) for i in range(5)]
    for options in ({}, {"big_tiff": True}):
        data = saved(pages[0], "TIFF", save_all=True, append_images=pages[1:], **options)
        assert tiff_pages(data) == Image.open(BytesIO(data)).n_frames == 5
    assert tiff_pages(b"II*\0\x08\0\0\0\0\0\x08\0\0\0") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
@pytest.mark.parametrize("format", ["png", "jpg", "webp", "tif", "avif"])
def test_where_memory_ends_small_pictures_are_read_and_large_ones_are_refused_in_words(tmp_path, format):
    """A reader that asked for as much memory as a picture may have at most would fail at both."""
    large = np.arange(2000).astype(np.uint8)[:, None, None] + np.zeros((1, 3000, 3), np.uint8)
    for name, pixels in (("small", large[:64, :64]), ("large", large)):
        write_picture(Picture(pixels), tmp_path / f"{name}.{format}")
    script = f"""
import resource, sys
from structkit.errors import DeviceError
from structkit.media.pictures import read_picture
read_picture("{tmp_path}/small.{format}")  # loads what it needs
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**24, resource.RLIM_INFINITY))
assert read_picture("{tmp_path}/small.{format}").width == 64
try:
    read_picture("{tmp_path}/large.{format}")
except DeviceError as error:
    print(error)
"""
    if not sys.platform.startswith("linux"):
        pytest.skip("asks /proc for the memory in use")
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=100)
    assert (
        ran.stdout == f"{tmp_path}/large.{format}: memory ran out while it was read; free some, or shrink the picture\n"
    )
