"""Label files: the values that a file holds, not the light that they stand for."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from structkit.errors import InputError
from structkit.media.label_files import read_label_file

IDS = np.array([[0, 1, 2], [3, 2, 255]], np.uint8)


def encoded(image: Image.Image, format: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def with_palette(ids: np.ndarray = IDS, **options) -> bytes:
    image = Image.fromarray(ids)
    image.putpalette(bytes(range(255, -1, -1)) * 3)
    return encoded(image, **options)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP", "GIF"])
def test_a_palette_file_has_indices_and_its_colours(format):
    image = Image.fromarray(IDS)
    image.putpalette([value for i in range(256) for value in (i, 255 - i, 7)])
    raster = read_label_file(encoded(image, format, **({"optimize": False} if format == "GIF" else {})))
    assert np.array_equal(raster.values, IDS) and not raster.is_coloured
    assert raster.palette[3].tolist() == [3, 252, 7]


def test_a_file_of_one_channel_has_its_ids():
    raster = read_label_file(encoded(Image.fromarray(IDS)))
    assert np.array_equal(raster.values, IDS) and raster.palette is None
    deep = np.array([[7, 1000], [65535, 0]], np.uint16)
    assert np.array_equal(read_label_file(encoded(Image.fromarray(deep))).values, deep)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_ids_of_few_bits_are_ids_and_no_levels_of_grey(bits):
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    ids = [0, 1, 2**bits - 1, 0]
    packed = 0
    for value in ids:
        packed = packed << bits | value
    row = (packed << (-4 * bits) % 8).to_bytes(-(-4 * bits // 8), "big")
    header = struct.pack(">IIBBBBB", 4, 1, bits, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" + row))
    assert read_label_file(data + chunk(b"IEND", b"")).values.tolist() == [ids]


def test_a_file_of_colours_has_them_whatever_its_alpha():
    colours = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    raster = read_label_file(encoded(Image.fromarray(colours)))
    assert raster.is_coloured and np.array_equal(raster.values, colours[..., :3])
    webp = encoded(Image.fromarray(colours[..., :3].copy()), "WEBP", lossless=True)
    assert np.array_equal(read_label_file(webp).values, colours[..., :3])


def test_an_orientation_is_applied_as_to_pictures():
    exif = Image.Exif()
    exif[274] = 6
    turned = read_label_file(encoded(Image.fromarray(IDS), exif=exif)).values
    assert np.array_equal(turned, np.rot90(IDS, -1))


def test_what_cannot_be_read_is_refused_by_name():
    whole = with_palette(np.arange(10_000, dtype=np.uint8).reshape(100, 100))
    with pytest.raises(InputError, match=r"map\.png: damaged or truncated PNG"):
        read_label_file(whole[: len(whole) // 2], name="map.png")
    with pytest.raises(InputError, match="does not keep the values of labels; save them as PNG"):
        read_label_file(encoded(Image.fromarray(IDS), "JPEG"))
    for lossy in (encoded(Image.fromarray(IDS), "TIFF", compression="jpeg"), encoded(Image.fromarray(IDS), "WEBP")):
        with pytest.raises(InputError, match="of a lossy compression, which does not keep the values of labels"):
            read_label_file(lossy)
    with pytest.raises(InputError, match="a TIFF of fractions"):
        read_label_file(encoded(Image.fromarray(IDS.astype(np.float32)), "TIFF"))
    with pytest.raises(InputError, match="not a picture of a known format"):
        read_label_file(b"no picture")
    with pytest.raises(InputError, match="over the limit"):
        read_label_file(whole, max_pixels=99)
