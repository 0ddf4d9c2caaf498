"""Text files of users, such as lists and configurations: read whatever editor or shell has written them."""

from __future__ import annotations

import codecs
from io import BytesIO
from typing import BinaryIO

from structkit.errors import InputError

MOST = 2**28  # bytes of one text file; an endless stream must end somewhere
MARKS = (  # byte order marks; that of UTF-32 begins like that of UTF-16
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def read_text(stream: BinaryIO, name: str, *, bytes_are_kept: bool = False) -> str:
    """The text in a binary stream: UTF-8, or UTF-16 and UTF-32 as their marks say; line ends are those of Unix.

    name: the name of the file in messages.
    bytes_are_kept: bytes that are no UTF-8 become surrogates, as Python has them in paths; else they are refused.
    Raises InputError for what is no text: damaged, with NUL characters, or without end.
    """
    pieces = BytesIO()
    while pieces.tell() <= MOST and (piece := stream.read(2**20)):
        pieces.write(piece)
    if pieces.tell() > MOST:
        raise InputError(f"{name}: over the limit of {MOST >> 20} MiB for a text file; name another file")
    encoding, data = _encoding(pieces.getvalue())
    errors = "surrogateescape" if bytes_are_kept and encoding == "utf-8" else "strict"
    try:
        text = data.decode(encoding, errors)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{name}: byte {error.start} is not of a text in {encoding.upper()[:6].rstrip('-')}; save it as UTF-8"
        ) from error
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(f"{name}: line {line} has a NUL character; save it as plain text, in UTF-8, line by line")
    return text


def _encoding(data: bytes) -> tuple[str, bytes]:
    """The encoding of a text, and its bytes without the mark."""
    for mark, encoding in MARKS:
        if data.startswith(mark):
            return encoding, data[len(mark) :]
    # UTF-16 without a mark: where one byte of a character is zero for most, the other never is.
    even, odd = data[::2].count(0), data[1::2].count(0)
    if max(even, odd) * 4 > len(data) and not min(even, odd) and len(data) % 2 == 0:
        return "utf-16-be" if even else "utf-16-le", data
    return "utf-8", data
