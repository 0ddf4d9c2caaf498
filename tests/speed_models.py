"""The smallest models of speed and of actions, and small videos for them: squares that move in ways of their own."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from structkit.configs import ActionConfig, SpeedNetConfig
from structkit.engines.speednet.action import ActionNet
from structkit.engines.speednet.model import SpeedNet
from structkit.media.moving_pictures import Clip, write_clip

SIDE, FRAMES = 32, 8  # of the models
TINY = {"width": 0.1, "side": SIDE, "frames": FRAMES}
WAYS = ("across", "down", "blink")  # classes


def tiny_speednet(seed: int = 0) -> SpeedNet:
    """An untrained model of speed whose batch norms let something through."""
    torch.manual_seed(seed)
    return SpeedNet(SpeedNetConfig(**TINY, smallest=32, largest=32)).eval()


def tiny_action(classes: Sequence[str] = WAYS, seed: int = 0) -> ActionNet:
    """An untrained model of actions."""
    torch.manual_seed(seed)
    return ActionNet(ActionConfig(**TINY), list(classes)).eval()


def frames_of(way: str, count: int = 16, *, seed: int = 0, width: int = 40, height: int = 32) -> np.ndarray:
    """A bright square on grain that moves across or down, or blinks where it is, (count, height, width, 3) uint8."""
    random = np.random.default_rng(seed)
    made = np.broadcast_to(random.integers(40, 90, (height, width, 1)), (count, height, width, 3)).astype(np.uint8)
    left, top = (int(n) for n in random.integers(2, 12, 2))
    for i, frame in enumerate(made := made.copy()):
        x = (left + 2 * i) % (width - 8) if way == "across" else left
        y = (top + 2 * i) % (height - 8) if way == "down" else top
        if way != "blink" or i % 8 < 4:
            frame[y : y + 8, x : x + 8] = (250, 220, 60)
    return made


def film(path: Path, way: str = "across", count: int = 16, *, seed: int = 0, rate: int = 25, **size: int) -> Path:
    """A video of such frames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_clip(Clip(frames_of(way, count, seed=seed, **size), Fraction(rate)), path)
    return path


def class_folders(folder: Path, each: int = 4, ways: Sequence[str] = WAYS) -> Path:
    """A folder of classes."""
    for number, way in enumerate(ways):
        for i in range(each):
            film(folder / way / f"{i}.mp4", way, seed=100 * number + i)
    return folder
