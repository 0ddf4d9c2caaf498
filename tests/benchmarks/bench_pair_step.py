"""A step of structural analogy's training at each level of the published pyramid, beside the published step written
out.

    python tests/benchmarks/bench_pair_step.py [--repeat 3] [--levels 0 1 2]

Paths: `published` runs all that the authors' code runs (every chain of frozen levels anew with its graph, each image
alone through each network, six backward passes) but for its 40 resizes in NumPy; `float32` and `bfloat16` are
structkit's step.  Procedural pictures, fresh networks; CPU milliseconds of one step, the inputs of a chunk counted with
the steps they serve.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace

import torch
from measure import natural_picture, plain, record, timed

from structkit.configs import PairConfig
from structkit.device import keep_memory
from structkit.engines.pair.training import CHUNK, PairTraining
from structkit.nets.patch import PatchNet
from structkit.training.draw import Draw


def at_level(level: int, dtype: torch.dtype) -> PairTraining:
    """A training at the beginning of a level, with untrained networks below."""
    training = PairTraining(
        natural_picture(220, 220, 1)[None], natural_picture(220, 220, 2)[None], PairConfig(preset="paper"), dtype=dtype
    )
    for k in range(level):
        training.net.add_level(
            PatchNet(training.net.stack(k), torch.Generator().manual_seed(k)), torch.full((2,), 0.05)
        )
        training.critic = PatchNet(replace(training.net.stack(k), outputs=1, padded=False))
    training.begin(level, Draw(0, level, 0))
    return training


def ours(training: PairTraining, repeat: int) -> dict[str, str]:
    """One step, and its share of what is made for a chunk of them."""
    draw = Draw(0, training.level, 1)
    inputs = training._inputs(draw)
    step, together = (
        timed(lambda: training.update(inputs[0]), repeat),
        timed(lambda: training._inputs(draw), max(1, repeat // 3)),
    )
    return {name: f"{float(step[name]) + float(together[name]) / CHUNK:.2f}" for name in step}


def published(training: PairTraining) -> Callable[[], object]:
    pair, net, level = plain("pair"), training.net, training.level
    domains = [
        pair.Domain(
            frozen=[pair.of_domain(g, i).requires_grad_(False) for g in net.generators[:level]],
            amplitudes=net.amplitudes[:, i].tolist(),
            generator=pair.of_domain(net.generators[level], i),
            critic=pair.of_domain(training.critic, i),
            real=training.real[i],
            shapes=net.shapes,
            residual=[net.is_residual(k) for k in range(len(net.shapes))],
        )
        for i in range(2)
    ]
    adams = tuple(
        torch.optim.Adam([p for d in domains for p in getattr(d, n).parameters()], betas=(0.5, 0.999))
        for n in ("critic", "generator")
    )

    def step() -> None:
        draws = [
            {
                "noise": [torch.randn(1, 3, *shape) for shape in net.shapes[: level + 1]],
                "start": torch.randn(1, 3, *net.shapes[0]),
                "mix": [0.3, 0.7],
            }
            for _ in domains
        ]
        pair.step(*domains, draws, training.config, adams)

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=3, help="repetitions at the fine levels; more at the coarse ones")
    parser.add_argument("--levels", type=int, nargs="+", default=range(11))
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    keep_memory()
    for level in chosen.levels:
        repeat = chosen.repeat * (8 if level < 4 else 1)
        trainings = {name: at_level(level, getattr(torch, name)) for name in ("float32", "bfloat16")}
        side, width = trainings["float32"].shapes[level][0], trainings["float32"].net.stack(level).width
        paths = {"published": timed(published(trainings["float32"]), repeat)}
        paths |= {name: ours(training, repeat) for name, training in trainings.items()}
        rows = [
            {"case": f"level {level:2d}, {side} px, width {width}", "path": name} | numbers
            for name, numbers in paths.items()
        ]
        record(__file__, rows)


if __name__ == "__main__":
    main()
