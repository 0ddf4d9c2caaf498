"""Clips made of patches: what they cost, and what happens to motion where they are joined.

    python tests/benchmarks/bench_genvideo_time.py CLIP.mp4 ... [--side 128] [--only cost extend loop slow windows]

"cost": CPU seconds of a sample, from few to many voxels, and of eight (of the first clip).
"extend": 13 frames after a clip's last; "loop": 20 frames; "slow": every second frame left out and made again;
"windows": as many frames as the clip has, at least 50, by windows of 40, beside a sample of 40 alone.
change: median change from frame to frame of what is new, in units of the clip's.  joint: change where new meets old,
last meets first, or window meets window (the worst of them), in units of the median change around it (extend, where a
clip may end with a frame twice: in units of the clip's).
psnr: of the frames made again, dB, beside those of their neighbours' motion alone (flow), and of their mean (fade).
peak_mb: of the process, of which about 600 are there before a clip is made.  Each row has a process of its own.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import torch
from measure import record
from torch import Tensor

from structkit.configs import ClipConfig
from structkit.device import keep_memory
from structkit.engines.patch.clips import sample_clip
from structkit.engines.patch.extend import extend_clip
from structkit.engines.patch.slow import between, slow_clip
from structkit.engines.patch.windows import HELD, SHARED, spans
from structkit.kernels.pyramid import resize

KINDS = ("cost", "extend", "loop", "slow", "windows")
SHAPES = [(8, 48, 86), (13, 72, 128), (13, 96, 171), (13, 144, 256), (26, 144, 256)]
NEW, LOOP, WINDOW, LEAST = 13, 20, 40, 50  # frames
COLUMNS = ("case", "path", "frames", "cpu_s", "wall_s", "us_per_voxel", "change", "joint", "psnr", "peak_mb")
Row = dict[str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("clips", nargs="+")
    parser.add_argument("--side", type=int, default=128, help="width of the frames, px")
    parser.add_argument("--only", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--here", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    keep_memory()
    if chosen.here:
        kind, *how = json.loads(chosen.here)
        row = {"cost": cost, "extend": extend, "loop": loop, "slow": slow, "windows": windows}[kind](
            chosen.clips[0], chosen.side, *how
        )
        row["peak_mb"] = f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}"
        print(json.dumps(row))
        return
    for kind in chosen.only:
        clips = chosen.clips[:1] if kind == "cost" else chosen.clips
        hows = {
            "cost": [*([list(shape), 1] for shape in SHAPES), [list(SHAPES[1]), 8]],
            "windows": [[WINDOW], [None]],
        }.get(kind, [[]])
        for clip, how in itertools.product(clips, hows):
            asked = ["--side", str(chosen.side), "--here", json.dumps([kind, *how]), clip]
            made = subprocess.run([sys.executable, __file__, *asked], check=True, capture_output=True, text=True)
            row = json.loads(made.stdout.splitlines()[-1])
            record(__file__, [{column: row.get(column, "") for column in COLUMNS}])


def cost(file: str, side: int, shape: list[int], count: int) -> Row:
    clip = read(file, shape[2], shape[0], shape[1])
    spent = Stopwatch()
    for seed in range(count):
        sample_clip(clip, ClipConfig(), shape=tuple(shape), generator=torch.Generator().manual_seed(seed))
    case = f"{count} of {' x '.join(map(str, shape))}"
    return {"case": case, "path": "sample"} | spent.row(count * clip[0, 0].numel(), shape[0])


def extend(file: str, side: int) -> Row:
    clip, spent = read(file, side), Stopwatch()
    made = extend_clip(clip, ClipConfig(), after=NEW, generator=torch.Generator().manual_seed(1))
    row = spent.row(NEW * clip[0, 0, 0].numel(), NEW)
    assert torch.equal(made[:, :, :-NEW], clip)
    usual, new = steps(clip).median(), steps(made)[-NEW:]
    return named(file, clip, "extend") | row | {"change": ratio(new.median(), usual), "joint": ratio(new[0], usual)}


def loop(file: str, side: int) -> Row:
    clip, spent = read(file, side), Stopwatch()
    shape = (LOOP, *clip.shape[3:])
    made = sample_clip(clip, ClipConfig(), shape=shape, loop=True, generator=torch.Generator().manual_seed(1))
    row = spent.row(made[0, 0].numel(), LOOP)
    change = steps(torch.cat([made, made[:, :, :1]], 2))
    measured = {"change": ratio(change.median(), steps(clip).median()), "joint": ratio(change[-1], change.median())}
    return named(file, clip, "loop") | row | measured


def slow(file: str, side: int) -> Row:
    clip = read(file, side, 2 * NEW - 1)
    half, spent = clip[:, :, ::2], Stopwatch()
    made = slow_clip(half, ClipConfig(), factor=2, generator=torch.Generator().manual_seed(1))
    row = spent.row(made[0, 0].numel() // 2, made.shape[2])
    assert torch.equal(made[:, :, ::2], half)
    fade = (half[:, :, 1:] + half[:, :, :-1]) / 2
    flow = between(half, 2).picture[:, :, 1::2]
    psnr = [
        -10 * ((x.clamp(-1, 1) - clip[:, :, 1::2]) / 2).square().mean((0, 1, 3, 4)).log10().mean()
        for x in (made[:, :, 1::2], flow, fade)
    ]
    said = "{:.1f} (flow {:.1f}, fade {:.1f})".format(*psnr)
    return (
        named(file, clip, "slow")
        | row
        | {"change": ratio(steps(made).median() * 2, steps(half).median()), "psnr": said}
    )


def windows(file: str, side: int, frames: int | None) -> Row:
    clip = read(file, side)
    clip = clip[:, :, :frames] if frames else clip
    count = frames or max(LEAST, clip.shape[2])
    spent, shape = Stopwatch(), (count, *clip.shape[3:])
    made = sample_clip(clip, ClipConfig(window=WINDOW), shape=shape, generator=torch.Generator().manual_seed(1))
    row = spent.row(made[0, 0].numel(), count)
    change = steps(made)
    row["change"] = ratio(change.median(), steps(clip).median())
    borders = [window.start + HELD - 1 for window in spans(count, WINDOW)[1:]]
    worst = [float(change[at] / change[max(0, at - SHARED) : at + SHARED].median()) for at in borders]
    return (
        named(file, clip, "windows" if borders else "one window")
        | row
        | {"joint": f"{max(worst):.2f}" if worst else ""}
    )


class Stopwatch:
    """CPU and wall seconds since it was made."""

    def __init__(self) -> None:
        self.cpu, self.wall = time.process_time(), time.perf_counter()

    def row(self, voxels: int, frames: int) -> Row:
        cpu, wall = time.process_time() - self.cpu, time.perf_counter() - self.wall
        numbers = {"cpu_s": f"{cpu:.1f}", "wall_s": f"{wall:.1f}", "us_per_voxel": f"{cpu / voxels * 1e6:.1f}"}
        return {"frames": str(frames)} | numbers


def read(file: str, side: int, frames: int | None = None, height: int | None = None) -> Tensor:
    """The clip (1, 3, T, H, W) in [-1, 1] reduced to a width, with so many frames at most."""
    found = []
    with av.open(file) as video:
        for frame in itertools.islice(video.decode(video=0), frames):
            picture = torch.from_numpy(np.ascontiguousarray(frame.to_ndarray(format="rgb24"))).permute(2, 0, 1)[None]
            tall = height or round(picture.shape[2] * side / picture.shape[3])
            found.append(resize(picture.float() / 127.5 - 1, (tall, side)).clamp(-1, 1))
    clip = torch.stack(found, 2)
    if frames and len(found) < frames:  # a clip that is too short for the table goes to and fro
        clip = torch.cat([clip, clip.flip(2)], 2)[:, :, :frames]
    return clip


def named(file: str, clip: Tensor, path: str) -> Row:
    return {"case": f"{Path(file).stem}, {clip.shape[4]}x{clip.shape[3]}", "path": path}


def steps(clip: Tensor) -> Tensor:
    """Mean change (T - 1,) from each frame to the next."""
    return clip.diff(dim=2).abs().mean((0, 1, 3, 4))


def ratio(one: Tensor, other: Tensor) -> str:
    return f"{float(one / other):.2f}"


if __name__ == "__main__":
    main()
