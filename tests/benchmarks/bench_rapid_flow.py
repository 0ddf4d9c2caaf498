"""Rapid motion beside the fine one of `kernels.flow`: cost, and how far both are from the truth and from each other.

python tests/benchmarks/bench_rapid_flow.py [--threads 2] [--clips FOLDER]
The truth is known where a picture is moved; of the clips of a folder, of which five pairs of frames each are taken, it
is not: there the columns say how far the rapid motion is from the fine one, and what each leaves unexplained.
"""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path

import torch
from measure import natural_picture, record, side_by_side
from torch import Tensor

from structkit.kernels.flow import motion, warp
from structkit.kernels.pyramid import resize
from structkit.kernels.rapid_flow import rapid_motion
from structkit.media.video import VideoReader

PAIRS = 16  # of frames, at once


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--clips", metavar="FOLDER", help="videos, of each of which five pairs of frames are taken")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    rows = [row for side in (80, 160) for row in moved_pictures(side, chosen.repeat)]
    if chosen.clips:
        videos = sorted(Path(chosen.clips).glob("*.mp4"))
        rows += [row for side in (80, 160) for row in of_clips(videos, side, Path(chosen.clips).name)]
    record(__file__, rows)


def moved_pictures(side: int, repeat: int) -> list[dict[str, str]]:
    """Pairs of one picture, moved by (3, -2) px."""
    height, width = side, side * 16 // 9
    wide = torch.stack([natural_picture(height + 8, width + 8, seed) for seed in range(PAIRS)])
    first, second = wide[..., 4:-4, 4:-4], wide[..., 1:-7, 6:-2]
    truth = torch.tensor([3.0, -2.0]).view(1, 2, 1, 1)
    flows = {"rapid_motion": lambda: rapid_motion(first, second).flow, "motion": lambda: motion(first, second)}
    rows = []
    for path, numbers in side_by_side(flows, repeat).items():
        error = (flows[path]() - truth).norm(dim=1).mean()
        each = {unit: f"{float(value) / PAIRS:.2f}" for unit, value in numbers.items()}
        row = {
            "case": f"{height} x {width}, a pair",
            "path": path,
            "error_px": f"{error:.3f}",
            "apart_px": "",
            "left": "",
        }
        rows.append(row | each)
    return rows


def of_clips(videos: list[Path], side: int, name: str) -> list[dict[str, str]]:
    """Pairs of frames of videos: the mean over videos."""
    found: dict[str, list[tuple[float, float]]] = {"rapid_motion": [], "motion": [], "none": []}
    for video in videos:
        frames = frames_of(video, side)
        fine = motion(frames[:-1], frames[1:])
        flows = {"rapid_motion": rapid_motion(frames[:-1], frames[1:]).flow, "motion": fine, "none": 0 * fine}
        for path, flow in flows.items():
            left = (warp(frames[1:], flow) - frames[:-1]).abs().mean()
            found[path].append(((flow - fine).norm(dim=1).median().item(), left.item()))
    rows = []
    for path, values in found.items():
        apart, left = torch.tensor(values).mean(0).tolist()
        numbers = {"error_px": "", "apart_px": f"{apart:.3f}", "left": f"{left:.4f}"}
        unmeasured = {"wall_ms": "", "cpu_ms": "", "wall_ms_max": ""}
        rows.append({"case": f"{side} px, {len(videos)} videos of {name}", "path": path} | numbers | unmeasured)
    return rows


def frames_of(video: Path, side: int) -> Tensor:
    """Six frames of a video from the sixth on, (6, 3, H, W) in [-1, 1], of that short side."""
    with VideoReader(video) as reader:
        frames = torch.stack([torch.from_numpy(frame.pixels.copy()) for frame in islice(reader, 5, 11)])
    pictures = frames.permute(0, 3, 1, 2).float() / 127.5 - 1
    by = side / min(pictures.shape[-2:])
    return resize(pictures, [round(length * by) for length in pictures.shape[-2:]]).clamp(-1, 1)


if __name__ == "__main__":
    main()
