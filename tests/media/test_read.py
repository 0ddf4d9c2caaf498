"""Reading: every format and mode comes out as upright sRGB; everything else is an InputError that says what to do."""

import errno
import os
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageOps

from structkit.errors import InputError
from structkit.media import formats
from structkit.media.containers import VIDEO_SUFFIXES
from structkit.media.pictures import Picture, read_picture

LOSSLESS = [("PNG", {}), ("PNG", {"interlace": 1}), ("WEBP", {"lossless": True}), ("TIFF", {}), ("BMP", {})]
LOSSLESS += [("TIFF", {"compression": c}) for c in ("tiff_lzw", "tiff_adobe_deflate", "packbits")]
LISTED = "pictures read: PNG, JPEG, WebP, TIFF, BMP, GIF, AVIF"


@pytest.mark.parametrize(("format", "options"), LOSSLESS)
def test_lossless_formats_give_their_levels(levels, saved, format, options):
    pixels = levels()
    back = read_picture(saved(pixels, format, **options))
    assert back.pixels.dtype == np.uint8 and (back.pixels == pixels).all()
    assert back.alpha is None and back.notes == ()


@pytest.mark.parametrize(
    ("format", "options"),
    [("JPEG", {"quality": 95}), ("JPEG", {"progressive": True}), ("AVIF", {}), ("WEBP", {}), ("GIF", {})],
)
def test_lossy_formats_come_close(smooth, saved, format, options):
    back = read_picture(saved(smooth.pixels, format, **options))
    assert np.abs(back.pixels.astype(int) - smooth.pixels).mean() < 4 and back.notes == ()


@pytest.mark.parametrize(
    ("format", "options"),
    [("PNG", {}), ("WEBP", {"lossless": True, "exact": True}), ("TIFF", {}), ("AVIF", {"quality": 100})],
)
def test_alpha_is_carried(levels, saved, format, options):
    rgba = levels(16, 16, 4)
    back = read_picture(saved(rgba, format, **options))
    assert (back.alpha == rgba[..., 3]).all()
    assert (back.pixels == rgba[..., :3]).all() or format == "AVIF"


@pytest.mark.parametrize(
    "mode", ["1", "L", "P", "LA", "PA", "RGB", "RGBA", "RGBX", "RGBa", "La", "CMYK", "YCbCr", "LAB", "I;16", "I", "F"]
)
def test_every_mode_of_tiff(levels, saved, mode):
    """The pixels are what Pillow's own conversion gives, where it has one."""
    rgba = Image.fromarray(levels(8, 8, 4))
    match mode:
        case "La" | "RGBa":
            image = rgba.convert("LA" if mode == "La" else "RGBA").convert(mode)
        case "LAB":
            image = Image.frombytes("LAB", (4, 4), bytes((128, 0, 0)) * 16)  # a*, b* are signed bytes
        case "I;16":
            image = Image.fromarray(levels(channels=0, bits=16))
        case "I":
            image = Image.fromarray(levels(channels=0, bits=16).astype(np.int32))
        case "F":
            image = Image.fromarray((levels(channels=0) / 255).astype(np.float32))
        case "PA":
            image = rgba.convert("RGB").convert("PA")
        case _:
            image = rgba.convert("RGB").convert(mode) if mode not in ("RGBA", "LA") else rgba.convert(mode)
    if mode in ("PA", "RGBa", "La"):  # Pillow reads these from TIFF and does not write them
        from structkit.media.raster import _split

        flat, alpha = _split(image)
        assert flat.mode in ("L", "RGB") and alpha.shape == (image.height, image.width)
        return
    back = read_picture(saved(image, "TIFF", **({"compression": "jpeg"} if mode == "YCbCr" else {})))
    assert back.pixels.shape == (image.height, image.width, 3)
    assert (back.alpha is not None) == (mode in ("RGBA", "LA"))
    if mode in ("1", "L", "P", "RGB", "RGBX", "CMYK"):
        assert (back.pixels == np.asarray(image.convert("RGB"))).all()
    if mode == "LAB":
        assert np.ptp(back.pixels) <= 2 and 115 < back.pixels.mean() < 122 and back.notes == ("Lab converted to sRGB",)
    assert back.bits == (16 if mode in ("I;16", "I", "F") else 8)


def test_premultiplied_tiff_is_made_straight(tiff_file):
    back = read_picture(tiff_file(np.full((3, 3, 4), (50, 25, 0, 128), np.uint8), {338: 1}))
    assert np.abs(back.pixels.astype(int) - (100, 50, 0)).max() <= 1 and (back.alpha == 128).all()


def test_palette_with_transparency(saved):
    image = Image.new("P", (4, 2), 1)
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putpixel((0, 0), 0)
    for format in ("PNG", "GIF"):
        back = read_picture(saved(image, format, transparency=0))
        assert back.alpha[0].tolist() == [0, 255, 255, 255] and back.pixels[1, 1].tolist() == [0, 255, 0]
    back = read_picture(saved(image, "PNG", transparency=bytes([7, 200])))
    assert back.alpha[0].tolist() == [7, 200, 200, 200] and back.pixels[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize(("mode", "key"), [("L", 9), ("RGB", (9, 9, 9)), ("1", 0)])
def test_one_transparent_colour(saved, mode, key):
    image = Image.new(mode, (3, 1), 255 if mode != "RGB" else (200, 200, 200))
    image.putpixel((1, 0), key)
    assert read_picture(saved(image, "PNG", transparency=key)).alpha.tolist() == [[255, 0, 255]]


@pytest.mark.parametrize("format", ["PNG", "WEBP", "GIF", "AVIF"])
def test_an_animation_gives_its_first_frame_and_says_so(saved, format):
    frames = [Image.new("RGB", (8, 8), (60 * i, 10, 10)) for i in range(4)]
    back = read_picture(saved(frames[0], format, save_all=True, append_images=frames[1:]))
    assert back.notes == ("animated: first of 4 frames",)
    assert np.abs(back.pixels.astype(int) - (0, 10, 10)).max() <= 10


def test_a_document_of_pages_gives_its_first(saved):
    pages = [Image.new("L", (4, 4), 50 * i) for i in range(3)]
    back = read_picture(saved(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    assert back.notes == ("multi-page: first of 3 pages",) and (back.pixels == 0).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("format", "options"),
    [*LOSSLESS[:4], ("AVIF", {"quality": 100, "subsampling": "4:4:4"}), ("JPEG", {"quality": 100, "subsampling": 0})],
)
def test_orientation_is_applied(smooth, saved, orientation, format, options):
    exif = Image.Exif()
    exif[274] = orientation
    image = Image.fromarray(smooth.pixels)
    expected = image.copy()
    expected.getexif()[274] = orientation
    expected = np.asarray(ImageOps.exif_transpose(expected))
    back = read_picture(saved(image, format, exif=exif, **options))
    assert back.pixels.shape == expected.shape and back.pixels.flags.c_contiguous
    assert np.abs(back.pixels.astype(int) - expected).max() <= (8 if format in ("AVIF", "JPEG") else 0)


def test_alpha_turns_with_the_pixels(levels, saved):
    exif = Image.Exif()
    exif[274] = 6
    rgba = levels(5, 9, 4)
    back = read_picture(saved(rgba, "PNG", exif=exif))
    turned = np.rot90(rgba, -1)
    assert (back.pixels == turned[..., :3]).all() and (back.alpha == turned[..., 3]).all()


@pytest.mark.parametrize("value", [0, 9, 999])
def test_an_orientation_that_does_not_exist_is_none(levels, saved, value):
    exif = Image.Exif()
    exif[274] = value
    pixels = levels()
    assert (read_picture(saved(pixels, "PNG", exif=exif)).pixels == pixels).all()


def test_content_decides_and_not_the_name(tmp_path, levels, saved):
    pixels = levels()
    (tmp_path / "a.jpg").write_bytes(saved(pixels, "PNG"))
    assert (read_picture(tmp_path / "a.jpg").pixels == pixels).all()


def test_paths_bytes_and_streams_are_the_same(tmp_path, levels, saved):
    data = saved(levels(), "PNG")
    (tmp_path / "a.png").write_bytes(data)
    with open(tmp_path / "a.png", "rb") as stream:
        seen = [
            read_picture(tmp_path / "a.png"),
            read_picture(str(tmp_path / "a.png")),
            read_picture(data),
            read_picture(BytesIO(data)),
            read_picture(stream),
        ]
    assert all((p.pixels == seen[0].pixels).all() for p in seen)
    assert [p.name for p in seen] == [str(tmp_path / "a.png")] * 2 + ["<bytes>", "<stream>", str(tmp_path / "a.png")]
    assert read_picture(data, name="-").name == "-"
    assert (tmp_path / "a.png").read_bytes() == data


def test_the_cap_is_checked_before_decoding(png_file):
    bomb = png_file(np.zeros((1, 1, 3), np.uint8), 2, size=(30_000, 30_000))
    with pytest.raises(InputError) as caught:
        read_picture(bomb, name="bomb.png")
    assert (
        str(caught.value)
        == "bomb.png: 30000 x 30000 pixels = 900 megapixels, over the limit of 89; shrink it or raise --max-pixels"
    )


def test_the_cap_may_be_raised_above_pillows_own(monkeypatch, levels, saved):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    pixels = levels()
    back = read_picture(saved(pixels, "PNG"))
    assert (back.pixels == pixels).all() and back.notes == ()
    with pytest.raises(InputError, match=r"over the limit of 0\.0002; shrink it or raise --max-pixels"):
        read_picture(saved(pixels, "PNG"), max_pixels=200)
    read_picture(saved(pixels, "PNG"), max_pixels=pixels.size // 3)


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (0, 0)])
def test_a_picture_of_no_pixels(png_file, size):
    with pytest.raises(InputError, match=r"^none: (.*(0 x|x 0)|damaged)"):
        read_picture(png_file(np.zeros((1, 1, 3), np.uint8), 2, size=size), name="none")


@pytest.mark.parametrize("data", [b"x", b"hello, world", b"%PDF-1.7", b"\x00" * 50])
def test_what_is_no_picture_gets_the_list_of_formats(data):
    with pytest.raises(InputError) as caught:
        read_picture(data, name="notes.txt")
    assert str(caught.value) == f"notes.txt: not a picture of a known format; {LISTED}; convert it to one of them"


def test_a_heic_picture_is_named():
    with pytest.raises(InputError, match=r"^a.heic: HEIC picture: convert it to .jpg$"):
        read_picture(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", name="a.heic")


def test_an_empty_file():
    with pytest.raises(InputError) as caught:
        read_picture(b"", name="a.png")
    assert str(caught.value) == f"a.png: an empty file (0 bytes); {LISTED}"


def test_missing_file_and_folder(tmp_path):
    for path, fact in (
        (tmp_path / "none.png", "no such file; check the path"),
        (tmp_path, "a folder, not a file; name the files in it"),
    ):
        with pytest.raises(InputError) as caught:
            read_picture(path)
        assert str(caught.value) == f"{path}: {fact}"


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path):
    (tmp_path / "a.png").touch(0o000)
    with pytest.raises(InputError, match="no permission to read"):
        read_picture(tmp_path / "a.png")


def test_a_disk_that_fails():
    class Failing(BytesIO):
        def read(self, *_):
            raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(InputError, match=r"cannot be read .*Input/output error.*; check the path and the disk"):
        read_picture(Failing(), name="a.png")


def test_an_endless_stream_ends(monkeypatch):
    monkeypatch.setattr("structkit.media.pictures.MAX_BYTES", 1000)
    with pytest.raises(InputError, match="over the limit of 0 GiB for one picture file; save it compressed"):
        read_picture(b"BM" + bytes(2000))


def test_a_gamma_without_a_profile_is_a_note(png_file, levels):
    for gamma, notes in ((100_000, ("gamma 1 ignored: colours are taken as sRGB",)), (45_455, ())):
        assert read_picture(png_file(levels(), 2, ((b"gAMA", gamma.to_bytes(4, "big")),))).notes == notes


def test_an_avif_of_more_than_8_bits_says_what_is_lost(smooth, saved, monkeypatch):
    """No encoder at hand makes one quietly: the stated depth is changed, and only the note is looked at."""
    data = saved(smooth.pixels, "AVIF")
    deep = data.replace(b"pixi\0\0\0\0\x03\x08\x08\x08", b"pixi\0\0\0\0\x03\x0a\x0a\x0a")
    assert deep != data
    opened = formats.FORMATS[-1].open(data)
    monkeypatch.setattr(formats.Format, "open", lambda *_: opened)
    assert read_picture(deep).notes == ("10 bits a channel reduced to 8: this kind of AVIF is read at 8 only",)


def test_readers_warnings_become_notes(saved, levels):
    exif = b"Exif\0\0II*\0\x08\0\0\0\x05\0" + b"\x0f\x01\x02\0\xff\0\0\0\x30\0\0\0"
    with pytest.warns() as caught:
        notes = read_picture(saved(levels(), "PNG", exif=exif)).notes
        import warnings

        warnings.warn("the only one", stacklevel=1)
    assert len(caught) == 1 and any("EXIF" in n or "reader says" in n for n in notes)
    assert all("\n" not in n for n in notes)


@pytest.mark.parametrize(
    ("pixels", "alpha"),
    [
        (np.zeros((2, 2)), None),
        (np.zeros((2, 2, 4), np.uint8), None),
        (np.zeros((0, 2, 3), np.uint8), None),
        (np.zeros((2, 2, 3), np.float32), None),
    ]
    + [
        (np.zeros((2, 2, 3), np.uint8), np.zeros(s, t))
        for s, t in (((2, 3), np.uint8), ((2, 2), np.uint16), ((2, 2, 1), np.uint8))
    ],
)
def test_a_picture_checks_its_arrays(pixels, alpha):
    with pytest.raises(InputError, match=r"^mine: (pixels|alpha) (is|are) .*must be"):
        Picture(pixels, alpha, name="mine")


def test_formats_are_told_apart_by_their_first_bytes(smooth, saved):
    for f in formats.FORMATS:
        assert formats.recognise(saved(smooth.pixels, f.name)[: formats.HEAD]) is f


@pytest.mark.parametrize(
    ("head", "name", "label"),
    [
        (b"\xff\x0a\x7f", "a.bin", "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "a.jp2", "JPEG 2000"),
        (b"\0\0\x01\0\x02\0" + bytes(20), "a.tga", "icon"),
        (b"\0\0\x0a\0" + bytes(20), "a.TGA", "TGA"),
        (b"8BPS\0\1", "a", "Photoshop"),
        (b"<svg xmlns=", "a", "SVG"),
        (b"P6 1 1 255 abc", "a", "Netpbm"),
        (b"II*\0\x10\0\0\0CR\2\0", "a", "raw"),
        (b"II*\0\x08\0\0\0", "a.dng", "raw"),
    ],
)
def test_a_format_that_is_not_read_is_called_by_its_name(head, name, label):
    with pytest.raises(InputError, match=f"^{name}: {label} picture: convert it to .png$"):
        read_picture(head, name=name)


def test_no_name_is_both_read_and_passed_over():
    assert not formats.PICTURE_LIKE & {*formats.SUFFIXES, *VIDEO_SUFFIXES}
    assert all(suffix == suffix.lower() and suffix[0] == "." for suffix in formats.PICTURE_LIKE)
