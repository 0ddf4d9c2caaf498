"""The coded data of a JPEG: a decoder that also hears whether they were all there, and no more than that.

The JPEG library makes up what is missing and passes over what is left, and Pillow hides that it says so.  Here its
decoder is fed piece by piece.  Before the marker that ends a scan (or the part of a scan up to a restart marker) come
bytes of no meaning: a decoder that has its data passes over them, one that lacks some takes them for data.  Which of
the two it does shows in a single byte: a decoder that looks for a marker takes it at once, one that reads codes waits
for more.  So one decoding gives the picture and says whether it was whole.

Source: ITU-T T.81, annexes B, F and G.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from PIL import Image, JpegImagePlugin

from structkit.configs.media import MAX_SCANS

EOI, SOS, DHT = 0xD9, 0xDA, 0xC4
HUFFMAN = (0xC0, 0xC1, 0xC2)  # frames whose codes are Huffman's: sequential, extended, progressive
FILLER = b"\xff\x00" * 8  # ones, which are no code in any table (annex C): as many as the decoder looks ahead
TAIL = 24  # bytes at the end of a scan: more than the decoder looks ahead
PROBES = 512  # the most parts of scans that are looked at in one file
HOLE = bytes(32)  # so many zeros in a row
WINDOW = 2**16  # bytes that are searched for markers at a time


@dataclass
class Scan:
    """One scan of a JPEG.

    at: where its coded data begin.  ends: where each of their parts ends, which restart markers divide.
    flat: whether a long run of zero bits may be a picture: it is no data of a flat area where False.
    """

    at: int
    flat: bool
    ends: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Flaw:
    """Damage that a decoder met.

    lost: whether parts of the picture are missing or wrong for certain.
    """

    fact: str
    lost: bool = True


class ScanLimitError(ValueError):
    """More scans than any encoder writes, each of which costs a pass over the whole picture."""


def load(image: JpegImagePlugin.JpegImageFile, data: bytes) -> tuple[Flaw, ...]:
    """Decode an opened JPEG, as `image.load()` does, into the same levels; returns what the decoder met.

    data: the bytes of the file.
    Where data are missing the rest is what the JPEG library makes up: grey, or the rows without their detail.
    Raises ScanLimitError, and whatever Pillow raises.
    """
    found = list(scans(data))
    if len(found) > MAX_SCANS:
        raise ScanLimitError(f"{len(found)} scans, over the limit of {MAX_SCANS}; save it again as a plain JPEG")
    # The decoder of arithmetic codes cannot wait.
    if _frame(data) not in HUFFMAN or not hasattr(Image.core, "jpeg_decoder"):
        image.load()
        return ()
    feed = _Feed(image)
    try:
        flaws = _fed(feed, data, found)
    finally:
        feed.close()
    for scan in found:
        restarts = [data[end + 1] & 7 for end in scan.ends[:-1]]
        if any(number != place & 7 for place, number in enumerate(restarts)):
            flaws.append(Flaw("a part between restart markers is missing"))
        hole = -1 if scan.flat else data.find(HOLE, scan.at, scan.ends[-1])
        if hole >= 0 and any(data[hole : scan.ends[-1]]):  # zeros up to the end may be there to fill up
            flaws.append(Flaw("there are zeros among its coded data"))
    if len(found) > 1 and any(_strewn(data, scan.ends[-1]) for scan in found):
        flaws.append(Flaw("a part between its scans is missing"))
    return tuple(dict.fromkeys(flaws))


def scans(data: bytes) -> Iterator[Scan]:
    """The scans of a JPEG's first picture, in order."""
    tables: dict[int, int] = {}  # the table of codes for coefficients -> the symbol whose code is all zeros
    at = 2
    while segment := _segment(data, at):
        kind, start, at = segment
        if kind == DHT:
            tables |= _first_symbols(data[start + 4 : at])
        if kind == SOS:
            scan = Scan(at, _may_be_flat(data[start + 4 : at], tables))
            for marker in _markers(data, at):
                scan.ends.append(marker)
                if not 0xD0 <= data[marker + 1] <= 0xD7:
                    break
            else:
                scan.ends.append(len(data))
            yield scan
            at = scan.ends[-1]


class _Feed:
    """Pillow's decoder of one picture, with the bytes that it has not taken yet."""

    def __init__(self, image: Image.Image) -> None:
        image.load_prepare()
        _, extents, _, args = image.tile[0]
        self._image, self._rest, self.done = image, b"", False
        self._decoder = Image.core.jpeg_decoder(image.mode, *args, *image.decoderconfig)
        self._decoder.setimage(image.im, extents)

    def __call__(self, more: bytes) -> bool:
        """Hand on some bytes; True if the decoder took all that it was given."""
        if self.done:
            return True
        self._rest += more
        taken, error = self._decoder.decode(self._rest)
        if taken < 0:
            self.done = True
            if error < 0:
                raise OSError(f"the decoder's error {error}")
            return True
        self._rest = self._rest[taken:]
        return not self._rest

    def close(self) -> None:
        self._decoder.cleanup()
        self._image.tile = []


def _fed(feed: _Feed, data: bytes, found: list[Scan]) -> list[Flaw]:
    """Feed a file to its decoder, and look at each part until one is damaged."""
    flaws: list[Flaw] = []
    ends = [(scan, begins, end) for scan in found for begins, end in pairwise((scan.at, *scan.ends))]
    step, at = -(-len(ends) // PROBES), 0
    for number, (scan, begins, end) in enumerate(ends, 1):
        if number % step and end != scan.ends[-1]:
            continue
        at, left = _left_over(feed, data, at, begins, end)
        if left:
            # Some cameras, none of which write several scans, leave bytes after the last code of the picture.
            ambiguous = end == found[0].ends[-1] and len(found) == 1
            certain = not ambiguous or (left == "zeros" and not scan.flat) or _is_bad(data)
            flaws.append(Flaw("codes are left over after the last pixel", certain))
        if end == len(data):  # no marker follows, so the data may be cut anywhere
            break
        passed_over = feed(data[at:end] + FILLER)
        at = end
        if not (feed(b"\0") and passed_over):
            flaws.append(Flaw("its coded data end before the picture does"))
        if feed.done:
            return flaws
        if flaws:
            break
    feed(data[at:])
    if not feed.done:
        feed(b"\xff\xd9")
        flaws.append(Flaw("its end is missing"))
    return flaws


def _left_over(feed: _Feed, data: bytes, at: int, begins: int, end: int) -> tuple[int, str]:
    """Feed what comes before the last bytes of a part; returns where that is, and what the decoder has no use for.

    That is "codes", "zeros" (of which a decoder used some and left others) or "".
    """
    padding = end  # where bytes that are all the same begin, with which some encoders fill up
    while padding > begins and data[padding - 1] == data[end - 1]:
        padding -= 1
    stops = [padding - TAIL] if end - padding < 6 * TAIL else [padding - TAIL, padding + 2 * TAIL, end - TAIL]
    for number, stop in enumerate(stops):
        while stop > begins and 0xFF in data[stop - 1 : stop + 1]:
            stop -= 1
        if stop - begins < TAIL or stop < at:
            continue
        waits = not feed(data[at:stop])
        through = feed(data[stop : stop + 1]) and not waits
        at = stop + 1
        if through:
            return at, ("codes", "", "zeros")[number]
    return at, ""


def _is_bad(data: bytes) -> bool:
    """True if FFmpeg's decoder, asked to be strict, refuses the picture: it hears other things."""
    import av

    decoder = av.CodecContext.create("mjpeg", "r")
    decoder.thread_count, decoder.options = 1, {"err_detect": "explode"}
    try:
        return not decoder.decode(av.Packet(data))
    except (av.FFmpegError, ValueError):
        return True


def _markers(data: bytes, at: int) -> Iterator[int]:
    """Where the markers are, from a place on: 0xFF before a byte that is neither 0 nor 0xFF (B.1.1.2)."""
    while at + 1 < len(data):
        if data[at] == 0xFF and data[at + 1] not in (0, 0xFF):  # as between segments: no need to look further
            yield at
            at += 2
            continue
        window = np.frombuffer(data, np.uint8, min(WINDOW, len(data) - at), at)
        kinds = window[1:]
        yield from (at + np.flatnonzero((window[:-1] == 0xFF) & (kinds != 0) & (kinds != 0xFF))).tolist()
        at += len(window) - 1


def _strewn(data: bytes, at: int) -> bool:
    """True if bytes that belong to no segment stand between the end of a scan and the next scan, or the end."""
    while (start := next(_markers(data, at), None)) is not None:
        if start - at >= TAIL and len(set(data[at:start])) > 1:
            return True
        if data[start + 1] in (SOS, EOI):
            return False
        at = start + 2 + int.from_bytes(data[start + 2 : start + 4])
    return False


def _segment(data: bytes, at: int) -> tuple[int, int, int] | None:
    """The marker, the beginning and the end of the first segment from a place on; None at the end of the picture."""
    while (start := next(_markers(data, at), None)) is not None:
        kind = data[start + 1]
        if kind == EOI:
            return None
        if not (0xD0 <= kind <= 0xD8 or kind == 1):
            return kind, start, start + 2 + int.from_bytes(data[start + 2 : start + 4])
        at = start + 2
    return None


def _frame(data: bytes) -> int | None:
    """The marker of the frame's header, which says how the picture is coded (table B.1)."""
    at = 2
    while segment := _segment(data, at):
        kind, _, at = segment
        if 0xC0 <= kind <= 0xCF and kind not in (DHT, 0xC8, 0xCC):
            return kind
    return None


def _first_symbols(body: bytes) -> dict[int, int]:
    """The symbol whose code is all zeros, for each table of coefficients in a DHT segment (B.2.4.2)."""
    first, at = {}, 0
    while at + 17 < len(body):
        if body[at] & 0x10:
            first[body[at] & 15] = body[at + 17]
        at += 17 + sum(body[at + 1 : at + 17])
    return first


def _may_be_flat(header: bytes, tables: dict[int, int]) -> bool:
    """False for a scan in which a run of zero bits would be coefficients without end (B.2.3).

    True where the code of zeros ends a block, or a series of blocks, and where bits have no code.
    """
    count = header[0] if header else 0
    if len(header) != 4 + 2 * count:
        return True
    first, last, approximation = header[-3:]
    if last == 0 or approximation >> 4 or (first and count != 1):
        return True
    symbols = [tables.get(header[2 + 2 * i] & 15, 0) for i in range(count)]
    return all(symbol & 15 == 0 and symbol != 0xF0 for symbol in symbols)
