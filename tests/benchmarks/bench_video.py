"""Videos: CPU time of a frame, in milliseconds and in units of a thousand matrix products.

    python tests/benchmarks/bench_video.py [--threads 2] [--pictures CLIP_FRAME.png TARGET.png]
    python tests/benchmarks/bench_video.py --pictures CLIP.mp4 TARGET.png

"a later frame": a frame of a video analogy that has one before it.  The film is a window of 512 x 288 px that moves
over a picture by 3 px a frame; the first frame, an analogy like any other, is not counted.  Of a clip, in its place,
48 frames are made with a short side of 144 px, and nothing else.
detail_least, detail_most: of all later frames, variance of the Laplacian of luminance in units of the first's; 1 is as
crisp, less has melted.  source_detail: the same of the source's last frame.  jumps: share of pixels whose luminance
differs by more than 20 levels from that of the frame before, mean of all frames, in units of the source's share.
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
import torch.nn.functional as F
from measure import options, picture_pair, record, side_by_side, unit
from torch import Tensor
from torchvision.io import ImageReadMode, read_image

from structkit.configs import AnalogyConfig
from structkit.device import keep_memory
from structkit.engines.patch.video import analogy_frames
from structkit.kernels.pyramid import resize
from structkit.media.pictures import Picture
from structkit.media.tensors import to_tensor
from structkit.media.video import VideoReader
from structkit.media.video_writer import ALIKE, ENCODERS, VideoWriter

SHAPE, MOVE, FRAMES = (288, 512), 3, 6  # height, width
COPIED_SHAPE, COPIED_FRAMES, RATE, HERTZ = (360, 640), 150, 25, 48_000
CLIP_SHORT, CLIP_FRAMES = 144, 48
FACTOR = "18"  # the rate factor that the writer takes by default


def main() -> None:
    chosen = options(__doc__)
    keep_memory()  # as the command line does
    if chosen.pictures and Path(chosen.pictures[0]).suffix == ".mp4":
        return record(__file__, [later_frames(*clip_and_target(*map(Path, chosen.pictures)))])
    name, scene, target = picture_pair(chosen.pictures, (SHAPE[0], SHAPE[1] + MOVE * FRAMES))
    film = [scene[None, :, :, MOVE * i : MOVE * i + SHAPE[1]] for i in range(FRAMES)]
    record(__file__, [later_frames(name, film, target[None]), *copies(name, chosen.pictures, chosen.repeat)])


def clip_and_target(clip: Path, target: Path) -> tuple[str, list[Tensor], Tensor]:
    """Name, frames (1, 3, h, w) of a clip, small, and the target picture (1, 3, H, W)."""
    film = []
    with VideoReader(clip) as reader:
        sides = reader.height, reader.width
        shape = tuple(2 * round(side * CLIP_SHORT / min(sides) / 2) for side in sides)
        for frame in itertools.islice(reader, CLIP_FRAMES):
            film.append(resize(to_tensor(Picture(frame.pixels)), shape).clamp(-1, 1))
    look = read_image(str(target), ImageReadMode.RGB)[None].float() / 127.5 - 1
    return f"{clip.stem} {target.stem}", film, look


def later_frames(name: str, film: list[Tensor], target: Tensor) -> dict[str, str]:
    """The row of the frames of an analogy that have one before them."""
    height, width = film[0].shape[-2:]
    drawn = torch.Generator().manual_seed(0)
    made = analogy_frames(film, target, AnalogyConfig(), shape=(height, width), generator=drawn)
    results = [next(made)]
    before, wall, cpu = unit(), [time.perf_counter()], [time.process_time()]
    for result in made:
        results.append(result)
        wall.append(time.perf_counter())
        cpu.append(time.process_time())
    a_unit = (before + unit()) / 2
    spent = {"wall_ms": wall, "cpu_ms": cpu}
    medians = {name: statistics.median(b - a for a, b in itertools.pairwise(times)) for name, times in spent.items()}
    crisp = [detail(result) / detail(results[0]) for result in results[1:]]
    numbers = {name: f"{1000 * seconds:.0f}" for name, seconds in medians.items()} | {
        "units": f"{medians['cpu_ms'] / a_unit:.2f}",
        "of_plain": "",
        "detail_least": f"{min(crisp):.2f}",
        "detail_most": f"{max(crisp):.2f}",
        "source_detail": f"{detail(film[-1]) / detail(film[0]):.2f}",
        "jumps": f"{jumps(results) / max(jumps(film), 1e-9):.2f}",
    }
    return {"case": f"{width}x{height}, {name}", "path": "a later frame"} | numbers


def luminance(frame: Tensor) -> Tensor:
    """Levels (1, 1, H, W), 0 to 255, of a frame (1, 3, H, W) in [-1, 1]."""
    weights = frame.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    return (127.5 * (frame + 1) * weights).sum(1, keepdim=True)


def detail(frame: Tensor) -> float:
    """Variance of the Laplacian of luminance."""
    around = frame.new_tensor([[0, 1, 0], [1, -4, 1], [0, 1, 0]])[None, None]
    return float(F.conv2d(luminance(frame), around).var())


def jumps(frames: list[Tensor]) -> float:
    """Share of pixels that differ by more than 20 levels of luminance from one frame to the next, mean of all pairs."""
    levels = [luminance(frame) for frame in frames]
    return statistics.fmean(float(((b - a).abs() > 20).float().mean()) for a, b in itertools.pairwise(levels))


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
        | dict.fromkeys(("detail_least", "detail_most", "source_detail", "jumps"), "")
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
