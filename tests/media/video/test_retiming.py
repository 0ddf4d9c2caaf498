"""Whole videos through a map of times: lengths, frames, sound beside them, and every odd file."""

import random
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest

from structkit.errors import InputError, OptionError
from structkit.media.retiming import even_rate, retime
from structkit.media.timing import IDENTITY, TimeMap
from structkit.media.video import VideoReader

from .made_clips import KINDS, OTHERS, clip

TWICE = TimeMap(((Fraction(0), Fraction(0)),), Fraction(1, 2), Fraction(1, 2))


def at_speed(speed) -> TimeMap:
    slope = 1 / Fraction(speed)
    return TimeMap(((Fraction(0), Fraction(0)),), slope, slope)


def frames_of(path) -> list:
    return list(VideoReader(path))


def length(frames) -> Fraction:
    last = frames[-1].duration or (frames[-2].duration if len(frames) > 1 else Fraction(1, 25))
    return frames[-1].time + last - frames[0].time


# Times in ms of odd films: late, of 10 frames a second, with jitter and gaps, of one frame.
CHANCE = random.Random(4)
JITTERED = [0, *(33 * n + CHANCE.randint(-8, 8) for n in range(1, 40) if CHANCE.random() > 0.2)]
FILMS = {
    "plain": {},
    "late": {"times": range(200, 680, 40)},
    "10 frames a second": {"times": range(0, 1200, 100)},
    "50 frames a second": {"times": range(0, 480, 20)},
    "a rate that varies": {"times": JITTERED},
    "odd sides": {"size": (33, 49), "suffix": ".mkv", "codec": "ffv1", "layout": "yuv444p"},
    "10 bits": {"layout": "yuv420p10le"},
    "interlaced": {"options": {"flags": "+ilme+ildct"}},
    "turned": {"turn": (0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)},
    "tall pixels": {"aspect": Fraction(2, 3)},
    "one frame": {"times": [0]},
    "late sound": {"sound": {"aac": Fraction(1, 5)}},
    "two tracks of sound": {"sound": {"aac": Fraction(0), "ac3": Fraction(0)}},
}


@pytest.mark.parametrize("name", FILMS)
@pytest.mark.parametrize("resample", ["nearest", "blend", "vfr"])
def test_a_retimed_video_lasts_as_asked_whatever_the_film(film, tmp_path, name, resample):
    source, path = film(**FILMS[name]), tmp_path / "a.mp4"
    video = VideoReader(source)
    before = list(video)
    speed = random.Random(name + resample).choice((Fraction(13, 10), Fraction(2), Fraction(7, 2), Fraction(6)))
    made = retime(video, path, at_speed(speed), resample=resample)
    after, rate = frames_of(path), even_rate(video)
    wanted = (before[-1].time + (before[-1].duration or 1 / rate) - before[0].time) / speed
    assert len(after) == made.frames and abs(length(after) - made.seconds) < Fraction(1, 10_000)
    assert abs(made.seconds - wanted) < 1 / rate
    assert after[0].time == pytest.approx(float(before[0].time / speed), abs=1e-4)
    assert after[0].pixels.shape == (*(side + side % 2 for side in before[0].pixels.shape[:2]), 3)
    if resample == "vfr":
        assert len(after) == len(before)
    elif len(after) > 1:
        assert {b.time - a.time for a, b in pairwise(after)} == {1 / rate}


def test_frames_that_have_no_tick_of_their_own_do_not_make_the_whole_longer(film, tmp_path):
    source = film(times=[*range(0, 90, 3), 590])  # the last one, which is held, comes last
    made = retime(VideoReader(source), tmp_path / "a.mkv", at_speed(8), resample="vfr")
    after = frames_of(tmp_path / "a.mkv")
    assert any("left out" in note for note in made.notes)
    assert len(after) == made.frames < 30 and made.seconds == length(after)
    assert abs(after[-1].time - Fraction(590, 8000)) <= Fraction(1, 1000)
    steps = [b.time - a.time for a, b in pairwise(after)]
    assert min(steps) > 0
    last = list(VideoReader(source))[-1].pixels.astype(int)
    assert abs(after[-1].pixels - last).mean() < 8


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_sound_and_subtitles_go_with_the_frames(film, burst, tmp_path, suffix):
    source = film(".mkv", times=range(0, 1200, 40), sound={"aac": Fraction(0)}, words=True)
    made = retime(VideoReader(source), tmp_path / f"a{suffix}", at_speed(Fraction(5, 4)))
    with av.open(str(tmp_path / f"a{suffix}")) as container:
        assert [s.type for s in container.streams] == ["video", "audio", "subtitle"]
        words = [float(p.pts * p.time_base) for p in container.demux(subtitles=0) if p.size > 2]
    assert words[:2] == pytest.approx([0.1 / 1.25, 0.32 / 1.25], abs=0.002)
    assert made.seconds == pytest.approx(1.2 / 1.25, abs=1 / 25)


def flashes(path, times, seconds, fps) -> None:
    """A film that flashes for 160 ms and beeps for 80 ms at each of the times, s."""
    hertz = 48_000
    with av.open(str(path), "w") as output:
        video = output.add_stream("ffv1", rate=fps)
        video.width, video.height, video.pix_fmt = 48, 32, "yuv420p"
        track = output.add_stream("pcm_s16le", rate=hertz, layout="mono")
        n = np.arange(round(seconds * hertz))
        heard = np.zeros(len(n))
        for time in times:
            heard[round(time * hertz) : round((time + 0.08) * hertz)] = 1
        wave = (heard * np.sin(2 * np.pi * 880 * n / hertz) * 20_000).astype(np.int16)
        for number in range(round(seconds * fps)):
            at = number / fps
            level = 230 if any(time <= at + 1e-9 < time + 0.16 for time in times) else 20
            planes = np.full((48, 48), 128, np.uint8)
            planes[:32] = level
            frame = av.VideoFrame.from_ndarray(planes, "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            output.mux(video.encode(frame))
            piece = wave[None, number * hertz // fps : (number + 1) * hertz // fps]
            sound = av.AudioFrame.from_ndarray(np.ascontiguousarray(piece), "s16", "mono")
            sound.sample_rate, sound.pts, sound.time_base = hertz, number * hertz // fps, Fraction(1, hertz)
            output.mux(track.encode(sound))
        output.mux(video.encode(None))
        output.mux(track.encode(None))


def onsets(path) -> tuple[list[float], list[float]]:
    """When it flashes and when it beeps, s."""
    shown = [(float(frame.time), frame.pixels.mean() > 120) for frame in VideoReader(path)]
    seen = [b[0] for a, b in pairwise([(0, False), *shown]) if b[1] > a[1]]
    with av.open(str(path)) as container:
        pieces = [(float(f.pts * f.time_base), f.to_ndarray().mean(0)) for f in container.decode(audio=0)]
        hertz = container.streams.audio[0].rate
    wave = np.zeros(round(pieces[-1][0] * hertz) + 4096)
    for start, samples in pieces:
        at = round(start * hertz)
        wave[max(0, at) : at + len(samples)] = samples[max(0, -at) :]
    loud = np.convolve(abs(wave), np.ones(240) / 240, "same") > 0.15
    quiet_before = [n for n in np.flatnonzero(loud) if not loud[max(0, n - hertz // 20) : n].any()]
    return seen, [n / hertz for n in quiet_before]


@pytest.mark.parametrize("fps", [25, 30, 60])
def test_flashes_and_beeps_stay_together(tmp_path, fps):
    times = [Fraction(round(fps * 0.4 * n + fps * 0.2), fps) for n in range(20)]
    flashes(tmp_path / "in.mkv", [float(time) for time in times], 8.2, fps)
    timing = TimeMap.of_speeds(
        [Fraction(n, 5) for n in range(42)],
        [Fraction(round(1000 * (1.9 + 0.9 * np.sin(n / 4))), 1000) for n in range(41)],
    )
    retime(VideoReader(tmp_path / "in.mkv"), tmp_path / "a.mp4", timing)
    seen, heard = onsets(tmp_path / "a.mp4")
    assert len(seen) == len(heard) == len(times)
    assert max(abs(a - b) for a, b in zip(seen, heard, strict=True)) < 0.040
    assert max(abs(a - timing.at(b)) for a, b in zip(seen, times, strict=True)) <= 0.62 / fps + 1e-4


def test_a_map_that_only_shifts_keeps_every_frame_and_copies_sound(film, packets, tmp_path):
    source = film(times=[0, 40, 90, 120, 200, 240], sound={"aac": Fraction(0)})
    for resample in ("nearest", "blend", "vfr"):
        made = retime(VideoReader(source), tmp_path / "a.mp4", IDENTITY, resample=resample)
        assert [f.time for f in frames_of(tmp_path / "a.mp4")] == [f.time for f in frames_of(source)]
        assert packets(tmp_path / "a.mp4", "audio") == packets(source, "audio") and made.notes == ()
        (tmp_path / "a.mp4").unlink()
    later = TimeMap.shifted(Fraction(1, 2))
    retime(VideoReader(source), tmp_path / "a.mp4", later)
    assert [f.time for f in frames_of(tmp_path / "a.mp4")] == [f.time + Fraction(1, 2) for f in frames_of(source)]


def test_a_rate_that_is_asked_for_is_kept(film, tmp_path):
    made = retime(VideoReader(film()), tmp_path / "a.mp4", IDENTITY, rate=Fraction(50))
    assert {b.time - a.time for a, b in pairwise(frames_of(tmp_path / "a.mp4"))} == {Fraction(1, 50)}
    assert made.frames == 24


def test_paint_sees_each_frame_with_its_time_in_the_input(film, tmp_path):
    seen = []

    def paint(pixels, time):
        seen.append(time)
        return np.full_like(pixels, 200)

    video = VideoReader(film(times=range(0, 800, 40)))
    told = []
    retime(video, tmp_path / "a.mp4", TWICE, paint=paint, progress=lambda share, words: told.append((share, words)))
    assert seen == [Fraction(2 * n, 25) for n in range(9)] + [Fraction(19, 25)]
    assert all((abs(frame.pixels.astype(int) - 200) < 4).all() for frame in VideoReader(tmp_path / "a.mp4"))
    assert len(told) == 10 and told == sorted(told, key=lambda one: one[0]) and told[4] == (0.4, "frame 5")


def test_the_longest_side_is_reduced_to_even_sides(film, tmp_path):
    source = film(size=(96, 150))
    retime(VideoReader(source), tmp_path / "a.mp4", TWICE, max_side=64)
    assert {frame.pixels.shape for frame in frames_of(tmp_path / "a.mp4")} == {(40, 64, 3)}
    retime(VideoReader(source), tmp_path / "b.mp4", TWICE, max_side=640)
    assert frames_of(tmp_path / "b.mp4")[0].pixels.shape == (96, 150, 3)


def test_rates(film):
    assert even_rate(VideoReader(film())) == 25
    assert 29.9 < even_rate(VideoReader(film(times=[round(1000 * n / 30) for n in range(90)]))) < 30.1
    dropped = [time for n, time in enumerate(range(0, 4000, 40)) if n % 5]
    assert 19 < even_rate(VideoReader(film(times=dropped))) < 21
    held = [*range(0, 400, 40), *range(5000, 5400, 40), *range(20_000, 20_400, 40)]
    assert even_rate(VideoReader(film(times=held))) == 25


def test_slides_are_all_shown_and_last_as_asked(film, tmp_path):
    source = film(times=range(0, 16_000, 2000))
    assert even_rate(VideoReader(source)) >= 10
    made = retime(VideoReader(source), tmp_path / "a.mp4", at_speed(3))
    shown = [frame.pixels.astype(int) for frame in frames_of(tmp_path / "a.mp4")]
    for slide in VideoReader(source):
        assert min(abs(frame - slide.pixels).mean() for frame in shown) < 4
    assert abs(made.seconds - length(list(VideoReader(source))) / 3) <= Fraction(1, 10)


def test_what_is_wrong_is_said_and_nothing_is_left(film, tmp_path):
    video, path = VideoReader(film()), tmp_path / "a.mp4"
    with pytest.raises(OptionError, match="linear is no way to resample; choose nearest, blend, vfr"):
        retime(video, path, TWICE, resample="linear")
    with pytest.raises(OptionError, match="a longest side of 1 pixels; it must be 2 at least"):
        retime(video, path, TWICE, max_side=1)
    with pytest.raises(OptionError, match="0 frames a second; it must be more than 0"):
        retime(video, path, TWICE, rate=Fraction(0))
    with pytest.raises(OptionError, match="choose stretch, varispeed, drop"):
        retime(video, path, TWICE, audio="loud")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_tail_is_an_error_or_where_the_video_ends(film, tmp_path):
    data = film(".mkv", times=range(0, 2000, 40), sound={"aac": Fraction(0)}).read_bytes()
    cut = data[: len(data) * 3 // 5]
    path = tmp_path / "a.mp4"
    with pytest.raises(InputError):
        retime(VideoReader(cut), path, TWICE)
    assert list(tmp_path.iterdir()) == []
    made = retime(VideoReader(cut, tolerant=True), path, TWICE)
    assert any("cut short" in note or "ends" in note for note in made.notes)
    assert 8 < len(frames_of(path)) == made.frames < 25


@pytest.mark.parametrize("kind", [*KINDS, *OTHERS])
def test_every_kind_of_file_is_retimed(kind, tmp_path):
    video = VideoReader(clip(kind))
    before = list(video)
    made = retime(video, tmp_path / "a.mkv", at_speed(Fraction(3, 2)))
    after = frames_of(tmp_path / "a.mkv")
    assert made.frames == len(after) and abs(made.seconds - length(before) / Fraction(3, 2)) < Fraction(1, 25)
