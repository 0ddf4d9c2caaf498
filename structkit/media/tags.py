"""Tags of a video and of its tracks on their way into another container: names, dates, languages and flags.

Each container has a list of its own of what it can hold; there is a note on what is lost.
The place of a recording, serial numbers and owners stay private, as in pictures, and there is a note on them, too.
Words about a file rather than about a film, such as the program that wrote it, stay behind without one.
"""

import re
from collections.abc import Mapping
from contextlib import suppress

import av

from structkit.media.files import one_line

# The tags that FFmpeg's muxers write and its demuxers find again, by FFmpeg's names; the other two hold any.
COMMON = {"title", "artist", "album", "date", "creation_time", "comment", "genre", "copyright"}
HELD = {
    "mp4": COMMON.union(
        {"album_artist", "composer", "grouping", "lyrics", "description", "synopsis", "show", "episode_id", "network"},
        {"keywords", "episode_sort", "season_number", "media_type", "hd_video", "track", "disc", "compilation"},
        {"gapless_playback"},
    ),
    "mov": COMMON | {"make", "model"},
}
WHOLE = re.compile(r"\d{1,9}")
# What MP4 and MOV ask of a value; of another tag they take any.
ASKED = {name: WHOLE for name in ("episode_sort", "season_number", "media_type", "hd_video")} | {
    "compilation": WHOLE,
    "gapless_playback": WHOLE,
    "track": re.compile(r"\d{1,5}(/\d{1,5})?"),
    "disc": re.compile(r"\d{1,5}(/\d{1,5})?"),
    "creation_time": re.compile(r"(19[1-9]|20)\d+-\d\d-\d\d.*"),
}
PRIVATE = re.compile("location|gps|serial|owner|account|imei")  # in the name of a tag
OF_FILES = {"encoder", "encoded_by", "encoding_tool", "software", "duration", "timecode"}.union(
    {"major_brand", "minor_version", "compatible_brands"}
)
FREE = ("mov", "matroska", "ogg")  # demuxers of containers whose tags are people's words; others add numbers of theirs
APPLE = "com.apple.quicktime."  # before the names of tags that phones write
ALIASES = {"creationdate": "date", "author": "artist"}  # a tag's name -> FFmpeg's
MOST_NAMED = 8  # tags in a note
# FFmpeg's numbers of the flags of a track, AV_DISPOSITION_*.
FLAGS = {
    "default": 1,
    "dub": 1 << 1,
    "original": 1 << 2,
    "comment": 1 << 3,
    "lyrics": 1 << 4,
    "karaoke": 1 << 5,
    "forced": 1 << 6,
    "hearing impaired": 1 << 7,
    "visually impaired": 1 << 8,
    "clean effects": 1 << 9,
    "captions": 1 << 16,
    "descriptions": 1 << 17,
}
COVER = 1 << 10  # the number of an attached picture
IMPLIED = {"hearing impaired": "captions", "visually impaired": "descriptions"}  # MP4 has one flag for both
HELD_FLAGS = {
    "mp4": {"default", "dub", "comment", "forced", *IMPLIED, *IMPLIED.values()},
    "mov": {"default"},
    "matroska": {"default", "dub", "original", "comment", "forced", *IMPLIED},
    "webm": {"default", "forced"},
}
# Languages in QuickTime's list that FFmpeg knows (ISO 639-2), and those that go by their other code there.
MACINTOSH = (
    "eng fra ger ita dut sve spa dan por nor heb jpn ara fin gre ice mlt tur chi urd hin tha kor lit pol hun est lav "
    "rus alb ron ces slk slv yid mac bul ukr bel uzb kaz aze arm geo mol kir tgk tuk mon pus kur kas snd tib nep san "
    "mar ben asm guj ori mal kan tam tel bur khm lao vie ind tgl may amh tir orm som swa run mlg epo"
)
OTHER_CODES = {
    "deu": "ger",
    "nld": "dut",
    "ell": "gre",
    "isl": "ice",
    "zho": "chi",
    "sqi": "alb",
    "mkd": "mac",
    "hye": "arm",
    "kat": "geo",
    "bod": "tib",
    "mya": "bur",
    "msa": "may",
    "swe": "sve",
}


def of_film(found: Mapping[str, str], demuxer: str, muxer: str) -> tuple[dict[str, str], list[str]]:
    """The tags of a film that a container holds, and the notes on the others.

    found: as FFmpeg read them.
    demuxer, muxer: FFmpeg's names of the container they come from, and of the one they go to.
    """
    kept: dict[str, str] = {}
    for key, value in sorted(found.items(), key=lambda item: item[0].startswith(APPLE) or item[0] in ALIASES):
        name = key.lower().removeprefix(APPLE)
        name = ALIASES.get(name, name)
        if value and name not in OF_FILES and (demuxer in FREE or name in HELD["mp4"] | HELD["mov"]):
            kept.setdefault(name, value)  # FFmpeg's own names come first
    private = [name for name in kept if PRIVATE.search(name)]
    lost = [name for name, value in kept.items() if name not in private and not _holds(muxer, name, value)]
    notes = [f"tags left out, which {muxer} does not hold: {_listed(lost)}"] * bool(lost)
    notes += [f"tags left out, which stay private: {_listed(private)}"] * bool(private)
    return {name: value for name, value in kept.items() if name not in {*lost, *private}}, notes


def to_track(source: av.stream.Stream, target: av.stream.Stream, muxer: str) -> list[str]:
    """Give a track the title, the language and the flags of another; the notes on what its container does not hold."""
    notes = []
    if title := source.metadata.get("title") or source.metadata.get("name"):  # as Matroska and as MP4 call it
        target.metadata["title"] = title
    language = source.metadata.get("language", "und")
    held = OTHER_CODES.get(language, language) if muxer == "mov" else language
    if language != "und":
        if _holds_language(muxer, held):
            target.metadata["language"] = held
        else:
            notes.append(f"language {one_line(language)} of a track left out: {muxer} does not hold it")
    bits = int(getattr(source, "disposition", 0))  # not in PyAV 14.0
    flags = {name for name, bit in FLAGS.items() if bits & bit}
    with suppress(AttributeError):
        target.disposition = sum(FLAGS[name] for name in flags & HELD_FLAGS[muxer])
    implied = {IMPLIED[name] for name in flags & HELD_FLAGS[muxer] if name in IMPLIED}
    lost = [name for name in FLAGS if name in flags - HELD_FLAGS[muxer] - implied]
    return notes + [f"{name} flag of a track left out: {muxer} does not hold it" for name in lost]


def is_cover(stream: av.stream.Stream) -> bool:
    """True for a stream that is one picture, which stands for the film."""
    return bool(int(getattr(stream, "disposition", 0)) & COVER)


def _listed(names: list[str]) -> str:
    names = sorted({name.partition("-")[0] for name in names})  # without the language of each
    more = [f"{len(names) - MOST_NAMED} more"] if len(names) > MOST_NAMED else []
    return ", ".join([one_line(name) for name in names[:MOST_NAMED]] + more)


def _holds(muxer: str, name: str, value: str) -> bool:
    if muxer not in HELD:
        return True
    return name in HELD[muxer] and (name not in ASKED or bool(ASKED[name].fullmatch(value)))


def _holds_language(muxer: str, code: str) -> bool:
    if muxer == "mov":
        return code in MACINTOSH.split()
    return muxer != "mp4" or (len(code) == 3 and code.isascii() and code.isalpha() and code.islower())
