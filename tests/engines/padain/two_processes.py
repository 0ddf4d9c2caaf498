"""A training under DistributedDataParallel: `torchrun two_processes.py OUT` writes OUT/RANK.safetensors."""

import sys
from pathlib import Path

import torch
import torch.distributed
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from structkit.engines.padain.layer import insert_padain

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
save_file({"active": torch.tensor(active), **weights}, Path(sys.argv[1]) / f"{rank}.safetensors")
torch.distributed.destroy_process_group()
