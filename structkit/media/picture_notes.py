"""Notes on what a video's frames hold that is taken as something simpler: high dynamic range, more bits, odd turns."""

from __future__ import annotations

from collections.abc import Iterator

import av

from structkit.media import yuv

BT2020, UNSPECIFIED = 9, 2  # the number of its primaries, and of a transfer function that is not named: as in HDR
HDR = {16: "PQ", 18: "HLG"}  # ITU-T H.273, table 3


def picture_notes(codec: av.VideoCodecContext, first: av.VideoFrame, matrix: bytes | None) -> Iterator[str]:
    """The notes, one line each.

    first: the first frame.
    matrix: its display matrix, if it has one.
    """
    trc, bits = codec.color_trc, first.format.components[0].bits
    if trc in HDR:
        yield f"high dynamic range ({HDR[trc]}) taken as it is: colours look flat"
    elif codec.color_primaries == BT2020 and trc == UNSPECIFIED:
        yield "BT.2020 without a transfer function taken as it is: colours may look flat"
    if matrix and (angle := yuv.oblique(matrix)) is not None:
        yield f"turned by {angle:.0f} degrees: only quarter turns are done, the nearest is taken"
    if bits > 8:
        yield f"{bits} bits a channel reduced to 8"
    if any(component.is_alpha for component in first.format.components):
        yield "transparency is left out"
