"""Conversion of decoded frames to upright RGB with square pixels, and of RGB to the frames that encoders take.

Every conversion names the colour matrix and the range of both its sides, since FFmpeg's defaults differ from one
version to the next.
"""

import math
import struct
from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np

SCALE_FLAGS = "flags=bicubic+accurate_rnd+full_chroma_int+bitexact"  # the same bytes whatever the processor
# The colour of each block of pixels that shares one as it is stored, without a step between blocks being smoothed.
BLOCK_FLAGS = "flags=neighbor+bitexact"
# Each pixel of a smaller picture is the mean of those that it covers.
AREA_FLAGS = "flags=area+accurate_rnd+full_chroma_int+bitexact"
SAME_RANGE = "in_range=pc:out_range=pc"
# On the way from luma and chroma to packed RGB: the same bytes as in one step, for which FFmpeg has no vector code, in
# a third of the time.
PLANES_FIRST = "gbrp", "rgb24"
# From RGB without a change of size, where they give the same bytes as those above, in three quarters of the time.
FROM_RGB_FLAGS = "flags=bicubic+full_chroma_int+bitexact"
# FFmpeg's names of the colour matrices, by their numbers in ITU-T H.273, table 4.
MATRICES = {
    1: "bt709",
    4: "fcc",
    5: "bt601",
    6: "bt601",
    7: "smpte240m",
    9: "bt2020",
    10: "bt2020",
}
TURN_NOISE = 0.01  # the share of a display matrix's terms that is only rounding
RGB = 0  # the number of RGB in the same table
FULL = 2  # FFmpeg's number of the full range, AVCOL_RANGE_JPEG
# Encoder options: the matrix and the range of the frames that `Subsampler` makes.
TAGS = {"colorspace": "bt709", "color_primaries": "bt709", "color_trc": "bt709", "color_range": "tv"}

Turn = Callable[[np.ndarray], np.ndarray]  # (H, W, ...) -> the same pixels, turned or mirrored


class Scaler:
    """A converter of frames by FFmpeg's filter `scale`.

    The filter graph of the last call is kept, and used again as long as the frames and the conversion are of one kind.
    flags: FFmpeg's, of how it is done.
    """

    def __init__(self, flags: str = SCALE_FLAGS) -> None:
        self.flags = flags
        self._kind: tuple | None = None
        self._graph: av.filter.Graph | None = None

    def __call__(self, frame: av.VideoFrame, options: str, *pixel_formats: str) -> av.VideoFrame:
        """The frame through `scale` with these options, in the first pixel format, and from there into the next."""
        kind = frame.width, frame.height, frame.format.name, options, pixel_formats
        if kind != self._kind:
            graph = av.filter.Graph()
            source = graph.add_buffer(
                width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000)
            )
            steps = [source]
            for number, pixel_format in enumerate(pixel_formats):
                scale = graph.add("scale", f"{options if number == 0 else SAME_RANGE}:{self.flags}")
                steps += [scale, graph.add("format", pixel_format)]
            graph.link_nodes(*steps, graph.add("buffersink")).configure()
            self._kind, self._graph = kind, graph
        self._graph.push(frame)
        return self._graph.pull()


def to_rgb(scaler: Scaler, frame: av.VideoFrame, width: int, height: int) -> np.ndarray:
    """The pixels of a frame, (height, width, 3) uint8 over the full range, not yet turned upright.

    width, height: px, to which the frame is scaled.
    """
    options = [f"w={width}:h={height}:out_range=pc"]
    steps = ("rgb24",)
    if frame.format.is_rgb or frame.colorspace == RGB:
        options.append("in_range=pc")
    else:
        # FFmpeg's quick way from blocks to planes leaves out columns behind the last multiple of 16.
        steps = steps if scaler.flags == BLOCK_FLAGS else PLANES_FIRST
        full = frame.color_range == FULL or frame.format.name.startswith("yuvj")
        matrix = MATRICES.get(frame.colorspace) or likely_matrix(frame)
        options.append(f"in_range={'pc' if full else 'tv'}:in_color_matrix={matrix}")
    return np.ascontiguousarray(scaler(frame, ":".join(options), *steps).to_ndarray())


def likely_matrix(frame: av.VideoFrame) -> str:
    """The likely matrix of a frame that names none: BT.601 up to the sizes of standard television, BT.709 above.

    Players guess in the same way.
    """
    return "bt709" if frame.width >= 1280 or frame.height > 576 else "bt601"


def is_encodable(frame: av.VideoFrame, width: int, height: int) -> bool:
    """True for a frame of this size that is as `Subsampler` makes them, which an encoder can take as it is."""
    matrix = MATRICES.get(frame.colorspace) or likely_matrix(frame)
    kind = frame.format.name, frame.width, frame.height, width % 2, height % 2
    return kind == ("yuv420p", width, height, 0, 0) and matrix == "bt709" and frame.color_range != FULL


class Subsampler:
    """A converter of RGB pixels to the frames that an encoder takes: yuv420p in BT.709 of limited range, as `TAGS` say.

    width, height: of the pixels, px.
    An odd side is made one pixel longer by repeating the edge, since 4:2:0 needs even ones.
    One frame of RGB is kept, and filled anew at each call: fresh memory costs more than the copy.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width + width % 2, height + height % 2
        self._scaler = Scaler(FROM_RGB_FLAGS)
        self._frame = av.VideoFrame(self.width, self.height, "rgb24")
        plane = self._frame.planes[0]
        rows = np.frombuffer(plane, np.uint8).reshape(self.height, plane.line_size)
        rows[:] = 0  # the end of each row, which is none of the picture
        self._pixels = rows[:, : 3 * self.width].reshape(self.height, self.width, 3)

    def __call__(self, pixels: np.ndarray) -> av.VideoFrame:
        """The frame of some pixels, (height, width, 3) uint8."""
        height, width, _ = pixels.shape
        self._pixels[:height, :width] = pixels
        self._pixels[:height, width:] = pixels[:, -1:]
        self._pixels[height:] = self._pixels[height - 1]
        return self._scaler(self._frame, "in_range=pc:out_range=tv:out_color_matrix=bt709", "yuv420p")


def upright(matrix: bytes) -> Turn:
    """The turn of rows and columns that a display matrix of nine int32 asks for, to the nearest quarter turn.

    ISO/IEC 14496-12, 6.2.2: the matrix takes (x, y), y down, to (a x + c y, b x + d y).  Mirroring that the matrix asks
    for is done as well.
    """
    a, b, _, c, d, *_ = struct.unpack("=9i", matrix[:36])
    swapped = abs(b) + abs(c) > abs(a) + abs(d)
    across, down = (c, b) if swapped else (a, d)
    columns, rows = slice(None, None, -1 if across < 0 else 1), slice(None, None, -1 if down < 0 else 1)
    return lambda pixels: np.ascontiguousarray((pixels.swapaxes(0, 1) if swapped else pixels)[rows, columns])


def oblique(matrix: bytes) -> float | None:
    """The angle in degrees, clockwise, that a display matrix turns by where it is no quarter turn; else None.

    A matrix that turns nothing, all zeros, is none.
    """
    a, b, _, c, d, *_ = struct.unpack("=9i", matrix[:36])
    less, more = sorted((abs(a) + abs(d), abs(b) + abs(c)))
    return math.degrees(math.atan2(b, a)) if less > TURN_NOISE * more else None


def square(width: int, height: int, aspect: Fraction) -> tuple[int, int]:
    """The size, (width, height) px, that a picture has when its pixels are made square.

    width, height: px, as stored.
    aspect: of one stored pixel, width over height.
    The side that is too short grows: no detail is lost.
    """
    return (round(width * aspect), height) if aspect >= 1 else (width, round(height / aspect))
