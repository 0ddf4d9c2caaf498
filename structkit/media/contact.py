"""A contact sheet of clips: one row each, frames along the row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from structkit.errors import OptionError
from structkit.media.moving_pictures import Clip, fitted
from structkit.media.pictures import Picture
from structkit.media.strip import FRAME, INK, PAPER

COLUMNS = 8  # frames of a row, at most
MOST_ROWS = 40
WIDEST = 1920  # px, of a sheet
LEAST_CELL = 48  # px, across
TEXT = 13  # px, of labels


def contact_sheet(clips: Sequence[tuple[str, Clip]], *, widest: int = WIDEST) -> Picture:
    """Clips beneath one another on white, each with its label; what stands in one column is of one time.

    widest: of the sheet, px, about.  Of clips with more than COLUMNS frames some are shown, evenly spaced; where a clip
    is over there is nothing.  All clips have one scale, and are never enlarged.
    Returns an 8-bit picture.
    Raises OptionError for no clip, and for more than MOST_ROWS.
    """
    if not clips:
        raise OptionError("contact sheet: no clips; pass at least one (label, clip)")
    if len(clips) > MOST_ROWS:
        raise OptionError(f"contact sheet: {len(clips)} clips; pass at most {MOST_ROWS}")
    font, gap = ImageFont.load_default(TEXT), TEXT // 2
    longest = max(clip.count for _, clip in clips)
    shown = np.unique(np.linspace(0, longest - 1, min(longest, COLUMNS)).round().astype(int))
    labels = max(round(font.getlength(label)) for label, _ in clips) + 2 * gap
    room = (widest - labels) // len(shown) - gap
    scale = min(1.0, max(room, LEAST_CELL) / max(clip.width for _, clip in clips))
    sizes = [(max(1, round(clip.width * scale)), max(1, round(clip.height * scale))) for _, clip in clips]
    cell = max(width for width, _ in sizes) + gap
    top = TEXT + 2 * gap
    sheet = Image.new("RGB", (labels + cell * len(shown), top + sum(h + gap for _, h in sizes)), PAPER)
    draw = ImageDraw.Draw(sheet)
    for column, number in enumerate(shown):
        middle = labels + cell * column + (cell - gap) / 2
        draw.text((middle, top - gap), str(number + 1), INK, font, anchor="ms")
    for (label, clip), size in zip(clips, sizes, strict=True):
        draw.text((gap, top + size[1] / 2), label, INK, font, anchor="lm")
        for column, number in enumerate(shown):
            if number < clip.count:
                left = labels + cell * column + (cell - gap - size[0]) // 2
                draw.rectangle((left - 1, top - 1, left + size[0], top + size[1]), outline=FRAME)
                sheet.paste(Image.fromarray(fitted(clip.frames[number], size)), (left, top))
        top += size[1] + gap
    return Picture(np.asarray(sheet), name="contact sheet")
