"""Small domains to adapt between: squares on a ground, seen darker and in other colours in the target."""

from __future__ import annotations

import torch
from torch import Tensor

from structkit.configs import SegmenterConfig
from structkit.data.label_maps import LabelMap
from structkit.engines.padain.segmenter_training import SegmenterTraining

MAP = LabelMap("toy", ("ground", "square", "disc"), ((0, 0, 0), (200, 0, 0), (0, 200, 0)), {0: 0, 1: 1, 2: 2})
SIZE = (32, 24)
TINY = {"size": "32x24", "width": 0.12, "batch": 4, "steps": 6, "held": 0.0}
OF = {
    "none": {},
    "bn": {},
    "fada": {"pair_batch": 3, "adversarial_steps": 3, "distillation_steps": 3},
    "selftrain": {"pair_batch": 3, "selftrain_steps": 4, "confidence": 0.2},
}


class Scenes:
    """Stand-in for `SegmentationPictures`: scenes drawn by a seed."""

    map = MAP

    def __init__(self, count: int, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        height, width = SIZE[::-1]
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        self.pairs = []
        for _ in range(count):
            a, b, c, d = (torch.rand(4, generator=generator) * torch.tensor([12.0, 20.0, 24.0, 32.0])).int().tolist()
            labels = torch.zeros(height, width, dtype=torch.uint8)
            labels[a : a + 12, b : b + 12] = 1
            labels[(rows - c) ** 2 + (columns - d) ** 2 < 42] = 2
            colours = torch.tensor([[120, 120, 120], [220, 60, 60], [60, 60, 220]])[labels.long()].permute(2, 0, 1)
            noise = 12 * torch.randn(3, height, width, generator=generator)
            self.pairs.append(((colours + noise).clamp(0, 255).to(torch.uint8), labels))
        counts = [torch.bincount(labels.flatten().long(), minlength=3) for _, labels in self.pairs]
        self.shares = torch.stack(counts).double() / (height * width)

    def __len__(self) -> int:
        return len(self.pairs)

    def picture(self, index: int) -> Tensor:
        return self.pairs[index][0]

    def labels(self, index: int) -> Tensor:
        return self.pairs[index][1]


class DarkScenes:
    """Stand-in for `TargetPictures`: it has pictures and a length, and nothing else."""

    def __init__(self, count: int, seed: int = 9) -> None:
        self.scenes = Scenes(count, seed)

    def __len__(self) -> int:
        return len(self.scenes)

    def picture(self, index: int) -> Tensor:
        return (self.scenes.picture(index).float() * torch.tensor([0.5, 0.4, 0.3])[:, None, None]).to(torch.uint8)


def training_of(adapt: str, target: int = 12, held: int = 0, **options) -> SegmenterTraining:
    config = SegmenterConfig(adapt=adapt, **(TINY | OF[adapt] | options))
    pictures = DarkScenes(target) if adapt != "none" else None
    return SegmenterTraining(Scenes(10), pictures, config, held=Scenes(held, 5) if held else None)
