"""The optimisers of a segmenter and their learning rates: Adam, up and down; SGD as published."""

from __future__ import annotations

import torch
from torch.optim import Optimizer

from structkit.configs import SegmenterConfig
from structkit.nets.deeplab import SegmentationNetwork
from structkit.training.schedule import rising_and_falling

WARM_UP = 0.1  # share of the steps in which Adam's rate rises
MOMENTUM, DECAY = 0.9, 5e-4  # of SGD
POWER = (
    0.9  # of SGD's rate, which falls to 0 at HORIZON times the steps: published trainings stop before their schedule
)
HORIZON = {"source": 31_250 / 20_000, "adversarial": 62_500 / 40_000, "distillation": 41_250 / 40_000}
SLOWER = 0.1  # rate of the backbone by SGD, in units of the classifier's


def optimiser_of(network: SegmentationNetwork, config: SegmenterConfig) -> Optimizer:
    """The optimiser of a network, whose rates `set_rates` sets in each step."""
    if config.optimiser == "adam":
        return torch.optim.AdamW(network.parameters(), 0.0)
    groups = [{"params": part.parameters()} for part in (network.backbone, network.classifier)]
    return torch.optim.SGD(groups, 0.0, MOMENTUM, weight_decay=DECAY)


def set_rates(optimiser: Optimizer, config: SegmenterConfig, kind: str, step: int, steps: int) -> None:
    """Set the learning rates of a step, from 1, of the steps of a kind of stage."""
    height = {
        "source": config.rate,
        "adversarial": config.adversarial_rate,
        "distillation": config.distillation_rate,
        "self-training": config.selftrain_rate,
    }[kind]
    if config.optimiser == "adam":
        part, factors = rising_and_falling(step / steps, WARM_UP), [1.0]
    else:
        part, factors = _published(kind, step, steps), [SLOWER, 1.0]
    for group, factor in zip(optimiser.param_groups, factors, strict=True):
        group["lr"] = height * part * factor


def set_critic_rate(optimiser: Optimizer, config: SegmenterConfig, step: int, steps: int) -> None:
    """Set the learning rate of the discriminator: beside SGD it falls as the network's (published), else it stays."""
    part = _published("adversarial", step, steps) if config.optimiser == "sgd" else 1.0
    for group in optimiser.param_groups:
        group["lr"] = config.discriminator_rate * part


def _published(kind: str, step: int, steps: int) -> float:
    """The share of its height that a published rate has in a step, from 1."""
    return (1 - (step - 1) / (steps * HORIZON.get(kind, 1.0))) ** POWER
