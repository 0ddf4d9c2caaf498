"""S3D-G: Inception over clips with separable convolutions and gated features (Xie et al., ECCV 2018).

Layers, channels and places of the gates are those of the authors' TensorFlow code; the first layer is separable, as in
PyTorch's S3D, whose weights fit (`load_trunk`).  SpeedNet's form (Benaim et al., CVPR 2020) is the default: no stride
in time, and a head for clips of any size.
Parameters: 8,320,048 with strides in time, without gates, with 400 classes, as PyTorch's; SpeedNet has 9,136,081 with
gates and 7,911,073 without.
Without gates a frame depends on 14 frames on each side, with them on the whole clip; with gates over some frames alone
(`gate_frames`) it is in between, and the clip can be cut into chunks.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from structkit.errors import CheckpointError
from structkit.media.files import natural
from structkit.nets.separable import ClipNetwork, ConvUnit, SeparableConv, scaled

GATES = ("none", "stem", "mixed", "all")
MIXED = (  # of each block: 1x1 | 1x1, 3x3 | 1x1, 3x3 | 1x1 after pooling
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    (
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)
ONE = (1, 1, 1)
HALO = 3 + 1 + sum(map(len, MIXED)) + 1  # of the first layer, the second, the blocks, and a pool of three frames


class FeatureGate(nn.Module):
    """A gate for features: y = x sigmoid(W m), where m is the mean of x over places and frames.

    frames: over which the mean is taken, centred, an odd number; None: all, as published.
    """

    def __init__(self, channels: int, *, bias: bool = True, frames: int | None = None) -> None:
        super().__init__()
        self.frames = frames
        self.weights = nn.Linear(channels, channels, bias=bias)
        nn.init.trunc_normal_(self.weights.weight, std=0.01)  # gates begin half open
        if bias:
            nn.init.zeros_(self.weights.bias)

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((3, 4))
        if self.frames is None:
            mean = mean.mean(2, keepdim=True)
        else:
            mean = F.avg_pool1d(mean, self.frames, 1, self.frames // 2, count_include_pad=False)
        return x * torch.sigmoid(self.weights(mean.transpose(1, 2)).transpose(1, 2))[..., None, None]


class MixedBlock(nn.Module):
    """An Inception block of four branches, each with a gate of its own where there are any."""

    def __init__(self, inputs: int, widths: tuple[int, ...], gate: type[nn.Module] | None) -> None:
        """widths: as in `MIXED`.  gate: makes one for a number of channels."""
        super().__init__()
        a, b0, b1, c0, c1, d = widths
        self.branches = nn.ModuleList(
            (
                nn.Sequential(ConvUnit(inputs, a, ONE, ONE)),
                nn.Sequential(ConvUnit(inputs, b0, ONE, ONE), SeparableConv(b0, b1, 3)),
                nn.Sequential(ConvUnit(inputs, c0, ONE, ONE), SeparableConv(c0, c1, 3)),
                nn.Sequential(nn.MaxPool3d(3, 1, 1), ConvUnit(inputs, d, ONE, ONE)),
            )
        )
        self.channels = a + b1 + c1 + d
        if gate is not None:
            for branch, width in zip(self.branches, (a, b1, c1, d), strict=True):
                branch.append(gate(width))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


class S3DG(ClipNetwork):
    """S3D-G; without gates, and with strides of 2, it is PyTorch's S3D but for the head."""

    def __init__(
        self,
        *,
        width: float = 1.0,
        classes: int = 1,
        motion: bool = False,
        gates: str = "all",
        gate_bias: bool = True,
        gate_frames: int | None = None,
        stem_stride: int = 1,
        pool_stride: int = 1,
    ) -> None:
        """width: in units of the published channels.
        motion: whether it sees changes alone, see `MotionContrast`.
        gates: none; after the stem, in the mixed blocks, or in all places.
        gate_bias: as in PyTorch's ports; TensorFlow's gates have none.
        stem_stride, pool_stride: strides in time of the first layer and of the last two pools, 1 or 2.
        """
        super().__init__()
        self.gates, self.gate_frames, self.strides = gates, gate_frames, (stem_stride, pool_stride)

        def gate(channels: int) -> FeatureGate:
            return FeatureGate(channels, bias=gate_bias, frames=gate_frames)

        one, two = scaled(64, width), scaled(192, width)
        layers: list[nn.Module] = [
            SeparableConv(self._see(motion), one, 7, stride=2, time_stride=stem_stride),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            ConvUnit(one, one, ONE, ONE),
            SeparableConv(one, two, 3),
        ]
        if gates in ("stem", "all"):
            layers.append(gate(two))
        pools = (
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            nn.MaxPool3d(3, (pool_stride, 2, 2), 1),
            nn.MaxPool3d((pool_stride, 2, 2), (pool_stride, 2, 2)),
        )
        inputs = two
        for pool, blocks in zip(pools, MIXED, strict=True):
            layers.append(pool)
            for widths in blocks:
                scaled_widths = tuple(scaled(one, width) for one in widths)
                block = MixedBlock(inputs, scaled_widths, gate if gates in ("mixed", "all") else None)
                layers.append(block)
                inputs = block.channels
        self.trunk, self.channels = nn.Sequential(*layers), inputs
        self.head = nn.Conv3d(inputs, classes, 1)

    @property
    def trunk_halo(self) -> int | None:
        if self.strides != (1, 1):
            return None
        depth = {"none": 0, "stem": 1, "mixed": sum(map(len, MIXED)), "all": 1 + sum(map(len, MIXED))}[self.gates]
        if depth and self.gate_frames is None:
            return None
        return HALO + depth * ((self.gate_frames or 1) // 2)


def load_trunk(network: S3DG, state: Mapping[str, Tensor], name: str = "the weights") -> None:
    """Put the weights of a PyTorch S3D (`torchvision.models.video.s3d`) into the layers of a network, but for the head.

    state: its state dict, in any order; strides have no weights, and gates keep those that they have.
    name: of the weights in messages.
    Raises CheckpointError where they are of another network, or of another width.
    """
    ours = [m for m in network.trunk.modules() if isinstance(m, nn.Conv3d | nn.BatchNorm3d)]
    names = sorted((key for key in state if not key.startswith("classifier.")), key=natural)
    theirs = [list(keys) for _, keys in groupby(names, lambda key: key.rpartition(".")[0])]
    if len(theirs) != len(ours):
        raise CheckpointError(f"{name}: {len(theirs)} layers where S3D has {len(ours)}; give weights of torchvision's")
    for layer, keys in zip(ours, theirs, strict=True):
        own = {key.rpartition(".")[2]: state[key] for key in keys}
        for key, value in layer.state_dict().items():
            if key not in own or own[key].shape != value.shape:
                shape = tuple(own[key].shape) if key in own else "missing"
                raise CheckpointError(
                    f"{name}: {keys[0].rpartition('.')[0]}.{key} is {shape}, and must be {tuple(value.shape)}; "
                    "its weights fit a width of 1 alone"
                )
        layer.load_state_dict(own)
