"""Names, dates, flags, covers and timecodes go along where the container can hold them; else there is a note."""

from fractions import Fraction

import av
import numpy as np
import pytest
from av.stream import Disposition

from structkit.media import tags
from structkit.media.containers import WRITTEN
from structkit.media.video import VideoReader

VALUES = {"creation_time": "2020-01-02T03:04:05.000000Z", "date": "2020-01-02", "track": "3/9", "disc": "1/2"}
VALUES |= {name: "1" for name in ("episode_sort", "season_number", "media_type", "hd_video", "compilation")}
VALUES["gapless_playback"] = "1"
SUFFIXES = [".mp4", ".mov", ".mkv", ".webm"]
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8cfc0000003010100c9fe92ef"
    "0000000049454e44ae426082"
)


@pytest.fixture
def labelled(film, tmp_path):
    """labelled(suffix, ...): a film that has these tags, and tracks with these titles, flags and languages."""

    def make(suffix=".mkv", *, found=(), tracks=(), cover=False, timecode=None, frames=12):
        path = tmp_path / f"labelled{suffix}"
        with av.open(str(film(".mkv", sound={"aac": Fraction(0)}))) as source, av.open(str(path), "w") as output:
            output.metadata.update(dict(found))
            picture = output.add_stream("libx264", rate=25)
            picture.width = picture.height = 32
            sound = [output.add_stream_from_template(source.streams.audio[0]) for _ in tracks]
            for stream, (title, language, flag) in zip(sound, tracks, strict=True):
                stream.metadata.update(title=title, language=language)
                stream.disposition = flag
            if timecode:
                picture.metadata["timecode"] = timecode
            if cover:
                output.add_attachment("front.png", "image/png", PNG)
            for number in range(frames):
                frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 9 * number, np.uint8), format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                output.mux(picture.encode(frame))
            for packet in picture.encode(None):
                output.mux(packet)
            for packet in list(source.demux(audio=0))[:frames]:
                for stream in sound if packet.size else ():
                    copy = av.Packet(bytes(packet))
                    copy.pts, copy.dts, copy.duration = packet.pts, packet.dts, packet.duration
                    copy.time_base, copy.stream, copy.is_keyframe = packet.time_base, stream, True
                    output.mux(copy)
        return path

    return make


def of(path) -> dict[str, str]:
    with av.open(str(path)) as container:
        return {key.lower(): value for key, value in container.metadata.items()}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_tag_that_a_container_is_said_to_hold_comes_back(labelled, copied, suffix):
    held = tags.HELD.get(WRITTEN[suffix], tags.HELD["mp4"] | {"performer", "words_of_my_own"})
    wanted = {name: VALUES.get(name, f"Some {name}: é") for name in held}
    out, notes = copied(labelled(found=wanted), suffix)
    assert notes == () and of(out).items() >= wanted.items()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_tag_is_carried_or_named(labelled, copied, suffix):
    wanted = {"artist": "Me", "composer": "You", "performer": "She", "words_of_my_own": "a\nb"}
    out, notes = copied(labelled(found=wanted), suffix)
    back = of(out)
    lost = [name for name in wanted if back.get(name) != wanted[name]]
    assert len(notes) == bool(lost) and all(name in notes[0] for name in lost)
    assert all("left out" in note and WRITTEN[suffix] in note for note in notes)
    assert len(lost) == {".mp4": 2, ".mov": 3}.get(suffix, 0)


def test_a_value_that_a_container_does_not_take_is_named(labelled, copied):
    found = {"track": "A3", "season_number": "two", "disc": "1/2"}
    out, notes = copied(labelled(found=found), ".mp4")
    assert notes == ("tags left out, which mp4 does not hold: season_number, track",)
    assert of(out)["disc"] == "1/2"


def test_many_tags_make_a_note_of_one_line(labelled, copied):
    _, notes = copied(labelled(found={f"word{n}": "x" for n in range(50)}), ".mp4")
    assert len(notes) == 1 and len(notes[0]) < 150 and notes[0].endswith(" more")


def test_who_wrote_the_file_is_no_tag_of_the_film(labelled, copied):
    out, notes = copied(labelled(".mp4", found={"encoder": "Some program 1.2", "title": "T"}), ".mkv")
    assert notes == () and of(out) == {"encoder": "Lavf", "title": "T"}


def test_tags_of_phones_take_their_common_names():
    apple = {f"com.apple.quicktime.{name}": value for name, value in [("make", "M"), ("creationdate", "2020")]}
    assert tags.of_film({**apple, "make": "N"}, "mov", "mov") == ({"make": "N", "date": "2020"}, [])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_place_and_the_owner_stay_private(labelled, copied, suffix):
    """As in pictures."""
    out, notes = copied(labelled(found={"location": "+48.8577+002.2950/", "Serial_Number": "7", "title": "T"}), suffix)
    assert notes == ("tags left out, which stay private: location, serial_number",)
    assert b"48.8" not in out.read_bytes() and of(out)["title"] == "T"


def test_numbers_of_a_container_are_no_tags_of_the_film():
    assert tags.of_film({"videodatarate": "100", "artist": "Me"}, "flv", "matroska") == ({"artist": "Me"}, [])


TRACKS = [
    ("Main", "deu", Disposition.default),
    ("Notes", "fra", Disposition.comment),
    ("For the deaf", "jpn", Disposition.hearing_impaired),
    ("Forced", "ita", Disposition.forced),
]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_tracks_keep_title_language_and_flags(labelled, copied, suffix):
    out, notes = copied(labelled(tracks=TRACKS), suffix)
    with av.open(str(out)) as container:
        found = [
            (s.metadata.get("title") or s.metadata["name"], s.metadata["language"], Disposition(s.disposition))
            for s in container.streams.audio
        ]
    assert [title for title, _, _ in found] == [title for title, _, _ in TRACKS]
    assert [code for _, code, _ in found] == ["ger" if suffix == ".mov" else "deu", "fra", "jpn", "ita"]
    if suffix == ".mov":
        assert notes == tuple(
            f"{flag} flag of a track left out: mov does not hold it"
            for flag in ("comment", "hearing impaired", "forced")
        )
    else:
        assert notes == () and all(found[i][2] & TRACKS[i][2] for i in range(4))


def test_a_language_that_a_container_lacks_is_named(labelled, copied):
    path = labelled(tracks=[("A", "tlh", Disposition.default)])
    assert copied(path, ".mov")[1] == ("language tlh of a track left out: mov does not hold it",)
    assert copied(path, ".mp4")[1] == copied(path, ".mkv")[1] == ()


def test_quicktime_writes_every_language_that_it_is_said_to_hold(labelled, copied):
    path = labelled(tracks=[("A", code, Disposition.default) for code in tags.MACINTOSH.split()], frames=2)
    out, notes = copied(path, ".mov")
    with av.open(str(out)) as container:
        found = [s.metadata.get("language") for s in container.streams.audio]
    assert notes == () and found == tags.MACINTOSH.split()


def covers(path) -> list[bytes]:
    with av.open(str(path)) as container:
        found = [s for s in container.streams.video if tags.is_cover(s)]
        return [bytes(p) for s in found for p in container.demux(s) if p.size]


@pytest.mark.skipif(not hasattr(av.container.OutputContainer, "add_attachment"), reason="needs a newer PyAV")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_cover_art_is_carried_or_named(labelled, copied, suffix):
    path = labelled(cover=True)
    out, notes = copied(path, suffix)
    if suffix in (".mp4", ".mkv"):
        assert covers(path) == covers(out) == [PNG] and notes == ()
        for again in (".mkv", ".mp4"):
            assert covers(copied(out.rename(out.with_stem("again")), again)[0]) == [PNG]
            out = out.with_name(f"out{again}")
    else:
        assert notes == (f"cover art left out: {WRITTEN[suffix]} does not hold it; write .mp4 or .mkv",)
    assert [f.time for f in VideoReader(out)] == [f.time for f in VideoReader(path)]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("source", [".mp4", ".mov", ".mkv"])
def test_timecodes_are_carried(labelled, copied, source, suffix):
    out, notes = copied(labelled(source, timecode="01:02:03:04"), suffix)
    with av.open(str(out)) as container:
        found = {key.lower(): value for key, value in container.streams.video[0].metadata.items()}
    assert found["timecode"] == "01:02:03:04" and notes == ()


@pytest.mark.parametrize("timecode", ["a few", "01:02:03:99", "01:02:03;04"])
def test_a_timecode_that_cannot_be_counted_is_named(labelled, copied, timecode):
    notes = copied(labelled(timecode=timecode), ".mp4")[1]
    assert notes == (f"timecode left out: {timecode} is none at 25 frames a second",)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_film_gives_the_same_bytes_with_all_that_goes_along(labelled, copied, suffix):
    path = labelled(
        found={"artist": "Me", "date": "2020"}, tracks=TRACKS, cover=suffix != ".mov", timecode="01:02:03:04"
    )
    made = [copied(path, suffix)[0].read_bytes() for _ in range(2)]
    assert made[0] == made[1]
