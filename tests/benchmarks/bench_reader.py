"""Reading a video, and reading and writing it, beside what FFmpeg itself needs: CPU time of a clip of 640 x 360 px.

    python tests/benchmarks/bench_reader.py [--repeat 3]

The floors are plain loops over PyAV: decoding alone, with the cheapest conversion to RGB, and straight from the decoder
into an encoder of the writer's settings.  FFmpeg chooses its instructions by itself, whatever those of torch are.
"""

from __future__ import annotations

import tempfile
from fractions import Fraction
from pathlib import Path

import av
from measure import natural_picture, options, record, side_by_side

from structkit.media import video_writer
from structkit.media.video import VideoReader
from structkit.media.video_writer import VideoWriter
from structkit.media.yuv import TAGS

SIZE, FRAMES, MOVE = (640, 360), 120, 2  # (width, height); px from one frame to the next


def film(path: Path) -> None:
    """A window that moves over a picture, in H.264 of good quality."""
    width, height = SIZE
    scene = natural_picture(height, width + MOVE * FRAMES, seed=1)
    pixels = ((scene + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"crf": "18", "preset": "medium"})
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for number in range(FRAMES):
            shown = pixels[:, MOVE * number : MOVE * number + width].copy()
            frame = av.VideoFrame.from_ndarray(shown, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def decode(path: Path, **into: str) -> None:
    """FFmpeg alone; into: the conversion of each frame."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for frame in container.decode(video=0):
            if into:
                frame.reformat(**into)


def transcode(path: Path, out: Path) -> None:
    """FFmpeg alone, from the decoder into the encoder."""
    settings = video_writer.ENCODERS["libx264"] | video_writer.ALIKE | TAGS | {"crf": "18"}
    with av.open(str(path)) as container, av.open(str(out), "w") as output:
        container.streams.video[0].thread_type = "AUTO"
        stream = output.add_stream("libx264", rate=25, options=settings)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for frame in container.decode(video=0):
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def read(path: Path) -> None:
    """The reader alone."""
    with VideoReader(path) as source:
        for _ in source:
            pass


def copy(path: Path, out: Path) -> None:
    """The reader and the writer."""
    with VideoReader(path) as source, VideoWriter(out, width=SIZE[0], height=SIZE[1], like=source) as video:
        for frame in source:
            video.write(frame)


def main() -> None:
    chosen = options(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "film.mp4", Path(folder) / "out.mp4"
        film(path)
        cheap = {"format": "rgb24", "interpolation": "FAST_BILINEAR"}
        found = side_by_side(
            {
                "decoding": lambda: decode(path),
                "decoding, the cheapest RGB": lambda: decode(path, **cheap),
                "reader": lambda: read(path),
                "decoding and encoding": lambda: transcode(path, out),
                "reader and writer": lambda: copy(path, out),
            },
            chosen.repeat,
        )
    floors = {"reader": "decoding, the cheapest RGB", "reader and writer": "decoding and encoding"}
    rows = []
    for name, numbers in found.items():
        ratio = float(numbers["cpu_ms"]) / float(found[floors.get(name, name)]["cpu_ms"])
        rows.append(
            {"case": f"{SIZE[0]}x{SIZE[1]}, {FRAMES} frames", "path": name} | numbers | {"ratio": f"{ratio:.2f}"}
        )
    record(__file__, rows)


if __name__ == "__main__":
    main()
