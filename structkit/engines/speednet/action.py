"""Action recognition with the features of SpeedNet (Benaim et al., CVPR 2020, section 5).

A network that has learned to judge the speed of videos gets a new last layer, one output for each class, and all its
layers are tuned on labelled clips.  Features that are left as they are do far worse, as others found who tried it: the
network knows how fast things move, and is still to learn what they do.
Differs from the paper: optimiser, batch and steps are ours; the logits of a clip are the mean over frames of those of
each frame, so that clips of any length can be told.
Expect: as published, pre-training on Kinetics gives 81 % on UCF101, where random weights give 74 %.  What it gives on
clips of yours is told beside the same training from random weights (`baseline`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from structkit.configs import ActionConfig, SpeedNetConfig
from structkit.data.windows import LEAST_FRAMES, LEAST_SIDE, TOGETHER
from structkit.engines.speednet.model import SpeedNet, clip_network
from structkit.errors import CheckpointError, InputError
from structkit.media.tensors import to_range
from structkit.metrics.accuracy import accuracy, chance, confusion, is_no_better, mistakes, share_words
from structkit.nets.separable import ClipNetwork
from structkit.training.draw import Draw
from structkit.training.ema import Average
from structkit.training.model import Model
from structkit.training.precision import arithmetic
from structkit.training.schedule import rising_and_falling
from structkit.training.stages import Stage, Training
from structkit.training.state import pack, unpack

BACKBONE = ("network", "sees", "width", "gates", "gate_bias", "gate_frames", "stem_stride", "pool_stride")
LONGEST = 5.0  # norm of the gradient, to which a longer one is cut down


class ActionNet(Model):
    """A network that names what is done in a clip.

    All clips are (B, 3, T, H, W) in [-1, 1], at 25 frames a second, of 8 frames and 32 px or more; those that it has
    learned from have `config.frames` frames and sides of `config.side` px.
    classes: the names, in the order of the logits.
    backbone: the configuration of the network before its last layer.
    """

    kind = "action"
    config_class = ActionConfig
    network: ClipNetwork

    def __init__(self, config: ActionConfig, classes: Sequence[str], backbone: Mapping[str, Any] | None = None) -> None:
        """backbone: options of the network (BACKBONE), by name; None: those of the configuration."""
        super().__init__(config.filled())
        if not (isinstance(classes, list | tuple) and len(set(classes)) == len(classes) >= 2):
            raise CheckpointError("its classes are not two or more different names")
        if not all(isinstance(name, str) for name in classes):
            raise CheckpointError("its classes are not texts")
        self.classes = tuple(classes)
        self.backbone = replace(self.config.backbone(), **(backbone or {}))
        self.network = clip_network(self.backbone, len(self.classes))
        self.dtype = torch.float32

    def facts(self) -> dict[str, Any]:
        return {"classes": list(self.classes), "backbone": network_options(self.backbone)}

    def logits(self, frames: Tensor) -> Tensor:
        """A logit of each class, (B, K).  Raises InputError for clips that are too short or too small."""
        self._check(frames)
        with arithmetic(frames, self.dtype):
            return self.network(frames).float()

    def probabilities(self, frames: Tensor) -> Tensor:
        """The probability of each class, (B, K), 1 in all.  Raises as `logits`."""
        return self.logits(frames).softmax(1)

    def features(self, frames: Tensor) -> Tensor:
        """The feature of each clip, (B, C), as SpeedNet's.  Raises as `logits`."""
        self._check(frames)
        with arithmetic(frames, self.dtype):
            return self.network.pooled(frames).float().mean(2)

    @staticmethod
    def _check(frames: Tensor) -> None:
        if frames.shape[2] < LEAST_FRAMES or min(frames.shape[3:]) < LEAST_SIDE:
            fact = f"clips of {frames.shape[2]} frames of {frames.shape[4]} x {frames.shape[3]} px"
            raise InputError(f"{fact}: {LEAST_FRAMES} frames and {LEAST_SIDE} px are the least")


@dataclass(frozen=True, eq=False)
class LabelledVideo:
    """A video whose class is known.

    name: in messages.
    label: the number of its class.
    stretches: parts of it, (n, 3, h, w) uint8 each, at 25 frames a second, each as long as a window or longer.
    """

    name: str
    label: int
    stretches: Sequence[Tensor] = field(repr=False)

    def windows(self, frames: int) -> list[Tensor]:
        """Windows of so many frames, each half over the one before, (frames, 3, h, w) uint8."""
        return [
            stretch[start : start + frames]
            for stretch in self.stretches
            for start in range(0, len(stretch) - frames + 1, max(1, frames // 2))
        ]


class ActionTraining(Training):
    """The training of an action classifier: from given weights, and, as a baseline, from random ones by the same steps.

    Steps draw a class, then one of its videos, then a window of it: classes with few videos count as much as others.
    """

    model_class = ActionNet

    def __init__(
        self,
        videos: Sequence[LabelledVideo],
        classes: Sequence[str],
        config: ActionConfig,
        *,
        held: Sequence[LabelledVideo] = (),
        start: SpeedNet | ActionNet | None = None,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        tell: Callable[[str], None] = lambda note: None,
    ) -> None:
        """videos: those that are learned from, one or more of each class.
        held: those that the scores come from, which are not learned from.
        start: the model whose network and weights are the beginning, but for its last layer; None: random weights.
        dtype: of the networks' arithmetic, float32 or bfloat16.
        tell: called with each line about the scores.
        """
        self.config, self.classes = config.filled(), list(classes)
        self.device, self.dtype, self.tell = device, dtype, tell
        self.by_class = [[one for one in videos if one.label == label] for label in range(len(classes))]
        self.held, self.backbone, self.start = list(held), self.config.backbone(), None
        if start is not None:
            self.backbone = start.config if isinstance(start, SpeedNet) else start.backbone
            self.start = {name: tensor.detach().cpu() for name, tensor in start.network.trunk.state_dict().items()}
        names = (
            ["tuning", "random weights"] if self.config.baseline else ["random weights" if start is None else "tuning"]
        )
        self.stages = [Stage(name, self.config.steps) for name in names]
        self.finished: nn.Module | None = None
        self.named: list[int] | None = None  # the classes told of the videos held out, once they are scored

    def begin(self, stage: int, draw: Draw) -> None:
        if stage:
            self.finished = self.average.module
        self._build()
        if self.start is not None and not stage:
            self.network.trunk.load_state_dict(self.start)
            self.average = Average(self.network, self.config.average)

    def _build(self) -> None:
        c = self.config
        self.network = clip_network(self.backbone, len(self.classes)).to(self.device).train()
        self.adam = torch.optim.AdamW(self.network.parameters(), c.rate, weight_decay=c.weight_decay)
        self.average = Average(self.network, c.average)

    def step(self, draw: Draw) -> dict[str, Tensor]:
        c, steps = self.config, self.stages[draw.stage].steps
        self.adam.param_groups[0]["lr"] = c.rate * rising_and_falling(draw.step / steps, c.warm_up)
        count = self.processes.evenly(c.batch)
        drawn = torch.rand(count, 10, generator=draw.generator("windows"), device=self.device)
        windows, labels = self.windows(self.processes.share(drawn).cpu())
        windows, labels = windows.to(self.device), labels.to(self.device)
        with arithmetic(windows, self.dtype):
            features = self.network.pooled(windows).float().mean(2)
            logits = self.network.head(F.dropout(features, c.dropout)[..., None, None, None]).float().flatten(1)
        loss = F.cross_entropy(logits, labels)
        self.processes.descend(self.adam, loss, longest=LONGEST)
        self.processes.mean_buffers(self.network)
        self.average.update(self.network)
        return {"loss": loss.detach(), "accuracy": (logits.detach().argmax(1) == labels).float().mean()}

    def windows(self, drawn: Tensor) -> tuple[Tensor, Tensor]:
        """The windows of a step, (B, 3, T, side, side) in [-1, 1], and their labels, (B,).

        drawn: (B, 10) numbers in [0, 1) that decide on all that is chosen.
        """
        made, labels = [], []
        for row in drawn.tolist():
            of_class, which, where, when, scale, x, y, turned, light, contrast = row
            label = int(of_class * len(self.by_class))
            videos = self.by_class[label]
            stretches = videos[int(which * len(videos))].stretches
            stretch = stretches[int(where * len(stretches))]
            start = int(when * (len(stretch) - self.config.frames + 1))
            window = stretch[start : start + self.config.frames]
            window = self._crop(window, scale, x, y)
            if not self.config.sided and turned < 0.5:
                window = window.flip(-1)
            strength = self.config.jitter
            mean = window.mean((0, 2, 3), keepdim=True)
            window = (window - mean) * (1 + strength * (2 * contrast - 1)) + mean * (1 + strength * (2 * light - 1))
            made.append(window.clamp(0, 1))
            labels.append(label)
        return to_range(torch.stack(made).transpose(1, 2)).contiguous(), torch.tensor(labels)

    def _crop(self, window: Tensor, scale: float, x: float, y: float) -> Tensor:
        """A square of a window (T, 3, h, w) uint8, as the network sees it: (T, 3, side, side) in [0, 1]."""
        height, width = window.shape[2:]
        zoom = self.config.zoom
        side = max(1, round(min(height, width) * (zoom + (1 - zoom) * scale)))
        top, left = round(y * (height - side)), round(x * (width - side))
        square = window[:, :, top : top + side, left : left + side].float() / 255
        wanted = self.config.side
        return F.interpolate(square, (wanted, wanted), mode="bilinear", antialias=True, align_corners=False)

    def state(self) -> dict[str, Tensor]:
        return pack(**self._parts())

    def restore(self, stage: int, state: Mapping[str, Tensor]) -> None:
        if stage:
            self.finished = clip_network(self.backbone, len(self.classes)).to(self.device)
        self._build()
        unpack(state, **self._parts())

    def _parts(self) -> dict[str, Any]:
        finished = {"finished": self.finished} if self.finished else {}
        return {"network": self.network, "adam": self.adam, "average": self.average, **finished}

    def model(self) -> ActionNet:
        model = ActionNet(self.config, self.classes, network_options(self.backbone)).to(self.device)
        model.network.load_state_dict((self.finished or self.average.module).state_dict())
        return model.eval()

    def scores(self) -> dict[str, Any]:
        """The accuracy on videos held out, with its interval, beside chance; how often a class was taken for another.

        With a baseline also the accuracy of the network that began from random weights.
        """
        if not self.held:
            return {}
        truth = [video.label for video in self.held]
        told = self.named = self._told(self.finished or self.average.module)
        scores: dict[str, Any] = {"held": len(truth), "chance": chance(truth), **accuracy(truth, told)}
        if self.finished:
            scores |= accuracy(truth, self._told(self.average.module), "random_")
        scores["confusion"] = confusion(truth, told, self.classes)
        for line in score_lines(scores, self.start is not None):
            self.tell(line)
        return scores

    def doubts(self) -> list[str]:
        """That the classes are not told apart, where they are not."""
        if not self.held:
            return []
        truth = [video.label for video in self.held]
        named = self.named or self._told(self.finished or self.average.module)
        if not is_no_better(truth, named):
            return []
        return [f"on {len(truth)} videos held out it is no better than always naming one class"]

    @torch.inference_mode()
    def _told(self, network: nn.Module) -> list[int]:
        """The class that a network names for each video held out: of the largest mean probability over its windows."""
        named = []
        for video in self.held:
            windows = video.windows(self.config.frames)
            found = []
            for i in range(0, len(windows), TOGETHER):
                clips = torch.stack(windows[i : i + TOGETHER]).transpose(1, 2).to(self.device)
                with arithmetic(clips, torch.float32):
                    found.append(network(to_range(clips.float() / 255)).softmax(1))
            named.append(int(torch.cat(found).mean(0).argmax()))
        return named


def network_options(config: SpeedNetConfig) -> dict[str, Any]:
    """The options of a network, by name, without those of its training."""
    return {name: getattr(config, name) for name in BACKBONE}


def score_lines(scores: Mapping[str, Any], begun: bool) -> list[str]:
    """The scores in words, a line each.  begun: true for a model that began from given weights."""
    of = f"{scores['held']} videos held out"
    lines = [f"{'from the given weights' if begun else 'from random weights'}: of {of} {share_words(scores)}"]
    if "random_accuracy" in scores:
        lines.append(f"from random weights, by the same steps: {share_words(scores, 'random_')}")
    lines.append(f"always naming one class: {100 * scores['chance']:.0f} % right")
    wrong = [f"{true} for {one} {count}x" for true, one, count in mistakes(scores["confusion"])]
    return [*lines, f"taken for another: {', '.join(wrong) or 'none'}"]
