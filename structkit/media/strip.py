"""A labelled strip of pictures side by side: source, target, result."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from structkit.errors import OptionError
from structkit.media.pictures import Picture

PAPER, INK, FRAME = (255, 255, 255), (64, 68, 76), (214, 217, 222)  # of the ground, labels, and edges
CHECKS = ((250, 250, 251), (226, 228, 232))  # the two greys behind transparency
WIDEST = 2.0  # a picture's width over the strip's height, at most; a wider picture is made lower


def comparison_strip(pictures: Sequence[tuple[str, Picture]], *, height: int = 256) -> Picture:
    """Pictures side by side on white, each with its label beneath; transparency shows as a checkerboard.

    height: of the pictures, px, 32 or more.  All are scaled to it, each in its own aspect; one that would be wider than
    twice the height is made lower.
    A label that is wider than its picture widens the picture's cell, up to twice the height.  A longer one is cut and
    ends in "...".
    Returns an 8-bit picture.
    Raises OptionError.
    """
    if not pictures:
        raise OptionError("comparison strip: no pictures; pass at least one (label, picture)")
    if height < 32:
        raise OptionError(f"comparison strip: height {height}; labels need 32 or more")
    text_size = max(11, round(height / 14))
    font = ImageFont.load_default(text_size)
    gap = text_size  # between cells, and around them
    label_height = round(1.9 * text_size)  # the room beneath the pictures
    widest = round(WIDEST * height)
    texts = [_shortened(label, font, widest) for label, _ in pictures]
    thumbs = [_fitted(picture, widest, height) for _, picture in pictures]
    widths = [max(thumb.width, round(font.getlength(text))) for text, thumb in zip(texts, thumbs, strict=True)]
    sheet = Image.new("RGB", (sum(widths) + gap * (len(widths) + 1), gap + height + label_height + gap // 3), PAPER)
    draw = ImageDraw.Draw(sheet)
    left = gap
    for text, thumb, width in zip(texts, thumbs, widths, strict=True):
        x, y = left + (width - thumb.width) // 2, gap + (height - thumb.height) // 2
        # Without an edge a white picture would not stand out from the ground.
        draw.rectangle((x - 1, y - 1, x + thumb.width, y + thumb.height), outline=FRAME)
        sheet.paste(thumb, (x, y))
        draw.text((left + width / 2, gap + height + label_height - text_size / 2), text, INK, font, anchor="ms")
        left += width + gap
    return Picture(np.asarray(sheet), name="comparison strip")


def _shortened(label: str, font: ImageFont.FreeTypeFont, widest: int) -> str:
    """The label on one line, cut until it is no wider than `widest`, px."""
    text = " ".join(label.split())
    while font.getlength(text) > widest:
        text = text.removesuffix("...")[:-1].rstrip() + "..."
    return text


def _fitted(picture: Picture, widest: int, height: int) -> Image.Image:
    """The picture scaled to fit the strip's height and `widest`, px; what is transparent shows the checkerboard."""
    picture = picture.at(8)
    scale = min(height / picture.height, widest / picture.width)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    resampling = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC
    if picture.alpha is None:
        return Image.fromarray(picture.pixels).resize(size, resampling)
    # Alpha is scaled together with the colours, so that Pillow weights the colours by it.
    front = Image.fromarray(np.dstack([picture.pixels, picture.alpha])).resize(size, resampling)
    back = _checkerboard(size, max(4, height // 24)).convert("RGBA")
    return Image.alpha_composite(back, front).convert("RGB")


def _checkerboard(size: tuple[int, int], square: int) -> Image.Image:
    """A checkerboard of a size, (width, height) px, whose squares are `square` px a side."""
    rows, columns = np.arange(size[1]) // square, np.arange(size[0]) // square
    return Image.fromarray(np.array(CHECKS, np.uint8)[np.add.outer(rows, columns) % 2])
