"""A network that is small enough to be trained in every test of Permuted AdaIN, and batches for it."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint


class Small(nn.Module):
    """A stem, a block of two convolutions and a classifier."""

    def __init__(self, reentrant=None):
        super().__init__()
        torch.manual_seed(0)
        self.reentrant = reentrant  # of the block's activation checkpointing; None: none
        self.conv1, self.bn1 = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.conv2, self.bn2 = nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.conv3, self.bn3 = nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.fc = nn.Linear(6, 4)

    def block(self, x):
        return F.relu(x + self.bn3(self.conv3(F.relu(self.bn2(self.conv2(x))))))

    def features(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        return self.block(x) if self.reentrant is None else checkpoint(self.block, x, use_reentrant=self.reentrant)

    def forward(self, x):
        return self.fc(self.features(x).mean((2, 3)))


def pictures(count=6, side=7, seed=0):
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(seed)) + 0.5


def steps(model, count=6, forwards=1, call=None):
    """The gradients of some steps, in each of which the model is called `forwards` times before the one backward."""
    call, found = model if call is None else call, []
    x = pictures().requires_grad_()  # reentrant checkpoints ask for it
    for _ in range(count):
        model.zero_grad()
        losses = [(number + 1) * call(x + number).square().sum() for number in range(forwards)]
        sum(losses).backward()
        found += [parameter.grad.clone() for parameter in model.parameters()]
    return found


def moments(x):
    return torch.stack([x.mean((2, 3)), x.std((2, 3))])
