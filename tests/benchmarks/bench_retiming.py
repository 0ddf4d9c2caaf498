"""Small samples of a video, and a video at twice its speed, beside what FFmpeg itself needs: CPU time at 1280 x 720 px.

    python tests/benchmarks/bench_retiming.py [--repeat 3]

The floors are plain loops over PyAV: decoding alone, and straight from the decoder into an encoder of the writer's
settings: all frames of the clip, and half of them, as many as the retimed video has.
"""

from __future__ import annotations

import tempfile
from fractions import Fraction
from pathlib import Path

import av
from measure import natural_picture, options, record, side_by_side

from structkit.media import video_writer
from structkit.media.retiming import retime
from structkit.media.sampled import SampledVideo
from structkit.media.timing import TimeMap
from structkit.media.video import VideoReader
from structkit.media.yuv import TAGS

SIZE, FRAMES, MOVE, RATE = (1280, 720), 150, 3, 30  # (width, height); px from one frame to the next; frames a second
SIDE = 160  # px, the short side of the samples
TWICE = TimeMap(((Fraction(0), Fraction(0)),), Fraction(1, 2), Fraction(1, 2))


def film(path: Path) -> None:
    """A window that moves over a picture, in H.264 of good quality."""
    width, height = SIZE
    scene = natural_picture(height, width + MOVE * FRAMES, seed=1)
    pixels = ((scene + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=RATE, options={"crf": "20", "preset": "medium"})
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for number in range(FRAMES):
            shown = pixels[:, MOVE * number : MOVE * number + width].copy()
            frame = av.VideoFrame.from_ndarray(shown, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def decode(path: Path) -> None:
    """FFmpeg alone."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for _ in container.decode(video=0):
            pass


def transcode(path: Path, out: Path, every: int) -> None:
    """FFmpeg alone, from the decoder into the encoder: one frame of `every`."""
    settings = video_writer.ENCODERS["libx264"] | video_writer.ALIKE | TAGS | {"crf": "18"}
    with av.open(str(path)) as container, av.open(str(out), "w") as output:
        container.streams.video[0].thread_type = "AUTO"
        stream = output.add_stream("libx264", rate=RATE, options=settings)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for number, frame in enumerate(container.decode(video=0)):
            if number % every == 0:
                frame.pts = number // every
                frame.time_base = Fraction(1, RATE)
                output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def sample(path: Path) -> None:
    """All samples."""
    for _ in SampledVideo(path, side=SIDE):
        pass


def main() -> None:
    chosen = options(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "film.mp4", Path(folder) / "out.mp4"
        film(path)
        found = side_by_side(
            {
                "decoding": lambda: decode(path),
                "samples": lambda: sample(path),
                "decoding and encoding all": lambda: transcode(path, out, 1),
                "decoding all, encoding half": lambda: transcode(path, out, 2),
                "retimed, nearest": lambda: retime(VideoReader(path), out, TWICE),
                "retimed, blend": lambda: retime(VideoReader(path), out, TWICE, resample="blend"),
                "retimed, vfr": lambda: retime(VideoReader(path), out, TWICE, resample="vfr"),
            },
            chosen.repeat,
        )
    floors = {
        "samples": "decoding",
        "retimed, nearest": "decoding all, encoding half",
        "retimed, blend": "decoding all, encoding half",
        "retimed, vfr": "decoding and encoding all",
    }
    rows = []
    for name, numbers in found.items():
        cost, floor = float(numbers["cpu_ms"]), float(found[floors.get(name, name)]["cpu_ms"])
        more = {"cpu_ms_a_frame": f"{cost / FRAMES:.2f}", "ratio": f"{cost / floor:.2f}"}
        rows.append({"case": f"{SIZE[0]}x{SIZE[1]}, {FRAMES} frames", "path": name} | numbers | more)
    record(__file__, rows)


if __name__ == "__main__":
    main()
