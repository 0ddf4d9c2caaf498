"""A training under DistributedDataParallel, of two processes: writes RANK.safetensors of each into a folder."""

import sys
from pathlib import Path

import torch
import torch.distributed
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn
from toy import forked

from structkit.engines.padain.layer import insert_padain


def train(folder: Path) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo")
    rank = torch.distributed.get_rank()
    torch.manual_seed(0)
    network = nn.Sequential(
        *(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)),
    )
    handles = insert_padain(network, p=0.5)
    model = nn.parallel.DistributedDataParallel(network)
    optimiser, active = torch.optim.SGD(model.parameters(), 0.1), []
    torch.manual_seed(rank)
    for _ in range(6):
        optimiser.zero_grad()
        F.cross_entropy(model(torch.randn(4, 3, 8, 8)), torch.randint(2, (4,))).backward()
        optimiser.step()
        active.append([name in handles.active for name in handles.names])
    weights = {name: parameter.detach() for name, parameter in network.named_parameters()}
    save_file({"active": torch.tensor(active), **weights}, folder / f"{rank}.safetensors")
    torch.distributed.destroy_process_group()


print(forked(*[lambda: train(Path(sys.argv[1]))] * 2))
