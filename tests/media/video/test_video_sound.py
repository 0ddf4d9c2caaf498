"""What lies beside the picture is carried over: sound, subtitles, languages and the title, all in step."""

from contextlib import contextmanager
from fractions import Fraction
from itertools import pairwise

import av
import pytest

from structkit.errors import InputError
from structkit.media import subtitles
from structkit.media.video import VideoReader


def times(path) -> list[Fraction]:
    return [frame.time for frame in VideoReader(path)]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_sound_is_copied_packet_by_packet(film, packets, copied, suffix):
    path = film(sound={"aac": Fraction(0)})
    out, notes = copied(path, suffix)
    before, after = packets(path, "audio"), packets(out, "audio")
    assert notes == () and [data for _, data in before] == [data for _, data in after]
    exact = Fraction(1, 2000) if suffix == ".mkv" else 0
    assert max(abs(a - b) for (a, _), (b, _) in zip(before, after, strict=True)) <= exact
    assert before[0][0] < 0 and times(out) == times(path)  # the encoder's run-up before zero does not move the picture


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
@pytest.mark.parametrize(("picture", "sound"), [(0, Fraction(1, 5)), (200, Fraction(0)), (160, Fraction(1, 10))])
def test_an_offset_between_sound_and_picture_is_kept(film, packets, burst, copied, suffix, picture, sound):
    path = film(".mkv", times=range(picture, picture + 480, 40), sound={"libopus": sound})
    out, notes = copied(path, suffix)
    assert times(out) == times(path) and times(path)[0] == Fraction(picture, 1000)
    if suffix == ".mov":  # which does not hold Opus
        assert notes == ("opus sound encoded anew as aac",)
    else:
        assert abs(packets(out, "audio")[0][0] - packets(path, "audio")[0][0]) <= Fraction(1, 1000) and notes == ()
    assert burst(path) == pytest.approx(0.2 + float(sound), abs=0.003)
    assert burst(out) == pytest.approx(burst(path), abs=0.002)


def test_sound_of_a_clock_that_starts_anywhere(film, packets, copied):
    path = film(".ts", times=range(5000, 5480, 40), sound={"aac": Fraction(5)})
    out, _ = copied(path, ".mp4")
    offset = packets(path, "audio")[0][0] - packets(path, "video")[0][0]
    assert packets(out, "audio")[0][0] - times(out)[0] == pytest.approx(offset, abs=1e-4)
    assert min(packets(out, "audio")[0][0], times(out)[0]) == 0


@pytest.mark.parametrize(("suffix", "made"), [(".webm", "opus"), (".mov", "aac")])
def test_sound_that_a_container_cannot_hold_is_encoded_anew(film, packets, burst, copied, suffix, made):
    path = film(".mkv", sound={"flac": Fraction(1, 10)}, times=range(0, 960, 40))
    out, notes = copied(path, suffix)
    assert notes == (f"flac sound encoded anew as {made}",)
    with av.open(str(out)) as container:
        assert container.streams.audio[0].codec_context.name == made
    heard = packets(out, "audio")
    assert burst(out) == pytest.approx(burst(path), abs=0.002)
    assert heard[-1][0] == pytest.approx(packets(path, "audio")[-1][0], abs=0.15)
    assert all(a < b for (a, _), (b, _) in pairwise(heard))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_sound_of_windows_media_is_carried(film, burst, copied, suffix):
    """Its decoder gives a last frame without a time."""
    path = film(".wmv", codec="wmv2", sound={"wmav2": Fraction(0)}, times=range(0, 960, 40))
    out, notes = copied(path, suffix)
    assert notes == (f"wmav2 sound encoded anew as {'opus' if suffix == '.webm' else 'aac'}",)
    assert burst(out) == pytest.approx(burst(path), abs=0.003)


@pytest.fixture
def timeless(monkeypatch):
    """A reader whose packets of sound have no times from the second of them on."""
    opened = VideoReader.demuxer

    class Container:
        def __init__(self, container) -> None:
            self._container = container

        def __getattr__(self, name: str):
            return getattr(self._container, name)

        def demux(self, *which):
            seen = 0
            for packet in self._container.demux(*which):
                if packet.stream.type == "audio" and packet.size and (seen := seen + 1) > 1:
                    packet.pts = packet.dts = None
                yield packet

    @contextmanager
    def demuxer(reader):
        with opened(reader) as container:
            yield Container(container)

    monkeypatch.setattr(VideoReader, "demuxer", demuxer)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_sound_without_times_follows_what_came_before(film, copied, packets, request, suffix):
    path = film(".mov", sound={"aac": Fraction(0)}, times=range(0, 960, 40))
    wanted = packets(copied(path, suffix)[0], "audio")
    request.getfixturevalue("timeless")
    found = packets(copied(path, suffix)[0], "audio")
    assert [data for _, data in found] == [data for _, data in wanted]
    assert max(abs(a - b) for (a, _), (b, _) in zip(found, wanted, strict=True)) <= Fraction(1, 500)


@pytest.mark.parametrize(
    ("hertz", "made"), [(6000, 7350), (22254, 24000), (44056, 44100), (50000, 64000), (192000, 96000)]
)
def test_sound_at_a_rate_that_the_encoder_lacks_takes_the_next(film, burst, copied, hertz, made):
    path = film(".mkv", sound={"pcm_s16le": Fraction(0)}, hertz=hertz, times=range(0, 960, 40))
    out, notes = copied(path, ".mp4")
    assert notes == ("pcm_s16le sound encoded anew as aac",)
    with av.open(str(out)) as container:
        assert container.streams.audio[0].rate == made
    assert burst(out) == pytest.approx(burst(path), abs=0.003)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_only_known_codecs_are_decoded(film, copied, suffix):
    out, notes = copied(film(".mkv", sound={"wavpack": Fraction(0), "aac": Fraction(0)}), suffix)
    assert notes[0] == "wavpack sound left out: its codec is not read"
    with av.open(str(out)) as container:
        assert [s.codec_context.name for s in container.streams.audio] == ["opus" if suffix == ".webm" else "aac"]


CHAPTERS = [(Fraction(0), Fraction(1, 5), "One"), (Fraction(1, 5), Fraction(12, 25), "Zwei")]


@pytest.fixture
def beside(tmp_path):
    """beside(path, chapters, attached): the same video as MKV, with these beside it."""

    def make(path, chapters=(), attached: bytes | None = None):
        with av.open(str(path)) as source, av.open(str(tmp_path / "beside.mkv"), "w") as output:
            stream = source.streams.video[0]
            made = output.add_stream_from_template(stream)
            if attached:
                output.add_attachment("font.ttf", "application/x-truetype-font", attached)
            ticks = [(round(start * 1000), round(end * 1000), {"title": title}) for start, end, title in chapters]
            output.set_chapters(
                [
                    {"id": i + 7, "start": a, "end": b, "time_base": Fraction(1, 1000), "metadata": m}
                    for i, (a, b, m) in enumerate(ticks)
                ]
            )
            for packet in source.demux(stream):
                if packet.size:
                    packet.stream = made
                    output.mux(packet)
        return tmp_path / "beside.mkv"

    return make


def chapters_of(path) -> list[tuple]:
    with av.open(str(path)) as container:
        found = container.chapters()
    return [(c["start"] * c["time_base"], c["end"] * c["time_base"], c["metadata"]["title"]) for c in found]


@pytest.mark.skipif(not hasattr(av.container.OutputContainer, "set_chapters"), reason="needs a newer PyAV")
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_chapters_are_kept(film, beside, copied, suffix):
    path = beside(film(), CHAPTERS)
    assert chapters_of(path) == CHAPTERS
    out, notes = copied(path, suffix)
    assert chapters_of(out) == CHAPTERS and notes == () and times(out) == times(path)
    assert copied(out.rename(out.with_stem("again")), suffix)[1] == ()


@pytest.mark.skipif(not hasattr(av.container.OutputContainer, "add_attachment"), reason="needs a newer PyAV")
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_attachments_are_left_out_with_a_note(film, beside, copied, suffix):
    assert copied(beside(film(), attached=b"a font"), suffix)[1] == ("attachments left out",)


def test_data_tracks_are_left_out_with_a_note(film, copied, tmp_path):
    with av.open(str(film())) as source, av.open(str(tmp_path / "data.ts"), "w") as output:
        pictures, data = output.add_stream_from_template(source.streams.video[0]), output.add_data_stream("klv")
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = pictures
                output.mux(packet)
        packet = av.Packet(b"where and when")
        packet.stream, packet.pts, packet.dts, packet.time_base = data, 0, 0, Fraction(1, 1000)
        output.mux(packet)
    assert copied(tmp_path / "data.ts", ".mp4")[1] == ("data tracks left out",)


def test_what_only_matroska_holds_is_kept_there(film, copied):
    data = film(".mkv", words=True).read_bytes().replace(b"S_TEXT/UTF8", b"S_HDMV/PGS\0")
    assert copied(data, ".mp4")[1] == ("pgssub subtitles left out: mp4 does not hold it; write .mkv to keep it",)
    assert copied(data, ".mkv")[1] == ()


def test_every_track_its_language_and_the_title(film, copied):
    path = film(".mkv", sound={"aac": Fraction(0), "libopus": Fraction(0), "flac": Fraction(0)}, words=True)
    out, notes = copied(path, ".mkv")
    with av.open(str(path)) as a, av.open(str(out)) as b:
        kinds = [[(s.type, s.codec_context.name, s.metadata.get("language")) for s in c.streams] for c in (a, b)]
        assert sorted(map(str, kinds[0])) == sorted(map(str, kinds[1])) and len(kinds[0]) == 5 and notes == ()
        assert b.metadata["title"] == "A title"


@pytest.mark.parametrize(("suffix", "made"), [(".mp4", "mov_text"), (".mov", "mov_text"), (".webm", "webvtt")])
def test_subtitles_take_the_containers_form(film, packets, copied, suffix, made):
    path = film(".mkv", words=True)
    out, notes = copied(path, suffix)
    if not hasattr(av.subtitles.codeccontext.SubtitleCodecContext, "subtitle_header"):
        assert notes[0].startswith("srt subtitles left out")
        return
    assert notes[0].endswith(f"subtitles written as {made}, without styling")
    shown = [(time, subtitles.words(made, data)) for time, data in packets(out, "subtitles")]
    assert [x for x in shown if x[1]] == [(Fraction(1, 10), "First words"), (Fraction(8, 25), "Zweite\nZeile")]
    with av.open(str(out)) as container:
        assert container.streams.subtitles[0].metadata["language"] == "fra"


@pytest.mark.parametrize("codec", ["mov_text", "subrip", "webvtt"])
@pytest.mark.parametrize("text", ["", "a", "zwei\nZeilen", "3 < 4 > 2", "日本語" * 9, "x" * 70_000])
def test_words_come_back_from_every_form(codec, text):
    assert subtitles.words(codec, subtitles.payload(codec, text)) == (text[:65535] if codec == "mov_text" else text)


def test_styling_is_left_out():
    assert subtitles.words("ass", rb"0,0,Default,,0,0,0,,{\i1}Hello{\i0}, you\Nthere") == "Hello, you\nthere"
    assert subtitles.words("subrip", b'<font color="#ff0000">a</font> <b>b</b>\r\nc') == "a b\nc"
    assert subtitles.words("mov_text", b"\0\2hi\0\0\0\x0cstyl\0\0\0\0") == "hi"
    assert subtitles.words("mov_text", b"\xff") == subtitles.words("ass", b"") == ""


def test_damaged_sound_is_named(film, copied, tmp_path):
    path = film(".mkv", sound={"flac": Fraction(0)})
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packet = bytes(list(container.demux(audio=0))[3])
    data[data.index(packet) : data.index(packet) + 8] = bytes(8)
    (tmp_path / "a.mkv").write_bytes(data)
    with pytest.raises(
        InputError, match=r"a.mkv: damaged sound or subtitles \(.*\); copy or export it again from the original"
    ):
        copied(tmp_path / "a.mkv", ".webm")


def test_sound_whose_times_go_back_is_the_inputs_fault(film, copied, tmp_path):
    path = film(".mkv", sound={"aac": Fraction(0)})
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packet = bytes(list(container.demux(audio=0))[6])
    at = data.index(packet) - 3  # the packet's time in its cluster, and its flags (RFC 9559, 10)
    data[at : at + 2] = bytes(2)
    with pytest.raises(InputError, match="damaged sound or subtitles"):
        copied(bytes(data), ".mp4")
