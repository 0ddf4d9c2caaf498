"""Analogies of two clips beside published ones: scores, and CPU seconds.

    python tests/benchmarks/bench_clip_analogy.py CLIPS PUBLISHED [--height 144] [--match structure] [--pairs a2b ...]

CLIPS holds videos of equal length, PUBLISHED the results A2B.mp4 for A.mp4 and B.mp4 of CLIPS (structure of A, look of
B).  All are reduced to a short side of --height px before anything is made or measured.
coherence, completeness: of `structkit.metrics.clips`, drawn; lower: made of B, and of all of B.
motion: mean difference of consecutive frames over B's; 1 is as lively as B.
structure, edges: `explained_structure` and `edge_agreement` with A, at 64 px, mean of every fifth frame; higher: laid
out like A.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import fmean

import torch
from measure import record
from torch import Tensor

from structkit.configs import AnalogyConfig
from structkit.device import keep_memory
from structkit.engines.patch.clip_analogy import analogy_clip
from structkit.kernels.pyramid import resize
from structkit.media.moving_pictures import clip_tensor, read_clip
from structkit.metrics.clips import motion, resemblance
from structkit.metrics.structure import edge_agreement, explained_structure

EACH = 5  # frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("published", type=Path)
    parser.add_argument("--height", type=int, default=144, help="short side, px")
    parser.add_argument("--match", nargs="+", default=["structure"])
    parser.add_argument("--pairs", nargs="*")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    keep_memory()  # as the command line does
    names = sorted((path.stem for path in chosen.clips.iterdir()), key=len, reverse=True)
    for path in sorted(chosen.published.glob("*2*.mp4")):
        if chosen.pairs and path.stem not in chosen.pairs:
            continue
        look = next(name for name in names if path.stem.endswith(f"2{name}"))
        files = [chosen.clips / f"{name}.mp4" for name in (path.stem.removesuffix(f"2{look}"), look)]
        full = [clip_tensor(read_clip(file)) for file in (*files, path)]
        source, target, published = (_reduced(clip, chosen.height) for clip in full)
        frames, height, width = source.shape[2:]
        case = {"case": f"{path.stem}, {frames} frames of {width}x{height}"}
        rows = [case | {"path": "VGPNN, published"} | scores(source, target, published) | {"cpu_s": ""}]
        for match in chosen.match:
            start = time.process_time()
            made = analogy_clip(
                *full[:2],
                AnalogyConfig(match=match),
                shape=source.shape[2:],
                generator=torch.Generator().manual_seed(0),
            )
            spent = {"cpu_s": f"{time.process_time() - start:.1f}"}
            rows.append(case | {"path": f"match={match}"} | scores(source, target, made) | spent)
        record(__file__, rows)


def scores(source: Tensor, target: Tensor, made: Tensor) -> dict[str, str]:
    """The scores of a result, as texts."""
    drawn = [torch.Generator().manual_seed(0) for _ in range(2)]
    small = [[_reduced(clip, 64)[:, :, i] for i in range(0, clip.shape[2], EACH)] for clip in (source, made)]
    numbers = {
        "coherence": resemblance(made, target, generator=drawn[0]).distance,
        "completeness": resemblance(target, made, generator=drawn[1]).distance,
        "motion": motion(target, made),
        "structure": fmean(explained_structure(*pair) for pair in zip(*small, strict=True)),
        "edges": fmean(edge_agreement(*pair) for pair in zip(*small, strict=True)),
    }
    return {name: f"{number:.4f}" if number < 0.1 else f"{number:.3f}" for name, number in numbers.items()}


def _reduced(clip: Tensor, short: int) -> Tensor:
    by = short / min(clip.shape[-2:])
    return resize(clip, (clip.shape[2], *(round(side * by) for side in clip.shape[-2:]))).clamp(-1, 1)


if __name__ == "__main__":
    main()
