"""Charts as SVG and as PNG: one list of texts, lines and bars is drawn as either.

The paper is white in both, with its own ink, so that a chart reads alike on light and on dark pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw, ImageFont

PAPER, INK, FAINT, GRID = "#ffffff", "#1f2937", "#6b7280", "#e5e7eb"
PIXELS, FINER = 2, 2  # of a PNG: its pixels for one of the layout, and as many times finer that it is drawn


@dataclass(frozen=True)
class ChartText:
    """A text of a chart: its place, its size, px, its colour, and the side that it stands at.

    anchor: start, middle or end.
    halo: true for one that stands over lines, and keeps them at a distance.
    """

    x: float
    y: float
    text: str
    size: int = 15
    colour: str = FAINT
    anchor: str = "start"
    bold: bool = False
    halo: bool = False


@dataclass(frozen=True)
class ChartLine:
    """A line of a chart through points (n, 2), px.

    dashes: the lengths of a dash and of a gap, px; filled: with the area beneath it, see `ChartArea`.
    """

    points: np.ndarray
    colour: str
    width: float = 1.0
    dashes: tuple[float, float] | None = None
    filled: bool = False


@dataclass(frozen=True)
class ChartBar:
    """A bar of a chart: its corner at the top left, its width and its height, px."""

    x: float
    y: float
    width: float
    height: float
    colour: str


@dataclass(frozen=True)
class ChartArea:
    """The look of areas beneath lines: strong at the top of the plot, faint at its foot, px.

    shades: the opacity at both.
    """

    colour: str
    top: float
    bottom: float
    shades: tuple[float, float]


ChartShape = ChartText | ChartLine | ChartBar


def svg_of(shapes: Iterable[ChartShape], size: tuple[int, int], title: str, area: ChartArea | None = None) -> str:
    """The text of an SVG file.  shapes: from the back to the front.  size: (width, height), px."""
    width, height = size
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" font-family="system-ui, Segoe UI, Helvetica, Arial, sans-serif">',
        f"<title>{escape(title)}</title>",
    ]
    if area is not None:
        first, last = area.shades
        parts.append(
            f'<defs><linearGradient id="area" gradientUnits="userSpaceOnUse" x1="0" y1="{area.top}" x2="0" '
            f'y2="{area.bottom}">'
            f'<stop stop-color="{area.colour}" stop-opacity="{first}"/>'
            f'<stop offset="1" stop-color="{area.colour}" stop-opacity="{last}"/></linearGradient></defs>'
        )
    parts.append(f'<rect width="{width}" height="{height}" rx="10" fill="{PAPER}"/>')
    for shape in shapes:
        if isinstance(shape, ChartText):
            weight = ' font-weight="600"' if shape.bold else ""
            halo = f' stroke="{PAPER}" stroke-width="4" stroke-opacity="0.8" paint-order="stroke"' if shape.halo else ""
            parts.append(
                f'<text x="{shape.x:.1f}" y="{shape.y:.1f}" font-size="{shape.size}" fill="{shape.colour}" '
                f'text-anchor="{shape.anchor}"{weight}{halo}>{escape(shape.text)}</text>'
            )
            continue
        if isinstance(shape, ChartBar):
            place = f'x="{shape.x:.1f}" y="{shape.y:.1f}" width="{shape.width:.1f}" height="{shape.height:.1f}"'
            parts.append(f'<rect {place} fill="{shape.colour}"/>')
            continue
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in shape.points.tolist())
        if shape.filled and area is not None:
            foot = f"{shape.points[-1, 0]:.1f},{area.bottom} {shape.points[0, 0]:.1f},{area.bottom}"
            parts.append(f'<polygon points="{path} {foot}" fill="url(#area)"/>')
        dashes = f' stroke-dasharray="{shape.dashes[0]:g} {shape.dashes[1]:g}"' if shape.dashes else ""
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{shape.colour}" stroke-width="{shape.width:g}" '
            f'stroke-linejoin="round"{dashes}/>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def png_of(shapes: Iterable[ChartShape], size: tuple[int, int], area: ChartArea | None = None) -> bytes:
    """The bytes of a PNG file of the same chart."""
    scale = PIXELS * FINER
    drawn = size[0] * scale, size[1] * scale
    image = Image.new("RGB", drawn, PAPER)
    draw = ImageDraw.Draw(image)
    texts = []
    for shape in shapes:
        if isinstance(shape, ChartText):
            texts.append(shape)
            continue
        if isinstance(shape, ChartBar):
            left, top = round(shape.x * scale), round(shape.y * scale)
            right, bottom = round((shape.x + shape.width) * scale), round((shape.y + shape.height) * scale)
            if right > left and bottom > top:
                draw.rectangle((left, top, right - 1, bottom - 1), shape.colour)
            continue
        points = shape.points * scale
        if shape.filled and area is not None:
            foot = area.bottom * scale
            corners = [*map(tuple, points.tolist()), (points[-1, 0], foot), (points[0, 0], foot)]
            image.paste(Image.new("RGB", drawn, shape.colour), mask=_shade(corners, drawn, scale, area))
        for piece in _dashed(points, shape.dashes, scale):
            draw.line([*map(tuple, piece.tolist())], shape.colour, max(1, round(shape.width * scale)), "curve")
    image = image.resize((size[0] * PIXELS, size[1] * PIXELS), Image.Resampling.BOX)
    draw = ImageDraw.Draw(image)
    for text in texts:
        font = ImageFont.load_default(text.size * PIXELS)
        anchor = {"start": "ls", "middle": "ms", "end": "rs"}[text.anchor]
        place = text.x * PIXELS, text.y * PIXELS
        stroke = (2 * PIXELS, PAPER) if text.halo else (0.3 * PIXELS if text.bold else 0, text.colour)
        draw.text(place, text.text, text.colour, font, anchor, stroke_width=stroke[0], stroke_fill=stroke[1])
    found = BytesIO()
    image.save(found, "PNG", optimize=False)
    return found.getvalue()


def _shade(corners: list[tuple[float, float]], size: tuple[int, int], scale: int, area: ChartArea) -> Image.Image:
    """The mask of an area."""
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).polygon(corners, 255)
    place = np.clip((np.arange(size[1]) / scale - area.top) / (area.bottom - area.top), 0, 1)
    first, last = area.shades
    levels = np.round(255 * (first + (last - first) * place)).astype(np.uint8)
    return Image.fromarray(np.minimum(np.asarray(mask), levels[:, None]))


def _dashed(points: np.ndarray, dashes: tuple[float, float] | None, scale: int) -> Iterator[np.ndarray]:
    """The pieces of a line; dashes are for level ones alone."""
    if dashes is None:
        yield points
        return
    on, off = (scale * length for length in dashes)
    for start in np.arange(points[0, 0], points[-1, 0], on + off).tolist():
        yield np.array([[start, points[0, 1]], [min(start + on, points[-1, 0]), points[0, 1]]])
