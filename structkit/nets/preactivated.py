"""Networks for small pictures whose norms stand before their convolutions: DenseNet, PyramidNet, WideResNet.

Parameters at 10 classes: densenet40 1.06 M, pyramidnet110 3.90 M, wideresnet28 36.48 M, wideresnet40 2.24 M; at 100
classes: pyramidnet200 26.84 M.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from structkit.nets.picture_networks import PictureNetwork, conv, he_normal


class DenseLayer(nn.Module):
    """A layer of a DenseNet: its output is joined to its input."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), conv(inputs, growth, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.conv1(F.relu(self.bn1(x), inplace=True))], 1)


class Transition(nn.Module):
    """The layer between two blocks of a DenseNet: half the side, as many channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm, self.mixing = nn.BatchNorm2d(channels), conv(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(self.mixing(F.relu(self.norm(x), inplace=True)), 2)


class DenseNet(PictureNetwork):
    """A DenseNet without bottlenecks or reduction (Huang et al., CVPR 2017): three blocks, as AugMix's code has it.

    Permuted AdaIN was published after the stem and in the layers, and not in the transitions.
    """

    def __init__(self, layers: int, classes: int, growth: int) -> None:
        """layers: of each block.  growth: channels of each layer."""
        super().__init__()
        channels = 2 * growth
        self.conv1 = conv(3, channels, 3)
        for block in range(3):
            dense = [DenseLayer(channels + growth * number, growth) for number in range(layers)]
            self.add_module(f"layer{block + 1}", nn.Sequential(*dense))
            channels += growth * layers
            if block < 2:
                self.add_module(f"transition{block + 1}", Transition(channels))
        self.norm = nn.BatchNorm2d(channels)
        self.fc = nn.Linear(channels, classes)
        he_normal(self)

    def maps(self, x: Tensor) -> Tensor:
        x = self.transition1(self.layer1(self.conv1(x)))
        x = self.transition2(self.layer2(x))
        return F.relu(self.norm(self.layer3(x)), inplace=True)


class PyramidBlock(nn.Module):
    """A residual block of a PyramidNet: norms before and after convolutions, and a way around padded with zeros."""

    def __init__(self, inputs: int, width: int, stride: int, *, bottleneck: bool) -> None:
        """width: of its convolutions; a bottleneck gives out 4 times as many channels."""
        super().__init__()
        kernels = (1, 3, 1) if bottleneck else (3, 3)
        channels = [inputs, *[width] * (len(kernels) - 1), 4 * width if bottleneck else width]
        self.stride, self.count = stride, len(kernels)
        for number, kernel in enumerate(kernels):
            strided = stride if number == (1 if bottleneck else 0) else 1
            self.add_module(f"bn{number + 1}", nn.BatchNorm2d(channels[number]))
            self.add_module(f"conv{number + 1}", conv(channels[number], channels[number + 1], kernel, strided))
        self.add_module(f"bn{self.count + 1}", nn.BatchNorm2d(channels[-1]))

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for number in range(1, self.count + 1):
            y = self.get_submodule(f"bn{number}")(y)
            y = self.get_submodule(f"conv{number}")(F.relu(y) if number > 1 else y)
        y = self.get_submodule(f"bn{self.count + 1}")(y)
        around = F.avg_pool2d(x, 2, ceil_mode=True) if self.stride == 2 else x
        return y + F.pad(around, (0, 0, 0, 0, 0, y.shape[1] - around.shape[1]))


class PyramidNet(PictureNetwork):
    """A PyramidNet (Han et al., CVPR 2017): each block is a little wider than the one before."""

    def __init__(self, blocks: int, classes: int, alpha: float, *, bottleneck: bool) -> None:
        """blocks: of each of the three stages.  alpha: channels that are added in all."""
        super().__init__()
        self.conv1, self.bn1 = conv(3, 16, 3), nn.BatchNorm2d(16)
        inputs = 16
        for stage in range(3):
            parts = []
            for number in range(blocks):
                width = round(16 + alpha * (stage * blocks + number + 1) / (3 * blocks))
                stride = 2 if stage and not number else 1
                parts.append(PyramidBlock(inputs, width, stride, bottleneck=bottleneck))
                inputs = 4 * width if bottleneck else width
            self.add_module(f"layer{stage + 1}", nn.Sequential(*parts))
        self.norm = nn.BatchNorm2d(inputs)
        self.fc = nn.Linear(inputs, classes)
        he_normal(self)

    def maps(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.layer3(self.layer2(self.layer1(self.bn1(self.conv1(x)))))), inplace=True)


class WideBlock(nn.Module):
    """A residual block of a WideResNet, whose way around begins after the first norm where widths change."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), conv(inputs, width, 3, stride)
        self.bn2, self.conv2 = nn.BatchNorm2d(width), conv(width, width, 3)
        self.shortcut = None if inputs == width else conv(inputs, width, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        first = F.relu(self.bn1(x))
        around = x if self.shortcut is None else self.shortcut(first)
        return around + self.conv2(F.relu(self.bn2(self.conv1(first)), inplace=True))


class WideResNet(PictureNetwork):
    """A WideResNet (Zagoruyko and Komodakis, BMVC 2016) without dropout."""

    def __init__(self, blocks: int, classes: int, width: int) -> None:
        """blocks: of each of the three stages.  width: of the first, 16 times the published factor."""
        super().__init__()
        self.conv1 = conv(3, 16, 3)
        inputs = 16
        for stage in range(3):
            parts = []
            for number in range(blocks):
                parts.append(WideBlock(inputs, width << stage, 2 if stage and not number else 1))
                inputs = width << stage
            self.add_module(f"layer{stage + 1}", nn.Sequential(*parts))
        self.norm = nn.BatchNorm2d(inputs)
        self.fc = nn.Linear(inputs, classes)
        he_normal(self)

    def maps(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.layer3(self.layer2(self.layer1(self.conv1(x))))), inplace=True)


def densenet40(classes: int, growth: int) -> DenseNet:
    """DenseNet-40 (k = 12 as published)."""
    return DenseNet(12, classes, growth)


def pyramidnet110(classes: int, alpha: int) -> PyramidNet:
    """PyramidNet-110 of basic blocks."""
    return PyramidNet(18, classes, alpha, bottleneck=False)


def pyramidnet200(classes: int, alpha: int) -> PyramidNet:
    """PyramidNet-200 of bottlenecks."""
    return PyramidNet(22, classes, alpha, bottleneck=True)


def wideresnet28(classes: int, width: int) -> WideResNet:
    """WideResNet-28."""
    return WideResNet(4, classes, width)


def wideresnet40(classes: int, width: int) -> WideResNet:
    """WideResNet-40."""
    return WideResNet(6, classes, width)
