"""Contact sheets: what stands in one column is of one time, and clips keep their shape."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from structkit.errors import OptionError
from structkit.media.contact import COLUMNS, MOST_ROWS, contact_sheet
from structkit.media.moving_pictures import Clip


def flat(levels: list[int], height: int = 40, width: int = 60, channel: int = 0) -> Clip:
    """A clip whose frames are each of one colour."""
    frames = np.zeros((len(levels), height, width, 3), np.uint8)
    frames[..., channel] = np.array(levels)[:, None, None]
    return Clip(frames, Fraction(10))


def cells(sheet: np.ndarray, colour: tuple[int, int, int]) -> tuple[tuple[int, int, int, int], int]:
    """The box (top, bottom, left, right) of a colour, and how many pixels have it."""
    found = (sheet == colour).all(-1)
    rows, columns = np.nonzero(found.any(1))[0], np.nonzero(found.any(0))[0]
    return (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1), int(found.sum())


def test_each_frame_of_a_short_clip_stands_at_its_own_size_and_one_below_the_other():
    sheet = contact_sheet([("clip", flat([50, 100, 150])), ("result", flat([50, 100, 150], channel=1))]).pixels
    for level in (50, 100, 150):
        (top, bottom, left, right), count = cells(sheet, (level, 0, 0))
        assert (bottom - top, right - left, count) == (40, 60, 2400)
        below, _ = cells(sheet, (0, level, 0))
        assert below[2:] == (left, right) and below[0] > bottom
    assert cells(sheet, (50, 0, 0))[0][3] < cells(sheet, (100, 0, 0))[0][2]


def test_of_a_long_clip_the_first_frame_the_last_and_some_between_are_shown():
    levels = list(range(2, 62, 2))  # 30 frames
    sheet = contact_sheet([("clip", flat(levels))]).pixels
    shown = [level for level in levels if (sheet == (level, 0, 0)).all(-1).any()]
    assert len(shown) == COLUMNS and (shown[0], shown[-1]) == (2, 60)


def test_where_a_clip_is_over_there_is_nothing():
    sheet = contact_sheet([("clip", flat([50, 60])), ("longer", flat([50, 60, 70, 80], channel=1))]).pixels
    (top, bottom, _, _), _ = cells(sheet, (50, 0, 0))
    _, right = cells(sheet, (0, 60, 0))[0][2:]
    assert (sheet[top:bottom, right + 2 :] == 255).all()


def test_a_sheet_is_no_wider_than_asked_and_all_clips_have_one_scale():
    wide, small = flat([10] * 8, 200, 400), flat([20] * 8, 100, 200)
    sheet = contact_sheet([("wide", wide), ("small", small)], widest=800).pixels
    assert sheet.shape[1] <= 800
    one, other = (cells(sheet, (level, 0, 0))[0] for level in (10, 20))
    assert (one[1] - one[0]) == pytest.approx(2 * (other[1] - other[0]), abs=1)


def test_nothing_cannot_be_shown():
    with pytest.raises(OptionError, match="no clips; pass at least one"):
        contact_sheet([])


def test_more_clips_than_a_sheet_holds_are_refused():
    with pytest.raises(OptionError, match=f"{MOST_ROWS + 1} clips; pass at most {MOST_ROWS}"):
        contact_sheet([("clip", flat([10], 4, 6))] * (MOST_ROWS + 1))
