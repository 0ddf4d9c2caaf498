"""A labelled strip of pictures side by side: source, target, result."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from structkit.errors import OptionError
from structkit.media.pictures import Picture

PAPER, INK, FRAME = (255, 255, 255), (64, 68, 76), (214, 217, 222)
CHECKS = ((250, 250, 251), (226, 228, 232))  # the two greys behind transparency
WIDEST = 2.0  # a cell's width over its height; a wider picture is fitted to the width instead


def comparison_strip(pictures: Sequence[tuple[str, Picture]], *, height: int = 256) -> Picture:
    """Pictures side by side on white, each with its label beneath; transparency shows as a checkerboard.

    height: of the pictures, px, 32 or more; all are scaled to it with their own aspect, and a very wide one is made
    lower.
    A label that is wider than its picture widens the cell up to twice the height, then ends in "...".
    Returns an 8-bit picture.
    Raises OptionError.
    """
    if not pictures:
        raise OptionError("comparison strip: no pictures; pass at least one (label, picture)")
    if height < 32:
        raise OptionError(f"comparison strip: height {height}; labels need 32 or more")
    size = max(11, round(height / 14))
    font = ImageFont.load_default(size)
    gap, below = size, round(1.9 * size)  # between cells; from the pictures' foot to the labels' line
    widest = round(WIDEST * height)
    texts = [_shortened(label, font, widest) for label, _ in pictures]
    thumbs = [_fitted(picture, widest, height) for _, picture in pictures]
    widths = [max(thumb.width, round(font.getlength(text))) for text, thumb in zip(texts, thumbs, strict=True)]
    sheet = Image.new("RGB", (sum(widths) + gap * (len(widths) + 1), gap + height + below + gap // 3), PAPER)
    draw = ImageDraw.Draw(sheet)
    left = gap
    for text, thumb, width in zip(texts, thumbs, widths, strict=True):
        x, y = left + (width - thumb.width) // 2, gap + (height - thumb.height) // 2
        # A white picture needs an edge.
        draw.rectangle((x - 1, y - 1, x + thumb.width, y + thumb.height), outline=FRAME)
        sheet.paste(thumb, (x, y))
        draw.text((left + width / 2, gap + height + below - size / 2), text, INK, font, anchor="ms")
        left += width + gap
    return Picture(np.asarray(sheet), name="comparison strip")


def _shortened(label: str, font: ImageFont.FreeTypeFont, widest: int) -> str:
    text = " ".join(label.split())
    while font.getlength(text) > widest:
        text = text.removesuffix("...")[:-1].rstrip() + "..."
    return text


def _fitted(picture: Picture, widest: int, height: int) -> Image.Image:
    """The picture at the strip's height, or at its widest, over the checkerboard."""
    picture = picture.at(8)
    scale = min(height / picture.height, widest / picture.width)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    filter = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC
    if picture.alpha is None:
        return Image.fromarray(picture.pixels).resize(size, filter)
    # Pillow weights the colours by alpha.
    front = Image.fromarray(np.dstack([picture.pixels, picture.alpha])).resize(size, filter)
    back = _checkerboard(size, max(4, height // 24)).convert("RGBA")
    return Image.alpha_composite(back, front).convert("RGB")


def _checkerboard(size: tuple[int, int], square: int) -> Image.Image:
    rows, columns = np.arange(size[1]) // square, np.arange(size[0]) // square
    return Image.fromarray(np.array(CHECKS, np.uint8)[np.add.outer(rows, columns) % 2])
