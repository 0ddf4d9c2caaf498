"""The labelled strip of pictures."""

import numpy as np
import pytest

from structkit.errors import OptionError
from structkit.media.pictures import Picture
from structkit.media.strip import CHECKS, PAPER, comparison_strip


def plain(height: int, width: int, level: int = 10, alpha: int | None = None) -> Picture:
    return Picture(
        np.full((height, width, 3), level, np.uint8),
        None if alpha is None else np.full((height, width), alpha, np.uint8),
    )


def is_level(strip: Picture, level: int) -> np.ndarray:
    return (strip.pixels == level).all(-1)


def test_pictures_stand_side_by_side_at_one_height():
    strip = comparison_strip(
        [("source", plain(64, 96, 10)), ("target", plain(200, 100, 20)), ("result", plain(32, 32, 30))], height=128
    )
    columns = []
    for level, width in ((10, 192), (20, 64), (30, 128)):
        rows, cols = np.nonzero(is_level(strip, level))
        assert (np.ptp(rows) + 1, np.ptp(cols) + 1) == (128, width)
        columns += [cols.min(), cols.max()]
    assert columns == sorted(columns)
    assert strip.bits == 8 and strip.alpha is None and strip.height > 128


def test_each_picture_has_its_label_beneath():
    strip = comparison_strip([("a", plain(64, 64)), ("b", plain(64, 64))], height=64)
    rows, cols = np.nonzero(is_level(strip, 10))
    below = (strip.pixels[rows.max() + 2 :] != PAPER).any(-1)
    middle = (cols.min() + cols.max()) // 2
    assert below[:, :middle].any() and below[:, middle:].any()
    assert not below[0].any() and not below[-1].any()  # no letter touches the picture or the edge


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1), (10, 4000), (7, 5)])
def test_pictures_of_any_shape_fit(shape):
    strip = comparison_strip([("odd", plain(*shape)), ("even", plain(8, 8))], height=64)
    assert strip.width <= 2 * 2 * 64 + 3 * 16 and strip.height < 2 * 64
    assert is_level(strip, 10).any()


def test_transparency_shows_the_checkerboard():
    strip = comparison_strip([("a", plain(64, 64, alpha=0)), ("b", plain(64, 64, alpha=255))], height=64)
    found = {tuple(c) for c in strip.pixels.reshape(-1, 3).tolist()}
    assert set(CHECKS) <= found and (10, 10, 10) in found


def test_a_long_label_is_cut_and_a_label_is_one_line():
    cut = comparison_strip([("x" * 500, plain(64, 64))], height=64)
    assert cut.width <= 2 * 64 + 2 * 16
    one = comparison_strip([("two\nlines", plain(64, 64))], height=64)
    assert (one.pixels == comparison_strip([("two lines", plain(64, 64))], height=64).pixels).all()


def test_16_bits_show_as_8(picture):
    made = picture(20, 20, bits=16, alpha=True)
    assert (
        comparison_strip([("a", made)], height=32).pixels == comparison_strip([("a", made.at(8))], height=32).pixels
    ).all()


def test_nothing_to_show():
    with pytest.raises(OptionError, match="no pictures; pass at least one"):
        comparison_strip([])
    with pytest.raises(OptionError, match="height 8; labels need 32 or more"):
        comparison_strip([("a", plain(4, 4))], height=8)
