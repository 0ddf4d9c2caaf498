"""Writing: the suffix decides, the same picture gives the same bytes, and what a format cannot hold is refused."""

import hashlib
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from structkit.errors import OptionError, OutputError
from structkit.media.formats import WRITTEN, format_of
from structkit.media.pictures import Picture, encode_picture, picture_in_grey, read_picture, write_picture

WITH_ALPHA = [".png", ".webp", ".tif", ".tiff"]
EXACT = [*WITH_ALPHA, ".bmp"]


@pytest.mark.parametrize("suffix", EXACT)
@pytest.mark.parametrize("size", [(12, 17), (1, 1), (1, 40), (40, 1)])
def test_lossless_formats_come_back_level_for_level(picture, suffix, size):
    made = picture(*size)
    back = read_picture(encode_picture(made, suffix))
    assert (back.pixels == made.pixels).all() and back.alpha is None and back.bits == 8 and back.notes == ()


@pytest.mark.parametrize("suffix", WITH_ALPHA)
def test_alpha_and_the_colours_under_it_come_back(picture, suffix):
    made = picture(alpha=True)
    made.alpha[:3] = 0
    back = read_picture(encode_picture(made, suffix))
    assert (back.pixels == made.pixels).all() and (back.alpha == made.alpha).all()


@pytest.mark.parametrize("suffix", WRITTEN)
def test_every_suffix_writes_its_format(tmp_path, smooth, suffix):
    path = tmp_path / f"a{suffix.upper()}"
    digest = write_picture(smooth, path)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert format_of(suffix).recognises(path.read_bytes()[:32])
    assert np.abs(read_picture(path).pixels.astype(int) - smooth.pixels).mean() < 4
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("suffix", WRITTEN)
def test_the_same_picture_gives_the_same_bytes(picture, suffix, bits):
    made = picture(33, 20, bits=bits, alpha=suffix in WITH_ALPHA)
    again = Picture(made.pixels.copy(), None if made.alpha is None else made.alpha.copy())
    assert encode_picture(made, suffix) == encode_picture(again, suffix)


def test_arrays_that_are_views_are_written_as_seen(picture):
    made = picture(bits=16)
    view = Picture(made.pixels[::-1, ::2])
    for suffix in (".png", ".tif"):
        assert (read_picture(encode_picture(view, suffix)).pixels == view.pixels).all()
    assert (read_picture(encode_picture(view.at(8), "png")).pixels == view.at(8).pixels).all()


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".avif"])
def test_quality_changes_the_bytes(picture, suffix):
    made = picture(40, 40)
    low, high = (encode_picture(made, suffix, quality=q) for q in (10, 90))
    assert len(low) < len(high)


def test_quality_is_refused_where_it_means_nothing(picture):
    for suffix in (".png", ".tif", ".bmp", ".gif"):
        with pytest.raises(
            OptionError, match=r"quality does not apply to .*; it applies to JPEG, WebP and AVIF; leave it out"
        ):
            encode_picture(picture(), suffix, quality=90)
    for quality in (0, 101, -5):
        with pytest.raises(OptionError, match=f"quality {quality}; it goes from 1 to 100"):
            encode_picture(picture(), ".jpg", quality=quality)


@pytest.mark.parametrize("path", ["a.heic", "a", "a.png.txt", ".hidden", "a.mp4"])
def test_an_unknown_suffix(tmp_path, picture, path):
    with pytest.raises(OutputError) as caught:
        write_picture(picture(), tmp_path / path)
    expected = (
        "unknown picture format; end the name in one of .png .jpg .jpeg .jpe .jfif .webp .tif .tiff .bmp .gif .avif"
    )
    assert str(caught.value) == f"{tmp_path / path}: {expected}"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("suffix", "name"), [(".jpg", "JPEG"), (".bmp", "BMP")])
def test_transparency_where_it_cannot_be(tmp_path, picture, suffix, name):
    made = picture(alpha=True)
    with pytest.raises(OutputError) as caught:
        write_picture(made, tmp_path / f"a{suffix}")
    assert (
        str(caught.value)
        == f"{tmp_path}/a{suffix}: {name} cannot hold transparency; write .png, .webp, .tif, .avif or .gif"
    )
    made.alpha[:] = 255  # opaque everywhere: nothing is lost
    assert encode_picture(made, suffix) == encode_picture(replace(made, alpha=None), suffix)


@pytest.mark.parametrize(("suffix", "side"), [(".webp", 16384), (".jpg", 65501), (".gif", 65536), (".avif", 65537)])
def test_a_side_too_long_for_the_format(suffix, side):
    long = Picture(np.zeros((1, side, 3), np.uint8), name="long")
    with pytest.raises(
        OutputError, match=f"^long: {side} x 1 pixels, over the .* a side that .* can hold; write .png or .tif"
    ):
        encode_picture(long, suffix)


@pytest.mark.parametrize(("suffix", "side"), [(".webp", 16383), (".jpg", 65500), (".gif", 65535)])
def test_the_longest_side_is_written(suffix, side):
    back = read_picture(encode_picture(Picture(np.zeros((1, side, 3), np.uint8)), suffix))
    assert back.width == side


def test_an_encoder_that_refuses(monkeypatch, picture):
    def refuse(*_, **__):
        raise RuntimeError("no\nway")

    monkeypatch.setattr(Image.Image, "save", refuse)
    with pytest.raises(OutputError, match=r"^mine: cannot be encoded as PNG \(no way\); write .png$"):
        encode_picture(picture(name="mine"))


def test_a_gif_of_few_colours_is_exact(levels):
    few = Picture(np.array([[0, 0, 0], [255, 0, 0], [9, 8, 7], [255, 255, 255]], np.uint8)[levels(20, 20, 0) % 4])
    assert (read_picture(encode_picture(few, "gif")).pixels == few.pixels).all()


def test_a_gifs_alpha_is_on_or_off(smooth):
    alpha = np.tile(np.linspace(0, 255, smooth.width).astype(np.uint8), (smooth.height, 1))
    back = read_picture(encode_picture(replace(smooth, alpha=alpha), "gif"))
    assert (back.alpha == np.where(alpha < 128, 0, 255)).all()
    seen = alpha >= 128
    assert np.abs(back.pixels.astype(int) - smooth.pixels)[seen].mean() < 6


def test_inputs_are_not_changed(tmp_path, picture):
    made = picture(alpha=True, bits=16)
    pixels, alpha = made.pixels.copy(), made.alpha.copy()
    for suffix in (".png", ".tif", ".webp", ".gif", ".avif"):
        write_picture(made, tmp_path / f"a{suffix}")
    assert (made.pixels == pixels).all() and (made.alpha == alpha).all()


def test_streams_of_commands_pass_pictures_on(picture):
    """What one command writes to a pipe the next one reads."""
    made = picture(bits=16, alpha=True)
    for _ in range(3):
        back = read_picture(BytesIO(encode_picture(made)), name="-")
        assert (back.pixels == made.pixels).all() and (back.alpha == made.alpha).all()
        made = back


def test_only_a_mask_whose_channels_are_equal_is_written_with_one(levels=np.arange(35, dtype=np.uint8).reshape(5, 7)):
    def mode(picture):
        return Image.open(BytesIO(encode_picture(picture))).mode

    mask = picture_in_grey(levels)
    assert mask.pixels.shape == (5, 7, 3) and (mask.pixels == levels[..., None]).all()
    with pytest.raises(ValueError, match="read-only"):  # a channel is all three
        mask.pixels[..., 1:] = 0
    assert mode(mask) == mode(replace(mask, name="other")) == mode(replace(mask, pixels=mask.pixels.copy())) == "L"
    assert mode(Picture(mask.pixels.copy())) == mode(Picture(mask.pixels)) == "RGB"  # a photo in grey
    tinted = mask.pixels.copy()
    tinted[0, 0, 2] += 1
    assert mode(replace(mask, pixels=tinted)) == "RGB"
    assert mode(replace(mask, alpha=levels)) == "RGBA"
    for picture in (mask, mask.at(16)):
        assert (read_picture(encode_picture(picture)).at(8).pixels == mask.pixels).all()
