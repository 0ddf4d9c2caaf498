"""Residual networks for small pictures, and every classifier by its name.

The stems see each pixel (a 3x3 convolution without stride or pool), as usual for CIFAR; those of ImageNet are
torchvision's, named `torchvision:resnet50`.
Every network here has `features` (B, D), which its last layer `fc` makes logits of, and `published`, a pattern of the
modules after which the published code of permuted AdaIN (Nuriel et al., CVPR 2021) has its layer.
Modules are named as in torchvision.  Parameters at 100 classes: resnet18 11.22 M, resnet34 21.33 M, resnet50 23.71 M.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from structkit.errors import OptionError
from structkit.nets.picture_networks import PictureNetwork, TorchvisionNetwork, conv, he_normal, shortcut
from structkit.nets.preactivated import densenet40, pyramidnet110, pyramidnet200, wideresnet28, wideresnet40


class BasicBlock(nn.Module):
    """A residual block of two 3x3 convolutions."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(inputs, width, 3, stride), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = conv(width, width, 3), nn.BatchNorm2d(width)
        self.downsample = shortcut(inputs, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(y)) + self.downsample(x), inplace=True)


class Bottleneck(nn.Module):
    """A residual block of 1x1, 3x3 and 1x1 convolutions; a stride is the 3x3 one's.

    groups: of the 3x3 convolution, whose channels are `inner`; None: `width`.
    """

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int = 1, *, inner: int | None = None, groups: int = 1) -> None:
        super().__init__()
        inner, outputs = inner or width, 4 * width
        self.conv1, self.bn1 = conv(inputs, inner, 1), nn.BatchNorm2d(inner)
        self.conv2, self.bn2 = conv(inner, inner, 3, stride, groups), nn.BatchNorm2d(inner)
        self.conv3, self.bn3 = conv(inner, outputs, 1), nn.BatchNorm2d(outputs)
        self.downsample = shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        return F.relu(self.bn3(self.conv3(y)) + self.downsample(x), inplace=True)


class ResNet(PictureNetwork):
    """A residual network (He et al., CVPR 2016) of stages, each of half the side of the one before."""

    def __init__(
        self, block: Callable[..., nn.Module], blocks: Sequence[int], classes: int, width: int, *, stem: int = 0
    ) -> None:
        """block: makes one from inputs, width and stride.  blocks: in each stage.
        width: of the first stage, doubled in each.  stem: channels of the first layer; 0: `width`.
        """
        super().__init__()
        expansion, inputs = block.expansion, stem or width  # type: ignore[attr-defined]
        self.conv1, self.bn1 = conv(3, inputs, 3), nn.BatchNorm2d(inputs)
        self.stages = len(blocks)
        for stage, count in enumerate(blocks):
            layers = []
            for number in range(count):
                layers.append(block(inputs, width << stage, 2 if stage and not number else 1))
                inputs = expansion * (width << stage)
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layers))
        self.fc = nn.Linear(inputs, classes)

    def maps(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        for stage in range(self.stages):
            x = self.get_submodule(f"layer{stage + 1}")(x)
        return x


class ResNextBlock(Bottleneck):
    """A bottleneck of ResNeXt-29 as AugMix's code has it: 4 groups, each of half the width."""

    def __init__(self, inputs: int, width: int, stride: int = 1) -> None:
        super().__init__(inputs, width, stride, inner=2 * width, groups=4)


def resnext29(classes: int, width: int) -> ResNet:
    """ResNeXt-29 (4x32d) as AugMix's code has it: 3 stages of 3 blocks."""
    network = ResNet(ResNextBlock, (3, 3, 3), classes, width, stem=width)
    he_normal(network, linear=True)
    return network


def resnet20(classes: int, width: int) -> ResNet:
    """ResNet-20 for CIFAR (He et al., section 4.2), with 1x1 convolutions where sides change."""
    network = ResNet(BasicBlock, (3, 3, 3), classes, width)
    he_normal(network)
    return network


def resnet(block: type[BasicBlock] | type[Bottleneck], *blocks: int) -> Callable[[int, int], ResNet]:
    """The maker of a ResNet for CIFAR with these blocks, with PyTorch's initial weights, as in the published recipe."""
    return lambda classes, width: ResNet(block, blocks, classes, width)


# The maker of each network, from the number of classes and its width, and its usual width.
CLASSIFIERS: dict[str, tuple[Callable[[int, int], PictureNetwork], int]] = {
    "resnet18": (resnet(BasicBlock, 2, 2, 2, 2), 64),
    "resnet20": (resnet20, 16),
    "resnet34": (resnet(BasicBlock, 3, 4, 6, 3), 64),
    "resnet50": (resnet(Bottleneck, 3, 4, 6, 3), 64),
    "resnext29": (resnext29, 64),
    "densenet40": (densenet40, 12),
    "pyramidnet110": (pyramidnet110, 84),
    "pyramidnet200": (pyramidnet200, 240),
    "wideresnet28": (wideresnet28, 160),
    "wideresnet40": (wideresnet40, 32),
}


def classifier_network(name: str, classes: int, *, width: int | None = None) -> nn.Module:
    """The network of this name, with random weights: pictures (B, 3, H, W) to logits (B, classes).

    name: one of CLASSIFIERS, or torchvision:NAME.
    width: channels of the first stage; of densenet40 those of each layer, of pyramidnets those that are added in all;
    None: the usual one.  Torchvision's networks have none.
    The network has `features` (B, D) and `published`; see `PictureNetwork`.
    Raises OptionError for a name that there is not, and for a width of a network that has none.
    """
    kind, colon, own = name.partition(":")
    if kind == "torchvision" and colon:
        if width is not None:
            raise OptionError(f"--width is not of {name}: leave it out")
        return TorchvisionNetwork(own, classes)
    if name not in CLASSIFIERS:
        fact = f"--network is {name!r}: choose one of {', '.join(CLASSIFIERS)}"
        raise OptionError(f"{fact}, or one of torchvision's, such as torchvision:resnet50")
    make, usual = CLASSIFIERS[name]
    return make(classes, width or usual)
