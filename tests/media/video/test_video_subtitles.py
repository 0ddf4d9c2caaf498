"""Subtitles reach every container with their words and times, those that overlap too."""

import io
from fractions import Fraction
from itertools import pairwise

import av
import pytest
from av.subtitles.codeccontext import SubtitleCodecContext
from hypothesis import example, given, settings
from hypothesis import strategies as st

from structkit.media import subtitles
from structkit.media.cues import Cue, CueStack
from structkit.media.video import VideoReader

needs_headers = pytest.mark.skipif(not hasattr(SubtitleCodecContext, "subtitle_header"), reason="needs a newer PyAV")


def ass_line(text: str) -> bytes:
    """The words as an author of ASS writes them."""
    escaped = text.replace("\\", "\\\u2060").replace("{", r"\{").replace("}", r"\}").replace("\n", r"\N")
    return f"0,0,Default,,0,0,0,,{escaped}".encode()


FORMS = {
    "ass": ass_line,
    **{form: lambda text, form=form: subtitles.payload(form, text) for form in ("subrip", "mov_text", "webvtt")},
}
lines = st.text(st.sampled_from("ab1 <>&{}\\/;#,.\"'!N-:é日"), min_size=1, max_size=12).filter(str.strip)
texts = st.one_of(
    st.lists(lines, min_size=1, max_size=3).map("\n".join),
    st.sampled_from(
        ['late <3 & "tail"', "<i>", "</b>", r"{\an8}x", "&lt;", "a &amp; b", "-->", r"C:\new", "{", "<a>b</a>"]
    ),
)


@settings(max_examples=150, deadline=None)
@given(source=st.sampled_from(sorted(FORMS)), target=st.sampled_from(["subrip", "mov_text", "webvtt"]), text=texts)
@example(source="ass", target="subrip", text="{\\\n{\\\n}")  # styling that begins twice and ends once
def test_words_go_from_every_form_to_every_other(source, target, text):
    shown = subtitles.words(source, FORMS[source](text))
    assert shown == text
    assert subtitles.words(target, subtitles.payload(target, shown)) == text


@pytest.mark.parametrize(
    ("codec", "payload", "text"),
    [
        ("webvtt", b"Tom &amp; Jerry &lt;3", "Tom & Jerry <3"),
        ("webvtt", b"<v Tom>Hi <00:00:01.000><c.loud>there</c>", "Hi there"),
        ("subrip", rb"{\an8}<i>Up</i> there", "Up there"),
        ("ass", rb"0,0,D,,0,0,0,,{\p1}m 0 0 l 9 9{\p0}Words {\pos(3,4)}stay", "Words stay"),
        ("ass", rb"0,0,D,,0,0,0,,{\an7\p1}m 0 0 l 9 9", ""),
        ("mov_text", b"\0\6" + "日本".encode("utf-16")[:6], "日本"),
    ],
)
def test_styling_and_escapes_are_no_words(codec, payload, text):
    assert subtitles.words(codec, payload) == text


@st.composite
def cues(draw) -> list[Cue]:
    spans = draw(st.lists(st.tuples(st.integers(-5, 20), st.integers(1, 15)), max_size=8))
    return [Cue(start, start + length, f"{number}") for number, (start, length) in enumerate(sorted(spans))]


@settings(max_examples=100, deadline=None)
@given(cues=cues(), is_told=st.booleans())
def test_at_every_moment_the_texts_that_are_on_are_shown_and_no_others(cues, is_told):
    stack, spans = CueStack(), []
    for cue in cues:
        if is_told:  # the clock passes
            spans += stack.until(cue.start)
        spans += stack.put(cue)
        assert all(span.end <= cue.start for span in spans)
    spans += stack.rest(0)
    assert all(a.end <= b.start for a, b in pairwise(spans))
    for tick in range(-6, 40):
        shown = [span.text.split("\n") for span in spans if span.start <= tick < span.end]
        on = [cue.text for cue in cues if cue.start <= tick < cue.end]
        assert shown == ([on] if on else [])


def test_a_span_is_given_out_when_its_end_is_passed():
    stack = CueStack()
    assert stack.put(Cue(0, 40, "long")) == [] and stack.put(Cue(2, 4, "short")) == [Cue(0, 2, "long")]
    assert stack.until(3) == []
    assert stack.until(4) == [Cue(2, 4, "long\nshort")]
    assert stack.until(40) == [Cue(4, 40, "long")] and stack.until(10**9) == stack.rest(10**9) == []


def test_a_cue_without_an_end_lasts_to_the_next_or_to_the_end():
    stack = CueStack()
    assert stack.put(Cue(0, None, "a")) == [] and stack.put(Cue(0, None, "b")) == []
    assert stack.put(Cue(7, None, "c")) == [Cue(0, 7, "a\nb")]
    assert stack.rest(30) == [Cue(7, 30, "c")]


def test_the_same_text_is_shown_once_at_a_time():
    """As the layers of an effect in ASS."""
    stack = CueStack()
    assert stack.put(Cue(0, 9, "shadow")) == stack.put(Cue(0, 9, "shadow")) == []
    assert stack.rest(0) == [Cue(0, 9, "shadow")]


@pytest.fixture
def titled(film, tmp_path):
    """titled(cues): a film of 4.2 s in MKV with ASS subtitles; cues: (start, end, text), in 1/100 s."""

    def make(cues, seconds=4.2):
        events = "".join(
            f"Dialogue: 0,0:00:{a // 100:02}.{a % 100:02},0:00:{b // 100:02}.{b % 100:02},Default,,0,0,0,,{text}\n"
            for a, b, text in cues
        )
        script = subtitles.HEADER + events.encode()
        path = tmp_path / "titled.mkv"
        with (
            av.open(str(film(times=range(0, round(1000 * seconds), 100 if seconds < 10 else 500)))) as pictures,
            av.open(io.BytesIO(script), "r", format="ass") as words,
            av.open(str(path), "w") as output,
        ):
            packets = []
            for source in (pictures, words):
                made = output.add_stream_from_template(source.streams[0])
                for packet in source.demux():
                    if packet.size:
                        packet.dts, packet.stream = packet.pts if packet.dts is None else packet.dts, made
                        packets.append(packet)
            output.mux(sorted(packets, key=lambda packet: packet.dts * packet.time_base))
        return path

    return make


def shown(path) -> list[tuple[float, float, str]]:
    """The subtitles of a video: from when to when, s, and the words."""
    with av.open(str(path)) as container:
        codec = container.streams.subtitles[0].codec_context.name
        found = [
            (p.pts * p.time_base, (p.pts + p.duration) * p.time_base, subtitles.words(codec, bytes(p)))
            for p in container.demux(subtitles=0)
            if p.size
        ]
    return [(float(a), float(b), text) for a, b, text in found if text]


LONG = [(0, 400, "Long"), *((a, a + 20, f"short {a}") for a in range(20, 360, 40))]


@needs_headers
@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_overlapping_subtitles_keep_their_starts_and_the_film_its_length(titled, copied, suffix):
    path = titled(LONG)
    out, notes = copied(path, suffix)
    assert notes == ("ASS subtitles written as mov_text, without styling",)
    found = shown(out)
    assert [(a, b) for a, b, text in found if "short" in text] == [(a / 100, b / 100) for a, b, _ in LONG[1:]]
    assert all(text.startswith("Long") for _, _, text in found) and found[-1][1] == 4
    assert all(before[1] == after[0] for before, after in pairwise(found))
    assert VideoReader(out).duration == VideoReader(path).duration == Fraction(42, 10)


@needs_headers
@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_where_subtitles_may_overlap_they_are_left_as_they_are(titled, copied, suffix):
    out, _ = copied(titled(LONG), suffix)
    assert shown(out) == [(a / 100, b / 100, text) for a, b, text in LONG]


@needs_headers
def test_a_subtitle_lies_in_the_file_near_its_pictures(titled, copied):
    """Not at the end of it, behind all that came while no other subtitle did."""
    out, _ = copied(titled([(0, 20, "Hello")], seconds=30), ".mp4")
    with av.open(str(out)) as container:
        places = [(p.stream.type, p.pos) for p in container.demux() if p.size > 2]
    order = [kind for kind, _ in sorted(places, key=lambda place: place[1])]
    assert 0 < order.index("subtitle") < len(order) / 2


@needs_headers
def test_words_and_times_go_through_all_containers_in_turn(titled, copied):
    cues = [(10, 50, 'late <3 & "tail"'), (60, 90, "Tom &amp; Jerry"), (100, 150, r"two\Nlines")]
    wanted = [(a / 100, b / 100, text.replace(r"\N", "\n")) for a, b, text in cues]
    path = titled(cues, seconds=1.6)
    for step, suffix in enumerate([".webm", ".mp4", ".mkv", ".mov", ".webm", ".mkv", ".mp4"]):
        path, _ = copied(path, suffix)
        path = path.rename(path.with_stem(f"step{step}"))
        assert shown(path) == wanted
