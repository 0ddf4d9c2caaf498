"""Decoded frames -> upright RGB with square pixels, and RGB -> what encoders take.

The matrix and the range are named on both sides of every conversion; FFmpeg's defaults differ from one version to the
next.
"""

import struct
from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np

FLAGS = "flags=bicubic+accurate_rnd+full_chroma_int+bitexact"  # the same bytes whatever the processor
# The matrices, by number: ITU-T H.273, table 4.
MATRICES = {
    1: "bt709",
    4: "fcc",
    5: "bt601",
    6: "bt601",
    7: "smpte240m",
    9: "bt2020",
    10: "bt2020",
}
RGB = 0  # RGB in the same table
FULL = 2  # AVCOL_RANGE_JPEG

Turn = Callable[[np.ndarray], np.ndarray]


class Scaler:
    """A converter of one kind, with the filter graph that was built for the frames seen last."""

    def __init__(self) -> None:
        self._kind: tuple | None = None
        self._graph: av.filter.Graph | None = None

    def __call__(self, frame: av.VideoFrame, options: str, layout: str) -> av.VideoFrame:
        """The frame through FFmpeg's `scale` with these options, as a frame of this pixel format."""
        kind = frame.width, frame.height, frame.format.name, options, layout
        if kind != self._kind:
            graph = av.filter.Graph()
            source = graph.add_buffer(
                width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000)
            )
            scale, format, sink = (
                graph.add("scale", f"{options}:{FLAGS}"),
                graph.add("format", layout),
                graph.add("buffersink"),
            )
            source.link_to(scale)
            scale.link_to(format)
            format.link_to(sink)
            graph.configure()
            self._kind, self._graph = kind, graph
        self._graph.push(frame)
        return self._graph.pull()


def to_rgb(scaler: Scaler, frame: av.VideoFrame, width: int, height: int) -> np.ndarray:
    """The pixels of a frame, (height, width, 3) uint8 over the full range, in the frame's own turn."""
    options = [f"w={width}:h={height}:out_range=pc"]
    if frame.format.is_rgb or frame.colorspace == RGB:
        options.append("in_range=pc")
    else:
        full = frame.color_range == FULL or frame.format.name.startswith("yuvj")
        matrix = MATRICES.get(frame.colorspace) or likely_matrix(frame)
        options.append(f"in_range={'pc' if full else 'tv'}:in_color_matrix={matrix}")
    return np.ascontiguousarray(scaler(frame, ":".join(options), "rgb24").to_ndarray())


def likely_matrix(frame: av.VideoFrame) -> str:
    """The likely matrix of a frame that names none: BT.601 up to the sizes of standard television, BT.709 above.

    Players do so.
    """
    return "bt709" if frame.width >= 1280 or frame.height > 576 else "bt601"


def from_rgb(scaler: Scaler, pixels: np.ndarray) -> av.VideoFrame:
    """The frame of pixels, (H, W, 3) uint8, as an encoder takes it.

    yuv420p in BT.709 of limited range, the matrix and range that `TAGS` declare.
    """
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
    return scaler(frame, "in_range=pc:out_range=tv:out_color_matrix=bt709", "yuv420p")


TAGS = {"colorspace": "bt709", "color_primaries": "bt709", "color_trc": "bt709", "color_range": "tv"}  # encoder options


def upright(matrix: bytes) -> Turn:
    """The turn of rows and columns that a display matrix of nine int32 asks for, to the nearest quarter turn.

    ISO/IEC 14496-12, 6.2.2: the matrix takes (x, y), y down, to (a x + c y, b x + d y).  A mirror image is turned back
    as well.
    """
    a, b, _, c, d, *_ = struct.unpack("=9i", matrix[:36])
    swapped = abs(b) + abs(c) > abs(a) + abs(d)
    across, down = (c, b) if swapped else (a, d)
    columns, rows = slice(None, None, -1 if across < 0 else 1), slice(None, None, -1 if down < 0 else 1)
    return lambda pixels: np.ascontiguousarray((pixels.swapaxes(0, 1) if swapped else pixels)[rows, columns])


def square(width: int, height: int, aspect: Fraction) -> tuple[int, int]:
    """The size with square pixels.

    aspect: of one pixel, width over height.  The side that is too short grows: no detail is lost.
    """
    return (round(width * aspect), height) if aspect >= 1 else (width, round(height / aspect))
