"""A frame of a video analogy that has one before it: CPU time, in milliseconds and in units of a thousand matrix
products.

    python tests/benchmarks/bench_video.py [--threads 2] [--pictures CLIP_FRAME.png TARGET.png]

The film is a window of 512 x 288 px that moves over a picture by 3 px a frame; the first frame, an analogy like any
other, is not counted.
"""

from __future__ import annotations

import itertools
import statistics
import time

import torch
from measure import options, picture_pair, record, unit

from structkit.configs import AnalogyConfig
from structkit.device import keep_memory
from structkit.engines.patch.video import analogy_frames

SHAPE, MOVE, FRAMES = (288, 512), 3, 6  # height, width


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
        "units": f"{medians['cpu_ms'] / a_unit:.2f}"
    }
    record(__file__, [{"case": f"{SHAPE[1]}x{SHAPE[0]}, {name}", "path": "a later frame"} | numbers])


if __name__ == "__main__":
    main()
