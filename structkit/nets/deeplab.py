"""Networks that say what each place of a picture shows: DeepLab-v2 (Chen et al., TPAMI 2018) on one of two backbones.

`small` is a dilated residual network of half a million weights, for processors; `resnet50` and `resnet101` are
torchvision's, with the strides of their last two stages replaced by dilations.  All have one feature every 8 px.

Differs from the paper: logits are enlarged so that those of a feature stay where its receptive field has its middle;
corner to corner, as published, they are stretched by up to 7 px.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from structkit.errors import CheckpointError
from structkit.kernels.convolution import memory_format_of

STRIDE = 8  # px between features
RATES = {
    "small": (2, 4, 8, 12),
    "resnet50": (6, 12, 18, 24),
    "resnet101": (6, 12, 18, 24),
}  # dilations of the classifier
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's pictures in [0, 1]
# Of each stage of the small backbone: channels, stride, dilation and blocks.
SMALL = ((32, 2, 1, 2), (64, 2, 1, 2), (96, 1, 2, 1), (96, 1, 4, 1))
SMALL_STEM = 16  # channels


class FrozenBatchNorm(nn.BatchNorm2d):
    """A batch norm that stands still: weight * (x - mean) / sqrt(variance) + bias, as published without an epsilon."""

    def forward(self, features: Tensor) -> Tensor:
        scale = self.weight.detach() * self.running_var.rsqrt()
        shift = self.bias.detach() - self.running_mean * scale
        return torch.addcmul(shift[:, None, None].to(features.dtype), features, scale[:, None, None].to(features.dtype))


def set_norms(network: nn.Module, kind: type[nn.BatchNorm2d]) -> None:
    """Let the batch norms of a network be of a kind, BatchNorm2d or FrozenBatchNorm; parameters and buffers stay."""
    for module in network.modules():
        for name, norm in module.named_children():
            if isinstance(norm, nn.BatchNorm2d) and type(norm) is not kind:
                new = kind(norm.num_features, norm.eps, norm.momentum)
                new.weight, new.bias = norm.weight, norm.bias
                for buffer in ("running_mean", "running_var", "num_batches_tracked"):
                    setattr(new, buffer, getattr(norm, buffer))
                setattr(module, name, new.train(norm.training))


class DilatedBlock(nn.Module):
    """A basic residual block: two 3x3 convolutions with norms, with a stride or a dilation, beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, dilation, dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, features: Tensor) -> Tensor:
        inner = F.relu(self.bn1(self.conv1(features)))
        return F.relu(self.bn2(self.conv2(inner)) + self.shortcut(features))


class SmallBackbone(nn.Module):
    """A dilated residual network, (B, 3, H, W) -> (B, C, H / 8, W / 8), of about half a million weights at width 1."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        before = max(4, round(width * SMALL_STEM))
        self.conv1 = nn.Conv2d(3, before, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(before)
        blocks: list[nn.Module] = []
        for usual, stride, dilation, count in SMALL:
            channels = max(4, round(width * usual))
            blocks.append(DilatedBlock(before, channels, stride, dilation))
            blocks += [DilatedBlock(channels, channels, 1, dilation) for _ in range(count - 1)]
            before = channels
        self.blocks, self.channels = nn.Sequential(*blocks), before
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, pictures: Tensor) -> Tensor:
        return self.blocks(F.relu(self.bn1(self.conv1(pictures))))


class ResNetBackbone(nn.Sequential):
    """A ResNet of torchvision without its head, (B, 3, H, W) -> (B, 2048, H / 8, W / 8); random weights.

    Its parts run in the order in which they are registered: the stem, then layers 1 to 4.
    """

    PARTS = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")

    def __init__(self, name: str) -> None:
        """name: resnet50 or resnet101."""
        super().__init__()
        whole = getattr(torchvision.models, name)(weights=None, replace_stride_with_dilation=[False, True, True])
        for part in self.PARTS:
            self.add_module(part, getattr(whole, part))
        self.channels = 2048

    def load_published(self, weights: Mapping[str, Tensor]) -> None:
        """Take over the weights of a whole ResNet of torchvision, but for its head.

        Raises CheckpointError for those of another network.
        """
        own = {name: tensor for name, tensor in weights.items() if name.split(".")[0] in self.PARTS}
        try:
            self.load_state_dict(own)
        except RuntimeError as error:
            fact = f"weights of another network ({str(error).splitlines()[-1].strip()})"
            raise CheckpointError(f"{fact}; name those of the torchvision ResNet that --network says") from error


class DilatedClassifier(nn.Module):
    """The head of DeepLab-v2: the sum of four 3x3 convolutions with dilations, (B, C, h, w) -> (B, K, h, w)."""

    def __init__(self, channels: int, classes: int, rates: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Conv2d(channels, classes, 3, padding=rate, dilation=rate, bias=True) for rate in rates
        )
        for branch in self.branches:
            nn.init.normal_(branch.weight, 0.0, 0.01)

    def forward(self, features: Tensor) -> Tensor:
        first, *others = (branch(features) for branch in self.branches)
        return sum(others, first)


class SegmentationNetwork(nn.Module):
    """A backbone and a classifier, from pictures (B, 3, H, W) in [-1, 1] to logits (B, K, h, w), one every 8 px.

    h and w are H / 8 and W / 8, rounded up.
    """

    def __init__(self, name: str, classes: int, width: float = 1.0) -> None:
        """name: small, resnet50 or resnet101.  width: channels of `small`, in units of its usual ones."""
        super().__init__()
        self.backbone = SmallBackbone(width) if name == "small" else ResNetBackbone(name)
        self.classifier = DilatedClassifier(self.backbone.channels, classes, RATES[name])
        # [-1, 1] to [0, 1], then as torchvision's weights are used to.
        mean, deviation = torch.tensor(MEAN), torch.tensor(DEVIATION)
        self.register_buffer("scale", (0.5 / deviation)[:, None, None], persistent=False)
        self.register_buffer("shift", ((0.5 - mean) / deviation)[:, None, None], persistent=False)

    def features(self, pictures: Tensor) -> Tensor:
        """The features of pictures, (B, C, h, w)."""
        normalised = torch.addcmul(self.shift, pictures, self.scale)
        return self.backbone(normalised.contiguous(memory_format=memory_format_of(self)))

    def forward(self, pictures: Tensor) -> Tensor:
        return self.classifier(self.features(pictures))


def enlarged(logits: Tensor, shape: tuple[int, int]) -> Tensor:
    """Logits (B, K, h, w), one every 8 px from the first pixel on, for each pixel of a shape: (B, K, H, W).

    shape: (height, width), at most 8 h and 8 w.
    Between features they are bilinear; beyond the last they stay as there.
    """
    height, width = logits.shape[-2:]
    padded = F.pad(logits, (0, 1, 0, 1), mode="replicate")
    whole = F.interpolate(padded, (STRIDE * height + 1, STRIDE * width + 1), mode="bilinear", align_corners=True)
    return whole[..., : shape[0], : shape[1]]


class PixelDiscriminator(nn.Module):
    """The discriminator of FADA (Wang et al., ECCV 2020), (B, C, h, w) -> 2 K logits of each place, (B, 2 K, h, w).

    The first K are the classes in the source, the others those in the target.
    """

    def __init__(self, channels: int, classes: int, width: int = 256) -> None:
        """width: channels of its first layer; its second has half as many."""
        super().__init__()
        half = max(1, width // 2)
        self.trunk = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, half, 3, padding=1),
            nn.LeakyReLU(0.2),
        )
        self.source, self.target = (nn.Conv2d(half, classes, 3, padding=1) for _ in range(2))

    def forward(self, features: Tensor) -> Tensor:
        inner = self.trunk(features)
        return torch.cat([self.source(inner), self.target(inner)], 1)
