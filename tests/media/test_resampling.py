"""Frames resampled through a map: which are shown, for how long, and the mean of those in between."""

import random
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from structkit.media.resampling import blended, light, mapped, nearest, shades
from structkit.media.timing import TimeMap
from structkit.media.video import StoredFrame

THIRTY = Fraction(1, 30)


def stored(times, last: Fraction) -> list[StoredFrame]:
    """Frames whose picture is their number."""
    gaps = [b - a for a, b in pairwise(times)] + [last]
    return [StoredFrame(number, time, gap) for number, (time, gap) in enumerate(zip(times, gaps, strict=True))]


def plain(number: int) -> np.ndarray:
    return np.full((1, 2, 3), number, np.uint8)


def shown(times, last, timing, rate, how=nearest) -> list:
    """The level of each output frame."""
    frames = how(mapped(stored(times, last), timing, 1 / rate), rate, plain)
    return [int(frame.pixels[0, 0, 0]) for frame in frames]


def speeds(end, *values) -> TimeMap:
    """Equally long parts of one speed each."""
    return TimeMap.of_speeds([end * n / len(values) for n in range(len(values) + 1)], [Fraction(v) for v in values])


@pytest.mark.parametrize(("speed", "wanted"), [
    (1, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
    (2, [0, 2, 4, 6, 8, 11]),
    (3, [0, 4, 7, 11]),
    (Fraction(3, 2), [0, 2, 3, 5, 6, 8, 9, 11]),
    (Fraction(1, 2), [n // 2 for n in range(24)]),
    (100, [0]),
])  # fmt: skip
def test_the_nearest_frames_are_shown_and_the_last_one(speed, wanted):
    times = [n * THIRTY for n in range(12)]
    assert shown(times, THIRTY, speeds(12 * THIRTY, speed), Fraction(30)) == wanted


@pytest.mark.parametrize("kind", ["even", "jitter", "dropped"])
def test_a_faster_video_shows_no_frame_twice_none_backwards_both_ends_and_lasts_as_asked(kind):
    chance = random.Random(7)
    for _ in range(150):
        fps, count = Fraction(chance.choice((10, 24, 25, 30, 50, 60))), chance.randint(1, 90)
        times = [n / fps for n in range(count)]
        if kind == "jitter":
            times = [times[0], *(time + Fraction(chance.randint(-240, 240), 1000) / fps for time in times[1:])]
        if kind == "dropped":
            times = [time for n, time in enumerate(times) if n == 0 or chance.random() > 0.2]
        end = times[-1] + 1 / fps
        timing = speeds(end, *(Fraction(chance.randint(100, 800), 100) for _ in range(chance.randint(1, 5))))
        rate = fps if kind == "even" else (len(times) / end).limit_denominator(1001)
        made, length = shown(times, 1 / fps, timing, rate), timing.at(end)
        assert abs(len(made) / rate - length) < 1 / rate
        assert made[0] == 0 and (made[-1] == len(times) - 1 or len(made) == 1)
        due = [timing.at(time) for time in (*times, end)]
        for a, b in pairwise(made):
            assert a < b or (a == b and due[a + 1] - due[a] > 1 / rate and kind != "even")
        for number, frame in enumerate(made[:-1]):  # half a frame early at most
            assert due[frame] - 1 / (2 * rate) <= number / rate <= due[frame + 1] or number == 0


def test_a_frame_that_is_held_is_held_until_the_next_is_due():
    times = [Fraction(0), Fraction(2), 2 + THIRTY]
    made = shown(times, THIRTY, speeds(2 + 2 * THIRTY, 2), Fraction(30))
    assert made == [0] * 30 + [2]
    assert shown(times, THIRTY, speeds(2 + 2 * THIRTY, 1), Fraction(30)) == [0] * 60 + [1, 2]


def test_a_blended_frame_is_the_mean_light_of_its_frames():
    times = [n * THIRTY for n in range(6)]
    mean = (light()[0] + light()[1]) / 2
    assert shown(times, THIRTY, speeds(6 * THIRTY, 1), Fraction(30), blended) == list(range(6))
    made = shown([40 * t for t in range(6)], Fraction(40), speeds(Fraction(240), 2), Fraction(1, 40), blended)
    assert len(made) == 3 and shades()[round(mean * 65535)] in (0, 1)
    frames = stored([Fraction(0), Fraction(1), Fraction(2), Fraction(3)], Fraction(1))
    levels = {0: 0, 1: 255, 2: 100, 3: 100}
    out = list(blended(mapped(frames, speeds(Fraction(4), 2), Fraction(1)), Fraction(1), lambda n: plain(levels[n])))
    assert [int(frame.pixels[0, 0, 0]) for frame in out] == [188, 100]  # half the light of 255
    assert [frame.time for frame in out] == [0, 2]


@pytest.mark.parametrize("speed", [Fraction(13, 10), 2, Fraction(7, 2), 6, 50, Fraction(2, 3)])
def test_blending_loses_no_light_and_lasts_as_asked(speed):
    times = [n * THIRTY for n in range(40)]
    frames = mapped(stored(times, THIRTY), speeds(40 * THIRTY, speed), THIRTY)
    made = list(blended(frames, Fraction(30), lambda n: plain(200 if n in (0, 39) else 30)))
    assert abs(len(made) - 40 / Fraction(speed)) <= Fraction(1, 2) or len(made) == 1
    assert made[0].pixels[0, 0, 0] > 30 and made[-1].pixels[0, 0, 0] > 30  # both ends have been seen
    assert all(0 <= frame.time <= times[-1] for frame in made)


def test_a_map_that_stands_still_leaves_one_frame():
    still = TimeMap(((Fraction(0), Fraction(0)),), Fraction(0), Fraction(0))
    for how in (nearest, blended):
        assert len(shown([n * THIRTY for n in range(5)], THIRTY, still, Fraction(30), how)) == 1


def test_light_and_shades_are_inverse():
    assert (shades()[np.rint(light() * 65535).astype(int)] == np.arange(256)).all()
    assert (np.diff(light()) > 0).all() and light()[0] == 0 and light()[255] == 1
