"""`structkit speedup` from end to end: CPU and wall seconds beside those of decoding and encoding alone; peak memory.

    python tests/benchmarks/bench_speedup.py [--repeat 3] [--memory] [--model MODEL]

The film: 60 s of 1280 x 720 px, 30 frames a second, with sound: still, a pan over a texture, things that cross a still
scene, and a slow one.  Each command is a process of its own, everything included: its start, the analysis, the sound.
"decode + encode" decodes all frames of the film and hands those that the result has to the same encoder with the same
options, and copies the sound: `of_plain` is the time in units of that one's, of the same run; medians of runs that take
turns.
--memory: the peak memory of a film of one minute and of ten, 160 x 96 px, by motion.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from structkit.media.video_writer import ALIKE, ENCODERS

SECONDS, RATE, HERTZ = 60, 30, 48_000
FACTOR = "18"  # the rate factor that the writer takes by default
SPEED = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="a checkpoint of train speednet, in place of an untrained one of preset fast")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each, of which the median counts")
    parser.add_argument("--memory", action="store_true", help="measure the memory alone")
    parser.add_argument("--plain", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--film", nargs=4, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.plain:
        plain(*map(Path, chosen.plain))
        return
    if chosen.film:
        make_film(Path(chosen.film[0]), *map(int, chosen.film[1:]))
        return
    with tempfile.TemporaryDirectory() as folder:
        rows = memory(Path(folder)) if chosen.memory else times(Path(folder), chosen.model, chosen.repeat)
    from measure import record

    record(__file__, rows)


def times(folder: Path, model: str | None, repeat: int) -> list[dict[str, str]]:
    """The rows of the commands and of the plain loop."""
    film = film_of(folder / "film.mp4", 1280, 720, SECONDS)
    asked = [str(film), "--rate", str(SPEED), "-q", "--exists", "overwrite", "-o", str(folder / "out.mp4")]
    command = [sys.executable, "-m", "structkit_cli", "speedup", *asked]
    calls = {
        "decode + encode": [sys.executable, __file__, "--plain", str(film), str(folder / "plain.mp4")],
        "motion": command,
        "motion, --audio drop": [*command, "--audio", "drop"],
        "motion, --dry-run": [*command, "--dry-run"],
    }
    calls["speednet, fast"] = [*command, "--model", model or untrained(folder / "speed.safetensors")]
    spent: dict[str, list[tuple[float, float, float]]] = {name: [] for name in calls}
    for _ in range(repeat):
        for name, call in calls.items():
            spent[name].append(ran(call))
    medians = {name: tuple(map(statistics.median, zip(*found, strict=True))) for name, found in spent.items()}
    least = medians["decode + encode"]
    return [
        {"case": "60 s of 1280x720, 30 fps", "path": name, "wall_s": f"{wall:.1f}", "cpu_s": f"{cpu:.1f}"}
        | {"of_plain": f"{cpu / least[1]:.2f}", "of_plain_wall": f"{wall / least[0]:.2f}", "peak_mb": ""}
        for name, (wall, cpu, _) in medians.items()
    ]


def untrained(path: Path) -> str:
    """A model of preset fast, which takes as long as a trained one."""
    from structkit.configs import SpeedNetConfig
    from structkit.engines.speednet.model import SpeedNet

    SpeedNet(SpeedNetConfig().filled()).save(path, complete=True)
    return str(path)


def memory(folder: Path) -> list[dict[str, str]]:
    """The rows of the peak memory of a short film and of a long one."""
    rows = []
    for seconds in (60, 600):
        film = film_of(folder / f"{seconds}.mp4", 160, 96, seconds)
        asked = [str(film), "--rate", str(SPEED), "-q", "-o", str(folder / f"{seconds}-out.mp4")]
        wall, cpu, peak = ran([sys.executable, "-m", "structkit_cli", "speedup", *asked])
        row = {
            "case": "memory, 160x96",
            "path": f"motion, {seconds} s",
            "wall_s": f"{wall:.1f}",
            "cpu_s": f"{cpu:.1f}",
        }
        rows.append(row | {"of_plain": "", "of_plain_wall": "", "peak_mb": f"{peak:.0f}"})
    return rows


def ran(command: list[str]) -> tuple[float, float, float]:
    """Wall and CPU seconds of a process and of those that it started, and its peak memory, MB."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return wall, used.ru_utime + used.ru_stime, used.ru_maxrss / (1 if sys.platform == "darwin" else 1000)


def film_of(path: Path, width: int, height: int, seconds: int) -> Path:
    """The film of `make_film`, made by a process of its own: the peak of one begins at the size of who starts it."""
    ran([sys.executable, __file__, "--film", str(path), str(width), str(height), str(seconds)])
    return path


def make_film(path: Path, width: int, height: int, seconds: int) -> Path:
    """A film of four parts, again and again: still, a pan, things that cross, and a slow one; with bursts of a tone."""
    import torch
    from measure import natural_picture  # loads torch, which the plain loop does without

    small = natural_picture(height // 4, width // 2, seed=1)[None]
    large = torch.nn.functional.interpolate(small, scale_factor=4, mode="bicubic").clamp(-1, 1)[0]
    scene = ((large + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    part = 15 * RATE
    with av.open(str(path), "w") as output:
        video = output.add_stream("libx264", rate=RATE, options={"crf": "20", "preset": "veryfast"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        sound = output.add_stream("aac", rate=HERTZ, layout="mono")
        for number in range(seconds * RATE):
            place, at = number // part % 4, number % part
            left = min(2 * at, width) if place == 1 else 0
            window = np.ascontiguousarray(scene[:, left : left + width])
            if place >= 2:
                speed = 9 if place == 2 else 1
                for i in range(3):
                    x, y = (speed * at * (i + 1) + 200 * i) % (width - height // 5), height * (2 * i + 1) // 7
                    window[y : y + height // 8, x : x + height // 5] = (240 - 60 * i, 60 + 50 * i, 40)
            frame = av.VideoFrame.from_ndarray(window, format="rgb24")
            output.mux(video.encode(frame))
            n = np.arange(HERTZ // RATE) + number * HERTZ // RATE
            wave = 0.2 * np.sin(2 * np.pi * 440 / HERTZ * n) * (number // RATE % 3 == 0)
            heard = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), format="fltp", layout="mono")
            heard.sample_rate, heard.pts, heard.time_base = HERTZ, int(n[0]), Fraction(1, HERTZ)
            output.mux(sound.encode(heard))
        for packet in (*video.encode(None), *sound.encode(None)):
            output.mux(packet)
    return path


def plain(source: Path, path: Path) -> None:
    """What must be done at least: decode all, encode one frame of SPEED with the same options, copy the sound."""
    with av.open(str(source)) as film, av.open(str(path), "w", options={"movflags": "+faststart"}) as output:
        pictures, heard = film.streams.video[0], film.streams.audio[0]
        pictures.thread_type = "AUTO"
        options = {**ENCODERS["libx264"], **ALIKE, "crf": FACTOR}
        made = output.add_stream("libx264", rate=RATE, options=options)
        made.width, made.height, made.pix_fmt = pictures.width, pictures.height, "yuv420p"
        sound = output.add_stream_from_template(heard)
        numbers = itertools.count()
        for packet in film.demux(pictures, heard):
            if packet.stream is heard and packet.dts is not None:
                packet.stream = sound
                output.mux(packet)
            elif packet.stream is pictures:
                for frame in packet.decode():
                    number = next(numbers)
                    if number % SPEED == 0:
                        frame.pict_type = 0  # the encoder's choice
                        frame.pts, frame.time_base = number // SPEED, Fraction(1, RATE)
                        output.mux(made.encode(frame))
        for packet in made.encode(None):
            output.mux(packet)


if __name__ == "__main__":
    main()
