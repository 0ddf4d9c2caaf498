"""A step of domain difference's training, beside the published step written out.

    python tests/benchmarks/bench_difference_step.py [--repeat 5]

`published`: the authors' ten passes through the networks, one domain at a time, float32, one step of the critic.
`float32` and `bfloat16`: structkit's step, which takes all of one domain's pictures along with the other's.  The
paper's networks at 128 px do the same work on both sides; of the `fast` ones at 64 px, structkit's step has four steps
of the critic and the linear critic besides, as the preset has them, and an average of the weights is kept everywhere.
Batches of 32 + 32 of noise, the paths in turn; CPU milliseconds of one step.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from measure import plain, record, side_by_side

from structkit.configs import DifferenceConfig
from structkit.data.batches import signed
from structkit.device import keep_memory
from structkit.engines.difference.training import DifferenceTraining
from structkit.training.draw import Draw


def begun(config: DifferenceConfig, dtype: torch.dtype) -> DifferenceTraining:
    noise = torch.randint(0, 256, (64, 3, config.filled().size, config.filled().size), dtype=torch.uint8)
    training = DifferenceTraining(noise, noise.flip(2), config, dtype=dtype)
    training.begin(0, Draw(0, 0, 0))
    return training


def published(training: DifferenceTraining) -> Callable[[], object]:
    c = training.config
    a, b = (signed(pictures[: c.batch]) for pictures in training.squares)
    net = training.net.train().to(memory_format=torch.contiguous_format)
    adams = [torch.optim.Adam(of.parameters(), c.rate, (0.5, 0.999)) for of in (net, training.critic)]
    step = plain("difference").published_step
    return lambda: step(net, training.critic, a, b, *adams)


def ours(training: DifferenceTraining) -> Callable[[], object]:
    return lambda: training.step(Draw(0, 0, 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=5)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    keep_memory()
    for config in (DifferenceConfig(), DifferenceConfig(preset="paper")):
        filled = config.filled()
        calls = {"published": published(begun(config, torch.float32))}
        calls |= {name: ours(begun(config, getattr(torch, name))) for name in ("float32", "bfloat16")}
        case = f"{filled.preset}, {filled.size} px"
        record(
            __file__,
            [{"case": case, "path": name} | numbers for name, numbers in side_by_side(calls, chosen.repeat).items()],
        )


if __name__ == "__main__":
    main()
