"""Videos: CPU time of a frame, in milliseconds and in units of a thousand matrix products.

    python tests/benchmarks/bench_video.py [--threads 2] [--pictures CLIP_FRAME.png TARGET.png]

"a later frame": a frame of a video analogy that has one before it.  The film is a window of 512 x 288 px that moves
over a picture by 3 px a frame; the first frame, an analogy like any other, is not counted.
"read + write": a frame of a film in H.264 of 640 x 360 px with sound, read and written as it is; opening and closing
the files are counted, too.  Beside it stands "the plain loop", which hands what it decodes to the same encoder with the
same options, and never makes RGB of it: `of_plain` is the time in units of that loop's.  FFmpeg picks its vector code
by the processor alone, whatever torch is told.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from measure import options, picture_pair, record, side_by_side, unit
from torch import Tensor

from structkit.configs import AnalogyConfig
from structkit.device import keep_memory
from structkit.engines.patch.video import analogy_frames
from structkit.media.video import VideoReader
from structkit.media.video_writer import ALIKE, ENCODERS, VideoWriter

SHAPE, MOVE, FRAMES = (288, 512), 3, 6  # height, width
COPIED_SHAPE, COPIED_FRAMES, RATE, HERTZ = (360, 640), 150, 25, 48_000
FACTOR = "18"  # the rate factor that the writer takes by default


def main() -> None:
    chosen = options(__doc__)
    keep_memory()  # as the command line does
    name, scene, target = picture_pair(chosen.pictures, (SHAPE[0], SHAPE[1] + MOVE * FRAMES))
    film = (scene[None, :, :, MOVE * i : MOVE * i + SHAPE[1]] for i in range(FRAMES))
    made = analogy_frames(film, target[None], AnalogyConfig(), shape=SHAPE, generator=torch.Generator().manual_seed(0))
    next(made)
    before, wall, cpu = unit(), [time.perf_counter()], [time.process_time()]
    for _ in made:
        wall.append(time.perf_counter())
        cpu.append(time.process_time())
    a_unit = (before + unit()) / 2
    spent = {"wall_ms": wall, "cpu_ms": cpu}
    medians = {name: statistics.median(b - a for a, b in itertools.pairwise(times)) for name, times in spent.items()}
    numbers = {name: f"{1000 * seconds:.0f}" for name, seconds in medians.items()} | {
        "units": f"{medians['cpu_ms'] / a_unit:.2f}",
        "of_plain": "",
    }
    later = {"case": f"{SHAPE[1]}x{SHAPE[0]}, {name}", "path": "a later frame"} | numbers
    record(__file__, [later, *copies(name, chosen.pictures, chosen.repeat)])


def copies(name: str, pictures: list[str] | None, repeat: int) -> list[dict[str, str]]:
    """The rows of a film that is read and written, and of the plain loop."""
    with tempfile.TemporaryDirectory() as folder:
        source, results = Path(folder) / "source.mp4", {n: Path(folder) / f"{n}.mp4" for n in ("ours", "plain")}
        _, picture, _ = picture_pair(pictures, (COPIED_SHAPE[0], COPIED_SHAPE[1] + MOVE * COPIED_FRAMES))
        make_film(picture, source)
        before = unit()
        found = side_by_side(
            {
                "read + write": lambda: read_and_write(source, results["ours"]),
                "the plain loop": lambda: plain_loop(source, results["plain"]),
            },
            repeat,
        )
        a_unit = (before + unit()) / 2
    least = float(found["the plain loop"]["cpu_ms"])
    case = f"{COPIED_SHAPE[1]}x{COPIED_SHAPE[0]} film, {name}"
    return [
        {"case": case, "path": path}
        | {measure: f"{float(numbers[measure]) / COPIED_FRAMES:.2f}" for measure in ("wall_ms", "cpu_ms")}
        | {"units": f"{float(numbers['cpu_ms']) / 1000 / COPIED_FRAMES / a_unit:.4f}"}
        | {"of_plain": f"{float(numbers['cpu_ms']) / least:.2f}"}
        for path, numbers in found.items()
    ]


def make_film(picture: Tensor, path: Path) -> None:
    """A window that moves over a picture, (3, H, W) in [-1, 1], with a soft sine as its sound."""
    height, width = COPIED_SHAPE
    pixels = ((picture + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    with av.open(str(path), "w") as output:
        video = output.add_stream("libx264", rate=RATE, options={"crf": FACTOR, "preset": "medium"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        sound = output.add_stream("aac", rate=HERTZ, layout="mono")
        for number in range(COPIED_FRAMES):
            window = np.ascontiguousarray(pixels[:, MOVE * number : MOVE * number + width])
            frame = av.VideoFrame.from_ndarray(window, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            output.mux(video.encode(frame))
            n = np.arange(HERTZ // RATE) + number * HERTZ // RATE
            wave = 0.1 * np.sin(2 * np.pi * 440 / HERTZ * n)
            heard = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), format="fltp", layout="mono")
            heard.sample_rate, heard.pts, heard.time_base = HERTZ, int(n[0]), Fraction(1, HERTZ)
            output.mux(sound.encode(heard))
        for packet in (*video.encode(None), *sound.encode(None)):
            output.mux(packet)


def read_and_write(source: Path, path: Path) -> None:
    with (
        VideoReader(source) as reader,
        VideoWriter(path, width=reader.width, height=reader.height, like=reader) as writer,
    ):
        for frame in reader:
            writer.write(frame)


def plain_loop(source: Path, path: Path) -> None:
    """What must be done at least: decode, encode with the same options, and copy the sound."""
    with av.open(str(source)) as film, av.open(str(path), "w", options={"movflags": "+faststart"}) as output:
        pictures, heard = film.streams.video[0], film.streams.audio[0]
        pictures.thread_type = "AUTO"
        options = {**ENCODERS["libx264"], **ALIKE, "crf": FACTOR}
        made = output.add_stream("libx264", rate=RATE, options=options, time_base=pictures.time_base)
        made.width, made.height, made.pix_fmt = pictures.width, pictures.height, "yuv420p"
        sound = output.add_stream_from_template(heard)
        for packet in film.demux(pictures, heard):
            if packet.stream is heard and packet.dts is not None:
                packet.stream = sound
                output.mux(packet)
            elif packet.stream is pictures:
                for frame in packet.decode():
                    frame.pict_type = 0  # the encoder's choice
                    output.mux(made.encode(frame))
        for packet in made.encode(None):
            output.mux(packet)


if __name__ == "__main__":
    main()
