"""Text subtitles from one container's form to another's: the words stay, their styling does not.

Each container has one form of its own; FFmpeg's converters would need the screen's size and invent a font.
"""

import re

TEXT = {"mov_text", "subrip", "srt", "ass", "ssa", "webvtt", "text"}  # FFmpeg's decoders
MADE = {"mp4": "mov_text", "mov": "mov_text", "matroska": "subrip", "webm": "webvtt"}  # FFmpeg's encoder for each muxer
HEADER = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""  # the header that FFmpeg's encoders need before they open: plain white text at the foot


def words(codec: str, payload: bytes) -> str:
    """The text of one packet, without styling; empty where nothing is shown."""
    if codec == "mov_text":  # its length, the text, then boxes of style (ETSI TS 126 245, 5.17)
        return payload[2 : 2 + int.from_bytes(payload[:2])].decode(errors="replace")
    text = payload.decode(errors="replace").replace("\r\n", "\n").strip("\n\0")
    if codec in ("ass", "ssa"):  # eight fields and the text, as in Matroska
        return (
            re.sub(r"\{[^}]*\}", "", text.split(",", 8)[-1])
            .replace(r"\N", "\n")
            .replace(r"\n", "\n")
            .replace(r"\h", " ")
        )
    return re.sub(r"</?[a-zA-Z][^<>]*>|\{\\[^}]*\}", "", text)


def payload(codec: str, text: str) -> bytes:
    """The bytes of one packet of `codec` that shows `text`; `words` takes it back."""
    data = text.encode()
    if codec == "mov_text":
        data = data[:65535].decode(errors="ignore").encode()  # whole characters
        return len(data).to_bytes(2) + data
    return data
