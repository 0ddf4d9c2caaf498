"""Memory of sampling and of retiming: it does not grow with the length of a video."""

import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest

pytest.importorskip("resource")

SIZE, FPS, HERTZ = (160, 96), 30, 48_000
# A process begins with the peak of the one that starts it, which therefore is a small one.
STARTER = "import subprocess, sys; sys.exit(subprocess.run([sys.executable, *sys.argv[1:]]).returncode)"
CHILD = """
import resource, sys
from fractions import Fraction
from structkit.media.retiming import retime
from structkit.media.sampled import SampledVideo
from structkit.media.timing import TimeMap
source, output, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3])
video = SampledVideo(source, side=96)
count = sum(1 for _ in video)
assert count == 25 * seconds, count
times = [Fraction(n, 5) for n in range(5 * seconds + 1)]
shown, knots = Fraction(0), []
for number, time in enumerate(times):
    knots.append((time, round(shown, 6)))
    shown += Fraction(1, 5) / Fraction(10 + number * 7 % 23, 10)
made = retime(video.reader, output, TimeMap(tuple(knots)), resample="nearest")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def long_film(path, seconds: int) -> None:
    """A film with noise that moves, and with sound."""
    width, height = SIZE
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 40, (height * 3 // 2, width + 64)).astype(np.uint8)
    frames = [np.ascontiguousarray(noise[:, at : at + width]) for at in range(0, 64, 2)]
    wave = (8000 * np.sin(np.arange(HERTZ) / 20)).astype(np.int16)
    with av.open(str(path), "w") as output:
        video = output.add_stream("mpeg4", rate=FPS, options={"qscale": "20", "flags": "+qscale"})
        video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
        track = output.add_stream("pcm_s16le", rate=HERTZ, layout="mono")
        for number in range(seconds * FPS):
            frame = av.VideoFrame.from_ndarray(frames[number % 32], "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            output.mux(video.encode(frame))
            if number % FPS == 0:
                sound = av.AudioFrame.from_ndarray(wave[None], "s16", "mono")
                sound.sample_rate, sound.pts, sound.time_base = HERTZ, number // FPS * HERTZ, Fraction(1, HERTZ)
                output.mux(track.encode(sound))
        output.mux(video.encode(None))
        output.mux(track.encode(None))


@pytest.mark.slow
def test_ten_times_as_long_takes_no_more_memory(tmp_path):
    peaks = []
    for seconds in (6, 60):
        source = tmp_path / f"{seconds}.mkv"
        long_film(source, seconds)
        words = [sys.executable, "-c", STARTER, "-c", CHILD, source, tmp_path / f"{seconds}.mp4", str(seconds)]
        peaks.append(int(subprocess.run(words, check=True, capture_output=True, text=True, timeout=500).stdout))
        source.unlink()
    assert peaks[1] < 1.05 * peaks[0]
