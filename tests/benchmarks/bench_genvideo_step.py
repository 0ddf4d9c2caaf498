"""A step of HP-VAE-GAN's training at each level of the published pyramid, beside the published step written out.

    python tests/benchmarks/bench_genvideo_step.py [--repeat 3] [--levels 0 1 2 3] [--paths published float32 bfloat16]

A clip of 13 x 144 x 256, batch 1.  Paths: `published` runs what the authors' code runs (plain.py of its tests:
each sample alone, blocks that stand still differentiated too, the penalty differentiated twice) but for its loader and
its log; `float32` and `bfloat16` are structkit's step, its random numbers counted.  Fresh networks; CPU milliseconds,
the paths in turns.  With ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 the rows are
those of a processor without AVX-512; bfloat16 is emulated there, and not worth measuring.
`peak_mib` is the most memory of the process so far, all paths of this and of the levels before it together: measure one
path of one level alone to read it.
"""

from __future__ import annotations

import argparse
import resource
from collections.abc import Callable

import torch
from measure import natural_picture, plain, record, side_by_side

from structkit.configs import GenvideoConfig
from structkit.device import keep_memory
from structkit.engines.genvideo.training import GenvideoTraining
from structkit.training.draw import Draw

PATHS = ("published", "float32", "bfloat16")


def at_level(level: int, dtype: torch.dtype) -> GenvideoTraining:
    """A training at the beginning of a level, with untrained networks below."""
    clip = torch.stack([natural_picture(144, 256 + 13, 1)[:, :, n : n + 256] for n in range(13)], 1)[None]
    training = GenvideoTraining(clip, GenvideoConfig(preset="paper"), dtype=dtype)
    for stage in range(level + 1):
        training.begin(stage, Draw(0, stage, 0))
    return training


def published(training: GenvideoTraining) -> Callable[[], object]:
    written, level, c = plain("genvideo"), training.level, training.config
    networks = written.Published.of(training.net, training.critic)
    is_vae = training.net.is_vae(level)
    learning = [networks.encoder, networks.decoder, *networks.blocks[-1:]] if is_vae else networks.blocks[-1:]
    if is_vae:
        optimisers = [torch.optim.Adam([p for network in learning for p in network.parameters()], 5e-4, (0.5, 0.999))]
    else:
        optimisers = [
            torch.optim.Adam(network.parameters(), 5e-4, (0.5, 0.999)) for network in (*learning, networks.critic)
        ]
    return lambda: written.step(networks, training.inputs(Draw(0, level, 1)), c, *optimisers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--levels", type=int, nargs="+", default=range(4))
    parser.add_argument("--paths", nargs="+", choices=PATHS, default=PATHS)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    keep_memory()
    for level in chosen.levels:
        calls = {}
        for path in chosen.paths:
            training = at_level(level, getattr(torch, "float32" if path == "published" else path))
            calls[path] = published(training) if path == "published" else _step(training, level)
        shape = " x ".join(map(str, training.shapes[level]))
        peak = {"peak_mib": ""}
        rows = []
        for path, numbers in side_by_side(calls, chosen.repeat).items():
            if len(chosen.paths) == 1:
                peak = {"peak_mib": str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)}
            rows.append({"case": f"level {level}, {shape}", "path": path} | numbers | peak)
        record(__file__, rows)


def _step(training: GenvideoTraining, level: int) -> Callable[[], object]:
    return lambda: training.step(Draw(0, level, 1))


if __name__ == "__main__":
    main()
