"""Sound along a curve of speeds, beside FFmpeg's atempo: CPU time, length, and where markers land.

    python tests/benchmarks/bench_stretch.py [--repeat 5]

A minute of stereo at 48 kHz, and the speed S(t) = 2 + 1.2 sin(2 pi t / 9): bursts of 80 ms and clicks of 5 ms in
silence, and for the CPU time a mix of tones and noise.  atempo follows the curve by commands each 100 ms, as players
drive it; at the constant speed of 2 it is the yardstick of the ratios.
A marker is heard where its energy has its middle, and lost where nothing of it reaches a fifth of its level.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np
from measure import options, record, side_by_side

from structkit.media.stretch import RetimedSound, Stretcher, Varispeed
from structkit.media.timing import TimeMap

RATE, SECONDS, EVERY = 48_000, 60, 4800  # samples a second; s; samples from one command to the next
LEVEL = 0.6  # of markers


def speed(time: float) -> float:
    return 2 + 1.2 * np.sin(2 * np.pi * time / 9)


def curve(speed: Callable[[float], float]) -> TimeMap:
    """The map of a speed, with a knot each 0.1 s."""
    times = [Fraction(k, 10) for k in range(10 * SECONDS + 1)]
    exact = TimeMap.of_speeds(times, [Fraction(speed(float(t) + 0.05)).limit_denominator(1000) for t in times[:-1]])
    return TimeMap(tuple((t, Fraction(round(exact.at(t) * 10**6), 10**6)) for t in times), exact.before, exact.after)


def markers(times: np.ndarray, length: float) -> np.ndarray:
    """(n, 2): tones of 1 kHz (of 2 kHz, if they are short) at these times, s."""
    wave, count = np.zeros(SECONDS * RATE, np.float32), round(length * RATE)
    tone = LEVEL * np.sin(2 * np.pi * (1000 if length > 0.02 else 2000) * np.arange(count) / RATE)
    for time in times:
        wave[round(time * RATE) : round(time * RATE) + count] = tone
    return np.repeat(wave[:, None], 2, 1)


def mix() -> np.ndarray:
    """(n, 2): two tones with a vibrato, noise, and a beat."""
    n, rng = np.arange(SECONDS * RATE) / RATE, np.random.default_rng(1)
    left = 0.3 * np.sin(2 * np.pi * 220 * n + 3 * np.sin(2 * np.pi * 5 * n)) * (1 + np.sin(2 * np.pi * 2 * n)) / 2
    right = 0.2 * np.sin(2 * np.pi * 554 * n) + 0.05 * rng.standard_normal(len(n))
    return np.stack([left, right], 1).astype(np.float32)


def ours(kind: type[RetimedSound], samples: np.ndarray, timing: TimeMap) -> np.ndarray:
    retimed = kind(timing, RATE, samples.shape[1])
    pieces = [retimed.push(samples[at : at + 1024]) for at in range(0, len(samples), 1024)]
    return np.concatenate([*pieces, retimed.finish()])


def atempo(samples: np.ndarray, speed: Callable[[float], float] | float) -> np.ndarray:
    """FFmpeg's filter; a speed that varies is commanded."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(format="flt", sample_rate=RATE, layout="stereo", time_base=Fraction(1, RATE))
    tempo = graph.add("atempo", f"tempo={speed(0) if callable(speed) else speed}")
    graph.link_nodes(source, tempo, graph.add("abuffersink")).configure()
    pieces = []

    def pull() -> None:
        while True:
            try:
                pieces.append(graph.pull().to_ndarray().reshape(-1, 2))
            except (av.error.EOFError, BlockingIOError):
                return

    for at in range(0, len(samples), EVERY):
        if callable(speed):
            tempo.process_command("tempo", f"{speed(at / RATE + EVERY / RATE / 2):.6f}")
        piece = np.ascontiguousarray(samples[at : at + EVERY]).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(piece, format="flt", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = RATE, at, Fraction(1, RATE)
        graph.push(frame)
        pull()
    graph.push(None)
    pull()
    return np.concatenate(pieces)


def landed(wave: np.ndarray, times: np.ndarray, length: float, timing: TimeMap) -> tuple[list[float], int]:
    """How far each marker is from its mapped time, ms; and how many are lost."""
    errors, lost = [], 0
    for time in times:
        start, end = (float(timing.at(Fraction(t))) for t in (time, time + length))
        first = max(0, round((start - 0.15) * RATE))
        energy = np.square(wave[first : round((end + 0.15) * RATE), 0], dtype=np.float64)
        if len(energy) and energy.max() > (LEVEL / 5) ** 2:
            middle = (first + (np.arange(len(energy)) * energy).sum() / energy.sum()) / RATE
            errors.append(1000 * (middle - (start + end) / 2))
        else:
            lost += 1
    return errors, lost


def main() -> None:
    repeat = options(__doc__.splitlines()[0]).repeat
    varied, constant = curve(speed), TimeMap.of_speeds((0, 1), (2,))
    ways: dict[str, tuple[Callable[[np.ndarray], np.ndarray], TimeMap]] = {
        "atempo, speed 2": (lambda samples: atempo(samples, 2), constant),
        "stretch, speed 2": (lambda samples: ours(Stretcher, samples, constant), constant),
        "varispeed, speed 2": (lambda samples: ours(Varispeed, samples, constant), constant),
        "atempo by commands, the curve": (lambda samples: atempo(samples, speed), varied),
        "stretch, the curve": (lambda samples: ours(Stretcher, samples, varied), varied),
        "varispeed, the curve": (lambda samples: ours(Varispeed, samples, varied), varied),
    }
    sound = mix()
    spent = side_by_side({name: lambda way=way: way(sound) for name, (way, _) in ways.items()}, repeat)
    times = np.arange(0.5, SECONDS - 1, 1.1)
    rows = []
    for name, (way, timing) in ways.items():
        length = len(way(sound)) / RATE - float(timing.at(Fraction(SECONDS)))
        errors, lost = landed(way(markers(times, 0.08)), times, 0.08, timing)
        _, clicks = landed(way(markers(times, 0.005)), times, 0.005, timing)
        rows.append(
            {"case": f"{SECONDS} s of stereo at {RATE // 1000} kHz", "path": name}
            | spent[name]
            | {
                "ratio": f"{float(spent[name]['cpu_ms']) / float(spent['atempo, speed 2']['cpu_ms']):.2f}",
                "length_error_ms": f"{1000 * length:.1f}",
                "marker_error_median_ms": f"{np.median(errors):.1f}",
                "marker_error_worst_ms": f"{max(map(abs, errors)):.1f}",
                "bursts_lost": f"{lost} of {len(times)}",
                "clicks_lost": f"{clicks} of {len(times)}",
            }
        )
    record(__file__, rows)


if __name__ == "__main__":
    main()
