"""New clips by the patch engine, scored beside published samples of the same clips.

    python tests/benchmarks/bench_clip_samples.py CLIP.mp4 [CLIP.mp4 ...] [--beside FOLDER ...] [--keep FOLDER]

Each CLIP gives 6 samples by `structkit.genvideo`, in its own size (made even), written and read again as MP4; a FOLDER
beside it holds others' samples of it, as files whose names begin with its name.  Samples of an odd clip are compared
with what they were made of, which lacks a row or a column.  Columns: `diversity`, `motion`, `coherence` and
`completeness` as `structkit score` has them, and CPU seconds of one sample, one thread.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
from measure import record
from torch import Tensor

import structkit
from structkit.configs import MOST_SIDE
from structkit.errors import StructkitError
from structkit.media.moving_pictures import clip_tensor, read_clip, write_clip
from structkit.media.video import VideoReader
from structkit.verbs.clip_scores import CoherenceTally, DiversityTally, MotionTally

SAMPLES = 6


def read(path: Path) -> Tensor:
    """The frames of a clip, (1, 3, T, H, W), as programs that score them read them."""
    with VideoReader(path, blocks=True) as video:
        return clip_tensor(read_clip(video))


def scored(path: Path, samples: Sequence[Path]) -> dict[str, str]:
    """The figures of the samples of a clip; one that they have not, such as diversity of other sizes, is left out."""
    figures: dict[str, str] = {}
    real = read(path)
    for kind in (DiversityTally, MotionTally, CoherenceTally):
        try:
            height, width = read(samples[0]).shape[3:]
            odd = real.shape[3] - height in (0, 1) and real.shape[4] - width in (0, 1)
            tally = kind(real[..., :height, :width].contiguous() if odd else real)
            for sample in samples:
                tally.add(read(sample))
            figures |= {name: f"{value:.4f}" for name, value in tally.summary().items()}
        except StructkitError as error:
            print(f"{path.stem}: {error}")
    return {name: figures.get(name, "") for name in ("diversity", "motion", "coherence", "completeness")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--beside", nargs="+", type=Path, default=[])
    parser.add_argument("--keep", type=Path, help="a folder for the samples")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    for path in chosen.clips:
        with tempfile.TemporaryDirectory() if chosen.keep is None else nullcontext(chosen.keep) as folder:
            samples, spent = [Path(folder, f"{path.stem}-{i}.mp4") for i in range(SAMPLES)], 0.0
            for seed, sample in enumerate(samples):
                began = time.process_time()
                [made] = structkit.genvideo(path, seed=seed, max_side=MOST_SIDE)
                spent += time.process_time() - began
                write_clip(made, sample)
            rows = [{"path": "patches"} | scored(path, samples) | {"cpu_s": f"{spent / SAMPLES:.1f}"}]
        for others in chosen.beside:
            if published := sorted(others.glob(f"{path.stem}*")):
                rows.append({"path": f"published, {others.name}"} | scored(path, published) | {"cpu_s": ""})
        record(__file__, [{"case": path.stem, "samples": str(SAMPLES)} | row for row in rows])


if __name__ == "__main__":
    main()
