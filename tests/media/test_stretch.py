"""The laws of sound under a time map: its length is the map's, its pitch stays, and what is heard is heard when due."""

from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from structkit.media.stretch import FADED_ABOVE, OnsetFinder, Stretcher, Varispeed
from structkit.media.timing import IDENTITY, TimeMap

from .video.flashes import bursts, curve, onsets, swinging

RATE = 16_000
BOTH = pytest.mark.parametrize("kind", [Stretcher, Varispeed])


def made(kind, samples: np.ndarray, timing: TimeMap, rate: int = RATE, chunk: int = 1024, **how) -> np.ndarray:
    retimed = kind(timing, rate, samples.shape[1], **how)
    pieces = [retimed.push(samples[at : at + chunk]) for at in range(0, len(samples), chunk)]
    return np.concatenate([*pieces, retimed.finish()])


def at_speed(speed: float) -> TimeMap:
    return TimeMap.of_speeds((0, 1), (Fraction(speed).limit_denominator(1000),))


def sine(hertz: float, seconds: float, rate: int = RATE, channels: int = 1) -> np.ndarray:
    wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return np.repeat(wave.astype(np.float32)[:, None], channels, 1)


def noise(seconds: float, channels: int = 1, rate: int = RATE) -> np.ndarray:
    return 0.3 * np.random.default_rng(3).standard_normal((round(seconds * rate), channels)).astype(np.float32)


def pitch(wave: np.ndarray, rate: int = RATE) -> float:
    """The frequency of the strongest sine, Hz."""
    spectrum = abs(np.fft.rfft(wave[:, 0] * np.hanning(len(wave))))
    return spectrum.argmax() * rate / len(wave)


SPEEDS = some.fractions(Fraction(1, 3), 9, max_denominator=7)


@settings(max_examples=30, deadline=None)
@given(
    speeds=some.lists(SPEEDS, min_size=1, max_size=4),
    count=some.integers(0, 9000),
    start=some.fractions(-1, 1, max_denominator=9),
    kind=some.sampled_from([Stretcher, Varispeed]),
    channels=some.sampled_from([1, 2, 6]),
)
def test_the_length_is_that_of_the_map_to_the_sample(speeds, count, start, kind, channels):
    timing = TimeMap.of_speeds([Fraction(k, 7) for k in range(len(speeds) + 1)], speeds)
    found = made(kind, noise(1, channels)[:count], timing, start=start)
    assert found.shape == (round((timing.at(start + Fraction(count, RATE)) - timing.at(start)) * RATE), channels)
    assert np.isfinite(found).all()


@BOTH
@pytest.mark.parametrize("end", [Fraction(1, 3), Fraction(1), Fraction(2)])
def test_an_end_that_is_known_cuts_the_sound_or_adds_silence(kind, end):
    found, all_of_it = made(kind, noise(1), at_speed(2), end=end), made(kind, noise(1), at_speed(2))
    assert len(found) == round(end / 2 * RATE)
    same = min(len(found), len(all_of_it)) - RATE // 20
    np.testing.assert_array_equal(found[:same], all_of_it[:same])
    assert not found[len(all_of_it) + RATE // 20 :].any()


@BOTH
@pytest.mark.parametrize("timing", [IDENTITY, TimeMap.shifted(Fraction(1, 7)), TimeMap.shifted(Fraction(-3))])
def test_a_map_that_keeps_the_speed_keeps_the_samples(kind, timing):
    samples = np.concatenate([noise(0.5, 2), np.zeros((999, 2), np.float32), bursts((0.1,), 0.5, RATE, 2)])
    np.testing.assert_array_equal(made(kind, samples, timing, start=Fraction(1, 3)), samples)


def test_where_the_speed_is_one_for_a_while_the_samples_are_the_inputs_own():
    samples, timing = noise(3), TimeMap.of_speeds((0, 1, 2, 3), (Fraction(5, 2), 1, 3))
    found, seen = made(Stretcher, samples, timing), 0
    part = found[round(0.4 * RATE) : round(1.4 * RATE)][800:-800, 0]  # of the second in which the speed is 1
    for shift in range(-RATE // 30, RATE // 30):
        wanted = samples[RATE + 800 + shift : RATE + 800 + shift + len(part), 0]
        seen = max(seen, int((wanted == part).sum()))
    assert seen == len(part)


@BOTH
@pytest.mark.parametrize("speed", [swinging, lambda time: 0.45, lambda time: 1.2])
def test_how_the_samples_are_split_changes_none_of_those_made(kind, speed):
    samples = np.concatenate([noise(0.7, 2), bursts((0.1, 0.2, 0.41), 0.6, RATE, 2) + 0.1 * sine(300, 0.6, channels=2)])
    timing = curve(speed, 1.4)
    whole = made(kind, samples, timing, chunk=len(samples))
    for chunk in (13, 301, 5000):
        np.testing.assert_array_equal(made(kind, samples, timing, chunk=chunk), whole)


@pytest.mark.parametrize("rate", [8000, 22_254, 48_000])
@pytest.mark.parametrize("timing", [curve(swinging, 3), at_speed(0.6), at_speed(1.1), at_speed(3.2)])
def test_pitch_stays_and_so_does_loudness(rate, timing):
    found = made(Stretcher, sine(440, 3, rate), timing, rate)
    assert pitch(found, rate) == pytest.approx(440, abs=1.5)
    level = np.sqrt((found[rate // 20 : -rate // 20] ** 2).mean())
    assert level == pytest.approx(0.5 / np.sqrt(2), rel=0.03)


@pytest.mark.parametrize("speed", [0.5, 2, 3])
def test_on_a_tape_pitch_follows_the_speed(speed):
    assert pitch(made(Varispeed, sine(440, 2), at_speed(speed))) == pytest.approx(440 * speed, abs=2)


@pytest.mark.parametrize("hertz", [4500, 6000, 7900])
def test_on_a_tape_what_would_alias_is_left_out(hertz):
    found = made(Varispeed, sine(hertz, 1), at_speed(2))[500:-500]
    assert np.sqrt((found**2).mean()) < (0.05 if hertz < 5000 else 0.005)


@BOTH
def test_bursts_are_heard_within_25_ms_of_their_time_up_to_a_speed_of_three(kind):
    times = np.arange(0.5, 17, 0.7)
    timing = curve(swinging, 18)
    found = made(kind, bursts(times, 18, RATE, 1), timing)
    heard = onsets(found, RATE)
    assert len(heard) == len(times)
    wanted = [float(timing.at(Fraction(time))) for time in times]
    assert max(map(abs, np.subtract(heard, wanted))) < 0.025
    assert np.median(np.abs(np.subtract(heard, wanted))) < 0.005


@pytest.mark.parametrize("speed", [0.4, 0.5, 0.6, 0.75, 0.9, 1.1, 1.3, 1.45, 1.6, 2.2, 3.2])
def test_clicks_of_5_ms_are_heard_once(speed):
    times = np.arange(0.2, 9, 0.37)
    timing = at_speed(speed)
    found = made(Stretcher, bursts(times, 9, RATE, 1, length=0.005), timing)
    heard = onsets(found, RATE, apart=0.008)
    assert heard == pytest.approx([float(timing.at(Fraction(time))) for time in times], abs=0.003)
    assert min(abs(found[round(time * RATE) :][: RATE // 100]).max() for time in heard) > 0.4


@pytest.mark.parametrize("speed", [0.7, 1.3, 2, 3.2])
def test_noise_does_not_flutter_at_the_joints(speed):
    found = made(Stretcher, noise(20), at_speed(speed))
    hop = round(0.015 * RATE)
    phases = np.square(found[: len(found) // hop * hop]).reshape(-1, 8, hop // 8).mean((0, 2))
    assert phases == pytest.approx([noise(20).var()] * 8, rel=0.08)


def test_clicks_in_a_tone_are_not_lost():
    times = np.arange(0.2, 5, 0.37)
    wave = bursts(times, 5, RATE, 1, length=0.005) + 0.1 * sine(300, 5)
    found = made(Stretcher, wave, at_speed(1.6))
    assert len(onsets(found, RATE, apart=0.03)) == len(times)


def test_channels_stay_in_phase():
    both = noise(2, 1) @ np.array([[1, -0.5, 0.25]], np.float32)  # a mix of the three would hardly be heard
    found = made(Stretcher, both, curve(swinging, 2))
    np.testing.assert_array_equal(found[:, 0], found[:, 2] * 4)
    np.testing.assert_array_equal(found[:, 0], found[:, 1] * -2)


def test_sound_that_cancels_out_between_channels_is_stretched_as_each_would_be():
    one = made(Stretcher, sine(440, 2), at_speed(2.3))
    against = made(Stretcher, sine(440, 2) @ np.array([[1, -1]], np.float32), at_speed(2.3))
    np.testing.assert_allclose(against[:, :1], one, atol=1e-6)


@BOTH
def test_silence_stays_silence(kind):
    assert not made(kind, np.zeros((RATE, 2), np.float32), curve(swinging, 1)).any()
    between = made(kind, bursts((0.1, 1.8), 2, RATE, 1), at_speed(2))
    assert not between[round(0.15 * RATE) : round(0.85 * RATE)].any()


@BOTH
def test_above_a_speed_of_four_sound_is_faded_down_smoothly(kind):
    samples, timing = sine(200, 30), TimeMap.of_speeds((0, 4, 14, 30), (2, FADED_ABOVE, 8))
    levels = [np.sqrt((part**2).mean()) for part in np.split(made(kind, samples, timing), range(800, 104_000, 800))]
    loud = 0.5 / np.sqrt(2)
    assert levels[10:75] == pytest.approx([loud] * 65, rel=0.05)  # at 2, and at 4
    assert levels[-20:-2] == pytest.approx([loud / 4] * 18, rel=0.1)  # 12 dB at 8
    assert max(abs(np.diff(levels[10:-2]))) < 0.4 * loud  # within 50 ms


def tempo(samples: np.ndarray, speed: float) -> np.ndarray:
    """FFmpeg's atempo at a constant speed."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(format="flt", sample_rate=RATE, layout="mono", time_base=Fraction(1, RATE))
    sink = graph.add("abuffersink")
    graph.link_nodes(source, graph.add("atempo", f"tempo={speed}"), sink).configure()
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
    graph.push(frame)
    graph.push(None)
    pieces = []
    while True:
        try:
            pieces.append(graph.pull().to_ndarray().reshape(-1, 1))
        except (av.error.EOFError, BlockingIOError):
            return np.concatenate(pieces)


@pytest.mark.parametrize("speed", [0.6, 1.25, 2, 3])
def test_at_a_constant_speed_sound_is_that_of_atempo(speed):
    """Alike in length, in pitch, and in its envelope over 30 ms."""
    n = np.arange(4 * RATE) / RATE
    swell = (0.55 + 0.45 * np.sin(2 * np.pi * 1.1 * n)) * (1 + 0.5 * np.sin(2 * np.pi * 0.4 * n))
    samples = (swell * (np.sin(2 * np.pi * 220 * n) + 0.5 * np.sin(2 * np.pi * 660 * n)) / 4).astype(np.float32)[
        :, None
    ]
    ours, theirs = made(Stretcher, samples, at_speed(speed)), tempo(samples, speed)
    assert abs(len(ours) - len(theirs)) < 0.04 * RATE
    assert pitch(ours) == pytest.approx(pitch(theirs), abs=1)
    block = round(0.03 * RATE)
    count = min(len(ours), len(theirs)) // block
    envelopes = [np.sqrt((wave[: count * block].reshape(count, block) ** 2).mean(1)) for wave in (ours, theirs)]
    assert np.corrcoef(envelopes)[0, 1] > 0.99
    np.testing.assert_allclose(*envelopes, atol=0.03)


@pytest.mark.parametrize("kind", [Stretcher, Varispeed])
def test_a_part_that_takes_no_time_is_passed_over_in_constant_memory(kind):
    timing = TimeMap(((Fraction(1, 2), Fraction(1, 2)), (Fraction(60), Fraction(1, 2))))
    retimed, most = kind(timing, 8000, 1), 0
    made = [retimed.push(np.full((8000, 1), k == 60, np.float32)) for k in range(61)]
    for _ in range(61, 63):
        made.append(retimed.push(np.ones((8000, 1), np.float32)))
        most = max(most, len(retimed._strip._kept))
    found = np.concatenate([*made, retimed.finish()])
    assert len(found) == 4000 + 3 * 8000 and most < 3 * 8000
    assert not found[:3800].any() and found[-8000:].min() > 0.99


def test_clicks_in_a_part_that_takes_no_time_are_not_heard():
    times = (0.3, 0.62, 0.7, 0.78, 1.1)
    cut = TimeMap(((Fraction(3, 5), Fraction(2, 5)), (Fraction(4, 5), Fraction(2, 5))), Fraction(2, 3), Fraction(2, 3))
    heard = onsets(made(Stretcher, bursts(times, 1.5, RATE, 1, length=0.005), cut), RATE)
    assert heard == pytest.approx([0.2, 0.6], abs=0.01)


@pytest.mark.parametrize("chunk", [7, 100, 10_000])
def test_onsets_are_found_where_sound_sets_in_and_nowhere_else(chunk):
    wave = np.concatenate([bursts((0.3, 0.7), 1, RATE, 2), noise(1, 2) * 0.1, sine(110, 1, channels=2)])
    finder = OnsetFinder(RATE, 2)
    found = [o for at in range(0, len(wave), chunk) for o in finder.push(wave[at : at + chunk])]
    assert [o / RATE for o in found] == pytest.approx([0.3, 0.7, 1, 2], abs=0.006)
    assert finder.reached == len(wave)
