"""Convolutions over clips: in space, in time, and in both one after the other."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

EPS, MOMENTUM = 1e-3, 0.1  # of batch norms; TensorFlow's S3D-G takes means over 1,000 steps, a short training cannot


class ConvUnit(nn.Sequential):
    """A convolution without bias, a batch norm and a ReLU.

    Clips are (B, C, T, H, W).  Borders are padded with zeros, so that a stride of 1 keeps a side.
    """

    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> None:
        """kernel, stride: in time, rows and columns; kernels are odd."""
        padding = tuple(side // 2 for side in kernel)
        convolution = nn.Conv3d(inputs, outputs, kernel, stride, padding, bias=False)
        nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
        super().__init__(convolution, nn.BatchNorm3d(outputs, EPS, MOMENTUM), nn.ReLU(inplace=True))


class SeparableConv(nn.Sequential):
    """A convolution over a clip in two: first in space, then in time, each a `ConvUnit`."""

    def __init__(self, inputs: int, outputs: int, side: int, *, stride: int = 1, time_stride: int = 1) -> None:
        """side: of the kernel, in each of the three axes.  stride: in space."""
        super().__init__(
            ConvUnit(inputs, outputs, (1, side, side), (1, stride, stride)),
            ConvUnit(outputs, outputs, (side, 1, 1), (time_stride, 1, 1)),
        )


class MotionContrast(nn.Module):
    """What changes from frame to frame, in units of how much changes around: where something moves, not how strongly.

    The difference of the grey levels to the frame before, over its root mean square in a window of space and time.
    Colours and brightness are gone, and a network learns from it with fewer steps; noise where nothing moves is kept
    down by `FLOOR`.
    """

    SIDE, FRAMES = 9, 9  # of the window, px and frames
    FLOOR = 0.05  # grey levels, black to white = 2, of changes that are taken for noise
    HALO = 1 + FRAMES // 2

    def forward(self, clips: Tensor) -> Tensor:
        """Clips (B, 3, T, H, W) in [-1, 1] to changes (B, 1, T, H, W); the first frame has that of the second."""
        grey = clips.mean(1, keepdim=True)
        change = grey[:, :, 1:] - grey[:, :, :-1]
        change = torch.cat([change[:, :, :1], change], 2)
        around = change.square()
        frames = min(self.FRAMES, (clips.shape[2] - 1) // 2 * 2 + 1)  # an odd number, as all
        for window in ((1, 1, self.SIDE), (1, self.SIDE, 1), (frames, 1, 1)):  # one axis after the other
            border = tuple(side // 2 for side in window)
            around = F.avg_pool3d(around, window, 1, border, count_include_pad=False)
        return change / (around.sqrt() + self.FLOOR)


class ClipNetwork(nn.Module):
    """A network from clips to a map of features, and from there to logits: dense in space and in time.

    view: from clips (B, 3, T, H, W) in [-1, 1] to what the trunk sees: these, or the `MotionContrast`.
    trunk: from there to features (B, `channels`, T', h, w).
    head: a linear map from features to logits, without any pooling, so that it may follow a maximum over places as well
    as come before it.
    sparing: whether a training keeps what goes into each layer of the trunk alone and computes the rest again for the
    gradients: less memory, about a quarter more time.  The batch norms then take each batch in twice.
    """

    view: nn.Module
    trunk: nn.Module
    head: nn.Conv3d
    channels: int
    sparing: bool = False

    def features(self, clips: Tensor) -> Tensor:
        """Features of each place and frame, (B, channels, T', h, w)."""
        seen = self.view(clips).contiguous()
        if not (self.sparing and torch.is_grad_enabled()):
            return self.trunk(seen)
        for layer in self.trunk:
            seen = checkpoint(layer, seen, use_reentrant=False)
        return seen

    def pooled(self, clips: Tensor) -> Tensor:
        """Features of each frame, (B, channels, T'): the largest over all places, so that what moves most decides."""
        return self.features(clips).amax((3, 4))

    def frame_logits(self, clips: Tensor) -> Tensor:
        """Logits of each frame, (B, classes, T'); the mean over frames is the clip's."""
        return self.head(self.pooled(clips)[..., None, None])[..., 0, 0]

    def maps(self, clips: Tensor) -> Tensor:
        """Logits of each place and frame, (B, classes, T', h, w): the class activation map."""
        return self.head(self.features(clips))

    def forward(self, clips: Tensor) -> Tensor:
        """Logits of clips, (B, classes)."""
        return self.frame_logits(clips).mean(2)

    @property
    def halo(self) -> int | None:
        """The frames on each side of one that its logit depends on; None where all of the clip has its say."""
        if (own := self.trunk_halo) is None:
            return None
        return own + (MotionContrast.HALO if isinstance(self.view, MotionContrast) else 0)

    @property
    def trunk_halo(self) -> int | None:
        """The halo of the trunk alone."""
        raise NotImplementedError

    def _see(self, motion: bool) -> int:
        """Take the view; returns its channels."""
        self.view = MotionContrast() if motion else nn.Identity()
        return 1 if motion else 3


class PlainClipNetwork(ClipNetwork):
    """A plain (2+1)D network of about 0.3 million parameters, for processors.

    In each of four stages are two separable convolutions, the first with a stride of 2 in space; time is kept.
    On processors its few wide layers do twice as many operations a second as the many thin ones of `S3DG`.
    """

    WIDTHS = (16, 32, 64, 96)
    LAYERS = 2  # of each stage

    def __init__(self, *, width: float = 1.0, classes: int = 1, motion: bool = False) -> None:
        """width: in units of `WIDTHS`.  motion: whether it sees changes alone, see `MotionContrast`."""
        super().__init__()
        widths = [scaled(one, width) for one in self.WIDTHS]
        layers, inputs = [], self._see(motion)
        for outputs in widths:
            for number in range(self.LAYERS):
                layers.append(SeparableConv(inputs, outputs, 3, stride=1 if number else 2))
                inputs = outputs
        self.trunk, self.channels = nn.Sequential(*layers), inputs
        self.head = nn.Conv3d(inputs, classes, 1)

    @property
    def trunk_halo(self) -> int:
        return self.LAYERS * len(self.WIDTHS)


def scaled(channels: int, width: float) -> int:
    """The channels of a layer in a network of another width: at least one."""
    return max(1, round(channels * width))
