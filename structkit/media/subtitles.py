"""Text subtitles from one container's form to another's: the words stay, their styling does not.

Each container has one form of its own; FFmpeg's converters would need the screen's size and invent a font.
"""

import html
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
STYLING = re.compile(r"</?[a-zA-Z][^<>]*>|\{\\[^}]*\}")  # in SRT: tags as in HTML, and overrides as in ASS
MARKUP = re.compile(r"</?[a-zA-Z][^<>]*>|</>|<[\d:.]+>")  # in WebVTT: tags, and times of karaoke
DRAWING = re.compile(r"\{[^}]*\\p[1-9][^}]*\}.*?(?:\{[^}]*\\p0[^}]*\}|$)", re.DOTALL)  # in ASS: outlines, not words
OVERRIDE = re.compile(r"(?<!\\)\{[^}]*\}")  # in ASS
JOINER = "\u2060"  # without a width; behind a bracket or a backslash it keeps words from being taken for styling
ESCAPES = {"\\N": "\n", "\\n": "\n", "\\h": " ", "\\{": "{", "\\}": "}", "\\" + JOINER: "\\"}  # in ASS


def words(codec: str, payload: bytes) -> str:
    """The text of one packet, without styling; empty where nothing is shown."""
    if codec == "mov_text":  # its length, the text, then boxes of style (ETSI TS 126 245, 5.17)
        data = payload[2 : 2 + int.from_bytes(payload[:2])]
        is_wide = data[:2] in (b"\xfe\xff", b"\xff\xfe")
        return data.decode("utf-16" if is_wide else "utf-8", errors="replace")
    text = payload.decode(errors="replace").replace("\r\n", "\n").strip("\n\0")
    if codec in ("ass", "ssa"):  # eight fields and the text, as in Matroska
        text = OVERRIDE.sub("", DRAWING.sub("", text.split(",", 8)[-1]))
        return re.sub(rf"\\[Nnh{{}}{JOINER}]", lambda found: ESCAPES[found[0]], text)
    if codec == "webvtt":
        return html.unescape(MARKUP.sub("", text))
    return re.sub(f"(?<=[<{{]){JOINER}", "", STYLING.sub("", text))


def payload(codec: str, text: str) -> bytes:
    """The bytes of one packet of `codec` that shows `text`; `words` takes it back."""
    if codec == "webvtt":  # which has these escapes (W3C WebVTT, 4.2.2)
        text = html.escape(text, quote=False)
    elif codec == "subrip":  # which has none
        text = STYLING.sub(lambda found: re.sub("[<{]", lambda bracket: bracket[0] + JOINER, found[0]), text)
    data = text.encode()
    if codec == "mov_text":
        data = data[:65535].decode(errors="ignore").encode()  # whole characters
        return len(data).to_bytes(2) + data
    return data
