"""A segmenter: what each place of a picture shows, learned from labelled pictures and adapted to others without labels.

DeepLab-v2 (Chen et al., TPAMI 2018) with FADA (Wang et al., ECCV 2020) and pAdaIN (Nuriel et al., CVPR 2021), or with
less: the target's statistics in the batch norms, or self-training on mixed pictures.

Differs from the papers: see `structkit.nets.deeplab` and `structkit.engines.padain.segmenter_training`.
Expect: as published, GTA5 to Cityscapes from ImageNet's weights, 49.2 mIoU by FADA and 51.5 with pAdaIN, on 4 GPUs.
The small backbone, 400 steps of 8 at 240 x 180 (1.5 CPU minutes) on rendered streets, one seed: CamVid at dusk 29 mIoU,
with statistics alone 32, by FADA 32, by self-training 37; tests/benchmarks/adaptation.csv has all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from structkit.configs import SegmenterConfig
from structkit.engines.padain.layer import PRESETS, PadainHandles, insert_padain
from structkit.errors import CheckpointError, OptionError
from structkit.kernels.convolution import memory_format_of
from structkit.nets.deeplab import FrozenBatchNorm, SegmentationNetwork, enlarged
from structkit.training.model import Model
from structkit.training.precision import arithmetic

MOST_CLASSES = 254


def segmentation_network(config: SegmenterConfig, classes: int) -> SegmentationNetwork:
    """The network of a `filled` configuration, untrained."""
    network = SegmentationNetwork(config.network, classes, config.width or 1.0)
    return network.to(memory_format=memory_format_of(network))


def padain_backbone(network: SegmentationNetwork, config: SegmenterConfig, pairing: str = "permute") -> PadainHandles:
    """The handles of pAdaIN, which is put into the backbone.  Raises OptionError where it has no place."""
    sites = config.padain_sites
    how = {"preset": sites} if sites in PRESETS else {"where": sites}
    try:
        return insert_padain(network.backbone, config.padain, pairing=pairing, **how)
    except OptionError as error:
        raise OptionError(str(error).replace("with where=", "with --padain-sites, or say --padain 0")) from error


def check_places(config: SegmenterConfig) -> None:
    """Refuse places of pAdaIN that the network has not.  Raises OptionError."""
    if config.padain:
        with torch.device("meta"):  # shapes without memory
            padain_backbone(segmentation_network(config, 2), config)


def plain_copy(network: SegmentationNetwork, config: SegmenterConfig) -> SegmentationNetwork:
    """A copy of a network in evaluation mode, without hooks, whose norms are BatchNorm2d and do what they did."""
    device = network.scale.device
    copied = segmentation_network(config, network.classifier.branches[0].out_channels).to(device)
    copied.load_state_dict(network.state_dict())
    for module, copy in zip(network.modules(), copied.modules(), strict=True):
        if isinstance(module, FrozenBatchNorm):  # which has no epsilon
            copy.running_var -= copy.eps
    return copied.eval()


class Segmenter(Model):
    """A network that says of each pixel of a picture which class it shows.

    Pictures are (B, 3, H, W) in [-1, 1] of any shape; they are looked at in `config.shape`.
    classes: their names, K.  palette: the colour of each, (R, G, B), 0 .. 255.
    dtype: of the network's arithmetic.
    """

    kind = "segmenter"
    config_class = SegmenterConfig

    def __init__(self, config: SegmenterConfig, classes: Sequence[str], palette: Sequence[Sequence[int]]) -> None:
        super().__init__(config.filled())
        if not (isinstance(classes, list | tuple) and 1 <= len(classes) <= MOST_CLASSES):
            raise CheckpointError(f"its classes are not a list of 1 to {MOST_CLASSES}")
        if not all(isinstance(name, str) for name in classes):
            raise CheckpointError("its classes are not texts")
        colours = [tuple(colour) for colour in palette]
        if len(colours) != len(classes) or not all(
            len(colour) == 3 and all(isinstance(c, int) and 0 <= c <= 255 for c in colour) for colour in colours
        ):
            raise CheckpointError("its palette is not a colour of three numbers, 0 to 255, for each class")
        self.classes, self.palette = list(classes), colours
        self.network = segmentation_network(self.config, len(self.classes))
        self.dtype = torch.float32

    def facts(self) -> dict[str, Any]:
        return {"classes": self.classes, "palette": [list(colour) for colour in self.palette]}

    def coarse_logits(self, pictures: Tensor) -> Tensor:
        """The logits of pictures of `config.shape`, one every 8 px, (B, K, h, w) float32."""
        with arithmetic(pictures, self.dtype):
            return self.network(pictures).float()

    def logits(self, pictures: Tensor) -> Tensor:
        """A logit of each class for each pixel, (B, K, H, W)."""
        return _resized(self._logits_as_seen(pictures), pictures.shape[-2:])

    def labels(self, pictures: Tensor) -> Tensor:
        """The class of each pixel, (B, H, W) uint8: that of the largest of `logits`, a class at a time in memory."""
        found = self._logits_as_seen(pictures)
        shape = pictures.shape[-2:]
        most, labels = _resized(found[:, :1], shape), torch.zeros(len(found), 1, *shape, dtype=torch.uint8)
        labels = labels.to(found.device)
        for label in range(1, len(self.classes)):
            own = _resized(found[:, label : label + 1], shape)
            labels.masked_fill_(own > most, label)
            torch.maximum(most, own, out=most)
        return labels[:, 0]

    def _logits_as_seen(self, pictures: Tensor) -> Tensor:
        """Logits for each pixel of the pictures as they are looked at."""
        shape = self.config.shape
        seen = pictures.float()
        if pictures.shape[-2:] != shape:
            seen = F.interpolate(seen, shape, mode="bilinear", antialias=True, align_corners=False)
        return enlarged(self.coarse_logits(seen), shape)

    def forward(self, pictures: Tensor) -> Tensor:
        """The same as `logits`."""
        return self.logits(pictures)


def _resized(logits: Tensor, shape: Sequence[int]) -> Tensor:
    if logits.shape[-2:] == tuple(shape):
        return logits
    return F.interpolate(logits, tuple(shape), mode="bilinear", align_corners=False)
