"""Sixteen bits stay sixteen bits."""

import numpy as np
import pytest

from structkit.errors import InputError
from structkit.media.pictures import encode_picture, read_picture
from structkit.media.sixteen import at_bits

DEEP = ["png", "tif"]


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("format", DEEP)
def test_what_is_written_at_16_bits_is_read_at_16_bits(picture, format, alpha):
    made = picture(bits=16, alpha=alpha)
    back = read_picture(encode_picture(made, format))
    assert back.pixels.dtype == np.uint16
    assert (back.pixels == made.pixels).all()
    assert (back.alpha == made.alpha).all() if alpha else back.alpha is None
    assert back.notes == ()


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (33, 31)])
@pytest.mark.parametrize("format", DEEP)
def test_awkward_sizes(picture, format, size):
    made = picture(*size, bits=16, alpha=True)
    back = read_picture(encode_picture(made, format))
    assert (back.pixels == made.pixels).all() and (back.alpha == made.alpha).all()


@pytest.mark.parametrize("format", ["jpg", "webp", "bmp", "gif", "avif"])
def test_formats_of_8_bits_get_the_nearest_8(picture, format):
    made = picture(bits=16)
    assert encode_picture(made, format) == encode_picture(made.at(8), format)


def test_16_bits_of_a_picture_of_8_say_the_same(picture):
    made = picture(alpha=True)
    deep = made.at(16)
    assert deep.bits == 16 and deep.pixels.max() == 65535 * (int(made.pixels.max()) / 255)
    assert (deep.at(8).pixels == made.pixels).all() and (deep.at(8).alpha == made.alpha).all()
    assert made.at(8).pixels is made.pixels


def test_16_to_8_takes_the_nearest_level():
    every = np.arange(65536, dtype=np.uint16)
    assert (at_bits(every, 8) == np.floor(every / 257 + 0.5)).all()


def test_grey_png(png_file, levels):
    grey = levels(channels=1, bits=16)
    back = read_picture(png_file(grey, 0))
    assert back.bits == 16 and back.alpha is None
    assert (back.pixels == grey.repeat(3, 2)).all()


def test_grey_png_with_alpha(png_file, levels):
    both = levels(channels=2, bits=16)
    back = read_picture(png_file(both, 4))
    assert (back.pixels == both[..., :1].repeat(3, 2)).all() and (back.alpha == both[..., 1]).all()


@pytest.mark.parametrize("colour_type", [0, 2])
def test_png_with_one_transparent_colour(png_file, levels, colour_type):
    samples = levels(channels=1 if colour_type == 0 else 3, bits=16)
    samples[3, 4] = samples[5, 6]
    key = samples[5, 6].astype(">u2").tobytes()
    back = read_picture(png_file(samples, colour_type, ((b"tRNS", key),)))
    clear = (samples == samples[5, 6]).all(-1)
    assert back.bits == 16 and (back.alpha == np.where(clear, 0, 65535)).all() and clear.sum() >= 2
    assert (back.pixels == samples).all()


@pytest.mark.parametrize("predictor", [False, True])
@pytest.mark.parametrize("channels", [3, 4])
def test_colour_tiff_of_other_writers(tiff_file, levels, channels, predictor):
    samples = levels(channels=channels, bits=16)
    back = read_picture(tiff_file(samples, {338: 2} if channels == 4 else {}, predictor))
    assert (back.pixels == samples[..., :3]).all()
    assert (back.alpha == samples[..., 3]).all() if channels == 4 else back.alpha is None


def test_a_fourth_channel_without_meaning_is_not_alpha(tiff_file, levels):
    samples = levels(channels=4, bits=16)
    back = read_picture(tiff_file(samples, {338: 0}))
    assert (back.pixels == samples[..., :3]).all() and back.alpha is None


def test_premultiplied_alpha_is_read_at_8_bits_and_says_so(tiff_file, levels):
    samples = np.full((4, 5, 4), 32768, np.uint16)
    back = read_picture(tiff_file(samples, {338: 1}))
    assert back.bits == 8 and (back.pixels >= 254).all() and (back.alpha == 128).all()
    assert back.notes == ("16 bits a channel reduced to 8: this kind of TIFF is read at 8 only",)


@pytest.mark.parametrize("white_is_zero", [False, True])
def test_grey_tiff(tiff_file, levels, white_is_zero):
    grey = levels(channels=0, bits=16)
    back = read_picture(tiff_file(grey, {262: 0 if white_is_zero else 1}))
    assert (back.pixels[..., 0] == (65535 - grey if white_is_zero else grey)).all() and back.bits == 16


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("channels", [0, 3])
def test_a_turned_16_bit_tiff(tiff_file, saved, levels, orientation, channels):
    """The same turn as Pillow makes at 8 bits."""
    eight = levels(5, 7, channels)
    reference = read_picture(saved(eight, "TIFF", tiffinfo={274: orientation}))
    back = read_picture(tiff_file(at_bits(eight, 16), {274: orientation}))
    assert back.bits == 16 and (back.at(8).pixels == reference.pixels).all()


def test_float_tiff_in_0_to_1_is_16_bits(tiff_file):
    back = read_picture(tiff_file(np.array([[0, 0.25, 1]], np.float32)))
    assert back.pixels[0, :, 0].tolist() == [0, 16384, 65535]


def test_32_bit_tiff_of_16_bit_values(tiff_file):
    back = read_picture(tiff_file(np.array([[0, 300, 65535]], np.int32)))
    assert back.pixels[0, :, 0].tolist() == [0, 300, 65535]


@pytest.mark.parametrize(
    ("samples", "text"),
    [
        (np.array([[0, 65536]], np.int32), "grey values from 0 to 65536; the range is 0 to 65535; rescale them"),
        (np.array([[-1, 5]], np.int16), "grey values from -1 to 5; the range is 0 to 65535"),
        (np.array([[0, 255]], np.float32), "grey values from 0 to 255; the range is 0 to 1"),
        (np.array([[0, np.nan]], np.float32), "grey values from nan to nan; the range is 0 to 1"),
    ],
)
def test_values_that_16_bits_cannot_hold_are_refused(tiff_file, samples, text):
    with pytest.raises(InputError, match=f"^deep.tif: {text}"):
        read_picture(tiff_file(samples), name="deep.tif")


def test_a_16_bit_decoder_that_disagrees_is_not_believed(picture, monkeypatch):
    made = picture(bits=16)
    data = encode_picture(made, "png")
    monkeypatch.setattr("structkit.media.sixteen.read_samples", lambda *_: made.pixels ^ 0x0100)
    back = read_picture(data)
    assert (back.pixels == made.pixels >> 8).all()
    assert back.notes == ("16 bits a channel reduced to 8: this kind of PNG is read at 8 only",)
