"""What SpeedNet costs: CPU milliseconds of a frame, at inference, and of a clip that is learned from.

    python tests/benchmarks/bench_speednet_cost.py [--threads 1] [--repeat 3]

`gflop`: of a frame, forwards alone, as PyTorch counts them, two for a product and a sum.  Frames are 112 x 64 px, in
chunks of 128; clips that are learned from have 16 frames of 64 x 64 px, 8 in a batch.
"""

from __future__ import annotations

import torch
from measure import options, record, timed
from torch.utils.flop_counter import FlopCounterMode

from structkit.configs import SpeedNetConfig
from structkit.engines.speednet.model import SpeedNet
from structkit.engines.speednet.training import speed_losses

CHUNK, SHAPE = 128, (64, 112)
FRAMES, SIDE, BATCH = 16, 64, 8
NETWORKS = {"plain": ("plain", (1.0, 2.0)), "s3d": ("s3dg", (0.25, 0.5, 1.0))}


def main() -> None:
    chosen, rows = options(__doc__.splitlines()[0]), []
    for name, (network, widths) in NETWORKS.items():
        for width in widths:
            net = SpeedNet(SpeedNetConfig(network=network, gates="none", width=width)).eval()
            video = torch.rand(1, 3, CHUNK, *SHAPE) * 2 - 1
            with torch.no_grad():
                with FlopCounterMode(display=False) as counter:
                    net(video)
                looked = timed(lambda net=net, video=video: net(video), chosen.repeat)
            clips = torch.rand(BATCH, 3, FRAMES, SIDE, SIDE) * 2 - 1
            adam = torch.optim.AdamW(net.parameters(), fused=True)

            def step(net: SpeedNet = net, clips: torch.Tensor = clips, adam: torch.optim.Optimizer = adam) -> None:
                adam.zero_grad()
                sum(speed_losses(*net(clips).chunk(2), net.config).values()).backward()
                adam.step()

            net.train()
            learned = timed(step, chosen.repeat)
            cpu = float(looked["cpu_ms"])
            flops = counter.get_total_flops() / 1e9
            rows.append(
                {
                    "case": "112 x 64 px",
                    "path": f"{name}, width {width:g}",
                    "parameters": str(sum(p.numel() for p in net.parameters())),
                    "gflop": f"{flops / CHUNK:.3f}",
                    "cpu_ms": f"{cpu / CHUNK:.2f}",
                    "gflop_s": f"{flops / cpu * 1000:.0f}",
                    "cpu_ms_learned_clip": f"{float(learned['cpu_ms']) / BATCH:.0f}",
                }
            )
    record(__file__, rows)


if __name__ == "__main__":
    main()
