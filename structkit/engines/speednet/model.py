"""SpeedNet: whether a clip plays at its natural speed, or faster (Benaim et al., CVPR 2020).

A network tells clips at their own speed from sped-up ones, which labels itself: frames of a video, and every second of
them.  Features of all places and frames come from S3D-G without strides in time, or from a plain (2+1)D network for
processors.  Of each frame the largest over all places counts, so that the place that moves most decides; the mean over
frames is a clip's feature, and a linear layer its logit.  This layer and the mean over frames may change places, so
that each frame has a logit, too.

Conventions: a logit above 0 says sped up.  Frames follow each other at 25 a second.
Differs from the paper: optimiser, batch and steps are not known of it, and are ours; gates can be left out, or see some
frames alone, so that long videos are cut into chunks (as published, each frame depends on all).
Expect: as published, on Kinetics, 76 % of clips are told right, where the mean motion tells 56 %.  A training on
minutes of video is far from that: read the scores in the card, which stand beside those of the motion.
"""

from __future__ import annotations

import torch
from torch import Tensor

from structkit.configs import SpeedNetConfig
from structkit.data.windows import LEAST_FRAMES, LEAST_SIDE
from structkit.errors import InputError
from structkit.nets.s3dg import S3DG
from structkit.nets.separable import ClipNetwork, PlainClipNetwork
from structkit.training.model import Model
from structkit.training.precision import arithmetic

RATE = 25  # frames per second, of all clips that are learned from or looked at
LEAST_ACCURACY = 0.55  # of which nobody would say that it tells speeds apart


def clip_network(config: SpeedNetConfig, classes: int = 1) -> ClipNetwork:
    """The network of a configuration, untrained.  classes: of its head."""
    if config.network == "plain":
        return PlainClipNetwork(width=config.width, classes=classes, motion=config.sees == "motion")
    return S3DG(
        width=config.width,
        classes=classes,
        motion=config.sees == "motion",
        gates=config.gates,
        gate_bias=config.gate_bias,
        gate_frames=config.gate_frames,
        stem_stride=config.stem_stride,
        pool_stride=config.pool_stride,
    )


class SpeedNet(Model):
    """A network that tells of clips, and of each of their frames, whether they are sped up.

    All clips are (B, 3, T, H, W) in [-1, 1], at 25 frames a second, of 8 frames and 32 px or more: those that it
    has learned from have `config.smallest` to `config.largest` px, and `config.side` is what it was scored at.
    network: the `ClipNetwork` behind it.
    dtype: of the network's arithmetic.
    """

    kind = "speednet"
    config_class = SpeedNetConfig
    network: ClipNetwork

    def __init__(self, config: SpeedNetConfig) -> None:
        super().__init__(config.filled())
        self.network = clip_network(self.config)
        self.register_buffer("scale", torch.ones(()))  # the temperature, part of the weights
        self.dtype = torch.float32

    @property
    def temperature(self) -> float:
        """The temperature of the calibration: sigmoid(logit / temperature) is a probability."""
        return float(self.scale)

    @property
    def halo(self) -> int | None:
        """The frames on each side of one that its logit depends on; None where all of the clip has its say."""
        return self.network.halo

    @property
    def trusted(self) -> bool:
        """True if the model was found, on videos held out, to tell speeds apart better than the amount of motion does.

        The lower bound of its accuracy is above 55 %, and above the accuracy of the best threshold on mean motion.
        Accuracy over all clips, not between two versions of a moment: of these the one that moves more is the faster,
        which motion tells without fail.
        """
        scores = self.card.get("scores") or {}
        least = scores.get("accuracy_low", 0.0)
        return least > max(LEAST_ACCURACY, scores.get("flow_accuracy", 1.0))

    def logits(self, frames: Tensor) -> Tensor:
        """A logit of each frame, (B, T): above 0, it is sped up.  Raises InputError for clips of fewer than 8 frames.

        Where the network has strides in time, frames share one.
        """
        self._check(frames)
        with arithmetic(frames, self.dtype):
            found = self.network.frame_logits(frames)[:, 0].float()
        return self._of_each_frame(found, frames.shape[2])

    def maps(self, frames: Tensor) -> Tensor:
        """Logits of each place and frame, (B, T, h, w), before the maximum over places.  Raises as `logits`."""
        self._check(frames)
        with arithmetic(frames, self.dtype):
            found = self.network.maps(frames)[:, 0].float()
        return self._of_each_frame(found, frames.shape[2])

    def features(self, frames: Tensor) -> Tensor:
        """The feature of each clip, (B, C): the largest over places, its mean over frames.  Raises as `logits`."""
        self._check(frames)
        with arithmetic(frames, self.dtype):
            return self.network.pooled(frames).float().mean(2)

    def probabilities(self, frames: Tensor) -> Tensor:
        """The probability of each frame, (B, T), that it is sped up.  Raises as `logits`."""
        return torch.sigmoid(self.logits(frames) / self.scale)

    def forward(self, frames: Tensor) -> Tensor:
        """The logit of each clip, (B,)."""
        return self.logits(frames).mean(1)

    @staticmethod
    def _check(frames: Tensor) -> None:
        shape = tuple(frames.shape)
        if len(shape) != 5 or shape[1] != 3 or shape[2] < LEAST_FRAMES or min(shape[3:]) < LEAST_SIDE:
            wanted = f"(B, 3, T, H, W) of {LEAST_FRAMES} frames, and {LEAST_SIDE} px, or more"
            raise InputError(f"clips of shape {shape}: expected {wanted}")

    @staticmethod
    def _of_each_frame(found: Tensor, frames: int) -> Tensor:
        """Values (B, T', ...) for each of T frames."""
        if found.shape[1] == frames:
            return found
        at = torch.arange(frames, device=found.device) * found.shape[1] // frames
        return found[:, at]
