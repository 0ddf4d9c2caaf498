"""The coded data of a JPEG: a decoder that also hears whether they were all there, and no more than that.

The JPEG library makes up what is missing and passes over what is left, and Pillow hides that it says so.  Here its
decoder is fed piece by piece.  Before the marker that ends a scan (or the part of a scan up to a restart marker) come
bytes of no meaning: a decoder that has its data passes over them, one that lacks some takes them for data.  Which of
the two it does shows in a single byte: a decoder that looks for a marker takes it at once, one that reads codes waits
for more.  So one decoding gives the picture and says whether it was whole.

Source: ITU-T T.81, annexes B, F and G.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from PIL import Image, JpegImagePlugin

from structkit.configs.media import MAX_SCANS

EOI, SOS, DHT = 0xD9, 0xDA, 0xC4
HUFFMAN = (0xC0, 0xC1, 0xC2)  # frames whose codes are Huffman's: sequential, extended, progressive
FILLER = b"\xff\x00" * 8  # ones, which are no code in any table (annex C): as many as the decoder looks ahead
TAIL = 24  # bytes at the end of a scan: more than the decoder looks ahead
PROBES = 512  # the most parts of scans that are looked at in one file
HOLE = bytes(32)  # so many zeros in a row
WINDOW = 2**20  # bytes that are searched for restart markers at a time
MARKER = re.compile(rb"\xff[^\0\xff]")  # 0xFF before a byte that is neither 0 nor 0xFF (B.1.1.2)
SCAN_END = re.compile(rb"\xff[^\0\xff\xd0-\xd7]")  # a marker that is no restart marker


@dataclass
class Scan:
    """One scan of a JPEG.

    at, end: where its coded data begin and end.
    restarts: where the restart markers are that divide them, (n,) uint32.
    flat: whether a long run of zero bits may be a picture: it is no data of a flat area where False.
    """

    at: int
    end: int
    restarts: np.ndarray
    flat: bool


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
    found = list(islice(scans(data), MAX_SCANS + 1))
    if len(found) > MAX_SCANS:
        raise ScanLimitError(f"more scans than the limit of {MAX_SCANS}; save it again as a plain JPEG")
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
        numbers = np.frombuffer(data, np.uint8)[scan.restarts + 1] & 7
        if (numbers != np.resize(np.arange(8, dtype=np.uint8), len(numbers))).any():
            flaws.append(Flaw("a part between restart markers is missing"))
        hole = -1 if scan.flat else data.find(HOLE, scan.at, scan.end)
        if hole >= 0 and any(data[hole : scan.end]):  # zeros up to the end may be there to fill up
            flaws.append(Flaw("there are zeros among its coded data"))
    if len(found) > 1 and any(_strewn(data, scan.end) for scan in found):
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
            flat = _may_be_flat(data[start + 4 : at], tables)
            end = found.start() if (found := SCAN_END.search(data, at)) else len(data)
            yield Scan(at, end, _restarts(data, at, end), flat)
            at = end


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
    at = 0
    for scan, begins, end in _parts(found):
        at, left = _left_over(feed, data, at, begins, end)
        if left:
            # Some cameras, none of which write several scans, leave bytes after the last code of the picture.
            ambiguous = end == found[0].end and len(found) == 1
            certain = not ambiguous or (left == "zeros" and not scan.flat) or _is_bad(data)
            flaws.append(Flaw("codes are left over after the last pixel", certain))
        if end == len(data):  # no marker follows; what fills the rest may have been taken for data
            flaws.append(Flaw("its end is missing"))
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


def _parts(found: list[Scan]) -> Iterator[tuple[Scan, int, int]]:
    """The parts of scans that are looked at, each with its scan, beginning and end: the last of each scan, and others.

    There are about PROBES of them in all.
    """
    step, before = -(-sum(len(scan.restarts) + 1 for scan in found) // PROBES), 0
    for scan in found:
        last = len(scan.restarts)
        for part in (*range(-(before + 1) % step, last, step), last):
            begins = int(scan.restarts[part - 1]) if part else scan.at
            yield scan, begins, int(scan.restarts[part]) if part < last else scan.end
        before += last + 1


def _left_over(feed: _Feed, data: bytes, at: int, begins: int, end: int) -> tuple[int, str]:
    """Feed what comes before the last bytes of a part; returns where that is, and what the decoder has no use for:
    "codes", "zeros" (of which a decoder used some and left others) or "".
    """
    # Some encoders fill up with bytes that are all the same; here they begin.
    padding = begins + len(data[begins:end].rstrip(data[end - 1 : end]))
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


def _restarts(data: bytes, at: int, end: int) -> np.ndarray:
    """Where the restart markers of a scan are, (n,) uint32."""
    found = []
    for first in range(at, end - 1, WINDOW):
        window = np.frombuffer(data, np.uint8, min(WINDOW + 1, end - first), first)
        places = np.flatnonzero((window[:-1] == 0xFF) & (window[1:] & 0xF8 == 0xD0))
        found.append((places + first).astype(np.uint32))
    return np.concatenate(found) if found else np.empty(0, np.uint32)


def _strewn(data: bytes, at: int) -> bool:
    """True if bytes that belong to no segment stand between the end of a scan and the next scan, or the end."""
    while found := MARKER.search(data, at):
        start = found.start()
        if start - at >= TAIL and len(set(data[at:start])) > 1:
            return True
        if data[start + 1] in (SOS, EOI):
            return False
        at = _segment_end(data, start)
    return False


def _segment(data: bytes, at: int) -> tuple[int, int, int] | None:
    """The marker, the beginning and the end of the first segment from a place on; None at the end of the picture."""
    while found := MARKER.search(data, at):
        start = found.start()
        kind, at = data[start + 1], _segment_end(data, start)
        if kind == EOI:
            return None
        if at > start + 2:
            return kind, start, at
    return None


def _segment_end(data: bytes, start: int) -> int:
    """The end of the segment that begins with a marker; some markers stand alone."""
    kind = data[start + 1]
    alone = 0xD0 <= kind <= 0xD9 or kind == 1
    return start + 2 if alone else start + 2 + int.from_bytes(data[start + 2 : start + 4])


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
