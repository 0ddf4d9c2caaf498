"""The base of the networks that classify pictures, and torchvision's networks in that form."""

from __future__ import annotations

import difflib

import torch
from torch import Tensor, nn

from structkit.errors import OptionError


class PictureNetwork(nn.Module):
    """The base of the networks that classify pictures (B, 3, H, W) of any size: features, then a linear layer.

    published: a pattern of the names of the modules after which permuted AdaIN was published to stand.
    """

    published = r"(^|\.)conv\d$"
    fc: nn.Linear

    def maps(self, x: Tensor) -> Tensor:
        """The last feature maps, (B, D, h, w)."""
        raise NotImplementedError

    def features(self, x: Tensor) -> Tensor:
        """The mean of the last feature maps over places, (B, D)."""
        return self.maps(x).mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.features(x))


class TorchvisionNetwork(nn.Module):
    """A classifier of torchvision's, by its name, with random weights.

    network: torchvision's own; a state dict of torchvision's fits it.
    published: None: permuted AdaIN stands after each convolution that a batch norm follows.
    """

    published = None

    def __init__(self, name: str, classes: int) -> None:
        """Raises OptionError for a name that torchvision has not, among its classifiers."""
        super().__init__()
        from torchvision import models

        names = models.list_models(module=models)
        if name not in names:
            near = difflib.get_close_matches(name, names, n=3)
            meant = f"did you mean {' or '.join(near)}" if near else "an example is torchvision:resnet50"
            raise OptionError(f"--network is torchvision:{name}: torchvision has no such classifier; {meant}")
        auxiliary = {"aux_logits": False, "init_weights": True} if name in ("googlenet", "inception_v3") else {}
        how = {"weights": None, "num_classes": classes, **auxiliary}
        try:
            self.network = models.get_model(name, **how)
        except NotImplementedError:  # regnets read values, which the device "meta" has not
            with torch.device("cpu"):
                self.network = models.get_model(name, **how)
            self.network.to(torch.get_default_device())
        layers = [m for m in self.network.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
        linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
        self._last = [linear[-1] if linear else layers[-1]]  # in a list, so that it is no module of this one too

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)

    def features(self, x: Tensor) -> Tensor:
        """The input of the last layer, (B, D); of a layer that is a convolution, its mean over places."""
        found: list[Tensor] = []
        hook = self._last[0].register_forward_pre_hook(lambda layer, inputs: found.append(inputs[0]))
        try:
            self.network(x)
        finally:
            hook.remove()
        return found[0] if found[0].ndim == 2 else found[0].mean((2, 3))


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A convolution without bias that keeps the side, but for its stride."""
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


def shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    """The way around a block: nothing where shapes agree, else a 1x1 convolution and its norm."""
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    return nn.Sequential(conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))


def he_normal(network: nn.Module, *, linear: bool = False) -> None:
    """Weights of convolutions from N(0, 2 / (k k outputs)), no bias of the last layer (DenseNet, ResNeXt, AugMix).

    linear: true for weights of linear layers from N(0, 2 / inputs), as ResNeXt's.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            kernel = module.kernel_size[0] * module.kernel_size[1]
            nn.init.normal_(module.weight, 0, (2 / (kernel * module.out_channels)) ** 0.5)
        elif isinstance(module, nn.Linear):
            if linear:
                nn.init.kaiming_normal_(module.weight)
            nn.init.zeros_(module.bias)
