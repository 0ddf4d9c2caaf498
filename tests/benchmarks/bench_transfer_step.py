"""A step of content transfer's training, beside the published step written out.

    python tests/benchmarks/bench_transfer_step.py [--repeat 3]

`published`: the authors' thirteen passes through the networks, one picture of one domain at a time, float32.  `float32`
and `bfloat16`: structkit's step, with the norm of each domain for itself (the same values) or of both together (what
`fast` learns with).  The paper's networks at 128 px and the `fast` ones at 64, batches of 32 + 32 of noise; CPU
milliseconds of one step.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace

import torch
from measure import plain, record, timed

from structkit.configs import TransferConfig
from structkit.data.batches import signed
from structkit.device import keep_memory
from structkit.engines.transfer.training import TransferTraining
from structkit.training.draw import Draw


def begun(config: TransferConfig, dtype: torch.dtype) -> TransferTraining:
    noise = torch.randint(0, 256, (64, 3, config.filled().seen, config.filled().seen), dtype=torch.uint8)
    training = TransferTraining(noise, noise.flip(2), config, dtype=dtype)
    training.begin(0, Draw(0, 0, 0))
    return training


def published(training: TransferTraining) -> Callable[[], object]:
    a, b = (signed(pictures[: training.config.batch]) for pictures in training.reduced)
    net = training.net.train().to(memory_format=torch.contiguous_format)
    parameters = [p for name, p in net.named_parameters() if not name.startswith("painter.")]
    adams = [
        torch.optim.Adam(of, training.config.rate, (0.5, 0.999)) for of in (parameters, training.critic.parameters())
    ]
    step = plain("transfer").published_step
    return lambda: step(net, training.critic, a, b, *adams)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=5)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    keep_memory()
    for config in (TransferConfig(), TransferConfig(preset="paper")):
        filled = config.filled()
        case = f"{filled.preset}, {filled.size} px"
        paths = {"published": timed(published(begun(config, torch.float32)), chosen.repeat)}
        for norm in ("domain", "joint"):
            for dtype in ("float32", "bfloat16"):
                training = begun(replace(config, norm=norm), getattr(torch, dtype))
                paths[f"{dtype}, {norm} norm"] = timed(
                    lambda training=training: training.step(Draw(0, 0, 1)), chosen.repeat
                )
        record(__file__, [{"case": case, "path": name} | numbers for name, numbers in paths.items()])


if __name__ == "__main__":
    main()
