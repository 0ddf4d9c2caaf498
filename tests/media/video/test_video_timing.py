"""Pictures, subtitles and chapters are written through one time map."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import av
import pytest
from av.subtitles.codeccontext import SubtitleCodecContext

from structkit.media.timing import IDENTITY, TimeMap
from structkit.media.video import VideoReader
from structkit.media.video_writer import VideoWriter

pytestmark = pytest.mark.skipif(not hasattr(SubtitleCodecContext, "subtitle_header"), reason="needs a newer PyAV")

DOUBLE = TimeMap.of_speeds((0, 1), (2,))
CHAPTERS = [(0, 200), (200, 480)]  # ms


@pytest.fixture
def clip(film, tmp_path):
    """A clip with subtitles, two chapters and, where asked for, sound."""

    def make(**how):
        path = tmp_path / "clip.mkv"
        with av.open(str(film(".mkv", words=True, **how))) as source, av.open(str(path), "w") as output:
            made = {stream.index: output.add_stream_from_template(stream) for stream in source.streams}
            common = {"time_base": Fraction(1, 1000), "metadata": {}}
            output.set_chapters([{"id": i, "start": a, "end": b} | common for i, (a, b) in enumerate(CHAPTERS)])
            for packet in source.demux():
                if packet.size:
                    packet.stream = made[packet.stream.index]
                    output.mux(packet)
        return path

    return make


def written(path, out, timing, by=Fraction(0)) -> tuple[str, ...]:
    with (
        VideoReader(path) as source,
        VideoWriter(out, width=source.width, height=source.height, like=source, timing=timing) as video,
    ):
        for frame in source:
            video.write(replace(frame, time=frame.time + by))
    return video.notes


def shown(path) -> dict[str, list]:
    """From when to when each subtitle and chapter is shown, and from one frame to the next, s."""
    with av.open(str(path)) as container:
        chapters = container.chapters()
        texts = [p for p in container.demux(subtitles=0) if p.size > 2]
        subtitles = [(p.pts * p.time_base, (p.pts + p.duration) * p.time_base) for p in texts]
    return {
        "frames": list(pairwise(f.time for f in VideoReader(path))),
        "subtitles": subtitles,
        "chapters": [(c["start"] * c["time_base"], c["end"] * c["time_base"]) for c in chapters],
    }


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_at_double_speed_everything_lands_at_half_its_time(clip, tmp_path, suffix):
    path, out = clip(), tmp_path / f"out{suffix}"
    written(path, out, DOUBLE)
    before, after = shown(path), shown(out)
    for kind, spans in before.items():
        assert after[kind] == [(start / 2, end / 2) for start, end in spans]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_under_a_curve_everything_goes_through_the_same_map(clip, tmp_path, suffix):
    path, out = clip(), tmp_path / f"out{suffix}"
    curve = TimeMap.of_speeds((0, Fraction(11, 50), 1), (Fraction(5, 4), 3))
    written(path, out, curve)
    before, after = shown(path), shown(out)
    tick = Fraction(1, 1000)
    for kind, spans in before.items():
        assert len(spans) == len(after[kind]) > 0
        for (start, end), (start_after, end_after) in zip(spans, after[kind], strict=True):
            assert abs(start_after - curve.at(start)) <= tick / 2 and abs(end_after - curve.at(end)) <= tick


def test_a_first_frame_that_lands_before_zero_moves_the_map_on(clip, tmp_path):
    path = clip()
    late = DOUBLE.then(TimeMap.shifted(Fraction(-1, 10)))
    notes = written(path, tmp_path / "late.mp4", late)
    assert notes[0] == "frames begin 0.100 s before zero: moved to zero, with the sound"
    written(path, tmp_path / "out.mp4", DOUBLE)
    assert (tmp_path / "late.mp4").read_bytes() == (tmp_path / "out.mp4").read_bytes()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_subtitles_that_go_on_behind_the_pictures_make_no_longer_video(film, tmp_path, suffix):
    path, long = tmp_path / "clip.mkv", tmp_path / "long.mp4"
    with av.open(str(film(".mkv", words=True))) as source, av.open(str(path), "w") as output:
        made = {stream.type: output.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = made["video"]
                output.mux(packet)
        for start, end in ((100, 9000), (8000, 9500)):
            packet = av.Packet(b"on and on")
            packet.pts, packet.dts, packet.duration = start, start, end - start
            packet.time_base, packet.stream = Fraction(1, 1000), made["subtitle"]
            output.mux(packet)
    written(path, long, IDENTITY)
    notes = written(long, out := tmp_path / f"out{suffix}", DOUBLE)
    end = VideoReader(long).end / 2
    assert [shown_until for _, shown_until in shown(out)["subtitles"]] == [end]
    assert notes[-1] == "subtitles behind the last picture left out"
    with av.open(str(out)) as container:
        assert abs(container.duration / av.time_base - float(end)) < 0.01


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_subtitles_of_a_few_ticks_last_at_any_speed(film, tmp_path, suffix):
    path, out = tmp_path / "clip.mkv", tmp_path / f"out{suffix}"
    spans = [(Fraction(k, 25), Fraction(k, 25) + Fraction(1 + k % 4, 1000)) for k in range(40)]
    with (
        av.open(str(film(".mkv", times=range(0, 2000, 40), words=True))) as source,
        av.open(str(path), "w") as output,
    ):
        made = {stream.type: output.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = made["video"]
                output.mux(packet)
        for number, (start, end) in enumerate(spans):
            packet = av.Packet(f"line {number}".encode())
            packet.pts = packet.dts = start * 1000
            packet.duration, packet.time_base, packet.stream = (end - start) * 1000, Fraction(1, 1000), made["subtitle"]
            output.mux(packet)
    curve = TimeMap.of_speeds((0, 1, 2), (7, Fraction(16, 3)))
    written(path, out, curve)
    after = shown(out)["subtitles"]
    assert len(after) == len(spans) and after == sorted(after) and all(start < end for start, end in after)
    for (start, end), (start_after, end_after) in zip(spans, after, strict=True):
        assert abs(start_after - curve.at(start)) <= Fraction(1, 1000)
        assert abs(end_after - curve.at(end)) <= Fraction(3, 2000)


@pytest.mark.parametrize("speed", [2, Fraction(1, 3)])
def test_the_last_frame_ends_where_the_map_puts_its_end(film, tmp_path, speed):
    path, out = film(times=[0, 40, 70, 130]), tmp_path / "out.mp4"
    written(path, out, TimeMap.of_speeds((0, 1), (speed,)))
    assert VideoReader(out).duration == VideoReader(path).duration / speed


def test_under_a_shift_sound_is_copied_and_moves_with_the_rest(clip, packets, tmp_path):
    path, by = clip(sound={"aac": Fraction(0)}), Fraction(3, 10)
    written(path, tmp_path / "out.mkv", TimeMap.shifted(by))
    heard, before = packets(tmp_path / "out.mkv", "audio"), packets(path, "audio")
    assert heard == [(time + by, data) for time, data in before]
    for kind, spans in shown(path).items():
        assert shown(tmp_path / "out.mkv")[kind] == [(start + by, end + by) for start, end in spans]


@pytest.mark.parametrize("by", [Fraction(0), Fraction(-1001, 30_000)])
def test_the_identity_is_what_is_done_without_a_map(clip, tmp_path, by):
    path = clip(sound={"aac": Fraction(0)})
    written(path, tmp_path / "map.mp4", IDENTITY, by)
    with (
        VideoReader(path) as source,
        VideoWriter(tmp_path / "none.mp4", width=source.width, height=source.height, like=source) as video,
    ):
        for frame in source:
            video.write(replace(frame, time=frame.time + by))
    assert (tmp_path / "map.mp4").read_bytes() == (tmp_path / "none.mp4").read_bytes()


def test_a_subtitle_or_chapter_in_a_part_that_takes_no_time_is_left_out(clip, tmp_path):
    path = clip()
    still = TimeMap(((Fraction(1, 20), 0), (Fraction(31, 100), 0)), 0)  # over the first subtitle, not over its chapter
    with (
        VideoReader(path) as source,
        VideoWriter(tmp_path / "out.mkv", width=source.width, height=source.height, like=source, timing=still) as video,
    ):
        for frame in source:
            if frame.time > Fraction(31, 100):
                video.write(frame)
    after = shown(tmp_path / "out.mkv")
    assert after["subtitles"] == [(Fraction(1, 100), Fraction(17, 100))]
    assert after["chapters"] == [(0, Fraction(17, 100))]
    assert after["frames"][0] == (Fraction(1, 100), Fraction(5, 100))
